"""Every test of the store runs on each kind of database."""

import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pg
import pytest
from sqlalchemy import Engine, text
from store_values import ACCOUNT

from bidder.store.engine import open_engine, transaction
from bidder.store.queries import Queries
from bidder.store.schema import upgrade
from bidder.store.store import Store
from bidder.store.tables import metadata


@pytest.fixture(scope="session")
def migrated_postgres(postgres_server: str) -> Iterator[Engine]:
    """Yield a PostgreSQL database with the schema, shared by this process's tests."""
    with pg.fresh_database(postgres_server) as url:
        engine = open_engine(url)
        upgrade(engine)
        yield engine
        engine.dispose()


@pytest.fixture(scope="session")
def migrated_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return an SQLite file with the schema, to be copied."""
    file = tmp_path_factory.mktemp("migrated") / "bidder.db"
    engine = open_engine(file)
    upgrade(engine)
    engine.dispose()
    return file


@pytest.fixture(params=["memory", "file", pytest.param("postgres", marks=pytest.mark.postgres)])
def engine(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Engine]:
    """Yield an empty database with the schema."""
    if request.param == "postgres":
        shared: Engine = request.getfixturevalue("migrated_postgres")
        with transaction(shared, writing=True) as connection:
            names = ", ".join(table.name for table in metadata.sorted_tables)
            connection.execute(text(f"TRUNCATE {names}"))
        yield shared
        return
    migrated: Path = request.getfixturevalue("migrated_file")
    if request.param == "memory":
        own = open_engine("sqlite://")
        with closing(sqlite3.connect(migrated)) as source, closing(own.raw_connection()) as target:
            assert isinstance(target.driver_connection, sqlite3.Connection)
            source.backup(target.driver_connection)
    else:
        own = open_engine(shutil.copy(migrated, tmp_path / "bidder.db"))
    yield own
    own.dispose()


@pytest.fixture
def file_url(tmp_path: Path) -> str:
    """Return the URL of a database file that does not exist yet."""
    return f"sqlite:///{tmp_path / 'bidder.db'}"


@pytest.fixture
def store(engine: Engine) -> Store:
    """Return a store that needs no lease."""
    return Store(engine, ACCOUNT)


@pytest.fixture
def queries(engine: Engine) -> Queries:
    """Return the questions about the same account."""
    return Queries(engine, ACCOUNT)
