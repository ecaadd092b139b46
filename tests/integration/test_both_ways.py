"""A backtest decides as the daemon does: the same day, played both ways.

The whole daemon (client, store, executor, agenda) bids for one server of the simulated exchange, on
which somebody else's bids follow a given course whatever we do; then the decision core alone plays
that course as a trace.
"""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from decimal import Decimal
from functools import partial
from itertools import pairwise
from random import Random

import pytest

from bidder.app.report import PassReport, Result
from bidder.backtest import lineup, runner
from bidder.backtest.terms import Terms
from bidder.clock import VirtualClock
from bidder.demo.virtual import build_virtual, run_for
from bidder.domain.actions import PlaceBid, Reprice
from bidder.domain.ids import AccountName, ServerId
from bidder.domain.money import Currency, Price
from bidder.domain.policy import (
    Ceiling,
    Launch,
    Mode,
    Pace,
    Policy,
    Rails,
    Requirements,
    StrategyParams,
    Target,
)
from bidder.sim.auction import Order
from bidder.sim.exchange import SimExchange
from bidder.sim.generate import generate
from bidder.sim.market import Watcher
from bidder.sim.moments import micros, moment
from bidder.sim.rules import Fixed, Rules
from bidder.sim.server import DEFAULT_START
from bidder.store.engine import open_engine
from bidder.store.schema import upgrade

HOURS = 3
# Bitcoin per hour, in hundred-millionths: whole numbers of them are whole quanta per day.
UNIT = Decimal("1e-8")
FLOOR, VALUE, STEP = 300, 900, 10
TERMS = Terms(
    value=VALUE * UNIT,
    step=STEP * UNIT,
    tick=UNIT,
    creation_fee=Decimal("1e-7"),
    creation_starts_clock=True,
)
LOOKS = timedelta(seconds=20)
# A look at the book, the requests that wait their second before ours, and the first lowering's
# refusals, from which the daemon learns what the core is told: clock and step.
REACTION = LOOKS + timedelta(seconds=25)

Bid = tuple[datetime, Decimal]


def course(seed: int) -> list[Decimal]:
    """Return somebody's bids per hour, minute by minute: some wandering, some spikes, some too dear."""
    chance = Random(seed)
    minutes: list[Decimal] = []
    level = 340
    while len(minutes) < HOURS * 60:
        level = min(max(level + chance.randint(-25, 25), FLOOR), 450)
        minutes += [level * UNIT] * chance.randint(9, 31)
        if chance.random() < 0.4:
            minutes += [chance.choice((level + 250, VALUE + 80)) * UNIT] * chance.randint(3, 12)
    return minutes[: HOURS * 60]


@dataclass(slots=True)
class Somebody:
    """The one other bidder, whose bid changes by the course and by nothing else."""

    exchange: SimExchange
    server: int
    order: Order | None = None

    def follow(self, minutes: Sequence[Decimal]) -> None:
        """Schedule every change."""
        start = micros(self.exchange.start)
        for number, price in enumerate(minutes):
            if number == 0:
                self._bid(price * 24, start)
            elif price != minutes[number - 1]:
                at = start + number * 60_000_000
                self.exchange.market.schedule(at, partial(self._bid, price * 24))

    def _bid(self, price: Decimal, _: int) -> None:
        market = self.exchange.market
        stall = market.stalls[self.server]
        before, self.order = self.order, market.admit(stall, currency="bitcoin", price=price)
        # The new one stands before the old one goes, so that nobody runs in between.
        if before is not None:
            market.end(before, "left")
        market.settle(stall)


@dataclass(slots=True)
class Runs(Watcher):
    """When our orders ran, by the exchange's own book, and how many there were."""

    creations: int = 0
    since: datetime | None = None
    spans: list[tuple[datetime, datetime]] = field(default_factory=list)

    def created(self, order: Order, at: int) -> None:
        """Take note of an order."""
        self.creations += 1

    def switched(self, order: Order, at: int) -> None:
        """Take note of a beginning or an end."""
        if order.active:
            self.since = moment(at)
        elif self.since is not None:
            self.spans.append((self.since, moment(at)))
            self.since = None


def daemon_day(params: StrategyParams, minutes: Sequence[Decimal]) -> tuple[list[Bid], Runs]:
    """Return what the daemon bid, and when it ran."""
    world = generate(1, 1)
    listing = replace(
        world.listings[0],
        mrl_hours=1440,
        on_demand={"bitcoin": Decimal("0.001")},
        floor={"bitcoin": FLOOR * UNIT * 24},
        allowed=("bitcoin",),
        rented=False,
    )
    rules = Rules(step=Fixed(amounts={"bitcoin": TERMS.step * 24}))
    exchange = SimExchange(replace(world, listings=(listing,)), rules, start=DEFAULT_START, rivals=False)
    Somebody(exchange, listing.server_id).follow(minutes)
    runs = Runs()
    exchange.market.watchers.append(runs)
    engine = open_engine("sqlite://")
    upgrade(engine)
    clock = VirtualClock(exchange.start)
    app = build_virtual(policy(params, listing.server_id), exchange, engine, clock)
    bids: list[Bid] = []

    def note(report: PassReport) -> None:
        acted = report.acted
        if acted is None or acted.result is not Result.OK:
            return
        match acted.action:
            case PlaceBid(price=price) | Reprice(price=price):
                bids.append((report.at, price.amount / 24))

    asyncio.run(run_for(app, clock, timedelta(hours=HOURS), on_pass=note))
    engine.dispose()
    if runs.since is not None:
        runs.spans.append((runs.since, exchange.start + timedelta(hours=HOURS)))
    return bids, runs


def policy(params: StrategyParams, server: int) -> Policy:
    """Return the policy that the runner gives the core, for one server of the exchange."""
    worth = Ceiling(price=Price(TERMS.value * 24, Currency.BTC))
    target = Target(
        name="both",
        want=1,
        ceiling=worth,
        value=worth,
        launch=Launch(image="cloreai/ubuntu20.04-jupyter"),
        requirements=Requirements(servers=frozenset({ServerId(server)})),
        params=params,
        currencies=(Currency.BTC,),
        increment=24,
        restart=timedelta(minutes=6),
    )
    most = 10**9
    return Policy(
        account=AccountName("both"),
        mode=Mode.LIVE,
        targets=(target,),
        rails=Rails(max_creations_per_hour=most, max_creations_per_server_hour=most),
        pace=Pace(book_every=LOOKS, book_stale_after=3 * LOOKS),
    )


def core_day(params: StrategyParams, minutes: Sequence[Decimal]) -> tuple[list[Bid], runner.Run]:
    """Return what the decision core bid on the course as a trace."""
    run = runner.play("both", params, minutes, DEFAULT_START, TERMS, keep_periods=True)
    bids: list[Bid] = []
    for period in run.periods:
        if period.bid is not None and (not bids or period.bid != bids[-1][1]):
            bids.append((period.start, period.bid))
    return bids, run


def gaps(spans: Sequence[tuple[datetime, datetime]]) -> list[tuple[datetime, datetime]]:
    """Return the times between spans that last longer than a reaction takes."""
    between = [(end, begin) for (_, end), (begin, _) in pairwise(spans)]
    return [(end, begin) for end, begin in between if begin - end > REACTION]


@pytest.mark.parametrize("name", ["track", "track_recreate"])
def test_a_backtest_decides_as_the_daemon_does(name: str) -> None:
    """The same bids in the same order, each at most a reaction later; the same interruptions."""
    params = lineup.named((name,))[name]
    minutes = course(1)
    bids, runs = daemon_day(params, minutes)
    expected, run = core_day(params, minutes)
    assert len(expected) > 10
    assert [price for _, price in bids] == [price for _, price in expected]
    late = [ours - core for (ours, _), (core, _) in zip(bids, expected, strict=True)]
    assert max(late) <= REACTION
    assert min(late) >= timedelta(0)
    assert runs.creations == run.creations
    # In a backtest a raise comes at once, so that only what it does not answer interrupts it.
    assert len(gaps(runs.spans)) == run.restarts - run.creations
    held = sum((end - begin for begin, end in runs.spans), timedelta(0))
    lost = run.held_share * timedelta(hours=HOURS) - held
    assert timedelta(0) <= lost <= len(runs.spans) * REACTION
