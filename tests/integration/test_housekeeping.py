"""When a daemon tidies up its database."""

import asyncio
import time
from datetime import timedelta
from email.utils import format_datetime

import httpx
import structlog
from builders import NOW, make_policy

from bidder.app.daemon import Daemon
from bidder.clock import ScaledClock, SystemClock
from bidder.wiring import build_app, open_database


def _daemon(clock: ScaledClock, exchange: httpx.AsyncBaseTransport) -> Daemon:
    app = build_app(
        policy=make_policy(),
        base_url="http://exchange.test/v1",
        token="token",
        engine=open_database("sqlite://"),
        clock=clock,
        lease_clock=SystemClock(),
        transport=exchange,
    )
    return Daemon(trader=app.trader, lease=app.lease, clock=clock, lease_clock=SystemClock())


async def test_a_daemon_that_is_restarted_often_tidies_up_all_the_same() -> None:
    """The first time comes minutes after the start, not an hour: a shorter life would never see it."""
    clock = ScaledClock(speed=120, start=NOW, anchor=time.monotonic())
    daemon = _daemon(clock, httpx.MockTransport(lambda _: httpx.Response(503)))
    with structlog.testing.capture_logs() as lines:
        running = asyncio.create_task(daemon.run())
        while not any(line["event"] == "housekeeping.done" for line in lines):
            assert clock.now() - NOW < timedelta(minutes=50), "in vain"
            await asyncio.sleep(0.05)
        daemon.stop.set()
        await running
    assert timedelta(minutes=4) < clock.now() - NOW


async def test_nothing_is_tidied_up_by_a_calendar_that_is_wrong() -> None:
    """A day ahead of the exchange's: what is deleted by it is gone. Said once, over once it is right."""
    clock = ScaledClock(speed=2400, start=NOW, anchor=time.monotonic())
    ahead = timedelta(days=1)

    def answer(_: httpx.Request) -> httpx.Response:
        date = format_datetime(clock.now() - ahead, usegmt=True)
        return httpx.Response(503, headers={"date": date})

    daemon = _daemon(clock, httpx.MockTransport(answer))
    with structlog.testing.capture_logs() as lines:
        running = asyncio.create_task(daemon.run())
        while clock.now() - NOW < timedelta(hours=3):
            await asyncio.sleep(0.05)
        skipped = [line for line in lines if line["event"] == "housekeeping.skipped"]
        assert not any(line["event"] == "housekeeping.done" for line in lines)
        ahead = timedelta(0)
        while not any(line["event"] == "housekeeping.done" for line in lines):
            assert clock.now() - NOW < timedelta(hours=12), "in vain"
            await asyncio.sleep(0.05)
        daemon.stop.set()
        await running
    (line,) = skipped
    assert line["log_level"] == "warning"
    assert line["lead_seconds"] < -80000
