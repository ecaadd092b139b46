"""The clairvoyant optimum: the most that anybody could have earned under the same rules.

Exact dynamic programming backwards over the grid, the bid and the lowering clock, knowing the whole
future. Three observations keep it small. Of two bids that both run (or both do not), the lower one is
never worth less, because it may be raised for free at any time; so a raise goes to the least bid that
runs now or does not happen, and so does a creation. A lowering goes as far down as it may while it
runs, or as far as it may. And while no price changes, waiting with an open clock gains nothing, so
the grid's own moments suffice where prices change on it.

Prices of bids lie on the ladder of ticks. Rejected: a list of (rival's price + tick - k steps), which
is exact for any price but grows to tens of thousands of levels; the ladder's error is below a tick.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from bidder.backtest.terms import Terms

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Array = NDArray[np.float64]

# A bid above the value loses money while it stands, and what it saves is bounded by one restart: up
# to this multiple of the value it is considered.
_HEADROOM = Decimal("1.6")
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
    ladder = _Ladder(points, terms)
    if not path:
        return Optimum(utility=ladder.solve()[0])
    return ladder.with_path()


class _Ladder:
    """The arrays of one problem: levels of bids, by clock, by whether the offer exists."""

    def __init__(self, points: Sequence[Decimal], terms: Terms) -> None:
        import numpy as np

        self.np = np
        self.pause = terms.pause_cells
        tick = float(terms.tick)
        self.down = max(1, round(float(terms.step) / tick))
        self.start_cost = float(terms.restart_cost)
        self.fee = float(terms.creation_fee)
        self.after_creation = self.pause if terms.creation_starts_clock else 0
        self.raise_starts = terms.raise_starts_clock
        lowest = float(min(points))
        highest = max(float(terms.value * _HEADROOM), lowest + 2 * tick)
        self.count = int((highest - lowest) / tick) + 2
        self.levels = lowest + tick * np.arange(self.count)
        prices = np.array([float(point) for point in points])
        # The least level that runs; ``count`` where none does.
        runs_from = np.floor((prices - lowest) / tick + 1e-9).astype(np.int64) + 1
        self.runs_from = np.minimum(runs_from, self.count)
        self.gain = (float(terms.value) - self.levels) * float(terms.grid_hours)
        self.lower = np.maximum(np.arange(self.count) - self.down, 0)

    def solve(
        self,
        stop: int = 0,
        after: "tuple[Array, float] | None" = None,
        start: int | None = None,
        keep: dict[int, Any] | None = None,
        every: int = _KEEP_EVERY,
    ) -> "tuple[float, Array]":
        """Return the value without an offer, and with one, before moment ``stop``."""
        np = self.np
        values, none = after or (np.zeros((self.pause, self.count)), 0.0)
        last = len(self.runs_from) if start is None else start
        for moment in range(last - 1, stop - 1, -1):
            if keep is not None and (moment + 1) % every == 0:
                keep[moment + 1] = (values, none)
            values, none = self._before(moment, values, none)
        return float(none), values

    def _chosen(self, moment: int, values: "Array") -> "Array":
        """Return the value after each choice of clock (rows) and bid, this moment's gain included."""
        np = self.np
        chosen: Array = np.empty((self.pause + 1, self.count))
        chosen[0] = values[0]
        chosen[1:] = values
        first = self.runs_from[moment]
        chosen[:, first:] += self.gain[first:]
        return chosen

    def _before(self, moment: int, later: "Array", none_later: float) -> "tuple[Array, float]":
        np = self.np
        runs, ran = int(self.runs_from[moment]), int(self.runs_from[moment - 1]) if moment else 0
        chosen = self._chosen(moment, later)
        none = none_later
        if runs < self.count:
            none = max(none, float(chosen[self.after_creation, runs]) - self.start_cost - self.fee)
        values = chosen[: self.pause].copy()
        lowered = chosen[self.pause]
        open_clock = values[0]
        if runs < self.count:
            still = lowered[np.maximum(self.lower[runs:], runs)]
            np.maximum(open_clock[runs:], still, out=open_clock[runs:])
        if ran > runs:
            values[:, runs : min(ran, self.count)] -= self.start_cost
        idle = min(runs + self.down, self.count)
        np.maximum(open_clock[:idle], lowered[self.lower[:idle]], out=open_clock[:idle])
        if runs < self.count:
            raised = chosen[: self.pause, runs]
            if self.raise_starts:
                raised = np.full(self.pause, chosen[self.pause, runs])
            cold = min(ran, runs)
            values[:, :cold] = np.maximum(values[:, :cold], (raised - self.start_cost)[:, None])
            values[:, cold:runs] = np.maximum(values[:, cold:runs], raised[:, None])
        np.maximum(values, none, out=values)
        return values, none

    # The way that the optimum goes

    def with_path(self) -> Optimum:
        """Return the utility and the bids that earn it, from values kept now and then."""
        kept: dict[int, Any] = {}
        np = self.np
        kept[len(self.runs_from)] = (np.zeros((self.pause, self.count)), 0.0)
        best, _ = self.solve(keep=kept)
        bids: list[float | None] = []
        bid, clock = -1, 0
        moments = len(self.runs_from)
        for begin in range(0, moments, _KEEP_EVERY):
            end = min(begin + _KEEP_EVERY, moments)
            inner: dict[int, Any] = {end: kept[end]}
            self.solve(begin, kept[end], end, keep=inner, every=1)
            for moment in range(begin, end):
                bid, clock = self._step(moment, bid, clock, *inner[moment + 1])
                bids.append(None if bid < 0 else float(self.levels[bid]))
                clock = max(clock - 1, 0)
        return Optimum(utility=best, bids=tuple(bids))

    def _step(self, moment: int, bid: int, clock: int, later: "Array", none: float) -> tuple[int, int]:
        """Return the bid (-1: none) and the clock after the best choice at one moment."""
        chosen = self._chosen(moment, later)
        runs = int(self.runs_from[moment])
        ran = bid >= 0 and moment > 0 and bid >= self.runs_from[moment - 1]
        options: list[tuple[float, int, int]] = [(none, -1, 0)]

        def consider(level: int, ticking: int, cost: float = 0.0) -> None:
            starts = level >= runs and not ran
            worth = float(chosen[ticking, level]) - cost - (self.start_cost if starts else 0.0)
            options.append((worth, level, ticking))

        if bid >= 0:
            consider(bid, clock)
            if clock == 0 and bid > 0:
                consider(int(self.lower[bid]), self.pause)
                if bid > runs:
                    consider(max(int(self.lower[bid]), runs), self.pause)
            if bid < runs < self.count:
                consider(runs, self.pause if self.raise_starts else clock)
        if runs < self.count:
            fresh = float(chosen[self.after_creation, runs]) - self.start_cost - self.fee
            options.append((fresh, runs, self.after_creation))
        # Ties go to what stays as it is: the first that was considered.
        _, level, ticking = max(options, key=lambda option: option[0])
        return level, ticking
