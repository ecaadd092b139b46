"""Reads that fail while others may be answered: when each is worth another try, and who goes first.

Whoever looks at one thing only would take every failure for the exchange's, and repeat the read that
matters most until it is answered. So each read has a memory of its own: it is put off for longer each
time, and those that are answered go before it. What fails because nothing is answered at all says
nothing of the read itself; that is told apart by whether another was answered in between.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from enum import StrEnum

from bidder.domain.ids import ServerId

LONGEST_PAUSE = timedelta(seconds=60)
# A candidate's server is left alone for so long at least and at most, and the next best one taken.
_PASSED_OVER, _LONGEST_PASSED_OVER = timedelta(minutes=3), timedelta(minutes=30)
# So often what has failed again and again goes before others, or it would never be tried where there
# is always something else to read.
_RETRY_EVERY = timedelta(seconds=10)
# So many servers' books in a row: it is not the servers.
_NOT_THE_SERVERS = 3
# Whatever is still wanted has been tried again long before.
_FORGOTTEN_AFTER = timedelta(hours=1)
_MOST = 300
_NEVER = datetime(1970, 1, 1, tzinfo=UTC)


class Endpoint(StrEnum):
    """What may be read; our orders with the ended ones are another answer than without."""

    ORDERS = "orders"
    ENDED = "ended orders"
    BOOK = "book"
    MARKETPLACE = "marketplace"
    WALLETS = "wallets"


_OUR_ORDERS = frozenset({Endpoint.ORDERS, Endpoint.ENDED})


@dataclass(frozen=True, slots=True, kw_only=True)
class Subject:
    """What one read is about; ``server`` is whose book."""

    endpoint: Endpoint
    server: ServerId | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Unread:
    """A read that failed ``count`` times in a row, last ``at``.

    ``alone_since`` is when it first failed again although another had been answered in between.
    """

    at: datetime
    count: int = 1
    alone_since: datetime | None = None

    def again_at(self, longest: timedelta = LONGEST_PAUSE) -> datetime:
        """Return from when on it is worth another try."""
        return self.at + min(timedelta(seconds=2 ** min(self.count, 10)), longest)

    @property
    def alone_for(self) -> timedelta | None:
        """Return for how long it has failed while others were answered; None where it did not."""
        return None if self.alone_since is None else self.at - self.alone_since


@dataclass(frozen=True, slots=True, kw_only=True)
class Unreads:
    """The reads that fail; when any read, and any book, was last answered.

    ``retried_at`` is when one was last tried again that had failed more than once.
    """

    reads: Mapping[Subject, Unread] = field(default_factory=dict)
    answered_at: datetime | None = None
    book_answered_at: datetime | None = None
    retried_at: datetime | None = None

    def failed(self, subject: Subject, at: datetime, *, limited: bool = False) -> "Unreads":
        """Return the memory after a read that failed; ``limited``: for too many requests.

        Of that, nothing is concluded about what was to be read.
        """
        before = self.reads.get(subject)
        alone = None if before is None else before.alone_since
        if before is not None and alone is None and not limited and self._answered_since(before.at):
            alone = at
        count = 1 if before is None else before.count + 1
        kept = {
            each: unread
            for each, unread in self.reads.items()
            if each != subject and at - unread.at < _FORGOTTEN_AFTER
        }
        kept[subject] = Unread(at=at, count=count, alone_since=alone)
        while len(kept) > _MOST:
            del kept[next(iter(kept))]  # the last failure of the first one is the longest ago
        return replace(self, reads=kept, retried_at=self._retried(before, at))

    def answered(self, subject: Subject, at: datetime) -> "Unreads":
        """Return the memory after a read that was answered."""
        over = {subject}
        if subject.endpoint is Endpoint.ENDED:
            over.add(Subject(endpoint=Endpoint.ORDERS))
        reads = self.reads
        if not over.isdisjoint(reads):
            reads = {each: unread for each, unread in reads.items() if each not in over}
        return Unreads(
            reads=reads,
            answered_at=at,
            book_answered_at=at if subject.endpoint is Endpoint.BOOK else self.book_answered_at,
            retried_at=self._retried(self.reads.get(subject), at),
        )

    def of(self, subject: Subject) -> Unread | None:
        """Return the failure that keeps a read from its turn, which may be that of all books."""
        found = self.reads.get(subject)
        if subject.endpoint is not Endpoint.BOOK or not self.reads:
            return found
        silent = self._silent_books()
        if len(silent) < _NOT_THE_SERVERS:
            return found
        return Unread(at=max(each.at for each in silent), count=sum(each.count for each in silent))

    def stands_back(self, subject: Subject) -> bool:
        """Return whether the reads that are answered go before this one.

        After a first failure it does not, nor do our orders, once another read has been answered.
        """
        unread = self.of(subject)
        if unread is None:
            return False
        early = unread.count == 1 or subject.endpoint in _OUR_ORDERS
        return not (early and self._answered_since(unread.at))

    def failed_at(self, subject: Subject) -> datetime:
        """Return when a read failed last; of those that stand back the one of longest ago goes first."""
        unread = self.reads.get(subject)
        return _NEVER if unread is None else unread.at

    def retry_is_due(self, now: datetime) -> bool:
        """Return whether one of those that fail and stand back goes before the others for once."""
        latest = max(unread.at for unread in self.reads.values())
        if self.retried_at is None:
            return self._answered_since(latest)
        return self._answered_since(self.retried_at) and now - self.retried_at >= _RETRY_EVERY

    def silent(self) -> frozenset[Endpoint]:
        """Return what has failed since anything was answered; our orders count as one."""
        return frozenset(
            Endpoint.ORDERS if subject.endpoint in _OUR_ORDERS else subject.endpoint
            for subject, unread in self.reads.items()
            if not self._answered_since(unread.at)
        )

    def unreadable(self, *, since: timedelta = timedelta(0)) -> frozenset[ServerId]:
        """Return the servers whose books cannot be read, and could not be for as long."""
        return frozenset(
            subject.server
            for subject, unread in self.reads.items()
            if subject.server is not None and unread.alone_for is not None and unread.alone_for >= since
        )

    def passed_over(self, now: datetime) -> frozenset[ServerId]:
        """Return the servers on which nothing is bid for now: their books cannot be read.

        Each is tried again, after as long as it has failed so far: a search waits for what it tries, and
        many such servers in a long list would keep it from its end.
        """
        return frozenset(
            subject.server
            for subject, unread in self.reads.items()
            if subject.server is not None
            and unread.alone_for is not None
            and now - unread.at < min(max(unread.alone_for, _PASSED_OVER), _LONGEST_PASSED_OVER)
        )

    def _silent_books(self) -> list[Unread]:
        since = self.book_answered_at
        return [
            unread
            for subject, unread in self.reads.items()
            if subject.endpoint is Endpoint.BOOK and (since is None or unread.at > since)
        ]

    def _answered_since(self, at: datetime) -> bool:
        return self.answered_at is not None and self.answered_at > at

    def _retried(self, before: Unread | None, at: datetime) -> datetime | None:
        return at if before is not None and before.count > 1 else self.retried_at
