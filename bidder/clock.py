"""The only place that reads time or sleeps.

Everything else gets ``now`` as an argument or a ``Clock`` at construction. Two kinds of time are
kept apart: ``now`` is what calendars and the database understand and may jump when the machine's
clock is set; ``monotonic`` counts seconds that only go forward, and request spacing rests on it.
"""

import asyncio
import heapq
import itertools
import time
from datetime import UTC, datetime, timedelta
from typing import Protocol, TypeVar

_T = TypeVar("_T")


class Clock(Protocol):
    """Tells the time and lets a coroutine wait, in the exchange's seconds."""

    def now(self) -> datetime:
        """Return the current time, aware, in UTC."""
        ...

    def monotonic(self) -> float:
        """Return seconds since an arbitrary start; never goes back."""
        ...

    async def sleep(self, seconds: float) -> None:
        """Wait for this many seconds of this clock."""
        ...

    def real_seconds(self, seconds: float) -> float:
        """Return how many seconds of the machine's own time pass in this many of this clock."""
        ...


class SystemClock:
    """The machine's own time."""

    def now(self) -> datetime:
        """Return the current time, aware, in UTC."""
        return datetime.now(UTC)

    def monotonic(self) -> float:
        """Return the machine's monotonic seconds."""
        return time.monotonic()

    async def sleep(self, seconds: float) -> None:
        """Wait for real."""
        await asyncio.sleep(max(0.0, seconds))

    def real_seconds(self, seconds: float) -> float:
        """Return the same number: this clock runs at the machine's pace."""
        return seconds


class ScaledClock:
    """Time that runs ``speed`` times as fast as the machine's, for the demo.

    Both sides of a demo anchor on the machine's monotonic clock, which is one for all processes,
    so two scaled clocks with the same anchor and speed agree without talking to each other.
    """

    def __init__(self, *, speed: float, start: datetime, anchor: float | None = None) -> None:
        """Start at ``start`` when the machine's monotonic clock shows ``anchor`` (default: now)."""
        if speed <= 0:
            raise ValueError(f"speed must be above 0, not {speed}")
        if start.tzinfo is None:
            raise ValueError("start must be an aware time")
        self.speed = speed
        self._start = start.astimezone(UTC)
        self._anchor = time.monotonic() if anchor is None else anchor

    def now(self) -> datetime:
        """Return the scaled time, aware, in UTC."""
        return self._start + timedelta(seconds=self.monotonic())

    def monotonic(self) -> float:
        """Return scaled seconds since the anchor."""
        return (time.monotonic() - self._anchor) * self.speed

    async def sleep(self, seconds: float) -> None:
        """Wait for ``seconds`` of scaled time."""
        await asyncio.sleep(max(0.0, seconds) / self.speed)

    def real_seconds(self, seconds: float) -> float:
        """Return the machine's seconds in this many scaled ones."""
        return seconds / self.speed


class VirtualClock:
    """Time that moves only when told: hours of sleep pass in microseconds.

    ``sleep`` parks the caller; ``run`` drives one coroutine to its end, jumping from one wake-up
    to the next whenever everything that runs on this clock is asleep.
    """

    def __init__(self, start: datetime) -> None:
        """Stand still at ``start`` (aware) until advanced."""
        if start.tzinfo is None:
            raise ValueError("start must be an aware time")
        self._origin = start.astimezone(UTC)
        self._elapsed = 0.0
        self._wall_shift = timedelta(0)
        self._sleepers: list[tuple[float, int, asyncio.Future[None]]] = []
        self._ticket = itertools.count()

    def now(self) -> datetime:
        """Return the virtual time, aware, in UTC."""
        return self._origin + timedelta(seconds=self._elapsed) + self._wall_shift

    def monotonic(self) -> float:
        """Return virtual seconds since the start; ``shift_wall`` does not touch it."""
        return self._elapsed

    async def sleep(self, seconds: float) -> None:
        """Park until the clock has been advanced this far."""
        if seconds <= 0:
            await asyncio.sleep(0)
            return
        wake: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        heapq.heappush(self._sleepers, (self._elapsed + seconds, next(self._ticket), wake))
        await wake

    def real_seconds(self, seconds: float) -> float:  # noqa: ARG002 - the protocol's argument
        """Return 0: virtual time costs none of the machine's."""
        return 0.0

    def advance(self, seconds: float) -> None:
        """Move forward, waking whoever's time has come."""
        self._elapsed += max(0.0, seconds)
        self._wake_due()

    def shift_wall(self, by: timedelta) -> None:
        """Set the calendar forward or back, as an operator or a suspended laptop would."""
        self._wall_shift += by

    def next_wake(self) -> float | None:
        """Return the virtual second of the next sleeper, or None when nobody sleeps."""
        while self._sleepers and self._sleepers[0][2].done():
            heapq.heappop(self._sleepers)
        return self._sleepers[0][0] if self._sleepers else None

    def _wake_due(self) -> None:
        while self._sleepers and self._sleepers[0][0] <= self._elapsed + 1e-9:
            _, _, wake = heapq.heappop(self._sleepers)
            if not wake.done():
                wake.set_result(None)

    async def run(self, main: asyncio.Task[_T]) -> _T:
        """Drive ``main`` to its end, jumping over every moment in which all of it sleeps."""
        idle = 0
        while not main.done():
            await asyncio.sleep(0)
            # A few turns of the loop let woken callbacks settle before time may jump again.
            idle += 1
            if idle < 3:
                continue
            idle = 0
            upcoming = self.next_wake()
            if upcoming is not None:
                self._elapsed = max(self._elapsed, upcoming)
                self._wake_due()
        return main.result()
