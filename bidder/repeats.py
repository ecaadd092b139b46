"""Saying the same thing less and less often, so that a week's outage does not fill a disk.

The first occurrences are said one by one, then one for each growing interval with the number of
those in between, and one line when it is over.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta

_ONE_BY_ONE = 3
_FIRST, _LONGEST = timedelta(minutes=1), timedelta(hours=6)


@dataclass(slots=True)
class Repeats:
    """One kind of trouble: since when it lasts, and when it was last said."""

    count: int = 0
    since: datetime | None = None
    unsaid: int = 0
    _last_at: datetime | None = None
    _said_at: datetime | None = None
    _pause: timedelta = _FIRST

    def again(self, now: datetime) -> bool:
        """Count an occurrence; return whether it should be said. ``unsaid`` went before it."""
        if self.since is None:
            self.since = now
        self.count += 1
        self._last_at = now
        if self.count <= _ONE_BY_ONE:
            self._said_at = now
            return True
        if self._said_at is not None and timedelta(0) <= now - self._said_at < self._pause:
            self.unsaid += 1
            return False
        self._said_at = now
        self._pause = min(self._pause * 2, _LONGEST)
        return True

    def said(self) -> int:
        """Return how many occurrences were left out before this line, and begin to count anew."""
        unsaid, self.unsaid = self.unsaid, 0
        return unsaid

    def over(self, now: datetime, *, after: timedelta = timedelta(0)) -> tuple[int, timedelta] | None:
        """Note that it is over; return how often and for how long, None where nothing was left out.

        It is not over while the last occurrence is less than ``after`` ago.
        """
        if self._last_at is not None and timedelta(0) <= now - self._last_at < after:
            return None
        count, since = self.count, self.since
        self.count, self.since, self.unsaid, self._said_at, self._pause = 0, None, 0, None, _FIRST
        if since is None or count <= _ONE_BY_ONE:
            return None
        return count, now - since
