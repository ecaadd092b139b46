"""What all orders have cost, to the last digit, without reading every one of them each time.

The database cannot add amounts up: they are text. So the sum over those that ended long ago is kept
here, and only the others are read. That one of long ago is live again, is booked after all or has
another spend shows in marks that the database can reckon in a hundredth of the time.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from decimal import Context, Decimal
from typing import Any, Final

from sqlalchemy import (
    ColumnElement,
    Connection,
    Engine,
    Float,
    Integer,
    Row,
    Text,
    cast,
    func,
    select,
    type_coerce,
)

from bidder.domain.costs import USUAL_FEE_PERCENT
from bidder.domain.ids import AccountName
from bidder.domain.money import Currency, Money
from bidder.domain.policy import Mode
from bidder.store import tables
from bidder.store.engine import transaction
from bidder.store.records import SpendTotal

# An order that ended so long before the latest one is settled: hardly ever is anything booked on it.
_SETTLED_AFTER: Final = timedelta(days=4)
# How far behind the kept sum may be before it is made anew.
_MADE_ANEW_AFTER: Final = timedelta(days=8)
# A fee is computed by us, so it has to end somewhere: at 28 digits or 37 places, whichever is first.
_FEES: Final = Context(prec=28, Emin=-10)
# As many digits as an amount may have.
_SUMS: Final = Context(prec=60)
_HUNDREDTH: Final = Decimal("0.01")

# Under which spend is added up: mode, target and currency. What is paid on paper is never added to
# what is paid.
_Heading = tuple[str, str | None, str]


@dataclass(slots=True)
class _Sum:
    """What was spent, what the fees on it were, what creations cost, and for how many orders."""

    spend: Decimal = Decimal(0)
    fees: Decimal = Decimal(0)
    creation_fees: Decimal = Decimal(0)
    orders: int = 0

    def add(self, other: "_Sum") -> None:
        self.spend = _SUMS.add(self.spend, other.spend)
        self.fees = _SUMS.add(self.fees, other.fees)
        self.creation_fees = _SUMS.add(self.creation_fees, other.creation_fees)
        self.orders += other.orders


_Sums = dict[_Heading, _Sum]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Kept:
    """The sums over all orders that ended at ``until`` or before; ``mark`` tells whether it holds."""

    until: datetime
    mark: tuple[Any, ...]
    sums: _Sums


@dataclass(slots=True)
class Spending:
    """The totals of one account; whoever asks more than once keeps it."""

    engine: Engine
    account: AccountName
    _kept: _Kept | None = field(default=None, repr=False)

    def totals(self) -> tuple[SpendTotal, ...]:
        """Return what all orders have cost, per mode, target and currency."""
        with transaction(self.engine, writing=False) as connection:
            self._keep(connection)
            if self._kept is None:
                return _totals(_added_up(self._rows(connection, None)))
            later = tables.orders.c.ended_at.is_(None) | (tables.orders.c.ended_at > self._kept.until)
            sums = _added_up(self._rows(connection, later))
        for heading, kept in self._kept.sums.items():
            sums.setdefault(heading, _Sum()).add(kept)
        return _totals(sums)

    def _keep(self, connection: Connection) -> None:
        """Bring the kept sum up to date where it does not hold, or lags behind."""
        table = tables.orders
        latest = connection.execute(
            select(func.max(table.c.ended_at)).where(table.c.account == self.account)
        ).scalar_one()
        if latest is None:
            self._kept = None
            return
        kept = self._kept
        fresh = kept is not None and timedelta(0) <= latest - kept.until <= _MADE_ANEW_AFTER
        if kept is not None and fresh and self._mark(connection, kept.until) == kept.mark:
            return
        until = latest - _SETTLED_AFTER
        mark = self._mark(connection, until)
        rows = self._rows(connection, table.c.ended_at <= until)
        self._kept = _Kept(until=until, mark=mark, sums=_added_up(rows))

    def _mark(self, connection: Connection, until: datetime) -> tuple[Any, ...]:
        table = tables.orders
        # Floats do to see that something changed; what comes out is never added to an amount.
        marks = (
            func.count(),
            func.sum(cast(table.c.ended_at, Float)),
            func.sum(cast(table.c.spend, Float)),
            func.sum(cast(table.c.expired, Integer)),
        )
        ended = (table.c.account == self.account) & (table.c.ended_at <= until)
        return tuple(connection.execute(select(*marks).where(ended)).one())

    def _rows(self, connection: Connection, which: ColumnElement[bool] | None) -> Iterable[Row[Any]]:
        table = tables.orders
        # A row is no order: to make one of each takes most of the time.
        statement = select(
            table.c.mode,
            table.c.target,
            table.c.spend_currency,
            type_coerce(table.c.spend, Text).label("spend"),
            table.c.fee_percent,
            table.c.creation_fee_currency,
            type_coerce(table.c.creation_fee, Text).label("creation_fee"),
        ).where(table.c.account == self.account)
        return connection.execute(statement if which is None else statement.where(which))


def _added_up(rows: Iterable[Row[Any]]) -> _Sums:
    sums: _Sums = {}
    for row in rows:
        # Not told is not nothing: it counts as budgets count it.
        known = row.fee_percent is not None
        paid, percent = Decimal(row.spend), Decimal(str(row.fee_percent)) if known else USUAL_FEE_PERCENT
        fees = _FEES.multiply(paid, _FEES.multiply(percent, _HUNDREDTH))
        heading = (row.mode, row.target, row.spend_currency)
        sums.setdefault(heading, _Sum()).add(_Sum(spend=paid, fees=fees, orders=1))
        if row.creation_fee is not None:
            created = _Sum(creation_fees=Decimal(row.creation_fee))
            sums.setdefault((row.mode, row.target, row.creation_fee_currency), _Sum()).add(created)
    return sums


def _totals(sums: _Sums) -> tuple[SpendTotal, ...]:
    ordered = sorted(sums.items(), key=lambda item: (item[0][0], item[0][1] or "", item[0][2]))
    return tuple(
        SpendTotal(
            mode=Mode(mode),
            target=target,
            currency=Currency(currency),
            spend=Money(found.spend, Currency(currency)),
            fees=Money(found.fees, Currency(currency)),
            creation_fees=Money(found.creation_fees, Currency(currency)),
            orders=found.orders,
        )
        for (mode, target, currency), found in ordered
    )
