"""uvicorn inside the daemon's own loop: started and stopped with it, never touching its signals."""

import asyncio
import contextlib
import errno
import math
import socket
from collections.abc import AsyncIterator, Iterator

import structlog
import uvicorn
from starlette.types import ASGIApp

from bidder.clock import Clock
from bidder.errors import BadInput, PlaceTaken
from bidder.web.door import Connection, Door, Limits
from bidder.web.grumbles import Grumbles

log = structlog.get_logger("bidder")

_STOP_SECONDS = 1
# Few may wait to be let in: each of them takes a file descriptor before it can be turned out.
_BACKLOG = 16
# An address that a VPN or a slow DHCP server has yet to give, and resources that others may free.
_FOR_A_WHILE = frozenset({errno.EADDRNOTAVAIL, errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM})


class _Server(uvicorn.Server):
    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Leave the signals to the daemon."""
        yield


def listen(host: str, port: int) -> socket.socket:
    """Return a listening socket.

    Raises:
        PlaceTaken: it cannot be had at present: another program listens there, or the address is not
            this machine's yet, as soon after its start.
        BadInput: the place cannot be had at all.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
        listener.listen(_BACKLOG)
    except OSError as exc:
        listener.close()
        if exc.errno == errno.EADDRINUSE:
            problem = f"web.listen: {host} port {port} is in use; choose another, or end what is there"
            raise PlaceTaken(problem) from exc
        if exc.errno in _FOR_A_WHILE:
            problem = f"web.listen: {host} port {port} cannot be had at present: {exc.strerror}"
            raise PlaceTaken(f"{problem}; is {host} an address of this machine?") from exc
        problem = f"web.listen: {host} port {port} cannot be had: {exc.strerror}; choose another"
        raise BadInput(problem) from exc
    return listener


@contextlib.asynccontextmanager
async def serving(
    app: ASGIApp, listener: socket.socket, clock: Clock, limits: Limits | None = None
) -> AsyncIterator[None]:
    """Serve while the block lasts; ``clock`` is the machine's own, and so are the limits without any."""
    grumbles = Grumbles(clock=clock)
    door = Door(Limits.here() if limits is None else limits, grumbles)
    server = _Server(
        uvicorn.Config(
            app,
            http=Connection,  # h11 refuses what is malformed; speed does not matter here
            ws="none",
            loop="none",
            lifespan="off",
            log_config=None,
            access_log=False,
            server_header=False,
            date_header=False,
            proxy_headers=False,
            backlog=_BACKLOG,
            timeout_keep_alive=math.ceil(door.limits.pause_seconds),
            timeout_graceful_shutdown=_STOP_SECONDS,
        )
    )
    server.server_state = door
    with grumbles.hearing():
        task = asyncio.create_task(server.serve(sockets=[listener]))
        host, port = listener.getsockname()[:2]
        log.info("web.listening", host=host, port=port)
        try:
            yield
        finally:
            await _end(server, task)
            listener.close()


async def _end(server: _Server, task: asyncio.Task[None]) -> None:
    server.should_exit = True
    done, pending = await asyncio.wait({task}, timeout=_STOP_SECONDS + 1)
    for each in pending:
        each.cancel()
    for each in done:
        if not each.cancelled() and each.exception() is not None:
            log.error("web.failed", error=type(each.exception()).__name__)
