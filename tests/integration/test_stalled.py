"""When the watchdog must bite and when it must not."""

import asyncio
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import httpx
import structlog
from builders import NOW, make_policy

from bidder.app.daemon import Daemon
from bidder.clock import SystemClock, VirtualClock
from bidder.config import load_settings
from bidder.sd_notify import Notifier
from bidder.service import Service, build_service
from bidder.wiring import App, build_app, open_database

FILE = """
strategies: [{name: x, ceiling: {usd: 3}, servers: {gpu: RTX 3090}, launch: {image: a/b}}]
"""


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


def _app(exchange: httpx.AsyncBaseTransport, watch: VirtualClock) -> App:
    return build_app(
        policy=make_policy(),
        base_url="http://exchange.test/v1",
        token="token",
        engine=open_database("sqlite://"),
        clock=SystemClock(),
        lease_clock=watch,
        transport=exchange,
    )


def _daemon(exchange: httpx.AsyncBaseTransport, watch: VirtualClock) -> Daemon:
    app = _app(exchange, watch)
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


def _service(folder: Path, exchange: httpx.AsyncBaseTransport, watch: VirtualClock) -> Service:
    app, file = _app(exchange, watch), folder / "config.yaml"
    file.write_text(FILE)
    settings = replace(load_settings(file, {}), policy=app.trader.policy)
    service = build_service(app, settings, reread=lambda: settings, reload_wanted=asyncio.Event())
    service.beat_seconds = 0.02
    return service


def _said(lines: list[structlog.typing.EventDict], event: str) -> int:
    return sum(line["event"] == event for line in lines)


async def test_without_a_watchdog_a_pass_that_hangs_for_good_ends_the_process(tmp_path: Path) -> None:
    """After three minutes, in few lines; a slow read, or a machine that stood still, is no reason."""
    exchange, watch = _Mute(), VirtualClock(NOW)
    service, ended = _service(tmp_path, exchange, watch), asyncio.Event()
    service.end = ended.set
    with structlog.testing.capture_logs() as lines:
        running = asyncio.create_task(service.run())
        await exchange.asked.wait()
        watch.advance(44)
        await asyncio.sleep(0.3)
        assert _said(lines, "pass.stalled") == 0
        watch.advance(3600)
        while not _said(lines, "pass.stalled"):
            await asyncio.sleep(0.01)
        await asyncio.sleep(0.3)
        assert not ended.is_set()

        watch.advance(135)
        await asyncio.wait_for(ended.wait(), 30)
        service.daemon.stop.set()
        exchange.let_go.set()
        await running
    assert _said(lines, "pass.stalled") == 3
    hung = next(line for line in lines if line["event"] == "pass.hung")
    assert hung["log_level"] == "critical"
    assert "start" in hung["remedy"]


async def test_where_a_watchdog_bites_the_process_does_not_end_itself(tmp_path: Path) -> None:
    """It gets no sign of life any more, and that is enough; nor is each beat worth a line."""
    exchange, watch = _Mute(), VirtualClock(NOW)
    service, ended = _service(tmp_path, exchange, watch), asyncio.Event()
    service.end = ended.set
    service.notifier = Notifier(watchdog_seconds=0.08)
    with structlog.testing.capture_logs() as lines:
        running = asyncio.create_task(service.run())
        await exchange.asked.wait()
        for _ in range(10):
            watch.advance(100)
            await asyncio.sleep(0.1)
        service.daemon.stop.set()
        exchange.let_go.set()
        await running
    assert not ended.is_set()
    assert _said(lines, "pass.stalled") == 3
