"""What is different about a server: it can be away, and it can go away."""

import os
import socket
import sys

import pytest
from sqlalchemy import text
from store_values import ACCOUNT, NOW, place

from bidder.errors import BadInput, StoreFailed, StoreUnusable
from bidder.store.engine import open_engine, transaction
from bidder.store.schema import require_current, upgrade
from bidder.store.store import Store

pytestmark = pytest.mark.postgres


def test_unreachable_server_is_named_without_its_password() -> None:
    """Nobody listens there: one line with place, problem and remedy."""
    engine = open_engine("postgresql://bidder:canary@127.0.0.1:9/bidder", busy_timeout=2)

    with pytest.raises(StoreUnusable, match=r"127\.0\.0\.1:9/bidder.*refused.*; check") as caught:
        upgrade(engine)
    assert "canary" not in str(caught.value)
    assert "\n" not in str(caught.value)


def test_url_without_a_driver_means_psycopg(postgres_url: str) -> None:
    """``postgresql://`` is enough."""
    engine = open_engine(postgres_url.replace("+psycopg", ""))
    upgrade(engine)
    require_current(engine)
    engine.dispose()

    assert engine.dialect.driver == "psycopg"


def _watching(url: str) -> list[int]:
    """Return how the system watches a connection: keepalives, and how long data may be unanswered."""
    engine = open_engine(url)
    raw = engine.raw_connection()
    try:
        assert raw.driver_connection is not None
        with socket.socket(fileno=os.dup(raw.driver_connection.fileno())) as same:
            options = (socket.TCP_KEEPIDLE, socket.TCP_KEEPINTVL, socket.TCP_KEEPCNT)
            return [
                same.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE),
                *(same.getsockopt(socket.IPPROTO_TCP, option) for option in options),
                same.getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT),
            ]
    finally:
        raw.close()
        engine.dispose()


def test_a_server_that_is_gone_without_a_word_is_noticed(postgres_url: str) -> None:
    """The system asks within a minute whether it is still there; what the URL says goes first."""
    assert _watching(postgres_url) == [1, 30, 10, 3, 30_000]
    more = "&" if "?" in postgres_url else "?"
    asked = f"{postgres_url}{more}keepalives_idle=77&tcp_user_timeout=9000"
    assert _watching(asked) == [1, 77, 10, 3, 9_000]


def test_missing_driver_is_bad_input(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without the extra the owner is told what to install."""
    monkeypatch.setitem(sys.modules, "psycopg", None)

    with pytest.raises(BadInput, match=r"bidder\[postgres\]"):
        open_engine("postgresql://bidder@localhost/bidder")


def test_newer_schema_is_refused(postgres_url: str) -> None:
    """A database of a newer program is left alone."""
    engine = open_engine(postgres_url)
    upgrade(engine)
    with transaction(engine, writing=True) as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))

    with pytest.raises(StoreUnusable, match="9999"):
        upgrade(engine)
    engine.dispose()


def test_foreign_database_is_refused(postgres_url: str) -> None:
    """Another program's tables are not mixed with ours."""
    engine = open_engine(postgres_url)
    with transaction(engine, writing=True) as connection:
        connection.execute(text("CREATE TABLE photos (id integer)"))

    with pytest.raises(StoreUnusable, match="another program"):
        upgrade(engine)
    engine.dispose()


def test_dropped_connection_is_replaced(postgres_url: str) -> None:
    """After the server dropped us the next transaction works, and nothing was half done."""
    engine, admin = open_engine(postgres_url), open_engine(postgres_url)
    upgrade(engine)
    store = Store(engine, ACCOUNT)
    place(store, server=1)
    with transaction(admin, writing=True) as connection:
        connection.execute(
            text(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                " WHERE datname = current_database() AND pid <> pg_backend_pid()"
            )
        )
    place(store, server=2)

    assert len(store.load(NOW).intents) == 2
    engine.dispose()
    admin.dispose()


def test_connection_lost_inside_a_transaction_is_an_error_of_ours(postgres_url: str) -> None:
    """The transaction is undone and says so."""
    engine, admin = open_engine(postgres_url), open_engine(postgres_url)
    upgrade(engine)

    def interrupted() -> None:
        with transaction(engine, writing=True) as connection:
            pid = connection.execute(text("SELECT pg_backend_pid()")).scalar_one()
            connection.execute(text("INSERT INTO lease (account, fencing) VALUES ('x', 1)"))
            with transaction(admin, writing=True) as other:
                other.execute(text("SELECT pg_terminate_backend(:pid)"), {"pid": pid})
            connection.execute(text("SELECT 1"))

    with pytest.raises(StoreFailed):
        interrupted()
    with transaction(engine, writing=False) as connection:
        assert connection.execute(text("SELECT count(*) FROM lease")).scalar_one() == 0
    engine.dispose()
    admin.dispose()
