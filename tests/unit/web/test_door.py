"""Whoever reaches the port gets an answer or nothing, and costs neither room nor log; over loopback."""

import asyncio
import contextlib
import logging
import os
import socket
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from datetime import UTC, datetime

import pytest
from starlette.types import Receive, Scope, Send
from structlog.testing import capture_logs

from bidder.clock import SystemClock, VirtualClock
from bidder.web.door import Limits
from bidder.web.grumbles import Grumbles
from bidder.web.server import listen, serving

_ASKED = b"GET /healthz HTTP/1.1\r\nhost: 127.0.0.1\r\n\r\n"
_SOON = 5.0

App = Callable[[Scope, Receive, Send], Awaitable[None]]


async def _ok(_scope: Scope, _receive: Receive, send: Send) -> None:
    headers = [(b"content-length", b"3")]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": b"ok\n"})


@contextlib.asynccontextmanager
async def _served(limits: Limits, app: App = _ok) -> AsyncIterator[int]:
    listener = listen("127.0.0.1", 0)
    port = listener.getsockname()[1]
    async with serving(app, listener, SystemClock(), limits):
        yield port


@contextlib.asynccontextmanager
async def _reader(port: int) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        yield reader, writer
    finally:
        writer.close()


async def _asked(port: int, request: bytes = _ASKED) -> bytes:
    """Return the first line that a new connection is answered with."""
    async with _reader(port) as (reader, writer):
        writer.write(request)
        return await asyncio.wait_for(reader.readline(), _SOON)


async def _ended(reader: asyncio.StreamReader, seconds: float = _SOON) -> bool:
    """Return whether the other end closed within so many seconds; what it said before is read."""
    try:
        await asyncio.wait_for(reader.read(), seconds)
    except ConnectionError:
        return True
    except TimeoutError:
        return False
    return True


@pytest.fixture(autouse=True)
def _heard() -> Iterator[None]:
    """Let the libraries' loggers say what they have to say, as they do in the daemon."""
    loggers = [logging.getLogger(name) for name in ("uvicorn.error", "asyncio")]
    before = [(each.level, each.propagate) for each in loggers]
    for each in loggers:
        each.setLevel(logging.WARNING)
    yield
    for each, (level, propagate) in zip(loggers, before, strict=True):
        each.setLevel(level)
        each.propagate = propagate


async def test_held_connections_keep_nobody_out() -> None:
    """With more idle connections than may be held, a health check that comes last is answered."""
    with capture_logs() as lines:
        async with _served(Limits(connections=8)) as port, contextlib.AsyncExitStack() as stack:
            held = [await stack.enter_async_context(_reader(port)) for _ in range(20)]
            for _ in range(10):
                assert await _asked(port) == b"HTTP/1.1 200 OK\r\n"
            ended = [await _ended(reader, 0.1) for reader, _ in held]
            # The oldest went first, and those that have room are let be.
            assert ended == sorted(ended, reverse=True)
            assert 12 <= sum(ended) < 20
    crowded = [line for line in lines if line["event"] == "web.crowded"]
    assert [line["log_level"] for line in crowded] == ["warning"] * 3
    assert crowded[0]["most"] == 8


async def test_whoever_waits_for_an_answer_stays_before_the_idle() -> None:
    """A request that is being answered is not cut off to make room while idle ones can go."""
    go = asyncio.Event()

    async def slowly(scope: Scope, receive: Receive, send: Send) -> None:
        await go.wait()
        await _ok(scope, receive, send)

    async with _served(Limits(connections=4), slowly) as port, contextlib.AsyncExitStack() as stack:
        reader, writer = await stack.enter_async_context(_reader(port))
        writer.write(_ASKED)
        await asyncio.sleep(0.1)
        for _ in range(12):
            await stack.enter_async_context(_reader(port))
        await asyncio.sleep(0.1)
        go.set()
        assert await asyncio.wait_for(reader.readline(), _SOON) == b"HTTP/1.1 200 OK\r\n"


@pytest.mark.parametrize("before", [b"", _ASKED], ids=["first", "next"])
@pytest.mark.parametrize("drop", [b"", b"x"], ids=["silent", "dripping"])
async def test_a_head_that_does_not_end_ends_the_connection(before: bytes, drop: bytes) -> None:
    """Bytes one by one buy no time: neither before the first answer nor after it."""
    async with _served(Limits(step_seconds=0.5, pause_seconds=0.5)) as port:
        async with _reader(port) as (reader, writer):
            if before:
                writer.write(before)
                assert await reader.readline() == b"HTTP/1.1 200 OK\r\n"
            ended = asyncio.create_task(_ended(reader))
            begun = asyncio.get_running_loop().time()
            writer.write(b"GET / HTTP/1.1\r\nx: ")
            while not ended.done() and asyncio.get_running_loop().time() < begun + _SOON:
                with contextlib.suppress(ConnectionError):
                    writer.write(drop)
                await asyncio.sleep(0.05)
            assert await ended
            assert asyncio.get_running_loop().time() - begun < 2.0
        assert await _asked(port) == b"HTTP/1.1 200 OK\r\n"


async def test_an_answer_that_is_not_taken_ends_the_connection() -> None:
    """Whoever asks and never reads does not hold the answer for ever."""

    async def much(_scope: Scope, _receive: Receive, send: Send) -> None:
        body = b"x" * (32 << 20)
        headers = [(b"content-length", str(len(body)).encode())]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": body})

    closing = _ASKED.replace(b"\r\n\r\n", b"\r\nconnection: close\r\n\r\n")
    for request in (_ASKED, closing):
        async with _served(Limits(step_seconds=0.3, pause_seconds=0.3), much) as port:
            with socket.create_connection(("127.0.0.1", port)) as silent:
                silent.setblocking(False)
                await asyncio.get_running_loop().sock_sendall(silent, request)
                await asyncio.sleep(1.0)
                taken = 0
                with contextlib.suppress(ConnectionError):
                    while part := await asyncio.wait_for(
                        asyncio.get_running_loop().sock_recv(silent, 1 << 20), _SOON
                    ):
                        taken += len(part)
                assert taken < 32 << 20


async def test_a_scraper_may_come_back_on_the_same_connection() -> None:
    """The time for a head does not run between two requests."""
    async with (
        _served(Limits(step_seconds=0.2, pause_seconds=5)) as port,
        _reader(port) as (reader, out),
    ):
        for _ in range(3):
            out.write(_ASKED)
            head = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), _SOON)
            assert head.startswith(b"HTTP/1.1 200 OK\r\n")
            assert await reader.readexactly(3) == b"ok\n"
            await asyncio.sleep(0.4)


async def test_nonsense_is_said_a_few_times_in_our_words(caplog: pytest.LogCaptureFixture) -> None:
    """Malformed requests and other protocols do not fill the log, nor advise to install things."""
    nonsense = b"\x16\x03\x01 nonsense\r\n\r\n"
    upgrade = _ASKED.replace(b"\r\n\r\n", b"\r\nconnection: upgrade\r\nupgrade: websocket\r\n\r\n")
    with capture_logs() as lines:
        async with _served(Limits()) as port:
            for _ in range(20):
                assert await _asked(port, nonsense) == b"HTTP/1.1 400 Bad Request\r\n"
                assert await _asked(port, upgrade) == b"HTTP/1.1 200 OK\r\n"
    events = [line["event"] for line in lines if line["log_level"] == "warning"]
    assert sorted(events) == ["web.malformed"] * 3 + ["web.upgrade_refused"] * 3
    assert not caplog.records


async def test_a_page_that_fails_is_said_with_its_cause(caplog: pytest.LogCaptureFixture) -> None:
    """The first lines carry the exception; a hundred requests do not make a hundred of them."""

    async def failing(_scope: Scope, _receive: Receive, _send: Send) -> None:
        raise RuntimeError("a mistake of ours")

    with capture_logs() as lines:
        async with _served(Limits(), failing) as port:
            for _ in range(20):
                assert await _asked(port) == b"HTTP/1.1 500 Internal Server Error\r\n"
    failed = [line for line in lines if line["event"] == "web.page_failed"]
    assert len(failed) == 3
    assert all(str(line["exc_info"][1]) == "a mistake of ours" for line in failed)
    assert not caplog.records


def test_a_day_of_nonsense_is_a_few_lines_and_its_end_is_said() -> None:
    """Each second for a day: some dozens of lines, and one when readers are answered in peace again."""
    clock = VirtualClock(datetime(2026, 1, 5, tzinfo=UTC))
    grumbles = Grumbles(clock=clock)
    library = logging.getLogger("uvicorn.error")
    with capture_logs() as lines, grumbles.hearing():
        for _ in range(86_400):
            library.warning("Invalid HTTP request received.")
            clock.advance(1)
        for _ in range(10):
            grumbles.answered()
            clock.advance(60)
    said = [line for line in lines if line["event"] == "web.malformed"]
    assert len(said) < 30
    assert said[0]["unsaid"] == 0
    assert said[-1]["unsaid"] > 100
    (calm,) = [line for line in lines if line["event"] == "web.calm"]
    assert (calm["after"], calm["occurrences"]) == ("web.malformed", 86_400)


def test_what_the_loop_says_of_other_work_is_not_touched(caplog: pytest.LogCaptureFixture) -> None:
    """A task that failed unseen is somebody's bug: each of them is printed."""
    with Grumbles(clock=SystemClock()).hearing():
        for _ in range(10):
            logging.getLogger("asyncio").error("Task exception was never retrieved")
    assert len(caplog.records) == 10


_FEW_DESCRIPTORS = """
import asyncio, os, resource, socket, sys
from starlette.responses import PlainTextResponse
from bidder.clock import SystemClock
from bidder.telemetry import configure_logging
from bidder.web.server import listen, serving

async def serve(port_of):
    # No more than 48, as a unit or a container may be allowed; a third of them is used already.
    used = [os.open(os.devnull, os.O_RDONLY) for _ in range(16)]
    async with serving(PlainTextResponse('ok'), port_of, SystemClock()):
        print(port_of.getsockname()[1], flush=True)
        for _ in range(20):
            await asyncio.sleep(0.1)
            socket.create_server(("127.0.0.1", 0)).close()
    print("done", flush=True)

configure_logging("info", "json")
resource.setrlimit(resource.RLIMIT_NOFILE, (48, 48))
asyncio.run(serve(listen("127.0.0.1", 0)))
"""


def test_the_pages_leave_file_descriptors_for_the_trading() -> None:
    """Where few are allowed, sixty held connections keep neither sockets from it nor fill the log."""
    ran = subprocess.Popen(
        [sys.executable, "-c", _FEW_DESCRIPTORS],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=dict(os.environ, PYTHONPATH=os.pathsep.join(sys.path)),
    )
    assert ran.stdout is not None
    port = int(ran.stdout.readline())
    with contextlib.ExitStack() as stack:
        for _ in range(60):
            stack.enter_context(socket.create_connection(("127.0.0.1", port), timeout=_SOON))
            time.sleep(0.01)
        out, err = ran.communicate(timeout=60)
    assert out == "done\n", err
    assert len(err.splitlines()) < 10, err
