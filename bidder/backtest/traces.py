"""Recorded prices: one market's best competing bid over time.

The file is CSV, gzip or not, with the columns ``ts_utc, market, price_usd, source``: a price per
hour that holds until the next row of its market. Of several rows at one moment the last one holds.
"""

import csv
import gzip
import io
import re
import zlib
from bisect import bisect_right
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal, InvalidOperation
from pathlib import Path
from statistics import median

from bidder.errors import BadInput

_COLUMNS = ("ts_utc", "market", "price_usd")
_MOST_POINTS = 5_000_000
# What nobody would pay: no price in a file is as high, and none stands in a median.
UNWINNABLE = Decimal(1_000_000_000)
# Nobody auctioned servers before, and sums with what lies far beyond end outside of the calendar.
_YEARS = range(1970, 2200)
_LONGEST_SHOWN = 60
_LINE_END = re.compile(r"[\r\n]")


@dataclass(frozen=True, slots=True, kw_only=True)
class Trace:
    """One market: the price per hour from each moment on, in the trace's currency, until ``end``.

    ``file`` is where it was read, if from one; ``twice`` are moments for which that has two prices.
    """

    market: str
    moments: tuple[datetime, ...]
    prices: tuple[Decimal, ...]
    end: datetime
    file: Path | None = None
    twice: tuple[datetime, ...] = ()

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
            where = "" if self.file is None else f"{self.file}: "
            raise BadInput(
                f"{where}nothing of {self.market} lies between --from and --to; it runs from"
                f" {self.start.isoformat()} to {self.end.isoformat()}, so name times between those"
            )
        opening = bisect_right(self.moments, first) - 1
        closing = bisect_right(self.moments, last - timedelta(microseconds=1))
        return Trace(
            market=self.market,
            moments=(first, *self.moments[opening + 1 : closing]),
            prices=self.prices[opening:closing],
            end=last,
            file=self.file,
            twice=tuple(at for at in self.twice if first <= at < last),
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
    """Return the median over the time in which a bid could win, given equally spaced prices; else 0."""
    winnable = [point for point in points if point < UNWINNABLE]
    return Decimal(median(winnable)) if winnable else Decimal(0)


def read_trace(file: Path, market: str | None = None) -> Trace:
    """Return one market of a file; ``market`` may be any part of its name that tells it apart.

    Raises:
        BadInput: the file cannot be read, a line is not as it should be, or no one market fits.
    """
    series: dict[str, list[tuple[datetime, Decimal]]] = {}
    for name, at, price in _rows(file):
        series.setdefault(name, []).append((at, price))
    name = _chosen(file, sorted(series), market)
    unique: dict[datetime, Decimal] = {}
    twice: dict[datetime, None] = {}
    for at, price in sorted(series[name], key=lambda point: point[0]):
        if unique.setdefault(at, price) != price:
            twice[at] = None
        unique[at] = price
    moments = tuple(unique)
    if len(moments) < 2:
        raise BadInput(
            f"{file}: market {name} has a single price; add a row for the moment until which it held"
        )
    return Trace(
        market=name,
        moments=moments,
        prices=tuple(unique.values()),
        end=moments[-1],
        file=file,
        twice=tuple(twice),
    )


def _chosen(file: Path, names: list[str], market: str | None) -> str:
    if not names:
        raise BadInput(f"{file}: there is no price in it; add rows below the header, two at least")
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
    # Strict: a stray quote would otherwise swallow line after line, and nobody would be told.
    reader = csv.reader(io.StringIO(_text(file), newline=""), strict=True)
    number = 1
    try:
        columns = next(reader, [])
        _check_header(file, columns)
        number = reader.line_num + 1
        for fields in reader:
            if number > _MOST_POINTS:
                raise BadInput(f"{file}: more than {_MOST_POINTS} lines; cut it into parts")
            if fields:
                _check_fields(file, number, fields, len(columns))
                row = dict(zip(columns, fields, strict=False))
                yield row.get("market", ""), _moment(file, number, row), _price(file, number, row)
            number = reader.line_num + 1
    except csv.Error as exc:
        remedy = 'close or double each ", and write one row a line'
        raise BadInput(f"{file}: line {number}: is no row of CSV ({exc}); {remedy}") from None


def _text(file: Path) -> str:
    try:
        raw = file.read_bytes()
        if raw[:2] == b"\x1f\x8b":
            raw = gzip.decompress(raw)
        return raw.decode("utf-8-sig")
    except (EOFError, zlib.error, gzip.BadGzipFile):
        problem = "its compression is damaged"
    except UnicodeDecodeError:
        problem = "it is not text in UTF-8"
    except OSError as exc:
        problem = (exc.strerror or "it cannot be opened").lower()
    raise BadInput(f"{file}: cannot be read: {problem}; name a CSV file, gzip or not")


def _check_header(file: Path, columns: list[str]) -> None:
    missing = [column for column in _COLUMNS if column not in columns]
    if missing:
        raise BadInput(
            f"{file}: line 1: missing in the header: {', '.join(missing)} (got"
            f" {_shown(', '.join(columns))}); name at least the columns {', '.join(_COLUMNS)}, separated"
            " by commas"
        )


def _check_fields(file: Path, number: int, fields: list[str], columns: int) -> None:
    beyond = fields[columns:]
    if any(beyond):
        raise BadInput(
            f"{file}: line {number}: {len(fields)} fields, and the header names {columns}"
            f" (got {_shown(beyond[0])} beyond them); write prices with a point, and quote commas"
        )
    torn = next((field for field in fields if _LINE_END.search(field)), None)
    if torn is not None:
        raise BadInput(
            f"{file}: line {number}: a field goes on in the next line (got {_shown(torn)}); remove the"
            ' stray "'
        )


def _moment(file: Path, number: int, row: Mapping[str, str]) -> datetime:
    text = row.get("ts_utc", "")
    try:
        at = datetime.fromisoformat(text)
        at = at.replace(tzinfo=UTC) if at.tzinfo is None else at.astimezone(UTC)
    except (ValueError, OverflowError):
        at = datetime.min.replace(tzinfo=UTC)
    if at.year not in _YEARS:
        remedy = f"write one from {_YEARS.start} to {_YEARS.stop - 1} like 2015-06-13T00:00:00Z"
        raise BadInput(f"{file}: line {number}: ts_utc is no time of use (got {_shown(text)}); {remedy}")
    return at


def _price(file: Path, number: int, row: Mapping[str, str]) -> Decimal:
    text = row.get("price_usd", "")
    try:
        price = Decimal(text)
    except InvalidOperation:
        price = Decimal("NaN")
    got = f"(got {_shown(text)})"
    if price.is_nan() or price < 0:
        remedy = "write a number that is not negative, such as 0.13"
        raise BadInput(f"{file}: line {number}: price_usd is no price {got}; {remedy}")
    if price >= UNWINNABLE:
        remedy = f"write one per hour below {UNWINNABLE}, or leave the row out"
        raise BadInput(f"{file}: line {number}: price_usd is too high {got}; {remedy}")
    return price


def _shown(text: str) -> str:
    return repr(text if len(text) <= _LONGEST_SHOWN else f"{text[:_LONGEST_SHOWN]}...")
