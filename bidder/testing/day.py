"""A span on the simulated exchange, judged by its own referee, with one strategy for every target."""

import asyncio
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from typing import Final

from structlog.testing import capture_logs

from bidder.app.report import PassReport
from bidder.clock import VirtualClock
from bidder.demo import world
from bidder.demo.virtual import build_virtual, run_for
from bidder.domain.actions import Reason
from bidder.domain.market import Marketplace
from bidder.domain.money import Currency, Rates
from bidder.domain.policy import OwnParams
from bidder.exchange import wire
from bidder.sim.answers import Request
from bidder.sim.referee import Referee
from bidder.sim.server import build_exchange
from bidder.sim.targets import targets_from
from bidder.store.engine import open_engine
from bidder.store.schema import upgrade

_RATES = Rates({Currency.BTC: Decimal(69000), Currency.CLORE: Decimal("0.11")})
_SERVERS = 60
_FOULS: Final = ("rate_limit_refusals", "early_lowerings", "ceiling_breaches", "double_orders")


def play(params: OwnParams, seed: int, hours: float) -> tuple[str, ...]:
    """Trade for so long with this strategy; return what went wrong, nothing where all was well."""
    exchange = build_exchange(seed=seed, servers=_SERVERS, rules=None, marketplace=None, rivals=True)
    market = _market_of(seed)
    policy = world.demo_policy(market, _RATES)
    policy = replace(policy, targets=tuple(replace(t, params=params) for t in policy.targets))
    referee = Referee(exchange, targets_from(world.for_referee(policy, market)))
    engine, clock = open_engine("sqlite://"), VirtualClock(exchange.start)
    failures: dict[str, None] = {}

    def note(report: PassReport) -> None:
        for decision in report.decisions:
            if decision.reason is Reason.STRATEGY_FAILED:
                failures[str(decision.facts.get("problem"))] = None

    try:
        upgrade(engine)
        app = build_virtual(policy, exchange, engine, clock)
        with capture_logs():  # the daemon's log is not what is tested
            asyncio.run(run_for(app, clock, timedelta(hours=hours), on_pass=note))
        found = referee.report(clock.now())
    finally:
        engine.dispose()
    fouls = (f"{found[name]} {name.replace('_', ' ')}" for name in _FOULS if found[name])
    return (*failures, *fouls)


def _market_of(seed: int) -> Marketplace:
    """Return the marketplace of a world of its own, so that looking costs the real one nothing."""
    other = build_exchange(seed=seed, servers=_SERVERS, rules=None, marketplace=None)
    request = Request(method="GET", path="/v1/marketplace", headers={"auth": other.token})
    return wire.marketplace(other.handle(request, other.start).body)
