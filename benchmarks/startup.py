"""How long the program takes to start, above an interpreter that does nothing."""

import os
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from benchmarks.figures import Figure

_CONFIG = """
mode: live
account: {{token_env: BENCH_TOKEN}}
exchange: {{url: "http://127.0.0.1:{port}/v1"}}
rates: {{BTC: 69000, CLORE: 0.11}}
strategies:
  - {{name: a, ceiling: {{usd: 3}}, servers: {{gpu: RTX 3090}}, launch: {{image: nvidia/cuda}}}}
"""


def run(*, quick: bool) -> Iterator[Figure]:
    """Yield the time of ``--help`` and the time to the first request, both above ``python -c pass``."""
    times = 3 if quick else 15
    nothing = statistics.median(_seconds(["-c", "pass"]) for _ in range(times))
    usage = statistics.median(_seconds(["-m", "bidder.cli.main", "--help"]) for _ in range(times))
    yield Figure(
        name="bidder --help, above python -c pass",
        measured=usage - nothing,
        unit="s, median",
        goal=0.2,
        better="less",
        baseline=nothing,
        baseline_is="python -c pass",
    )
    with tempfile.TemporaryDirectory() as folder:
        new = [_to_first_request(Path(folder) / f"new{n}") for n in range(times)]
        again = [_to_first_request(Path(folder) / "again") for _ in range(times + 1)][1:]
    for name, seconds in (("a new database", new), ("a database from before", again)):
        yield Figure(
            name=f"start to first request, {name}",
            measured=statistics.median(seconds) - nothing,
            unit="s, median",
            goal=0.8,
            better="less",
            baseline=nothing,
            baseline_is="python -c pass",
        )


def _seconds(arguments: list[str]) -> float:
    before = time.perf_counter()
    subprocess.run([sys.executable, *arguments], check=True, stdout=subprocess.DEVNULL)
    return time.perf_counter() - before


def _to_first_request(folder: Path) -> float:
    """Return the seconds from the start of a daemon to its first request's arrival."""
    folder.mkdir(exist_ok=True)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        config = folder / "config.yaml"
        config.write_text(_CONFIG.format(port=listener.getsockname()[1]), encoding="utf-8")
        before = time.perf_counter()
        process = subprocess.Popen(
            [sys.executable, "-m", "bidder.cli.main", "run", "-c", str(config)],
            env={**os.environ, "BENCH_TOKEN": "bench-token"},
            stderr=subprocess.DEVNULL,
        )
        try:
            connection, _ = listener.accept()
            connection.recv(1)
            taken = time.perf_counter() - before
            connection.close()
        finally:
            # Not killed: after a death the next start waits a second, in case a request just left.
            process.terminate()
            process.wait()
    return taken
