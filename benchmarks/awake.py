"""The daemon as it is run: a process of its own, real HTTP, normal speed, for twenty minutes."""

import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import yaml

from benchmarks.figures import Figure
from benchmarks.memory import exchange
from bidder.sim.generate import generate

_SERVERS, _TARGETS = 3500, 50
_MINUTES, _QUICK_MINUTES = 20.0, 1.0
_TICKS = os.sysconf("SC_CLK_TCK")


def run(*, quick: bool, real_minutes: float | None = None) -> Iterator[Figure]:
    """Yield the share of a core that fifty targets take, and what the process holds meanwhile."""
    minutes = real_minutes if real_minutes is not None else _QUICK_MINUTES if quick else _MINUTES
    with exchange() as (root, token), tempfile.TemporaryDirectory() as folder:
        config = _config(Path(folder), root)
        with (Path(folder) / "log").open("wb") as log:
            process = subprocess.Popen(
                [sys.executable, "-m", "bidder.cli.main", "run", "-c", str(config)],
                env={**os.environ, "BENCH_TOKEN": token},
                stdout=log,
                stderr=log,
            )
            try:
                found = _watched(process.pid, minutes * 60)
            finally:
                process.send_signal(signal.SIGTERM)
                process.wait(30)
    note = f"{_TARGETS} targets, {_SERVERS} servers, {minutes:g} minutes at normal speed"
    yield Figure(
        name="awake: share of one core",
        measured=found["cpu"] * 100,
        unit="%",
        goal=3.0,
        better="less",
        baseline=None,
        baseline_is="",
        note=f"{note}; the start took {found['start']:.1f} s of the processor more",
    )
    yield Figure(
        name="awake: peak memory",
        measured=found["peak_mb"],
        unit="MB",
        goal=120.0,
        better="less",
        baseline=None,
        baseline_is="",
        note=note,
    )
    yield Figure(
        name="awake: descriptors gained",
        measured=found["descriptors"],
        unit="",
        goal=0.0,
        better="less",
        baseline=None,
        baseline_is="",
        note="between the first quarter and the end",
    )


def _watched(pid: int, seconds: float) -> dict[str, float]:
    time.sleep(10)  # the start is paid once
    began, before = time.monotonic(), _processor_seconds(pid)
    time.sleep(seconds / 4)
    descriptors = _descriptors(pid)
    time.sleep(max(0.0, began + seconds - time.monotonic()))
    spent = _processor_seconds(pid) - before
    return {
        "start": before,
        "cpu": spent / (time.monotonic() - began),
        "peak_mb": _peak_mb(pid),
        "descriptors": _descriptors(pid) - descriptors,
    }


def _processor_seconds(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / _TICKS


def _descriptors(pid: int) -> int:
    return sum(1 for _ in Path(f"/proc/{pid}/fd").iterdir())


def _peak_mb(pid: int) -> float:
    lines = Path(f"/proc/{pid}/status").read_text(encoding="ascii").splitlines()
    return next(int(line.split()[1]) / 1024 for line in lines if line.startswith("VmHWM:"))


def _config(folder: Path, root: str) -> Path:
    """Write a configuration of fifty strategies that share one marketplace by the server's number."""
    numbers = sorted(listing.server_id for listing in generate(1, _SERVERS).listings)
    document = {
        "mode": "live",
        "exchange": {"url": f"{root}/v1"},
        "account": {"name": "bench", "token_env": "BENCH_TOKEN"},
        "database": "bench.db",
        "pace": {"marketplace_every": "5m"},
        "rails": {"max_creations_per_hour": 120},
        "strategies": [
            {
                "name": f"t{place}",
                "ceiling": {"usd": 50, "per": "gpu"},
                "servers": {"ids": numbers[place::_TARGETS]},
                "launch": {"image": "nvidia/cuda"},
            }
            for place in range(_TARGETS)
        ],
    }
    file = folder / "config.yaml"
    file.write_text(yaml.safe_dump(document), encoding="utf-8")
    return file
