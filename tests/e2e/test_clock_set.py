"""The machine's clock is set while the daemon runs: a real process whose calendar really jumps."""

import json
import sqlite3
import subprocess
import sys
import time
from contextlib import closing
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from processes import ask, daemon, environment, sim, stop, wait_for, write_config
from wall import Wall

HOUR, YEARS = 3600, round(timedelta(days=800).total_seconds())

# Says how often a quick and a slow job have run, twice a second.
_JOBS = """
import asyncio
from collections import Counter
from functools import partial
from bidder.app.timetable import Timetable

async def main():
    runs, timetable = Counter(), Timetable()

    async def run(name):
        runs[name] += 1

    timetable.start()
    for name, seconds in (("quick", 0.05), ("slow", 1.5)):
        timetable.repeat(partial(run, name), name, first=seconds, pause=lambda s=seconds: s)
    while True:
        print(runs["quick"], runs["slow"], flush=True)
        await asyncio.sleep(0.5)

asyncio.run(main())
"""


def jumps(log: Path) -> list[dict[str, Any]]:
    """Return what the log says of a calendar that jumped."""
    lines = (json.loads(line) for line in log.read_text().splitlines() if line.startswith("{"))
    return [each for each in lines if each["event"] == "clock.jumped"]


def requests(root: str) -> int:
    """Return how many requests the exchange has got."""
    sent: int = ask(root, "/_sim/report")["report"]["requests"]
    return sent


def lease(database: Path) -> Any:
    """Return until when the lease lasts as its row has it."""
    with closing(sqlite3.connect(database)) as found:
        return found.execute("SELECT expires_at FROM lease").fetchone()


def test_trading_goes_on_where_the_clock_is_set(tmp_path: Path) -> None:
    """An hour back, right again, years ahead: requests are sent and the lease is kept all the same."""
    wall = Wall(tmp_path)
    with sim("--speed", "20", "--no-rivals") as root:
        config, log = write_config(tmp_path, root), tmp_path / "log"
        ask(root, "/_sim/start", {"speed": 20, "targets": []})
        with daemon(config, log, told=wall.told) as process:
            wait_for(lambda: requests(root) > 5, of="a daemon that trades")
            for ahead in (-HOUR, 0, YEARS):
                set_under_way(wall, ahead, root, log, tmp_path / "bidder.db")
            assert stop(process) == 0
        assert "Traceback" not in log.read_text()


def set_under_way(wall: Wall, ahead: int, root: str, log: Path, database: Path) -> None:
    """Set the clock and see that a pass comes, requests are sent, and the lease is renewed."""
    jumped, sent, kept = len(jumps(log)), requests(root), lease(database)
    began = time.monotonic()
    wall.set(ahead)
    wait_for(lambda: len(jumps(log)) == jumped + 1, of=f"a pass after the jump to {ahead}")
    wait_for(lambda: requests(root) > sent + 3, of=f"requests after the jump to {ahead}")
    wait_for(lambda: lease(database) != kept, of=f"a renewal after the jump to {ahead}")
    assert time.monotonic() - began < 20, "as if nothing had happened"


def _slower(runs: tuple[int, int], wanted: int) -> tuple[int, int] | None:
    return runs if runs[1] >= wanted else None


@pytest.mark.parametrize("ahead", [-HOUR, YEARS], ids=["back", "forward"])
def test_every_job_keeps_its_pace_where_the_clock_is_set(tmp_path: Path, ahead: int) -> None:
    """The next run comes when it would have come, neither an hour late nor a million times at once."""
    wall = Wall(tmp_path)
    with subprocess.Popen(
        [sys.executable, "-c", _JOBS],
        env={**environment(), **wall.told},
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None

        def runs() -> tuple[int, int]:
            assert process.stdout is not None
            quick, slow = process.stdout.readline().split()
            return int(quick), int(slow)

        try:
            wait_for(lambda: runs()[1] >= 1, of="the slow job's first run")
            wall.set(ahead)
            before, began = runs(), time.monotonic()
            quick, _ = wait_for(lambda: _slower(runs(), before[1] + 3), of="three runs of the slow job")
            lasted = time.monotonic() - began
        finally:
            process.kill()
    assert 2 < lasted < 9, "three runs of a job that runs every 1.5 seconds"
    assert before[0] + 10 < quick < before[0] + 400
