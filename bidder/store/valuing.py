"""What was seen, in USD: rates over time, and books cut where their rates have moved.

A book may stay as it is all day while the rate of its coin does not. So each is valued anew at every
full hour, and more often where an order of ours stands, which is paid for. The cuts are those of the
clock, not of the rates, so that a day is exactly the sum of its hours. Rejected: a cut at every change
of a rate, which may come with each answer.
"""

from bisect import bisect_right
from collections.abc import Iterable, Iterator
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

from sqlalchemy import Connection, select

from bidder.domain.digest import Stretch
from bidder.domain.ids import on_paper
from bidder.domain.money import Currency, Price, Rates
from bidder.store import tables
from bidder.store.records import BookRecord

# Both divide an hour, and so a day.
_VALUED_EVERY = timedelta(hours=1)
_OURS_VALUED_EVERY = timedelta(minutes=5)


class RatesOverTime:
    """What each currency was worth, as far as it was noted, over one period."""

    def __init__(self, connection: Connection, account: str, begin: datetime, end: datetime) -> None:
        """Read every change within the period, and what held at its beginning; else what came next."""
        table = tables.rates
        mine = table.c.account == account
        self._changes: dict[Currency, list[tuple[datetime, Any]]] = {}
        named = select(table.c.currency).where(mine).distinct()
        for name in connection.execute(named).scalars():
            noted = select(table.c.at, table.c.usd_per_unit).where(mine & (table.c.currency == name))
            backwards, forwards = (table.c.at.desc(), table.c.id.desc()), (table.c.at, table.c.id)
            first = noted.where(table.c.at <= begin).order_by(*backwards).limit(1)
            within = noted.where(table.c.at > begin, table.c.at < end).order_by(*forwards)
            found = [*connection.execute(first), *connection.execute(within)]
            # Else an hour before the first one would have none, and its day that one.
            found = found or [*connection.execute(noted.order_by(*forwards).limit(1))]
            self._changes[Currency(name)] = [(row.at, row.usd_per_unit) for row in found]
        self._moments = sorted({at for changes in self._changes.values() for at, _ in changes})
        self._latest: tuple[int, Rates] | None = None

    def at(self, moment: datetime) -> Rates:
        """Return the rates of a moment; before a currency's first one, that first one.

        Between two changes it is the same object each time.
        """
        number = bisect_right(self._moments, moment)
        if self._latest is None or self._latest[0] != number:
            self._latest = number, self._found(moment)
        return self._latest[1]

    def _found(self, moment: datetime) -> Rates:
        found = {}
        for currency, changes in self._changes.items():
            if not changes:
                continue
            rate = changes[max(0, bisect_right(changes, moment, key=_since) - 1)][1]
            if rate is not None:
                found[currency] = rate
        return Rates(found)


def _since(change: tuple[datetime, Any]) -> datetime:
    return change[0]


def valued(
    rates: RatesOverTime, since: datetime, until: datetime, *, ours: bool
) -> Iterator[tuple[datetime, datetime, Rates]]:
    """Yield the parts of a time and the rates of their beginnings; ``ours``: an order of ours stands."""
    every = _OURS_VALUED_EVERY if ours else _VALUED_EVERY
    hour = since.replace(minute=0, second=0, microsecond=0)
    cut = hour + ((since - hour) // every + 1) * every
    known = rates.at(since)
    while cut < until:
        later = rates.at(cut)
        if later is not known:
            yield since, cut, known
            since, known = cut, later
        cut += every
    yield since, until, known


def in_turn(
    books: Iterable[BookRecord], begin: datetime, end: datetime
) -> Iterator[tuple[BookRecord, datetime, datetime]]:
    """Yield one server's books with the times within a period for which they are known, none twice.

    They come in order of time; a calendar that was wrong for a while leaves some that overlap.
    """
    for book in books:
        since, until = max(book.at, begin), min(book.until or book.at, end)
        if since < until:
            yield book, since, until
            begin = until


def stretches(
    books: Iterable[BookRecord], rates: RatesOverTime, begin: datetime, end: datetime
) -> Iterator[Stretch]:
    """Yield what the books come to within a period, each part valued by the rates of its beginning."""
    for book, begun, ended in in_turn(books, begin, end):
        runs = book.active_order is not None
        # Behind an order on paper that runs there, a rival runs in truth.
        paper = book.active_order is not None and on_paper(book.active_order)
        taken = book.rivals > 0 if paper else runs
        for since, until, known in valued(rates, begun, ended, ours=book.our_order is not None):
            floors = [known.to_usd(each) for each in book.floor.values() if known.knows(each.currency)]
            yield Stretch(
                begin=since,
                end=until,
                online=book.exists and book.online,
                rented=taken or bool(book.rented),
                held=runs and book.active_order == book.our_order,
                order=book.our_order,
                rival=in_usd(book.best_rival, known),
                floor=min(floors, default=None),
                bid=in_usd(book.our_price, known),
                on_demand=in_usd(book.on_demand, known),
            )


def in_usd(price: Price | None, rates: Rates) -> Decimal | None:
    """Return a price in USD; None where there is none, or no rate for it."""
    return rates.to_usd(price) if price is not None and rates.knows(price.currency) else None
