"""What one receiver is still to be told: told once, not too often, tried again, never without bound.

A pure state machine with seconds as arguments, so that days of it are tested at once. The queue is
bounded: a receiver that is stuck loses its oldest notices, and is told how many those were. What is told
too often is left out only where it is what the receiver heard last of the matter. Where it is a change
back it waits, and is told late unless another change overtakes it: the last word is always right.
"""

import math
from collections import OrderedDict, deque
from dataclasses import dataclass, field, replace

from bidder.domain.notices import Event, Level, Notice, Receiver

MOST_WAITING = 100
# The same thing is not told again within this time.
REPEAT_SECONDS = 600.0
_MOST_REMEMBERED = 1000
# So many messages in so many seconds; whatever else comes then goes into one digest.
BURST, WINDOW_SECONDS = 6, 60.0
_PAUSES = (5.0, 15.0, 60.0, 300.0, 900.0)
# After these tries a notice is given up: it would be old news.
MOST_TRIES = 8
_LINES_IN_DIGEST = 20
# Events of which the latest says how one and the same thing stands.
_STANDINGS = (
    frozenset({Event.WON, Event.OUTBID, Event.DISPLACED, Event.MOVED, Event.ENDED}),
    frozenset({Event.WORKLOAD_DEAD, Event.WORKLOAD_ALIVE}),
)
_Matter = tuple[frozenset[Event], str]
_Word = tuple[Event, Level]


@dataclass(slots=True)
class Outbox:
    """One receiver's waiting notices."""

    receiver: Receiver
    lost: int = 0  # notices that never went out
    repeated: int = 0  # notices left out because they had just been told
    _waiting: deque[Notice] = field(default_factory=deque)
    # Of each matter when each word was last said, the last word last.
    _told: OrderedDict[_Matter, OrderedDict[_Word, float]] = field(default_factory=OrderedDict)
    _held: dict[_Matter, tuple[float, Notice]] = field(default_factory=dict)  # and from when on it goes
    _sent: deque[float] = field(default_factory=deque)
    _current: Notice | None = None
    _parts: tuple[Notice, ...] = ()  # the notices of which the current message speaks
    _tries: int = 0
    _tried_at_the_end: bool = False
    _not_before: float = 0.0
    _untold_losses: int = 0
    _telling: int = 0  # of them, those that the present message speaks of

    def put(self, notice: Notice, now: float) -> bool:
        """Take a notice to be sent; return whether it will be."""
        if not self.receiver.wants(notice):
            return False
        if notice.key and not self._is_due(notice, now):
            return _matter(notice) in self._held
        self._queue(notice)
        return True

    def next(self, now: float, *, ending: bool = False) -> tuple[Notice | None, float | None]:
        """Return what to send now; else None and the seconds to wait, None where nothing waits.

        With ``ending`` all that waits goes at once, in one message, which is tried once.
        """
        self._let_go(math.inf if ending else now, now)
        if self._current is None and not self._waiting:
            return None, min((due - now for due, _ in self._held.values()), default=None)
        if ending:
            if self._tried_at_the_end and not self._waiting:
                return None, None
            self._tried_at_the_end = True
            self._waiting.extendleft(reversed(self._parts))
            self._current, self._tries = self._everything(), 0
            return self._current, 0.0
        ready = self._ready_at(now)
        if ready > now:
            return None, ready - now
        if self._current is None:
            self._current, self._tries = self._take(), 0
        return self._current, 0.0

    def sent(self, now: float) -> tuple[Notice, ...]:
        """Note that the message went out; return the notices of which it spoke."""
        arrived, self._current, self._parts = self._parts, None, ()
        self._untold_losses -= self._telling
        self._telling = 0
        self._not_before = 0.0
        self._sent.append(now)
        return arrived

    def failed(self, now: float) -> float | None:
        """Note that it did not; return the pause before the next try, None where it is given up."""
        assert self._current is not None
        self._tries += 1
        pause = _PAUSES[min(self._tries, len(_PAUSES)) - 1]
        self._not_before = now + pause
        if self._tries < MOST_TRIES:
            return pause
        self._lose(len(self._parts))
        self._current, self._parts, self._telling = None, (), 0
        return None

    @property
    def waiting(self) -> int:
        """Return how many notices are not sent yet."""
        return len(self._held) + len(self._waiting) + len(self._parts)

    def _is_due(self, notice: Notice, now: float) -> bool:
        """Return whether to tell it now; where it is only too early for it, it is held back."""
        matter, word = _matter(notice), (notice.event, notice.level)
        self._held.pop(matter, None)
        said = self._told.setdefault(matter, OrderedDict())
        self._told.move_to_end(matter)
        while len(self._told) > _MOST_REMEMBERED:
            self._told.popitem(last=False)
        last = said.get(word)
        if last is not None and now - last < REPEAT_SECONDS:
            if next(reversed(said)) == word:
                self.repeated += 1
                return False
            if len(self._held) < MOST_WAITING:
                self._held[matter] = (last + REPEAT_SECONDS, notice)
                return False
        said[word] = now
        said.move_to_end(word)
        return True

    def _let_go(self, until: float, now: float) -> None:
        """Queue what was held back until then."""
        for matter, (due, notice) in list(self._held.items()):
            if due <= until:
                del self._held[matter]
                said, word = self._told.setdefault(matter, OrderedDict()), (notice.event, notice.level)
                said[word] = now
                said.move_to_end(word)
                self._queue(notice)

    def _queue(self, notice: Notice) -> None:
        if len(self._waiting) >= MOST_WAITING:
            self._waiting.popleft()
            self._lose(1)
        self._waiting.append(notice)

    def _lose(self, count: int) -> None:
        self.lost += count
        self._untold_losses += count

    def _ready_at(self, now: float) -> float:
        while self._sent and now - self._sent[0] >= WINDOW_SECONDS:
            self._sent.popleft()
        free = self._sent[0] + WINDOW_SECONDS if len(self._sent) >= BURST else 0.0
        return max(free, self._not_before)

    def _take(self) -> Notice:
        """Return the next message: one notice, or all that wait where they are more than may go."""
        room, waiting = BURST - len(self._sent), len(self._waiting)
        if not self._untold_losses and (waiting == 1 or (room > 1 and waiting <= BURST)):
            self._parts = (self._waiting.popleft(),)
            return self._parts[0]
        return self._everything()

    def _everything(self) -> Notice:
        self._parts = notices = tuple(self._waiting)
        self._waiting.clear()
        self._telling = self._untold_losses
        if len(notices) == 1 and not self._untold_losses:
            return notices[0]
        return digest(notices, lost=self._untold_losses)


def _matter(notice: Notice) -> _Matter:
    """Return of what a notice is the latest word."""
    alone = frozenset({notice.event})
    return next((each for each in _STANDINGS if notice.event in each), alone), notice.key


def digest(notices: tuple[Notice, ...], *, lost: int = 0) -> Notice:
    """Return several notices as one, the pressing ones first."""
    ordered = sorted(notices, key=lambda each: -each.level)
    newest = max(notices, key=lambda each: each.at)
    lines = [f"{_when(each, newest)} {each.title}" for each in ordered[:_LINES_IN_DIGEST]]
    if len(ordered) > _LINES_IN_DIGEST:
        lines.append(f"and {len(ordered) - _LINES_IN_DIGEST} more")
    if lost:
        lines.append(f"{lost} older notices could not be sent")
    return replace(
        newest,
        event=Event.DIGEST,
        level=max(each.level for each in notices),
        title=f"{len(notices)} notices",
        text="\n".join(lines),
        key="",
        facts={"notices": len(notices), "lost": lost},
    )


def _when(notice: Notice, newest: Notice) -> str:
    """Return when it was, with the date where that is not the latest one's: the digest's own."""
    same_day = notice.at.date() == newest.at.date()
    return f"{notice.at:%H:%M}" if same_day else f"{notice.at:%Y-%m-%d %H:%M}"
