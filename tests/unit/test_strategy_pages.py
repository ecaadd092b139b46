"""Each strategy has a page: the idea, the formula, when to use it, its parameters, and a picture."""

import re
from dataclasses import fields
from pathlib import Path

import pytest

from bidder.backtest.lineup import LINEUP

PAGES = Path(__file__).parents[2] / "docs" / "strategies"
SETTINGS = Path(__file__).parents[2] / "docs" / "configuration.md"
STRATEGIES = sorted({*LINEUP, "deadline"} - {"nicehash_literal"})  # which shares the page of `nicehash`


@pytest.mark.parametrize("name", STRATEGIES)
def test_a_page_says_what_its_reader_needs(name: str) -> None:
    page = (PAGES / f"{name}.md").read_text(encoding="utf-8")
    assert page.startswith(f"# `{name}`")
    for part in ("**Idea.**", "**Formula.**", "**When.**"):
        assert part in page
    assert re.search(rf"!\[[^]]+\]\({name}\.svg\)", page)
    if name != "deadline":  # what else it takes stands with `track` and `adaptive`
        assert _settings(name) == set(re.findall(rf"\| `{name}\.(\w+)` \|", page))


@pytest.mark.parametrize("name", sorted(set(LINEUP) - {"nicehash_literal"}))
def test_a_page_says_which_settings_a_backtest_has_otherwise(name: str) -> None:
    """By its name a strategy is not played on a trace as the daemon would play it."""
    played = LINEUP[name]()
    otherwise = {each.name for each in fields(played) if getattr(played, each.name) != each.default}
    page = (PAGES / f"{name}.md").read_text(encoding="utf-8")
    told = page.partition("**On a trace**")[2].partition("\n\n")[0]
    assert otherwise <= set(re.findall(r"`(\w+)`", told))


def _settings(name: str) -> set[str]:
    listed = SETTINGS.read_text(encoding="utf-8")
    return set(re.findall(rf"\| `strategies\[\]\.{name}\.(\w+)` \|", listed))


def test_the_settings_are_listed_by_their_names() -> None:
    """Or the comparison above would compare nothing with nothing."""
    assert "factor" in _settings("track_recreate")
    assert "war_pause" in _settings("track")


@pytest.mark.parametrize("page", sorted(PAGES.glob("*.md")), ids=lambda page: page.stem)
def test_what_a_page_refers_to_is_there(page: Path) -> None:
    for link in re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", page.read_text(encoding="utf-8")):
        assert (page.parent / link).exists(), link
