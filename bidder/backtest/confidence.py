"""Means over seeds and how sure they are: Student's t, which is honest for few of them.

Rejected: the percentile bootstrap, which covers too little at twenty seeds and nothing at two.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from math import inf, sqrt
from statistics import fmean, stdev

# Student's t that 2.5 % lie above, by degrees of freedom from 1 on; the last for all beyond.
_T = """
12.706 4.303 3.182 2.776 2.571 2.447 2.365 2.306 2.262 2.228
2.201 2.179 2.160 2.145 2.131 2.120 2.110 2.101 2.093 2.086
2.080 2.074 2.069 2.064 2.060 2.056 2.052 2.048 2.045 2.042
"""
_T_BY_FREEDOM = tuple(map(float, _T.split()))


@dataclass(frozen=True, slots=True, kw_only=True)
class Interval:
    """A mean and its 95 % confidence interval; of one value alone nothing is sure."""

    mean: float
    low: float
    high: float
    count: int

    def shown(self, digits: int = 4) -> str:
        """Return it as text: mean, interval, and over how many values."""
        return f"{self.mean:.{digits}f} [{self.low:.{digits}f}, {self.high:.{digits}f}] of {self.count}"


def interval(values: Sequence[float]) -> Interval | None:
    """Return the mean of independent values and its 95 % interval; None of none."""
    if not values:
        return None
    mean, count = fmean(values), len(values)
    if count == 1:
        return Interval(mean=mean, low=-inf, high=inf, count=1)
    half = _T_BY_FREEDOM[min(count - 1, len(_T_BY_FREEDOM)) - 1] * stdev(values) / sqrt(count)
    return Interval(mean=mean, low=mean - half, high=mean + half, count=count)


def paired(ours: Sequence[float | None], theirs: Sequence[float | None]) -> Interval | None:
    """Return the mean of ours less theirs, seed by seed; where either is missing, a seed is left out."""
    both = zip(ours, theirs, strict=True)
    return interval([one - two for one, two in both if one is not None and two is not None])
