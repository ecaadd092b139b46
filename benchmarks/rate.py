"""Requests per second sustained while there is work, judged strictly by arrival."""

import asyncio
from collections.abc import Iterator

from benchmarks.arena import client_for
from benchmarks.figures import Figure
from bidder.clock import VirtualClock
from bidder.domain.ids import ServerId
from bidder.errors import RateLimited
from bidder.sim.server import build_exchange

# Round trips in seconds, and the goal for each.
_NETWORKS = (((0.02, 0.04), 0.96), ((0.02, 0.4), 0.82))
_FIXED_SLEEP = 1.1


def run(*, quick: bool) -> Iterator[Figure]:
    """Yield the rate on a fast and on an uneven network, beside a fixed sleep."""
    hours = 1 if quick else 24
    for (least, most), goal in _NETWORKS:
        one_way = (least / 2, most / 2)
        ours, refusals = asyncio.run(_sustained(hours, one_way, fixed=None))
        fixed, _ = asyncio.run(_sustained(min(hours, 2), one_way, fixed=_FIXED_SLEEP))
        yield Figure(
            name=f"rate, round trip {least * 1e3:.0f}-{most * 1e3:.0f} ms",
            measured=ours,
            unit="requests/s",
            goal=goal,
            better="more",
            baseline=fixed,
            baseline_is=f"a sleep of {_FIXED_SLEEP} s after each answer",
            note=f"{hours} h of exchange time, refused for pace: {refusals}",
        )
        yield Figure(
            name=f"refusals, round trip {least * 1e3:.0f}-{most * 1e3:.0f} ms",
            measured=refusals,
            unit="refusals",
            goal=0,
            better="less",
            baseline=None,
            baseline_is="",
        )


async def _sustained(
    hours: float, one_way: tuple[float, float], *, fixed: float | None
) -> tuple[float, int]:
    exchange = build_exchange(seed=1, servers=3, rivals=False)
    clock = VirtualClock(exchange.start)
    client = client_for(exchange, clock, one_way)
    server = ServerId(next(iter(exchange.market.stalls)))
    refusals = sent = 0
    while clock.monotonic() < hours * 3600:
        try:
            await client.spot_marketplace(server)
        except RateLimited:
            refusals += 1
        sent += 1
        if fixed is not None:
            clock.advance(fixed)
    await client.close()
    return sent / clock.monotonic(), refusals
