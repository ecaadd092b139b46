"""The processor time of one pass: what deciding, recording and the client cost, without the wire."""

import asyncio
import time
from collections.abc import Iterator

import httpx

from benchmarks.arena import FAST, Arena, arena
from benchmarks.figures import Figure, mean, percentile
from bidder.demo.transport import SimTransport
from bidder.domain.agenda import ReadMarketplace
from bidder.wiring import build_client


def run(*, quick: bool) -> Iterator[Figure]:
    """Yield the cost with 100 positions and 20,000 servers, beside 1 position and 300 servers."""
    small, _ = asyncio.run(_costs(1, 300, 200))
    servers = 4000 if quick else 20_000
    large, marketplace = asyncio.run(_costs(100, servers, 200 if quick else 600))
    yield Figure(
        name=f"one pass, 100 positions, {servers} servers",
        measured=mean(large) * 1e3,
        unit="ms of CPU, mean",
        goal=5.0,
        better="less",
        baseline=mean(small) * 1e3,
        baseline_is="1 position, 300 servers",
        note=f"99 % below {percentile(large, 0.99) * 1e3:.1f} ms; a pass that reads the marketplace"
        f" costs {mean(marketplace) * 1e3:.0f} ms, once a minute",
    )


class _Metered(httpx.AsyncBaseTransport):
    """Counts the exchange's own time, which is not the daemon's."""

    def __init__(self, below: SimTransport) -> None:
        self._below = below
        self.seconds = 0.0

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        before = time.process_time()
        try:
            return await self._below.handle_async_request(request)
        finally:
            self.seconds += time.process_time() - before


async def _costs(positions: int, servers: int, passes: int) -> tuple[list[float], list[float]]:
    world = arena(want=positions, servers=servers)
    meter = _meter(world)
    await world.fill(positions)
    usual: list[float] = []
    marketplace: list[float] = []
    while len(usual) < passes or not marketplace:
        meter.seconds = 0.0
        before = time.process_time()
        report = await world.app.trader.run_pass()
        cost = time.process_time() - before - meter.seconds
        read = None if report.observed is None else report.observed.read
        (marketplace if isinstance(read, ReadMarketplace) else usual).append(cost)
        world.clock.advance(max(report.sleep.total_seconds(), 0.001))
        world.app.lease.renew(world.clock.now())
    return usual, marketplace


def _meter(world: Arena) -> _Metered:
    meter = _Metered(SimTransport(world.exchange, world.clock, one_way_seconds=FAST))
    trader = world.app.trader
    trader.client = build_client(
        base_url="http://sim.invalid/v1",
        token=world.exchange.token,
        clock=world.clock,
        limiter=trader.client.limiter,
        read_only=False,
        transport=meter,
    )
    return meter
