"""The database fails at the worst moments: view and disk stay in step, and nothing is sent twice."""

import sqlite3
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta

import pytest
from probed import PROBE, minutes, pass_time, probing
from sqlalchemy import Connection, Engine, event
from sqlalchemy.exc import OperationalError
from virtual import Day, begin, wanting
from workloads import HOST, workload

from bidder.app.report import Result
from bidder.domain import price_rules
from bidder.domain.actions import PlaceBid, Reason
from bidder.domain.ids import AccountName
from bidder.domain.money import Price
from bidder.domain.policy import Policy
from bidder.domain.probe import Outcome, Sign
from bidder.errors import StoreFailed
from bidder.sim.answers import Request
from bidder.store.engine import WRITING, open_engine
from bidder.store.queries import Queries
from bidder.store.schema import upgrade


class Disk:
    """Lets commits fail while it is full."""

    def __init__(self, engine: Engine) -> None:
        """Watch an engine; there is room at first."""
        self.full = False
        event.listen(engine, "commit", self._commits)

    def _commits(self, _connection: object) -> None:
        if self.full:
            raise OperationalError("", {}, sqlite3.OperationalError("database or disk is full"))


class Line:
    """Loses the answer to one commit that has been carried out, as a server's connection may."""

    def __init__(self, engine: Engine) -> None:
        """Watch an engine; every answer comes at first."""
        self.lose_in = 0
        event.listen(engine, "commit", self._commits)

    def _commits(self, connection: Connection) -> None:
        self.lose_in -= connection.get_execution_options().get(WRITING, False)
        if self.lose_in == 0 and connection.get_execution_options().get(WRITING, False):
            connection.connection.commit()
            raise OperationalError("", {}, sqlite3.OperationalError("disk I/O error"))


@pytest.fixture
def engine() -> Iterator[Engine]:
    """Yield a database in memory."""
    made = open_engine("sqlite://")
    upgrade(made)
    yield made
    made.dispose()


async def passes(day: Day, seconds: float) -> int:
    """Run passes as the daemon does, a database that fails included; return how many failed."""
    failed = 0
    end = day.clock.monotonic() + seconds
    while day.clock.monotonic() < end:
        try:
            report = await day.app.trader.run_pass()
        except StoreFailed:
            failed += 1
            day.clock.advance(1)
            continue
        if report.acted is not None:
            day.deeds.append(report.acted)
        day.clock.advance(max(report.sleep.total_seconds(), 0.001))
    return failed


async def test_nothing_is_sent_while_nothing_can_be_written_down(engine: Engine) -> None:
    """No intent on disk, no request; afterwards it goes on by itself."""
    day = begin(engine=engine, rivals=False)
    disk = Disk(engine)
    disk.full = True
    assert await passes(day, 60) > 10
    assert day.live() == []
    disk.full = False
    await passes(day, 120)
    assert len(day.live()) == 5
    assert day.referee.report(day.clock.now())["double_orders"] == 0


@pytest.mark.parametrize("after", range(1, 9))
async def test_a_disk_that_fills_at_any_commit_costs_no_order(engine: Engine, after: int) -> None:
    """Whichever commit of a bid is the first to fail: the order is found, and no second one made."""
    day = begin(engine=engine, rivals=False)
    disk = Disk(engine)
    left = [0]

    def count(_connection: object) -> None:
        left[0] -= 1
        disk.full = left[0] <= 0

    await passes(day, 2)
    left[0] = after
    event.listen(engine, "commit", count, insert=True)
    await passes(day, 20)
    event.remove(engine, "commit", count)
    disk.full = False
    await passes(day, 400)
    report = day.referee.report(day.clock.now())
    assert report["double_orders"] == 0
    known = {r.holding.order.order for r in Queries(engine, AccountName("demo")).orders()}
    assert {order["id"] for order in day.live()} <= known
    assert len(day.live()) == 5
    assert Queries(engine, AccountName("demo")).open_intents() == ()


@pytest.mark.parametrize("after", range(1, 13))
async def test_a_commit_that_is_kept_though_it_was_called_failed_stops_nothing(
    engine: Engine, after: int
) -> None:
    """What is on disk is taken up again: no intent is open here and closed there, or the reverse."""
    day = begin(engine=engine, rivals=False)
    line = Line(engine)
    await passes(day, 2)
    line.lose_in = after
    assert await passes(day, 400) <= 1
    assert line.lose_in <= 0
    report = day.referee.report(day.clock.now())
    assert report["double_orders"] == 0
    known = {r.holding.order.order for r in Queries(engine, AccountName("demo")).orders()}
    assert {order["id"] for order in day.live()} <= known
    assert len(day.live()) == 5
    assert Queries(engine, AccountName("demo")).open_intents() == ()


async def test_what_probes_find_while_the_database_fails_stops_nothing(engine: Engine) -> None:
    """What is read again knows of no order whether it runs: signs from before are left out."""
    day, disk = probing(engine, PROBE), Disk(engine)
    trader = day.app.trader
    async with workload() as there:
        day.exchange.workload = (HOST, there.port)
        await pass_time(day, minutes(1))
        assert trader.view.pulses
        disk.full = True
        while not await passes(day, 0.1):
            pass
        trader.signs += (
            Sign(order=order, at=day.clock.now(), outcome=Outcome.SILENT) for order in trader.view.pulses
        )
        disk.full = False
        assert await passes(day, 5) == 0


async def test_a_database_that_fails_every_few_seconds_does_not_keep_prices_up(engine: Engine) -> None:
    """Nor does an outage of minutes: the clocks are as they were, and orders are placed at once."""
    day = begin(engine=engine, rivals=False)
    disk = Disk(engine)
    await passes(day, 60)
    trader = day.app.trader
    known = {order: held.clock for order, held in trader.view.holdings.items()}
    disk.full = True
    assert await passes(day, 150) > 10
    disk.full = False
    await passes(day, 1)
    assert {order: held.clock for order, held in trader.view.holdings.items()} == known
    assert trader.view.recalled_at is None


async def test_an_accepted_bid_whose_answer_cannot_be_kept_is_in_doubt(engine: Engine) -> None:
    """It is sent once; our orders tell what became of it."""
    day = begin(engine=engine, rivals=False)
    disk = Disk(engine)
    trader = day.app.trader
    while not any(isinstance(d.action, PlaceBid) for d in trader.decisions):
        await passes(day, 0.5)
    # The intent's own commit passes, the next one does not.
    commits = [0]

    def count(_connection: object) -> None:
        commits[0] += 1
        disk.full = commits[0] > 1

    event.listen(engine, "commit", count, insert=True)
    while not trader.view.intents:
        try:
            report = await trader.run_pass()
            day.clock.advance(max(report.sleep.total_seconds(), 0.001))
        except StoreFailed:
            break
    event.remove(engine, "commit", count)
    disk.full = False
    assert len(trader.view.intents) == 1
    await passes(day, 30)
    assert day.referee.report(day.clock.now())["double_orders"] == 0
    assert all(deed.result is not Result.REFUSED for deed in day.deeds)


async def test_a_second_order_on_a_server_is_frozen_and_told(engine: Engine) -> None:
    """A request that the wire delivers twice makes two orders: neither is touched, the owner hears."""
    day = begin(engine=engine, rivals=False)
    await passes(day, 60)
    ours = day.live()[0]
    body = (
        f'{{"currency":"{ours["currency"]}","image":"a","renting_server":{ours["server"]},'
        f'"type":"spot","spotprice":{ours["price"]}}}'
    ).encode()
    headers = {"auth": day.exchange.token}
    call = Request(method="POST", path="/v1/create_order", headers=headers, body=body)
    day.exchange.repeat(call)
    assert len(day.live()) == 6
    await passes(day, 120)
    trader = day.app.trader
    frozen = [d for d in trader.decisions if d.reason is Reason.FROZEN]
    assert [d.order for d in frozen] == [ours["id"]]
    (other,) = (o["id"] for o in day.live() if o["server"] == ours["server"] and o["id"] != ours["id"])
    assert frozen[0].facts["other_order"] == other
    told = [key for key in trader.watch.told if ":frozen" in key]
    assert told, "a person must hear of it"
    assert day.referee.report(day.clock.now())["double_orders"] == 0


async def test_an_alarm_that_a_full_disk_kept_back_is_told_afterwards(engine: Engine) -> None:
    """It comes due while nothing can be written: no report was made of it, so it is told by the next."""
    day = begin(engine=engine, rivals=False, shape=unaffordable)
    disk, told = Disk(engine), list[str]()
    await passes(day, 590)
    disk.full = True
    assert await passes(day, 60) > 10
    disk.full = False
    for _ in range(20):
        report = await day.app.trader.run_pass()
        told += report.alarms
        day.clock.advance(max(report.sleep.total_seconds(), 0.001))
    assert len([text for text in told if "no_candidate" in text]) == 1


def unaffordable(policy: Policy) -> Policy:
    """Return the policy with a first target whose ceiling no server can meet."""
    first = policy.targets[0]
    low = replace(first.ceiling, price=Price.parse("0.0001", first.ceiling.price.currency))
    return wanting(policy, first.name, ceiling=low)


async def test_after_a_jump_of_the_calendar_each_clock_counts_as_started_just_now(
    engine: Engine,
) -> None:
    """What is known is dated by another clock: trading begins anew from what is on disk."""
    day = begin(engine=engine, rivals=False)
    await passes(day, 1200)
    held = set(day.app.trader.view.holdings)
    assert held
    day.clock.shift_wall(timedelta(hours=1))
    now = day.clock.now()
    await day.app.trader.run_pass()
    view = day.app.trader.view
    assert set(view.holdings) == held
    opens = {price_rules.next_lowering_at(h.clock, view.rules) for h in view.holdings.values()}
    assert all(at is not None and at >= now + price_rules.LOWERING_PAUSE for at in opens)
    assert view.recalled_at == now, "and our orders are read for a while before any is added"
