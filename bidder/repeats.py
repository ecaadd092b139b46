"""Saying the same thing less and less often, so that a week's outage does not fill a disk.

The first occurrences are said one by one, then one for each growing interval with the number of
those in between, and one line when it is over. What comes and goes is one trouble: a success in
between does not make the next failure news. Only peace does, little by little.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta

_ONE_BY_ONE = 3
_FIRST, _LONGEST = timedelta(minutes=1), timedelta(hours=6)
# Trouble is over when it has stayed away for so long.
STEADY = timedelta(minutes=5)
# Peace of this length halves the interval; after an hour of it whatever comes is news again.
_HALVED_BY, _FORGOTTEN_AFTER = timedelta(minutes=15), timedelta(hours=1)


@dataclass(slots=True)
class Repeats:
    """One kind of trouble: since when it lasts, and when it was last said.

    ``unsaid`` counts the occurrences since the last line.
    """

    count: int = 0
    since: datetime | None = None
    unsaid: int = 0
    _last_at: datetime | None = None
    _peace_since: datetime | None = None
    _said_at: datetime | None = None
    _lines: int = 0  # of the present trouble
    _singly: int = _ONE_BY_ONE
    _pause: timedelta = _FIRST

    def again(self, now: datetime) -> bool:
        """Count an occurrence; return whether it should be said. ``unsaid`` went before it."""
        self._calm_down(now)
        if self.since is None:
            self.since = now
        self.count += 1
        self._last_at = now
        if self._singly:
            self._singly -= 1
        elif self._said_at is not None and timedelta(0) <= now - self._said_at < self._pause:
            self.unsaid += 1
            return False
        else:
            self._pause = min(self._pause * 2, _LONGEST)
        self._said_at = now
        self._lines += 1
        return True

    def said(self) -> int:
        """Return how many occurrences were left out before this line, and begin to count anew."""
        unsaid, self.unsaid = self.unsaid, 0
        return unsaid

    def over(self, now: datetime, *, after: timedelta = STEADY) -> tuple[int, timedelta] | None:
        """Note that all is well; return how often and for how long it was not, once it is over.

        It is not over while the last occurrence is less than ``after`` ago. None also where there is
        nothing to add: every occurrence was said, or none.
        """
        if self.since is None:
            return None
        if self._peace_since is None:
            self._peace_since = now
        if self._last_at is not None and timedelta(0) <= now - self._last_at < after:
            return None
        count, lines, lasted = self.count, self._lines, self._peace_since - self.since
        self.count, self.since, self._lines = 0, None, 0
        if not lines or count <= lines:
            return None
        self.unsaid = 0
        return count, max(lasted, timedelta(0))

    def _calm_down(self, now: datetime) -> None:
        since, self._peace_since = self._peace_since, None
        peace = timedelta(0) if since is None else now - since
        if peace >= _FORGOTTEN_AFTER:
            self._singly, self._pause = _ONE_BY_ONE, _FIRST
        elif peace > _FIRST:
            self._pause = max(_FIRST, self._pause / 2 ** (peace / _HALVED_BY))
