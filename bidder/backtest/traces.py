"""Recorded prices: one market's best competing bid over time.

The file is CSV, gzip or not, with the columns ``ts_utc, market, price_usd, source``: a price per
hour that holds until the next row of its market.
"""

import csv
import gzip
import io
from bisect import bisect_right
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal, InvalidOperation
from pathlib import Path
from statistics import median

from bidder.errors import BadInput

_COLUMNS = ("ts_utc", "market", "price_usd")
_MOST_POINTS = 5_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Trace:
    """One market: the price per hour from each moment on, in the trace's currency, until ``end``."""

    market: str
    moments: tuple[datetime, ...]
    prices: tuple[Decimal, ...]
    end: datetime

    @property
    def start(self) -> datetime:
        """Return when the first price is known."""
        return self.moments[0]

    def cut(self, start: datetime | None, end: datetime | None) -> "Trace":
        """Return the part between two moments; the price that holds at ``start`` opens it.

        Raises:
            BadInput: nothing of the trace lies between them.
        """
        first = self.start if start is None else max(start, self.start)
        last = self.end if end is None else min(end, self.end)
        if first >= last:
            raise BadInput(
                f"the trace of {self.market} runs from {self.start.isoformat()} to"
                f" {self.end.isoformat()}; nothing of it lies between --from and --to"
            )
        opening = bisect_right(self.moments, first) - 1
        closing = bisect_right(self.moments, last - timedelta(microseconds=1))
        return Trace(
            market=self.market,
            moments=(first, *self.moments[opening + 1 : closing]),
            prices=self.prices[opening:closing],
            end=last,
        )

    def sampled(self, grid: timedelta) -> tuple[Decimal, ...]:
        """Return the price that holds at each multiple of ``grid`` from the start on."""
        count = -((self.start - self.end) // grid)
        points = []
        index = 0
        for number in range(count):
            at = self.start + number * grid
            while index + 1 < len(self.moments) and self.moments[index + 1] <= at:
                index += 1
            points.append(self.prices[index])
        return tuple(points)


def median_price(points: tuple[Decimal, ...]) -> Decimal:
    """Return the median over time, given equally spaced prices."""
    return Decimal(median(points))


def read_trace(file: Path, market: str | None = None) -> Trace:
    """Return one market of a file; ``market`` may be any part of its name that tells it apart.

    Raises:
        BadInput: the file cannot be read, a line is not as it should be, or no one market fits.
    """
    series: dict[str, list[tuple[datetime, Decimal]]] = {}
    for name, at, price in _rows(file):
        series.setdefault(name, []).append((at, price))
    name = _chosen(file, sorted(series), market)
    points = sorted(series[name], key=lambda point: point[0])
    # Of several rows at one moment the last one holds.
    unique = dict(points)
    moments = tuple(unique)
    if len(moments) < 2:
        raise BadInput(f"{file}: market {name} has a single price; two moments are needed")
    return Trace(market=name, moments=moments, prices=tuple(unique.values()), end=moments[-1])


def _chosen(file: Path, names: list[str], market: str | None) -> str:
    if not names:
        raise BadInput(f"{file}: there is no price in it")
    fitting = [name for name in names if market is None or market == name]
    if not fitting and market is not None:
        fitting = [name for name in names if market in name]
    if len(fitting) == 1:
        return fitting[0]
    known = ", ".join(names[:12]) + (", ..." if len(names) > 12 else "")
    if market is None:
        raise BadInput(f"{file}: several markets are in it; choose one with --market ({known})")
    what = "no market" if not fitting else "more than one market"
    raise BadInput(f"{file}: {what} is named like {market!r}; choose one of: {known}")


def _rows(file: Path) -> Iterator[tuple[str, datetime, Decimal]]:
    try:
        raw = file.read_bytes()
        if raw[:2] == b"\x1f\x8b":
            raw = gzip.decompress(raw)
        text = raw.decode("utf-8-sig")
    except (OSError, EOFError, UnicodeDecodeError, gzip.BadGzipFile) as exc:
        raise BadInput(f"{file}: cannot be read as CSV ({exc}); name a CSV file, gzip or not") from exc
    reader = csv.DictReader(io.StringIO(text))
    missing = [column for column in _COLUMNS if column not in (reader.fieldnames or ())]
    if missing:
        raise BadInput(f"{file}: line 1: the column {missing[0]} is missing; it starts with a header")
    for number, row in enumerate(reader, start=2):
        if number > _MOST_POINTS:
            raise BadInput(f"{file}: more than {_MOST_POINTS} lines; cut it into parts")
        yield row["market"] or "", _moment(file, number, row["ts_utc"]), _price(file, number, row)


def _moment(file: Path, number: int, text: str | None) -> datetime:
    try:
        at = datetime.fromisoformat(text or "")
    except ValueError:
        remedy = "write it like 2015-06-13T00:00:00Z"
        raise BadInput(f"{file}: line {number}: ts_utc is not a time (got {text!r}); {remedy}") from None
    return at.replace(tzinfo=UTC) if at.tzinfo is None else at.astimezone(UTC)


def _price(file: Path, number: int, row: dict[str, str]) -> Decimal:
    text = row["price_usd"]
    try:
        price = Decimal(text or "")
    except InvalidOperation:
        price = Decimal(-1)
    if not (price.is_finite() and Decimal(0) <= price < Decimal("1e9")):
        remedy = "write a number that is not negative"
        raise BadInput(f"{file}: line {number}: price_usd is no price (got {text!r}); {remedy}")
    return price
