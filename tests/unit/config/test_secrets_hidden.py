"""Whatever happens, a secret stands in no message, and nothing but settings or errors comes out."""

import string
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bidder.config import KEYS, Settings, load_settings
from bidder.config.confidential import survey
from bidder.config.settings import normalised
from bidder.errors import BadInput

CANARY = "c4naryS3cret"
Load = Callable[..., Settings]
SLOW = settings(
    max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)

SECRET_PLACES = {
    "ssh_password": f"ssh_password: {CANARY}",
    "jupyter_token": f"jupyter_token: {CANARY}",
    "ssh_key": f"ssh_key: {CANARY}",
    "command": f"command: {CANARY}",
    "env": f"env: {{A: {CANARY}}}",
}
TEXT = """
account: {allow_inline_token: true, token: c4naryS3cret}
database: postgresql://me:c4naryS3cret@host/db
strategies:
  - name: one
    ceiling: {usd: 3.50}
    launch: {image: x, LAUNCH}
"""


@pytest.mark.parametrize("place", SECRET_PLACES)
def test_good_settings_hide_secrets(load: Load, place: str) -> None:
    """Neither repr, warnings nor what the fingerprint is made of holds a secret."""
    found = load(TEXT.replace("LAUNCH", SECRET_PLACES[place]))

    shown = repr(found) + str(found) + "".join(found.warnings)
    shown += normalised(found.policy, found.exchange_url)
    assert CANARY not in shown
    assert CANARY in found.secret_values


@pytest.mark.parametrize(
    ("variable", "secret"),
    [
        ("LOG_LEVEL: warning", False),
        ("LOG_LEVEL: WARNING", False),
        ("MODE: paper", False),
        ("PORT: 8888", False),
        ("POOL: training", False),  # the strategy's own name, which is shown
        ("OWNER: swordfish", True),  # a word, but it may be a password
        ("WORKER: 4815162342", True),
        ("X: hf_c4naryS3cret", True),
        ("DB_PASSWORD: warning", True),
        ("api-key: paper", True),
        ("TOKEN: '8888'", True),
        ("POOL_SECRET: training", True),
    ],
)
def test_words_that_say_nothing_are_no_secrets(load: Load, variable: str, secret: bool) -> None:
    """A level or a port in the environment does not black out the log, unless its name says secret."""
    launch = f"launch: {{image: x, env: {{{variable}}}}}"
    found = load(f"strategies: [{{name: training, ceiling: {{usd: 3}}, {launch}}}]")

    value = variable.partition(": ")[2].strip("'")
    assert (value in found.secret_values) is secret
    assert (value in survey(found.path, {}).secrets) is secret
    assert value not in (survey(found.path, {}).shown or "").replace("name: training", "")


BROKEN = {
    "another error": "mode: nothing",
    "broken YAML after it": "a: [",
    "broken YAML in it": f"a: *{CANARY}",
    "a quote that is not closed": f'a: "{CANARY}',
    "a tag": f"a: !{CANARY} x",
    "a misspelt key": f"tokne: {CANARY}",
    "a token for a variable": f"account: {{token_env: {CANARY}}}",
    "a token for a file": f"account: {{token_file: {CANARY}}}",
    "a token without leave": f"account: {{token: {CANARY}}}",
    "a token in the URL": f"exchange: {{url: 'https://u:{CANARY}@x/'}}",
    "a token at the end of a URL": f"exchange: {{url: 'https://x/?token={CANARY}'}}",
    "a password in an odd URL": f"database: mysql://u:{CANARY}@x/y",
    "a secret with a line break": f'launch: {{ssh_password: "{CANARY}\\n&"}}',
    "a secret as a list": f"launch: {{ssh_password: [{CANARY}]}}",
    "a secret as keys": f"launch: {{ssh_password: {{value: {CANARY}}}}}",
    "a secret as a name": f"launch: {{ssh_password: {{env: {CANARY}}}}}",
    "a secret as a path": f"launch: {{ssh_password: {{file: {CANARY}}}}}",
    "too long a secret": f"launch: {{ssh_password: {CANARY * 20}}}",
    "a broken env": f"launch: {{env: {{A: '{CANARY}&'}}}}",
    "env as a word": f"launch: {{env: {CANARY}}}",
    "env as a list": f"launch: {{env: [{CANARY}=1]}}",
    "a percent line": f"%{CANARY} x",
}


@pytest.mark.parametrize("case", BROKEN)
def test_errors_hide_secrets(load: Load, case: str) -> None:
    """The message about a bad file names the place, never the secret."""
    text = (
        f"{BROKEN[case]}\nstrategies:\n  - name: one\n    ceiling: {{usd: 3}}\n    servers: {{gpu: A}}\n"
    )
    try:
        found = load(text + "    launch: {image: x}\n", CLORE_TOKEN=f"{CANARY} x")
    except BadInput as exc:
        shown = f"{exc!r} {exc} {getattr(exc, 'errors', '')}"
    else:
        shown = repr(found)
    assert CANARY not in shown


def _attempt(raw: bytes, folder: Path) -> None:
    path = folder / "fuzz.yaml"
    path.write_bytes(raw)
    try:
        load_settings(path, {"CLORE_TOKEN": CANARY}, docker_secrets=folder)
    except BadInput as exc:
        said = str(exc)
    else:
        return
    assert said
    assert CANARY not in said
    assert all(line.isprintable() for line in said.split("\n"))


@SLOW
@given(raw=st.binary(max_size=300))
def test_any_bytes(tmp_path: Path, raw: bytes) -> None:
    """Arbitrary bytes end in settings or in bad input."""
    _attempt(raw, tmp_path)


@SLOW
@given(text=st.text(alphabet="abk:-[]{}&*!|>%@`'\"#,?\\ \n\t01.~<=", max_size=80))
def test_any_yaml_like_text(tmp_path: Path, text: str) -> None:
    """Arbitrary punctuation ends in settings or in bad input."""
    _attempt(text.encode(), tmp_path)


_NAMES = sorted({part for key in KEYS for part in key.path.replace("[]", "").split(".")})
_scalars = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(),
    st.text(max_size=12),
    st.sampled_from(
        ["10%", "3d", "live", "BTC", "RTX 3090", "1e-9", "-0", "22/tcp", "sqlite://", "0x1F"]
    ),
    st.dates(),
    st.binary(max_size=4),
)
_keys = st.one_of(st.sampled_from([*_NAMES, "usd", "btc", "<<"]), st.text(string.printable, max_size=5))
_trees = st.recursive(
    _scalars,
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(_keys, inner, max_size=5)),
    max_leaves=25,
)


@SLOW
@given(tree=st.dictionaries(_keys, _trees, max_size=6))
def test_any_structure(tmp_path: Path, tree: dict[str, object]) -> None:
    """Arbitrary structures of known and unknown keys end in settings or in bad input."""
    _attempt(yaml.dump(tree, allow_unicode=True).encode("utf-8", "surrogatepass"), tmp_path)


@SLOW
@given(
    entry=st.fixed_dictionaries(
        {"name": st.just("a"), "ceiling": st.just({"usd": 3}), "launch": st.just({"image": "x"})},
        optional={
            key.path.removeprefix("strategies[]."): _trees
            for key in KEYS
            if key.path.startswith("strategies[].")
            and key.path.count(".") == 1
            and key.path.split(".")[1] not in {"name", "ceiling", "launch"}
        },
    )
)
def test_any_strategy(tmp_path: Path, entry: dict[str, object]) -> None:
    """Arbitrary values of a strategy's keys end in settings or in bad input."""
    _attempt(yaml.dump({"strategies": [entry]}).encode("utf-8", "surrogatepass"), tmp_path)


_GOOD = (Path(__file__).parents[3] / "config.example.yaml").read_bytes()


@SLOW
@given(data=st.data())
def test_any_damage_to_the_example(tmp_path: Path, data: st.DataObject) -> None:
    """The example with a piece cut out or put in ends in settings or in bad input."""
    start = data.draw(st.integers(0, len(_GOOD)))
    length = data.draw(st.integers(0, 60))
    piece = data.draw(
        st.one_of(st.binary(max_size=6), st.sampled_from([b"  ", b"\n", b"- ", b": ", b"{"]))
    )
    _attempt(_GOOD[:start] + piece + _GOOD[start + length :], tmp_path)
