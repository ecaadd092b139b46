"""The example in ``docs/strategies/own.md`` is taken from the page, configured, checked and tested."""

import re
from pathlib import Path

import pytest

from bidder.cli.main import main
from bidder.domain.strategies import own
from bidder.testing import checks

PAGE = Path(__file__).parents[3] / "docs" / "strategies" / "own.md"


def blocks(language: str) -> list[str]:
    """Return the page's examples in a language."""
    return re.findall(rf"```{language}\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)


def test_the_example_works(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The module is found beside the configuration, and its test passes as it stands."""
    module, test = blocks("python")
    (config,) = blocks("yaml")
    (tmp_path / "half_way.py").write_text(module)
    path = tmp_path / "config.yaml"
    path.write_text(f"database: bidder.db\nrates: {{BTC: 69000, CLORE: 0.11}}\n{config}")
    monkeypatch.syspath_prepend(str(tmp_path))

    assert main(["check", "-c", str(path)]) == 0
    assert sorted(file.name for file in tmp_path.iterdir()) == ["config.yaml", "half_way.py"]
    # The page's own call, with less of everything.
    quick = test.replace("opening_bid=opening_bid)", "opening_bid=opening_bid, examples=25, hours=0.03)")
    assert quick != test
    scope: dict[str, object] = {}
    exec(quick, scope)
    scope["test_half_way"]()  # type: ignore[operator]  # it is a function


def test_the_page_names_every_reason_and_every_invariant() -> None:
    """No more and no fewer."""
    text = PAGE.read_text(encoding="utf-8")
    listed = text.split("Its reason is one of ", 1)[1].split(".", 1)[0]

    assert set(re.findall(r"`([a-z_]+)`", listed)) == {reason.value for reason in own.MAY_SAY}
    named = set(re.findall(r"``([a-z]+)``:", checks.StrategyBroken.__doc__ or ""))
    assert named == set(re.findall(r"^\| `([a-z]+)` \|", text.split("| invariant", 1)[1], re.MULTILINE))
