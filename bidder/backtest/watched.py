"""What was watched of one server, on the grid: what it took to win it, and what our orders did there."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from bidder.domain.ids import OrderId, ServerId, on_paper
from bidder.domain.money import Price, Rates
from bidder.domain.policy import Mode
from bidder.store.records import BookRecord
from bidder.store.valuing import RatesOverTime, in_turn, valued

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Array = NDArray[np.float64]

UNWINNABLE = float("inf")


@dataclass(frozen=True, slots=True, kw_only=True)
class Grid:
    """A span in moments of equal length."""

    begin: datetime
    end: datetime
    length: timedelta = timedelta(seconds=60)

    @property
    def moments(self) -> int:
        """Return how many whole moments the span has."""
        return (self.end - self.begin) // self.length

    @property
    def days(self) -> float:
        """Return a moment's length in days."""
        return self.length / timedelta(days=1)

    def at(self, moment: int) -> datetime:
        """Return when a moment begins."""
        return self.begin + moment * self.length

    def shares(self, begin: datetime, end: datetime) -> Iterator[tuple[int, float]]:
        """Yield each moment that a time touches, and which share of that moment it fills."""
        first, last = max(begin, self.begin), min(end, self.at(self.moments))
        moment = (first - self.begin) // self.length
        while first < last:
            until = min(last, self.at(moment + 1))
            yield moment, (until - first) / self.length
            first, moment = until, moment + 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Piece:
    """A time in which a book stayed as it was, or a part of it; USD per day.

    ``price``: what a bid must exceed to run. ``order`` is ours, of the one mode asked about, and
    ``held`` while it runs; ``coin`` is its bid as it was made.
    """

    begin: datetime
    end: datetime
    price: float
    order: OrderId | None = None
    held: bool = False
    bid: float | None = None
    coin: Price | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Watched:
    """One server: its pieces, and on the grid its price (NaN where nobody looked) and the share seen."""

    server: ServerId
    pieces: tuple[Piece, ...]
    prices: "Array"
    seen: "Array"


def watched(
    server: ServerId, records: Sequence[BookRecord], rates: RatesOverTime, grid: Grid, mode: Mode
) -> Watched:
    """Return what was watched of a server; the price of a moment is the one that stood longest."""
    import numpy as np

    pieces = tuple(_pieces(records, rates, grid, mode))
    prices, seen = np.full(grid.moments, np.nan), np.zeros(grid.moments)
    longest = np.zeros(grid.moments)
    for piece in pieces:
        for moment, share in grid.shares(piece.begin, piece.end):
            seen[moment] += share
            if share > longest[moment]:
                longest[moment], prices[moment] = share, piece.price
    return Watched(server=server, pieces=pieces, prices=prices, seen=np.minimum(seen, 1.0))


def _pieces(
    records: Sequence[BookRecord], rates: RatesOverTime, grid: Grid, mode: Mode
) -> Iterator[Piece]:
    for record, since, until in in_turn(records, grid.begin, grid.end):
        ours = record.our_order is not None and on_paper(record.our_order) is (mode is Mode.PAPER)
        bid = record.our_price if ours else None
        for begin, end, known in valued(rates, since, until, ours=record.our_order is not None):
            yield Piece(
                begin=begin,
                end=end,
                price=_price(record, known),
                order=record.our_order if ours else None,
                held=ours and record.active_order == record.our_order,
                bid=None if bid is None or not known.knows(bid.currency) else float(known.to_usd(bid)),
                coin=bid,
            )


def _price(record: BookRecord, rates: Rates) -> float:
    if record.closed:
        return UNWINNABLE
    floors = [rates.to_usd(floor) for c, floor in record.floor.items() if rates.knows(c)]
    rival = record.best_rival
    if rival is not None and not rates.knows(rival.currency):
        return UNWINNABLE
    bids = [] if rival is None else [rates.to_usd(rival)]
    if rival is None and record.rivals:
        return UNWINNABLE  # a rival's bid could not be valued
    least = [min(floors)] if floors else []
    return float(max([*least, *bids])) if least or bids else UNWINNABLE
