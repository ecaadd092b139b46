"""When a daemon tidies up its database."""

import asyncio
import time
from datetime import timedelta

import httpx
import structlog
from builders import NOW, make_policy

from bidder.app.daemon import Daemon
from bidder.clock import ScaledClock, SystemClock
from bidder.wiring import build_app, open_database


async def test_a_daemon_that_is_restarted_often_tidies_up_all_the_same() -> None:
    """The first time comes minutes after the start, not an hour: a shorter life would never see it."""
    clock = ScaledClock(speed=120, start=NOW, anchor=time.monotonic())
    app = build_app(
        policy=make_policy(),
        base_url="http://exchange.test/v1",
        token="token",
        engine=open_database("sqlite://"),
        clock=clock,
        lease_clock=SystemClock(),
        transport=httpx.MockTransport(lambda _: httpx.Response(503)),
    )
    daemon = Daemon(trader=app.trader, lease=app.lease, clock=clock, lease_clock=SystemClock())
    with structlog.testing.capture_logs() as lines:
        running = asyncio.create_task(daemon.run())
        while not any(line["event"] == "housekeeping.done" for line in lines):
            assert clock.now() - NOW < timedelta(minutes=50), "in vain"
            await asyncio.sleep(0.05)
        daemon.stop.set()
        await running
    assert timedelta(minutes=4) < clock.now() - NOW
