"""The whole daemon against the simulated exchange in virtual time, judged by the referee."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import httpx
from sqlalchemy import Engine

from bidder.app.report import Acted, PassReport
from bidder.clock import VirtualClock
from bidder.demo import world
from bidder.demo.virtual import build_virtual, run_for
from bidder.domain.market import Marketplace
from bidder.domain.money import Currency, Rates
from bidder.domain.policy import Policy
from bidder.exchange import wire
from bidder.sim.answers import Request
from bidder.sim.exchange import SimExchange
from bidder.sim.referee import Referee
from bidder.sim.rules import Rules
from bidder.sim.server import build_exchange
from bidder.sim.targets import targets_from
from bidder.store.engine import open_engine
from bidder.store.schema import upgrade
from bidder.wiring import App, build_client

RATES = Rates({Currency.BTC: Decimal(69000), Currency.CLORE: Decimal("0.11")})


@dataclass(slots=True, kw_only=True)
class Day:
    """A daemon, the exchange it trades on, and everything it did."""

    exchange: SimExchange
    referee: Referee
    clock: VirtualClock
    app: App
    policy: Policy
    market: Marketplace
    deeds: list[Acted]
    reports: list[PassReport]

    def run(
        self,
        span: timedelta,
        on_pass: Callable[[PassReport], None] | None = None,
    ) -> dict[str, Any]:
        """Let time pass, and return the referee's account of everything so far."""

        def note(report: PassReport) -> None:
            self.reports.append(report)
            if report.acted is not None:
                self.deeds.append(report.acted)
            if on_pass is not None:
                on_pass(report)

        asyncio.run(run_for(self.app, self.clock, span, on_pass=note))
        return self.referee.report(self.clock.now())

    def live(self) -> list[dict[str, Any]]:
        """Return the account's live orders as the exchange knows them."""
        return [order for order in self.exchange.ground_truth() if order["live"]]


def begin(
    *,
    seed: int = 3,
    rules: Rules | None = None,
    servers: int = 60,
    marketplace: Path | None = None,
    rivals: bool = True,
    shape: Callable[[Policy], Policy] | None = None,
    engine: Engine | None = None,
    one_way_seconds: tuple[float, float] = (0.01, 0.02),
) -> Day:
    """Build a day that has not begun yet; ``shape`` changes the demo's policy."""
    exchange = build_exchange(
        seed=seed, servers=servers, rules=rules, marketplace=marketplace, rivals=rivals
    )
    market = listing_of(seed=seed, rules=rules, servers=servers, marketplace=marketplace)
    clock = VirtualClock(exchange.start)
    policy = world.demo_policy(market, RATES)
    if shape is not None:
        policy = shape(policy)
    referee = Referee(exchange, targets_from(world.for_referee(policy, market)))
    if engine is None:
        engine = open_engine("sqlite://")
        upgrade(engine)
    app = build_virtual(policy, exchange, engine, clock, one_way_seconds=one_way_seconds)
    return Day(
        exchange=exchange,
        referee=referee,
        clock=clock,
        app=app,
        policy=policy,
        market=market,
        deeds=[],
        reports=[],
    )


def unhurried(policy: Policy) -> Policy:
    """Return the policy with books read now and then only, for hours that are about something else."""
    seldom = replace(
        policy.pace, book_every=timedelta(seconds=20), book_stale_after=timedelta(seconds=60)
    )
    return replace(policy, pace=seldom)


def put_between(day: Day, transport: httpx.AsyncBaseTransport) -> None:
    """Let the daemon of ``day`` speak to its exchange through this transport, at the pace it had."""
    trader = day.app.trader
    trader.client = build_client(
        base_url="http://sim.invalid/v1",
        token=day.exchange.token,
        clock=day.clock,
        limiter=trader.client.limiter,
        read_only=False,
        transport=transport,
    )


def listing_of(*, seed: int, rules: Rules | None, servers: int, marketplace: Path | None) -> Marketplace:
    """Return the marketplace of a world of its own, so that looking costs the real one nothing."""
    other = build_exchange(seed=seed, servers=servers, rules=rules, marketplace=marketplace)
    request = Request(method="GET", path="/v1/marketplace", headers={"auth": other.token})
    return wire.marketplace(other.handle(request, other.start).body)


def wanting(policy: Policy, name: str, **changes: Any) -> Policy:
    """Return the policy with one target changed."""
    return replace(
        policy,
        targets=tuple(replace(t, **changes) if t.name == name else t for t in policy.targets),
    )
