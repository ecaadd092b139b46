"""A day's timeline: sentences, and what repeats itself only counted."""

import re
from datetime import datetime, timedelta

from builders import NOW

from bidder.chaos.day import ChaosDay
from bidder.chaos.kinds import Scripted
from bidder.chaos.timeline import Timeline


class _Told:
    """A timeline whose lines are kept, and whose time is set by hand."""

    def __init__(self) -> None:
        self.now = NOW
        self.lines: list[str] = []
        self.timeline = Timeline(self._keep, self._time)

    def _keep(self, line: str) -> None:
        self.lines.append(line.partition("  ")[2])

    def _time(self) -> datetime:
        return self.now

    def say(self, *what: str, every: float = 1.0) -> None:
        for each in what:
            self.now += timedelta(seconds=every)
            self.timeline.say(each)


def test_what_repeats_itself_is_counted() -> None:
    """Told once, and how often it was true again once something else happens."""
    told = _Told()
    told.say("it waits", "it waits", "it waits", "it goes on")
    assert told.lines == ["it waits", "it waits  (2 more until then)", "it goes on"]


def test_lines_that_take_turns_are_folded_too() -> None:
    """Two causes that alternate are two lines, not twenty."""
    told = _Told()
    told.say(*("one", "two") * 10)
    told.timeline.fold()
    assert told.lines == ["one", "two", "one  (9 more until then)", "two  (9 more until then)"]


def test_what_comes_again_later_is_news() -> None:
    """A second death is a death."""
    told = _Told()
    told.say("killed", "killed", every=600)
    assert told.lines == ["killed", "killed"]


def test_a_violation_is_always_told() -> None:
    """However often it is the same one."""
    told = _Told()
    told.say("VIOLATED pace: again", "VIOLATED pace: again")
    assert told.lines == ["VIOLATED pace: again"] * 2


def test_a_day_is_told_in_sentences() -> None:
    """What was sent and why, as `bidder explain` says it, and once that the database was locked."""
    lines: list[str] = []
    trouble = (Scripted(kind="database locked", at_seconds=300),)
    ChaosDay(3, 0.01, script=trouble, tell=lines.append).run()
    placed = re.compile(r"server was missing.*: a bid of .* per day was placed\.$")
    assert any(placed.search(line) for line in lines)
    assert not any("Price(" in line or "Decimal(" in line for line in lines)
    assert 0 < sum("another process holds the database" in line for line in lines) <= 3
