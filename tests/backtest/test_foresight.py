"""A bidder with limited foresight: the optimum when it sees all, and never more than that."""

import json
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from random import Random
from statistics import mean

import pytest
from backtest_traces import START, wandering
from documented import disagreements
from hypothesis import given, settings
from hypothesis import strategies as st

from bidder.backtest import foresight
from bidder.backtest.optimum import optimum
from bidder.backtest.runner import Run
from bidder.backtest.terms import Terms
from bidder.cli.main import main

TERMS = Terms(value=Decimal("0.14"), step=Decimal("0.001"), tick=Decimal("0.0001"))
SMALL = Terms(
    value=Decimal(6),
    step=Decimal(2),
    tick=Decimal(1),
    restart_hours=Decimal("0.02"),
    pause=timedelta(seconds=120),
)
prices = st.lists(st.integers(0, 9).map(Decimal), min_size=1, max_size=60)
rules = st.builds(
    Terms,
    value=st.sampled_from((Decimal(4), Decimal(6))),
    step=st.sampled_from((Decimal(1), Decimal(2))),
    tick=st.just(Decimal(1)),
    restart_hours=st.sampled_from((Decimal(0), Decimal("0.02"), Decimal("0.1"))),
    creation_fee=st.sampled_from((Decimal(0), Decimal("0.01"))),
    pause=st.sampled_from((timedelta(seconds=60), timedelta(seconds=240))),
    creation_starts_clock=st.booleans(),
    raise_starts_clock=st.booleans(),
    on_demand=st.none() | st.sampled_from((Decimal(0), Decimal(3), Decimal("4.5"))),
)


def seeing(points: list[Decimal], terms: Terms, minutes: int, past: tuple[Decimal, ...] = ()) -> Run:
    """Return the run of a bidder with so many minutes of foresight."""
    ahead = timedelta(minutes=minutes)
    return foresight.play("foresight", points, START, terms, foresight=ahead, past=past)


@settings(max_examples=60, deadline=None)
@given(points=prices, terms=rules)
def test_whoever_sees_all_earns_the_optimum(points: list[Decimal], terms: Terms) -> None:
    """The whole future in view leaves nothing to assume; the auction's account says the same."""
    assert seeing(points, terms, len(points)).utility == pytest.approx(
        optimum(points, terms).utility, abs=1e-9
    )


@settings(max_examples=40, deadline=None)
@given(points=prices, terms=rules, minutes=st.integers(0, 30))
def test_nobody_earns_more_than_the_optimum(points: list[Decimal], terms: Terms, minutes: int) -> None:
    """However far it sees; and no rule is broken on the way, for then the auction raises."""
    assert seeing(points, terms, minutes).utility <= optimum(points, terms).utility + 1e-9


@settings(max_examples=20, deadline=None)
@given(points=prices, other=prices, minutes=st.integers(0, 6))
def test_what_cannot_be_seen_changes_nothing(
    points: list[Decimal], other: list[Decimal], minutes: int
) -> None:
    """Two futures that part only beyond the view are met with the same bids until then."""
    # Both begin with the lowest price, on which the ladder stands, and neither end is in sight.
    common = [Decimal(0), *points]
    until = START + timedelta(minutes=len(common) - minutes)
    bids = []
    for tail in (other, other[::-1]):
        trace = [*common, *tail, Decimal(1)]
        run = foresight.play(
            "foresight",
            trace,
            START,
            SMALL,
            foresight=timedelta(minutes=minutes),
            keep_periods=True,
        )
        bids.append([(p.start, p.bid) for p in run.periods if p.start < until])
    assert bids[0] == bids[1]


def test_more_foresight_earns_more_on_average() -> None:
    """Over generated markets; on a single one it need not."""
    tight = replace(TERMS, value=Decimal("0.11"))
    traces = [wandering(seed, 400) for seed in range(3)]
    earned = [mean(seeing(each, tight, m).utility for each in traces) for m in (0, 15)]
    best = mean(optimum(each, tight).utility for each in traces)
    assert earned[0] < earned[1] < best


def test_the_past_says_that_a_spike_is_short() -> None:
    """Whoever has seen it pass each time does not raise for it; without a past it seems to stay."""
    chance = Random(1)
    trace: list[Decimal] = []
    while len(trace) < 4 * 1440:
        trace += [Decimal("0.05")] * chance.randint(30, 90) + [Decimal("0.11")] * 3
    points, past = trace[3 * 1440 :], tuple(trace[: 3 * 1440])
    assert seeing(points, TERMS, 0, past).utility > seeing(points, TERMS, 0).utility


def trace_file(folder: Path) -> Path:
    """Write a generated market of 10 hours as a trace; return the file."""
    rows = ["ts_utc,market,price_usd,source"]
    for number, price in enumerate(wandering(3, 600)):
        at = START + timedelta(minutes=number)
        rows.append(f"{at.isoformat()},zone,{price},test")
    file = folder / "trace.csv"
    file.write_text("\n".join(rows) + "\n")
    return file


def test_the_command_shows_it_beside_the_strategies(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A row of its own in ``--json``, with the share of the optimum that it reaches."""
    ask = ["backtest", "--trace", str(trace_file(tmp_path)), "--value", "0.14", "--strategies", "track"]
    assert main([*ask, "--foresight", "10m", "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    runs = {run["strategy"]: run for run in document["runs"]}
    assert set(runs) == {"track", "foresight 10m"}
    assert runs["track"]["utility"] < runs["foresight 10m"]["utility"] < document["optimum_utility"]
    assert disagreements(document, "backtest") == []


@pytest.mark.parametrize("text", ["soon", "2d", "-5m", "90s"])
def test_a_foresight_of_no_use_is_named(
    text: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """What is no duration, too long, or no multiple of the grid is refused with a remedy."""
    ask = ["backtest", "--trace", str(trace_file(tmp_path)), "--value", "0.14", "--foresight", text]
    assert main(ask) == 2
    assert "--foresight" in capsys.readouterr().err
