"""Strategies on traces: the daemon's own decisions, held to the exchange's rules by the auction."""

import json
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from random import Random

import pytest
from backtest_traces import START, wandering
from documented import disagreements

from bidder.backtest import lineup, runner, traces
from bidder.backtest.auction import Auction, RuleBroken
from bidder.backtest.optimum import optimum
from bidder.backtest.terms import Terms
from bidder.cli.main import main
from bidder.errors import BadInput

TERMS = Terms(value=Decimal("0.2"), step=Decimal("0.001"), tick=Decimal("0.0001"))


@pytest.mark.parametrize("name", sorted(lineup.LINEUP))
@pytest.mark.parametrize("seed", [1, 2])
def test_no_strategy_breaks_a_rule_or_beats_the_optimum(name: str, seed: int) -> None:
    """The auction raises on any early or too deep lowering; nobody without foresight earns more."""
    points = wandering(seed, 1500)
    run = runner.play(name, lineup.named((name,))[name], points, START, TERMS)
    # Half a tick of rounding for each hour is all that the ladder may cost the optimum.
    slack = 0.5 * float(TERMS.tick) * len(points) / 60
    assert run.utility <= optimum(points, TERMS).utility + slack
    assert 0.0 <= run.held_share <= 1.0


@pytest.mark.parametrize("name", ["fixed", "top_plus_tick", "track"])
def test_no_strategy_beats_the_optimum_below_an_on_demand_price(name: str) -> None:
    """Nobody bids above it, the optimum no more than the others; whoever runs all day earns both."""
    terms = replace(TERMS, on_demand=Decimal("0.10015"))
    points = wandering(4, 1500)
    run = runner.play(name, lineup.named((name,))[name], points, START, terms)
    slack = 0.5 * float(terms.tick) * len(points) / 60
    assert 0.0 < run.held_share < 1.0
    assert run.utility <= optimum(points, terms).utility + slack < optimum(points, TERMS).utility
    quiet = [Decimal("0.1")] * 600
    run = runner.play(name, lineup.named((name,))[name], quiet, START, terms)
    assert run.utility == pytest.approx(optimum(quiet, terms).utility, abs=2e-3)


def test_the_account_of_a_run_adds_up() -> None:
    """Utility is value less bids while running, less restarts and fees."""
    points = wandering(3, 1500)
    run = runner.play(
        "track", lineup.named(("track",))["track"], points, START, TERMS, keep_periods=True
    )
    hours = [(p, (p.end - p.start) / timedelta(hours=1)) for p in run.periods if p.running]
    gained = sum(float(TERMS.value - (p.bid or 0)) * span for p, span in hours)
    costs = run.restarts * float(TERMS.restart_cost) + run.creations * float(TERMS.creation_fee)
    assert run.utility == pytest.approx(gained - costs)
    assert run.held_share == pytest.approx(sum(span for _, span in hours) / 25)


def test_tracking_a_quiet_market_pays_the_rival_and_a_tick() -> None:
    """Nothing to walk down, nothing lost."""
    run = runner.play("track", lineup.named(("track",))["track"], [Decimal("0.1")] * 600, START, TERMS)
    assert run.mean_price == pytest.approx(0.1001)
    assert (run.restarts, run.creations, run.held_share) == (1, 1, 1.0)


def test_adaptive_learns_from_what_came_before() -> None:
    """On a market that it has watched for days it does no worse than without, and better than track."""
    points = wandering(4, 12_000)
    past, scored = points[:6000], points[6000:]
    params = lineup.named(("adaptive", "track"))
    learnt = runner.play("adaptive", params["adaptive"], scored, START, TERMS, past=past)
    tracked = runner.play("track", params["track"], scored, START, TERMS)
    assert learnt.utility > tracked.utility


@pytest.mark.parametrize("seed", [5, 6, 8])
def test_adaptive_ends_its_absence_when_a_wild_market_has_come_to_rest(seed: int) -> None:
    """Two days of dips, few long enough for a start, then a low price that never moves again."""
    chance, dips = Random(seed), list[Decimal]()
    while len(dips) < 2880:
        minutes = 1 + int(chance.expovariate(1 / 6))
        dips += [Decimal("0.03")] * minutes + [Decimal("1.3")] * 10
    params = lineup.named(("adaptive",))["adaptive"]
    terms = replace(TERMS, value=Decimal("0.13"))
    calm = runner.play("adaptive", params, [Decimal("0.05")] * 1440, START, terms, past=dips)
    assert calm.held_share > 0.9


def test_adaptive_does_not_walk_down_from_a_height_for_days() -> None:
    """The rival falls to a tenth and stays there: an offer at the bottom is worth its start."""
    points = [Decimal("0.12")] * 240 + [Decimal("0.012")] * 2880
    params = lineup.named(("adaptive", "track_recreate"))
    terms = replace(TERMS, value=Decimal("0.13"), step=Decimal("0.00012"), tick=Decimal("0.000012"))
    ours = runner.play("adaptive", params["adaptive"], points, START, terms)
    theirs = runner.play("track_recreate", params["track_recreate"], points, START, terms)
    assert ours.utility > 0.95 * theirs.utility


@pytest.mark.parametrize("name", sorted(lineup.LINEUP))
def test_no_strategy_knows_a_price_that_is_still_to_come(name: str) -> None:
    """Two markets that part only in their last hour are bid on alike until then."""
    chance = Random(0)

    def spiky(usual: str, times: int) -> list[Decimal]:
        stretches = [(chance.choice((3, 30, 60)), chance.choice((1, 5))) for _ in range(times)]
        return [p for calm, dear in stretches for p in [Decimal(usual)] * calm + [Decimal("0.2")] * dear]

    past, known = spiky("0.04", 60), spiky("0.1", 12)
    bids = []
    for tail in ("0.1", "0.04"):
        points = [*known, *[Decimal(tail)] * 60]
        params = lineup.named((name,))[name]
        run = runner.play(name, params, points, START, TERMS, past=past, keep_periods=True)
        until = START + timedelta(minutes=len(known))
        bids.append([(p.start, p.bid, p.running) for p in run.periods if p.start < until])
    assert bids[0] == bids[1]


def test_adaptive_takes_a_market_that_climbs_by_itself_for_no_rival_that_answers() -> None:
    """Each raise comes at once, so that no start is lost: it runs until the price is above the value."""
    points = [Decimal("0.1") + n // 3 * Decimal("0.0005") for n in range(720)]
    run = runner.play("adaptive", lineup.named(("adaptive",))["adaptive"], points, START, TERMS)
    assert run.restarts == 1
    assert run.held_share == pytest.approx(600 / 720, abs=0.01)


@pytest.mark.parametrize("early", [True, False])
def test_the_auction_refuses_what_the_exchange_would(early: bool) -> None:
    """A lowering before its clock, or deeper than a step, is an error of the program."""
    auction = Auction(terms=TERMS, now=START, rival=Decimal("0.1"))
    auction.create(Decimal("0.15"))
    auction.reprice(Decimal("0.1495"))
    auction.advance(START + timedelta(seconds=599 if early else 600))
    with pytest.raises(RuleBroken):
        auction.reprice(Decimal("0.149") if early else Decimal("0.1484"))


def trace_file(folder: Path, rows: list[str]) -> Path:
    """A small trace as a file."""
    file = folder / "trace.csv"
    file.write_text("\n".join(["ts_utc,market,price_usd,source", *rows]) + "\n")
    return file


def test_the_command_compares_and_documents_what_it_prints(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """One JSON object, as the documents say, and a report without any address in it."""
    rows = [
        f"2026-01-0{1 + n // 96}T{n % 96 // 4:02}:{n % 4 * 15:02}:00Z,a,{0.1 + n % 7 / 100},x"
        for n in range(190)
    ]
    report = tmp_path / "report.html"
    code = main(
        ["backtest", "--trace", str(trace_file(tmp_path, rows)), "--value", "0.2", "--step", "1%",
         "--strategies", "adaptive,track,fixed", "--html", str(report), "--json"]
    )  # fmt: skip
    document = json.loads(capsys.readouterr().out)
    assert code == 0
    assert disagreements(document, "backtest") == []
    assert {run["strategy"] for run in document["runs"]} == {"adaptive", "track", "fixed"}
    assert all(run["utility_ratio"] <= 1.001 for run in document["runs"])
    assert "<svg" in report.read_text()
    assert "://" not in report.read_text()


@pytest.mark.parametrize(
    ("rows", "arguments", "told"),
    [
        (["2026-01-01,a,x,s"], [], "line 2: price_usd"),
        (["yesterday,a,1,s"], [], "line 2: ts_utc"),
        (["2026-01-01,a,1,s", "2026-01-02,b,1,s"], [], "several markets"),
        (["2026-01-01,a,1,s", "2026-01-02,a,1,s"], ["--value", "nan"], "--value"),
        (["2026-01-01,a,1,s", "2026-01-02,a,1,s"], ["--strategies", "best"], "--strategies"),
        (["2026-01-01,a,1,s", "2026-01-02,a,1,s"], ["--from", "2027-01-01"], "--from"),
        (["2026-01-01,a,1,s", "2026-01-02,a,1,s"], ["--grid-seconds", "7"], "--grid-seconds"),
        (["2026-01-01,a,1,s", "2026-01-02,a,1,s"], ["--value", "1e9"], "to below 1000000000, such"),
        (["2026-01-01,a,1,s", "2026-01-02,a,1,s"], ["--step", "-1%"], "(got '-1%'); write one from"),
        (["2026-01-01,a,1,s", "2026-01-02,a,1,s"], ["--from-history"], "does not go with --trace"),
        (["2026-01-01,a,1,s", "2026-01-02,a,1,s"], ["--from", "2027-01-01"], "trace.csv: nothing of a"),
        (["2026-01-01,a,1,s", "2026-01-02,a,1,s"], ["--pause-seconds", "1200"], "--pause-seconds"),
        (
            ["2026-01-01,a,0,s", "2026-01-02,a,0,s"],
            [],
            "trace.csv: a step of 1% of the median price comes to 0",
        ),
        (
            ["2026-01-01T00:00:00,a,1,s", "2026-01-01T00:00:30,a,1,s"],
            [],
            "trace.csv: a runs from 2026-01-01T00:00:00+00:00 to 2026-01-01T00:00:30+00:00, less",
        ),
        (
            ["2026-01-01,a,1,s", "2026-01-02,a,1,s"],
            ["--strategies", "fixed,track, fixed"],
            "names 'fixed' more than",
        ),
        (
            ["2026-01-01,a,1,s", "2026-01-02,a,1,s"],
            ["--foresight", "10m,600s"],
            "--foresight names '10m' more than",
        ),
        (["1970-01-01,a,1,s", "2024-12-31,a,1,s"], [], "28926720 moments 60 seconds apart, at most"),
    ],
)
def test_bad_input_is_named_and_ends_with_two(
    rows: list[str],
    arguments: list[str],
    told: str,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """The file, the line or the option, and the remedy."""
    value = [] if "--value" in arguments else ["--value", "0.2"]
    code = main(["backtest", "--trace", str(trace_file(tmp_path, rows)), *value, *arguments])
    assert code == 2
    assert told in capsys.readouterr().err


def test_a_trace_has_no_floor_for_min_bid(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Whoever compares is told so."""
    file = trace_file(tmp_path, ["2026-01-01T00:00Z,a,0.1,s", "2026-01-01T02:00Z,a,0.1,s"])
    told = "min_bid: a trace has no floor"
    assert main(["backtest", "--trace", str(file), "--value", "1", "--strategies", "min_bid"]) == 0
    assert told in capsys.readouterr().out
    assert main(["backtest", "--trace", str(file), "--value", "1", "--strategies", "track"]) == 0
    assert told not in capsys.readouterr().out


def test_a_cut_starts_with_the_price_that_holds() -> None:
    """Sampling reads the last price at or before each moment."""
    trace = traces.Trace(
        market="a",
        moments=(START, START + timedelta(minutes=5), START + timedelta(minutes=30)),
        prices=(Decimal(1), Decimal(2), Decimal(3)),
        end=START + timedelta(minutes=30),
    )
    cut = trace.cut(START + timedelta(minutes=3), START + timedelta(minutes=7))
    assert cut.sampled(timedelta(minutes=1)) == (Decimal(1), Decimal(1), Decimal(2), Decimal(2))
    with pytest.raises(BadInput):
        trace.cut(START + timedelta(days=1), None)
