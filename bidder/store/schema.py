"""The schema's age: bring it up to date, or refuse a database that is not ours to write.

A database is looked at before anything is changed in it. Alembic is imported only when there is
something to upgrade: at most starts there is not, and its import would double the start-up time.
"""

import os
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from sqlalchemy import Connection, Engine, inspect, text
from sqlalchemy.exc import SQLAlchemyError

import bidder
from bidder.clock import SystemClock
from bidder.errors import (
    BidderError,
    OlderDaemon,
    StoreAbsent,
    StoreBusy,
    StoreFailed,
    StoreOutdated,
    StoreUnavailable,
    StoreUnusable,
)
from bidder.store.engine import WRITING, check_path, failure, place, sqlite_file, transaction
from bidder.store.lease import living_holder
from bidder.store.passing import server_may_be_back, sqlite_remedy
from bidder.store.rights import require_rights
from bidder.store.tables import lease

# The newest revision in ``migrations/versions``; a test holds the two together.
HEAD = "0011"
# Every revision from which an upgrade leads there, oldest first.
KNOWN = ("0001", "0002", "0003", "0004", "0005", "0006", "0007", "0008", "0009", "0010", "0011")

_VERSION_TABLE = "alembic_version"
# A whole-file check takes some milliseconds per MB; of a larger file only the schema is read.
_CHECKED_IN_FULL = 16 * 1024 * 1024
# Any number does, so long as every bidder uses the same one.
_UPGRADE_LOCK = 7_140_613


def migrations_folder() -> Path:
    """Return where the migration scripts are: in the installed package, or beside it in a checkout."""
    package = Path(bidder.__file__).parent
    shipped = package / "_migrations"
    return shipped if (shipped / "env.py").is_file() else package.parent / "migrations"


def upgrade(engine: Engine) -> None:
    """Create the schema or bring it to the newest revision; does nothing where it is current.

    Raises:
        StoreUnusable: the database cannot be used as it is; nothing in it was changed.
        StoreUnavailable: it cannot at present; the same may work in a moment.
        StoreBusy: another process kept it locked.
        OlderDaemon: a daemon is at work on it as it is; nothing in it was changed.
    """
    with _closed_on_failure(engine):
        if _current(engine):
            return
        try:
            with _schema_transaction(engine) as connection:
                # Another process may have done it while we waited for the lock.
                if _revision(connection) != HEAD:
                    _require_nobody(connection, engine, writing=True)
                    _run_migrations(connection)
        except SQLAlchemyError as exc:
            raise _unusable(engine, failure(exc, engine), exc) from exc


def require_current(engine: Engine) -> None:
    """Refuse a database that is absent or not of the newest revision; never changes it.

    Raises:
        StoreUnusable: there is no database yet, or it cannot be used as it is.
        OlderDaemon: it is older, and a daemon of an earlier version is at work on it.
    """
    file = sqlite_file(engine)
    if file is not None and not file.exists():
        raise StoreAbsent(f"{file}: there is no database yet; `bidder run` creates it")
    with _closed_on_failure(engine):
        if not _current(engine):
            with transaction(engine, writing=False) as connection:
                _require_nobody(connection, engine, writing=False)
            raise StoreOutdated(
                f"{place(engine)}: the database is empty or older than this program;"
                " `bidder run` upgrades it"
            )


def inspect_schema(engine: Engine) -> None:
    """Refuse a database that could not be used, now or after an upgrade; never changes it.

    An SQLite file that is not there yet is fine. Raises StoreUnusable or StoreBusy.
    """
    file = sqlite_file(engine)
    with _closed_on_failure(engine):
        if file is not None:
            _look_at(file)
        else:
            _current(engine)


@contextmanager
def _closed_on_failure(engine: Engine) -> Iterator[None]:
    # Whoever is told that a database is of no use has no reason to close it.
    try:
        yield
    except BidderError:
        engine.dispose()
        raise


def _current(engine: Engine) -> bool:
    file = sqlite_file(engine)
    if file is not None:
        _look_at(file)
    try:
        with transaction(engine, writing=False) as connection:
            revision = _revision(connection)
            foreign = revision is None and set(inspect(connection).get_table_names()) - _NOBODYS
    except StoreBusy:
        raise
    except StoreFailed as exc:
        raise _unusable(engine, exc, exc.__cause__) from exc
    if foreign:
        raise StoreUnusable(f"{place(engine)}: {_FOREIGN}")
    if revision is not None and revision not in KNOWN:
        raise StoreUnusable(f"{place(engine)}: {_newer(revision)}")
    return revision == HEAD


def _require_nobody(connection: Connection, engine: Engine, *, writing: bool) -> None:
    """Refuse an older database that somebody trades with, whose program knows only that schema."""
    if not inspect(connection).has_table(lease.name):
        return
    who = living_holder(connection, SystemClock().now(), writing=writing)
    if who is not None:
        raise OlderDaemon(
            f"{place(engine)}: the database is older than this program (schema {HEAD!r}), and {who}, a"
            " daemon of an earlier version; restart that daemon with this version first"
        )


# What a database that went down to nothing still holds.
_NOBODYS = {_VERSION_TABLE, "sqlite_sequence"}
_FOREIGN = "holds tables of another program; name another database"


def _newer(revision: str) -> str:
    return (
        f"has schema {revision[:40]!r}, which this program (schema {HEAD!r}) does not know;"
        " use the newer bidder that made it, or name another database"
    )


def _revision(connection: Connection) -> str | None:
    if not inspect(connection).has_table(_VERSION_TABLE):
        return None
    # The table's name is a constant of ours.
    found = connection.execute(text("SELECT version_num FROM alembic_version")).scalars().all()
    return " ".join(sorted(str(revision) for revision in found)) or None


def _look_at(file: Path) -> None:
    # With the bare driver and read-only: our engine would turn the file to WAL before we know it.
    check_path(file)
    if not os.access(file.parent, os.W_OK):
        raise StoreUnusable(f"{file}: the folder {file.parent} cannot be written to; change its rights")
    require_rights(file)
    if not file.exists() or file.stat().st_size == 0:
        return
    try:
        with closing(
            sqlite3.connect(f"{file.resolve().as_uri()}?mode=ro", uri=True, timeout=5)
        ) as plain:
            tables = {
                name for (name,) in plain.execute("SELECT name FROM sqlite_master WHERE type='table'")
            }
            revision = _plain_revision(plain) if _VERSION_TABLE in tables else None
            if file.stat().st_size <= _CHECKED_IN_FULL:
                _check_pages(plain, file)
    except sqlite3.OperationalError as exc:
        if "locked" in str(exc) or "busy" in str(exc):
            raise StoreBusy(f"{file}: another process holds the database: {exc}") from exc
        raise _unusable_file(str(file), str(exc)) from exc
    except (sqlite3.DatabaseError, UnicodeDecodeError) as exc:
        # Where a broken page is taken for the schema, what should be text need not be any.
        raise _corrupt(file, str(exc)) from exc
    if revision is None and tables - _NOBODYS:
        raise StoreUnusable(f"{file}: {_FOREIGN}")
    if revision is not None and revision not in KNOWN:
        raise StoreUnusable(f"{file}: {_newer(revision)}")


def _plain_revision(plain: sqlite3.Connection) -> str | None:
    rows = plain.execute("SELECT version_num FROM alembic_version").fetchall()
    return " ".join(sorted(str(revision) for (revision,) in rows)) or None


def _check_pages(plain: sqlite3.Connection, file: Path) -> None:
    verdict = plain.execute("PRAGMA quick_check(1)").fetchone()
    if verdict is None or verdict[0] != "ok":
        if verdict is not None and sqlite_remedy(str(verdict[0])) is not None:
            raise _unusable_file(str(file), str(verdict[0]))
        raise _corrupt(file, "no verdict" if verdict is None else str(verdict[0]))


def _corrupt(file: Path, problem: str) -> StoreUnusable:
    detail = " ".join(problem.split())[:120]
    return StoreUnusable(
        f"{file}: is corrupt or no SQLite database ({detail});"
        " restore a backup, or move it away and start anew two minutes after the last daemon ended, when"
        " each of its orders is listed, either way with `adopt: true` for that start: without it the"
        " orders that it does not know are left alone, and others made beside them (docs/operations.md)"
    )


def _unusable(engine: Engine, exc: Exception, cause: BaseException | None) -> Exception:
    if isinstance(exc, StoreBusy):
        return exc
    problem = str(exc).removeprefix(f"{place(engine)}: ")
    if engine.dialect.name == "sqlite":
        return _unusable_file(place(engine), problem)
    kind = StoreUnavailable if server_may_be_back(problem, cause) else StoreUnusable
    remedy = "check that the server runs and has room, and that the URL, user and password are right"
    return kind(f"{place(engine)}: cannot be used: {problem}; {remedy}")


def _unusable_file(where: str, problem: str) -> StoreUnusable:
    detail = " ".join(problem.split())[:200]
    passing = sqlite_remedy(problem)
    if passing is not None:
        return StoreUnavailable(f"{where}: cannot be used at present: {detail}; {passing}")
    return StoreUnusable(
        f"{where}: cannot be used: {detail}; check the file, its rights and the free space"
    )


@contextmanager
def _schema_transaction(engine: Engine) -> Iterator[Connection]:
    with engine.connect() as opened:
        connection = opened.execution_options(**{WRITING: True})
        sqlite = engine.dialect.name == "sqlite"
        if sqlite:
            # Rebuilding a table, SQLite's only way to alter one, would fail on the rows that refer to
            # it; the setting has no effect inside a transaction.
            _pragma(connection, "foreign_keys=OFF")
        try:
            with connection.begin():
                if not sqlite:
                    connection.execute(
                        text("SELECT pg_advisory_xact_lock(:key)"), {"key": _UPGRADE_LOCK}
                    )
                yield connection
        finally:
            if sqlite:
                _pragma(connection, "foreign_keys=ON")


def _pragma(connection: Connection, setting: str) -> None:
    # On the driver's own connection: SQLAlchemy's would begin a transaction first.
    cursor = connection.connection.cursor()
    cursor.execute(f"PRAGMA {setting}")
    cursor.close()


def _run_migrations(connection: Connection) -> None:
    from alembic import command
    from alembic.config import Config

    config = Config()
    # A percent sign in a path would be read as a placeholder.
    config.set_main_option("script_location", str(migrations_folder()).replace("%", "%%"))
    config.set_main_option("path_separator", "os")
    config.attributes["connection"] = connection
    command.upgrade(config, "head")
