"""SIGTERM and SIGINT in the first seconds, also as process 1, as which a container runs the daemon."""

import os
import signal
import sqlite3
import subprocess
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest
from processes import BIDDER, PATIENCE, daemon, environment, stop, wait_for, write_config
from tools import need

NOWHERE = "http://127.0.0.1:9"
_AS_PROCESS_ONE = ("unshare", "--pid", "--fork", "--mount-proc", "--kill-child")
_SIGTERM_BIT = 1 << (signal.SIGTERM - 1)


def can_be_process_one() -> None:
    """Skip the test, or fail it in CI, where no process can be the first of its namespace."""
    need("unshare")
    tried = subprocess.run([*_AS_PROCESS_ONE, "true"], capture_output=True, text=True, check=False)
    if tried.returncode == 0:
        return
    reason = f"no namespace of processes can be made: {tried.stderr.strip()}"
    if os.environ.get("CI") == "true":
        pytest.fail(reason)
    pytest.skip(reason)


@contextmanager
def process_one(*arguments: str) -> Iterator[tuple[subprocess.Popen[bytes], int]]:
    """Run a command as process 1; yield what waits for it, and its number as seen from here."""
    can_be_process_one()
    with subprocess.Popen([*_AS_PROCESS_ONE, *BIDDER, *arguments], env=environment()) as waiting:
        try:
            children = Path(f"/proc/{waiting.pid}/task/{waiting.pid}/children")
            yield waiting, int(wait_for(lambda: children.read_text().strip(), of="process 1"))
        finally:
            waiting.kill()


def heeds_sigterm(pid: int) -> bool:
    """Return whether a process has a handler for SIGTERM; without one process 1 never hears it."""
    status = Path(f"/proc/{pid}/status").read_text()
    (caught,) = (line.split()[1] for line in status.splitlines() if line.startswith("SigCgt:"))
    return bool(int(caught, 16) & _SIGTERM_BIT)


def config_with_slow_token(folder: Path) -> tuple[Path, Path]:
    """Write a configuration whose token is read from a pipe; return it and the pipe."""
    config, token = write_config(folder, NOWHERE), folder / "token"
    config.write_text(config.read_text().replace("token_env: E2E_TOKEN", "token_file: ./token"))
    os.mkfifo(token)
    return config, token


def test_process_one_is_stopped_while_it_is_still_loading(tmp_path: Path) -> None:
    """At the first moment at which it has a handler at all, long before there is a daemon."""
    config = write_config(tmp_path, NOWHERE)
    with process_one("run", "-c", str(config)) as (waiting, pid):
        deadline = time.monotonic() + PATIENCE
        while not heeds_sigterm(pid):
            assert time.monotonic() < deadline
        os.kill(pid, signal.SIGTERM)
        assert waiting.wait(5) == 0
    assert not (tmp_path / "bidder.db").exists()


def test_another_command_as_process_one_is_cut_short(tmp_path: Path) -> None:
    """With the code that a shell has for it: it has not done what it was asked."""
    config, token = config_with_slow_token(tmp_path)
    with (
        process_one("wallets", "-c", str(config)) as (waiting, pid),
        token.open("w"),  # open once it is being read
    ):
        os.kill(pid, signal.SIGTERM)
        assert waiting.wait(5) == 128 + signal.SIGTERM


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_start_is_stopped_while_the_configuration_is_read(
    tmp_path: Path, number: signal.Signals
) -> None:
    """It ends as any stop does, with 0 and without a word, and has not touched the database."""
    config, token = config_with_slow_token(tmp_path)
    with daemon(config, tmp_path / "log") as process, token.open("w"):
        process.send_signal(number)
        assert process.wait(5) == 0
    assert (tmp_path / "log").read_text() == ""
    assert not (tmp_path / "bidder.db").exists()


def test_a_stop_before_the_first_pass_gives_the_lease_back(tmp_path: Path) -> None:
    """Whoever starts next need not wait for it, nor take the last daemon for dead."""
    more = "notices: [{to: 'json://127.0.0.1:9'}]"  # asking about it takes a second
    config, database = write_config(tmp_path, NOWHERE, more=more), tmp_path / "bidder.db"

    def holder() -> object:
        with closing(sqlite3.connect(database)) as found:
            try:
                row = found.execute("SELECT host FROM lease").fetchone()
            except sqlite3.OperationalError:  # no table yet
                return None
            return row and row[0]

    with daemon(config, tmp_path / "log") as process:
        wait_for(database.exists, of="a database")
        wait_for(holder, of="a lease that is held")
        assert stop(process) == 0
    assert holder() is None
