"""One request per second, five seconds between creations: by arithmetic, not by hope.

The exchange judges by arrival, which we cannot see. But a request had arrived before its answer left.
Whoever sends at *last answer + 1 s - e* arrives at least a second after the last arrival as long as
``e`` is no more than the way back then and the way there now together. Those two cannot be less than
the least round trip that the network allows, so a quarter of the least round trip seen is safe by a
factor of four: enough for ways that differ, and for a network that has not shown its best yet. The
first answers are not learnt from at all: they include the making of the connection.

A fixed pause after each answer gives that time away; spacing the sends instead is only safe while no
request overtakes its own delay.

A refusal for too many requests means that our picture is wrong (another process on the same key):
the margin widens at once and narrows again step by step. Where it is refused on its way down, the
limit is slower than we believe, and for an hour it stays at what was accepted just before. A refusal
with no margin at all says nothing of the kind: a page for everybody is met once and gone.
"""

import asyncio
from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import datetime

from bidder.clock import Clock

SPACING = 1.0
CREATION_SPACING = 5.0
_WIDEST_MARGIN = 60.0
_FIRST_MARGIN = 0.25
_NARROWING = 0.8
# A margin that was too narrow is remembered so long, and as no more than this: other causes come and go.
_REMEMBERED, _WIDEST_REMEMBERED = 3600.0, 0.5
_WINDOW = 60.0
_LEARNT_AFTER = 60
# Rounding of clocks and timers; far below anything the exchange could resolve.
_GRAIN = 0.001


class Slot:
    """One request on its way: tell it when the answer came, or leave it and it counts as late."""

    def __init__(self, sent_at: float, sent_on: datetime) -> None:
        """Start a request at ``sent_at`` (monotonic), which is ``sent_on`` by the calendar."""
        self.sent_at = sent_at
        self.sent_on = sent_on
        self.answered = False
        self.sent = True

    def answer(self) -> None:
        """Note that an answer came, so that its round trip may be learnt from."""
        self.answered = True

    def never_left(self) -> None:
        """Note that nothing reached the exchange."""
        self.sent = False


class Limiter:
    """The request budget of one account's key."""

    def __init__(
        self,
        clock: Clock,
        *,
        last_request_at: datetime | None = None,
        last_creation_at: datetime | None = None,
    ) -> None:
        """Start with what an earlier process last did, if there was one."""
        self._clock = clock
        self._lock = asyncio.Lock()
        self._margin = 0.0
        self._least_margin = 0.0
        self._refused_at = float("-inf")
        self._narrowing = False  # an answer has been accepted since the last refusal
        self._least_round_trip: float | None = None
        self._answers = 0
        now = clock.monotonic()
        # Another process may just have died: how long ago, no calendar tells that was set meanwhile,
        # and what is stored lags behind what was sent.
        self._next = now if last_request_at is None else now + SPACING
        self._next_creation = now if last_creation_at is None else now + CREATION_SPACING
        self.last_request_at = last_request_at
        self.last_creation_at = last_creation_at
        self.sent = 0
        self._recent: deque[float] = deque()

    @property
    def head_start(self) -> float:
        """Return how many seconds before *last answer + 1 s* a request may leave."""
        if self._least_round_trip is None or self._answers < _LEARNT_AFTER:
            return 0.0
        return self._least_round_trip / 4

    @property
    def margin(self) -> float:
        """Return the extra seconds kept since a refusal for too many requests."""
        return self._margin

    def ready_in(self, *, creation: bool = False) -> float:
        """Return how many seconds until a request, or a creation, may be sent."""
        at = max(self._next, self._next_creation) if creation else self._next
        return max(0.0, at - self._clock.monotonic())

    def sent_last_minute(self) -> int:
        """Return how many requests were sent in the last 60 seconds."""
        self._forget()
        return len(self._recent)

    @asynccontextmanager
    async def slot(self, *, creation: bool = False) -> AsyncIterator[Slot]:
        """Wait for the next slot and hold it until the request is over."""
        async with self._lock:
            while (wait := self.ready_in(creation=creation)) > 0:
                await self._clock.sleep(wait)
            slot = Slot(self._clock.monotonic(), self._clock.now())
            try:
                yield slot
            finally:
                self._over(slot, creation=creation)

    def refused(self, retry_after_seconds: float | None) -> None:
        """Widen the margin after code 5 or HTTP 429, and honour ``Retry-After``."""
        if self._narrowing:
            self._least_margin = min(
                max(self._margin / _NARROWING, self._least_now()), _WIDEST_REMEMBERED
            )
        self._refused_at, self._narrowing = self._clock.monotonic(), False
        self._margin = min(_WIDEST_MARGIN, max(_FIRST_MARGIN, self._margin * 2))
        pause = SPACING + self._margin
        if retry_after_seconds is not None:
            pause = max(pause, retry_after_seconds)
        self._next = max(self._next, self._clock.monotonic() + pause)

    def accepted(self) -> None:
        """Narrow the margin after an answer that was no such refusal."""
        self._narrowing = True
        narrowed = self._margin * _NARROWING
        self._margin = max(narrowed if narrowed >= _GRAIN else 0.0, self._least_now())

    def _least_now(self) -> float:
        """Return the margin that was accepted just before a narrower one was refused within the hour."""
        lately = self._clock.monotonic() - self._refused_at < _REMEMBERED
        return self._least_margin if lately else 0.0

    def _over(self, slot: Slot, *, creation: bool) -> None:
        if not slot.sent:
            return
        now = self._clock.monotonic()
        self.sent += 1
        self._recent.append(now)
        self._forget()
        self.last_request_at = slot.sent_on
        earlier = 0.0
        if slot.answered:
            round_trip = now - slot.sent_at
            self._answers += 1
            if self._least_round_trip is None or round_trip < self._least_round_trip:
                self._least_round_trip = round_trip
            earlier = self.head_start
        self._next = max(self._next, now + SPACING - earlier + self._margin + _GRAIN)
        if creation:
            self.last_creation_at = slot.sent_on
            self._next_creation = now + CREATION_SPACING - earlier + self._margin + _GRAIN

    def _forget(self) -> None:
        horizon = self._clock.monotonic() - _WINDOW
        while self._recent and self._recent[0] < horizon:
            self._recent.popleft()
