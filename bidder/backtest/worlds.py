"""A fleet in a generated world: several targets at once, with the whole daemon, among many rivals.

A seed draws a world of 20 to 200 servers and 5 to 50 rivals of every kind. The three GPU models that
most free servers have become one target each; its ceiling is what such servers cost on demand. Each
strategy gets a simulated exchange of its own that begins alike; rivals answer its bids, so there is no
optimum to compare with, only the others. Settings are the daemon's defaults.

Rejected: the on-demand price as the value of a running server as well. Whoever would rent at that price
gains something by it, and a value that no bid is far below lets `adaptive` wait for what never comes.
"""

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from decimal import Decimal
from random import Random
from statistics import fmean, median
from typing import Final

from bidder.backtest.account import Account
from bidder.clock import VirtualClock
from bidder.demo.virtual import build_virtual
from bidder.domain.ids import AccountName
from bidder.domain.market import gpu_model
from bidder.domain.money import Currency, Price
from bidder.domain.policy import (
    AdaptiveParams,
    AutopilotParams,
    Ceiling,
    FixedParams,
    Launch,
    MinBidParams,
    Mode,
    NicehashParams,
    Per,
    Policy,
    Requirements,
    StrategyParams,
    Target,
    TopPlusTickParams,
    TrackParams,
    TrackRecreateParams,
)
from bidder.errors import BadInput
from bidder.sim.auction import Stall
from bidder.sim.exchange import SimExchange
from bidder.sim.moments import DAY, micros
from bidder.sim.server import build_exchange
from bidder.wiring import open_database

SERVERS, RIVALS = (20, 200), (5, 50)
_TARGETS = 3
_LEASE_EVERY = 10.0  # seconds
# What a running server is worth to its holder, over what one costs on demand.
VALUE = Decimal("1.5")
_RESTART = Decimal("0.1") / 24  # days of work that a start costs: the daemon's default
_CURRENCIES = (Currency.BTC, Currency.CLORE)
_PLACEHOLDER_USD = 100  # per GPU-day: nobody means such a price

OURS: Final = "adaptive"
STRATEGIES: Final[Mapping[str, Callable[[], StrategyParams]]] = {
    OURS: AdaptiveParams,
    "track": TrackParams,
    "track_recreate": TrackRecreateParams,
    "top_plus_tick": TopPlusTickParams,
    "autopilot": AutopilotParams,
    "nicehash": NicehashParams,
    "fixed": FixedParams,
    "min_bid": MinBidParams,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """One target: so many servers with GPUs of one model.

    ``on_demand``: what such a GPU costs so per day, in USD. ``gpus``: how many a free server has.
    """

    model: str
    want: int
    on_demand: Decimal
    gpus: float


@dataclass(frozen=True, slots=True, kw_only=True)
class World:
    """What a seed draws."""

    seed: int
    servers: int
    rivals: int

    def exchange(self) -> SimExchange:
        """Return the simulated exchange at its beginning, another one at each call."""
        return build_exchange(seed=self.seed, servers=self.servers, crowd=self.rivals)


@dataclass(frozen=True, slots=True, kw_only=True)
class Played:
    """What one strategy came to in one world, by the exchange's own book.

    ``price`` is USD per GPU-day while held, without fees; ``price_share`` the same over what those
    models cost on demand; both None where nothing was held. ``held`` is the share of the wanted
    server-time. ``utility`` is the value of what was held, less price, creation fees and the work lost
    by each start, over the value of what was wanted. ``starts`` is how often an order began to run, per
    server-day wanted.
    """

    strategy: str
    world: World
    price: float | None
    price_share: float | None
    held: float
    utility: float
    starts: float


def drawn(seed: int) -> World:
    """Return the world of a seed."""
    chance = Random(f"worlds/{seed}")
    return World(seed=seed, servers=chance.randint(*SERVERS), rivals=chance.randint(*RIVALS))


def wishes(world: World) -> tuple[Wish, ...]:
    """Return what is wanted of a world: the GPU models that most free servers have, at most three.

    Raises:
        BadInput: no server of the world is free.
    """
    market = world.exchange().market
    free: dict[str, list[tuple[Decimal, int]]] = {}
    for stall in market.stalls.values():
        asked = _asked(stall, market.rates)
        if asked is not None:
            gpus, model = stall.listing.gpu()
            free.setdefault(gpu_model(model), []).append((asked, gpus))
    if not free:
        raise BadInput(f"in the world of seed {world.seed} no server is free; choose another seed")
    most = sorted(free.items(), key=lambda each: (-len(each[1]), each[0]))[:_TARGETS]
    return tuple(
        Wish(
            model=model,
            want=2 if place == 0 else 1,  # two of what there is most of
            on_demand=round(median(asked for asked, _ in found), 4),
            gpus=fmean(gpus for _, gpus in found),
        )
        for place, (model, found) in enumerate(most)
    )


def play(world: World, strategy: str, hours: float, value: Decimal = VALUE) -> Played:
    """Let the daemon hold the world's targets by one strategy for so many simulated hours.

    ``value`` is what a running server is worth, over its price on demand.
    """
    wanted = wishes(world)
    exchange = world.exchange()
    account = Account.watching(exchange)
    policy = _policy(wanted, STRATEGIES[strategy](), value)
    asyncio.run(_trade(policy, exchange, hours))
    # The last pass may have taken time beyond the end.
    end = max(exchange.start + timedelta(hours=hours), exchange.now)
    exchange.advance(end)
    account.close(micros(end))
    days = Decimal(micros(end) - micros(exchange.start)) / DAY
    return _counted(strategy, world, wanted, account, days, value)


async def _trade(policy: Policy, exchange: SimExchange, hours: float) -> None:
    clock = VirtualClock(exchange.start)
    engine = open_database("sqlite://")
    app = build_virtual(policy, exchange, engine, clock)
    renewed, end = clock.monotonic(), clock.monotonic() + hours * 3600
    while clock.monotonic() < end:
        report = await app.trader.run_pass()
        clock.advance(max(report.sleep.total_seconds(), 0.001))
        if clock.monotonic() - renewed >= _LEASE_EVERY:
            app.lease.renew(app.lease_clock.now())
            renewed = clock.monotonic()
    engine.dispose()


def _counted(
    strategy: str,
    world: World,
    wanted: tuple[Wish, ...],
    account: Account,
    days: Decimal,
    value: Decimal,
) -> Played:
    prices = {wish.model: wish.on_demand for wish in wanted}
    gpu_days = on_demand = lost = Decimal(0)
    for server, held in account.held_on.items():
        gpus, model = account.market.stalls[server].listing.gpu()
        usual = prices[gpu_model(model)] * gpus
        gpu_days += gpus * Decimal(held) / DAY
        on_demand += usual * held / DAY
        lost += value * usual * account.starts_on.get(server, 0) * _RESTART
    places = sum(wish.want for wish in wanted)
    # What the wanted servers are worth, were they all of the usual size and always held.
    whole = value * sum((w.on_demand * Decimal(w.gpus) * w.want for w in wanted), Decimal(0)) * days
    return Played(
        strategy=strategy,
        world=world,
        price=float(account.paid / gpu_days) if gpu_days else None,
        price_share=float(account.paid / on_demand) if on_demand else None,
        held=float(Decimal(account.held) / DAY / days / places),
        utility=float((value * on_demand - account.paid - account.fees - lost) / whole),
        starts=account.starts / float(days) / places,
    )


def _policy(wanted: tuple[Wish, ...], params: StrategyParams, value: Decimal) -> Policy:
    targets = tuple(
        Target(
            name=wish.model.lower().replace(" ", "-"),
            want=wish.want,
            ceiling=_per_gpu(wish.on_demand),
            value=_per_gpu(wish.on_demand * value),
            launch=Launch(image="cloreai/ubuntu20.04-jupyter"),
            requirements=Requirements(gpu_models=(wish.model,)),
            params=params,
            currencies=_CURRENCIES,
        )
        for wish in wanted
    )
    return Policy(account=AccountName("worlds"), mode=Mode.LIVE, targets=targets)


def _per_gpu(usd: Decimal) -> Ceiling:
    return Ceiling(price=Price(usd, Currency.USD), per=Per.GPU)


def _asked(stall: Stall, rates: Mapping[str, Decimal]) -> Decimal | None:
    """Return what a free server costs on demand per GPU-day, in USD; None where it cannot be said."""
    asked = [
        price * rates[coin]
        for coin, price in stall.on_demand.items()
        if coin in _CURRENCIES and stall.listing.takes(coin)
    ]
    if not asked or stall.hosted_by_us or not stall.open_to_bids:
        return None
    per_gpu = min(asked) / stall.listing.gpu()[0]
    return per_gpu if per_gpu < _PLACEHOLDER_USD else None
