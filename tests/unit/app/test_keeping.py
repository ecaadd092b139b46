"""The lease is looked after before whoever slept through a heartbeat may trade again."""

import sqlite3
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
import structlog
from sqlalchemy import Engine, event
from sqlalchemy.exc import OperationalError

from bidder.app.keeping import Keeper
from bidder.chaos.clock import MachineClock
from bidder.domain.ids import AccountName
from bidder.errors import LeaseLost
from bidder.store.engine import open_engine
from bidder.store.lease import Holder, Lease
from bidder.store.schema import upgrade

START = datetime(2026, 1, 5, tzinfo=UTC)


def taken(engine: Engine, clock: MachineClock, name: str) -> Lease:
    """Return a lease that the machine ``name`` has just taken."""
    here = replace(Holder.here(), host=name, boot=name, pid=1)
    lease = Lease(engine, AccountName("main"), holder=here)
    lease.acquire(clock.now())
    return lease


@pytest.mark.parametrize("asleep", ["suspended", "starved"])
def test_who_wakes_without_its_lease_learns_it_before_the_pass(asleep: str) -> None:
    """Whether the monotonic clock stood still meanwhile or not."""
    engine = open_engine("sqlite://")
    upgrade(engine)
    clock = MachineClock(START)
    keeper = Keeper(lease=taken(engine, clock, "first"), clock=clock)
    keeper.before_pass()
    if asleep == "suspended":
        clock.suspend(31)
    else:
        clock.advance(31)
    taken(engine, clock, "second")
    with pytest.raises(LeaseLost):
        keeper.before_pass()
    engine.dispose()


def test_a_calendar_that_was_set_is_reason_enough_to_look() -> None:
    """Set back, it would say for an hour that the last heartbeat is still to come."""
    engine = open_engine("sqlite://")
    upgrade(engine)
    clock = MachineClock(START)
    lease = taken(engine, clock, "first")
    keeper = Keeper(lease=lease, clock=clock)
    lease.release()
    keeper.before_pass()
    clock.shift_wall(timedelta(hours=-1))
    with pytest.raises(LeaseLost):
        keeper.before_pass()
    engine.dispose()


def test_a_database_that_fails_every_other_time_for_hours_writes_few_lines() -> None:
    """One trouble, said ever less often, and over when it has stayed away for a while."""
    engine = open_engine("sqlite://")
    upgrade(engine)
    clock, failing = MachineClock(START), [False]
    keeper = Keeper(lease=taken(engine, clock, "first"), clock=clock)

    def commits(_connection: object) -> None:
        if failing[0]:
            raise OperationalError("", {}, sqlite3.OperationalError("disk I/O error"))

    event.listen(engine, "commit", commits)
    beats = 6 * 60 * 3
    with structlog.testing.capture_logs() as during:
        for beat in range(beats):
            failing[0] = beat % 2 == 0
            keeper.heartbeat()
            clock.advance(10)
    failing[0] = False
    with structlog.testing.capture_logs() as after:
        for _ in range(62):
            keeper.heartbeat()
            clock.advance(10)
    assert {line["event"] for line in during} == {"lease.renewal_failed"}
    assert 3 <= len(during) < 15
    (recovered,) = after
    assert (recovered["event"], recovered["failures"]) == ("lease.renewal_recovered", beats // 2)
    engine.dispose()


def test_a_lease_that_cannot_be_renewed_in_time_is_lost_however_little_is_said() -> None:
    """Saying less must never mean doing less."""
    engine = open_engine("sqlite://")
    upgrade(engine)
    clock = MachineClock(START)
    keeper = Keeper(lease=taken(engine, clock, "first"), clock=clock)

    def commits(_connection: object) -> None:
        raise OperationalError("", {}, sqlite3.OperationalError("disk I/O error"))

    event.listen(engine, "commit", commits)
    for _ in range(3):
        clock.advance(10)
        keeper.heartbeat()
    clock.advance(10)
    with pytest.raises(LeaseLost):
        keeper.heartbeat()
    engine.dispose()
