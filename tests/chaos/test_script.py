"""A script of faults as a file: what is taken, and what is said of what is not."""

from pathlib import Path

import pytest

from bidder.chaos.invariants import INVARIANTS
from bidder.chaos.kinds import KINDS, Script, Scripted, load_script
from bidder.errors import BadInput


def written(folder: Path, content: str) -> Path:
    """Return a file with this content."""
    file = folder / "faults.json"
    file.write_text(content, encoding="utf-8")
    return file


def test_a_script_is_read_whole(tmp_path: Path) -> None:
    """What is left out has its usual value."""
    file = written(tmp_path, '[{"kind": "429"}, {"kind": "killed", "at_seconds": 60.5, "times": 2}]')
    assert load_script(file, 1) == (
        Scripted(kind="429"),
        Scripted(kind="killed", at_seconds=60.5, times=2),
    )


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ('[{"kind": "meteor"}]', "[0].kind: 'meteor' is no kind of fault"),
        ('[{"kind": "429"}, {"kind": "429", "times": 0}]', "[1].times must be at least 1, not 0"),
        ('[{"kind": "429", "when": 3}]', "when"),
        ('[{"kind": "500 and code 1", "executed": false}]', "[0].executed: '500 and code 1' is always"),
        ('[{"kind": "html 502", "executed": "no"}]', "executed"),
        ('[{"at_seconds": 3}]', "kind"),
        ('[{"kind": "429"}, {"kind": "stale", "endpoint": "wallets"}]', "[1].endpoint: 'stale' never"),
        ('[{"kind": "stale", "endpoint": "wallets"}]', "one of my_orders, marketplace, spot"),
        ('[{"kind": "429", "endpoint": "my_order"}]', "[0].endpoint: '429' never strikes 'my_order'"),
        ('[{"kind": "killed", "endpoint": "my_orders"}]', "[0].endpoint: 'my_orders' says nothing of"),
        ('[{"kind": "unicode everywhere", "endpoint": "my_*"}]', "strikes no single request; leave it"),
        ('[{"kind": "killed", "at_seconds": 1e300}]', "[0].at_seconds: 1e+300 lies outside the days"),
        ('[{"kind": "killed", "at_seconds": -0.5}]', "from 0 up to 86400, or ask for more --days"),
        ('{"kind": "429"}', "array"),
        ("[", "truncated"),
        ('[{"kind": "\ud800"}]'.encode("utf-8", "surrogatepass").decode("latin-1"), "no kind of fault"),
    ],
)
def test_what_cannot_be_used_is_named(tmp_path: Path, content: str, said: str) -> None:
    """File, place and problem."""
    file = written(tmp_path, content)
    with pytest.raises(BadInput) as caught:
        load_script(file, 1)
    assert str(file) in str(caught.value)
    assert said in str(caught.value)


def test_a_fault_after_the_end_of_a_short_day_is_refused(tmp_path: Path) -> None:
    """The same file is good for a longer one, up to its last moment."""
    file = written(tmp_path, '[{"kind": "killed", "at_seconds": 43200}]')
    with pytest.raises(BadInput, match=r"\[0\].at_seconds: 43200 lies outside"):
        load_script(file, 0.5)
    assert load_script(file, 0.6) == (Scripted(kind="killed", at_seconds=43200),)


def test_a_file_that_is_not_there_is_bad_input(tmp_path: Path) -> None:
    """Not a traceback."""
    with pytest.raises(BadInput, match="cannot be read"):
        load_script(tmp_path / "none.json", 1)


def test_a_fault_strikes_as_often_as_asked_where_it_may() -> None:
    """From its moment on, the endpoints that its pattern names, and no other."""
    script = Script.of((Scripted(kind="429", at_seconds=10, endpoint="my_*", times=2),))
    assert script.for_request("my_orders", 9.9) is None
    assert script.for_request("wallets", 10) is None
    struck = [script.for_request("my_orders", at) for at in (10, 11, 12)]
    assert [fault and fault.kind for fault in struck] == ["429", "429", None]


def test_the_page_names_every_kind_and_every_invariant() -> None:
    """Nobody has to read the program to ask for a fault, or to know what was checked."""
    page = (Path(__file__).parents[2] / "docs" / "chaos.md").read_text(encoding="utf-8")
    assert {kind for kind in KINDS if f"`{kind}`" not in page} == set()
    assert {name for name in INVARIANTS if f"| `{name}` |" not in page} == set()


@pytest.mark.parametrize("text", ["{}", "[{", '[{"kind": "killed", "nth": 1}]', '[{"times": 1}]'])
def test_a_script_that_cannot_be_read_is_answered_with_one_that_can(text: str, tmp_path: Path) -> None:
    """File, problem and an example."""
    file = tmp_path / "faults.json"
    file.write_text(text)
    with pytest.raises(BadInput) as caught:
        load_script(file, 1.0)
    assert str(caught.value).startswith(f"{file}: ")
    assert '[{"kind": "delivered twice"' in str(caught.value)
