"""Where trading reads time and sleeps.

What decides gets ``now`` as an argument, what acts a ``Clock`` at construction; the machine's own clock
is read elsewhere only by commands, for what they ask of the database at this moment, and by what serves
real time (the simulator's server, notices). Two kinds of time are
kept apart: ``now`` is what calendars and the database understand and may jump when the machine's
clock is set; ``monotonic`` counts seconds that only go forward, and request spacing rests on it.
"""

import asyncio
import time
from datetime import UTC, datetime, timedelta
from typing import Protocol


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
    """Time that moves only when somebody sleeps on it: hours pass in microseconds.

    It is made for one actor, as the daemon is one: whoever sleeps moves time to the moment of its
    waking. Rejected: parking sleepers on futures and guessing when all of them sleep, which needs
    turns of the event loop and makes a replay depend on their number.
    """

    def __init__(self, start: datetime) -> None:
        """Stand still at ``start`` (aware) until somebody sleeps."""
        if start.tzinfo is None:
            raise ValueError("start must be an aware time")
        self._origin = start.astimezone(UTC)
        self._elapsed = 0.0
        self._wall_shift = timedelta(0)

    def now(self) -> datetime:
        """Return the virtual time, aware, in UTC."""
        return self._origin + timedelta(seconds=self._elapsed) + self._wall_shift

    def monotonic(self) -> float:
        """Return virtual seconds since the start; ``shift_wall`` does not touch it."""
        return self._elapsed

    async def sleep(self, seconds: float) -> None:
        """Let this much virtual time pass."""
        self.advance(seconds)

    def real_seconds(self, seconds: float) -> float:  # noqa: ARG002 - the protocol's argument
        """Return 0: virtual time costs none of the machine's."""
        return 0.0

    def advance(self, seconds: float) -> None:
        """Move time forward."""
        self._elapsed += max(0.0, seconds)

    def shift_wall(self, by: timedelta) -> None:
        """Set the calendar forward or back, as an operator or a suspended laptop would."""
        self._wall_shift += by
