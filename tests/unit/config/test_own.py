"""Strategies of the owner's: found, looked at, and every mistake named with its line and its remedy."""

from decimal import Decimal
from pathlib import Path

import pytest
from unit.config.conftest import Errors, Load

from bidder.config.own import load as load_function
from bidder.config.values import Unusable
from bidder.domain.money import Currency, Price
from bidder.domain.policy import OwnParams

CONFIG = """
strategies:
  - name: mine
    strategy: own_good:decide
    ceiling: {usd: 3}
    servers: {gpu: RTX 3090}
    launch: {image: nvidia/cuda}
"""
MODULES = {
    "own_good": "def decide(position, params, now): ...\ndef opening(quote, params): ...\n",
    "own_shape": (
        "import functools\nRATE = 3\nclass Rule: ...\ndef two(position, params): ...\n"
        "async def later(position, params, now): ...\n"
        "def many(position, params, now):\n    yield\n"
    ),
    "own_raises": "import os\npassword = os.environ.get('HOME')\nraise RuntimeError('hunter2')\n",
    "own_quits": "raise SystemExit(0)\n",
    "own_broken": "def decide(position, params, now)\n    return None\n",
    "own_needs": "import a_module_that_nobody_has\n",
    "own_prints": "print('noise')\ndef decide(position, params, now): ...\n",
}


@pytest.fixture(autouse=True)
def modules(tmp_path: Path) -> None:
    """Put the modules beside the configuration."""
    for name, text in MODULES.items():
        (tmp_path / f"{name}.py").write_text(text)


def params_of(load: Load, text: str) -> OwnParams:
    """Return the parameters of the one strategy."""
    (target,) = load(text).policy.targets
    assert isinstance(target.params, OwnParams)
    return target.params


def test_both_spellings_come_to_the_same(load: Load) -> None:
    """The short one is the long one's, with the same fingerprint."""
    long = CONFIG.replace("own_good:decide", "own\n    own: {function: own_good:decide}")

    assert params_of(load, CONFIG) == params_of(load, long)
    assert load(CONFIG).fingerprint == load(long).fingerprint


def test_params_are_exact_and_plain(load: Load) -> None:
    """Numbers as written, words as words, an amount as a price."""
    settings = "{a: 0.1, b: 3, c: yes, d: text, e: '0.5', f: {usd: 4.50}, g: ~, h: 10m}"
    found = params_of(load, CONFIG + f"    own: {{params: {settings}, opening_bid: own_good:opening}}\n")

    assert found.settings == (
        ("a", Decimal("0.1")),
        ("b", 3),
        ("c", True),
        ("d", "text"),
        ("e", "0.5"),
        ("f", Price(Decimal("4.50"), Currency.USD)),
        ("g", None),
        ("h", "10m"),
    )
    assert found.opening_bid is not None


@pytest.mark.parametrize("written", ["1e-6", "5E3", "-2.5e4", ".5e+1"])
def test_a_number_with_an_exponent_is_one(load: Load, written: str) -> None:
    """YAML takes most of these for text; quoted it is text indeed."""
    settings = f"{{a: {written}, b: '{written}'}}"
    found = params_of(load, CONFIG + f"    own: {{params: {settings}}}\n")

    assert found.settings == (("a", Decimal(written)), ("b", written))


def test_the_fingerprint_knows_params_and_code(load: Load) -> None:
    """Whatever steers the decisions of a strategy changes it."""
    plain = load(CONFIG).fingerprint
    other = load(CONFIG + "    own: {params: {a: 1}}\n").fingerprint

    assert plain != other
    assert len(params_of(load, CONFIG).code) == 64


BAD = {
    "own_nowhere:decide": "there is no module own_nowhere (got 'own_nowhere:decide'); install it, or put"
    " own_nowhere.py into ",
    "own_good.sub:decide": "there is no module own_good.sub",
    "own_good:dcide": "the module own_good has no dcide (got 'own_good:dcide'); it has decide, opening",
    "own_shape:RATE": "RATE is no function",
    "own_shape:Rule": "Rule is no function",
    "own_shape:two": "two cannot be called with (position, params, now)",
    "own_shape:later": "later is asynchronous or a generator",
    "own_shape:many": "many is asynchronous or a generator",
    "own_raises:decide": "importing own_raises raised RuntimeError at own_raises.py:3",
    "own_quits:decide": "importing own_quits raised SystemExit at own_quits.py:1",
    "own_broken:decide": "importing own_broken raised SyntaxError at own_broken.py:1",
    "own_needs:decide": "its module own_needs needs the module a_module_that_nobody_has",
    "'own good:decide'": "is not a module and a function",
    "'own_good:'": "is not a module and a function",
}


@pytest.mark.parametrize("named", BAD)
def test_a_function_that_cannot_be_used_is_one_line(errors: Errors, named: str) -> None:
    """Line, key, problem, value and remedy; nothing of what a module says."""
    (error,) = errors(CONFIG.replace("own_good:decide", named))

    assert error.startswith(f"4: strategies[0].strategy: {BAD[named]}")
    assert "; " in error
    assert "hunter2" not in error


@pytest.mark.parametrize(
    ("own", "said"),
    [
        ("{function: own_good:decide}", "own.function: the function is named by strategy already"),
        (
            "{opening_bid: own_good:decide}",
            "own.opening_bid: decide cannot be called with (quote, params)",
        ),
        ("{params: {a: [1, 2]}}", "own.params.a: a list is not handed on"),
        ("{params: {a: {usd: 1, btc: 2}}}", "own.params.a: is not one amount"),
        ("{params: {a: 010}}", "own.params.a: starts with a needless zero"),
        ("{parms: {a: 1}}", "own.parms: unknown key; did you mean 'params'?"),
    ],
)
def test_settings_that_cannot_be_used_are_named(errors: Errors, own: str, said: str) -> None:
    """As anywhere in the file."""
    (error,) = errors(CONFIG + f"    own: {own}\n")

    assert f"8: strategies[0].{said}" in error


def test_own_needs_a_function(errors: Errors) -> None:
    """`strategy: own` alone says nothing."""
    (error,) = errors(CONFIG.replace("own_good:decide", "own"))

    assert "strategies[0].own.function: is required" in error


def test_other_strategies_do_not_take_it(errors: Errors) -> None:
    """The section belongs to one of one's own."""
    (error,) = errors(CONFIG.replace("own_good:decide", "track") + "    own: {params: {a: 1}}\n")

    assert "own: does not belong to strategy: track" in error


def test_what_a_module_prints_stays_out_of_answers(
    load: Load, capsys: pytest.CaptureFixture[str]
) -> None:
    """Standard output is for the command."""
    load(CONFIG.replace("own_good", "own_prints"))

    assert capsys.readouterr().out == ""


def test_changed_code_is_refused_until_a_restart(tmp_path: Path) -> None:
    """A running process keeps what it has imported; nobody should believe otherwise."""
    file = tmp_path / "own_changes.py"
    file.write_text("def decide(position, params, now): ...\n")
    load_function("own_changes:decide", tmp_path)
    file.write_text("def decide(position, params, now): return 1\n")

    with pytest.raises(Unusable, match="has changed") as caught:
        load_function("own_changes:decide", tmp_path)

    assert "restart" in caught.value.remedy


def test_a_file_here_does_not_replace_what_is_installed(tmp_path: Path) -> None:
    """The folder comes last."""
    (tmp_path / "colorsys.py").write_text("raise AssertionError\n")

    with pytest.raises(Unusable, match="colorsys has no decide"):
        load_function("colorsys:decide", tmp_path)
