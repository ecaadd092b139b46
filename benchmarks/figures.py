"""A measured figure, and the table of all of them."""

import statistics
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any


@dataclass(frozen=True, slots=True, kw_only=True)
class Figure:
    """One measurement. ``better`` says which way is good; ``goal`` is what is aimed for.

    ``baseline`` was measured in the same run, by the means that ``baseline_is`` names.
    """

    name: str
    measured: float
    unit: str
    goal: float | None
    better: str  # "less" or "more"
    baseline: float | None
    baseline_is: str
    note: str = ""

    @property
    def met(self) -> bool | None:
        """Return whether the goal is met; None where there is none."""
        if self.goal is None:
            return None
        return self.measured <= self.goal if self.better == "less" else self.measured >= self.goal

    def as_dict(self) -> dict[str, Any]:
        """Return it for the JSON file."""
        return {**asdict(self), "met": self.met}


def best_of(what: Callable[[], object], times: int) -> float:
    """Return the shortest of several runs, in seconds: the one that was disturbed least."""
    found = []
    for _ in range(times):
        before = time.perf_counter()
        what()
        found.append(time.perf_counter() - before)
    return min(found)


def percentile(values: list[float], share: float) -> float:
    """Return the value below which this share of the values lies."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]


def mean(values: list[float]) -> float:
    """Return the mean."""
    return statistics.fmean(values)
