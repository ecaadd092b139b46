"""Days in virtual time on which every order's workload is probed, at places that a test may silence."""

from dataclasses import replace
from datetime import timedelta

from sqlalchemy import Engine
from virtual import Day, begin
from workloads import LOOPBACK

from bidder.app.telling import Teller
from bidder.demo.virtual import build_virtual
from bidder.domain.actions import Reason, Withdraw
from bidder.domain.ids import AccountName, OrderId
from bidder.domain.notices import Notice
from bidder.domain.policy import Pace, Policy
from bidder.domain.probe import Probe, Then

ACCOUNT = AccountName("demo")
DEAD_AFTER = timedelta(seconds=40)
PROBE = Probe(
    port="22",
    every=timedelta(seconds=10),
    timeout=timedelta(seconds=1),
    dead_after=DEAD_AFTER,
    grace=timedelta(seconds=30),
    allow_networks=LOOPBACK,
)
REPLACE = replace(PROBE, then=Then.REPLACE)


def probing(engine: Engine, probe: Probe | None) -> Day:
    """Return a day without rivals on which every target's workload is probed; five are wanted."""

    def shape(policy: Policy) -> Policy:
        targets = tuple(replace(target, probe=probe) for target in policy.targets)
        # Nothing happens in the books here, so they are read at leisure.
        return replace(policy, targets=targets, pace=Pace(book_every=minutes(0.5)))

    return begin(engine=engine, rivals=False, shape=shape)


async def pass_time(day: Day, span: timedelta, teller: Teller | None = None) -> list[Notice]:
    """Let time pass with its probes made as they fall due; return what the owner is told."""
    told: list[Notice] = []
    trader, end = day.app.trader, day.clock.monotonic() + span.total_seconds()
    while day.clock.monotonic() < end:
        await day.app.prober.look()
        report = await trader.run_pass()
        day.reports.append(report)
        if report.acted is not None:
            day.deeds.append(report.acted)
        if teller is not None:
            told += teller.notices(report, trader.view, trader.policy, unreachable=False)
        day.clock.advance(max(report.sleep.total_seconds(), 0.001))
        day.app.lease.renew(day.app.lease_clock.now())
    return told


def minutes(count: float) -> timedelta:
    """Return so many minutes."""
    return timedelta(minutes=count)


def cancelled(day: Day) -> list[tuple[OrderId, Reason]]:
    """Return the orders that the daemon cancelled, and why."""
    return [
        (deed.action.order, deed.decision.reason)
        for deed in day.deeds
        if isinstance(deed.action, Withdraw)
    ]


def restarted(day: Day, engine: Engine, policy: Policy | None = None) -> Day:
    """Return the day with another daemon on the same database, which has done nothing yet."""
    day.app.lease.release()
    app = build_virtual(policy or day.app.trader.policy, day.exchange, engine, day.clock)
    return Day(
        exchange=day.exchange,
        referee=day.referee,
        clock=day.clock,
        app=app,
        policy=app.trader.policy,
        market=day.market,
        deeds=[],
        reports=[],
    )
