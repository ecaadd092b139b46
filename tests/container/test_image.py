"""The image as it was built, run as the compose files say: `.ci/container` builds it and starts this.

All of it has a network of its own, in which nothing is but this machine's loopback.
"""

import json
import os
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import compose
import pg
import pytest
from contained import ALWAYS, Container, Image, Running, image_of
from loopback import alone
from processes import PATIENCE, TOKEN, ask, sim, wait_for
from sqlalchemy import create_engine, inspect, make_url
from tools import need

_FOLDER = os.environ.get("BIDDER_TEST_IMAGE")
pytestmark = [
    pytest.mark.skipif(_FOLDER is None, reason="there is no image here: .ci/container builds one"),
    pytest.mark.slow,
]

# What it needs beside Python and Debian, most of it libraries; 161 MB when this was written.
_MOST_MEGABYTES = 180
# From SIGTERM to the end, for a daemon without `cancel_on_exit`.
_MOST_SECONDS_TO_STOP = 5.0


@pytest.fixture(scope="module")
def image() -> Image:
    """Return the image that was built."""
    assert _FOLDER is not None
    alone()
    return image_of(Path(_FOLDER, "root").resolve(), Path(_FOLDER, "inspect.json"))


def lay_files(folder: Path, root: str, password: str = "") -> None:
    """Lay the files beside a compose file, for user 10001 to read as docs/container.md says."""
    config = {
        "mode": "live",
        "exchange": {"url": f"{root}/v1"},
        "rates": {"BTC": 69000, "CLORE": "0.11"},
        "strategies": [
            {
                "name": "ada",
                "want": 2,
                "ceiling": {"usd": 6, "per": "gpu"},
                "servers": {"gpu": "RTX 4090"},
                "launch": {"image": "a/b"},
            }
        ],
    }
    (folder / "config.yaml").write_text(json.dumps(config), encoding="utf-8")
    (folder / "config.yaml").chmod(0o644)
    secrets = {"clore-token": TOKEN, "pgpass": f"postgres:5432:bidder:bidder:{password}"}
    for name, text in secrets.items():
        (folder / name).write_text(text + "\n", encoding="utf-8")
        os.chown(folder / name, 10001, 0)
        (folder / name).chmod(0o400)


def test_the_image_says_how_it_is_run(image: Image) -> None:
    """Not as root, stopped by SIGTERM, asked for its health, its state where the volume is."""
    assert image.user == (10001, 10001)
    assert image.config["StopSignal"] == "SIGTERM"
    assert image.config["Healthcheck"]["Test"] == ["CMD", "bidder", "health"]
    state = (image.root / "var/lib/bidder").stat()
    assert (state.st_uid, state.st_gid) == image.user
    assert list(image.config["Volumes"]) == ["/var/lib/bidder"]


def test_the_image_is_small(image: Image, capsys: pytest.CaptureFixture[str]) -> None:
    """What it adds to its base is limited, and none of it is left over from building it."""
    assert _FOLDER is not None
    base = int(Path(_FOLDER, "base.kilobytes").read_text(encoding="utf-8"))
    told = subprocess.run(["du", "-sk", image.root], capture_output=True, text=True, check=True)
    own = (int(told.stdout.split()[0]) - base) / 1024

    with capsys.disabled():
        print(f"\ncontainer: {own:.0f} MB beyond its base, at most {_MOST_MEGABYTES} are allowed")
    assert 10 < own <= _MOST_MEGABYTES
    for left in ("src", "build", "wheel", "wheels", "root/.cache", "opt/bidder/bin/pip"):
        assert not (image.root / left).exists() or not any((image.root / left).iterdir()), left


def traded(container: Container, log: Path, root: str, *, within: float) -> set[int]:
    """Run it until it holds what it wants, and stop it within so many seconds; return its orders."""
    with container.running(log) as running:
        wait_for(lambda: len(live(root)) == 2, of="two orders")
        wait_for(running.healthy, of="health")
        wait_for(lambda: known(running) == live(root), of="orders that it knows")
        check_confinement(running)
        check_limits(running)
        began = time.monotonic()
        assert running.stop() == 0
        assert time.monotonic() - began < within
    assert "Traceback" not in running.said
    return live(root)


def check_limits(running: Running) -> None:
    """It needs less than compose.yaml lets it have."""
    keys = running.container.keys
    most, unit = running.status("VmHWM")
    assert unit == "kB"
    assert int(most) * 1024 < compose.bytes_of(keys["mem_limit"])
    assert int(running.status("Threads")[0]) < keys["pids_limit"]


def grace(container: Container) -> float:
    """Return how many seconds an engine waits before it kills."""
    return compose.seconds(container.keys["stop_grace_period"])


def check_confinement(running: Running) -> None:
    """What compose.yaml takes from it, it does not have."""
    assert running.status("NSpid")[-1] == "1"
    assert running.status("Uid") == ["10001"] * 4
    assert running.status("Gid") == ["10001"] * 4
    assert not running.status("Groups")
    assert {running.status(f"Cap{each}")[0] for each in ("Inh", "Prm", "Eff", "Bnd")} == {"0" * 16}
    assert running.status("NoNewPrivs") == ["1"]
    variables = Path(f"/proc/{running.pid}/environ").read_text(encoding="utf-8")
    assert TOKEN not in variables
    mounted = Path(f"/proc/{running.pid}/mountinfo").read_text(encoding="utf-8").splitlines()
    writable = {fields[4] for fields in map(str.split, mounted) if "rw" in fields[5].split(",")} - ALWAYS
    assert writable == {"/var/lib/bidder", *running.container.keys["tmpfs"]}


def known(running: Running) -> set[int]:
    """Return the orders that the daemon has on record as its own."""
    ran = running.run("orders", "--json")
    assert ran.code == 0, ran.err
    return {each["order"] for each in ran.document["orders"]}


def live(root: str) -> set[int]:
    """Return the account's live orders as the exchange knows them."""
    return {order["id"] for order in ask(root, "/_sim/orders")["orders"] if order["live"]}


def test_it_trades_with_sqlite_in_the_volume(image: Image, tmp_path: Path) -> None:
    """As compose.yaml runs it: healthy, confined, stopped by SIGTERM, its state in the volume."""
    with sim("--no-rivals", "--speed", "20") as root:
        lay_files(tmp_path, root)
        container = Container(image=image, files=compose.SQLITE, folder=tmp_path)
        assert grace(container) > _MOST_SECONDS_TO_STOP
        traded(container, tmp_path / "log", root, within=_MOST_SECONDS_TO_STOP)
    assert (tmp_path / "state" / "bidder.db").stat().st_uid == 10001


# They use the same port.
_with_postgres = pytest.mark.xdist_group("postgres")


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


@_with_postgres
def test_it_trades_with_postgresql(image: Image, tmp_path: Path, password: str) -> None:
    """As both compose files run it: it makes the schema, and its second start knows its orders."""
    check = compose.document(compose.POSTGRES)["services"]["postgres"]["healthcheck"]["test"]
    assert check[0] == "CMD-SHELL"
    asked = subprocess.run(["sh", "-c", check[1]], env={**os.environ, "PGHOST": "127.0.0.1"})
    assert asked.returncode == 0
    with sim("--no-rivals", "--speed", "20") as root:
        lay_files(tmp_path, root, password)
        container = Container(image=image, files=compose.POSTGRES, folder=tmp_path)
        first = traded(container, tmp_path / "log", root, within=grace(container))
        second = traded(container, tmp_path / "second.log", root, within=grace(container))
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


@_with_postgres
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


def test_it_runs_the_demo(image: Image, tmp_path: Path) -> None:
    """On a read-only root, with the volume and /tmp only: it trades, and ends with 0."""
    lay_files(tmp_path, "")
    container = Container(image=image, files=compose.SQLITE, folder=tmp_path)
    with container.running(tmp_path / "log", "demo", "--hours", "0.01", "--json") as running:
        code = running.process.wait(5 * PATIENCE)

    assert code == 0, running.said
    shown = json.loads(running.said)
    assert shown["orders_created"] >= 1
    assert (shown["double_orders"], shown["ceiling_breaches"]) == (0, 0)
