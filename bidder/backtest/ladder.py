"""The bids that a search looks at on one server, and what each moment makes of them.

Prices of bids lie on the ladder of ticks, which ends at the on-demand price where one is given.
Rejected: a list of (rival's price + tick - k steps), which is exact for any price but grows to tens
of thousands of levels; the ladder's error is below a tick.
"""

from bisect import bisect_left
from collections.abc import Sequence
from decimal import Decimal
from math import ceil
from typing import TYPE_CHECKING

from bidder.backtest.terms import Terms
from bidder.errors import BadInput

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Array = NDArray[np.float64]

_MOST_LEVELS = 200_000
# Levels times clocks: several arrays of so many numbers are held at once, 48 megabytes each.
_MOST_AT_ONCE = 6_000_000
# And times moments: some ten minutes where prices keep every level in play, which is rare.
_MOST_STATES = 100_000_000_000


def ticks_down(terms: Terms) -> int:
    """Return how many ticks of the ladder one lowering goes down.

    Where the tick does not divide the step that is rounded up: what is found then is a bound, which
    nobody beats, and a little more than could be earned.
    """
    return max(1, ceil(float(terms.step) / float(terms.tick) - 1e-9))


def uniform(
    points: Sequence[Decimal], terms: Terms, span: tuple[Decimal, float] | None = None
) -> "Ladder":
    """Return the ladder of one market: levels a tick apart, from its lowest price to the highest of use.

    ``span`` says where it begins and ends instead; prices below it count as its lowest.

    Raises:
        BadInput: there would be too many levels, or too many for so many moments and clocks.
    """
    import numpy as np

    tick = float(terms.tick)
    down = ticks_down(terms)
    prices = np.array([float(point) for point in points])
    if span is None:
        lowest, highest = float(prices.min()), _dearest_worth_it(prices.tolist(), terms) + 2 * tick
    else:
        lowest, highest = float(span[0]), span[1]
    count = int((highest - lowest) / tick) + 2
    if count > _MOST_LEVELS:
        raise BadInput(
            f"a tick of {tick:.3g} makes {count} levels from {lowest:.4g} to {highest:.4g}, at most"
            f" {_MOST_LEVELS} are searched; name a larger --step or --tick"
        )
    at_once = count * terms.pause_cells
    if at_once > _MOST_AT_ONCE or at_once * len(prices) > _MOST_STATES:
        raise BadInput(
            f"{len(prices)} moments, {count} levels of bids from {lowest:.4g} to {highest:.4g} and"
            f" {terms.pause_cells} spacings of the grid in each pause are more than is searched in"
            " minutes; name a larger --grid-seconds, --step or --tick, or a part with --from and --to"
        )
    levels: Array = np.asarray(lowest + tick * np.arange(count), dtype=np.float64)
    # The least level that runs; ``count`` where none does.
    within = np.minimum(prices, highest + 3 * tick)  # farther up they have no level anyway
    runs_from = np.floor((within - lowest) / tick + 1e-9).astype(np.int64) + 1
    cap = float("inf") if terms.on_demand is None else float(terms.on_demand)
    if cap < levels[-1]:
        # The cap itself is the last level, wherever it lies between two: others may bid that much.
        levels = np.append(levels[levels < cap - 1e-9 * tick], cap)
        count = len(levels)
        runs_from[prices >= cap] = count
    return Ladder(
        levels=levels,
        lower=np.maximum(np.arange(count) - down, 0),
        runs_from=np.clip(runs_from, 0, count),
        gain=np.asarray((float(terms.value) - levels) * float(terms.grid_hours), dtype=np.float64),
        start_cost=float(terms.restart_cost),
        fee=float(terms.creation_fee),
        pause=terms.pause_cells,
        creation_starts_clock=terms.creation_starts_clock,
        raise_starts_clock=terms.raise_starts_clock,
    )


def _dearest_worth_it(prices: Sequence[float], terms: Terms) -> float:
    """Return the highest price at which running can be of use; the lowest price where it nowhere is.

    A bid above the value loses money while it runs, and all that it may save is one restart: only a
    stretch through which it runs from end to end, at less than that, may be worth it.
    """
    value, restart = float(terms.value), float(terms.restart_cost / terms.grid_hours) * (1 + 1e-9)
    found = min(prices)
    # Prices that rise, each with what running loses in the stretch in which none is lower.
    rising: list[tuple[float, float]] = []
    for price in (*prices, float("-inf")):
        lost = 0.0
        while rising and rising[-1][0] >= price:
            least, more = rising.pop()
            lost += more
            if least > price and (least < value or lost < restart):
                found = max(found, least)
        rising.append((price, lost + price - value))
    return found


class Ladder:
    """The arrays of one server: levels of bids, by clock; and what each moment makes of them.

    Where values are given on the lowest levels only, what is returned is of these as well: no fewer than
    are ``needed``.

    ``lower`` is the level that one lowering reaches from each level, ``runs_from`` the least level
    that runs at each moment (their number where none does), ``gain`` what one moment of running at a
    level earns. ``watched`` is the share of each moment in which running counts; None: all of each.
    """

    def __init__(
        self,
        *,
        levels: "Array",
        lower: "NDArray[np.int64]",
        runs_from: "NDArray[np.int64]",
        gain: "Array",
        start_cost: float,
        fee: float,
        pause: int,
        creation_starts_clock: bool = False,
        raise_starts_clock: bool = False,
        watched: "Array | None" = None,
    ) -> None:
        """Keep the arrays; where the level rises ``lower`` must not fall, nor ``gain`` rise."""
        import numpy as np

        self.np = np
        self.levels, self.lower, self.gain = levels, lower, gain
        self.count = len(levels)
        self.runs_from = runs_from
        self.moments = len(runs_from)
        self.start_cost, self.fee, self.pause = start_cost, fee, pause
        self.after_creation = pause if creation_starts_clock else 0
        self.raise_starts = raise_starts_clock
        self.watched = watched
        # From below this level one lowering ends where the bid does not run.
        self.idle_below = np.searchsorted(lower, runs_from, side="left")

    @property
    def states(self) -> int:
        """Return how many levels, clocks and moments there are, each with each."""
        return self.moments * self.count * self.pause

    def nothing(self) -> "Array":
        """Return the values when all is over."""
        return self.np.zeros((self.pause, self.count))

    def ran_from(self, moment: int) -> int:
        """Return the least level that ran just before; before the first moment: that runs in it."""
        return int(self.runs_from[max(moment - 1, 0)])

    def earned(self, moment: int, level: int) -> float:
        """Return what a level earns in a moment, a start's cost apart."""
        if level < self.runs_from[moment]:
            return 0.0
        share = 1.0 if self.watched is None else float(self.watched[moment])
        return float(self.gain[level]) * share

    def widened(self, values: "Array", none: float, width: int) -> "Array":
        """Return values on the lowest ``width`` levels, given those on fewer: all above are ``none``."""
        known = values.shape[1]
        if known >= width:
            return values[:, :width]
        wide: Array = self.np.empty((self.pause, width))
        wide[:, :known] = values
        wide[:, known:] = none
        return wide

    def needed(self, moment: int, values: "Array", none: float) -> int:
        """Return how many levels before a moment may be worth more than having no offer.

        ``values`` are those after it, on the levels that are worth more than ``none`` then. To hold any
        higher bid earns no more than to cancel it: it loses more than a new offer costs.
        """
        if self.watched is not None:
            return self.count
        runs, width = int(self.runs_from[moment]), values.shape[1]
        if runs < self.count:
            # What an offer made now is worth at least; above its own price less is gained.
            least = none
            if not self.after_creation:
                later = float(values[0, runs]) if runs < width else none
                least = max(none, later + float(self.gain[runs]) - self.start_cost - self.fee)
            dearest = bisect_left(
                range(self.count), True, key=lambda level: bool(none + self.gain[level] <= least)
            )
            width = max(width, dearest, runs + 1)
        # One lowering must not lead from above to where there is more to be had.
        return max(1, int(self.np.searchsorted(self.lower, width, side="left")))

    def chosen(self, moment: int, later: "Array") -> "Array":
        """Return the value after each choice of clock (rows) and bid, this moment's gain included."""
        width = later.shape[1]
        chosen: Array = self.np.empty((self.pause + 1, width))
        chosen[0] = later[0]
        chosen[1:] = later
        first = self.runs_from[moment]
        if self.watched is None:
            chosen[:, first:] += self.gain[first:width]
        else:
            chosen[:, first:] += self.gain[first:width] * self.watched[moment]
        return chosen

    def created(self, moment: int, chosen: "Array") -> float:
        """Return what creating an offer now is worth; minus infinity where that is of no use."""
        return self.creation(moment, chosen)[0]

    def creation(self, moment: int, chosen: "Array") -> tuple[float, int]:
        """Return what creating an offer now is worth, and at which level."""
        runs = int(self.runs_from[moment])
        after = chosen[self.after_creation]
        found = (float("-inf"), runs)
        if runs < self.count:
            level = runs + int(after[runs:].argmax()) if self.raise_starts else runs
            found = (float(after[level]) - self.start_cost - self.fee, level)
        if self.after_creation and runs > 0:
            level = int(after[:runs].argmax())
            found = max(found, (float(after[level]) - self.fee, level))
        return found

    def before(self, moment: int, chosen: "Array", none: float) -> "Array":
        """Return the value of each clock and bid before a moment; ``none``: of having no offer."""
        if self.raise_starts:
            return self._before_any(moment, chosen, none)
        np, width = self.np, chosen.shape[1]
        runs, ran = int(self.runs_from[moment]), self.ran_from(moment)
        values: Array = chosen[: self.pause].copy()
        lowered = chosen[self.pause]
        open_clock = values[0]
        if runs < self.count:
            still = lowered[np.maximum(self.lower[runs:width], runs)]
            np.maximum(open_clock[runs:], still, out=open_clock[runs:])
        if ran > runs:
            values[:, runs : min(ran, width)] -= self.start_cost
        idle = min(int(self.idle_below[moment]), width)
        np.maximum(open_clock[:idle], lowered[self.lower[:idle]], out=open_clock[:idle])
        if runs < self.count:
            raised = chosen[: self.pause, runs]
            cold = min(ran, runs)
            values[:, :cold] = np.maximum(values[:, :cold], (raised - self.start_cost)[:, None])
            values[:, cold:runs] = np.maximum(values[:, cold:runs], raised[:, None])
        np.maximum(values, none, out=values)
        return values

    def _before_any(self, moment: int, chosen: "Array", none: float) -> "Array":
        """Return the same where a raise starts the clock, and any level may be the best to go to."""
        np, width = self.np, chosen.shape[1]
        runs, ran = int(self.runs_from[moment]), self.ran_from(moment)
        values: Array = chosen[: self.pause].copy()
        values[:, runs : max(ran, runs)] -= self.start_cost
        # The best level from each one up, of those that run and of those that do not.
        running, idle = chosen[self.pause].copy(), chosen[self.pause].copy()
        running[:runs] = idle[runs:] = float("-inf")
        running = np.maximum.accumulate(running[::-1])[::-1]
        idle = np.maximum.accumulate(idle[::-1])[::-1]
        start = np.where(np.arange(width) < ran, self.start_cost, 0.0)
        np.maximum(values, np.maximum(running - start, idle), out=values)
        # An open clock lets it begin below.
        below = self.lower[:width]
        lowered = np.maximum(running[below] - start, idle[below])
        np.maximum(values[0], lowered, out=values[0])
        np.maximum(values, none, out=values)
        return values

    def moves(self, moment: int, bid: int, clock: int, chosen: "Array") -> list[tuple[float, int, int]]:
        """Return what may be done with an offer that stays: its worth, the level and the clock then."""
        runs = int(self.runs_from[moment])
        ran = bid >= self.ran_from(moment)
        found: list[tuple[float, int, int]] = []

        def consider(level: int, ticking: int) -> None:
            starts = level >= runs and not ran
            worth = float(chosen[ticking, level]) - (self.start_cost if starts else 0.0)
            found.append((worth, level, ticking))

        consider(bid, clock)
        if self.raise_starts:
            bottom = int(self.lower[bid]) if clock == 0 else bid
            for first, end in ((bottom, runs), (max(bottom, runs), self.count)):
                if first < end:
                    reach = chosen[self.pause, first:end]
                    consider(first + int(reach.argmax()), self.pause)
            return found
        if clock == 0 and bid > 0:
            consider(int(self.lower[bid]), self.pause)
            if bid > runs:
                consider(max(int(self.lower[bid]), runs), self.pause)
        if bid < runs < self.count:
            consider(runs, clock)
        return found
