"""Opening the database: SQLite as a file or in memory, PostgreSQL through psycopg.

``transaction`` is the only way to it: short, all or nothing, and every failure leaves it as one of
our errors. On SQLite a writing transaction takes the write lock at its start (BEGIN IMMEDIATE): one
that begins by reading would be refused the lock later, without any waiting, when another process
wrote in between.
"""

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Engine, Row, Select, create_engine, event
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError, DBAPIError, NoSuchModuleError, SQLAlchemyError, StatementError
from sqlalchemy.pool import StaticPool

from bidder.errors import BadInput, BidderError, StoreBusy, StoreFailed, StoreUnavailable, StoreUnusable
from bidder.store.passing import system_may_recover

BUSY_TIMEOUT_SECONDS = 5.0
# Drivers that hand these on to libpq; another one may not know them.
_LIBPQ = frozenset(("psycopg", "psycopg2"))
WRITING = "bidder_writing"


def open_engine(url: str | Path, *, busy_timeout: float = BUSY_TIMEOUT_SECONDS) -> Engine:
    """Return an engine for the database at ``url``, a path being an SQLite file's; nothing is read yet.

    Raises:
        BadInput: the URL cannot be understood, or its driver is not installed.
        StoreUnusable: the path cannot hold a database.
    """
    parsed = URL.create("sqlite", database=str(url)) if isinstance(url, Path) else _parse(url)
    backend = parsed.get_backend_name()
    if backend == "sqlite":
        return _sqlite_engine(parsed, busy_timeout)
    if backend == "postgresql":
        return _postgres_engine(parsed, busy_timeout)
    raise BadInput(f"database URL: {backend!r} is not supported; use sqlite:///FILE or postgresql://…")


def sqlite_file(engine: Engine) -> Path | None:
    """Return the file behind an engine; None for one in memory or on a server."""
    if engine.dialect.name != "sqlite" or _in_memory(engine.url):
        return None
    return Path(engine.url.database or "")


def in_memory(engine: Engine) -> bool:
    """Return whether the database is in memory, where one connection serves all."""
    return engine.dialect.name == "sqlite" and _in_memory(engine.url)


def place(engine: Engine) -> str:
    """Return where the database is, as it may be shown: never with a password."""
    file = sqlite_file(engine)
    # The query goes too: a password may stand there as well.
    return engine.url.set(query={}).render_as_string(hide_password=True) if file is None else str(file)


@contextmanager
def transaction(engine: Engine, *, writing: bool) -> Iterator[Connection]:
    """Run one short transaction; on any failure all of it is undone.

    Raises:
        StoreBusy: the write lock was not to be had in time.
        StoreFailed: the database failed.
    """
    try:
        with engine.connect() as connection:
            if writing:
                # Of this connection only: an engine with options of its own takes longer to make than
                # many a statement to run.
                connection.execution_options(**{WRITING: True})
            with connection.begin():
                yield connection
    except SQLAlchemyError as exc:
        raise failure(exc, engine) from exc


def read_rows(engine: Engine, statement: Select[Any]) -> list[Row[Any]]:
    """Return what one question finds; raises as ``transaction`` does."""
    with transaction(engine, writing=False) as connection:
        return list(connection.execute(statement))


def failure(exc: SQLAlchemyError, engine: Engine) -> BidderError:
    """Return the error of ours for a failure of the database; never shows what was being stored."""
    cause = exc.orig if isinstance(exc, StatementError) else None
    if isinstance(cause, BidderError):
        return cause
    text = _one_line(cause or exc)
    if isinstance(cause, OverflowError | UnicodeError):
        return StoreFailed(f"{place(engine)}: a value cannot be stored: {text}")
    if isinstance(exc, DBAPIError) and ("locked" in text or "busy" in text or "lock timeout" in text):
        return StoreBusy(f"{place(engine)}: another process holds the database: {text}")
    return StoreFailed(f"{place(engine)}: {text}")


def _parse(url: str) -> URL:
    try:
        parsed = make_url(url)
        parsed.get_dialect()
    except (ArgumentError, NoSuchModuleError, ValueError):
        # The text itself is not repeated: it may hold a password.
        raise BadInput(
            "database URL: not understood; use sqlite:///FILE or postgresql://USER@HOST/NAME"
        ) from None
    except ModuleNotFoundError as exc:
        raise _no_driver(exc) from exc
    if parsed.drivername == "postgresql":
        return parsed.set(drivername="postgresql+psycopg")
    return parsed


def _no_driver(exc: ModuleNotFoundError) -> BadInput:
    return BadInput(
        f"database URL: its driver {exc.name} is not installed;"
        " for PostgreSQL: pip install 'bidder[postgres]'"
    )


def _in_memory(url: URL) -> bool:
    return not url.database or url.database == ":memory:" or "mode=memory" in url.database


def _sqlite_engine(url: URL, busy_timeout: float) -> Engine:
    arguments: dict[str, Any] = {"timeout": busy_timeout, "check_same_thread": False}
    if _in_memory(url):
        # One connection for all: every further one would see an empty database of its own.
        engine = create_engine(url, poolclass=StaticPool, connect_args=arguments)
    else:
        check_path(Path(url.database or ""))
        engine = create_engine(url, connect_args=arguments)
    event.listen(engine, "connect", _prepare_sqlite)
    event.listen(engine, "begin", _begin_sqlite)
    return engine


def check_path(file: Path) -> None:
    """Refuse a path that can never hold a database file; raises StoreUnusable."""
    try:
        if "\0" in str(file):
            raise StoreUnusable(f"{str(file)!r}: no path holds a NUL character; name another file")
        if file.is_dir():
            raise StoreUnusable(
                f"{file}: is a directory; name a file in it, such as {file / 'bidder.db'}"
            )
        if file.exists() and not file.is_file():
            raise StoreUnusable(f"{file}: is no regular file; name another one")
        if not file.parent.is_dir():
            raise StoreUnusable(f"{file}: the folder {file.parent} does not exist; create it first")
    except (OSError, ValueError) as exc:
        if system_may_recover(exc):
            raise StoreUnavailable(
                f"{file}: cannot be used at present: {_one_line(exc)}; look at its disk (dmesg)"
            ) from exc
        raise StoreUnusable(f"{file}: cannot be used: {_one_line(exc)}; name another file") from exc


def _prepare_sqlite(connection: sqlite3.Connection, _record: object) -> None:
    # Python's own handling would begin transactions late and commit behind our back.
    connection.isolation_level = None
    cursor = connection.cursor()
    try:
        # Only a file that is still empty takes it; `bidder db vacuum` turns an older one.
        cursor.execute("PRAGMA auto_vacuum=INCREMENTAL")
        cursor.execute("PRAGMA journal_mode=WAL")
        # FULL, not NORMAL: in WAL mode NORMAL may drop the newest commit on power loss,
        # and that commit is the intent we are about to act on.
        cursor.execute("PRAGMA synchronous=FULL")
        cursor.execute("PRAGMA foreign_keys=ON")
        # In KiB. Each connection keeps its own pages until it ends, and the system keeps them as well;
        # at SQLite's own 2 MiB a daemon grows for days before it stays as it is.
        cursor.execute("PRAGMA cache_size=-256")
        # Otherwise one long reader leaves a log file that never shrinks again.
        cursor.execute("PRAGMA journal_size_limit=16777216")
    finally:
        cursor.close()


def _begin_sqlite(connection: Connection) -> None:
    writing = connection.get_execution_options().get(WRITING, False)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if writing else "BEGIN")


def _postgres_engine(url: URL, busy_timeout: float) -> Engine:
    milliseconds = int(busy_timeout * 1000)
    arguments = {
        "connect_timeout": max(2, int(busy_timeout)),
        "application_name": "bidder",
        # Without them a stuck session elsewhere, or a lost packet, would stop every pass for ever.
        "options": f"{_options(url)} -c lock_timeout={milliseconds}"
        f" -c statement_timeout={milliseconds * 6} -c synchronous_commit=on",
    }
    if url.get_driver_name() in _LIBPQ:
        watched = _watched(milliseconds * 6)
        arguments |= {key: value for key, value in watched.items() if key not in url.query}
    try:
        return create_engine(
            url, connect_args=arguments, pool_pre_ping=True, pool_size=2, max_overflow=3
        )
    except ModuleNotFoundError as exc:
        raise _no_driver(exc) from exc


def _watched(milliseconds: int) -> dict[str, int]:
    """Return how the system finds out that a server is gone, in the words of libpq.

    The limits above are kept by the server. A host that lost its power, or a firewall that forgot the
    connection, keeps none: a pass would wait for a quarter of an hour while nobody trades.
    """
    return {
        "keepalives": 1,
        "keepalives_idle": 30,
        "keepalives_interval": 10,
        "keepalives_count": 3,
        "tcp_user_timeout": milliseconds,
    }


def _options(url: URL) -> str:
    given = url.query.get("options", "")
    return given if isinstance(given, str) else " ".join(given)


def _one_line(exc: BaseException) -> str:
    return " ".join(str(exc).split())[:300] or type(exc).__name__
