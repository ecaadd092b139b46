"""The schema is made and upgraded by itself, and a database that is not ours is left alone."""

import os
import sqlite3
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Engine, inspect, text
from store_values import ACCOUNT, NOW, make_book, make_decision, make_holding, make_pass, place

from bidder.clock import SystemClock
from bidder.domain.ids import AccountName, OrderId
from bidder.domain.intents import IntentKind, Settled, Verdict
from bidder.errors import BadInput, OlderDaemon, StoreBusy, StoreFailed, StoreOutdated, StoreUnusable
from bidder.store import schema
from bidder.store.engine import open_engine, transaction
from bidder.store.lease import LEASE_TTL, Holder, Lease
from bidder.store.schema import HEAD, KNOWN, migrations_folder, require_current, upgrade
from bidder.store.store import Store
from bidder.store.tables import metadata


def config_for(engine_connection: object) -> Config:
    """Return Alembic's configuration as the program makes it."""
    config = Config()
    config.set_main_option("script_location", str(migrations_folder()))
    config.set_main_option("path_separator", "os")
    config.attributes["connection"] = engine_connection
    return config


def test_constants_name_the_revisions_there_are() -> None:
    """The fast path's constant is the newest script, and every older one is known."""
    scripts = ScriptDirectory(str(migrations_folder()))

    assert scripts.get_current_head() == HEAD
    assert [script.revision for script in scripts.walk_revisions()][::-1] == list(KNOWN)


def test_migrated_schema_is_the_one_the_program_uses(engine: Engine) -> None:
    """Nothing is left for autogenerate to do, on either database."""
    with transaction(engine, writing=False) as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        differences = compare_metadata(context, metadata)

    assert [d for d in differences if "sample" not in str(d)] == []


@pytest.mark.parametrize(
    "kind", ["memory", "file", pytest.param("postgres", marks=pytest.mark.postgres)]
)
def test_down_and_up_again_with_data(kind: str, file_url: str, request: pytest.FixtureRequest) -> None:
    """A schema full of data goes down to nothing and comes up again."""
    urls: dict[str, Callable[[], str]] = {
        "memory": lambda: "sqlite://",
        "file": lambda: file_url,
        "postgres": lambda: str(request.getfixturevalue("postgres_url")),
    }
    engine = open_engine(urls[kind]())
    upgrade(engine)
    store = Store(engine, ACCOUNT)
    place(store)
    store.record_pass(
        make_pass(holdings=(make_holding(),), books=(make_book(),), decisions=(make_decision(),))
    )
    with transaction(engine, writing=True) as connection:
        command.downgrade(config_for(connection), "base")
    with transaction(engine, writing=False) as connection:
        assert set(inspect(connection).get_table_names()) <= {"alembic_version"}
    upgrade(engine)
    place(Store(engine, ACCOUNT))
    engine.dispose()


@pytest.mark.parametrize("kind", ["file", pytest.param("postgres", marks=pytest.mark.postgres)])
def test_a_cancellation_beside_an_ambiguous_creation_goes_down(
    kind: str, file_url: str, request: pytest.FixtureRequest
) -> None:
    """An older program knows one unfinished request per server: the one that freezes it stays."""
    engine = open_engine(file_url if kind == "file" else request.getfixturevalue("postgres_url"))
    upgrade(engine)
    store, elsewhere = Store(engine, ACCOUNT), Store(engine, AccountName("other"))
    verdict = Verdict(intent=place(store), settled=Settled.AMBIGUOUS, orders=(OrderId(8), OrderId(9)))
    (frozen,) = store.settle([verdict], [], at=NOW)
    place(store, kind=IntentKind.WITHDRAW, price=None, order=OrderId(8))
    kept = [place(store, server=108), place(elsewhere)]
    back_to(engine, "0010")
    upgrade(engine)

    assert Store(engine, ACCOUNT).load(NOW).intents == (frozen, kept[0])
    assert elsewhere.load(NOW).intents == (kept[1],)
    engine.dispose()


def test_upgrade_keeps_data_and_is_repeatable(engine: Engine) -> None:
    """A current database is not touched."""
    intent = place(Store(engine, ACCOUNT))
    upgrade(engine)
    require_current(engine)

    assert Store(engine, ACCOUNT).load(NOW).intents == (intent,)


def test_current_database_opens_without_alembic(file_url: str) -> None:
    """The usual start does not pay for Alembic's import."""
    engine = open_engine(file_url)
    upgrade(engine)
    engine.dispose()
    program = (
        "import sys; from bidder.store import engine, schema;"
        f"schema.upgrade(engine.open_engine({file_url!r})); sys.exit('alembic' in sys.modules)"
    )

    assert subprocess.run([sys.executable, "-c", program]).returncode == 0


def test_file_is_as_durable_as_it_must_be(file_url: str) -> None:
    """A commit is on the disk when it returns, foreign keys hold, readers do not block."""
    engine = open_engine(file_url)
    upgrade(engine)
    with engine.connect() as connection:
        settings = [
            connection.exec_driver_sql(f"PRAGMA {name}").scalar()
            for name in ("journal_mode", "synchronous", "foreign_keys", "busy_timeout")
        ]
    engine.dispose()

    assert settings == ["wal", 2, 1, 5000]


def ours(path: Path) -> None:
    """Make a current database there."""
    engine = open_engine(path)
    upgrade(engine)
    engine.dispose()


def newer(path: Path) -> None:
    """Make a database of a revision that does not exist yet."""
    ours(path)
    with closing(sqlite3.connect(path)) as plain, plain:
        plain.execute("UPDATE alembic_version SET version_num = '9999'")


def foreign(path: Path) -> None:
    """Make another program's database there."""
    with closing(sqlite3.connect(path)) as plain, plain:
        plain.execute("CREATE TABLE photos (id INTEGER)")


def no_database(path: Path) -> None:
    """Make a file that is something else."""
    path.write_text("bids: none\n" * 500)


def corrupt(path: Path) -> None:
    """Make a database with a hole in the middle."""
    ours(path)
    content = bytearray(path.read_bytes())
    content[8192:32768] = b"\x5a" * (32768 - 8192)
    path.write_bytes(content)


def cut_short(path: Path) -> None:
    """Make a database whose end is missing."""
    ours(path)
    path.write_bytes(path.read_bytes()[:20_000])


def read_only(path: Path) -> None:
    """Make a current database that nobody may write."""
    ours(path)
    path.chmod(0o444)


def pipe(path: Path) -> None:
    """Make something that is no file."""
    os.mkfifo(path)


@pytest.mark.parametrize(
    ("prepare", "problem"),
    [
        (newer, r"9999.*newer"),
        (foreign, r"another program"),
        (no_database, r"corrupt or no SQLite"),
        (corrupt, r"corrupt.*restore a backup.*`adopt: true`"),
        (cut_short, r"corrupt"),
        (read_only, r"read-only.*chmod u\+rw"),
        (Path.mkdir, r"is a directory"),
        (pipe, r"no regular file"),
    ],
)
def test_unusable_file_is_named_and_left_alone(
    tmp_path: Path, prepare: Callable[[Path], None], problem: str
) -> None:
    """The message names file, problem and remedy on one line; not a byte changes."""
    path = tmp_path / "b%41 d#?.db"
    prepare(path)
    before = path.read_bytes() if path.is_file() else b""

    with pytest.raises(StoreUnusable, match=problem) as caught:
        upgrade(open_engine(path))
    message = str(caught.value)
    assert message.startswith(str(path))
    assert ";" in message
    assert "\n" not in message
    assert (path.read_bytes() if path.is_file() else b"") == before


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may become another user")
@pytest.mark.parametrize("part", ["bidder.db", "bidder.db-wal"])
def test_a_file_that_root_has_put_back_is_told_by_its_owner(part: str) -> None:
    """After a restore as root: not the mode is wrong but the owner, and the folder has the right one."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "bidder.db"
        ours(file)
        wrong = Path(folder) / part
        for each in (Path(folder), file):
            os.chown(each, 12345, 12345)
        wrong.touch()
        os.chown(wrong, 0, 0)
        wrong.chmod(0o600)
        os.seteuid(12345)
        try:
            with pytest.raises(StoreUnusable) as caught:
                require_current(open_engine(file))
        finally:
            os.seteuid(0)

    message = str(caught.value)
    assert message.startswith(
        f"{wrong}: the database file is not readable for user 12345 (mode 0600, owner"
    )
    assert message.endswith(f"chown --reference={folder} {wrong}")


def test_folder_that_is_missing_is_named(tmp_path: Path) -> None:
    """The database's folder is not made behind the owner's back."""
    with pytest.raises(StoreUnusable, match="does not exist"):
        open_engine(f"sqlite:///{tmp_path / 'no' / 'bidder.db'}")


@pytest.mark.parametrize(
    ("url", "problem"),
    [
        ("", "not understood"),
        ("bidder.db", "not understood"),
        ("mysql://u:canary@h/db", "sqlite:///FILE|not installed"),
        ("oracle+nothing://u:canary@h/db", "not understood"),
        ("sqlite:///a\0b", "NUL"),
    ],
)
def test_bad_url_is_refused_without_its_password(url: str, problem: str) -> None:
    """A URL that cannot be used says what could, and shows no secret."""
    with pytest.raises(BadInput, match=problem) as caught:
        open_engine(url)
    assert "canary" not in str(caught.value)


def test_locked_file_is_an_error_of_ours_after_the_wait(tmp_path: Path) -> None:
    """While another process holds the lock a write fails in time, and works afterwards."""
    url = f"sqlite:///{tmp_path / 'bidder.db'}"
    engine = open_engine(url, busy_timeout=0.05)
    upgrade(engine)
    store = Store(engine, ACCOUNT)
    with closing(sqlite3.connect(tmp_path / "bidder.db", isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(StoreBusy, match="another process"):
            place(store)
        assert store.load(NOW).intents == ()
        other.execute("ROLLBACK")
    place(store)
    engine.dispose()


def test_reading_commands_make_no_database(tmp_path: Path) -> None:
    """``status`` on a machine where nothing ever ran leaves no file behind."""
    path = tmp_path / "bidder.db"
    engine = open_engine(f"sqlite:///{path}")

    with pytest.raises(StoreUnusable, match="bidder run"):
        require_current(engine)
    assert not path.exists()


def test_reading_commands_do_not_upgrade(tmp_path: Path) -> None:
    """An empty database is left to ``run``."""
    path = tmp_path / "bidder.db"
    path.touch()

    with pytest.raises(StoreUnusable, match="bidder run"):
        require_current(open_engine(f"sqlite:///{path}"))


def test_failed_upgrade_changes_nothing(file_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A migration that fails half-way leaves the database as it was."""
    engine = open_engine(file_url)
    upgrade(engine)
    with transaction(engine, writing=True) as connection:
        connection.execute(text("DROP TABLE lease"))
        connection.execute(text("DELETE FROM alembic_version"))
        connection.execute(text("DROP TABLE alembic_version"))
    monkeypatch.setattr(schema, "_current", lambda engine: False)

    with pytest.raises(StoreUnusable, match="already exists"):
        upgrade(engine)
    with transaction(engine, writing=False) as connection:
        assert "lease" not in inspect(connection).get_table_names()
    engine.dispose()


def test_full_disk_is_an_error_of_ours_and_passes(file_url: str) -> None:
    """When nothing more fits a write fails whole; once there is room it works again."""
    engine = open_engine(file_url)
    upgrade(engine)
    store = Store(engine, ACCOUNT)
    with engine.connect() as connection:
        pages = connection.exec_driver_sql("PRAGMA page_count").scalar_one()
        connection.exec_driver_sql(f"PRAGMA max_page_count={pages}")
    with pytest.raises(StoreFailed, match="full"):
        store.record_pass(make_pass(holdings=(make_holding(),), snapshot={"long": "x" * 100_000}))
    assert store.load(NOW).holdings == ()
    with engine.connect() as connection:
        connection.exec_driver_sql("PRAGMA max_page_count=1000000")
    store.record_pass(make_pass(holdings=(make_holding(),), snapshot={"long": "x" * 100_000}))

    assert store.load(NOW).holdings == (make_holding(),)
    engine.dispose()


@pytest.fixture(params=["file", pytest.param("postgres", marks=pytest.mark.postgres)])
def older(request: pytest.FixtureRequest, file_url: str) -> Iterator[Engine]:
    """Yield a database of the schema before this one, that nobody trades with."""
    kind = request.param
    made = open_engine(file_url if kind == "file" else request.getfixturevalue("postgres_url"))
    upgrade(made)
    back_to(made, KNOWN[-2])
    yield made
    made.dispose()


def back_to(engine: Engine, revision: str) -> None:
    """Take the schema down to an earlier revision."""
    with transaction(engine, writing=True) as connection:
        command.downgrade(config_for(connection), revision)


def revision_of(engine: Engine) -> str:
    """Return the revision that the database is of."""
    with transaction(engine, writing=False) as connection:
        return str(connection.execute(text("SELECT version_num FROM alembic_version")).scalar_one())


def test_a_database_is_not_upgraded_under_a_daemon_at_work(older: Engine) -> None:
    """Nor is it taken for one that nobody uses; once the daemon has ended, it is upgraded."""
    lease = Lease(older, ACCOUNT)
    lease.acquire(SystemClock().now())
    with pytest.raises(OlderDaemon, match=r"is traded by process \d+ on .*; restart that daemon"):
        upgrade(older)
    with pytest.raises(OlderDaemon, match=r"is traded by process"):
        require_current(older)
    assert revision_of(older) == KNOWN[-2]

    lease.release()
    with pytest.raises(StoreOutdated, match=r"`bidder run` upgrades it"):
        require_current(older)
    upgrade(older)
    assert revision_of(older) == HEAD


@pytest.mark.parametrize("how", ["killed", "silent"])
def test_a_daemon_that_is_dead_keeps_no_database_old(how: str, older: Engine) -> None:
    """Whether its process is gone, or its lease has run out."""
    here, now = Holder.here(), SystemClock().now()
    holder = replace(here, started="1") if how == "killed" else replace(here, host="elsewhere", boot="")
    Lease(older, ACCOUNT, holder=holder).acquire(now if how == "killed" else now - 2 * LEASE_TTL)

    upgrade(older)
    assert revision_of(older) == HEAD


def test_a_daemon_at_work_is_recognised_on_every_released_schema(file_url: str) -> None:
    """The lease is read with what the first schema had."""
    engine = open_engine(file_url)
    upgrade(engine)
    Lease(engine, ACCOUNT).acquire(SystemClock().now())
    for revision in reversed(KNOWN[:-1]):
        back_to(engine, revision)
        with pytest.raises(OlderDaemon):
            upgrade(engine)
        assert revision_of(engine) == revision
    engine.dispose()
