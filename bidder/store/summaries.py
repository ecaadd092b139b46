"""Down-sampling: each hour and day of raw history becomes one row per server and one per target.

Work comes in slices of a few servers; a slice and how far it brought the period are committed
together, so that a crash between two slices repeats nothing and leaves nothing out. A period is done
only when what was seen in it can no longer change.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime

from sqlalchemy import Connection, delete, func, select

from bidder.domain.digest import Held, Span, Stretch, held_by_order, seen_in, summarise
from bidder.domain.ids import OrderId, ServerId, on_paper
from bidder.domain.market import OrderKind
from bidder.domain.policy import Mode
from bidder.store import rented, rows, tables
from bidder.store.recording import GAP
from bidder.store.records import BookRecord
from bidder.store.valuing import RatesOverTime, stretches

_SERVERS_PER_SLICE = 10
# What is held on paper is never added to what is held.
_Target = tuple[Mode, str]
# Later than this nothing is added to a period any more: a book is confirmed or known to be lost.
_SETTLED_AFTER = 2 * GAP


def advance(connection: Connection, account: str, span: Span, now: datetime) -> bool:
    """Summarise a few servers of the oldest unfinished period; return whether there was work."""
    progress = _progress(connection, account, span)
    if progress is None:
        return False
    begin, cursor = progress
    if begin > now:
        # A clock that was ahead has taken it there; to do the present period once more does no harm.
        begin, cursor = span.begin(now), None
        _set_progress(connection, account, span, begin, cursor)
    end = begin + span.length
    if end + _SETTLED_AFTER > now or rented.missed(connection, account, end, now):
        return False
    if cursor is None:
        _begin_period(connection, account, span, begin, end)
    servers = _servers(connection, account, begin, end, after=cursor)
    rates = RatesOverTime(connection, account, begin, end)
    targets: dict[_Target, Held] = {}
    for server in servers:
        books = _books(connection, account, server, begin, end)
        _summarise_server(connection, account, span, begin, end, server, books, rates, targets)
    _add_to_targets(connection, account, span, begin, targets)
    if len(servers) < _SERVERS_PER_SLICE:
        _set_progress(connection, account, span, _next_period(connection, account, span, end, now), None)
    else:
        _set_progress(connection, account, span, begin, servers[-1])
    return True


def done_until(connection: Connection, account: str) -> datetime | None:
    """Return until when the raw history is summarised whole; None where nothing is yet."""
    table = tables.summary_progress
    found = connection.execute(select(table.c.at).where(table.c.account == account)).scalars().all()
    return min(found) if len(found) == len(Span) else None


def _summarise_server(
    connection: Connection,
    account: str,
    span: Span,
    begin: datetime,
    end: datetime,
    server: ServerId,
    books: list[BookRecord],
    rates: RatesOverTime,
    targets: dict[_Target, Held],
) -> None:
    """Write a server's period: without what was on paper, and once more with it where anything was."""
    whole = list(stretches(books, rates, begin, end))
    if not whole:
        return
    papers = any(s.order is not None and on_paper(s.order) for s in whole)
    for mode in (Mode.LIVE, Mode.PAPER) if papers else (Mode.LIVE,):
        seen = [seen_in(stretch, paper=mode is Mode.PAPER) for stretch in whole]
        _write_server(connection, account, span, mode, begin, server, seen)
        ran_before = None
        if seen[0].held:
            first = books[0] if books[0].at < begin else _last_before(connection, account, server, begin)
            ran_before = _ran(first, paper=mode is Mode.PAPER)
        by_order = held_by_order(seen, ran_before=ran_before)
        named = _targets_of(connection, account, by_order)
        for order, held in by_order.items():
            target = named.get(order)
            if target is not None:
                key = (mode, target)
                targets[key] = targets.get(key, Held()).plus(held)


def _write_server(
    connection: Connection,
    account: str,
    span: Span,
    mode: Mode,
    begin: datetime,
    server: ServerId,
    seen: Sequence[Stretch],
) -> None:
    found = summarise(seen)
    spreads = {"rival": found.rival, "floor": found.floor, "bid": found.bid}
    values = {
        "account": account,
        "span": rows.span_text(span, mode),
        "at": begin,
        "server_id": server,
        "known": found.known,
        "online": found.online,
        "rented": found.rented,
        "held": found.held,
        "spend": found.spend,
        **{
            f"{what}_{which}": None if spread is None else rows.fitting(getattr(spread, which))
            for what, spread in spreads.items()
            for which in ("low", "median", "high")
        },
    }
    rows.upsert(connection, tables.server_summaries, values)


def _begin_period(
    connection: Connection, account: str, span: Span, begin: datetime, end: datetime
) -> None:
    """Start the period's targets from what was rented on demand, of which no book tells."""
    table = tables.target_summaries
    texts = [rows.span_text(span, mode) for mode in Mode]
    here = (table.c.account == account) & table.c.span.in_(texts) & (table.c.at == begin)
    connection.execute(delete(table).where(here))
    _add_to_targets(
        connection, account, span, begin, rented.held_on_demand(connection, account, begin, end)
    )


def _add_to_targets(
    connection: Connection, account: str, span: Span, begin: datetime, targets: Mapping[_Target, Held]
) -> None:
    table = tables.target_summaries
    for (mode, target), more in targets.items():
        text = rows.span_text(span, mode)
        here = (table.c.account == account) & (table.c.span == text) & (table.c.at == begin)
        row = connection.execute(select(table).where(here, table.c.target == target)).first()
        held = more if row is None else rows.held_of(row).plus(more)
        values = {
            "account": account,
            "span": text,
            "at": begin,
            "target": target,
            "spend": held.spend,
            "held": held.held,
            "restarts": held.restarts,
            "on_demand": held.on_demand,
            "compared": held.compared,
        }
        rows.upsert(connection, table, values)


def _targets_of(
    connection: Connection, account: str, orders: Mapping[OrderId, Held]
) -> dict[OrderId, str | None]:
    table = tables.orders
    found = connection.execute(
        select(table.c.order_id, table.c.target).where(
            table.c.account == account, table.c.order_id.in_(list(orders))
        )
    )
    return {OrderId(row.order_id): row.target for row in found}


def _servers(
    connection: Connection, account: str, begin: datetime, end: datetime, *, after: int | None
) -> list[ServerId]:
    books = tables.books
    statement = select(books.c.server_id).where(
        books.c.account == account, books.c.until > begin, books.c.at < end
    )
    if after is not None:
        statement = statement.where(books.c.server_id > after)
    statement = statement.distinct().order_by(books.c.server_id).limit(_SERVERS_PER_SLICE)
    return [ServerId(number) for number in connection.execute(statement).scalars()]


def _books(
    connection: Connection, account: str, server: ServerId, begin: datetime, end: datetime
) -> list[BookRecord]:
    books = tables.books
    found = connection.execute(
        select(books)
        .where(
            books.c.account == account,
            books.c.server_id == server,
            books.c.at < end,
            books.c.until > begin,
        )
        .order_by(books.c.at, books.c.id)
    )
    return [rows.book_of(row) for row in found]


def _last_before(
    connection: Connection, account: str, server: ServerId, begin: datetime
) -> BookRecord | None:
    books = tables.books
    mine = (books.c.account == account) & (books.c.server_id == server) & (books.c.at < begin)
    latest = select(books).where(mine).order_by(books.c.at.desc(), books.c.id.desc()).limit(1)
    row = connection.execute(latest).first()
    return None if row is None else rows.book_of(row)


def _ran(book: BookRecord | None, *, paper: bool) -> OrderId | None:
    """Return the order of ours that ran when a book was seen last, on paper or not."""
    if book is None or book.our_order is None or book.active_order != book.our_order:
        return None
    return book.our_order if on_paper(book.our_order) is paper else None


def _progress(
    connection: Connection, account: str, span: Span
) -> tuple[datetime, ServerId | None] | None:
    table = tables.summary_progress
    row = connection.execute(
        select(table).where(table.c.account == account, table.c.span == span.value)
    ).first()
    if row is not None:
        return row.at, None if row.server_id is None else ServerId(row.server_id)
    books, orders = tables.books, tables.orders
    begun = (
        connection.execute(select(func.min(books.c.at)).where(books.c.account == account)).scalar(),
        connection.execute(
            select(func.min(orders.c.first_seen_at)).where(
                orders.c.account == account, orders.c.kind == OrderKind.ON_DEMAND.value
            )
        ).scalar(),
    )
    first = min((at for at in begun if at is not None), default=None)
    return None if first is None else (span.begin(first), None)


def _set_progress(
    connection: Connection, account: str, span: Span, at: datetime, server: ServerId | None
) -> None:
    values = {"account": account, "span": span.value, "at": at, "server_id": server}
    rows.upsert(connection, tables.summary_progress, values)


def _next_period(
    connection: Connection, account: str, span: Span, begin: datetime, now: datetime
) -> datetime:
    """Return the next period with anything in it; the present one where there is none before."""
    books, orders = tables.books, tables.orders
    rented = select(orders.c.order_id).where(
        orders.c.account == account,
        orders.c.kind == OrderKind.ON_DEMAND.value,
        orders.c.ended_at.is_(None) | (orders.c.ended_at > begin),
    )
    if connection.execute(rented.limit(1)).first() is not None:
        return begin
    mine = books.c.account == account
    lasting = select(books.c.id).where(mine, books.c.until > begin, books.c.at <= begin).limit(1)
    if connection.execute(lasting).first() is not None:
        return begin
    later = select(func.min(books.c.at)).where(mine, books.c.until > begin)
    at = connection.execute(later).scalar()
    # What a clock that was ahead has dated comes later than the present, too.
    return max(begin, span.begin(now - _SETTLED_AFTER if at is None else min(at, now)))
