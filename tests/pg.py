"""A PostgreSQL server for tests: the one named in BIDDER_TEST_POSTGRES, or a throwaway one."""

import os
import shutil
import socket
import subprocess
import tempfile
import uuid
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

from sqlalchemy import create_engine
from sqlalchemy.engine import make_url


def why_absent() -> str | None:
    """Return why there can be no server; None where there can be one."""
    if os.environ.get("BIDDER_TEST_POSTGRES"):
        return None
    missing = [name for name in ("initdb", "pg_ctl") if shutil.which(name) is None]
    if missing:
        return f"BIDDER_TEST_POSTGRES is not set and {', '.join(missing)} is not in the PATH"
    return None


@contextmanager
def server() -> Iterator[str]:
    """Run a server, or use the given one; yield the URL of a database in which others can be made."""
    given = os.environ.get("BIDDER_TEST_POSTGRES")
    if given:
        yield make_url(given).set(drivername="postgresql+psycopg").render_as_string(hide_password=False)
        return
    with own_server() as url:
        yield url


@contextmanager
def own_server(*, port: int | None = None, user: str = "bidder", password: str = "") -> Iterator[str]:
    """Run a server on loopback, which asks for a password if one is given; yield as ``server`` does."""
    folder = Path(tempfile.mkdtemp(prefix="bidder-pg-", dir="/tmp"))
    # PostgreSQL refuses to run as root; its folder must then belong to the user it runs as.
    as_user: dict[str, Any] = {}
    if os.geteuid() == 0:
        shutil.chown(folder, "postgres", "postgres")
        as_user = {"user": "postgres", "group": "postgres", "extra_groups": []}
    try:
        yield from _running(folder, as_user, port or _free_port(), user, password)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _free_port() -> int:
    with closing(socket.socket()) as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def _running(
    folder: Path, as_user: dict[str, Any], port: int, user: str, password: str
) -> Iterator[str]:
    def run(*command: str) -> None:
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True, **as_user)
        if done.returncode:
            raise RuntimeError(f"{command[0]}: {done.stdout}{done.stderr}")

    data = str(folder / "data")
    asks = ["--auth=trust"]
    if password:
        (folder / "password").write_text(password, encoding="utf-8")
        asks = ["--auth=scram-sha-256", f"--pwfile={folder / 'password'}"]
    run("initdb", "-D", data, "-U", user, *asks, "--no-sync", "-E", "UTF8", "--locale=C")
    options = f"-p {port} -c listen_addresses=127.0.0.1 -c unix_socket_directories='' -c fsync=off"
    # Its output goes to a file: a pipe would stay open as long as the server runs.
    run("pg_ctl", "-D", data, "-w", "-l", str(folder / "log"), "-o", options, "start")
    try:
        login = f"{user}:{password}" if password else user
        yield f"postgresql+psycopg://{login}@127.0.0.1:{port}/postgres"
    finally:
        run("pg_ctl", "-D", data, "-m", "immediate", "-w", "stop")


@contextmanager
def fresh_database(admin_url: str) -> Iterator[str]:
    """Make an empty database on the server, and drop it at the end; yield its URL."""
    name = f"bidder_test_{uuid.uuid4().hex[:12]}"
    admin = create_engine(admin_url, isolation_level="AUTOCOMMIT")
    try:
        with admin.connect() as connection:
            connection.exec_driver_sql(f"CREATE DATABASE {name}")
        yield make_url(admin_url).set(database=name).render_as_string(hide_password=False)
        with admin.connect() as connection:
            connection.exec_driver_sql(f"DROP DATABASE {name} WITH (FORCE)")
    finally:
        admin.dispose()
