"""From a rival's outbid to our raise, and a lowering's lag behind the opening of its clock."""

import asyncio
import random
from collections.abc import Iterator
from decimal import Decimal

from benchmarks.arena import FAST, Arena, arena, client_for
from benchmarks.figures import Figure, mean, percentile
from bidder.clock import VirtualClock
from bidder.domain.ids import OrderId, ServerId
from bidder.sim.auction import Order, Stall
from bidder.sim.market import Watcher
from bidder.sim.server import build_exchange

_CANDIDATES = 300
_MICROSECONDS = 1e6
_POLL = 60.0


def run(*, quick: bool) -> Iterator[Figure]:
    """Yield the reaction with 1, 10 and 60 positions, then the lag of lowerings."""
    rounds = 8 if quick else 60
    robin = asyncio.run(_round_robin(4 if quick else 30))
    for positions in (1, 10, 60):
        waits = asyncio.run(_reactions(positions, rounds))
        yield Figure(
            name=f"reaction, {positions} positions",
            measured=mean(waits),
            unit="s, mean",
            goal=0.65 * positions + 2,
            better="less",
            baseline=mean(robin),
            baseline_is=f"round-robin over all {_CANDIDATES} books",
            note=f"median {percentile(waits, 0.5):.1f}, worst {max(waits):.1f}, {len(waits)} outbids",
        )
    for positions in (10, 60):
        lags, openings = asyncio.run(_lags(positions, hours=1.5 if quick else 6))
        polled = [_POLL - opening % _POLL for opening in openings]
        yield Figure(
            name=f"lowering's lag, {positions} positions",
            measured=percentile(lags, 0.5),
            unit="s, median",
            goal=1.0,
            better="less",
            baseline=percentile(polled, 0.5),
            baseline_is="a poll every minute",
            note=f"90 % below {percentile(lags, 0.9):.2f}, worst {max(lags):.2f}, {len(lags)} lowerings",
        )


def outbid(world: Arena, stall: Stall, factor: Decimal) -> Order:
    """Have a rival bid above us; return its offer."""
    market = world.exchange.market
    mine = next(offer for offer in stall.offers if offer.mine)
    rival = market.admit(stall, currency=mine.currency, price=mine.price * factor)
    market.settle(stall)
    return rival


async def _reactions(positions: int, rounds: int) -> list[float]:
    world = arena(want=positions, servers=_CANDIDATES)
    await world.fill(positions)
    chance = random.Random(positions)
    waits = []
    for _ in range(rounds):
        end = world.clock.monotonic() + chance.uniform(5, 5 + positions)
        while world.clock.monotonic() < end:
            await world.step()
        own = [order for order in world.exchange.market.live.values() if order.active]
        order = chance.choice(own)
        stall = world.exchange.market.stalls[order.server_id]
        before = world.clock.monotonic()
        rival = outbid(world, stall, Decimal("1.01"))
        while not order.active and order.live:
            await world.step()
        waits.append((order.priced_at / _MICROSECONDS) - _since(world, before))
        world.exchange.market.end(rival, "left")
    return waits


def _since(world: Arena, monotonic: float) -> float:
    return world.exchange.start.timestamp() + monotonic


async def _round_robin(rounds: int) -> list[float]:
    """Return how long a bot takes that reads every book in turn, as fast as it may."""
    exchange = build_exchange(seed=1, servers=_CANDIDATES, rivals=False)
    clock = VirtualClock(exchange.start)
    client = client_for(exchange, clock, FAST)
    servers = [ServerId(server) for server in exchange.market.stalls]
    chance = random.Random(0)
    waits = []
    for _ in range(rounds):
        target = chance.choice(servers)
        before = clock.monotonic()
        start = chance.randrange(len(servers))
        for server in servers[start:] + servers[:start]:
            await client.spot_marketplace(server)
            if server == target:
                break
        # The raise itself is one more request.
        await client.spot_marketplace(target)
        waits.append(clock.monotonic() - before)
    await client.close()
    return waits


class _Openings(Watcher):
    """Notes how long after the opening of its clock each of our lowerings was accepted."""

    def __init__(self) -> None:
        self.opens: dict[int, int] = {}
        self.lags: list[float] = []
        self.openings: list[float] = []

    def priced(self, order: Order, before: Decimal, at: int) -> None:
        if not order.mine:
            return
        opened = self.opens.get(order.order_id)
        if order.price < before and opened is not None:
            self.lags.append((at - opened) / _MICROSECONDS)
            self.openings.append(opened / _MICROSECONDS)
        self.opens[order.order_id] = order.lowering_opens_at if order.price < before else at


async def _lags(positions: int, *, hours: float) -> tuple[list[float], list[float]]:
    """Return the lags of lowerings from bids that a rival once drove far above the floor."""
    world = arena(want=positions, servers=_CANDIDATES)
    await world.fill(positions)
    market = world.exchange.market
    orders = [OrderId(number) for number in market.live]
    for number in orders:
        order = market.live[number]
        rival = outbid(world, market.stalls[order.server_id], Decimal(4))
        while not order.active:
            await world.step()
        market.end(rival, "left")
    # From here on every opening is one that is wanted.
    for _ in range(700):
        await world.step()
    watcher = _Openings()
    market.watchers.append(watcher)
    end = world.clock.monotonic() + hours * 3600
    while world.clock.monotonic() < end:
        await world.step()
    return watcher.lags, watcher.openings
