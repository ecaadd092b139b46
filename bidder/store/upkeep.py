"""Looking after the database as a whole: how large it is, making it smaller, copying, exporting."""

import csv
import os
import sqlite3
import sys
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

from sqlalchemy import Engine, Table, func, or_, select, text
from sqlalchemy.exc import SQLAlchemyError

from bidder.errors import BadInput, LeaseHeld, StoreFailed
from bidder.store import tables
from bidder.store.engine import failure, place, sqlite_file, transaction
from bidder.store.lease import Holder, held_until
from bidder.store.schema import HEAD
from bidder.store.types import Amount, Duration, Json, Moment

# Which columns tell when a row began to hold, and when it last did; a table without one has no times.
_FIRST = ("at", "opened_at", "posted_at", "first_seen_at", "seen_at", "created_at", "began_at")
_LAST = (
    "until",
    "last_seen_at",
    "billed_until",
    "alive_at",
    "probed_at",
    "ended_at",
    "closed_at",
    "done_at",
)
_ROWS_AT_ONCE = 5000


@dataclass(frozen=True, slots=True, kw_only=True)
class Info:
    """What a database holds. ``free_bytes`` is what `vacuum` would give back; None on a server."""

    place: str
    kind: str
    bytes: int
    free_bytes: int | None
    revision: str
    rows: dict[str, int]
    oldest: datetime | None
    newest: datetime | None


def info(engine: Engine) -> Info:
    """Return how large the database is, what is in it and how far back its raw history goes."""
    books, decisions = tables.books, tables.decisions
    with transaction(engine, writing=False) as connection:
        rows = {
            table.name: int(connection.execute(select(func.count()).select_from(table)).scalar_one())
            for table in tables.metadata.sorted_tables
        }
        ends = [
            connection.execute(select(func.min(column), func.max(column))).one()
            for column in (books.c.at, decisions.c.at)
        ]
        free = None
        if engine.dialect.name == "sqlite":
            page = int(connection.exec_driver_sql("PRAGMA page_size").scalar_one())
            size = page * int(connection.exec_driver_sql("PRAGMA page_count").scalar_one())
            free = page * int(connection.exec_driver_sql("PRAGMA freelist_count").scalar_one())
        else:
            size = int(
                connection.execute(text("SELECT pg_database_size(current_database())")).scalar_one()
            )
    return Info(
        place=place(engine),
        kind=engine.dialect.name,
        bytes=size,
        free_bytes=free,
        revision=HEAD,
        rows=rows,
        oldest=min((first for first, _ in ends if first is not None), default=None),
        newest=max((last for _, last in ends if last is not None), default=None),
    )


def vacuum(engine: Engine, now: datetime) -> None:
    """Write the database anew without its gaps.

    Raises:
        LeaseHeld: a daemon uses the SQLite file, which nobody else can write meanwhile.
        StoreBusy: on a server somebody kept a table locked.
        StoreFailed: the database failed.
    """
    if engine.dialect.name != "sqlite":
        _vacuum_server(engine)
        return
    _require_idle(engine, now)
    raw = engine.raw_connection()
    try:
        cursor = raw.cursor()
        cursor.execute("PRAGMA auto_vacuum=INCREMENTAL")
        cursor.execute("VACUUM")
        cursor.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
        cursor.close()
    except sqlite3.Error as exc:
        raise StoreFailed(f"{place(engine)}: {exc}; is the disk full? it needs as much again") from exc
    finally:
        raw.close()


def _vacuum_server(engine: Engine) -> None:
    try:
        with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
            # What holds for a pass of the daemon does not for this: a large database takes minutes.
            connection.exec_driver_sql("SET statement_timeout = 0")
            connection.detach()
            connection.exec_driver_sql("VACUUM")
    except SQLAlchemyError as exc:
        raise failure(exc, engine) from exc


def _require_idle(engine: Engine, now: datetime) -> None:
    with transaction(engine, writing=False) as connection:
        held = connection.execute(select(tables.lease).where(tables.lease.c.host.is_not(None))).all()
    here = Holder.here()
    for row in held:
        if held_until(row, now, seen_from=here) is not None:
            raise LeaseHeld(
                f"{Holder(host=row.host, pid=row.pid)} trades account {row.account} from this database,"
                " and could not write while it is rewritten; stop that daemon first"
            )


def backup(engine: Engine, target: Path) -> int:
    """Copy an SQLite database as it is at this moment, also under a running daemon; return its size.

    The copy appears under its name only when it is whole, readable by its owner alone.

    Raises:
        BadInput: it is no SQLite file, or ``target`` exists or cannot be written.
    """
    if sqlite_file(engine) is None:
        raise BadInput(
            f"{place(engine)}: only an SQLite file is backed up by this command;"
            " use pg_dump for PostgreSQL, which copies it while it is used"
        )
    with appearing(target) as part:
        raw = engine.raw_connection()
        try:
            source = raw.driver_connection
            assert isinstance(source, sqlite3.Connection)
            with closing(sqlite3.connect(part)) as copy:
                # In one go: the daemon's writes go to the log meanwhile and wait for nobody.
                source.backup(copy)
                verdict = copy.execute("PRAGMA quick_check(1)").fetchone()
                copy.execute("PRAGMA journal_mode=DELETE").fetchall()
        except sqlite3.Error as exc:
            raise StoreFailed(f"{target}: the copy failed: {exc}") from exc
        finally:
            raw.close()
        if verdict is None or verdict[0] != "ok":
            raise StoreFailed(f"{place(engine)}: is corrupt ({verdict}); keep your older backups")
    return target.stat().st_size


@contextmanager
def appearing(target: Path) -> Iterator[Path]:
    """Yield a file beside ``target`` that takes its name when all went well, and else is gone.

    Only its owner may read it. Raises BadInput where ``target`` exists or cannot be written.
    """
    require_absent(target)
    part = target.with_name(f".{target.name}.{os.getpid()}.part")
    try:
        part.touch(mode=0o600)
        yield part
        descriptor = os.open(part, os.O_RDONLY)
        os.fsync(descriptor)
        os.close(descriptor)
        part.replace(target)
    except OSError as exc:
        raise _unwritable(target, exc) from exc
    finally:
        # What could not be made cannot be removed either, and the reason is being told already.
        with suppress(OSError):
            part.unlink(missing_ok=True)


def require_absent(target: Path) -> None:
    """Refuse to write over a file, or where none can be made; raises BadInput."""
    try:
        there = target.exists()
    except OSError as exc:
        raise _unwritable(target, exc) from exc
    if there:
        raise BadInput(f"{target}: exists already; name another file, or remove it")


def _unwritable(target: Path, exc: OSError) -> BadInput:
    reason = exc.strerror or type(exc).__name__
    return BadInput(f"{target}: cannot be written: {reason}; name another file")


def export(engine: Engine, name: str, target: Path | None, *, kind: str, since: datetime | None) -> int:
    """Write one table as ``csv`` or ``parquet``; return the number of rows. No file: standard output.

    Amounts stay text, digit for digit; times are UTC. With ``since`` come the rows that held after
    that moment.

    Raises:
        BadInput: there is no such table, it has no times, or the format needs what is not there.
    """
    table = tables.metadata.tables.get(name)
    if table is None:
        known = ", ".join(sorted(tables.metadata.tables))
        raise BadInput(f"there is no table {name!r}; known are {known}")
    if kind == "parquet":
        if target is None:
            raise BadInput("parquet is not for a terminal; name a file with --output FILE.parquet")
        _require_pyarrow()
    found = _read(engine, table, since)
    if target is None:
        return _csv(table, found, sys.stdout)
    with appearing(target) as part:
        if kind == "parquet":
            return _parquet(table, found, part)
        with part.open("w", encoding="utf-8", newline="") as stream:
            return _csv(table, found, stream)


def _read(engine: Engine, table: Table, since: datetime | None) -> Iterator[Sequence[Any]]:
    statement = select(table).order_by(*table.primary_key.columns)
    if since is not None:
        times = [table.c[name] >= since for name in _FIRST if name in table.c]
        times += [table.c[name] > since for name in _LAST if name in table.c]
        if not times:
            raise BadInput(f"table {table.name!r} has no times; leave out --since")
        # The latest of them counts: a book that stood all day was not over when it was first seen.
        statement = statement.where(or_(*times))

    def rows() -> Iterator[Sequence[Any]]:
        with transaction(engine, writing=False) as connection:
            yield from connection.execution_options(yield_per=_ROWS_AT_ONCE).execute(statement)

    return rows()


def _csv(table: Table, rows: Iterator[Sequence[Any]], stream: Any) -> int:
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow([column.name for column in table.columns])
    count = 0
    for row in rows:
        writer.writerow([_text(value) for value in row])
        count += 1
    return count


def _text(value: Any) -> Any:
    match value:
        case datetime():
            return value.astimezone(UTC).isoformat().replace("+00:00", "Z")
        case Decimal():
            return format(value, "f")
        case bytes():
            return value.hex()
        case dict() | list():
            import json

            return json.dumps(value)
        case _ if hasattr(value, "total_seconds"):
            return value.total_seconds()
        case _:
            return value


def _require_pyarrow() -> None:
    try:
        import pyarrow.parquet  # noqa: F401 - looked for only
    except ImportError as exc:
        raise BadInput(
            "parquet needs pyarrow, which is not installed; pip install 'bidder[parquet]',"
            " or export as csv"
        ) from exc


def _parquet(table: Table, rows: Iterator[Sequence[Any]], target: Path) -> int:
    import pyarrow as pa
    from pyarrow import parquet

    schema = pa.schema([(column.name, _arrow_type(column.type)) for column in table.columns])
    count = 0
    with parquet.ParquetWriter(target, schema) as writer:
        batch: list[Sequence[Any]] = []
        for row in rows:
            batch.append(row)
            if len(batch) == _ROWS_AT_ONCE:
                writer.write_table(_arrow(schema, batch))
                count, batch = count + len(batch), []
        writer.write_table(_arrow(schema, batch))
    return count + len(batch)


def _arrow(schema: Any, rows: list[Sequence[Any]]) -> Any:
    import pyarrow as pa

    def plain(value: Any) -> Any:
        return value if isinstance(value, datetime) else _text(value)

    columns = [[plain(row[index]) for row in rows] for index in range(len(schema))]
    return pa.table(
        [pa.array(values, field.type) for values, field in zip(columns, schema, strict=True)],
        schema=schema,
    )


def _arrow_type(kind: Any) -> Any:
    import pyarrow as pa

    if isinstance(kind, Moment):
        return pa.timestamp("us", tz="UTC")
    if isinstance(kind, Duration):
        return pa.float64()
    if isinstance(kind, Amount | Json):
        return pa.string()
    by_python: dict[type, Any] = {
        bool: pa.bool_(),
        int: pa.int64(),
        float: pa.float64(),
        str: pa.string(),
        bytes: pa.string(),
    }
    return by_python[_python_type(kind)]


def _python_type(kind: Any) -> type:
    inner = getattr(kind, "impl_instance", kind)
    found: type = inner.python_type
    return found
