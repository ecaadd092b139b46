"""How ``bidder guard`` ends where nothing is to be done, or nothing can be."""

import json
import sys
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest
from documented import disagreements
from guards import CANCEL

from bidder.cli import guarding
from bidder.cli.main import main
from bidder.config import load_settings
from bidder.domain.ids import AccountName
from bidder.domain.unattended import Finding, Signs
from bidder.guarding import Round
from bidder.store.engine import open_engine
from bidder.store.lease import Lease
from bidder.store.schema import upgrade

CONFIG = """
mode: live
account: {name: main, token_env: UNIT_TOKEN}
exchange: {url: "http://127.0.0.1:9/v1"}
database: bidder.db
rates: {BTC: 69000}
guard: {then: cancel}
strategies:
  - name: one
    ceiling: {usd: 3}
    servers: {gpu: RTX 3090}
    launch: {image: nvidia/cuda}
"""


@pytest.fixture
def config(place: Path) -> Path:
    """Return a configuration whose exchange nobody runs."""
    place.write_text(CONFIG)
    return place


def test_without_a_wish_it_refuses(config: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Cancelling is nothing to do by default."""
    config.write_text(CONFIG.replace("guard: {then: cancel}\n", ""))

    assert main(["guard", "-c", str(config)]) == 2
    said = capsys.readouterr().err
    assert said.startswith(f"error: {config}: guard: there is no such section")
    assert "add guard: {then: cancel}" in said


@pytest.mark.parametrize("content", [None, b"no database at all" * 100])
def test_without_a_usable_database_nothing_is_done(
    config: Path, capsys: pytest.CaptureFixture[str], content: bytes | None
) -> None:
    """Which orders are the daemon's is known by it alone; the file is left as it was."""
    database = config.parent / "bidder.db"
    if content is not None:
        database.write_bytes(content)

    assert main(["guard", "-c", str(config)]) == 2
    assert capsys.readouterr().err.startswith(f"error: {database}: ")
    assert (database.read_bytes() if database.exists() else None) == content


def test_without_a_token_it_says_so(
    config: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """At the first try, not on the day when it is needed."""
    monkeypatch.delenv("UNIT_TOKEN")

    assert main(["guard", "-c", str(config)]) == 2
    assert "no API token" in capsys.readouterr().err


def test_where_no_daemon_ever_ran_there_is_nothing_to_guard(
    config: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Said on standard output; what it prints is as documented."""
    engine = open_engine(f"sqlite:///{config.parent / 'bidder.db'}")
    upgrade(engine)
    engine.dispose()

    assert main(["guard", "-c", str(config)]) == 0
    assert capsys.readouterr().out.startswith("No daemon has run on this database yet")
    assert main(["guard", "-c", str(config), "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert document["finding"] == "never_ran"
    assert disagreements(document, "guard") == []


def test_a_held_lease_is_respected(config: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """By whom it is held is said; that is no failure."""
    engine = open_engine(f"sqlite:///{config.parent / 'bidder.db'}")
    upgrade(engine)
    lease = Lease(engine, AccountName("main"))
    lease.acquire(datetime.now(UTC))

    assert main(["guard", "-c", str(config)]) == 0
    assert "Another process has taken the account (process " in capsys.readouterr().out
    lease.release()
    engine.dispose()


@pytest.mark.parametrize("finding", [Finding.ALIVE, Finding.QUIET])
def test_while_all_is_well_cron_has_nothing_to_mail(
    config: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    finding: Finding,
) -> None:
    """Said on a terminal, and where it was asked for."""
    settings, now = load_settings(config, {"UNIT_TOKEN": "t"}), datetime.now(UTC)
    found = Round(finding=finding, signs=Signs(seen_at=now), when=CANCEL, at=now)

    def said(found: Round, *, as_json: bool = False) -> str:
        assert guarding.conclude(settings, None, found, as_json=as_json) == 0
        return capsys.readouterr().out

    assert said(found) == ""
    assert said(replace(found, dry_run=True))
    assert json.loads(said(found, as_json=True))["finding"] == finding.value
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    assert said(found)
