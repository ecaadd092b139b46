"""A bidder who sees the next minutes exactly, and what lies beyond them no better than anybody.

At each moment of the grid it solves the same exact dynamic program as the clairvoyant optimum, but
over the prices that it can see, closed by what the past says an offer is worth there (``beyond``). It
makes the first move of that plan, and plans anew at the next moment. What it earns is what its moves
earn in the ``auction``, as with every strategy. With the whole future in view it is the optimum.
"""

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING

from bidder.backtest.auction import Auction
from bidder.backtest.beyond import Beyond
from bidder.backtest.ladder import Ladder, ticks_down, uniform
from bidder.backtest.runner import Run, summed
from bidder.backtest.terms import Terms

if TYPE_CHECKING:
    from bidder.backtest.ladder import Array

# Beyond a day it takes hours to compute, and is the optimum in all but name.
MOST = timedelta(days=1)
_DAY = timedelta(days=1)
# The level and the clock after a move, and whether what stood is cancelled for it; level -1: no offer.
_Move = tuple[int, int, bool]


def play(
    name: str,
    points: Sequence[Decimal],
    start: datetime,
    terms: Terms,
    *,
    foresight: timedelta,
    past: Sequence[Decimal] = (),
    keep_periods: bool = False,
) -> Run:
    """Run a bidder who sees ``foresight`` ahead over rival prices on the grid, the first at ``start``.

    ``past`` are the prices on the grid before it, to learn from.
    """
    # A tick that does not divide the step rounds that up, for this bidder as for the optimum.
    allowed = replace(terms, step=max(terms.step, terms.tick * ticks_down(terms)))
    auction = Auction(terms=allowed, now=start, rival=points[0], keep_periods=keep_periods)
    seer = _Seer(points, terms, foresight // terms.grid, past)
    lowest, cap = min(points), terms.on_demand
    level, clock = -1, 0
    for moment, point in enumerate(points):
        auction.advance(start + moment * terms.grid, point)
        level, clock, anew = seer.move(moment, level, clock)
        bid = None if level < 0 else lowest + terms.tick * level
        if bid is not None and cap is not None:
            bid = min(bid, cap)
        if auction.bid is not None and (anew or bid is None):
            auction.cancel()
        if bid is not None and auction.bid is None:
            auction.create(bid)
        elif bid is not None and bid != auction.bid:
            auction.reprice(bid)
        clock = max(clock - 1, 0)
    auction.advance(start + len(points) * terms.grid)
    return summed(name, auction, start)


class _Seer:
    """The plan at each moment, from the prices in view and what was learnt before it."""

    def __init__(
        self, points: Sequence[Decimal], terms: Terms, ahead: int, past: Sequence[Decimal]
    ) -> None:
        import numpy as np

        self.np, self.points, self.past, self.ahead = np, points, past, ahead
        self.ladder = uniform(points, terms)
        self.down = ticks_down(terms)
        self.day = max(1, _DAY // terms.grid)
        self.beyond = Beyond(terms, min(points))
        self.beyond.learn(past)
        # The same view of the same offer asks for the same move, until something is learnt.
        self.known: dict[tuple[bytes, int, int], _Move] = {}

    def move(self, moment: int, bid: int, clock: int) -> _Move:
        """Return the best move with an offer at a level (-1: none) and its clock."""
        if moment and moment % self.day == 0:
            self._learn(moment)
        begin, end = max(moment - 1, 0), min(moment + self.ahead + 1, len(self.points))
        # Once the end is in sight, the same prices no longer go on in the same way.
        open_ended = end < len(self.points)
        view = (self.ladder.runs_from[begin:end].tobytes(), bid, clock)
        if open_ended and view in self.known:
            return self.known[view]
        found = self._plan(moment - begin, begin, end, bid, clock)
        if open_ended:
            self.known[view] = found
        return found

    def _learn(self, moment: int) -> None:
        """Learn from the day before the last one, which only shows how that one went on."""
        self.known.clear()
        first = moment - 2 * self.day
        if first >= 0:
            self.beyond.learn(self.points[first:moment])
        elif len(self.past) + first >= 0:
            self.beyond.learn([*self.past[first:], *self.points[:moment]])

    def _plan(self, now: int, begin: int, end: int, bid: int, clock: int) -> _Move:
        runs = self.ladder.runs_from[begin:end]
        in_reach = [int(each) for each in runs if each < self.ladder.count]
        if bid >= 0:
            in_reach.append(bid)
        if not in_reach:
            return -1, 0, False
        # Only the levels that can be of use within the view: there are thousands.
        lowerings = (end - begin) // self.ladder.pause + 1
        bottom = max(min(in_reach) - lowerings * self.down, 0)
        top = max(in_reach) + 1
        ladder = self._part(begin, end, bottom, top)
        values, none = self._closing(ladder, end, bottom, top), 0.0
        for moment in range(ladder.moments - 1, now, -1):
            chosen = ladder.chosen(moment, values)
            none = max(none, ladder.created(moment, chosen))
            values = ladder.before(moment, chosen, none)
        level, ticking, anew = _best(ladder, now, bid - bottom if bid >= 0 else -1, clock, values, none)
        return (level + bottom if level >= 0 else -1), ticking, anew

    def _part(self, begin: int, end: int, bottom: int, top: int) -> Ladder:
        whole, np = self.ladder, self.np
        return Ladder(
            levels=whole.levels[bottom:top],
            lower=np.maximum(whole.lower[bottom:top] - bottom, 0),
            runs_from=np.clip(whole.runs_from[begin:end] - bottom, 0, top - bottom),
            gain=whole.gain[bottom:top],
            start_cost=whole.start_cost,
            fee=whole.fee,
            pause=whole.pause,
            creation_starts_clock=whole.after_creation > 0,
            raise_starts_clock=whole.raise_starts,
        )

    def _closing(self, ladder: Ladder, end: int, bottom: int, top: int) -> "Array":
        """Return what each clock and level is worth where the view ends."""
        if end == len(self.points):
            return ladder.nothing()
        worth = self.beyond.worth(self.points[end - 1])
        # Rounded up: what runs must not count as outbid on the coarser ladder.
        coarse = -(-self.np.arange(bottom, top) // self.down)
        closing: Array = worth[:, self.np.minimum(coarse, worth.shape[1] - 1)]
        return closing


def _best(ladder: Ladder, now: int, bid: int, clock: int, later: "Array", none: float) -> _Move:
    """Return the best move; ties go to what stays as it is."""
    chosen = ladder.chosen(now, later)
    options: list[tuple[float, _Move]] = []
    if bid >= 0:
        moves = ladder.moves(now, bid, clock, chosen)
        options += [(worth, (level, ticking, False)) for worth, level, ticking in moves]
    options.append((none, (-1, 0, True)))
    worth, level = ladder.creation(now, chosen)
    options.append((worth, (level, ladder.after_creation, True)))
    return max(options, key=lambda option: option[0])[1]
