"""What is kept of a server's hour or day: time-weighted figures of what its book showed.

Prices are in USD per day, exact; a median is a price that stood there, never a mean of two.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from decimal import ROUND_HALF_EVEN, Context, Decimal
from enum import StrEnum

from bidder.domain.ids import OrderId, on_paper

# Wide enough that a year of microseconds times any price stays exact.
_EXACT = Context(prec=120)
_MICROSECOND = timedelta(microseconds=1)
_DAY = timedelta(days=1) // _MICROSECOND
# A sum of money over time is a quotient and has to end somewhere: a millionth of a millionth.
_FINEST = Decimal("1e-12")


class Span(StrEnum):
    """How long a time one summary speaks of, in UTC."""

    HOUR = "hour"
    DAY = "day"

    @property
    def length(self) -> timedelta:
        """Return the length of one period."""
        return timedelta(hours=1) if self is Span.HOUR else timedelta(days=1)

    def begin(self, at: datetime) -> datetime:
        """Return when the period began that a moment falls into."""
        whole = at.replace(minute=0, second=0, microsecond=0)
        return whole if self is Span.HOUR else whole.replace(hour=0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Stretch:
    """A time during which a server's book stayed as it was; prices in USD per day.

    ``rented``: somebody has the server, on spot or on demand. ``held``: our order runs.
    """

    begin: datetime
    end: datetime
    online: bool = True
    rented: bool = False
    held: bool = False
    order: OrderId | None = None
    rival: Decimal | None = None
    floor: Decimal | None = None
    bid: Decimal | None = None
    on_demand: Decimal | None = None

    @property
    def length(self) -> int:
        """Return how long it lasted, in microseconds."""
        return (self.end - self.begin) // _MICROSECOND


@dataclass(frozen=True, slots=True, kw_only=True)
class Spread:
    """The lowest, the median over time, and the highest price."""

    low: Decimal
    median: Decimal
    high: Decimal


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerSummary:
    """One server's period: for how long it was looked at, and what was seen in that time."""

    known: timedelta
    online: timedelta
    rented: timedelta
    held: timedelta
    rival: Spread | None
    floor: Spread | None
    bid: Spread | None
    spend: Decimal


@dataclass(frozen=True, slots=True, kw_only=True)
class Held:
    """What one order, or one target's orders together, did in a period.

    ``spend`` is the bid while running, in USD without fees. ``restarts`` counts how often an order
    began to run. ``on_demand`` is what the host's on-demand price comes to over ``compared``, that
    part of the held time in which it was known.
    """

    spend: Decimal = Decimal(0)
    held: timedelta = timedelta(0)
    restarts: int = 0
    on_demand: Decimal = Decimal(0)
    compared: timedelta = timedelta(0)

    def plus(self, other: "Held") -> "Held":
        """Return both together."""
        return Held(
            spend=_EXACT.add(self.spend, other.spend),
            held=self.held + other.held,
            restarts=self.restarts + other.restarts,
            on_demand=_EXACT.add(self.on_demand, other.on_demand),
            compared=self.compared + other.compared,
        )


def seen_in(stretch: Stretch, *, paper: bool) -> Stretch:
    """Return a stretch as it is without our orders on paper, or with no others of ours than those."""
    if stretch.order is None:
        return stretch
    if on_paper(stretch.order) is paper:
        # Who has a server on paper has it there, whoever has it in truth.
        return replace(stretch, rented=stretch.rented or stretch.held)
    return replace(stretch, held=False, order=None, bid=None)


def summarise(stretches: Sequence[Stretch]) -> ServerSummary:
    """Return the summary of one server's stretches within one period."""
    return ServerSummary(
        known=_lasting(stretches),
        online=_lasting(s for s in stretches if s.online),
        rented=_lasting(s for s in stretches if s.rented),
        held=_lasting(s for s in stretches if s.held),
        rival=spread((s.rival, s.length) for s in stretches),
        floor=spread((s.floor, s.length) for s in stretches),
        bid=spread((s.bid, s.length) for s in stretches),
        spend=cost((s.bid, s.length) for s in stretches if s.held),
    )


def held_by_order(stretches: Sequence[Stretch], *, ran_before: OrderId | None) -> dict[OrderId, Held]:
    """Return what each order of ours did on one server; ``ran_before`` ran when the period began."""
    found: dict[OrderId, list[Stretch]] = {}
    starts: dict[OrderId, int] = {}
    running = ran_before
    for stretch in stretches:
        now = stretch.order if stretch.held else None
        if now is not None:
            found.setdefault(now, []).append(stretch)
            starts[now] = starts.get(now, 0) + (now != running)
        running = now
    return {order: _held(held, starts[order]) for order, held in found.items()}


def _held(stretches: Sequence[Stretch], restarts: int) -> Held:
    return Held(
        spend=cost((s.bid, s.length) for s in stretches),
        held=_lasting(stretches),
        restarts=restarts,
        on_demand=cost((s.on_demand, s.length) for s in stretches),
        compared=_lasting(s for s in stretches if s.on_demand is not None),
    )


def cost(parts: Iterable[tuple[Decimal | None, int]]) -> Decimal:
    """Return what prices per day come to over so many microseconds each, to 12 places."""
    total = Decimal(0)
    for price, length in parts:
        if price is not None:
            total = _EXACT.add(total, _EXACT.multiply(price, Decimal(length)))
    whole = _EXACT.divide(total, Decimal(_DAY))
    return whole.quantize(_FINEST, ROUND_HALF_EVEN, _EXACT)


def spread(parts: Iterable[tuple[Decimal | None, int]]) -> Spread | None:
    """Return the spread of prices weighted by how long each stood; None where there was none."""
    seen = sorted((price, length) for price, length in parts if price is not None and length > 0)
    if not seen:
        return None
    half, passed = sum(length for _, length in seen), 0
    for price, length in seen:
        passed += length
        if 2 * passed >= half:
            return Spread(low=seen[0][0], median=price, high=seen[-1][0])
    raise AssertionError("half of the time lies somewhere")


def _lasting(stretches: Iterable[Stretch]) -> timedelta:
    return sum((s.end - s.begin for s in stretches), timedelta(0))
