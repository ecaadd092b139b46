"""When the watchdog must bite and when it must not."""

import asyncio
from datetime import timedelta

import httpx
from builders import NOW, make_policy

from bidder.app.daemon import Daemon
from bidder.clock import SystemClock, VirtualClock
from bidder.wiring import build_app, open_database


class _Mute(httpx.AsyncBaseTransport):
    """An exchange that takes a request and says nothing until it is let go."""

    def __init__(self) -> None:
        self.asked = asyncio.Event()
        self.let_go = asyncio.Event()
        self.retry_after = ""

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        self.asked.set()
        await self.let_go.wait()
        headers = {"retry-after": self.retry_after} if self.retry_after else {}
        return httpx.Response(429, headers=headers, json={"code": 5}, request=request)


def _daemon(exchange: httpx.AsyncBaseTransport, watch: VirtualClock) -> Daemon:
    app = build_app(
        policy=make_policy(),
        base_url="http://exchange.test/v1",
        token="token",
        engine=open_database("sqlite://"),
        clock=SystemClock(),
        lease_clock=watch,
        transport=exchange,
    )
    return Daemon(trader=app.trader, lease=app.lease, clock=app.clock, lease_clock=watch)


async def test_a_pass_that_hangs_is_stalled_and_one_that_waits_its_turn_is_not() -> None:
    """A request without an end counts from its pass's beginning; in a long pause passes go on."""
    exchange, watch = _Mute(), VirtualClock(NOW)
    daemon = _daemon(exchange, watch)
    running = asyncio.create_task(daemon.run())
    await exchange.asked.wait()
    assert daemon.stalled_seconds() == 0

    watch.advance(120)
    assert daemon.stalled_seconds() == 120

    exchange.retry_after = "3600"
    exchange.let_go.set()
    while not daemon.trader.client.limiter.sent:
        await asyncio.sleep(0.01)
    # Nothing may be sent for minutes: whoever makes no pass meanwhile hangs all the same.
    watch.advance(20)
    assert 0 < daemon.stalled_seconds() <= 20
    passes = daemon.trader.pass_id
    while daemon.trader.pass_id == passes:
        await asyncio.sleep(0.05)
    await asyncio.sleep(0.05)
    assert daemon.stalled_seconds() == 0
    assert daemon.trader.client.limiter.ready_in() > 200
    assert daemon.trader.client.limiter.sent == 1
    daemon.stop.set()
    await running


async def test_a_pass_that_never_comes_is_stalled() -> None:
    """A scheduler that lost the next pass is noticed as surely as a pass that hangs."""
    exchange, watch = _Mute(), VirtualClock(NOW)
    exchange.let_go.set()
    daemon = _daemon(exchange, watch)
    running = asyncio.create_task(daemon.run())
    while daemon.trader.pass_id < 1:
        await asyncio.sleep(0.01)
    daemon.stop.set()
    await running
    limiter = daemon.trader.client.limiter
    while limiter.ready_in() > 0:
        await asyncio.sleep(0.1)

    watch.advance(timedelta(minutes=10).total_seconds())

    # Less the pause after which the pass was due: a second, or a few after a failed read.
    assert daemon.stalled_seconds() >= 590
