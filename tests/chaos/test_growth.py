"""Bounds on what is kept, and that what lies around in a day is cleared away."""

from dataclasses import replace
from datetime import timedelta

import pytest
from builders import make_intent

from bidder.chaos.day import ChaosDay
from bidder.chaos.kinds import Scripted
from bidder.domain import fold
from bidder.domain.view import View


def remembering(day: ChaosDay) -> View:
    """Return what is known after a creation every six hours for three days."""
    view, now = View(), day.clock.now()
    for number in range(12):
        at = now + number * timedelta(hours=6)
        view = fold.opened(view, make_intent(id=number, opened_at=at), at)
    return replace(view, intents=())


@pytest.mark.parametrize(("kept", "found"), [(timedelta(hours=24), 0), (timedelta(days=30), 1)])
def test_creations_that_are_never_forgotten_are_found(
    monkeypatch: pytest.MonkeyPatch, kept: timedelta, found: int
) -> None:
    """A daemon that lives for months would count all of them again each time."""
    monkeypatch.setattr("bidder.domain.fold.outcomes._KEPT", kept)
    day = ChaosDay(3, 0.05, script=())
    day.life.start()
    assert day.app is not None
    day.app.trader.view = remembering(day)
    day.growth.remembered()
    day.close()
    assert [invariant for invariant, _, _ in day.outcome.violations] == ["size"] * found


def test_backups_of_more_than_a_day_ago_are_deleted() -> None:
    """One is made every four hours."""
    day = ChaosDay(3, 0.05, script=())
    for _ in range(18):
        day.troubles.strike()
        day.clock.advance(4 * 3600)
    left = len(list(day.file.parent.glob("backup-*.db")))
    day.close()
    assert left == 7


def test_after_a_restore_the_owner_takes_adopt_back() -> None:
    """Once what the backup does not know is taken up, the rest of the day is as configured."""
    told: list[str] = []
    restored = Scripted(kind="database restored", at_seconds=2000)
    day = ChaosDay(3, 0.05, script=(restored,), tell=told.append)
    outcome = day.run()
    assert any("is restored from" in line for line in told)
    assert any("takes `adopt` back" in line for line in told)
    assert day.app is not None
    assert (day.policy.adopt, day.app.trader.policy.adopt) == (False, False)
    assert outcome.violations == []


def test_what_is_in_doubt_when_the_day_ends_is_counted() -> None:
    """Settled or not, each creation whose answer was lost is in the account."""
    day = ChaosDay(3, 0.05, script=())
    day.life.start()
    assert day.app is not None
    trader = day.app.trader
    trader.view = replace(trader.view, intents=(make_intent(),))
    day.watch.at_the_end()
    day.close()
    assert day.outcome.in_doubt["open"] == 1
