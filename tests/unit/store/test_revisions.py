"""From every released schema up to the newest and back, with a row in every table."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from alembic import command
from alembic.config import Config
from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Connection,
    Float,
    Integer,
    LargeBinary,
    MetaData,
    Table,
    insert,
    select,
)

from bidder.store.engine import open_engine, transaction
from bidder.store.schema import HEAD, KNOWN, migrations_folder, require_current, upgrade

ROWS = 3


def config_for(connection: Connection) -> Config:
    """Return Alembic's configuration for this connection."""
    config = Config()
    config.set_main_option("script_location", str(migrations_folder()).replace("%", "%%"))
    config.set_main_option("path_separator", "os")
    config.attributes["connection"] = connection
    return config


def tables_of(connection: Connection) -> list[Table]:
    """Return the database's own tables as they are now, those that others refer to first."""
    found = MetaData()
    found.reflect(connection)
    return [table for table in found.sorted_tables if table.name != "alembic_version"]


def fill(connection: Connection) -> None:
    """Write rows into every table, with something in each column."""
    for table in tables_of(connection):
        for row in range(1, ROWS + 1):
            connection.execute(insert(table).values({c.name: _filling(c, row) for c in table.columns}))


def _filling(column: Column[Any], row: int) -> object:
    # The one word that revision 0003 sets for every older row.
    return "live" if column.name == "mode" else _value(column.type, row)


def _value(kind: object, row: int) -> object:
    match kind:
        case Boolean():
            return True
        case Integer() | BigInteger():
            return row
        case Float():
            return 2.5
        case LargeBinary():
            return bytes(range(row))
        case _:
            return str(row)


def contents(
    connection: Connection, like: dict[str, list[str]] | None = None
) -> dict[str, list[tuple[object, ...]]]:
    """Return the rows of every table; with ``like`` only those columns of those tables."""
    found: dict[str, list[tuple[object, ...]]] = {}
    for table in tables_of(connection):
        if like is not None and table.name not in like:
            continue
        names = [c.name for c in table.columns] if like is None else like[table.name]
        rows = connection.execute(select(*(table.c[name] for name in sorted(names))))
        found[table.name] = sorted(tuple(row) for row in rows)
    return found


@pytest.mark.parametrize("revision", KNOWN)
@pytest.mark.parametrize("kind", ["file", pytest.param("postgres", marks=pytest.mark.postgres)])
def test_every_released_schema_goes_up_and_back_with_its_data(
    kind: str, revision: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    """Every value that an older program wrote is there after the upgrade, and after going back."""
    urls: dict[str, Callable[[], str]] = {
        "file": lambda: f"sqlite:///{tmp_path / 'bidder.db'}",
        "postgres": lambda: str(request.getfixturevalue("postgres_url")),
    }
    engine = open_engine(urls[kind]())
    with transaction(engine, writing=True) as connection:
        command.upgrade(config_for(connection), revision)
    with transaction(engine, writing=True) as connection:
        fill(connection)
    with transaction(engine, writing=False) as connection:
        before = contents(connection)
        columns = {t.name: [c.name for c in t.columns] for t in tables_of(connection)}
    upgrade(engine)
    require_current(engine)
    with transaction(engine, writing=False) as connection:
        after = contents(connection, columns)
    with transaction(engine, writing=True) as connection:
        command.downgrade(config_for(connection), revision)
    with transaction(engine, writing=False) as connection:
        back = contents(connection)
    engine.dispose()

    assert all(len(rows) == ROWS for rows in before.values())
    assert after == before
    assert back == before


def test_newest_revision_is_among_them() -> None:
    """The parameters above do not miss the schema that is released next."""
    assert KNOWN[-1] == HEAD
