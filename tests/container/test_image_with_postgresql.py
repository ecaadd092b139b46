"""The image with a PostgreSQL server, as both compose files run it together."""

import json
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import compose
import pg
import pytest
from contained import Container, Image
from inside import lay_files, traded
from processes import PATIENCE, sim
from sqlalchemy import create_engine, inspect, make_url
from tools import need

pytestmark = pytest.mark.slow


@pytest.fixture
def password() -> Iterator[str]:
    """Run the server that compose.postgres.yaml asks for, where it is; yield its password."""
    need("initdb", "pg_ctl", "pg_isready")
    login = compose.environment(compose.POSTGRES, "postgres")
    secret = os.urandom(24).hex()
    with pg.own_server(port=5432, user=login["POSTGRES_USER"], password=secret) as url:
        engine = create_engine(url, isolation_level="AUTOCOMMIT")
        with engine.connect() as connection:
            connection.exec_driver_sql(f"CREATE DATABASE {login['POSTGRES_DB']}")
        engine.dispose()
        yield secret


def test_it_trades_with_postgresql(image: Image, tmp_path: Path, password: str) -> None:
    """As both compose files run it: it makes the schema, and its second start knows its orders."""
    check = compose.document(compose.POSTGRES)["services"]["postgres"]["healthcheck"]["test"]
    assert check[0] == "CMD-SHELL"
    asked = subprocess.run(["sh", "-c", check[1]], env={**os.environ, "PGHOST": "127.0.0.1"})
    assert asked.returncode == 0
    with sim("--no-rivals", "--speed", "20") as root:
        lay_files(tmp_path, root, password)
        container = Container(image=image, files=compose.POSTGRES, folder=tmp_path)
        first = traded(container, tmp_path / "log", root).orders
        second = traded(container, tmp_path / "second.log", root).orders
    assert second == first
    begun = [json.loads(line) for line in (tmp_path / "second.log").read_text().splitlines()]
    (started,) = (event for event in begun if event["event"] == "daemon.started")
    assert started["orders"] == len(first)
    said = (tmp_path / "log").read_text() + (tmp_path / "second.log").read_text()
    assert password not in said
    assert not list((tmp_path / "state").glob("*.db")), "nothing goes to SQLite"
    url = make_url(f"postgresql+psycopg://bidder:{password}@127.0.0.1/bidder")
    engine = create_engine(url)
    assert {"orders", "intents", "alembic_version"} <= set(inspect(engine).get_table_names())
    engine.dispose()


def test_a_wrong_password_is_said_and_shown_to_nobody(
    image: Image, tmp_path: Path, password: str
) -> None:
    """The file is what is asked: another password in it is refused by the server, in one line."""
    lay_files(tmp_path, "http://127.0.0.1:9", f"not-{password}")
    container = Container(image=image, files=compose.POSTGRES, folder=tmp_path)
    with container.running(tmp_path / "log") as running:
        assert running.process.wait(PATIENCE) == 2
    assert "password authentication failed" in running.said
    assert password not in running.said
    assert "Traceback" not in running.said
