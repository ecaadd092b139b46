"""The rules that are compared on availability traces, each without foresight.

``greedy``: spot while it can be had, nothing while it cannot, on demand once the slack is used up.
``uniform_progress``: the policy of "Can't Be Late" (Wu et al., NSDI 2024) by its four rules.
``uniform_progress_stay``: the same, but an on-demand server is kept until spot is back, which is
stronger on most traces. ``deadline``: ours, the very function that the strategy is made of.
"""

from collections.abc import Callable, Mapping
from typing import Final

from bidder.backtest.availability import Chooser
from bidder.domain import jobs
from bidder.domain.jobs import Choice, Spells, Standing

# A slack of less than a round trip between spot and on demand does not let a job try spot again.
_ROUND_TRIP = 2


def greedy(standing: Standing) -> Choice:
    """Return spot or nothing while there is slack for it; then on demand to the end."""
    least = _ROUND_TRIP * standing.restart + standing.look
    if standing.running is Choice.ON_DEMAND and standing.slack - standing.starting < least:
        return Choice.ON_DEMAND
    return Choice.SPOT if standing.available else Choice.IDLE


def uniform_progress(standing: Standing) -> Choice:
    """Return the choice that keeps the job in step with the clock, by the paper's rules.

    Behind and idle: on demand. Spot whenever it can be had. On demand until ahead by two starts. And
    the safety net: on demand to the end once the slack is down to two starts.
    """
    return _uniform(standing, stay=False)


def uniform_progress_stay(standing: Standing) -> Choice:
    """Return the same, but leave on demand for spot only, never for nothing."""
    return _uniform(standing, stay=True)


def _uniform(standing: Standing, *, stay: bool) -> Choice:
    on_demand = standing.running is Choice.ON_DEMAND
    if standing.slack < _ROUND_TRIP * standing.restart and standing.running is not Choice.SPOT:
        return Choice.ON_DEMAND
    if standing.available:
        return Choice.SPOT
    elapsed = standing.time - standing.time_left
    ahead = _ROUND_TRIP * standing.restart if on_demand else 0.0
    due = (elapsed + ahead) * standing.work / standing.time
    behind = standing.work - standing.work_left < due
    return Choice.ON_DEMAND if behind or (stay and on_demand) else Choice.IDLE


def deadline() -> Chooser:
    """Return our rule, with nothing learnt yet."""
    spells = Spells()
    looked = 0.0

    def look(standing: Standing) -> Choice:
        nonlocal spells, looked
        spells = spells.seen(available=standing.available, after=looked)
        looked = standing.look
        return jobs.choose(standing, spells)

    return look


# What a name stands for: a rule that has seen nothing yet.
POLICIES: Final[Mapping[str, Callable[[], Chooser]]] = {
    "greedy": lambda: greedy,
    "uniform_progress": lambda: uniform_progress,
    "uniform_progress_stay": lambda: uniform_progress_stay,
    "deadline": deadline,
}
USUAL: Final = ("greedy", "uniform_progress", "deadline")
