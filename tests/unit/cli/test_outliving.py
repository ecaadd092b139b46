"""Which commands go on by what the daemon took up last where the file on disk cannot be used."""

import os
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from bidder.cli.failures import ExitCode
from bidder.cli.main import main
from bidder.config import kept, load_settings
from bidder.config.needs import NOTHING
from bidder.domain.ids import AccountName
from bidder.store.engine import open_engine
from bidder.store.lease import Lease
from bidder.store.schema import upgrade

CONFIG = """
mode: live
account: {name: main, token_env: UNIT_TOKEN}
exchange: {url: "http://127.0.0.1:9/v1"}
database: other.db
rates: {BTC: 69000}
guard: {then: cancel}
strategies:
  - name: one
    ceiling: {usd: 3}
    servers: {gpu: RTX 3090}
    launch: {image: nvidia/cuda, ssh_password: {env: SSH_PASSWORD}}
"""
BROKEN = {
    "no YAML": (CONFIG.replace("rates:", "\trates:"), "tab"),
    "a wrong value": (CONFIG.replace("usd: 3", "usd: three"), "usd: is not a number"),
    "a misspelt mode": (CONFIG.replace("live", "lvie"), "mode: is none of the known words"),
    "no file": (None, "there is no such file"),
}
# Each with its exit code where no daemon has made a pass and nobody carries a command out.
OUTLIVES = {
    "health": (["health"], ExitCode.FAILED),
    "status": (["status"], ExitCode.DONE),
    "orders": (["orders"], ExitCode.DONE),
    "cancel --all": (["cancel", "--all", "--wait", "0"], ExitCode.FAILED),
    "cancel": (["cancel", "7", "--wait", "0"], ExitCode.FAILED),
    "pause": (["pause", "--wait", "0"], ExitCode.FAILED),
    "guard": (["guard", "--dry-run"], ExitCode.DONE),
}


@pytest.fixture
def config(place: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Yield a configuration that a daemon took up, beside the database that it holds the lease of."""
    place.write_text(CONFIG)
    kept.keep(load_settings(place, os.environ, needs=NOTHING), os.environ)
    engine = open_engine(f"sqlite:///{place.parent / 'other.db'}")
    upgrade(engine)
    lease = Lease(engine, AccountName("main"))
    lease.acquire(datetime.now(UTC))
    yield place
    lease.release()
    engine.dispose()


def spoil(config: Path, how: str) -> str:
    """Make the file one that cannot be used; return what is said of it."""
    text, said = BROKEN[how]
    if text is None:
        config.unlink()
    else:
        config.write_text(text)
    return said


@pytest.mark.parametrize("how", BROKEN)
@pytest.mark.parametrize("which", OUTLIVES)
def test_a_file_that_cannot_be_used_refuses_nobody_who_must_get_through(
    config: Path, capsys: pytest.CaptureFixture[str], which: str, how: str
) -> None:
    """The command goes by what was taken up last, and its warning names what is wrong with the file."""
    said = spoil(config, how)
    command, code = OUTLIVES[which]

    assert main([*command, "-c", str(config)]) == code

    warned = capsys.readouterr().err
    first, *_ = warned.splitlines()
    assert first.startswith(f"warning: {config}")
    assert said in first
    copy = kept.place(config, os.environ)
    assert f"warning: {config} cannot be used; going by what the daemon took up last ({copy})" in warned


@pytest.mark.parametrize("command", ["check", "plan", "run", "explain 7", "wallets"])
def test_what_decides_by_the_file_refuses_it(
    config: Path, capsys: pytest.CaptureFixture[str], command: str
) -> None:
    """Whoever starts, tries or plans must be told that it is wrong."""
    said = spoil(config, "a wrong value")

    assert main([*command.split(), "-c", str(config)]) == ExitCode.BAD_INPUT
    told = capsys.readouterr().err
    assert said in told
    assert "taken-up" not in told


@pytest.mark.parametrize("distrusted", ["gone", "readable by others", "a link", "broken as well"])
def test_without_a_copy_to_trust_the_file_is_refused(
    config: Path, capsys: pytest.CaptureFixture[str], distrusted: str
) -> None:
    """One that somebody else may have written is none."""
    copy = kept.place(config, os.environ)
    match distrusted:
        case "gone":
            copy.unlink()
        case "readable by others":
            copy.chmod(0o644)
        case "a link":
            copy.replace(copy.with_suffix(".bak"))
            copy.symlink_to(copy.with_suffix(".bak"))
        case _:
            copy.write_text("mode: [")
    said = spoil(config, "a wrong value")

    assert main(["status", "-c", str(config)]) == ExitCode.BAD_INPUT
    told = capsys.readouterr().err
    assert told.startswith(f"error: {config}:")
    assert said in told


def test_a_file_that_can_be_used_is_used(config: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The copy is for an emergency: nobody reads it beside a good file."""
    config.write_text(CONFIG.replace("other.db", "third.db"))

    assert main(["status", "-c", str(config)]) == ExitCode.BAD_INPUT
    assert "third.db: there is no database yet" in capsys.readouterr().err
