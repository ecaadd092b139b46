"""How long a bid would have held: what rivals bid lately, weighted by time.

Floats are for the statistics only; a price leaves as ``Decimal``, rounded up to the currency's
quantum. Everything is weighted by time, never by how often something was seen, and forgotten
exponentially: what lay one half-life back counts half.

A bid is judged by all the moments at which one might have started with it: had no rival exceeded it
for ``keep`` from then on? Starts lie close together and share their futures, so their number says
nothing; what counts as one observation is ``keep`` worth of watched time. From that number the lower
end of Wilson's score interval (E. B. Wilson, "Probable inference, the law of succession, and
statistical inference", 1927) is promised instead of the bare share, as DrAFTS promises a binomial
bound instead of a bare quantile (Wolski, Brevik, Chard, Chard, "Probabilistic guarantees of execution
duration for Amazon spot instances", SC 2017). With few observations the bound is low, and no bid is
found: that is meant.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from math import log, sqrt
from statistics import NormalDist

from bidder.domain.money import Currency, Price, Rates

HALF_LIFE = timedelta(days=3)
CONFIDENCE = 0.95


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """The best rival's bid over a time in which it was watched, in USD per day; None: no rival.

    ``closed``: no bid wins the server, as while it is rented on demand or offline. That ends whatever
    ran, and nothing can start then.
    """

    begin: datetime
    end: datetime
    price: Decimal | None
    closed: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Survival:
    """How often a bid held: the share of starts, its lower bound, and how many observations that is."""

    share: float
    lower: float
    observations: float


def survival(
    servers: Iterable[Sequence[Reading]],
    bid: Decimal,
    keep: timedelta,
    now: datetime,
    *,
    half_life: timedelta = HALF_LIFE,
    confidence: float = CONFIDENCE,
) -> Survival | None:
    """Return how often ``bid`` would have held for ``keep``; None where no start can be judged.

    ``servers``: the readings of each server of a kind, in order of time and without overlap. A start
    counts only if all of the ``keep`` after it was watched.
    """
    possible = held = watched = 0.0
    for run in (run for readings in servers for run in _runs(readings)):
        first, last = run[0].begin, run[-1].end - keep
        if last <= first:
            continue
        whole = _weight(first, last, now, half_life) - _closed(run, first, last, now, half_life)
        possible += whole
        held += whole - _lost(run, bid, keep, first, last, now, half_life)
        watched += _weight(first, run[-1].end, now, half_life)
        watched -= _closed(run, first, run[-1].end, now, half_life)
    if possible <= 0:
        return None
    share = min(max(held / possible, 0.0), 1.0)
    observations = watched / keep.total_seconds()
    # Where nothing held, rounding leaves the bound a hair above the share.
    lower = min(_wilson(share, observations, confidence), share)
    return Survival(share=share, lower=lower, observations=observations)


def price_above(usd: Decimal, currency: Currency, rates: Rates) -> Price:
    """Return the least price in ``currency`` that is above ``usd`` per day; raises NoRate."""
    return rates.from_usd(usd, currency).one_tick_up()


def _runs(readings: Sequence[Reading]) -> list[list[Reading]]:
    """Return the readings in runs that follow each other without a gap."""
    runs: list[list[Reading]] = []
    for reading in readings:
        if reading.end <= reading.begin:
            continue
        if runs and runs[-1][-1].end == reading.begin:
            runs[-1].append(reading)
        else:
            runs.append([reading])
    return runs


def _lost(
    run: Sequence[Reading],
    bid: Decimal,
    keep: timedelta,
    first: datetime,
    last: datetime,
    now: datetime,
    half_life: timedelta,
) -> float:
    """Return the weight of the starts after which a rival exceeded ``bid`` too soon."""
    lost, done = 0.0, first
    for reading in run:
        if not reading.closed and (reading.price is None or reading.price <= bid):
            continue
        over = reading.begin if reading.closed else reading.end
        begin, end = max(reading.begin - keep, done), min(over, last)
        if end > begin:
            lost += _weight(begin, end, now, half_life)
            done = end
        if reading.closed:
            done = max(done, min(reading.end, last))
    return lost


def _closed(
    run: Sequence[Reading], first: datetime, last: datetime, now: datetime, half_life: timedelta
) -> float:
    """Return the weight of the time between two moments in which nothing could start."""
    parts = ((max(r.begin, first), min(r.end, last)) for r in run if r.closed)
    return sum(_weight(begin, end, now, half_life) for begin, end in parts if end > begin)


def _weight(begin: datetime, end: datetime, now: datetime, half_life: timedelta) -> float:
    """Return a time's length in seconds, each moment counting half for each half-life it lies back."""
    unit = half_life.total_seconds() / log(2)
    older, newer = (now - begin).total_seconds(), (now - end).total_seconds()
    return float(unit * (0.5 ** (newer / (unit * log(2))) - 0.5 ** (older / (unit * log(2)))))


def _wilson(share: float, observations: float, confidence: float) -> float:
    z = NormalDist().inv_cdf(confidence)
    middle = share + z * z / (2 * observations)
    spread = z * sqrt(share * (1 - share) / observations + (z / (2 * observations)) ** 2)
    return max(0.0, (middle - spread) / (1 + z * z / observations))
