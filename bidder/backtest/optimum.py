"""The clairvoyant optimum: the most that anybody could have earned under the same rules.

Exact dynamic programming backwards over the grid, the bid and the lowering clock, knowing the whole
future. Three observations keep it small. Of two bids that both run (or both do not), the lower one is
never worth less, because it may be raised for free at any time; so a raise goes to the least bid that
runs now or does not happen, and so does a creation. A lowering goes as far down as it may while it
runs, or as far as it may. And while no price changes, waiting with an open clock gains nothing, so
the grid's own moments suffice where prices change on it. Where a raise starts the clock it is not
free, and every level within reach is weighed; where a creation does, it may come before it can run.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from bidder.backtest.ladder import Ladder, uniform
from bidder.backtest.terms import Terms

if TYPE_CHECKING:
    from bidder.backtest.ladder import Array

_KEEP_EVERY = 512


@dataclass(frozen=True, slots=True, kw_only=True)
class Optimum:
    """The best utility, and where asked for, the bid at each moment of the grid (None: no offer)."""

    utility: float
    bids: tuple[float | None, ...] = ()


def optimum(points: Sequence[Decimal], terms: Terms, *, path: bool = False) -> Optimum:
    """Return the optimum for rival prices on the grid; ``path`` asks for the bids as well.

    The utility is in the trace's currency: value less bid while running, less restarts and fees.
    """
    if not points:
        return Optimum(utility=0.0)
    climb = Climb(uniform(points, terms))
    if not path:
        return Optimum(utility=climb.solve()[0])
    return climb.with_path()


class Climb:
    """The way through one ladder, backwards and forwards."""

    def __init__(self, ladder: Ladder) -> None:
        """Keep the ladder."""
        self.ladder = ladder

    def solve(
        self,
        stop: int = 0,
        after: "tuple[Array, float] | None" = None,
        start: int | None = None,
        keep: dict[int, Any] | None = None,
        every: int = _KEEP_EVERY,
    ) -> "tuple[float, Array]":
        """Return the value without an offer, and with one, before moment ``stop``."""
        ladder, count = self.ladder, self.ladder.count
        values, none = after or (ladder.nothing(), 0.0)
        last = ladder.moments if start is None else start
        for moment in range(last - 1, stop - 1, -1):
            if keep is not None and (moment + 1) % every == 0:
                keep[moment + 1] = (ladder.widened(values, none, count), none)
            values = ladder.widened(values, none, ladder.needed(moment, values, none))
            chosen = ladder.chosen(moment, values)
            none = max(none, ladder.created(moment, chosen))
            values = self._worthwhile(ladder.before(moment, chosen, none), none)
        return float(none), ladder.widened(values, none, count)

    def _worthwhile(self, values: "Array", none: float) -> "Array":
        """Return the values up to the highest level that is worth more than having no offer."""
        # With an open clock no level is worth less than with one that runs.
        worth = self.ladder.np.flatnonzero(values[0] > none)
        return values[:, : int(worth[-1]) + 1 if len(worth) else 0]

    def with_path(self) -> Optimum:
        """Return the utility and the bids that earn it, from values kept now and then."""
        ladder = self.ladder
        kept: dict[int, Any] = {ladder.moments: (ladder.nothing(), 0.0)}
        best, _ = self.solve(keep=kept)
        bids: list[float | None] = []
        bid, clock = -1, 0
        for begin in range(0, ladder.moments, _KEEP_EVERY):
            end = min(begin + _KEEP_EVERY, ladder.moments)
            inner: dict[int, Any] = {end: kept[end]}
            self.solve(begin, kept[end], end, keep=inner, every=1)
            for moment in range(begin, end):
                bid, clock = self._step(moment, bid, clock, *inner[moment + 1])
                bids.append(None if bid < 0 else float(ladder.levels[bid]))
                clock = max(clock - 1, 0)
        return Optimum(utility=best, bids=tuple(bids))

    def _step(self, moment: int, bid: int, clock: int, later: "Array", none: float) -> tuple[int, int]:
        """Return the bid (-1: none) and the clock after the best choice at one moment."""
        ladder = self.ladder
        chosen = ladder.chosen(moment, later)
        options: list[tuple[float, int, int]] = [(none, -1, 0)]
        if bid >= 0:
            options += ladder.moves(moment, bid, clock, chosen)
        options.append((*ladder.creation(moment, chosen), ladder.after_creation))
        # Ties go to what stays as it is: the first that was considered.
        _, level, ticking = max(options, key=lambda option: option[0])
        return level, ticking
