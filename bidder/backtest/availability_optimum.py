"""The least that a job could have cost, had the whole trace been known: exact dynamic programming.

Backward over the trace's own steps. What is left to compute takes only values that differ by the
greatest common divisor of a step and a start, so a state is a whole number of those; beside it stands
what runs and how much of its start is ahead. Only what is reachable is touched: no more can be left
than the time that is left, no less than what could not have been computed so far.
"""

from dataclasses import dataclass
from math import gcd, inf
from typing import TYPE_CHECKING

from bidder.backtest.availability import Job, Trace

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Costs = NDArray[np.float64]


# What a state takes, and what looking at a step with one start takes beside it.
_SECONDS_A_STATE, _SECONDS_A_LOOK = 4e-9, 2e-5


def seconds_needed(trace: Trace, job: Job) -> float:
    """Return about how long it takes to find the optimum."""
    states, starts = job.work // _unit(trace, job) + 1, -(-job.restart // trace.gap) + 1
    looks = -(-job.time // trace.gap) * starts
    return looks * (_SECONDS_A_LOOK + states * _SECONDS_A_STATE)


def optimum(trace: Trace, job: Job) -> float:
    """Return the least cost of the job, in hours of the spot price; infinity if none can do it."""
    grid = _grid(trace, job)
    idle = grid.fresh()
    spot, demand = ([grid.fresh() for _ in grid.starts] for _ in range(2))
    for step in reversed(range(-(-job.time // trace.gap))):
        now = step * trace.gap
        last = now + trace.gap >= job.time
        rows = grid.rows(now)
        bought = [
            grid.after(demand, at, rows, job.ratio, job.time - now, last=last)
            for at in range(len(demand))
        ]
        first = grid.after_start(demand, rows, job.ratio, job.time - now, last=last)
        _least(idle[rows], first)
        if trace.available[step]:
            won = [grid.after(spot, at, rows, 1.0, job.time - now, last=last) for at in range(len(spot))]
            _least(idle[rows], grid.after_start(spot, rows, 1.0, job.time - now, last=last))
            for at, cost in enumerate(won):
                spot[at][rows] = _lesser(cost, idle[rows])
        else:
            for kept in spot:
                kept[rows] = idle[rows]
        for at, cost in enumerate(bought):
            demand[at][rows] = _lesser(cost, idle[rows])
    return float(idle[-1]) / 3600


@dataclass(frozen=True, slots=True, kw_only=True)
class _Grid:
    """The states: ``left[i]`` seconds of work, and ``starts``, what may be ahead of a running start."""

    job: Job
    gap: int
    unit: int
    left: "Costs"
    starts: tuple[int, ...]

    def fresh(self) -> "Costs":
        """Return the costs once the deadline is there: nothing left costs nothing, the rest is late."""
        import numpy as np

        return np.where(self.left <= 0, 0.0, inf)

    def rows(self, now: int) -> slice:
        """Return the states that can be met at ``now`` and from which the deadline can be met."""
        shift, unit = self.job.work % self.unit, self.unit
        least = max(0, -(-(self.job.work - now - shift) // unit))
        most = min(self.job.work, self.job.time - now)
        return slice(least, max(least, (most - shift) // unit + 1))

    def after_start(
        self, kept: list["Costs"], rows: slice, price: float, until_end: int, *, last: bool
    ) -> "Costs":
        """Return the cost of starting a server now and having it run for a step."""
        return self._ran(kept, self.job.restart, rows, price, until_end, last=last)

    def after(
        self, kept: list["Costs"], at: int, rows: slice, price: float, until_end: int, *, last: bool
    ) -> "Costs":
        """Return the cost of letting a running server, ``starts[at]`` before its work, run on."""
        return self._ran(kept, self.starts[at], rows, price, until_end, last=last)

    def _ran(
        self, kept: list["Costs"], ahead: int, rows: slice, price: float, until_end: int, *, last: bool
    ) -> "Costs":
        import numpy as np

        length = min(self.gap, until_end)
        computed = max(0, length - ahead)
        left = self.left[rows]
        cost = np.full(left.size, inf)
        ends = int(np.searchsorted(left, computed, side="right"))
        cost[:ends] = price * (ahead + left[:ends])
        if not last:
            following = kept[self.starts.index(max(0, ahead - self.gap))]
            moved = computed // self.unit
            cost[ends:] = price * length + following[rows.start + ends - moved : rows.stop - moved]
        return cost


def _grid(trace: Trace, job: Job) -> _Grid:
    import numpy as np

    unit = _unit(trace, job)
    left = np.arange(job.work // unit + 1, dtype=np.float64) * unit + job.work % unit
    starts = {max(0, job.restart - trace.gap * n) for n in range(1, job.restart // trace.gap + 2)}
    return _Grid(job=job, gap=trace.gap, unit=unit, left=left, starts=tuple(sorted(starts)))


def _unit(trace: Trace, job: Job) -> int:
    return gcd(trace.gap, job.restart)


def _least(costs: "Costs", others: "Costs") -> None:
    import numpy as np

    np.minimum(costs, others, out=costs)


def _lesser(one: "Costs", other: "Costs") -> "Costs":
    import numpy as np

    return np.minimum(one, other)
