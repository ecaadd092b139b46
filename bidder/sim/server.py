"""Serve the simulated exchange over real HTTP: as a process of its own, or inside a test."""

import asyncio
import contextlib
import errno
import signal
import socket
import sys
import threading
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import uvicorn

from bidder.clock import Clock, ScaledClock
from bidder.errors import BadInput
from bidder.sim.app import SimApp, make_sim_app
from bidder.sim.exchange import SimExchange
from bidder.sim.faults import FaultScript, load_faults
from bidder.sim.generate import DEFAULT_SIZE, generate
from bidder.sim.rules import Rules
from bidder.sim.world import World, load_marketplace

if TYPE_CHECKING:
    from uvicorn._types import ASGIApplication

DEFAULT_START = datetime(2026, 1, 5, 12, 0, tzinfo=UTC)
DEFAULT_TOKEN = "sim-token"  # noqa: S105 - the simulator's own, no secret
_HOST = "127.0.0.1"


@dataclass(frozen=True, slots=True, kw_only=True)
class RunningSim:
    """A simulated exchange that listens on loopback; ``app`` holds exchange, clock and referee."""

    base_url: str  # ends in /v1
    control_url: str  # the root that the /_sim endpoints stand under
    token: str
    app: SimApp

    @property
    def exchange(self) -> SimExchange:
        """Return the exchange as it is now; a start replaces it."""
        return self.app.exchange

    @property
    def clock(self) -> Clock:
        """Return the clock that the exchange judges by."""
        return self.app.clock


class _Server(uvicorn.Server):
    """uvicorn, but a signal ends it with a plain return: its own way is to die of the signal."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._stop)
        try:
            yield
        finally:
            for number in (signal.SIGTERM, signal.SIGINT):
                loop.remove_signal_handler(number)

    def _stop(self) -> None:
        self.should_exit = True


def build_exchange(
    *,
    seed: int = 1,
    marketplace: Path | str | None = None,
    servers: int = DEFAULT_SIZE,
    token: str = DEFAULT_TOKEN,
    rivals: bool = True,
    crowd: int | None = None,
    rules: Rules | None = None,
    start: datetime = DEFAULT_START,
) -> SimExchange:
    """Return an exchange over a generated world, or over a recorded marketplace; raises BadInput.

    ``crowd`` is the number of rivals; without it each server draws its own.
    """
    if marketplace is None and servers < 1:
        raise BadInput(f"a world needs at least one server, not {servers}")
    world: World = generate(seed, servers) if marketplace is None else load_marketplace(marketplace)
    return SimExchange(world, rules, seed=seed, start=start, token=token, rivals=rivals, crowd=crowd)


def serve(app: SimApp, *, port: int = 0, host: str = _HOST, announce: bool = True) -> None:
    """Serve until SIGTERM or SIGINT, then return.

    The first line on standard output names the place: ``listening on HOST:PORT token TOKEN``.

    Raises:
        BadInput: the port cannot be had.
    """
    listener = listen(host, port)
    if announce:
        actual = listener.getsockname()[1]
        print(f"listening on {host}:{actual} token {app.exchange.token}", flush=True)  # noqa: T201
    asyncio.run(_server(app).serve(sockets=[listener]))


@contextlib.asynccontextmanager
async def running_sim(
    exchange: SimExchange,
    clock: Clock | None = None,
    faults: FaultScript | None = None,
    *,
    speed: float = 1.0,
) -> AsyncIterator[RunningSim]:
    """Run the exchange over HTTP in a thread on a free loopback port while the block lasts.

    Without a ``clock`` the exchange's time starts now and runs at ``speed``.
    """
    clock = clock or ScaledClock(speed=speed, start=exchange.start)
    app = make_sim_app(exchange, clock, faults)
    listener = listen(_HOST, 0)
    port = listener.getsockname()[1]
    server = _server(app)
    thread = threading.Thread(
        target=lambda: asyncio.run(server.serve(sockets=[listener])), name="sim", daemon=True
    )
    thread.start()
    try:
        while not server.started and thread.is_alive():  # noqa: ASYNC110 - set in another thread
            await asyncio.sleep(0.005)
        root = f"http://{_HOST}:{port}"
        yield RunningSim(base_url=f"{root}/v1", control_url=root, token=exchange.token, app=app)
    finally:
        server.should_exit = True
        await asyncio.to_thread(thread.join, 5)
        listener.close()


def sim_serve_main(
    *,
    port: int = 0,
    speed: float = 1.0,
    seed: int = 1,
    marketplace: Path | str | None = None,
    token: str = DEFAULT_TOKEN,
    rivals: bool = True,
    servers: int = DEFAULT_SIZE,
    faults_file: Path | str | None = None,
    rules: Rules | None = None,
    start: datetime | None = None,
    workload: str | None = None,
) -> int:
    """Serve a simulated exchange until told to stop; return the exit code 0; raises BadInput.

    Its calendar starts at ``start``, by default at the machine's present. ``workload`` is the
    ``HOST:PORT`` to which the ports of every order lead.
    """
    if not 0 < speed < 1e6:
        raise BadInput(f"speed must lie above 0 and below 1000000, not {speed}")
    start = datetime.now(UTC) if start is None else start.astimezone(UTC)
    exchange = build_exchange(
        seed=seed,
        marketplace=marketplace,
        servers=servers,
        token=token,
        rivals=rivals,
        rules=rules,
        start=start,
    )
    if workload is not None:
        exchange.workload = _place(workload)
    faults = None if faults_file is None else load_faults(faults_file, seed=seed)
    # Time that runs faster than its readers' would look to them like a clock that is ever further off.
    dated = speed == 1
    app = make_sim_app(exchange, ScaledClock(speed=speed, start=start), faults, dated=dated)
    serve(app, port=port)
    return 0


def _place(written: str) -> tuple[str, int]:
    host, colon, port = written.rpartition(":")
    number = int(port) if port.isascii() and port.isdigit() and len(port) < 6 else 0
    if not (colon and host and 1 <= number <= 65535):
        raise BadInput(f"--workload is no place (got {written!r}); write it like 127.0.0.1:9000")
    return host.strip("[]"), number


def _server(app: SimApp) -> _Server:
    application: ASGIApplication = app  # type: ignore[assignment]  # scopes typed as plain mappings
    config = uvicorn.Config(
        application,
        http="httptools",
        ws="none",
        loop="asyncio",
        lifespan="off",
        log_config=None,
        log_level="critical",
        access_log=False,
        server_header=False,
        date_header=False,
        timeout_keep_alive=75,
        timeout_graceful_shutdown=1,
    )
    return _Server(config)


def listen(host: str, port: int) -> socket.socket:
    """Return a socket that listens on a port (0: any free one); raises BadInput."""
    if not 0 <= port <= 65535:
        raise BadInput(f"port must lie in 0..65535, not {port}")
    # IPPROTO_TCP, not 0: asyncio sets TCP_NODELAY only on sockets that say so, and without it an
    # answer in two writes waits 40 ms for the client's delayed acknowledgement.
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    if sys.platform != "win32":
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
        listener.listen(128)
    except OSError as exc:
        listener.close()
        problem = "is in use" if exc.errno == errno.EADDRINUSE else f"cannot be opened ({exc.strerror})"
        raise BadInput(
            f"port {port} {problem}; choose another with --port, or 0 for a free one"
        ) from exc
    return listener
