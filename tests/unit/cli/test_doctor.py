"""``bidder doctor`` where things are missing or broken: findings and exit codes, never a traceback."""

import json
import sqlite3
import stat
import tarfile
from pathlib import Path
from typing import Any

import pytest
import yaml
from documented import disagreements
from store_values import make_holding

from bidder.cli.main import main
from bidder.clock import SystemClock
from bidder.domain.ids import AccountName
from bidder.store.engine import open_engine
from bidder.store.lease import Lease
from bidder.store.schema import upgrade
from bidder.store.store import Store
from bidder.wiring import open_database

GOOD = """
mode: live
account: {token_env: UNIT_TOKEN}
exchange: {url: "http://127.0.0.1:9/v1"}
database: bidder.db
rates: {BTC: 69000, CLORE: 0.11}
strategies:
  - name: one
    ceiling: {usd: 3}
    servers: {gpu: RTX 3090}
    launch: {image: nvidia/cuda}
"""


@pytest.fixture
def config(place: Path) -> Path:
    """Return a good configuration that names an exchange which nobody runs."""
    place.write_text(GOOD)
    return place


class Desk:
    """Asks the doctor and holds each answer against the documentation."""

    def __init__(self, config: Path, capsys: pytest.CaptureFixture[str]) -> None:
        """Look at this configuration."""
        self.config, self.capsys = config, capsys
        self.err = ""

    def ask(self, *options: str, code: int) -> dict[str, Any]:
        """Return the findings by name, from the JSON; the text for the eye ends with the same code."""
        assert main(["doctor", "-c", str(self.config), *options, "--json"]) == code
        out, self.err = self.capsys.readouterr()
        document = json.loads(out)
        assert disagreements(document, "doctor") == []
        bundle = [each for each in options if each.endswith(".gz")]
        if not bundle:
            assert main(["doctor", "-c", str(self.config), *options]) == code
            seen = self.capsys.readouterr()
            # Not the sentences: their ages differ where the machine is slow.
            shown = [line.split() for line in seen.out.splitlines() if line[:1] not in {"", " "}]
            assert len(shown) == len(document["checks"]) + 1  # and the sum of them
            for check, words in zip(document["checks"], shown, strict=False):
                assert words[0].lower() == check["state"]
                assert " ".join(words[1:]).startswith(check["name"])
            out += seen.out + seen.err
        assert "canary" not in out + self.err
        assert "Traceback" not in out + self.err
        for check in document["checks"]:
            assert check["state"] == "ok" or check["remedy"], check
            assert "could not be judged" not in check["finding"], check
        return {check["name"]: check for check in document["checks"]}


@pytest.fixture
def desk(config: Path, capsys: pytest.CaptureFixture[str]) -> Desk:
    """Return where the doctor is asked."""
    return Desk(config, capsys)


def test_before_the_first_start(desk: Desk) -> None:
    """No database is not wrong, nor is one made; an exchange that cannot be reached is wrong."""
    found = desk.ask(code=1)

    assert found["database"]["state"] == "warning"
    assert found["exchange"]["state"] == "wrong"
    assert found["exchange"]["details"] == ["wallets: no connection"]
    assert found["token"]["state"] == "unknown"
    assert list(desk.config.parent.iterdir()) == [desk.config]


def test_offline_nothing_is_wrong_yet(desk: Desk) -> None:
    """Nothing is asked and nothing remembered: nothing is known, and that is no fault."""
    found = desk.ask("--offline", code=0)

    assert "--offline" in found["exchange"]["finding"]


def test_a_missing_token(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    """Wrong where real orders are to be traded; on paper it can do without."""
    monkeypatch.delenv("UNIT_TOKEN")
    assert desk.ask("--offline", code=1)["token"]["state"] == "wrong"
    desk.config.write_text(GOOD.replace("mode: live", "mode: paper"))

    assert desk.ask("--offline", code=0)["token"]["state"] == "warning"


def test_a_newer_database(desk: Desk) -> None:
    """It may be a newer daemon's: the exchange is not asked."""
    with sqlite3.connect(desk.config.parent / "bidder.db") as plain:
        plain.execute("CREATE TABLE alembic_version (version_num TEXT)")
        plain.execute("INSERT INTO alembic_version VALUES ('9999')")
    plain.close()

    found = desk.ask(code=1)

    assert found["database"]["state"] == "wrong"
    assert "newer bidder" in found["database"]["remedy"]
    assert "cannot be told whether a daemon runs" in found["exchange"]["finding"]


@pytest.mark.parametrize("where", [0, 20_000])
def test_a_corrupt_database(desk: Desk, where: int) -> None:
    """No database at all, or one that is broken further in; it is left as it is."""
    file = desk.config.parent / "bidder.db"
    engine = open_engine(file)
    upgrade(engine)
    engine.dispose()
    content = bytearray(file.read_bytes())
    for start in range(where, len(content) - 4096, 5000):
        content[start : start + 300] = b"\xff" * 300
    file.write_bytes(content)
    for beside in ("bidder.db-wal", "bidder.db-shm"):
        (file.parent / beside).unlink(missing_ok=True)

    found = desk.ask(code=1)

    assert found["database"]["state"] == "wrong"
    assert "restore a backup" in found["database"]["remedy"]
    assert file.read_bytes() == bytes(content)


def test_a_database_without_rights(desk: Desk) -> None:
    """Read-only is wrong, and readable by others a warning."""
    file = desk.config.parent / "bidder.db"
    open_database(f"sqlite:///{file}").dispose()
    assert desk.ask("--offline", code=0)["database"]["state"] == "ok"
    file.chmod(0o644)
    assert desk.ask("--offline", code=0)["database"]["state"] == "warning"
    file.chmod(0o400)

    assert desk.ask("--offline", code=1)["database"]["state"] == "wrong"


def test_a_database_on_a_server_that_is_away(desk: Desk) -> None:
    """Its password is not shown, wherever in the URL it stands."""
    pytest.importorskip("psycopg")
    for url in (
        "postgresql://me:canary-one@127.0.0.1:9/db",
        "postgresql://me@127.0.0.1:9/db?password=canary-two",
    ):
        desk.config.write_text(GOOD.replace("bidder.db", f'"{url}"'))
        assert desk.ask(code=1)["database"]["state"] == "wrong"


def test_a_key_in_the_exchanges_url(desk: Desk) -> None:
    """Whoever put a proxy in between may have a key in the path: only the host is named."""
    desk.config.write_text(GOOD.replace(":9/v1", ":9/canary-key/v1"))

    assert desk.ask(code=1)["exchange"]["finding"] == "127.0.0.1:9 gives no usable answer."


def test_a_database_in_memory(desk: Desk) -> None:
    """On paper that is allowed, and remembers nothing."""
    desk.config.write_text(GOOD.replace("bidder.db", '"sqlite://"').replace("live", "paper"))

    assert desk.ask("--offline", code=0)["database"]["state"] == "warning"


def test_a_bad_configuration_is_bad_input(desk: Desk) -> None:
    """Every mistake is told, the exit code is that of bad input, and a bundle is written."""
    desk.config.write_text(GOOD.replace("usd: 3", "usd: -3") + "    ssh_password: canary-secret\n")
    target = desk.config.parent / "bug.tar.gz"

    found = desk.ask("--bundle", str(target), code=2)

    assert found["configuration"]["state"] == "wrong"
    assert len(found["configuration"]["details"]) == 2
    assert desk.err.startswith(f"error: {desk.config}:")
    with tarfile.open(target) as archive:
        names = {Path(each.name).name for each in archive}
        assert {"README.txt", "doctor.json", "config.yaml", "versions.json"} == names


def test_no_configuration(desk: Desk) -> None:
    """A file that is not there, or is no YAML."""
    desk.config.write_text("strategies: [")
    desk.ask(code=2)
    desk.config.unlink()

    assert "there is no such file" in desk.ask(code=2)["configuration"]["finding"]


def test_who_may_read_the_secrets(desk: Desk) -> None:
    """A file with a secret that others may read is named with its key."""
    secret = desk.config.parent / "pass.txt"
    secret.write_text("canary-password")
    secret.chmod(0o644)
    launch = "{image: nvidia/cuda, ssh_password: {file: pass.txt}}"
    desk.config.write_text(GOOD.replace("{image: nvidia/cuda}", launch))

    found = desk.ask("--offline", code=0)["secrets"]

    assert found["state"] == "warning"
    assert found["details"] == [f"{secret} (strategies[0].launch.ssh_password.file)"]
    secret.chmod(0o600)
    assert desk.ask("--offline", code=0)["secrets"]["state"] == "ok"


def test_beside_a_daemon_nothing_is_asked(desk: Desk) -> None:
    """The lease is held: the exchange, which nobody runs here, is not even tried."""
    engine = open_database(f"sqlite:///{desk.config.parent / 'bidder.db'}")
    lease = Lease(engine, AccountName("default"))
    lease.acquire(SystemClock().now())

    found = desk.ask(code=0)

    assert "a daemon has the requests for itself" in found["exchange"]["finding"]
    lease.release()
    engine.dispose()


def test_a_bundle_is_for_its_owner_and_written_over_nothing(desk: Desk) -> None:
    """It holds rows, and appears whole; what is in its way stays as it was."""
    engine = open_database(f"sqlite:///{desk.config.parent / 'bidder.db'}")
    now = SystemClock().now()
    lease = Lease(engine, AccountName("default"))
    store = Store(engine, AccountName("default"), fencing=lease.acquire(now))
    store.settle((), [make_holding(7, first_seen_at=now, last_seen_at=now)], at=now)
    lease.release()
    engine.dispose()
    target = desk.config.parent / "bug.tar.gz"
    desk.ask("--offline", "--bundle", str(target), code=1)

    assert stat.S_IMODE(target.stat().st_mode) == 0o600
    with tarfile.open(target) as archive:
        opened = archive.extractfile("bidder-doctor/rows/orders.json")
        assert opened is not None
        (row,) = json.load(opened)
        assert (row["order_id"], row["price"]) == (7, "0.00002450")
        assert "access" not in row
    before = target.read_bytes()
    wrong = (desk.config.parent / "bug.zip", desk.config.parent / "bug")
    for path in (target, desk.config.parent / "none" / "bug.tar.gz", *wrong):
        assert main(["doctor", "-c", str(desk.config), "--offline", "--bundle", str(path)]) == 2
        assert str(path) in desk.capsys.readouterr().err
    assert target.read_bytes() == before
    assert {path.name for path in target.parent.iterdir()} == {"config.yaml", "bidder.db", "bug.tar.gz"}


def test_a_bundle_without_the_configuration_does_not_claim_to_know_its_secrets(desk: Desk) -> None:
    """What could not be read could not be looked through."""
    desk.config.write_text("strategies: [")
    target = desk.config.parent / "bug.tar.gz"

    assert main(["doctor", "-c", str(desk.config), "--bundle", str(target)]) == 2

    out = desk.capsys.readouterr().out
    assert "The configuration could not be read, so its secrets are not known: look through it" in out
    assert "holds no secret" not in out


def test_a_short_password_does_not_eat_the_words_around_it(desk: Desk) -> None:
    """The keys of a bundle's configuration are ours, and stay."""
    desk.config.write_text(GOOD.replace("nvidia/cuda}", "nvidia/cuda, ssh_password: pass}"))
    target = desk.config.parent / "bug.tar.gz"
    desk.ask("--offline", "--bundle", str(target), code=0)

    with tarfile.open(target) as archive:
        opened = archive.extractfile("bidder-doctor/config.yaml")
        assert opened is not None
        launch = yaml.safe_load(opened)["strategies"][0]["launch"]
    assert launch == {"image": "nvidia/cuda", "ssh_password": "(hidden)"}
