"""The daemon as it is run: a process of its own, real HTTP, normal speed, for twenty minutes.

With its pages, which are scraped every fifteen seconds, and with one receiver of notices on loopback.
"""

import os
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import httpx
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
    with (
        exchange() as (root, token),
        _receiver() as (receiver, got),
        tempfile.TemporaryDirectory() as folder,
    ):
        port = _free_port()
        config = _config(Path(folder), root, port=port, receiver=receiver)
        with (Path(folder) / "log").open("wb") as log:
            process = subprocess.Popen(
                [sys.executable, "-m", "bidder.cli.main", "run", "-c", str(config)],
                env={**os.environ, "BENCH_TOKEN": token},
                stdout=log,
                stderr=log,
            )
            try:
                found = _watched(process.pid, minutes * 60, port)
            finally:
                process.send_signal(signal.SIGTERM)
                process.wait(30)
    note = (
        f"{found['held']:.0f} of {_TARGETS} targets held at the end, {_SERVERS} servers, {minutes:g}"
        f" minutes at normal speed, pages scraped, {len(got)} messages sent"
    )
    yield Figure(
        name="awake: share of one core",
        measured=found["cpu"] * 100,
        unit="%",
        goal=3.0,
        better="less",
        baseline=None,
        baseline_is="",
        note=f"{note}; the start took {found['start']:.1f} s of the processor more, the processes"
        f" that send notices {found['children'] * 100:.1f} % of a core",
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


@contextmanager
def _receiver() -> Iterator[tuple[str, list[int]]]:
    """Yield the address of a service that takes every message, and the sizes of those it got."""
    got: list[int] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            got.append(len(self.rfile.read(int(self.headers["Content-Length"]))))
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"json://127.0.0.1:{server.server_address[1]}/", got
    finally:
        server.shutdown()
        server.server_close()


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port: int = probe.getsockname()[1]
        return port


def _watched(pid: int, seconds: float, port: int) -> dict[str, float]:
    time.sleep(10)  # the start is paid once
    began, (before, children) = time.monotonic(), _processor_seconds(pid)
    _scrape_until(began + seconds / 4, port)
    descriptors = _descriptors(pid)
    held = _scrape_until(began + seconds, port)
    spent, theirs = _processor_seconds(pid)
    took = time.monotonic() - began
    return {
        "start": before,
        "cpu": (spent - before) / took,
        "children": (theirs - children) / took,
        "peak_mb": _peak_mb(pid),
        "descriptors": _descriptors(pid) - descriptors,
        "held": held,
    }


def _scrape_until(moment: float, port: int) -> float:
    """Scrape as Prometheus would; return how many servers run by the last answer."""
    held = 0.0
    while (left := moment - time.monotonic()) > 0:
        with suppress(httpx.HTTPError):
            held = _running(httpx.get(f"http://127.0.0.1:{port}/metrics").text)
        time.sleep(min(left, 15.0))
    return held


def _running(text: str) -> float:
    lines = [line for line in text.splitlines() if line.startswith("bidder_positions{")]
    return sum(float(line.rpartition(" ")[2]) for line in lines if 'state="running"' in line)


def _processor_seconds(pid: int) -> tuple[float, float]:
    """Return what a process has used, and what its ended children have."""
    fields = Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()
    own, theirs = (int(fields[at]) + int(fields[at + 1]) for at in (11, 13))
    return own / _TICKS, theirs / _TICKS


def _descriptors(pid: int) -> int:
    return sum(1 for _ in Path(f"/proc/{pid}/fd").iterdir())


def _peak_mb(pid: int) -> float:
    lines = Path(f"/proc/{pid}/status").read_text(encoding="ascii").splitlines()
    return next(int(line.split()[1]) / 1024 for line in lines if line.startswith("VmHWM:"))


def _config(folder: Path, root: str, *, port: int, receiver: str) -> Path:
    """Write a configuration of fifty strategies that share one marketplace by the server's number."""
    numbers = sorted(listing.server_id for listing in generate(1, _SERVERS).listings)
    document = {
        "mode": "live",
        "exchange": {"url": f"{root}/v1"},
        "account": {"name": "bench", "token_env": "BENCH_TOKEN"},
        "database": "bench.db",
        "pace": {"marketplace_every": "5m"},
        "web": {"listen": f"127.0.0.1:{port}"},
        "notices": [{"to": receiver}],
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
