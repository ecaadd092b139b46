"""The database as a whole: measured, vacuumed, copied under a writer, exported."""

import csv
import json
import sqlite3
import stat
import sys
from collections.abc import Iterator
from contextlib import closing
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import Engine
from store_values import ACCOUNT, NOW, at, make_book, make_decision, make_holding, make_pass, place

from bidder.domain.ids import OrderId
from bidder.domain.policy import Retention
from bidder.errors import BadInput, LeaseHeld, StoreBusy
from bidder.store import upkeep
from bidder.store.engine import open_engine, transaction
from bidder.store.lease import Lease
from bidder.store.records import Over
from bidder.store.schema import require_current, upgrade
from bidder.store.store import Store


@pytest.fixture
def file_engine(tmp_path: Path) -> Iterator[Engine]:
    """Yield an SQLite file with the schema."""
    engine = open_engine(f"sqlite:///{tmp_path / 'bidder.db'}")
    upgrade(engine)
    yield engine
    engine.dispose()


def fill(engine: Engine, books: int = 3) -> Store:
    """Write an order and how a book changed, a minute apart."""
    store = Store(engine, ACCOUNT)
    store.settle((), [make_holding()], at=NOW)
    for number in range(books):
        book = make_book(at=at(60 * number), rivals=number)
        store.record_pass(make_pass(number, 60.0 * number, books=(book,), decisions=(make_decision(),)))
    return store


def read(file: Path) -> list[dict[str, str]]:
    """Return the rows of a CSV file."""
    with file.open(encoding="utf-8", newline="") as stream:
        return list(csv.DictReader(stream))


def test_info_counts_and_dates(engine: Engine) -> None:
    """Rows of each table, the size, and from when to when the raw history reaches."""
    fill(engine)
    found = upkeep.info(engine)

    assert (found.rows["books"], found.rows["orders"], found.rows["rates"]) == (3, 1, 0)
    assert (found.oldest, found.newest) == (NOW, at(120))
    assert found.bytes > 0


def test_vacuum_gives_the_gaps_back(file_engine: Engine, tmp_path: Path) -> None:
    """A file that was large once is small again, and gives pages back by itself from then on."""
    store = fill(file_engine, 10)
    store.record_pass(make_pass(99, 999, snapshot={"long": "x" * 2_000_000}))
    store.record_pass(make_pass(100, 1000, snapshot={"short": 1}))
    before = upkeep.info(file_engine)
    upkeep.vacuum(file_engine, NOW)

    assert upkeep.info(file_engine).bytes < before.bytes / 3
    with closing(sqlite3.connect(tmp_path / "bidder.db")) as plain:
        assert plain.execute("PRAGMA auto_vacuum").fetchone() == (2,)


def test_vacuum_leaves_a_daemon_alone(file_engine: Engine) -> None:
    """While a daemon trades from the file it is not rewritten, and the message says who to stop."""
    Lease(file_engine, ACCOUNT).acquire(NOW)

    with pytest.raises(LeaseHeld, match=r"process .* trades account main.*stop that daemon"):
        upkeep.vacuum(file_engine, at(1))


@pytest.mark.postgres
def test_vacuum_on_a_server_needs_nobody_to_stop(migrated_postgres: Engine) -> None:
    """PostgreSQL is vacuumed beside its writers."""
    upkeep.vacuum(migrated_postgres, NOW)


@pytest.mark.postgres
def test_vacuum_on_a_server_takes_the_time_that_it_needs(migrated_postgres: Engine) -> None:
    """The limit for a statement of the daemon, here a hundredth of a second, is none for it."""
    address = migrated_postgres.url.render_as_string(hide_password=False)
    impatient = open_engine(address, busy_timeout=0.002)
    upkeep.vacuum(impatient, NOW)

    with transaction(impatient, writing=False) as connection:
        assert connection.exec_driver_sql("SHOW statement_timeout").scalar_one() == "12ms"
    impatient.dispose()


@pytest.mark.postgres
def test_vacuum_on_a_server_tells_of_a_lock(migrated_postgres: Engine) -> None:
    """Who keeps a table locked is waited for as by everything else, and told of as one of our errors."""
    address = migrated_postgres.url.render_as_string(hide_password=False)
    impatient = open_engine(address, busy_timeout=0.2)
    with transaction(migrated_postgres, writing=True) as other:
        other.exec_driver_sql("LOCK TABLE books IN ACCESS EXCLUSIVE MODE")
        with pytest.raises(StoreBusy, match="lock timeout"):
            upkeep.vacuum(impatient, NOW)
    impatient.dispose()


def test_backup_is_whole_while_others_write(file_engine: Engine, tmp_path: Path) -> None:
    """A copy taken within another's transaction holds what was committed; only its owner may read it."""
    fill(file_engine)
    copy = tmp_path / "copy.db"
    with closing(sqlite3.connect(tmp_path / "bidder.db", isolation_level=None)) as writer:
        writer.execute("BEGIN IMMEDIATE")
        writer.execute("DELETE FROM books")
        size = upkeep.backup(file_engine, copy)
        writer.execute("ROLLBACK")

    assert size == copy.stat().st_size > 0
    assert stat.S_IMODE(copy.stat().st_mode) == 0o600
    restored = open_engine(f"sqlite:///{copy}")
    require_current(restored)
    assert upkeep.info(restored).rows == upkeep.info(file_engine).rows
    restored.dispose()
    assert sorted(p.name for p in tmp_path.iterdir() if "part" in p.name) == []


def test_backup_overwrites_nothing(file_engine: Engine, tmp_path: Path) -> None:
    """An older backup of the same name stays as it is."""
    older = tmp_path / "copy.db"
    older.write_text("older")

    with pytest.raises(BadInput, match="exists already"):
        upkeep.backup(file_engine, older)
    with pytest.raises(BadInput, match=r"cannot be written.*name another"):
        upkeep.backup(file_engine, tmp_path / "nowhere" / "copy.db")
    assert older.read_text() == "older"


@pytest.mark.postgres
def test_backup_of_a_server_is_not_ours_to_make(migrated_postgres: Engine, tmp_path: Path) -> None:
    """For PostgreSQL the message names the tool that does it."""
    with pytest.raises(BadInput, match="pg_dump"):
        upkeep.backup(migrated_postgres, tmp_path / "copy.db")


def test_csv_keeps_every_digit(engine: Engine, tmp_path: Path) -> None:
    """Amounts come out as they were sent, times in UTC; with a moment only what is younger."""
    fill(engine)
    orders, books = tmp_path / "orders.csv", tmp_path / "books.csv"
    upkeep.export(engine, "orders", orders, kind="csv", since=None)
    count = upkeep.export(engine, "books", books, kind="csv", since=at(60))

    (order,) = read(orders)
    assert order["spend"] == "0.00000000000694444444444444"
    assert order["created_at"] == "2026-03-01T12:00:00Z"
    assert json.loads(order["access"])["http_port"] == "8080"
    assert count == 2
    assert [row["rivals"] for row in read(books)] == ["1", "2"]


def test_what_still_held_is_young(engine: Engine, tmp_path: Path) -> None:
    """An order and a book that began before a moment, and went on after it, are exported from it on."""
    store = Store(engine, ACCOUNT)
    store.settle((), [make_holding(7), make_holding(8)], at=NOW)
    store.settle((), (), at=at(30), over=[Over(order=OrderId(8), at=at(30), cause="expired")])
    for seconds in (0, 300, 600):
        store.record_pass(make_pass(seconds, seconds, books=(make_book(at=at(seconds)),)))
    store.settle((), [make_holding(7, last_seen_at=at(600))], at=at(600))
    counts = {
        name: upkeep.export(engine, name, tmp_path / f"{name}.csv", kind="csv", since=at(400))
        for name in ("orders", "books", "paper_orders", "pulses")
    }

    assert counts == {"orders": 1, "books": 1, "paper_orders": 0, "pulses": 0}


def test_every_table_can_be_exported(engine: Engine, tmp_path: Path) -> None:
    """Both formats take every table there is, and agree on its columns."""
    from pyarrow import parquet

    store = fill(engine)
    place(store)
    while store.tidy(NOW + timedelta(days=2), Retention()):
        pass
    for name in upkeep.info(engine).rows:
        rows = upkeep.export(engine, name, tmp_path / f"{name}.csv", kind="csv", since=None)
        upkeep.export(engine, name, tmp_path / f"{name}.parquet", kind="parquet", since=None)
        read = parquet.read_table(tmp_path / f"{name}.parquet")
        header = (tmp_path / f"{name}.csv").read_text().splitlines()[0]
        assert (read.num_rows, ",".join(read.column_names)) == (rows, header)
    books = parquet.read_table(tmp_path / "books.parquet").to_pylist()
    assert (books[0]["at"], books[0]["our_price"]) == (NOW, "0.00002450")


def test_unknown_table_and_missing_library_are_explained(
    engine: Engine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each mistake is named with what to do instead, and leaves no file behind."""
    with pytest.raises(BadInput, match=r"no table 'photos'; known are .*books"):
        upkeep.export(engine, "photos", tmp_path / "x.csv", kind="csv", since=None)
    with pytest.raises(BadInput, match="has no times"):
        upkeep.export(engine, "account_state", tmp_path / "x.csv", kind="csv", since=NOW)
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    monkeypatch.setitem(sys.modules, "pyarrow.parquet", None)
    with pytest.raises(BadInput, match=r"bidder\[parquet\]"):
        upkeep.export(engine, "books", tmp_path / "x.parquet", kind="parquet", since=None)
    assert not list(tmp_path.glob("*x.*"))
