"""Jobs with a deadline in virtual time: the whole daemon on a market that a test scripts."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

from sqlalchemy import Engine

from bidder.app.report import Acted, PassReport
from bidder.app.telling import Teller
from bidder.clock import VirtualClock
from bidder.demo.virtual import build_virtual
from bidder.domain.ids import AccountName
from bidder.domain.money import Currency, Price
from bidder.domain.notices import Notice
from bidder.domain.policy import (
    Ceiling,
    DeadlineParams,
    Launch,
    Mode,
    Pace,
    Policy,
    Requirements,
    Target,
)
from bidder.sim.auction import Order
from bidder.sim.exchange import SimExchange
from bidder.sim.market import Watcher
from bidder.sim.moments import micros, moment
from bidder.sim.referee import Referee
from bidder.sim.rules import Rules
from bidder.sim.targets import targets_from
from bidder.sim.world import Listing, World
from bidder.store.engine import open_engine
from bidder.store.schema import upgrade
from bidder.wiring import App

START = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
USD = str(Currency.USD)
HOUR = timedelta(hours=1)
RESTART = timedelta(minutes=6)
NAME = "job"
_LONGEST_SLEEP = timedelta(seconds=20)
# Books are read now and then only: what these tests are about takes hours, and a virtual hour at one
# read a second takes seconds of the machine's.
_PACE = Pace(
    book_every=timedelta(seconds=40),
    book_stale_after=timedelta(seconds=60),
    orders_every=timedelta(seconds=60),
    marketplace_every=timedelta(seconds=120),
)


def server(number: int = 1, *, floor: str = "1", on_demand: str = "3", gpus: int = 1) -> Listing:
    """Return a server of so many GPUs; prices are in USD per day."""
    return Listing(
        server_id=number,
        owner=4,
        mrl_hours=400,
        on_demand={USD: Decimal(on_demand)},
        floor={USD: Decimal(floor)},
        allowed=(USD,),
        rented=False,
        specs={"gpu": f"{gpus}x NVIDIA GeForce RTX 3090", "ram": 64, "net": {"cc": "DE"}},
        extras={"reliability": Decimal(1)},
    )


def job(hours: float, within: float, **changes: Any) -> Target:
    """Return a target with a job of so many GPU-hours within so many hours of the start."""
    params = DeadlineParams(
        gpu_hours=Decimal(str(hours)),
        by=START + within * HOUR,
        on_demand_ceiling=Ceiling(price=Price.parse("4", Currency.USD)),
        **changes.pop("params", {}),
    )
    target = Target(
        name=NAME,
        want=1,
        ceiling=Ceiling(price=Price.parse("2", Currency.USD)),
        launch=Launch(image="trainer"),
        requirements=Requirements(),
        params=params,
        currencies=(Currency.USD,),
        restart=RESTART,
    )
    return replace(target, **changes)


class Spells(Watcher):
    """When the account's orders ran, by the exchange's own word."""

    def __init__(self) -> None:
        self._open: dict[int, int] = {}
        self._closed: list[tuple[int, int]] = []

    def switched(self, order: Order, at: int) -> None:
        """Take note that an order began or ceased to run."""
        if order.active:
            self._open[order.order_id] = at
        else:
            self._closed.append((self._open.pop(order.order_id), at))

    def spells(self, until: datetime) -> list[tuple[datetime, datetime]]:
        """Return when orders ran before a moment."""
        end = micros(until)
        found = [*self._closed, *((begin, end) for begin in self._open.values())]
        return [(moment(begin), moment(min(over, end))) for begin, over in found if begin < end]


@dataclass(slots=True, kw_only=True)
class Run:
    """One job on one market, from its start on."""

    target: Target
    exchange: SimExchange
    clock: VirtualClock
    engine: Engine
    app: App
    watch: Spells
    referee: Referee
    start: datetime = START
    longest_sleep: timedelta = _LONGEST_SLEEP
    deeds: list[Acted] = field(default_factory=list)
    notices: list[Notice] = field(default_factory=list)
    teller: Teller = field(default_factory=Teller)
    on_deed: Callable[[Acted], object] = lambda _: None

    def run(self, hours: float) -> None:
        """Let hours pass."""

        asyncio.run(self._pass_until(self.clock.now() + hours * HOUR))

    async def _pass_until(self, end: datetime) -> None:
        while self.clock.now() < end:
            report = await self.app.trader.run_pass()
            self._note(report)
            now = self.clock.now()
            wake_at = now + report.sleep
            if report.idle_until is not None:
                # The daemon itself would look every two seconds whether the owner has a command.
                wake_at = max(wake_at, min(report.idle_until, now + self.longest_sleep))
            self.clock.advance(max((wake_at - now).total_seconds(), 0.001))
            self.app.lease.renew(self.clock.now())

    def _note(self, report: PassReport) -> None:
        trader = self.app.trader
        told = self.teller.notices(report, trader.view, trader.policy, unreachable=False)
        self.notices.extend(told)
        if report.acted is not None:
            self.deeds.append(report.acted)
            self.on_deed(report.acted)

    def restart_daemon(self) -> None:
        """Kill the daemon and start it anew on the same database."""
        policy = self.app.trader.policy
        self.app.lease.release()
        self.app = build_virtual(policy, self.exchange, self.engine, self.clock)
        self.teller = Teller()

    def at(self, hours: float, happens: Callable[["Run"], object]) -> None:
        """Have something happen on the market so many hours after the start."""

        def now(_: int) -> None:
            happens(self)

        self.exchange.market.schedule(micros(self.start + hours * HOUR), now)

    def rival(self, price: str, *, number: int = 1, lasting: float | None = None) -> None:
        """Have a stranger bid now, for so many hours."""
        market = self.exchange.market
        order = market.admit(market.stalls[number], currency=USD, price=Decimal(price))
        market.settle(market.stalls[number])
        if lasting is not None:
            until = market.at + micros(START + lasting * HOUR) - micros(START)
            market.schedule(until, lambda _: market.end(order, "left"))

    def orders(self, *, spot: bool) -> list[Order]:
        """Return the account's orders of one kind, as they really are."""
        return [order for order in self.exchange.market.own.values() if order.spot is spot]

    def live(self) -> list[Order]:
        """Return the orders that cost money or may come to."""
        return list(self.exchange.market.live.values())

    def fouls(self) -> int:
        """Return how often a rule of the exchange or of the owner was broken, by the referee."""
        return sum(self.referee.fouls().values())

    def computed(self, until: datetime) -> timedelta:
        """Return what was really computed by a moment, each start of an order having cost its time."""
        spells = self.watch.spells(until)
        return sum((max(timedelta(0), end - begin - RESTART) for begin, end in spells), timedelta(0))


def begin(
    target: Target,
    *listings: Listing,
    rules: Rules | None = None,
    start: datetime = START,
    balance: str = "1000",
    **changes: Any,
) -> Run:
    """Build a job's beginning on these servers (default: one at 1 USD on spot, 3 on demand).

    The account has a ``balance`` in USD, and no other wallet. ``changes`` are what the policy has
    otherwise than a job's.
    """
    world = World(listings=listings or (server(),), balances={USD: Decimal(balance)})
    exchange = SimExchange(world, rules, start=start, rivals=False)
    policy = Policy(account=AccountName("main"), mode=Mode.LIVE, targets=(target,), pace=_PACE)
    policy = replace(policy, **changes)
    engine = open_engine("sqlite://")
    upgrade(engine)
    clock = VirtualClock(start)
    app = build_virtual(policy, exchange, engine, clock)
    watch = Spells()
    exchange.market.watchers.append(watch)
    referee = Referee(exchange, targets_from([_wishes(each) for each in policy.targets]))
    return Run(
        target=target,
        exchange=exchange,
        clock=clock,
        engine=engine,
        app=app,
        watch=watch,
        referee=referee,
        start=start,
    )


def _wishes(target: Target) -> dict[str, Any]:
    """Return the target as the referee takes it."""
    ceilings = {"ceiling": target.ceiling}
    if isinstance(target.params, DeadlineParams):
        ceilings["on_demand_ceiling"] = target.params.on_demand_ceiling
    amounts = {
        key: {"amount": str(each.price.amount), "currency": USD, "per": each.per.value}
        for key, each in ceilings.items()
    }
    return {"name": target.name, "want": target.want, "currencies": [USD], **amounts}
