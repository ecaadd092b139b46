"""The machine's clocks, which may be set, and true time, which may not.

``now`` is the calendar: an operator or daylight saving may set it. ``monotonic`` stands still while
the machine is suspended, as it does on Linux. ``true`` runs on through everything: the exchange
lives by it.
"""

from datetime import datetime, timedelta

from bidder.clock import VirtualClock


class MachineClock(VirtualClock):
    """The clock of one machine on which everything may happen to time."""

    def __init__(self, start: datetime) -> None:
        """Start with all three kinds of time in agreement."""
        super().__init__(start)
        self._slept = 0.0

    @property
    def true(self) -> float:
        """Return the true seconds since the start."""
        return self.monotonic() + self._slept

    def suspend(self, seconds: float) -> None:
        """Let time pass that the machine sleeps through: its calendar knows afterwards."""
        self._slept += seconds
        self.shift_wall(timedelta(seconds=seconds))
