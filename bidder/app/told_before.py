"""Urgent notices of earlier processes: what was told is not told again by each restart.

A container whose token is refused is started again every minute, and each time comes to the same end.
The memory is kept beside the commands, as one that was carried out at once. A notice is noted once it
has got to a receiver, so that what nobody heard is told by the next process. Rejected: to wait for all
receivers. With one that is broken for good the others would be told by each restart.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Self

import structlog

from bidder.app.alarms import REPEAT
from bidder.domain.notices import Event, Level, Notice
from bidder.errors import BidderError
from bidder.store.queries import Queries

log = structlog.get_logger("bidder")

KIND = "told"
# What ended trading is news again once trading has gone on.
_ENDS = frozenset({Event.TOKEN_REFUSED.value, Event.STOPPED.value})
_Subject = tuple[str, str]


@dataclass(slots=True, kw_only=True)
class ToldBefore:
    """What was told before this process, and what it has told that is still to be noted."""

    note: Callable[..., None]  # ``store.commands.note`` for one account and ``KIND``
    _earlier: set[_Subject] = field(default_factory=set)
    _pending: set[_Subject] = field(default_factory=set)

    @classmethod
    def of(cls, queries: Queries, note: Callable[..., None], now: datetime) -> Self:
        """Return the memory as the database has it; raises StoreFailed."""
        found = cls(note=note)
        traded_since = False
        for request in queries.requests_done(KIND, since=now - REPEAT):
            match request.argument:
                case {"event": str(event), "key": str(key)}:
                    if not (traded_since and event in _ENDS):
                        found._earlier.add((event, key))
                case _:
                    traded_since = True
        return found

    def is_known(self, notice: Notice) -> bool:
        """Return whether an earlier process told this lately; asked once more, it is news again."""
        if notice.level is not Level.URGENT or _subject(notice) not in self._earlier:
            return False
        self._earlier.discard(_subject(notice))
        return True

    def told(self, notice: Notice) -> None:
        """Take a notice that was handed out; it is noted by ``delivered``."""
        if notice.level is Level.URGENT and notice.key:
            self._pending.add(_subject(notice))

    def delivered(self, notice: Notice, now: datetime) -> None:
        """Note that a notice has got to one of those who want it: they are not told again."""
        event, key = subject = _subject(notice)
        if notice.level is Level.URGENT and subject in self._pending:
            self._pending.discard(subject)
            self._note({"event": event, "key": key}, f"done: told of {event}", now)

    def trading(self, now: datetime) -> None:
        """Note that trading goes on: should it end once more, that is news."""
        ended = {subject for subject in self._earlier if subject[0] in _ENDS}
        if ended:
            self._earlier -= ended
            self._note(None, "done: trading goes on", now)

    def _note(self, argument: dict[str, Any] | None, outcome: str, now: datetime) -> None:
        try:
            self.note(argument, outcome=outcome, at=now)
        except BidderError as exc:
            # Told twice is better than a daemon that ends for it.
            log.warning("notices.not_noted", error=str(exc))


def _subject(notice: Notice) -> _Subject:
    return notice.event.value, notice.key
