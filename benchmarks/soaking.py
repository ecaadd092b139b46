"""The process of the soak: the daemon's trading, its housekeeping and its summaries in virtual time.

The exchange lives in a process of its own, so that the daemon's memory is the daemon's alone; the two
share virtual time, which travels with each request. Not in here: the HTTP client's connections, the
scheduler, the pages, and the processes that send notices; `awake` has all of them.
"""

import asyncio
import json
import multiprocessing
import os
import sys
import tempfile
import time
from contextlib import suppress
from dataclasses import replace
from datetime import datetime, timedelta
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from benchmarks.arena import FAST, policy
from benchmarks.growth import table_bytes
from benchmarks.lags import Lags
from bidder.app.summary import line, summarise
from bidder.app.telling import Teller
from bidder.chaos.day import fastest_folder
from bidder.clock import VirtualClock
from bidder.domain.policy import Policy, TrackParams
from bidder.sim.answers import Answer, Request
from bidder.wiring import App, build_app, open_database

SERVERS, TARGETS = 3500, 50
WORKER = "BIDDER_BENCH_SOAK"
_MB = 1024 * 1024
# As the daemon does it: hourly, one slice after a pass, at most so many.
_TIDY_EVERY, _MOST_SLICES = 3600.0, 300
_SAMPLE_EVERY = 0.25


def _exchange(pipe: Connection) -> None:
    from bidder.sim.server import build_exchange

    exchange = build_exchange(seed=1, servers=SERVERS)
    pipe.send((exchange.start, exchange.token))
    while True:
        asked = pipe.recv()
        if asked is None:
            return
        request, at = asked
        answer = exchange.handle(request, at)
        pipe.send((answer.status, answer.body, answer.code, answer.error, dict(answer.headers)))


class _Remote:
    """The exchange in the other process, as the virtual wire calls it."""

    def __init__(self, pipe: Connection) -> None:
        self._pipe = pipe
        self.start, self.token = pipe.recv()

    def handle(self, request: Request, at: datetime) -> Answer:
        """Carry one request over and its answer back."""
        self._pipe.send((request, at))
        status, body, code, error, headers = self._pipe.recv()
        return Answer(status=status, body=body, code=code, error=error, headers=headers)


def _fifty_targets() -> Policy:
    """Return a policy of fifty targets of one server each, which share one marketplace by owner."""
    one = policy(1)
    pattern = one.targets[0]
    targets = tuple(
        replace(
            pattern,
            name=f"t{number}",
            requirements=replace(pattern.requirements, servers=frozenset(_slice(number))),
            params=TrackParams(),
        )
        for number in range(TARGETS)
    )
    rails = replace(one.rails, max_creations_per_hour=120, allow_above_on_demand=False)
    pace = replace(one.pace, marketplace_every=timedelta(minutes=5))
    return replace(one, targets=targets, rails=rails, pace=pace)


def _slice(number: int) -> list[Any]:
    from bidder.sim.generate import generate

    if not _IDS:
        _IDS.extend(sorted(listing.server_id for listing in generate(1, SERVERS).listings))
    return _IDS[number::TARGETS]


_IDS: list[Any] = []


async def _soak(pipe: Connection, folder: Path, days: float, most_seconds: float) -> dict[str, Any]:
    from bidder.demo.transport import SimTransport

    remote = _Remote(pipe)
    clock = VirtualClock(remote.start)
    app = build_app(
        policy=_fifty_targets(),
        base_url="http://sim.invalid/v1",
        token=remote.token,
        engine=open_database(f"sqlite:///{folder / 'soak.db'}"),
        clock=clock,
        transport=SimTransport(remote, clock, one_way_seconds=FAST),  # type: ignore[arg-type]  # speaks the same
    )
    began, lags, samples, passes = time.monotonic(), Lags(), [_sample(0.0, folder)], 0
    teller, slices = Teller(), 0
    every = min(_SAMPLE_EVERY, days / 4)
    next_sample, next_tidy, next_lease = every, _TIDY_EVERY, 0.0
    while clock.monotonic() < days * 86400 and time.monotonic() - began < most_seconds:
        report = await app.trader.run_pass()
        lags.passed(report)
        passes += 1
        view, now_policy = app.trader.view, app.trader.policy
        teller.notices(report, view, now_policy, unreachable=app.trader.failures > 0)
        line(summarise(view, now_policy), report)
        # Nothing here waits for real, and only a loop that comes round throws its old timers away.
        await asyncio.sleep(0)
        clock.advance(max(report.sleep.total_seconds(), 0.001))
        if clock.monotonic() >= next_lease:
            app.lease.renew(clock.now())
            next_lease = clock.monotonic() + 10
        if clock.monotonic() >= next_tidy:
            slices, next_tidy = _MOST_SLICES, next_tidy + _TIDY_EVERY
        if slices:
            slices = slices - 1 if app.trader.store.tidy(clock.now(), now_policy.retention) else 0
        if clock.monotonic() >= next_sample * 86400:
            samples.append({**_sample(next_sample, folder), "held": _held(app)})
            shown = {key: value for key, value in samples[-1].items() if key != "tables"}
            print(json.dumps(shown), file=sys.stderr, flush=True)
            next_sample += every
    lags.end(clock.now())
    done = clock.monotonic() / 86400
    samples.append({**_sample(done, folder), "held": _held(app)})
    return {
        "days": done,
        "seconds": time.monotonic() - began,
        "passes": passes,
        "samples": samples,
        "lags": lags.sent,
        "missed": lags.missed,
        "peak_mb": _status("VmHWM:"),
    }


def _held(app: App) -> int:
    return sum(1 for holding in app.trader.view.holdings.values() if holding.active)


def _status(name: str) -> float:
    lines = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
    return next(int(line.split()[1]) / 1024 for line in lines if line.startswith(name))


def _sample(day: float, folder: Path) -> dict[str, Any]:
    return {
        "day": day,
        "rss_mb": _status("VmRSS:"),
        "database_mb": sum(file.stat().st_size for file in folder.iterdir()) / _MB,
        "tables": table_bytes(folder / "soak.db"),
        **_open_ends(),
        "tasks": len(asyncio.all_tasks()),
    }


def _open_ends() -> dict[str, int]:
    """Return how many descriptors are open, and how many of them are connections."""
    ends = []
    for entry in Path("/proc/self/fd").iterdir():
        with suppress(FileNotFoundError):  # the one that lists them
            ends.append(str(entry.readlink()))
    return {"descriptors": len(ends), "connections": sum(end.startswith("socket:") for end in ends)}


def _main(days: float, most_seconds: float) -> dict[str, Any]:
    spawn = multiprocessing.get_context("spawn")
    ours, theirs = spawn.Pipe()
    process = spawn.Process(target=_exchange, args=(theirs,))
    process.start()
    try:
        with tempfile.TemporaryDirectory(dir=fastest_folder()) as folder:
            return asyncio.run(_soak(ours, Path(folder), days, most_seconds))
    finally:
        ours.send(None)
        process.join(10)


if __name__ == "__main__":
    import structlog

    from bidder.footprint import give_back_large_blocks
    from bidder.telemetry import configure_logging

    give_back_large_blocks()  # as the daemon does
    configure_logging("error", "console")
    structlog.contextvars.clear_contextvars()
    print(json.dumps(_main(**json.loads(os.environ[WORKER]))))
