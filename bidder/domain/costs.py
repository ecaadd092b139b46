"""What orders have cost, fees included, and how much of it in the present UTC day and month.

The exchange names one sum that grows over an order's life, so each order carries marks of what of it
belongs to earlier periods. A charge that was seen after the turn of a period belongs to the new one as
far as it could have been run up since: a budget must rather count a minute twice than miss it. Rejected:
a row for each charge, which is a second account of the same money that could only disagree with the
first.
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from decimal import ROUND_CEILING, Decimal
from enum import StrEnum
from typing import TYPE_CHECKING

from bidder.domain.money import EXACT, Price, Rates

if TYPE_CHECKING:
    from bidder.domain.market import OwnOrder

DAY = timedelta(days=1)
# The exchange charges by the minute, and some of them when it begins.
MINUTE = timedelta(minutes=1)
# Where no order has shown its fee yet: the higher of the two that the exchange's documents show.
USUAL_FEE_PERCENT = Decimal(5)
# A sum of these is exact, and off by nothing that anybody could pay.
_FINEST = Decimal("1e-12")


class Period(StrEnum):
    """What a budget is for: a day or a month of the calendar, in UTC."""

    DAY = "day"
    MONTH = "month"

    def began(self, now: datetime) -> datetime:
        """Return when the period that ``now`` lies in began."""
        midnight = now.replace(hour=0, minute=0, second=0, microsecond=0)
        return midnight if self is Period.DAY else midnight.replace(day=1)

    def ends(self, now: datetime) -> datetime:
        """Return when the period that ``now`` lies in ends."""
        began = self.began(now)
        # No month has 32 days, and each has 28.
        return began + DAY if self is Period.DAY else (began + 32 * DAY).replace(day=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Cost:
    """What one order has cost, in USD at the rates of each charge.

    ``counted`` is how much of its bill, in its own currency, is in it; ``at`` when it last grew.
    ``before_day`` and ``before_month`` are what of ``usd`` was charged before the day and the month of
    ``at`` began.
    """

    usd: Decimal = Decimal(0)
    counted: Decimal = Decimal(0)
    at: datetime | None = None
    before_day: Decimal = Decimal(0)
    before_month: Decimal = Decimal(0)

    def within(self, period: Period, now: datetime) -> Decimal:
        """Return what was charged in the period that ``now`` lies in."""
        if self.at is None or self.at < period.began(now):
            return Decimal(0)
        before = self.before_day if period is Period.DAY else self.before_month
        return EXACT.subtract(self.usd, before)

    def brought_back(self, now: datetime, *, a_day: Decimal | None, once: Decimal) -> "Cost":
        """Return the cost as of ``now`` where it is dated later than that, by a calendar that was ahead.

        What it says of a day or a month that is still to come says nothing of the present one. Of that
        at most ``a_day`` for each day since it began is counted, and ``once``; without ``a_day`` all.
        """
        if self.at is None or self.at <= now:
            return self
        marks = {Period.DAY: self.before_day, Period.MONTH: self.before_month}
        for period, mark in marks.items():
            began = period.began(now)
            if period.began(self.at) > began:
                most = self.usd
                if a_day is not None:
                    most = _usd(a_day * share_of_day(now - began + MINUTE), Decimal(1)) + once
                # What came after the wrong midnight came after the right one before it, too.
                marks[period] = min(mark, max(self.usd - most, Decimal(0)))
        return replace(self, at=now, before_day=marks[Period.DAY], before_month=marks[Period.MONTH])

    def charged(
        self,
        order: "OwnOrder",
        rates: Rates,
        *,
        dearest: Price,
        percent: Decimal,
        since: datetime,
        at: datetime,
    ) -> "Cost":
        """Return the cost once the order's bill is counted as it was shown ``at`` that moment.

        It was last looked at ``since``, and its price was ``dearest`` at most. ``percent`` is the fee
        where the order does not say it. What cannot be valued is counted once there is a rate.
        """
        fee = EXACT.divide(100 + fee_percent(order, percent), Decimal(100))
        bill = EXACT.multiply(order.spend.amount, fee)
        created = order.creation_fee
        if created is not None and created.currency == order.spend.currency:
            bill = EXACT.add(bill, created.amount)
        if bill <= self.counted or not rates.knows(order.spend.currency):
            return self
        rate = rates.to_usd(Price(Decimal(1), order.spend.currency))
        grown = _usd(EXACT.subtract(bill, self.counted), rate)
        known = rates.knows(dearest.currency)
        a_day = EXACT.multiply(rates.to_usd(dearest), fee) if known else grown
        # Of an order that was never counted nobody knows when its bill grew.
        since = order.created_at if self.at is None else since
        whole, before = EXACT.add(self.usd, grown), []
        for period in Period:
            began, fresh = period.began(at), grown
            if since < began:
                most = EXACT.multiply(a_day, share_of_day(at - began + MINUTE))
                fresh = min(grown, _usd(most, Decimal(1)))
            # Exactly: of huge sums a rounded one may come out below what it is the rest of.
            current = EXACT.add(self.within(period, at), fresh)
            before.append(EXACT.subtract(whole, current))
        return Cost(usd=whole, counted=bill, at=at, before_day=before[0], before_month=before[1])


@dataclass(frozen=True, slots=True, kw_only=True)
class Spent:
    """What orders that are over have cost in the day and the month of ``at``, in USD."""

    at: datetime | None = None
    day: Decimal = Decimal(0)
    month: Decimal = Decimal(0)

    def within(self, period: Period, now: datetime) -> Decimal:
        """Return what was charged in the period that ``now`` lies in."""
        if self.at is None or self.at < period.began(now):
            return Decimal(0)
        return self.day if period is Period.DAY else self.month

    def plus(self, costs: Iterable[Cost], now: datetime) -> "Spent":
        """Return the sum of the present periods with these added."""
        day, month = self.within(Period.DAY, now), self.within(Period.MONTH, now)
        for cost in costs:
            day = EXACT.add(day, cost.within(Period.DAY, now))
            month = EXACT.add(month, cost.within(Period.MONTH, now))
        return replace(self, at=now, day=day, month=month)


def fee_percent(order: "OwnOrder", otherwise: Decimal) -> Decimal:
    """Return the exchange's percentage on an order's spend; ``otherwise`` where it is not said."""
    return otherwise if order.fee_percent is None else Decimal(str(order.fee_percent))


def share_of_day(span: timedelta) -> Decimal:
    """Return a length of time as a share of a day, exact to the microsecond."""
    return Decimal(max(span, timedelta(0)) // timedelta(microseconds=1)) / Decimal(86_400_000_000)


def _usd(amount: Decimal, rate: Decimal) -> Decimal:
    return EXACT.multiply(amount, rate).quantize(_FINEST, ROUND_CEILING, context=EXACT)
