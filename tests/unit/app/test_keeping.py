"""The lease is looked after before whoever slept through a heartbeat may trade again."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import Engine

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
