"""The recorded history of one server as a trace: what it took to win it, in USD per hour."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from decimal import ROUND_CEILING, Context, Decimal

from bidder.backtest.traces import UNWINNABLE, Trace
from bidder.domain import selection
from bidder.domain.history import Reading
from bidder.domain.ids import ServerId
from bidder.domain.money import Rates
from bidder.domain.policy import Requirements
from bidder.errors import BadInput
from bidder.store.records import BookRecord, ServerRecord
from bidder.store.valuing import RatesOverTime, valued

_HOURS = Decimal(24)


def trace_of(
    server: ServerId, records: Sequence[BookRecord], rates: Rates, *, start: datetime, end: datetime
) -> Trace:
    """Return the least bid that would have run, as the recorded books show it.

    Amounts are valued by ``rates``. Where nobody looked, the last price read is taken to have held.

    Raises:
        BadInput: too little is recorded of this server in the span.
    """
    moments: list[datetime] = []
    prices: list[Decimal] = []
    for record in records:
        price = _price(record, rates)
        at = max(record.at, start)
        if price is None or (prices and price == prices[-1]):
            continue
        if moments and moments[-1] == at:
            prices[-1] = price
            continue
        moments.append(at)
        prices.append(price)
    last = min(end, max((r.until or r.at for r in records), default=start))
    if not moments or last - moments[0] < timedelta(minutes=10):
        raise BadInput(
            f"--from-history: too little is recorded of server {server} between {start:%Y-%m-%d %H:%M}"
            f" and {end:%Y-%m-%d %H:%M} UTC; `bidder history` lists what is, --server names another one,"
            " --days looks further back"
        )
    return Trace(market=f"server {server}", moments=tuple(moments), prices=tuple(prices), end=last)


def _price(record: BookRecord, rates: Rates) -> Decimal | None:
    if record.closed:
        return UNWINNABLE  # no bid wins, so the rival bids what nobody would pay
    floors = [rates.to_usd(f) for c, f in record.floor.items() if rates.knows(c)]
    rival = record.best_rival
    bids = [rates.to_usd(rival)] if rival is not None and rates.knows(rival.currency) else []
    if not bids and (record.rivals or rival is not None):
        return None  # a rival's bid could not be valued
    if not floors and not bids:
        return None
    least = min(floors, default=Decimal(0))
    return round(max([least, *bids]) / _HOURS, 12)


def fits(record: ServerRecord, wanted: Requirements) -> bool:
    """Return whether a server may be for a target, as far as is recorded: of its parts only the GPUs."""
    return selection.qualifies(record.listing(), wanted.by_gpus())


def readings_of(
    records: Sequence[BookRecord], rates: RatesOverTime, *, gpus: int, end: datetime, bridge: timedelta
) -> list[Reading]:
    """Return what it took to win a server, in USD per GPU and day, in order of time.

    Prices are rounded up to three digits, and valued anew at every full hour. Where nobody looked for
    no longer than ``bridge``, the dearer of what was seen before and after is taken to have held; a
    longer gap stays one.
    """
    found: list[Reading] = []
    for begin, until, price in _priced(records, rates, end):
        closed = price == UNWINNABLE
        worth = None if closed else _rounded_up(price * _HOURS / max(1, gpus))
        reading = Reading(begin=begin, end=until, price=worth, closed=closed)
        if found and timedelta(0) < reading.begin - found[-1].end <= bridge:
            found.append(_between(found[-1], reading))
        if found and _alike(found[-1], reading):
            found[-1] = replace(found[-1], end=reading.end)
        else:
            found.append(reading)
    return [reading for reading in found if reading.end > reading.begin]


def _priced(
    records: Sequence[BookRecord], rates: RatesOverTime, end: datetime
) -> Iterator[tuple[datetime, datetime, Decimal]]:
    """Yield what it took to win per hour, none twice; a single look, which lasts no time, as well."""
    done: datetime | None = None
    for record in records:
        begin = record.at if done is None else max(record.at, done)
        until = min(record.until or record.at, end)
        if until < begin:
            continue
        done = until
        for since, later, known in valued(rates, begin, until, ours=False):
            price = _price(record, known)
            if price is not None:
                yield since, later, price


def _between(before: Reading, after: Reading) -> Reading:
    closed = before.closed or after.closed
    prices = [price for price in (before.price, after.price) if price is not None]
    dearer = None if closed else max(prices, default=None)
    return Reading(begin=before.end, end=after.begin, price=dearer, closed=closed)


def _alike(before: Reading, after: Reading) -> bool:
    same = (before.price, before.closed) == (after.price, after.closed)
    return same and before.end == after.begin


def _rounded_up(amount: Decimal) -> Decimal:
    return Context(prec=3, rounding=ROUND_CEILING).plus(amount)


def readings_in(trace: Trace) -> list[Reading]:
    """Return a trace's prices per day, rounded up to three digits, as one server's readings."""
    ends = (*trace.moments[1:], trace.end)
    return [
        Reading(begin=begin, end=end, price=_rounded_up(price * _HOURS))
        for begin, end, price in zip(trace.moments, ends, trace.prices, strict=True)
        if end > begin
    ]
