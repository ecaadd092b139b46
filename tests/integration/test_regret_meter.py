"""The daemon's own round: each day that is over measured once, in another process, kept and told."""

import asyncio
import time
from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any

import httpx
import pytest
import structlog
from builders import make_policy
from diaries import DAY, HOUR, MINUTE, START, Diary, steady
from processes import PATIENCE
from prometheus_client import generate_latest
from prometheus_client.parser import text_string_to_metric_families
from sqlalchemy import Engine

from bidder.app.daemon import Daemon
from bidder.app.metering import Measure, Meter
from bidder.backtest.measuring import in_child
from bidder.clock import ScaledClock, SystemClock, VirtualClock
from bidder.domain.policy import Mode, Retention
from bidder.domain.regret import Regret
from bidder.errors import MeterFailed
from bidder.store.store import Store
from bidder.web.metrics import Metrics
from bidder.web.source import Source
from bidder.wiring import build_app, open_database

POLICY = make_policy()


@pytest.fixture
def url(tmp_path: Path) -> str:
    """Return the address of a database file."""
    return f"sqlite:///{tmp_path / 'bidder.db'}"


@pytest.fixture
def engine(url: str) -> Iterator[Engine]:
    """Yield that database, with two hours of paying half as much again as needed."""
    made = open_database(url)
    diary = Diary(engine=made)
    diary.bid(7, 1, "3")
    diary.watch(2 * HOUR, {1: steady("2")})
    yield made
    made.dispose()


def meter(engine: Engine, measure: Measure, now: datetime) -> Meter:
    """Return a meter that lives at a moment."""
    diary = Diary(engine=engine)
    return Meter(
        measure=measure,
        store=Store(engine, POLICY.account),
        queries=diary.queries(),
        clock=VirtualClock(now),
    )


def told(found: list[Any]) -> list[Any]:
    """Return the lines about regret."""
    return [line for line in found if line["event"].startswith("regret.")]


async def test_a_day_that_is_over_is_measured_once_and_told(engine: Engine, url: str) -> None:
    """In another process, from the file; the log says it in one line, with what cost most."""
    with structlog.testing.capture_logs() as lines:
        one = meter(engine, in_child(url), START + DAY + HOUR)
        await one.run_due(POLICY)
        await one.run_due(POLICY)
        await meter(engine, in_child(url), START + DAY + HOUR).run_due(POLICY)
    (line,) = told(lines)
    assert line["event"] == "regret.measured"
    assert line["day"] == f"{START:%Y-%m-%d}"
    assert line["paid_ratio"] == pytest.approx(1.5, rel=0.01)
    assert line["summary"].startswith("paid 1.49")
    assert "a bid of 3 USD per day was placed" in line["costly"][0]
    (kept,) = one.queries.latest_regrets()
    assert (kept.begin, kept.end, kept.mode) == (START, START + DAY, Mode.LIVE)


async def test_a_day_is_not_measured_before_all_of_it_is_written(engine: Engine, url: str) -> None:
    """Minutes after midnight something of it may still come."""
    early = meter(engine, in_child(url), START + DAY + 5 * MINUTE)
    await early.run_due(POLICY)
    assert early.queries.latest_regrets() == ()


async def test_a_calculation_that_fails_is_said_and_given_up(engine: Engine, tmp_path: Path) -> None:
    """A database that is not there fails; after three times nobody tries that day again."""
    elsewhere = in_child(f"sqlite:///{tmp_path / 'none' / 'nothing.db'}")
    one = meter(engine, elsewhere, START + DAY + HOUR)
    with structlog.testing.capture_logs() as lines:
        for _ in range(5):
            await one.run_due(POLICY)
    assert [line["event"] for line in told(lines)] == ["regret.failed"] * 3
    assert all("code 1" in line["error"] for line in told(lines))


async def test_the_child_runs_nothing_of_the_folder_that_the_daemon_was_started_in(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """There others may write: what lies there must not be taken for a part of the program."""
    (tmp_path / "bidder").mkdir()
    (tmp_path / "bidder" / "__init__.py").write_text("raise SystemExit('planted')")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(MeterFailed) as failed:
        await in_child(f"sqlite:///{tmp_path / 'none' / 'nothing.db'}")(POLICY, START, START + DAY)
    assert "planted" not in str(failed.value)


async def test_cancelling_ends_the_other_process(engine: Engine, url: str) -> None:
    """A daemon that stops waits for no calculation."""
    running = asyncio.ensure_future(in_child(url)(POLICY, START, START + DAY))
    await asyncio.sleep(0.2)
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running


class _Mute(httpx.AsyncBaseTransport):
    """An exchange that refuses everything."""

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        return httpx.Response(429, json={"code": 5}, request=request)


async def test_the_daemon_measures_beside_its_passes(engine: Engine, url: str) -> None:
    """Soon after its start, while its passes go on; then it stops at once."""
    clock = ScaledClock(speed=20_000, start=START + DAY + HOUR, anchor=time.monotonic())
    # However slow the machine is, the day does not grow too old meanwhile.
    policy = replace(POLICY, retention=Retention(raw=3650 * DAY))
    app = build_app(
        policy=policy,
        base_url="http://exchange.test/v1",
        token="token",
        engine=engine,
        clock=clock,
        lease_clock=SystemClock(),
        transport=_Mute(),
    )
    queries = Diary(engine=engine).queries()
    one = Meter(measure=in_child(url), store=app.trader.store, queries=queries, clock=clock)
    daemon = Daemon(
        trader=app.trader, lease=app.lease, clock=clock, lease_clock=SystemClock(), meter=one
    )
    running = asyncio.create_task(daemon.run())
    async with asyncio.timeout(PATIENCE):
        while not queries.latest_regrets():
            await asyncio.sleep(0.05)
    passes = app.trader.pass_id
    async with asyncio.timeout(PATIENCE):
        while app.trader.pass_id == passes:
            await asyncio.sleep(0.05)
    daemon.stop.set()
    await running
    assert queries.latest_regrets()[0].begin == START


def test_the_figures_of_the_latest_day_are_scraped(engine: Engine) -> None:
    """By target; those of paper under names of their own."""
    live = Regret(begin=START, end=START + DAY, mode=Mode.LIVE, target="render", wanted=DAY)
    paper = Regret(begin=START, end=START + DAY, mode=Mode.PAPER, target="render", wanted=2 * DAY)
    Store(engine, POLICY.account).save_regrets(START, [live, paper])
    clock = VirtualClock(START + DAY)
    app = build_app(
        policy=POLICY,
        base_url="http://exchange.test/v1",
        token="token",
        engine=engine,
        clock=clock,
        transport=_Mute(),
    )
    daemon = Daemon(trader=app.trader, lease=app.lease, clock=clock, lease_clock=clock)
    queries = Diary(engine=engine).queries()
    source = Source(daemon=daemon, spend_totals=queries.spend_totals, regrets=queries.latest_regrets)
    text = generate_latest(Metrics(source).registry).decode()
    samples = {s.name: s for f in text_string_to_metric_families(text) for s in f.samples}
    for named in ("bidder", "bidder_paper"):
        assert samples[f"{named}_regret_held_ratio"].value == 0
        assert samples[f"{named}_regret_usd"].labels == {"target": "render"}
        assert samples[f"{named}_regret_day_timestamp_seconds"].value == START.timestamp()
        assert f"{named}_regret_paid_ratio" not in samples, "nothing ran"
