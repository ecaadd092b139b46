"""What advice on bids rests on: the recorded prices of every server, by the kind of its GPUs."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal

from bidder.backtest.doubts import doubts
from bidder.backtest.recorded import readings_in, readings_of
from bidder.backtest.traces import Trace
from bidder.domain.history import Reading
from bidder.domain.ids import ServerId
from bidder.domain.market import gpu_model
from bidder.domain.money import Price, Rates
from bidder.errors import BadInput
from bidder.store.queries import Queries
from bidder.store.records import BookRecord, ServerRecord

# A longer time in which nobody looked stays a gap.
_BRIDGE = timedelta(hours=1)
# What was seen longer before the end of the record says nothing of the present.
_NOW = timedelta(hours=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Known:
    """One server as it was recorded; prices in USD per GPU and day.

    ``server`` None: the market of a trace. ``takes`` is what a bid must exceed at the end of the record,
    ``on_demand`` what it cost then. None: it cannot be won, or nobody looked in the last hour.
    """

    server: ServerId | None
    gpu: str
    gpus: int
    readings: Sequence[Reading]
    takes: Decimal | None = None
    on_demand: Decimal | None = None

    @property
    def watched(self) -> timedelta:
        """Return for how long it was watched while it could be won."""
        parts = (r.end - r.begin for r in self.readings if not r.closed)
        return sum(parts, timedelta(0))


@dataclass(frozen=True, slots=True, kw_only=True)
class Material:
    """The servers of the kind asked about, the others by kind, and the span of it all."""

    gpu: str
    begin: datetime
    end: datetime
    servers: tuple[Known, ...]
    others: tuple[tuple[str, tuple[Known, ...]], ...] = ()
    rates: Rates = Rates()
    warnings: tuple[str, ...] = ()


def of_history(queries: Queries, gpu: str, days: int, keep: timedelta, static: Rates) -> Material:
    """Return what the daemon recorded in the last days that it recorded anything.

    Raises:
        BadInput: nothing is recorded, or nothing of that kind.
    """
    span = queries.market.read_span()
    if span is None:
        raise BadInput(
            "nothing is recorded yet; `bidder run` records what it sees, or name a file with --trace"
        )
    end = span[1]
    begin = max(span[0], end - timedelta(days=days))
    records = queries.market.servers()
    named = _named(gpu, sorted({record.gpu_model for record in records}))
    over_time = queries.market.rates_over(begin, end)
    rates = over_time.at(end).over(static)
    by_kind: dict[str, list[Known]] = {}
    for record in records:
        books = queries.market.changes(record.server, since=begin, until=end)
        if not books:
            continue
        bridge = min(keep / 10, _BRIDGE)
        readings = readings_of(books, over_time, gpus=record.gpus, end=end, bridge=bridge)
        known = _known(record, readings, books, rates, end)
        by_kind.setdefault(record.gpu_model, []).append(known)
    if named not in by_kind:
        raise BadInput(f"--gpu {gpu}: no book of such a server was read in the last {days} days")
    return Material(
        gpu=named,
        begin=begin,
        end=end,
        servers=tuple(by_kind.pop(named)),
        others=tuple((kind, tuple(by_kind[kind])) for kind in sorted(by_kind)),
        rates=rates,
    )


def of_trace(trace: Trace) -> Material:
    """Return a trace's market as the only server of its kind; its prices are per hour."""
    readings = readings_in(trace)
    known = Known(server=None, gpu=trace.market, gpus=1, readings=readings, takes=trace.prices[-1] * 24)
    return Material(
        gpu=trace.market,
        begin=trace.start,
        end=trace.end,
        servers=(known,),
        warnings=doubts(trace, "name a file without the time before or after that"),
    )


def _known(
    record: ServerRecord,
    readings: Sequence[Reading],
    books: Sequence[BookRecord],
    rates: Rates,
    end: datetime,
) -> Known:
    latest = readings[-1] if readings and end - readings[-1].end <= _NOW else None
    fresh = (book for book in books if end - (book.until or book.at) <= _NOW)
    asked = [book.on_demand for book in fresh if book.on_demand is not None]
    return Known(
        server=record.server,
        gpu=record.gpu_model,
        gpus=record.gpus,
        readings=readings,
        takes=None if latest is None else latest.price,
        on_demand=_per_gpu(asked[-1], record.gpus, rates) if asked else None,
    )


def _per_gpu(price: Price, gpus: int, rates: Rates) -> Decimal | None:
    return rates.to_usd(price) / max(1, gpus) if rates.knows(price.currency) else None


def _named(text: str, models: Iterable[str]) -> str:
    """Return the one recorded kind that a person means: its name, or the end of it."""
    wanted = gpu_model(text)
    known = list(models)
    fitting = [model for model in known if model == wanted]
    fitting = fitting or [model for model in known if model.endswith(f" {wanted}")]
    fitting = fitting or [model for model in known if f" {wanted} " in f" {model} "]
    if len(fitting) == 1:
        return fitting[0]
    what = "more than one kind is" if fitting else "no such kind is"
    listed = ", ".join(fitting or known)
    raise BadInput(f"--gpu: {what} recorded like {text!r}; choose one of: {listed}")
