"""What ``bidder doctor`` asks of the database: its health, and the newest rows of what happened."""

import shutil
import sqlite3
from collections.abc import Mapping
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Engine, Row, Table, inspect, select, text

from bidder.domain.ids import AccountName
from bidder.domain.intents import Intent
from bidder.domain.policy import Mode
from bidder.domain.price_rules import ClockRules, StepSample
from bidder.store import rows, tables
from bidder.store.engine import place, sqlite_file, transaction

_MOST_PROBLEMS = 5
_STEPS_KEPT = 500

# What a bundle may not show of each table: addresses, how to reach rented servers, what commands
# said, and what tells one machine from all others.
_LEFT_OUT: Mapping[str, frozenset[str]] = {
    "orders": frozenset(("access",)),
    "wallets": frozenset(("deposit",)),
    "requests": frozenset(("argument", "outcome")),
    "account_state": frozenset(("snapshot", "pause_note")),
    "lease": frozenset(("boot", "namespace", "started")),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Health:
    """How a database is.

    ``problems`` are what its own check found, ``settings`` those that its safety rests on.
    ``exposed`` is whether other users may read the file; ``free_disk_bytes`` is None on a server.
    """

    place: str
    kind: str
    version: str
    problems: tuple[str, ...]
    settings: Mapping[str, str]
    exposed: bool = False
    free_disk_bytes: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Write:
    """One request that was to change something, and what came of it."""

    intent: Intent
    mode: Mode
    note: str
    closed_at: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Lessons:
    """What was learnt of the exchange's rules, from what, and when; ``at`` None: nothing yet."""

    rules: ClockRules
    evidence: str
    at: datetime | None
    steps: tuple[StepSample, ...]


def health(engine: Engine) -> Health:
    """Return how the database is; its pages and references are read as a whole, nothing is changed."""
    file = sqlite_file(engine)
    if engine.dialect.name != "sqlite":
        return _server_health(engine)
    with transaction(engine, writing=False) as connection:
        settings = {
            name: str(connection.exec_driver_sql(f"PRAGMA {name}").scalar_one())
            for name in ("journal_mode", "synchronous", "foreign_keys")
        }
    return Health(
        place=place(engine),
        kind="sqlite",
        version=sqlite3.sqlite_version,
        problems=() if file is None else _problems(file),
        settings=settings,
        exposed=file is not None and bool(file.stat().st_mode & 0o077),
        free_disk_bytes=None if file is None else shutil.disk_usage(file.parent).free,
    )


def _problems(file: Path) -> tuple[str, ...]:
    try:
        # With the bare driver and read-only, as whoever has to look at a broken file.
        with closing(
            sqlite3.connect(f"{file.resolve().as_uri()}?mode=ro", uri=True, timeout=5)
        ) as plain:
            found = plain.execute(f"PRAGMA integrity_check({_MOST_PROBLEMS})").fetchall()
            said = [" ".join(str(each).split())[:200] for (each,) in found if each != "ok"]
            lost = plain.execute("PRAGMA foreign_key_check").fetchmany(_MOST_PROBLEMS)
            return (*said, *(f"a row of {row[0]} refers to none of {row[2]}" for row in lost))
    except sqlite3.Error as exc:
        return (" ".join(str(exc).split())[:200],)


def _server_health(engine: Engine) -> Health:
    names = ("server_version", "fsync", "full_page_writes", "synchronous_commit")
    with transaction(engine, writing=False) as connection:
        values = {name: str(connection.execute(text(f"SHOW {name}")).scalar_one()) for name in names}
        standby = bool(connection.execute(text("SELECT pg_is_in_recovery()")).scalar_one())
    return Health(
        place=place(engine),
        kind=engine.dialect.name,
        version=values.pop("server_version"),
        problems=("it is a standby server, which takes no writes",) if standby else (),
        settings=values,
    )


def writes(
    engine: Engine,
    account: AccountName,
    *,
    limit: int,
    since: datetime | None = None,
    unfinished: bool = False,
) -> tuple[Write, ...]:
    """Return the newest requests that were to change something, newest first."""
    table = tables.intents
    statement = select(table).where(table.c.account == account)
    if since is not None:
        statement = statement.where(table.c.opened_at >= since)
    if unfinished:
        statement = statement.where(table.c.state.in_(tables.UNFINISHED))
    with transaction(engine, writing=False) as connection:
        found = list(connection.execute(statement.order_by(table.c.id.desc()).limit(limit)))
    return tuple(
        Write(intent=rows.intent_of(row), mode=Mode(row.mode), note=row.note, closed_at=row.closed_at)
        for row in found
    )


def lessons(engine: Engine, account: AccountName) -> Lessons:
    """Return what was learnt, with its evidence; the steps oldest first."""
    learnt, steps = tables.clock_rules, tables.step_samples
    with transaction(engine, writing=False) as connection:
        row = connection.execute(select(learnt).where(learnt.c.account == account)).first()
        newest = select(steps).where(steps.c.account == account).order_by(steps.c.id.desc())
        samples = [rows.step_of(each) for each in connection.execute(newest.limit(_STEPS_KEPT))]
    return Lessons(
        rules=ClockRules() if row is None else ClockRules(creation=row.creation, raised=row.raised),
        evidence="" if row is None else row.evidence,
        at=None if row is None else row.at,
        steps=tuple(reversed(samples)),
    )


def newest_rows(engine: Engine, account: AccountName, name: str, *, limit: int) -> list[dict[str, Any]]:
    """Return the newest rows of a table, oldest first, as JSON-ready objects that may be shown."""
    table = tables.metadata.tables[name]
    key = table.primary_key.columns
    order = [column.desc() for column in key]
    with transaction(engine, writing=False) as connection:
        statement = select(table).where(table.c.account == account).order_by(*order).limit(limit)
        return [_shown(row, table) for row in reversed(list(connection.execute(statement)))]


def _shown(row: Row[Any], table: Table) -> dict[str, Any]:
    hidden = _LEFT_OUT.get(table.name, frozenset())
    values = row._mapping  # noqa: SLF001 - public, named so that no column hides it
    return {
        column.name: _plain(values[column.name]) for column in table.columns if column.name not in hidden
    }


def _plain(value: Any) -> Any:
    match value:
        case datetime():
            return value.astimezone(UTC).isoformat().replace("+00:00", "Z")
        case Decimal():
            return format(value, "f")
        case timedelta():
            return value.total_seconds()
    return value


def schema(engine: Engine) -> str:
    """Return the schema as it stands in the database, one object on each line or lines."""
    with transaction(engine, writing=False) as connection:
        if engine.dialect.name == "sqlite":
            found = connection.exec_driver_sql(
                "SELECT sql FROM sqlite_master WHERE sql IS NOT NULL ORDER BY type DESC, name"
            )
            return "".join(f"{sql};\n" for (sql,) in found)
        return "".join(_columns(connection))


def _columns(connection: Connection) -> list[str]:
    looking = inspect(connection)
    return [
        f"{name}.{column['name']} {column['type']}\n"
        for name in sorted(looking.get_table_names())
        for column in looking.get_columns(name)
    ]
