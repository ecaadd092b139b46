"""A disk without room at the start: the daemon ends as one that is to be started again, and returns."""

import os
import resource
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from processes import (
    BIDDER,
    PATIENCE,
    Ran,
    bidder,
    daemon,
    environment,
    sim,
    stop,
    wait_for,
    write_config,
)


def run(config: Path, limit: Callable[[], None] | None = None) -> Ran:
    """Run a daemon that is to end by itself; ``limit`` is what its process may no longer do."""
    done = subprocess.run(
        [*BIDDER, "run", "-c", str(config)],
        env=environment(),
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
        preexec_fn=limit,
    )
    return Ran(code=done.returncode, out=done.stdout, err=done.stderr)


def write_nothing() -> None:
    """Let no file of this process grow beyond its first byte."""
    resource.setrlimit(resource.RLIMIT_FSIZE, (1, 1))


def errors(ran: Ran) -> list[str]:
    """Return what a command complained of."""
    return [line for line in ran.err.splitlines() if line.startswith("error: ")]


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """Yield a folder on a file system of two megabytes."""
    folder = tmp_path / "small"
    folder.mkdir()
    asked = ["mount", "-t", "tmpfs", "-o", "size=2m,mode=700", "tmpfs", str(folder)]
    if os.geteuid() != 0 or subprocess.run(asked, capture_output=True).returncode != 0:
        pytest.skip("a file system of its own: only root may mount one, and not everywhere")
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


@pytest.mark.parametrize("used_before", [False, True])
def test_a_database_that_cannot_be_written_at_present_ends_the_daemon_with_one(
    tmp_path: Path, used_before: bool
) -> None:
    """One line that says what helps, no traceback, and the next start goes on as if nothing was."""
    with sim("--speed", "20", "--no-rivals") as root:
        config, log = write_config(tmp_path, root), tmp_path / "log"
        if used_before:
            with daemon(config, log) as process:
                wait_for(lambda: "daemon.started" in log.read_text(), of="a first start")
                assert stop(process) == 0

        ran = run(config, write_nothing)

        assert ran.code == 1
        assert len(errors(ran)) == 1
        assert "bidder.db" in errors(ran)[0]
        assert "make room on its disk" in errors(ran)[0]
        log.unlink(missing_ok=True)
        with daemon(config, log) as process:
            wait_for(lambda: "daemon.started" in log.read_text(), of="a start on a good disk")
            assert stop(process) == 0


def test_a_full_disk_ends_the_daemon_with_one_until_there_is_room(
    small_disk: Path, tmp_path: Path
) -> None:
    """The same for a disk that is really full, first without a database and then with one."""
    with sim("--speed", "20", "--no-rivals") as root:
        config, log = write_config(small_disk, root), tmp_path / "log"
        filler = fill(small_disk)
        ran = run(config)
        assert (ran.code, len(errors(ran))) == (1, 1)
        assert "make room on its disk" in ran.err

        filler.unlink()
        with daemon(config, log) as process:
            wait_for(lambda: "daemon.started" in log.read_text(), of="a start with room")
            filler = fill(small_disk)
            # After half a minute it no longer knows that nobody else trades.
            assert process.wait(PATIENCE) == 4
        ran = run(config)
        assert (ran.code, len(errors(ran))) == (1, 1)

        filler.unlink()
        log.unlink()
        with daemon(config, log) as process:
            wait_for(lambda: "daemon.started" in log.read_text(), of="a start with room again")
            assert stop(process) == 0


def fill(folder: Path) -> Path:
    """Fill a disk to the last byte; return the file that takes the room."""
    filler = folder / "filler"
    with filler.open("ab", buffering=0) as stream:
        for size in (65536, 4096, 512, 1):
            try:
                while True:
                    stream.write(b"x" * size)
            except OSError:
                continue
    return filler


def test_a_folder_that_is_missing_needs_a_person(tmp_path: Path) -> None:
    """Code 2: trying again makes no folder."""
    config = write_config(tmp_path, "http://127.0.0.1:9", database="nowhere/bidder.db")
    ran = bidder("run", "-c", str(config))
    assert ran.code == 2
    assert "does not exist; create it first" in ran.err
