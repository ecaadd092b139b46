"""uvicorn inside the daemon's own loop: started and stopped with it, never touching its signals."""

import asyncio
import contextlib
import errno
import socket
from collections.abc import AsyncIterator, Iterator

import structlog
import uvicorn
from starlette.types import ASGIApp

from bidder.errors import BadInput, PlaceTaken

log = structlog.get_logger("bidder")

_STOP_SECONDS = 1


class _Server(uvicorn.Server):
    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Leave the signals to the daemon."""
        yield


def listen(host: str, port: int) -> socket.socket:
    """Return a listening socket.

    Raises:
        PlaceTaken: another program listens there.
        BadInput: the place cannot be had at all.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
        listener.listen(16)
    except OSError as exc:
        listener.close()
        if exc.errno == errno.EADDRINUSE:
            problem = f"web.listen: {host} port {port} is in use; choose another, or end what is there"
            raise PlaceTaken(problem) from exc
        problem = f"web.listen: {host} port {port} cannot be had: {exc.strerror}; choose another"
        raise BadInput(problem) from exc
    return listener


@contextlib.asynccontextmanager
async def serving(app: ASGIApp, listener: socket.socket) -> AsyncIterator[None]:
    """Serve while the block lasts."""
    server = _Server(
        uvicorn.Config(
            app,
            http="h11",  # it refuses what is malformed; speed does not matter here
            ws="none",
            loop="none",
            lifespan="off",
            log_config=None,
            access_log=False,
            server_header=False,
            date_header=False,
            proxy_headers=False,
            limit_concurrency=32,
            timeout_keep_alive=30,
            timeout_graceful_shutdown=_STOP_SECONDS,
        )
    )
    task = asyncio.create_task(server.serve(sockets=[listener]))
    host, port = listener.getsockname()[:2]
    log.info("web.listening", host=host, port=port)
    try:
        yield
    finally:
        server.should_exit = True
        done, pending = await asyncio.wait({task}, timeout=_STOP_SECONDS + 1)
        for each in pending:
            each.cancel()
        for each in done:
            if not each.cancelled() and each.exception() is not None:
                log.error("web.failed", error=type(each.exception()).__name__)
        listener.close()
