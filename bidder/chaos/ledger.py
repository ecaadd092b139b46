"""What went over the wire, by the wire's own word: what the process at the other end was told.

It lives as long as the day, but most of it is of one process: who was killed has forgotten what it was
told. A pause that an answer asked for binds the process that was given it.
"""

from collections import deque
from datetime import datetime
from email.utils import parsedate_to_datetime

from bidder.sim.answers import DATABASE_ERROR, INVALID_TOKEN, OVER_LIMIT, Answer

_TOO_MANY = 429
# What the client promises where an answer names no pause: a second and this much more, twice as much
# with each such answer in a row.
_SPACING, _FIRST_MARGIN, _WIDEST_MARGIN = 1.0, 0.25, 60.0
# Doubled so often, a margin is the widest.
_DOUBLINGS = 8
# A process that was answered before may take so many refusals of its token within so many seconds for a
# stumble of the exchange's.
_BELIEVED, _BELIEVED_AFTER = 3, 55.0
# Moments are sums of fractions of a second.
_GRAIN = 1e-6
_KEPT_SECONDS = 3600.0


class Ledger:
    """Requests and answers of one account; moments are in true seconds since the day's start."""

    def __init__(self, start: datetime) -> None:
        """Begin at ``start``, to which every moment counts."""
        self._start = start
        self._created: deque[tuple[float, int]] = deque()
        self._too_early: list[str] = []
        self.started()

    def started(self) -> None:
        """Begin anew with a new process, which was told nothing yet."""
        self._not_before = 0.0
        self._asked_for = ""
        self._in_a_row = 0
        self.silent_since: float | None = None
        self.token_refused = False  # for good: at once, or after refusals for a minute
        self.asked_in_vain = 0  # requests since the token was refused
        self._told_else = False
        self._refusing_since: float | None = None
        self._refusals = 0

    def wakes(self, at: float) -> None:
        """Count a silence anew from here on: the machine slept, or its calendar was set."""
        if self.silent_since is not None:
            self.silent_since = at

    def arrives(self, endpoint: str, at: float) -> None:
        """Take note of a request at the exchange's end of the wire."""
        self.asked_in_vain += self.token_refused
        if at < self._not_before - _GRAIN:
            early = self._not_before - at
            self._too_early.append(f"{endpoint} came {early:.3f} s too early: {self._asked_for}")

    def creates(self, server: int, at: float) -> None:
        """Take note of a request for an order on this server."""
        self._created.append((at, server))
        while self._created[0][0] < at - _KEPT_SECONDS:
            self._created.popleft()

    def created_since(self, at: float) -> list[int]:
        """Return the servers of the requests for orders since then, at most an hour back."""
        return [server for when, server in self._created if when >= at]

    def unanswered(self, at: float) -> None:
        """Take note that a request of this moment gets no answer that anybody could use."""
        if self.silent_since is None:
            self.silent_since = at

    def answers(
        self, answer: Answer, *, sent_at: float, at: float, usable: bool, accepted: bool = False
    ) -> None:
        """Take note of an answer that leaves at ``at``, to a request that was sent at ``sent_at``.

        One that is of no use may have been ``accepted`` all the same: its code is a yes.
        """
        over_limit = answer.status == _TOO_MANY or answer.code == OVER_LIMIT
        if over_limit:
            self._refuses(answer.headers.get("retry-after"), at)
        if over_limit or not usable or answer.code == DATABASE_ERROR:
            self.unanswered(sent_at)
            self._in_a_row = 0 if accepted else self._in_a_row
            return
        self._in_a_row, self.silent_since = 0, None
        self._note_token(refused=answer.code == INVALID_TOKEN, at=at)

    def _note_token(self, *, refused: bool, at: float) -> None:
        """Take note of what an answer says of the token; a process need not believe it at once."""
        if not refused:
            self._told_else, self._refusing_since, self._refusals = True, None, 0
            return
        self._refusals += 1
        if self._refusing_since is None:
            self._refusing_since = at
        for_long = at - self._refusing_since >= _BELIEVED_AFTER and self._refusals >= _BELIEVED
        self.token_refused = self.token_refused or not self._told_else or for_long

    def take_too_early(self) -> list[str]:
        """Return the requests that did not keep a pause, each once."""
        found, self._too_early = self._too_early, []
        return found

    def _refuses(self, retry_after: str | None, at: float) -> None:
        self._in_a_row += 1
        margin = min(_WIDEST_MARGIN, _FIRST_MARGIN * 2 ** min(self._in_a_row - 1, _DOUBLINGS))
        until, asked_for = at + _SPACING + margin, "the client slows down by itself"
        if retry_after is not None:
            named, asked_for = self._named(retry_after, at), f"Retry-After was {retry_after}"
            until = max(until, named)
        if until > self._not_before:
            self._not_before, self._asked_for = until, asked_for

    def _named(self, retry_after: str, at: float) -> float:
        if retry_after.isdigit():
            return at + int(retry_after)
        return (parsedate_to_datetime(retry_after) - self._start).total_seconds()
