"""Who gets in: so many connections, and so much time for each step, whoever is at the other end.

The port stands beside the trading in one process, with its file descriptors. A connection costs its
peer nothing, so none is turned away: whoever comes last is let in, and the one that has been idle for
longest goes. Someone who holds connections therefore cannot keep a health check out. To refuse the
newest, as uvicorn's ``limit_concurrency`` does, was what let them.
"""

import asyncio
import resource
from dataclasses import dataclass
from typing import Any, Final, Self, cast

from uvicorn import Config
from uvicorn.protocols.http.h11_impl import H11Protocol
from uvicorn.server import ServerState

from bidder.web.grumbles import Grumbles

_MOST: Final = 32
# Of the file descriptors that this process may have: the exchange and the database need theirs.
_SHARE: Final = 4
_FEWEST: Final = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """How many connections are held at once, and how long each step of one may take.

    A step is the whole head of a request, or taking the whole answer. Between an answer and the next
    head there is more time: a scraper comes back after 15 to 60 seconds.
    """

    connections: int = _MOST
    step_seconds: float = 10.0
    pause_seconds: float = 30.0

    @classmethod
    def here(cls) -> Self:
        """Return the limits that leave this process most of its file descriptors."""
        soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
        return cls() if soft == resource.RLIM_INFINITY else cls(connections=_share_of(soft))


def _share_of(descriptors: int) -> int:
    return max(_FEWEST, min(_MOST, descriptors // _SHARE))


class Door(ServerState):
    """What all connections share."""

    def __init__(self, limits: Limits, grumbles: Grumbles) -> None:
        """Begin without any."""
        super().__init__()
        self.limits = limits
        self.grumbles = grumbles

    def make_room(self) -> None:
        """Close what has been idle for longest, or busy where none is idle, until all have room."""
        # Those that end already may still have something to send and keep their descriptor until then.
        held = [each for each in cast(set[Connection], self.connections) if not each.dropped]
        held.sort(key=lambda each: (each.busy, each.since))
        for each in held[: max(0, len(held) - self.limits.connections)]:
            each.drop()
            self.grumbles.again("web.crowded", most=self.limits.connections)


class Connection(H11Protocol):
    """A connection that ends when a step takes too long, however it is drawn out.

    uvicorn's own time limit begins after the first answer and ends with any byte.
    """

    def __init__(
        self,
        config: Config,
        server_state: ServerState,
        app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,
    ) -> None:
        """Begin as idle, before anything was sent."""
        super().__init__(config, server_state, app_state, _loop)
        self.door = cast(Door, server_state)
        self.busy = False
        self.dropped = False
        self.since = self.loop.time()
        self._limit: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Let it in, and someone else out where there are too many."""
        super().connection_made(cast(asyncio.Transport, transport))
        self._begin(self.door.limits.step_seconds, busy=False)
        self.door.make_room()

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget it."""
        self.dropped = True
        if self._limit is not None:
            self._limit.cancel()
        super().connection_lost(exc)

    def handle_events(self) -> None:
        """Take in what came; with a whole head the time for its answer begins."""
        before = self.cycle
        super().handle_events()
        if self.cycle is not before and not self.cycle.response_complete:
            self._begin(self.door.limits.step_seconds, busy=True)

    def on_response_complete(self) -> None:
        """Wait for the next request, or for the rest of the answer to be taken."""
        ending = self.transport.is_closing()
        limits = self.door.limits
        self._begin(limits.step_seconds if ending else limits.pause_seconds, busy=ending)
        self.door.grumbles.answered()
        super().on_response_complete()

    def drop(self) -> None:
        """Close it now, with whatever it has not taken yet."""
        self.dropped = True
        self.transport.abort()

    def _begin(self, seconds: float, *, busy: bool) -> None:
        if self._limit is not None:
            self._limit.cancel()
        if self.dropped:
            return
        self.busy, self.since = busy, self.loop.time()
        self._limit = self.loop.call_later(seconds, self.drop)
