"""Real workloads on loopback, which can be silenced and woken while a test runs."""

import asyncio
import ipaddress
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import Literal

from bidder.domain.probe import Network

LOOPBACK: tuple[Network, ...] = (ipaddress.ip_network("127.0.0.0/8"),)
HOST = "127.0.0.1"

Manner = Literal["banner", "quiet", "hangs_up", "mute", "http"]


@dataclass(slots=True)
class Workload:
    """A server on loopback. ``manner`` says how it meets a connection, ``answer`` what HTTP gets.

    ``met`` counts the connections, ``heard`` are the heads of what was asked.
    """

    manner: Manner = "banner"
    answer: bytes = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok"
    port: int = 0
    met: int = 0
    heard: list[bytes] = field(default_factory=list)
    _server: asyncio.Server | None = None
    _open: list[asyncio.StreamWriter] = field(default_factory=list)

    async def rise(self) -> None:
        """Listen, on the same port as before."""
        self._server = await asyncio.start_server(self._meet, HOST, self.port)
        self.port = self._server.sockets[0].getsockname()[1]

    async def die(self) -> None:
        """Stop listening: whoever knocks is refused."""
        if self._server is not None:
            self._server.close()
            for writer in self._open:
                writer.close()
            await self._server.wait_closed()
            self._server = None

    async def _meet(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.met += 1
        self._open.append(writer)
        with suppress(OSError):
            if self.manner == "banner":
                writer.write(b"SSH-2.0-test\r\n")
                await writer.drain()
            elif self.manner == "http":
                self.heard.append(await reader.readuntil(b"\r\n\r\n"))
                writer.write(self.answer)
                await writer.drain()
            if self.manner in {"quiet", "mute"}:
                with suppress(asyncio.IncompleteReadError):
                    await reader.readexactly(1_000_000)
        writer.close()
        self._open.remove(writer)


@asynccontextmanager
async def workload(manner: Manner = "banner", answer: bytes | None = None) -> AsyncIterator[Workload]:
    """Yield a workload that listens while the block lasts."""
    made = Workload(manner) if answer is None else Workload(manner, answer)
    await made.rise()
    try:
        yield made
    finally:
        await made.die()
