"""Which decision a loss belongs to, and what would have been better."""

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from decimal import Decimal

from bidder.backtest.fleet import Move, State
from bidder.backtest.ladder import Ladder
from bidder.domain import sentences
from bidder.domain.ids import OrderId, ServerId
from bidder.domain.regret import TOLD, Costly
from bidder.store.records import DecisionRecord

# Less than this is rounding.
_LEAST = 1e-4
_UNRECORDED = "No decision of that time is kept"


@dataclass(slots=True)
class _Sum:
    lost: float = 0.0
    worst: float = 0.0
    better: str = ""
    at: datetime | None = None
    server: ServerId | None = None
    order: OrderId | None = None
    minutes: float = 0.0
    ran: float = 0.0
    starts: int = 0

    def told(self) -> str:
        """Return what was best, and what happened while the decision stood."""
        starts = "no start" if not self.starts else f"{self.starts} start{'s' * (self.starts > 1)}"
        return (
            f"{self.better}; while the decision stood ({self.minutes:.0f} min) a server ran for"
            f" {self.ran:.0f} min, with {starts} of running"
        )


@dataclass(slots=True)
class Blame:
    """Adds up what each decision of one target cost."""

    target: str
    decisions: Sequence[DecisionRecord]
    _sums: dict[int, _Sum] = field(default_factory=dict)
    _of_order: dict[OrderId | None, list[int]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Sort the decisions by what they are about; they come oldest first."""
        for number, decision in enumerate(self.decisions):
            self._of_order.setdefault(decision.order, []).append(number)

    def add(
        self,
        lost: float,
        better: str,
        *,
        begin: datetime,
        end: datetime,
        before: tuple[OrderId, ServerId] | None,
        after: tuple[OrderId, ServerId] | None,
        ran: float,
        starts: int,
    ) -> None:
        """Lay one moment's loss on the decision that was in force, with what would have been better.

        ``before`` and ``after`` are the order that stood when the moment began and when it ended;
        ``ran`` is the share of the moment in which it ran, ``starts`` how often it began to.
        """
        number = self._in_force(begin, end, before, after)
        found = self._sums.setdefault(number, _Sum())
        minutes = (end - begin) / timedelta(minutes=1)
        found.minutes += minutes
        found.ran += minutes * ran
        found.starts += starts
        if not better:
            return
        found.lost += lost
        if lost > found.worst or found.at is None:
            held = before or after
            found.worst, found.better, found.at = lost, f"at {begin:%H:%M} UTC was {better}", begin
            found.order, found.server = (None, None) if held is None else held

    def costly(self) -> tuple[Costly, ...]:
        """Return the decisions that cost most, worst first."""
        ranked = sorted(self._sums.items(), key=lambda item: -item[1].lost)
        return tuple(self._told(number, found) for number, found in ranked[:TOLD] if found.lost > _LEAST)

    def _told(self, number: int, found: _Sum) -> Costly:
        assert found.at is not None
        usd = round(Decimal(repr(found.lost)), 6)
        if number < 0:
            sentence = f"{_UNRECORDED}."
            return Costly(
                at=found.at,
                target=self.target,
                sentence=sentence,
                better=found.told(),
                usd=usd,
                server=found.server,
                order=found.order,
            )
        decision = self.decisions[number]
        return Costly(
            at=decision.at or found.at,
            target=self.target,
            sentence=sentences.tell(
                decision.reason,
                decision.facts,
                action=None if decision.action is None else decision.action.value,
                price=None if decision.price is None else str(decision.price),
                previous=None if decision.previous_price is None else str(decision.previous_price),
            ),
            better=found.told(),
            usd=usd,
            server=decision.server or found.server,
            order=decision.order or found.order,
        )

    def _in_force(
        self,
        begin: datetime,
        end: datetime,
        before: tuple[OrderId, ServerId] | None,
        after: tuple[OrderId, ServerId] | None,
    ) -> int:
        standing = {held for held in (before, after) if held is not None}
        ours = [n for held in standing for n in self._about(*held, end)]
        if before is None:
            free = self._until(None, end)
            if after is not None:
                free = [n for n in free if self.decisions[n].server == after[1]]
            else:
                # What was placed before belongs to another server wanted.
                free = [n for n in free if self.decisions[n].action is None]
            ours += free
        if not ours:
            return -1
        within = [n for n in ours if _when(self.decisions[n]) >= begin]
        deeds = [n for n in within if self.decisions[n].action is not None]
        return max(deeds or ours)

    def _about(self, order: OrderId, server: ServerId, end: datetime) -> list[int]:
        """Return the decisions on an order; before the first of them, those that placed it."""
        if found := self._until(order, end):
            return found
        placing = (n for n in self._until(None, end) if self.decisions[n].action is not None)
        return [n for n in placing if self.decisions[n].server == server]

    def _until(self, order: OrderId | None, end: datetime) -> list[int]:
        numbers = self._of_order.get(order, [])
        stop = bisect_left(numbers, end, key=lambda n: _when(self.decisions[n]))
        return numbers[max(0, stop - 50) : stop]


def in_words(move: Move, state: State, ladders: Sequence[Ladder], servers: Sequence[ServerId]) -> str:
    """Return what a choice comes to, as the end of a sentence that begins with "the best then was"."""
    to = move.to
    if to.server < 0:
        return "to wait" if state.server < 0 else "to cancel the order and wait"
    price = f"{float(ladders[to.server].levels[to.level]):.4g} USD per day"
    if move.creates:
        again = "anew " if state.server == to.server else ""
        return f"to bid {again}{price} on server {servers[to.server]}"
    if to.level == state.level:
        return "to leave the bid as it was"
    return f"to {'raise' if to.level > state.level else 'lower'} the bid to {price}"


def latest(moments: Iterable[datetime], at: datetime) -> datetime | None:
    """Return the last of these moments that is not after ``at``; they are in order."""
    known = list(moments)
    number = bisect_right(known, at)
    return known[number - 1] if number else None


def _when(decision: DecisionRecord) -> datetime:
    assert decision.at is not None
    return decision.at
