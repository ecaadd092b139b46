"""The demo: the real daemon against the simulated exchange in a process of its own.

They talk over real HTTP on loopback. Both clocks hang on the machine's monotonic clock, so that one
number, the speed, makes hours pass in minutes for both. The speed is chosen from the measured round
trip: one round trip is at most a quarter of a second of exchange time, as it might be over the
internet.
"""

import asyncio
import json
import statistics
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import httpx

from bidder.app.report import PassReport
from bidder.clock import ScaledClock, SystemClock
from bidder.demo import souvenir, world
from bidder.domain.ids import ServerId
from bidder.domain.market import Marketplace
from bidder.domain.money import Rates
from bidder.domain.policy import Policy
from bidder.errors import BadInput, Unreachable
from bidder.exchange import wire
from bidder.sim.world import load_marketplace
from bidder.wiring import App, build_app, open_database, run_daemon

_ROUND_TRIP = 0.25  # seconds of exchange time that one round trip may take
_PLAIN_DEMO_SECONDS = 50.0
_LONGEST_PLAIN_HOURS = 3.0
_SMALL_WORLD = 60
_CALENDAR = "2026-01-05T12:00:00Z"  # the same world and the same hours for the same seed
_PINGS = 60
_START_SECONDS = 30.0
# A round trip under load is longer than one on an idle machine.
_UNDER_LOAD = 2.0
_FASTEST = 150.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Arena:
    """A simulated exchange in another process, not started yet."""

    root: str
    token: str
    http: httpx.AsyncClient


@dataclass(frozen=True, slots=True, kw_only=True)
class Match:
    """A demo under way: the daemon, its clock, and when it ends."""

    app: App
    clock: ScaledClock
    ends_at: datetime
    hours: float


def main(
    hours: float | None,
    seed: int,
    marketplace: Path | None,
    as_json: bool,  # noqa: FBT001 - the CLI's flag
    save: Path | None = None,
) -> int:
    """Run the demo and print what happened; return the exit code.

    ``hours`` of exchange time; None runs as long as fits into about a minute. ``save`` is a folder
    for what was recorded. Raises BadInput when the marketplace file or the folder cannot be used.
    """
    from bidder.demo.show import Show

    if marketplace is not None:
        load_marketplace(marketplace)  # before anything is started that would have to be ended
    show = Show(quiet=as_json)
    kept = None if save is None else souvenir.folder_for(save)
    report = asyncio.run(_play(hours, seed, marketplace, show, kept))
    if as_json:
        print(json.dumps({"schema": 1, **report}, indent=2))  # noqa: T201 - the answer
    else:
        show.summary(report)
        if kept is not None:
            show.kept(kept / souvenir.CONFIG)
    return 0


async def _play(
    hours: float | None, seed: int, marketplace: Path | None, show: Any, save: Path | None
) -> dict[str, Any]:
    async with _arena(seed, marketplace, servers=_SMALL_WORLD) as arena:
        market, rates = await _look(arena)
        policy = world.demo_policy(market, rates)
        speed = await _speed(arena, hours)
        span = (
            hours
            if hours is not None
            else min(_LONGEST_PLAIN_HOURS, round(speed * _PLAIN_DEMO_SECONDS / 3600, 2))
        )
        with tempfile.TemporaryDirectory(prefix="bidder-demo-") as folder:
            match = await _start(arena, policy, market, speed, span, save or Path(folder))
            show.begin(match, policy, len(market.listings))
            report = await _until_the_end(arena, match, show)
            match.app.engine.dispose()
        if save is not None:
            souvenir.write_config(save, policy)
        return report


@asynccontextmanager
async def _arena(seed: int, marketplace: Path | None, *, servers: int) -> AsyncIterator[Arena]:
    arguments = ["sim", "serve", "--port", "0", "--seed", str(seed), "--start", _CALENDAR]
    if marketplace is not None:
        arguments += ["--marketplace", str(marketplace)]
    else:
        arguments += ["--servers", str(servers)]
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "bidder.cli.main",
        *arguments,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    assert process.stdout is not None
    assert process.stderr is not None
    try:
        async with asyncio.timeout(_START_SECONDS):
            line = (await process.stdout.readline()).decode()
        if not line.startswith("listening on "):
            said = (await process.stderr.read()).decode().strip() or "it said nothing"
            raise BadInput(said.removeprefix("error: "))
        _, _, place, _, token = line.split()
        async with httpx.AsyncClient(base_url=f"http://{place}", timeout=30.0) as http:
            yield Arena(root=f"http://{place}", token=token, http=http)
    except TimeoutError:
        raise Unreachable("the simulated exchange did not start") from None
    finally:
        if process.returncode is None:
            process.terminate()
        await process.wait()


async def _look(arena: Arena) -> tuple[Marketplace, Rates]:
    """Return the servers and the rates, as anybody may read them before the match begins."""
    headers = {"auth": arena.token}
    answer = await arena.http.get("/v1/marketplace", headers=headers)
    market = wire.marketplace(answer.content)
    some = next(iter(market.listings))
    await asyncio.sleep(1.05)
    query = {"market": str(some)}
    answer = await arena.http.get("/v1/spot_marketplace", params=query, headers=headers)
    return market, wire.book(answer.content, ServerId(some)).rates


async def _speed(arena: Arena, hours: float | None) -> float:
    """Return how many seconds of exchange time one of the machine's may be worth."""
    trips = []
    for _ in range(_PINGS):
        before = time.perf_counter()
        await arena.http.get("/_sim/ping")
        trips.append(time.perf_counter() - before)
    usual = statistics.quantiles(trips, n=10)[-1]
    fastest = min(_FASTEST, _ROUND_TRIP / (usual * _UNDER_LOAD))
    if hours is None:
        return round(fastest, 1)
    # No faster than needed to be over in a minute: the slower, the more true to life.
    return round(min(fastest, max(1.0, hours * 3600 / _PLAIN_DEMO_SECONDS)), 1)


async def _start(
    arena: Arena, policy: Policy, market: Marketplace, speed: float, hours: float, folder: Path
) -> Match:
    engine = open_database(f"sqlite:///{folder / souvenir.DATABASE}")
    orders = {"speed": speed, "targets": world.for_referee(policy, market)}
    answer = (await arena.http.post("/_sim/start", json=orders)).json()
    if answer.get("code") != 0:
        raise BadInput(f"the simulated exchange refused the demo: {answer.get('error')}")
    start = datetime.fromisoformat(answer["start"])
    clock = ScaledClock(speed=answer["speed"], start=start, anchor=answer["anchor"])
    app = build_app(
        policy=policy,
        base_url=f"{arena.root}/v1",
        token=arena.token,
        engine=engine,
        clock=clock,
        lease_clock=SystemClock(),
    )
    ends_at = start + timedelta(hours=hours)
    return Match(app=app, clock=clock, ends_at=ends_at, hours=hours)


async def _until_the_end(arena: Arena, match: Match, show: Any) -> dict[str, Any]:
    stop = asyncio.Event()
    on_pass: Callable[[PassReport], None] = show.on_pass
    with show.live():
        daemon = asyncio.create_task(run_daemon(match.app, stop=stop, on_pass=on_pass))
        left = (match.ends_at - match.clock.now()).total_seconds()
        await asyncio.wait({daemon}, timeout=match.clock.real_seconds(left))
        report: dict[str, Any] = (await arena.http.get("/_sim/report")).json()["report"]
        stop.set()
        await daemon
    return report
