"""What to bid so that a server stays ours, from what was recorded; and whether such promises were kept.

All prices are in USD per GPU and day. A promise is made for any server of a kind, from all of their
histories together: one server's fortnight holds fourteen days, and of fourteen days alone nobody can
say what happens in one of twenty. A promise that was made in the past, from what was known then, is
held against what came after it: that is the calibration.
"""

import itertools
from bisect import bisect_left
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from decimal import Decimal
from functools import cache
from math import sqrt
from statistics import NormalDist

from bidder.domain.history import CONFIDENCE, Reading, Survival, survival

# A promise needs some dozens of observations, each as long as what it promises: so many are counted
# half, within bounds.
_REMEMBERED = 40
# What was seen lately, with moments this many times the promise ago counting half, must bear it out.
_RECENT = 5
_SHORTEST_HALF_LIFE, _LONGEST_HALF_LIFE = timedelta(days=3), timedelta(days=40)
# The expected time is added up over so many parts of it.
_PARTS = 12
_MOST_ORIGINS = 24
_MOST_SERVERS = 12

Servers = Sequence[Sequence[Reading]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Advice:
    """A bid, what it promises, and what it may be expected to cost.

    ``above`` is the price that a bid must exceed. ``found`` says how often that held. ``expected`` is
    for how long it runs, on average, out of ``keep``, before it is first outbid.
    """

    above: Decimal
    keep: timedelta
    probability: float
    found: Survival
    expected: timedelta

    @property
    def usd(self) -> Decimal:
        """Return what a GPU may be expected to cost until it is first outbid, or ``keep`` is over."""
        return self.above * Decimal(repr(self.expected / timedelta(days=1)))


@dataclass(frozen=True, slots=True, kw_only=True)
class Calibrated:
    """Promises of one probability and length, and how many were kept.

    ``likely``: whether promises that hold as stated would do no better than this in one case of
    twenty at the least; None without promises.
    """

    probability: float
    keep: timedelta
    promises: int
    kept: int
    refused: int

    @property
    def share(self) -> float | None:
        """Return the share of promises that were kept."""
        return self.kept / self.promises if self.promises else None

    @property
    def likely(self) -> bool | None:
        """Return whether what was observed agrees with what was promised, by chance at 95 %."""
        if not self.promises:
            return None
        mean = self.promises * self.probability
        spread = sqrt(mean * (1 - self.probability))
        return self.kept >= mean - NormalDist().inv_cdf(0.95) * spread - 0.5


def advise(
    servers: Servers,
    keep: timedelta,
    probability: float,
    now: datetime,
    *,
    confidence: float = CONFIDENCE,
) -> Advice | None:
    """Return the least bid that promises so much; None where the history is too short for that."""
    above = _least(servers, probability, _promises(servers, keep, now, confidence))
    return None if above is None else at_bid(servers, above, keep, probability, now, confidence)


def at_bid(
    servers: Servers,
    above: Decimal,
    keep: timedelta,
    probability: float,
    now: datetime,
    confidence: float = CONFIDENCE,
) -> Advice | None:
    """Return what a bid just above a price comes to; None where no start can be judged."""
    found = _survival(servers, above, keep, now, confidence)
    if found is None:
        return None
    shares = [1.0]
    for part in range(1, _PARTS + 1):
        held = survival(
            servers,
            above,
            keep * part / _PARTS,
            now,
            half_life=half_life(keep),
            confidence=confidence,
        )
        # A shorter time is judged from more starts; it never holds less often than a longer one.
        shares.append(found.share if held is None else min(shares[-1], max(held.share, found.share)))
    mean = sum((a + b) / 2 for a, b in itertools.pairwise(shares)) / _PARTS
    return Advice(above=above, keep=keep, probability=probability, found=found, expected=keep * mean)


def most(
    servers: Servers, keep: timedelta, now: datetime, *, confidence: float = CONFIDENCE
) -> Advice | None:
    """Return the most that can be promised, and the least bid that promises it."""
    highest = max((r.price for each in servers for r in each if r.price is not None), default=Decimal(0))
    best = _survival(servers, highest, keep, now, confidence)
    if best is None or best.lower <= 0:
        return None
    # A hair below the bound: it is reckoned in floats.
    return advise(servers, keep, best.lower * (1 - 1e-9), now, confidence=confidence)


def half_life(keep: timedelta) -> timedelta:
    """Return how far back a moment counts half: the longer the promise, the further."""
    return min(max(keep * _REMEMBERED, _SHORTEST_HALF_LIFE), _LONGEST_HALF_LIFE)


def observations_needed(probability: float, confidence: float = CONFIDENCE) -> float:
    """Return how many observations of ``keep`` each it takes to promise so much where all held."""
    z = NormalDist().inv_cdf(confidence)
    return z * z * probability / (1 - probability)


def calibrate(
    servers: Servers,
    keep: timedelta,
    probabilities: Sequence[float],
    now: datetime,
    *,
    confidence: float = CONFIDENCE,
) -> tuple[Calibrated, ...]:
    """Return how promises made in the past, from what was known then, fared in what followed.

    Moments lie at least ``keep`` apart, so that no time is judged twice on one server.
    """
    promises, kept, refused = Counter[float](), Counter[float](), Counter[float]()
    watched = sorted(servers, key=_length, reverse=True)[:_MOST_SERVERS]
    for origin in _origins(watched, keep, now):
        past = [known for each in watched if (known := until(each, origin))]
        lower = _promises(past, keep, origin, confidence)
        for probability in probabilities:
            bid = _least(past, probability, lower)
            held = [each for s in watched if (each := _held(s, bid, origin, keep)) is not None]
            if bid is None:
                refused[probability] += len(held)
                continue
            promises[probability] += len(held)
            kept[probability] += sum(held)
    return tuple(
        Calibrated(
            probability=each,
            keep=keep,
            promises=promises[each],
            kept=kept[each],
            refused=refused[each],
        )
        for each in probabilities
    )


def _promises(
    past: Servers, keep: timedelta, now: datetime, confidence: float
) -> Callable[[Decimal], float]:
    """Return what a bid promises, each price reckoned once."""

    @cache
    def lower(price: Decimal) -> float:
        found = _survival(past, price, keep, now, confidence)
        return 0.0 if found is None else found.lower

    return lower


def _least(servers: Servers, probability: float, promises: Callable[[Decimal], float]) -> Decimal | None:
    known = {r.price for readings in servers for r in readings if r.price is not None}
    prices = sorted(known | {Decimal(0)})
    # No dearer bid promises less.
    number = bisect_left(prices, probability, key=promises)
    return prices[number] if number < len(prices) else None


def until(readings: Sequence[Reading], moment: datetime) -> list[Reading]:
    """Return what was known by a moment."""
    return [
        reading if reading.end <= moment else replace(reading, end=moment)
        for reading in readings
        if reading.begin < moment
    ]


def _survival(
    servers: Servers, bid: Decimal, keep: timedelta, now: datetime, confidence: float
) -> Survival | None:
    """Return how often a bid held, its bound no better than what was seen lately."""
    found = survival(servers, bid, keep, now, half_life=half_life(keep), confidence=confidence)
    if found is None:
        return None
    recent = max(keep * _RECENT, _SHORTEST_HALF_LIFE)
    lately = survival(servers, bid, keep, now, half_life=recent, confidence=confidence)
    # A market that has grown dearer would still be judged by its cheap past.
    return found if lately is None else replace(found, lower=min(found.lower, lately.share))


def _length(readings: Sequence[Reading]) -> timedelta:
    return sum((reading.end - reading.begin for reading in readings), timedelta(0))


def _origins(servers: Servers, keep: timedelta, now: datetime) -> Iterator[datetime]:
    begins = [readings[0].begin for readings in servers if readings]
    if not begins:
        return
    first = min(begins) + keep
    count = (now - keep - first) // keep + 1
    step = keep * max(1, -(-count // _MOST_ORIGINS))
    while first + keep <= now:
        yield first
        first += step


def _held(
    readings: Sequence[Reading], bid: Decimal | None, origin: datetime, keep: timedelta
) -> bool | None:
    """Return whether a bid held from a moment on; None where that was not watched or could not begin."""
    known, end = origin, origin + keep
    won = True
    for number, reading in enumerate(r for r in readings if r.end > origin and r.begin < end):
        if reading.begin > known:
            return None
        price = Decimal(0) if reading.price is None else reading.price
        if number == 0 and reading.closed:
            return None
        won = won and not reading.closed and (bid is None or price <= bid)
        known = reading.end
    return won if known >= end else None
