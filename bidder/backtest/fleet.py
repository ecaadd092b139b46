"""One place for a server, and several servers that it may be: the best that could be done with it.

The optimum of one ladder, over many at once: without an offer every server is open, and whoever gives
up an offer on one may create one on another in the same moment. At most one offer stands.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from math import isqrt
from typing import TYPE_CHECKING, Any

from bidder.backtest.ladder import Ladder

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Array = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class State:
    """Where one stands before a moment: on which ladder, at which level, and the clock's moments.

    ``server`` -1 is without an offer.
    """

    server: int = -1
    level: int = 0
    clock: int = 0


NOTHING = State()


@dataclass(frozen=True, slots=True)
class Move:
    """A choice at one moment: the state that it leads to, its clock not yet run on."""

    to: State
    creates: bool = False


@dataclass(frozen=True, slots=True)
class Values:
    """What each state is worth before one moment."""

    ladders: "tuple[Array, ...]"
    none: float

    def of(self, state: State) -> float:
        """Return what a state is worth."""
        if state.server < 0:
            return self.none
        return float(self.ladders[state.server][state.clock, state.level])


@dataclass(frozen=True, slots=True)
class Look:
    """One moment with the whole future known: what each state is worth before and after it."""

    fleet: "Fleet"
    moment: int
    before: Values
    after: Values

    def best(self, state: State) -> Move:
        """Return the best choice: of equal ones the offer as it is, another price, none, a new one."""
        options: list[tuple[float, Move]] = []
        if state.server >= 0:
            ladder = self.fleet.ladders[state.server]
            chosen = ladder.chosen(self.moment, self.after.ladders[state.server])
            options += [
                (worth, Move(State(state.server, level, clock)))
                for worth, level, clock in ladder.moves(self.moment, state.level, state.clock, chosen)
            ]
        options.append((self.after.none, Move(NOTHING)))
        for number, ladder in enumerate(self.fleet.ladders):
            chosen = ladder.chosen(self.moment, self.after.ladders[number])
            worth, level = ladder.creation(self.moment, chosen)
            options.append((worth, Move(State(number, level, ladder.after_creation), creates=True)))
        return max(options, key=lambda option: option[0])[1]


def ticked(state: State) -> State:
    """Return the state one moment later."""
    return State(state.server, state.level, max(state.clock - 1, 0))


class Fleet:
    """Servers of which at most one is held; their ladders have the same moments."""

    def __init__(self, ladders: Sequence[Ladder], moments: int) -> None:
        """Keep the ladders; there may be none of them."""
        self.ladders = tuple(ladders)
        self.moments = moments

    def looks(self) -> Iterator[Look]:
        """Yield every moment in order. Values are kept now and then, and reckoned again between."""
        every = max(1, isqrt(self.moments))
        end = Values(tuple(ladder.nothing() for ladder in self.ladders), 0.0)
        kept: dict[int, Values] = {self.moments: end}
        self._back(self.moments, 0, end, kept, every)
        for begin in range(0, self.moments, every):
            stop = min(begin + every, self.moments)
            inner: dict[int, Values] = {stop: kept[stop]}
            self._back(stop, begin, kept[stop], inner, 1)
            for moment in range(begin, stop):
                yield Look(self, moment, inner[moment], inner[moment + 1])

    def _back(self, start: int, stop: int, after: Values, keep: dict[int, Any], every: int) -> None:
        values = after
        for moment in range(start - 1, stop - 1, -1):
            values = self._before(moment, values)
            if moment % every == 0:
                keep[moment] = values

    def _before(self, moment: int, later: Values) -> Values:
        chosen = [
            ladder.chosen(moment, values)
            for ladder, values in zip(self.ladders, later.ladders, strict=True)
        ]
        none = later.none
        for ladder, each in zip(self.ladders, chosen, strict=True):
            none = max(none, ladder.created(moment, each))
        return Values(
            tuple(
                ladder.before(moment, each, none)
                for ladder, each in zip(self.ladders, chosen, strict=True)
            ),
            none,
        )
