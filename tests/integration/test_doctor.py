"""The doctor beside a daemon that trades, and after it: in virtual time, and over real HTTP."""

import asyncio
import io
import json
import tarfile
import time
import urllib.request
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import virtual
import yaml
from documented import disagreements
from processes import TOKEN, bidder, sim
from sqlalchemy import Engine, event

from bidder.demo.transport import SimTransport
from bidder.doctor.examine import examine
from bidder.store.engine import open_engine
from bidder.store.schema import upgrade

CONFIG = """
mode: live
account: {name: demo, token_env: DEMO_TOKEN}
database: DATABASE
rates: {BTC: 69000, CLORE: 0.11}
strategies:
  - name: one
    ceiling: {usd: 3}
    servers: {gpu: RTX 3090}
    launch: {image: nvidia/cuda}
"""


class Clinic:
    """A simulated day whose database the doctor reads."""

    def __init__(self, folder: Path, engine: Engine, database: str) -> None:
        """Begin a day that has not begun yet."""
        self.config = folder / "config.yaml"
        self.config.write_text(CONFIG.replace("DATABASE", json.dumps(database)))
        self.day = virtual.begin(engine=engine)

    def look(self, *, ask: bool = True) -> dict[str, Any]:
        """Return the findings by name."""
        day = self.day
        report = asyncio.run(
            examine(
                self.config,
                {"DEMO_TOKEN": day.exchange.token},
                day.clock,
                offline=not ask,
                transport=SimTransport(day.exchange, day.clock, one_way_seconds=(0.01, 0.02)),
            )
        )
        document = {"schema": 1, **report.document(), "bundle": None}
        assert disagreements(document, "doctor") == []
        for check in document["checks"]:
            assert check["state"] == "ok" or check["remedy"], check
            assert "could not be judged" not in check["finding"], check
        return {check["name"]: check for check in document["checks"]}

    def refusals(self) -> int:
        """Return how many requests the exchange has refused as too many."""
        count: int = self.day.referee.report(self.day.clock.now())["rate_limit_refusals"]
        return count

    def requests(self) -> int:
        """Return how many requests have arrived."""
        count: int = self.day.referee.report(self.day.clock.now())["requests"]
        return count


@pytest.fixture
def clinic(tmp_path: Path) -> Iterator[Clinic]:
    """Yield a day on a database of its own."""
    file = tmp_path / "bidder.db"
    file.touch(mode=0o600)
    engine = open_engine(file)
    # The day is long and the disk slow; what the doctor sees are settings of a connection of its own.
    event.listen(engine, "connect", lambda raw, _: raw.execute("PRAGMA synchronous=OFF"))
    upgrade(engine)
    yield Clinic(tmp_path, engine, "bidder.db")
    engine.dispose()


def test_beside_a_daemon_and_after_it(clinic: Clinic) -> None:
    """Beside it not one request is sent; after it one for each thing that is read, in time."""
    clinic.day.run(timedelta(minutes=6))
    before = clinic.requests()

    beside = clinic.look()

    assert clinic.requests() == before
    states = {name: check["state"] for name, check in beside.items()}
    assert {name for name, state in states.items() if state == "wrong"} == set()
    # In virtual time the simulated exchange sends no `Date`, so nobody can tell about the clocks.
    assert {name for name, state in states.items() if state == "unknown"} == {"clock"}
    assert beside["clock"]["remedy"].startswith("its answers carry no `Date`")
    assert "as the daemon saw" in beside["token"]["finding"]
    assert beside["last write"]["facts"]["code"] in {0, 6}
    assert "BTC_balance" in beside["wallets"]["facts"]
    held = clinic.day.app.trader.view.holdings
    assert beside["daemon"]["facts"]["orders"] == len(held) > 0

    clinic.day.app.lease.release()
    after = clinic.look()

    assert clinic.requests() == before + 5
    assert clinic.refusals() == 0
    assert after["exchange"]["finding"].endswith("answered 5 of 5 requests.")
    assert after["token"]["state"] == "ok"
    assert after["daemon"]["state"] == "wrong"


def test_a_calendar_that_jumps_is_remembered(clinic: Clinic) -> None:
    """The daemon notes it beside its passes, where the doctor finds it."""
    clinic.day.run(timedelta(minutes=1))
    clinic.day.clock.shift_wall(timedelta(hours=1))
    clinic.day.run(timedelta(minutes=1))

    found = clinic.look(ask=False)["clock"]

    assert found["state"] == "warning"
    assert found["finding"].startswith("The calendar jumped by +3600 seconds ")


@pytest.mark.postgres
def test_on_postgres(tmp_path: Path, postgres_url: str) -> None:
    """The same questions to a server, whose safety rests on settings of its own."""
    engine = open_engine(postgres_url)
    upgrade(engine)
    clinic = Clinic(tmp_path, engine, postgres_url)
    clinic.day.run(timedelta(minutes=2))

    found = clinic.look(ask=False)

    assert found["database"]["facts"]["kind"] == "postgresql"
    # The tests' own server may save on safety, and then that is what is wrong with it.
    risky = [name for name in ("fsync", "full_page_writes") if found["database"]["facts"][name] != "on"]
    assert found["database"]["state"] == ("wrong" if risky else "ok")
    assert found["daemon"]["state"] == "ok"
    engine.dispose()


CANARIES = {
    "launch": ("canary-ssh-password", "canary-jupyter", "canary command --now", "canary-env-value"),
    "elsewhere": ("canary-page-token-16", "canary-chat-token", "canary-argument", "canary-in-a-file"),
}
SECRETS = """
mode: live
account: {name: e2e, token_env: E2E_TOKEN}
exchange: {url: "ROOT/v1"}
database: bidder.db
rates: {BTC: 69000, CLORE: 0.11}
web: {listen: "127.0.0.1:0", token: canary-page-token-16}
notices:
  - {to: "json://127.0.0.1:9/training/canary-chat-token/RTX%204090"}
  - {command: [/bin/true, --key, canary-argument]}
strategies:
  - name: training
    ceiling: {usd: 6, per: gpu}
    servers: {gpu: RTX 4090}
    launch:
      image: cloreai/ubuntu20.04-jupyter   # canary-in-a-comment
      env: {KEY: canary-env-value, OTHER: {file: pass.txt}}
      ssh_password: canary-ssh-password
      jupyter_token: canary-jupyter
      command: canary command --now
"""


def test_a_bundle_holds_no_secret(tmp_path: Path) -> None:
    """Of every place that a secret can stand in, after trading with it; checked unpacked."""
    (tmp_path / "pass.txt").write_text("canary-in-a-file\n")
    config, target = tmp_path / "config.yaml", tmp_path / "bug.tar.gz"
    with sim("--speed", "1") as root:
        config.write_text(SECRETS.replace("ROOT", root))
        # A command stands in for the daemon: what it asks and gets is in the database afterwards.
        assert bidder("wallets", "-c", str(config), "--wait", "20").code == 0
        ran = bidder("doctor", "-c", str(config), "--bundle", str(target), "--json")
        deposits = _deposits(root)

    assert ran.code == 0, ran
    assert disagreements(ran.document, "doctor") == []
    found = {check["name"]: check for check in ran.document["checks"]}
    assert found["exchange"]["state"] == found["token"]["state"] == "ok"
    assert ran.document["bundle"]["missing"] == []
    unpacked = _unpacked(target)
    assert {"rows/wallets.json", "rows/requests.json", "config.yaml"} <= set(unpacked)
    everything = "\n".join(unpacked.values()) + ran.out + ran.err
    secrets = [TOKEN, *CANARIES["launch"], *CANARIES["elsewhere"], *deposits]
    assert len(deposits) > 2
    assert [each for each in secrets if each in everything] == []
    assert "canary" not in everything
    assert "ssh_password: (hidden)" in unpacked["config.yaml"]
    shown = yaml.safe_load(unpacked["config.yaml"])
    # A part of an address that is also the strategy's name is no secret; another is text still.
    assert shown["strategies"][0]["name"] == "training"
    assert shown["strategies"][0]["servers"]["gpu"] == "[hidden]"
    assert "127.0.0.1" in shown["exchange"]["url"]
    assert json.loads(unpacked["rows/requests.json"])[0]["kind"] == "wallets"


def _unpacked(target: Path) -> dict[str, str]:
    with tarfile.open(target) as archive:
        return {
            each.name.removeprefix("bidder-doctor/"): (archive.extractfile(each) or io.BytesIO())
            .read()
            .decode()
            for each in archive
        }


def _deposits(root: str) -> list[str]:
    """Return the addresses that the exchange names for paying in."""
    request = urllib.request.Request(f"{root}/v1/wallets", headers={"auth": TOKEN})
    for _ in range(20):
        # The doctor has only just asked: once a second is what the exchange allows.
        time.sleep(1.1)
        with urllib.request.urlopen(request, timeout=10) as answer:
            found = json.load(answer)
        if "wallets" in found:
            return [each["deposit"] for each in found["wallets"] if each.get("deposit")]
    raise AssertionError("the simulated exchange named no wallets")
