"""The daemon's peak resident memory, in a process of its own, over real HTTP."""

import asyncio
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any

import httpx

from benchmarks.arena import policy
from benchmarks.figures import Figure
from bidder.app.report import PassReport
from bidder.clock import ScaledClock, SystemClock
from bidder.wiring import App, build_app, open_database, run_daemon

_SERVERS, _POSITIONS = 3500, 60
_SPEED = 40.0
_MOST_SECONDS = 120.0
_WORKER = "BIDDER_BENCH_MEMORY"


def run(*, quick: bool) -> Iterator[Figure]:
    """Yield the peak with 3,500 servers and 60 positions (quick: 10)."""
    bare = _peak_of([sys.executable, "-c", _PEAK])
    with exchange() as (root, token):
        worker = {"root": root, "token": token, "positions": 10 if quick else _POSITIONS}
        done = subprocess.run(
            [sys.executable, "-m", "benchmarks.memory"],
            env={**os.environ, _WORKER: json.dumps(worker)},
            check=True,
            stdout=subprocess.PIPE,
            text=True,
        )
    result = json.loads(done.stdout.splitlines()[-1])
    yield Figure(
        name=f"peak memory, {_SERVERS} servers, {result['held']} positions",
        measured=result["peak_mb"],
        unit="MB",
        goal=120.0,
        better="less",
        baseline=bare,
        baseline_is="python -c pass",
        note=f"{result['requests']} requests",
    )


def _peak() -> float:
    """Return this process's peak in MB; ``ru_maxrss`` would count what the parent had before exec."""
    lines = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
    return next(int(line.split()[1]) / 1024 for line in lines if line.startswith("VmHWM:"))


_PEAK = (
    "print(next(int(line.split()[1]) / 1024 for line in open('/proc/self/status')"
    " if line.startswith('VmHWM:')))"
)


def _peak_of(command: list[str]) -> float:
    return float(subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout)


class exchange:  # noqa: N801 - reads as a phrase where it is used
    """A simulated exchange of 3,500 servers in a process of its own, while the block lasts."""

    def __enter__(self) -> tuple[str, str]:
        command = [sys.executable, "-m", "bidder.cli.main", "sim", "serve", "--port", "0"]
        self._process = subprocess.Popen(
            [*command, "--servers", str(_SERVERS), "--no-rivals"], stdout=subprocess.PIPE, text=True
        )
        assert self._process.stdout is not None
        _, _, place, _, token = self._process.stdout.readline().split()
        return f"http://{place}", token

    def __exit__(self, *_: object) -> None:
        self._process.terminate()
        self._process.wait()
        assert self._process.stdout is not None
        self._process.stdout.close()


async def _trade(root: str, token: str, positions: int) -> dict[str, Any]:
    async with httpx.AsyncClient(base_url=root) as http:
        answer = (await http.post("/_sim/start", json={"speed": _SPEED, "targets": []})).json()
    clock = ScaledClock(
        speed=answer["speed"],
        start=datetime.fromisoformat(answer["start"]),
        anchor=answer["anchor"],
    )
    with tempfile.TemporaryDirectory() as folder:
        app = build_app(
            policy=replace(policy(positions)),
            base_url=f"{root}/v1",
            token=token,
            engine=open_database(f"sqlite:///{Path(folder) / 'bench.db'}"),
            clock=clock,
            lease_clock=SystemClock(),
        )
        held = await _until_held(app, positions)
        app.engine.dispose()
    return {
        "peak_mb": _peak(),
        "held": held,
        "requests": app.trader.client.limiter.sent,
    }


async def _until_held(app: App, positions: int) -> int:
    """Run the daemon until it holds them all, and for some readings of the marketplace more."""
    stop = asyncio.Event()
    after = 200

    def on_pass(_: PassReport) -> None:
        nonlocal after
        if len(app.trader.view.holdings) >= positions:
            after -= 1
            if after <= 0:
                stop.set()

    task = asyncio.create_task(run_daemon(app, stop=stop, on_pass=on_pass))
    await asyncio.wait({task}, timeout=_MOST_SECONDS)
    stop.set()
    await task
    return len(app.trader.view.holdings)


if __name__ == "__main__":
    print(json.dumps(asyncio.run(_trade(**json.loads(os.environ[_WORKER])))))
