"""Strategies on a generated market: the whole daemon, client, store and executor included.

Each strategy meets the same seed on an exchange of its own in virtual time: the same server, the same
strangers, and rivals who answer its bids as they would answer anybody's. So there is no optimum to
compare with: what the rivals bid depends on who bids against them. Amounts are in USD.
"""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

from bidder.backtest import lineup
from bidder.backtest.account import Account
from bidder.clock import VirtualClock
from bidder.demo.virtual import build_virtual, run_for
from bidder.domain.ids import AccountName, ServerId
from bidder.domain.money import Currency, Price
from bidder.domain.policy import (
    Ceiling,
    Launch,
    Mode,
    Policy,
    Requirements,
    StrategyParams,
    Target,
)
from bidder.errors import BadInput
from bidder.sim.exchange import SimExchange
from bidder.sim.moments import HOUR, micros
from bidder.sim.server import build_exchange
from bidder.wiring import open_database

_SERVERS = 20
_DAY_HOURS = Decimal(24)


@dataclass(frozen=True, slots=True, kw_only=True)
class Scenario:
    """What to generate: a seed, hours, and what an hour of running is worth (None: on-demand price).

    ``configured`` are targets that may be named among the ``strategies``, ``folder`` is where else the
    modules of such strategies may be.
    """

    seed: int
    hours: float
    value: Decimal | None
    restart_hours: Decimal
    strategies: tuple[str, ...] | None
    configured: tuple[Target, ...] = ()
    folder: Path | None = None


def compare(scenario: Scenario) -> dict[str, Any]:
    """Return every strategy's run as one JSON-ready object, best first; raises BadInput."""
    chosen = lineup.named(scenario.strategies, scenario.configured, scenario.folder)
    server, on_demand = _server(scenario.seed)
    value = round(on_demand if scenario.value is None else scenario.value, 6)
    runs = [_run(name, params, server, value, scenario) for name, params in chosen.items()]
    return {
        "seed": scenario.seed,
        "hours": scenario.hours,
        "server": server,
        "value": float(value),
        "runs": sorted(runs, key=lambda run: -run["utility"]),
    }


def _exchange(seed: int) -> SimExchange:
    return build_exchange(seed=seed, servers=_SERVERS)


def _server(seed: int) -> tuple[int, Decimal]:
    """Return the server that is bid for, and its on-demand price in USD per hour."""
    market = _exchange(seed).market
    for stall in market.stalls.values():
        # Free, without a placeholder for a price, and rented out for long enough.
        if stall.rented or not stall.listing.takes(Currency.BTC) or not stall.online:
            continue
        if stall.listing.gigaspot:
            continue
        usd = market.usd(stall.on_demand[Currency.BTC], Currency.BTC)
        if usd < 100:
            return stall.server_id, usd / _DAY_HOURS
    raise BadInput(f"--generated {seed}: no server of that market is free; choose another seed")


def _run(
    name: str, params: StrategyParams, server: int, value: Decimal, scenario: Scenario
) -> Mapping[str, Any]:
    """Let the daemon bid for the hours, and return its account."""
    exchange = _exchange(scenario.seed)
    account = Account.watching(exchange)
    clock = VirtualClock(exchange.start)
    engine = open_database("sqlite://")
    app = build_virtual(_policy(params, server, value, scenario), exchange, engine, clock)
    span = timedelta(hours=scenario.hours)
    asyncio.run(run_for(app, clock, span))
    engine.dispose()
    # The last pass may have taken time beyond the end.
    end = max(exchange.start + span, exchange.now)
    exchange.advance(end)
    account.close(micros(end))
    hours = Decimal(account.held) / HOUR
    restart = value * scenario.restart_hours
    utility = value * hours - account.paid - account.fees - restart * account.starts
    return {
        "strategy": name,
        "utility": round(float(utility), 6),
        "held_share": round(account.held / (micros(end) - micros(exchange.start)), 6),
        "mean_price": round(float(account.paid / hours), 8) if hours else None,
        "restarts": account.starts,
        "creations": account.creations,
        "requests": account.requests,
    }


def _policy(params: StrategyParams, server: int, value: Decimal, scenario: Scenario) -> Policy:
    worth = Ceiling(price=Price(value * _DAY_HOURS, Currency.USD))
    target = Target(
        name="generated",
        want=1,
        ceiling=worth,
        value=worth,
        launch=Launch(image="cloreai/ubuntu20.04-jupyter"),
        requirements=Requirements(servers=frozenset({ServerId(server)})),
        params=params,
        currencies=(Currency.BTC, Currency.CLORE),
        restart=timedelta(hours=1) * float(scenario.restart_hours),
    )
    return Policy(account=AccountName("backtest"), mode=Mode.LIVE, targets=(target,))
