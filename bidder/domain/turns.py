"""Whose turn it is to have a book read for its search, and for how long such a book is gone by.

The books of candidates share what the books of our own orders leave. Of the targets that search, the
first one of the configuration goes first, which ends its search soonest; but after so many reads that
did not end it, it takes turns with the others, or a search in vain would starve them.

Rejected: turns from the first read on. Two short searches would both end when the longer one does.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

# Candidates share the budget with the books of running orders; without this they would starve.
CANDIDATE_EVERY = timedelta(seconds=2)
# Enough for most searches: a minute where orders of ours are live.
_AT_ONCE = 30
# A search for which nothing was read for so long is over; the next one is a new one.
_OVER = timedelta(minutes=5)
# A book is gone by for so long in any case.
_REMEMBERED = timedelta(minutes=5)
# A walk takes so many times longer than it should where what is urgent is read first, prices move
# meanwhile and some reads fail.
_SLACK = 3

_ALWAYS = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True, kw_only=True)
class Turn:
    """When a book was last read for a target's search, and how many have been since it began."""

    at: datetime
    reads: int = 1


def taken(turns: Mapping[str, Turn], target: str, at: datetime) -> Mapping[str, Turn]:
    """Return the turns after a read for ``target``, whether it was answered or not."""
    lasting = {name: turn for name, turn in turns.items() if at - turn.at <= _OVER}
    before = lasting.get(target)
    return {**lasting, target: Turn(at=at, reads=1 if before is None else before.reads + 1)}


def waits_since(turns: Mapping[str, Turn], target: str | None, now: datetime) -> datetime:
    """Return since when a target waits for its turn: who waits longest goes first."""
    turn = None if target is None else turns.get(target)
    if turn is None or turn.reads < _AT_ONCE or now - turn.at > _OVER:
        return _ALWAYS
    return turn.at


def sharing(turns: Mapping[str, Turn], now: datetime) -> int:
    """Return how many targets share the reads at present; one at least."""
    return max(1, sum(now - turn.at <= _OVER for turn in turns.values()))


def remembered(servers: int, sharing: int) -> timedelta:
    """Return for how long a book is gone by where so many ``servers`` must be known to choose one.

    Five minutes; but where so many cannot be read anew within that, as long as a walk through all of
    them may take. With less no search would ever end. ``sharing`` is how many targets take turns.
    """
    return max(_REMEMBERED, _SLACK * servers * sharing * CANDIDATE_EVERY)
