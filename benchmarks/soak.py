"""Weeks unattended: memory, database, descriptors and the lag of lowerings, day by day, in virtual time.

The exchange lives in a process of its own, so that the daemon's memory is the daemon's alone; the two
share virtual time, which travels with each request.
"""

import asyncio
import json
import multiprocessing
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime, timedelta
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from benchmarks.arena import FAST, policy
from benchmarks.figures import Figure, percentile
from bidder.app.report import PassReport, Result
from bidder.chaos.day import fastest_folder
from bidder.clock import VirtualClock
from bidder.domain import price_rules
from bidder.domain.actions import Reprice
from bidder.domain.ids import OrderId
from bidder.domain.policy import Policy, TrackParams
from bidder.sim.answers import Answer, Request
from bidder.wiring import App, build_app, open_database

_SERVERS, _TARGETS = 3500, 50
_WORKER = "BIDDER_BENCH_SOAK"
_MB = 1024 * 1024
_FLAT_FROM_DAY = 5
# A lowering that was wanted only after its clock had opened says nothing of lag.
_WANTED_WITHIN = 60.0


def run(*, quick: bool, days: float = 30.0, most_seconds: float = 3600.0) -> Iterator[Figure]:
    """Yield the figures of as many days as the given machine time allows."""
    work = {"days": min(days, 0.25) if quick else days, "most_seconds": most_seconds}
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.soak"],
        env={**os.environ, _WORKER: json.dumps(work)},
        check=True,
        stdout=subprocess.PIPE,
        text=True,
    )
    found = json.loads(done.stdout.splitlines()[-1])
    samples, lags = found["samples"], found["lags"]
    passed = (
        f"{found['days']:.2f} days in {found['seconds']:.0f} s, {found['passes']} passes,"
        f" {found['held']} of {_TARGETS} servers held at the end"
    )
    late = [s for s in samples if s["day"] >= _FLAT_FROM_DAY]
    slope = _slope([(s["day"], s["rss_mb"]) for s in late])
    yield Figure(
        name="soak: peak memory",
        measured=found["peak_mb"],
        unit="MB",
        goal=120.0,
        better="less",
        note=passed,
        baseline=None,
        baseline_is="",
    )
    yield Figure(
        name="soak: memory's slope",
        measured=slope,
        unit="MB a day",
        goal=0.1 if len(late) > 2 else None,
        better="less",
        note=f"over {len(late)} samples from day {_FLAT_FROM_DAY} on",
        baseline=None,
        baseline_is="",
    )
    yield Figure(
        name="soak: database",
        measured=samples[-1]["database_mb"],
        unit="MB",
        goal=60.0,
        better="less",
        note=f"after {found['days']:.2f} days, default retention",
        baseline=None,
        baseline_is="",
    )
    leaked = max(s["descriptors"] for s in samples) - samples[0]["descriptors"]
    yield Figure(
        name="soak: descriptors leaked",
        measured=leaked,
        unit="",
        goal=0.0,
        better="less",
        note=f"tasks at the end: {samples[-1]['tasks']}",
        baseline=None,
        baseline_is="",
    )
    if lags:
        share = sum(lag <= 1.5 for lag in lags) / len(lags)
        yield Figure(
            name="soak: lowerings within 1.5 s",
            measured=share * 100,
            unit="%",
            goal=99.0,
            better="more",
            note=f"{len(lags)} lowerings, 99 % below {percentile(lags, 0.99):.2f} s",
            baseline=None,
            baseline_is="",
        )


def _slope(points: list[tuple[float, float]]) -> float:
    """Return the least-squares slope; 0 where there is nothing to fit."""
    if len(points) < 2:
        return 0.0
    mean_x = sum(x for x, _ in points) / len(points)
    mean_y = sum(y for _, y in points) / len(points)
    spread = sum((x - mean_x) ** 2 for x, _ in points)
    return sum((x - mean_x) * (y - mean_y) for x, y in points) / spread if spread else 0.0


def _exchange(pipe: Connection) -> None:
    from bidder.sim.server import build_exchange

    exchange = build_exchange(seed=1, servers=_SERVERS)
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
        for number in range(_TARGETS)
    )
    rails = replace(one.rails, max_creations_per_hour=120, allow_above_on_demand=False)
    pace = replace(one.pace, marketplace_every=timedelta(minutes=5))
    return replace(one, targets=targets, rails=rails, pace=pace)


def _slice(number: int) -> list[Any]:
    from bidder.sim.generate import generate

    if not _IDS:
        _IDS.extend(sorted(listing.server_id for listing in generate(1, _SERVERS).listings))
    return _IDS[number::_TARGETS]


_IDS: list[Any] = []


class _Lags:
    """How long after the opening of its clock each lowering that waited for it was sent."""

    def __init__(self) -> None:
        self.lags: list[float] = []
        self._opens: dict[OrderId, datetime] = {}

    def before(self, app: App) -> None:
        """Note when the clocks open, as the daemon knows it."""
        view = app.trader.view
        for decision in app.trader.decisions:
            if (
                decision.order is not None
                and decision.due is not None
                and decision.order in view.holdings
            ):
                opens = price_rules.next_lowering_at(view.holdings[decision.order].clock, view.rules)
                if opens is not None and opens == decision.due:
                    self._opens[decision.order] = opens

    def after(self, report: PassReport) -> None:
        """Note a lowering that was accepted."""
        acted = report.acted
        if acted is None or acted.result is not Result.OK or not isinstance(acted.action, Reprice):
            return
        opens = self._opens.pop(acted.action.order, None)
        if opens is not None and acted.action.lowers and acted.intent is not None:
            lag = (acted.intent.opened_at - opens).total_seconds()
            if lag < _WANTED_WITHIN:
                self.lags.append(lag)


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
    began, lags, samples, passes = time.monotonic(), _Lags(), [_sample(0.0, folder)], 0
    next_sample, next_tidy, next_lease = 0.25, 3600.0, 0.0
    while clock.monotonic() < days * 86400 and time.monotonic() - began < most_seconds:
        lags.before(app)
        report = await app.trader.run_pass()
        lags.after(report)
        passes += 1
        # Nothing here waits for real, and only a loop that comes round throws its old timers away.
        await asyncio.sleep(0)
        clock.advance(max(report.sleep.total_seconds(), 0.001))
        if clock.monotonic() >= next_lease:
            app.lease.renew(clock.now())
            next_lease = clock.monotonic() + 10
        if clock.monotonic() >= next_tidy:
            while app.trader.store.tidy(clock.now(), app.trader.policy.retention):
                pass
            next_tidy += 3600
        if clock.monotonic() >= next_sample * 86400:
            samples.append({**_sample(next_sample, folder), "held": _held(app)})
            print(json.dumps(samples[-1]), file=sys.stderr, flush=True)
            next_sample += 0.25
    done = clock.monotonic() / 86400
    samples.append(_sample(done, folder))
    return {
        "days": done,
        "seconds": time.monotonic() - began,
        "passes": passes,
        "samples": samples,
        "lags": lags.lags,
        "peak_mb": _status("VmHWM:"),
        "held": _held(app),
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
        "descriptors": sum(1 for _ in Path("/proc/self/fd").iterdir()),
        "tasks": len(asyncio.all_tasks()),
    }


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

    from bidder.telemetry import configure_logging

    configure_logging("error", "console")
    structlog.contextvars.clear_contextvars()
    print(json.dumps(_main(**json.loads(os.environ[_WORKER]))))
