"""How the daemon paces itself after failures: the exchange is down, and hammering does not mend it."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from bidder.domain.actions import Decision, PlaceBid, RentOnDemand
from bidder.domain.unread import Unreads
from bidder.exchange.limiter import Limiter

# Longer than any pass takes, and than the slowest pace while the exchange is down: a daemon that has
# made no pass for so long makes none any more.
HUNG_AFTER = timedelta(minutes=3)
# Seconds, by how many failures there were in a row.
_BACK_OFF = (0.0, 1.0, 2.0, 5.0, 10.0, 20.0, 30.0, 60.0)

# A refusal that names the right step or wait is tried again at once.
_VAIN_BEFORE_A_READ = 2


@dataclass(slots=True)
class Pace:
    """What failed lately. ``failures`` are requests in a row without an answer that means anything.

    ``undone`` are creations in a row that never left, or were not even looked at, by target.
    ``vain`` are actions in a row that changed nothing, since something was read last.
    """

    failures: int = 0
    last_answer_at: datetime | None = None
    vain: int = 0
    undone: Counter[str | None] = field(default_factory=Counter)
    _creates_from: float = -1e9

    def note(self, *, ok: bool, at: datetime) -> None:
        """Take note of one request's end."""
        if ok:
            self.failures = 0
            self.last_answer_at = at
        else:
            self.failures += 1

    def note_action(self, *, done: bool) -> None:
        """Take note of an action: one that was refused, or never left, has changed nothing."""
        self.vain = 0 if done else self.vain + 1

    def note_read(self) -> None:
        """Take note of a read, whether or not it was answered."""
        self.vain = 0

    @property
    def reads_first(self) -> bool:
        """Return whether something is read before anything else is tried.

        What is refused again and again is decided on what is known: without a read that stays as it is,
        and nothing else ever has its turn.
        """
        return self.vain >= _VAIN_BEFORE_A_READ

    def note_creation(self, target: str, *, done: bool, seconds: float) -> None:
        """Slow down creations that come to nothing, also while everything else is answered.

        They count for no breaker, and neither does a request that never left for the limiter.
        ``seconds`` is the monotonic clock.
        """
        if done:
            self.undone.clear()
            return
        self.undone[target] += 1
        # A step more than after any failure: something else has a turn before the next one.
        pause = _BACK_OFF[min(self.undone.total() + 1, len(_BACK_OFF) - 1)]
        self._creates_from = seconds + pause

    def most_urgent(
        self, decisions: Iterable[Decision], limiter: Limiter, *, seconds: float
    ) -> Decision | None:
        """Return the first action that may be sent now; a target whose creations fail goes last."""
        creation_wait = limiter.ready_in(creation=True)
        plain_wait = limiter.ready_in()
        may_create = creation_wait <= plain_wait + 1.0 and seconds >= self._creates_from
        ready = (d for d in decisions if d.action is not None and (may_create or not _creates(d)))
        return min(ready, key=lambda d: self.undone[d.target] if _creates(d) else 0, default=None)

    def pause(self, unread: Unreads) -> float:
        """Return how many seconds to leave the exchange alone after failures.

        While nothing but one endpoint has failed, the others may well answer: what fails there is
        put off by itself.
        """
        if len(unread.silent()) > 1:
            return _BACK_OFF[min(self.failures, len(_BACK_OFF) - 1)]
        return _BACK_OFF[min(self.failures, 1)]


def _creates(decision: Decision) -> bool:
    return isinstance(decision.action, PlaceBid | RentOnDemand)
