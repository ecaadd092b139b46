"""What an offer is worth where the foresight ends, judged by nothing but the past.

Each day the all-knowing optimum is solved on the days before, and the worth of every bid and clock,
over that of having no offer, is averaged by the price that was seen last. Where a price was never
seen for an hour in all, it is taken to stay. The averages are optimistic, for each of them knew how
its own day went on: hindsight optimisation, as in Chang, Givan and Chong, *On-line Scheduling via
Sampling* (AIPS 2000).

The ladder here has a level for each whole lowering, not for each tick: it is an average anyway.
"""

from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from math import log2
from typing import TYPE_CHECKING

from bidder.backtest.ladder import ticks_down, uniform
from bidder.backtest.optimum import Climb
from bidder.backtest.terms import Terms

if TYPE_CHECKING:
    from bidder.backtest.ladder import Array, Ladder

_DAY = timedelta(days=1)
# A price that is taken to stay does so for this long; by then every walk down that pays is over.
_STAYS = timedelta(hours=6)
_LEAST_SEEN = timedelta(hours=1)
# What was learnt loses half of its weight within two weeks.
_KEPT_A_DAY = 0.95
# Prices are told apart as finely as the ladder near its foot, by 4 % of their height above it far up.
_SORTS_AN_OCTAVE = 16
# A bid above the value loses money while it stands: up to this multiple of the value it is looked at.
_HEADROOM = Decimal("1.6")


class Beyond:
    """What is known about the time that cannot be seen; ``lowest`` is the foot of the ladder."""

    def __init__(self, terms: Terms, lowest: Decimal) -> None:
        """Begin with nothing learnt."""
        step = terms.tick * ticks_down(terms)
        self._terms = replace(terms, tick=step, step=step)
        # Not up to the highest price of use: that would tell of prices that cannot be seen yet.
        self._span = lowest, max(float(terms.value * _HEADROOM), float(lowest + 2 * step))
        self._day = max(1, _DAY // terms.grid)
        self._sums: dict[int, Array] = {}
        self._seen: dict[int, float] = {}
        self._staying: dict[int, Array] = {}
        self._least = _LEAST_SEEN / terms.grid

    def learn(self, prices: Sequence[Decimal]) -> None:
        """Take in prices on the grid; their last day only shows how those before it went on."""
        counted = len(prices) - self._day
        if counted < 2:
            return
        ladder = self._ladder(prices)
        fading = _KEPT_A_DAY ** (counted / self._day)
        for sort in self._sums:
            self._sums[sort] *= fading
            self._seen[sort] *= fading
        values, none = ladder.nothing(), 0.0
        for moment in range(ladder.moments - 1, 0, -1):
            chosen = ladder.chosen(moment, values)
            none = max(none, ladder.created(moment, chosen))
            values = ladder.before(moment, chosen, none)
            if moment <= counted:
                self._add(_sort(ladder.ran_from(moment)), values - none)

    def worth(self, price: Decimal) -> "Array":
        """Return the worth of each clock and level, over having no offer, after a price seen last."""
        ladder = self._ladder((price, price))
        runs = ladder.ran_from(1)
        sort = _sort(runs)
        if self._seen.get(sort, 0.0) >= self._least:
            return self._sums[sort] / self._seen[sort]
        if runs not in self._staying:
            self._staying[runs] = self._stays(price)
        return self._staying[runs]

    def _add(self, sort: int, worth: "Array") -> None:
        if sort in self._sums:
            self._sums[sort] += worth
            self._seen[sort] += 1.0
        else:
            self._sums[sort], self._seen[sort] = worth, 1.0

    def _stays(self, price: Decimal) -> "Array":
        ladder = self._ladder((price,) * (1 + _STAYS // self._terms.grid))
        none, values = Climb(ladder).solve(1)
        staying: Array = values - none
        return staying

    def _ladder(self, prices: Sequence[Decimal]) -> "Ladder":
        return uniform(prices, self._terms, self._span)


def _sort(level: int) -> int:
    return int(_SORTS_AN_OCTAVE * log2(1 + level))
