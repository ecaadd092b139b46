"""What was recorded of the market: books, servers, rates and steps; reads only."""

from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import BigInteger, Engine, Row, Select, case, cast, func, literal, select

from bidder.domain.digest import Span
from bidder.domain.ids import AccountName, ServerId
from bidder.domain.price_rules import StepSample
from bidder.store import rows, tables
from bidder.store.engine import read_rows, transaction
from bidder.store.records import BookRecord, Looked, ServerPeriod, ServerRecord
from bidder.store.valuing import RatesOverTime

_STEPS = 200


class MarketQueries:
    """Questions about the market as one account saw it."""

    def __init__(self, engine: Engine, account: AccountName) -> None:
        """Ask about what ``account`` recorded."""
        self._engine = engine
        self._account = account

    def history(
        self, server: ServerId | None = None, *, since: datetime | None = None, limit: int = 1000
    ) -> tuple[BookRecord, ...]:
        """Return how books changed, the latest ``limit`` of them, oldest first.

        With ``since`` each server's row that held at that moment is not included.
        """
        table = tables.books
        statement = select(table).where(table.c.account == self._account)
        if server is not None:
            statement = statement.where(table.c.server_id == server)
        if since is not None:
            statement = statement.where(table.c.at >= since)
        found = self._rows(statement.order_by(table.c.id.desc()).limit(limit))
        return tuple(rows.book_of(row) for row in reversed(found))

    def changes(self, server: ServerId, *, since: datetime, until: datetime) -> tuple[BookRecord, ...]:
        """Return every raw change of a server's book in a span, oldest first.

        The first one is what held at ``since``, where that is known. Between one's ``until`` and the
        next one's ``at`` nobody looked.
        """
        table = tables.books
        statement = select(table).where(
            table.c.account == self._account,
            table.c.server_id == server,
            table.c.until >= since,
            table.c.at < until,
        )
        return tuple(rows.book_of(row) for row in self._rows(statement.order_by(table.c.at, table.c.id)))

    def servers_read(self, since: datetime, until: datetime) -> tuple[ServerId, ...]:
        """Return the servers whose books were watched in a span."""
        table = tables.books
        statement = select(table.c.server_id).where(
            table.c.account == self._account, table.c.until > since, table.c.at < until
        )
        found = self._rows(statement.distinct().order_by(table.c.server_id))
        return tuple(ServerId(row.server_id) for row in found)

    def looked_at(self, since: datetime) -> tuple[Looked, ...]:
        """Return for how long each server's book was looked at since a moment, the longest first."""
        table = tables.books
        begin = case((table.c.at < since, literal(since, table.c.at.type)), else_=table.c.at)
        # Added up in the database: the rows of a large fleet's fortnight would fill a gigabyte.
        span = func.sum(cast(table.c.until, BigInteger) - cast(begin, BigInteger))
        statement = select(
            table.c.server_id, func.min(begin).label("begin"), span.label("microseconds")
        ).where(table.c.account == self._account, table.c.until >= since)
        found = [
            Looked(
                server=ServerId(row.server_id),
                begin=row.begin,
                span=timedelta(microseconds=int(row.microseconds)),
            )
            for row in self._rows(statement.group_by(table.c.server_id))
        ]
        return tuple(sorted(found, key=lambda each: (-each.span, each.server)))

    def read_span(self) -> tuple[datetime, datetime] | None:
        """Return when the first book that is kept was read, and when the last; None without any."""
        table = tables.books
        mine = table.c.account == self._account
        # Each found at one end of an index; the row written first was read first.
        oldest = self._rows(select(table.c.at).where(mine).order_by(table.c.id).limit(1))
        newest = self._rows(select(func.max(table.c.until).label("until")).where(mine))
        return None if not oldest else (oldest[0].at, newest[0].until)

    def steps(self) -> tuple[StepSample, ...]:
        """Return what was learnt of how far one lowering may go, oldest first."""
        table = tables.step_samples
        statement = select(table).where(table.c.account == self._account).order_by(table.c.id.desc())
        return tuple(rows.step_of(row) for row in reversed(self._rows(statement.limit(_STEPS))))

    def rates_over(self, since: datetime, until: datetime) -> RatesOverTime:
        """Return what each currency was worth in a span."""
        with transaction(self._engine, writing=False) as connection:
            return RatesOverTime(connection, self._account, since, until)

    def servers(self, gpu_model: str | None = None) -> tuple[ServerRecord, ...]:
        """Return the servers whose books were ever read; with ``gpu_model`` only those with it."""
        table = tables.servers
        statement = select(table).where(table.c.account == self._account)
        if gpu_model is not None:
            statement = statement.where(table.c.gpu_model == gpu_model)
        return tuple(
            ServerRecord(server=ServerId(row.server_id), gpu_model=row.gpu_model, gpus=row.gpus)
            for row in self._rows(statement.order_by(table.c.server_id))
        )

    def server_periods(
        self, span: Span, server: ServerId | None = None, *, limit: int = 1000
    ) -> tuple[ServerPeriod, ...]:
        """Return the latest summaries of servers, oldest first."""
        table = tables.server_summaries
        statement = select(table).where(table.c.account == self._account, rows.spans_of(span, table))
        if server is not None:
            statement = statement.where(table.c.server_id == server)
        newest = (table.c.at.desc(), table.c.server_id.desc(), table.c.span.desc())
        found = self._rows(statement.order_by(*newest).limit(limit))
        return tuple(rows.server_period_of(row) for row in reversed(found))

    def _rows(self, statement: Select[Any]) -> list[Row[Any]]:
        return read_rows(self._engine, statement)
