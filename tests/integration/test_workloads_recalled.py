"""What a restart knows of the workloads: a daemon that is often started anew still finds a dead one."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime, timedelta

import pytest
from probed import DEAD_AFTER, PROBE, REPLACE, cancelled, minutes, pass_time, probing, restarted
from sqlalchemy import Engine, select
from virtual import Day
from workloads import HOST, Workload, workload

from bidder.app.telling import Teller
from bidder.domain.actions import Reason
from bidder.domain.ids import OrderId
from bidder.domain.notices import Event, Notice
from bidder.domain.probe import Probe, State
from bidder.store import tables
from bidder.store.engine import open_engine, transaction
from bidder.store.schema import upgrade

# Shorter than the time after which a silent workload is dead, longer than between two probes.
LIFE = timedelta(seconds=15)
LONG = timedelta(minutes=5)


@pytest.fixture
def engine() -> Iterator[Engine]:
    """Yield a database in memory."""
    made = open_engine("sqlite://")
    upgrade(made)
    yield made
    made.dispose()


async def with_one_apart(
    engine: Engine, probe: Probe, well: Workload, ill: Workload
) -> tuple[Day, OrderId]:
    """Return a day on which everything lives, and an order whose workload is one of its own."""
    day = probing(engine, probe)
    day.exchange.workload = (HOST, well.port)
    await pass_time(day, minutes(1))
    order, server = day.live()[0]["id"], day.live()[0]["server"]
    day.exchange.workloads[server] = (HOST, ill.port)
    await pass_time(day, minutes(0.8))
    return day, OrderId(order)


async def lives(day: Day, engine: Engine, count: int, teller: Teller) -> tuple[Day, list[Notice]]:
    """Let a daemon live for a moment and start another, so often; return the last, and what was told."""
    told: list[Notice] = []
    for _ in range(count):
        day = restarted(day, engine)
        told += await pass_time(day, LIFE, teller)
    return day, told


def dead_since(day: Day, order: OrderId) -> datetime | None:
    """Return since when an order's workload has been silent, as the daemon knows it."""
    return day.app.trader.view.pulses[order].dead_since


async def test_a_daemon_that_restarts_often_finds_a_dead_workload(engine: Engine) -> None:
    """The count goes on over every restart; the owner is told once, and of the return as well."""
    async with workload() as well, workload() as ill:
        day, order = await with_one_apart(engine, PROBE, well, ill)
        await ill.die()
        day, told = await lives(day, engine, 8, Teller())
        (notice,) = told
        assert (notice.event, notice.facts["order"]) == (Event.WORKLOAD_DEAD, order)
        began = dead_since(day, order)
        assert began is not None
        assert notice.at - began >= DEAD_AFTER

        await ill.rise()
        day, told = await lives(day, engine, 2, Teller())
        assert [(each.event, each.facts["order"]) for each in told] == [(Event.WORKLOAD_ALIVE, order)]
    assert cancelled(day) == []


async def test_it_is_replaced_by_a_later_life(engine: Engine) -> None:
    """Not on the word of an earlier one alone: it is knocked at once more before its order goes."""
    async with workload() as well, workload() as ill:
        day, order = await with_one_apart(engine, REPLACE, well, ill)
        await ill.die()
        await pass_time(day, DEAD_AFTER)
        await ill.rise()
        day = restarted(day, engine)
        await pass_time(day, LIFE)
        assert cancelled(day) == []
        assert dead_since(day, order) is None

        await ill.die()
        deeds = []
        for _ in range(6):
            day = restarted(day, engine)
            await pass_time(day, LIFE)
            deeds += cancelled(day)
        assert deeds == [(order, Reason.WORKLOAD_DEAD)]


async def test_after_a_long_silence_of_ours_everything_begins_anew(engine: Engine) -> None:
    """Meanwhile the order may have lost its server and won it back: another workload, another grace."""
    async with workload() as well, workload() as ill:
        day, order = await with_one_apart(engine, PROBE, well, ill)
        await ill.die()
        await pass_time(day, LIFE)
        assert dead_since(day, order) is not None
        day.app.lease.release()
        day.clock.advance(LONG.total_seconds())
        day = restarted(day, engine)
        assert day.app.trader.view.pulses == {}
        await pass_time(day, LIFE)
        assert day.app.trader.view.pulses[order].state(PROBE) is State.STARTING


async def test_what_another_probe_found_is_forgotten(engine: Engine) -> None:
    """The configuration was changed while no daemon ran: as with a reload."""
    async with workload() as well, workload() as ill:
        day, order = await with_one_apart(engine, PROBE, well, ill)
        await ill.die()
        await pass_time(day, LIFE)
        other = replace(PROBE, dead_after=DEAD_AFTER * 2)
        policy = day.app.trader.policy
        targets = tuple(replace(target, probe=other) for target in policy.targets)
        day = restarted(day, engine)
        assert order in day.app.trader.view.pulses
        day = restarted(day, engine, replace(policy, targets=targets))
        assert day.app.trader.view.pulses == {}


async def test_what_does_not_run_any_more_leaves_no_row(engine: Engine) -> None:
    """Rows go with the orders that they are about."""
    async with workload() as well:
        day = probing(engine, PROBE)
        day.exchange.workload = (HOST, well.port)
        await pass_time(day, minutes(1))
        assert stored(engine) == {order["id"] for order in day.live()}
        day = restarted(day, engine, replace(day.app.trader.policy, targets=()))
        await pass_time(day, LIFE)
        assert stored(engine) == set()


def stored(engine: Engine) -> set[int]:
    """Return the orders whose pulses are written down."""
    with transaction(engine, writing=False) as connection:
        return set(connection.execute(select(tables.pulses.c.order_id)).scalars())
