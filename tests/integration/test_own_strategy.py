"""A strategy of the owner's inside the daemon: what it does wrong stays with its target."""

import json
from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from backtest_traces import START, wandering
from virtual import begin

from bidder.cli.main import main
from bidder.domain.actions import Decision, Reason
from bidder.domain.policy import Mode, OwnParams, Policy, Setting
from bidder.domain.positions import Position
from bidder.store.queries import Queries

FOULS = ("rate_limit_refusals", "early_lowerings", "ceiling_breaches", "double_orders")


def breaks(position: Position, params: Mapping[str, Setting], now: datetime) -> Decision:
    """Fail whatever it is asked."""
    raise ZeroDivisionError


def with_own(policy: Policy) -> Policy:
    """Return the policy with the first target in the hands of a broken strategy."""
    first, *rest = policy.targets
    params = OwnParams(function="tests:breaks", decide=breaks)
    return replace(policy, targets=(replace(first, params=params), *rest))


def test_a_broken_strategy_leaves_the_others_alone() -> None:
    """Its bids stay as they are and it is told once; the other targets are traded."""
    day = begin(shape=with_own)
    report = day.run(timedelta(minutes=12))
    broken, *others = day.policy.targets

    assert {key: report[key] for key in FOULS} == dict.fromkeys(FOULS, 0)
    mine = [deed for deed in day.deeds if deed.decision.target == broken.name]
    assert {type(deed.action).__name__ for deed in mine} == {"PlaceBid"}
    for target, told in zip(others, report["targets"][1:], strict=True):
        assert told["name"] == target.name
        assert told["held_share"] >= 0.9 * told["attainable_share"]
    alarms = [text for each in day.reports for text in each.alarms if "tests:breaks" in text]
    assert len(alarms) == 1, alarms
    assert "it raised ZeroDivisionError at test_own_strategy.py" in alarms[0]
    order = mine[0].decision.server
    queries = Queries(day.app.engine, day.policy.account)
    decisions = queries.decisions_between(day.exchange.start, day.clock.now(), Mode.LIVE)
    kept = [decision for decision in decisions if decision.server == order]
    assert Reason.STRATEGY_FAILED.value in {decision.reason for decision in kept}


def test_a_backtest_compares_it_with_ours(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Named by module and function, found in the working directory; one that fails is no result."""
    monkeypatch.chdir(tmp_path)
    trace = tmp_path / "trace.csv"
    rows = (
        f"{(START + timedelta(minutes=i)).isoformat()},m,{price},test\n"
        for i, price in enumerate(wandering(1, 200))
    )
    trace.write_text("ts_utc,market,price_usd,source\n" + "".join(rows))
    (tmp_path / "own_backtest.py").write_text(
        "from bidder.domain.actions import Reason\n"
        "from bidder.domain.strategies import common\n"
        "def stay(position, params, now): return common.hold(position, Reason.WINNING)\n"
        "def fail(position, params, now): return params['share']\n"
    )
    command = ["backtest", "--trace", str(trace), "--value", "1", "--strategies"]

    assert main([*command, "track,own_backtest:stay"]) == 0
    assert "own_backtest:stay" in capsys.readouterr().out
    assert main([*command, "own_backtest:fail"]) == 2
    told = capsys.readouterr().err
    assert "own_backtest:fail failed: it raised KeyError at own_backtest.py:4" in told
    assert "it has no params here: name a target of -c FILE" in told
    assert main([*command, "own_backtest:nobody"]) == 2
    assert "it has fail, stay" in capsys.readouterr().err


def test_a_module_is_looked_for_beside_the_configuration_as_well(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Also where no target uses it; where there is none, that folder is the remedy."""
    elsewhere, beside = tmp_path / "elsewhere", tmp_path / "beside"
    for folder in (elsewhere, beside):
        folder.mkdir()
    monkeypatch.chdir(elsewhere)
    trace = elsewhere / "trace.csv"
    trace.write_text(
        f"ts_utc,market,price_usd,source\n{START.isoformat()},m,0.5,t\n"
        f"{(START + timedelta(hours=1)).isoformat()},m,0.5,t\n"
    )
    (beside / "own_beside.py").write_text(
        "from bidder.domain.actions import Reason\n"
        "from bidder.domain.strategies import common\n"
        "def stay(position, params, now): return common.hold(position, Reason.WINNING)\n"
    )
    config = beside / "config.yaml"
    config.write_text(
        "strategies:\n  - {name: a, ceiling: {usd: 90}, servers: {ids: 1}, launch: {image: x}}\n"
    )
    command = ["backtest", "--trace", str(trace), "--value", "1", "-c", str(config), "--strategies"]

    assert main([*command, "own_beside:stay"]) == 0
    capsys.readouterr()
    assert main([*command, "own_missing:stay"]) == 2
    assert f"put own_missing.py into {beside}" in capsys.readouterr().err


def test_a_backtest_hands_over_what_the_configuration_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Parameters and opening bid: by module and function, or by name where there are two of one."""
    monkeypatch.chdir(tmp_path)
    trace = tmp_path / "trace.csv"
    rows = (f"{(START + timedelta(minutes=i)).isoformat()},m,0.5,test\n" for i in range(200))
    trace.write_text("ts_utc,market,price_usd,source\n" + "".join(rows))
    (tmp_path / "own_handed.py").write_text(
        "from bidder.domain.actions import Reason\n"
        "from bidder.domain.strategies import common\n"
        "def stay(position, params, now):\n"
        "    return common.hold(position, Reason.WINNING, share=str(params['share']))\n"
        "def opening_bid(quote, params):\n"
        "    return quote.needed.times(params['share']).rounded_up()\n"
    )
    entries = [
        f"  - {{name: {name}, strategy: 'own_handed:stay', ceiling: {{usd: 90}},\n"
        f"     servers: {{ids: {server}}},\n"
        "     launch: {image: x}, own: {opening_bid: 'own_handed:opening_bid',"
        f" params: {{share: {share}}}}}}}\n"
        for server, name, share in ((1, "low", "1"), (2, "high", "1.2"))
    ]
    command = ["backtest", "--trace", str(trace), "--value", "1", "--json", "--strategies"]

    def ran(strategies: str, *written: str) -> dict[str, float]:
        Path("config.yaml").write_text("strategies:\n" + "".join(written))
        assert main([*command, strategies]) == 0
        return {
            run["strategy"]: run["mean_price"] for run in json.loads(capsys.readouterr().out)["runs"]
        }

    assert main([*command, "own_handed:stay"]) == 2
    assert "it raised KeyError" in capsys.readouterr().err
    alone = ran("own_handed:stay", entries[1])
    both = ran("low,high", *entries)
    assert both["high"] == alone["own_handed:stay"] == pytest.approx(both["low"] * 1.2, rel=0.01)
    assert main([*command, "own_handed:stay"]) == 2
    assert "with different parameters; name one of low, high instead" in capsys.readouterr().err
    assert main([*command, "nobody"]) == 2
    assert "min_bid, low, high, or name a target in -c FILE" in capsys.readouterr().err
    assert main([*command, "low", "-c", "elsewhere.yaml"]) == 2
    assert "elsewhere.yaml" in capsys.readouterr().err


def test_a_target_of_the_configuration_is_played_with_its_settings(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """What a search proposes can be tried before it is used; a job is told where it belongs."""
    monkeypatch.chdir(tmp_path)
    rows = (
        f"{(START + timedelta(minutes=i)).isoformat()},m,{price},test\n"
        for i, price in enumerate(wandering(1, 900))
    )
    Path("trace.csv").write_text("ts_utc,market,price_usd,source\n" + "".join(rows))
    entry = "  - {{name: {}, ceiling: {{usd: 90}}, servers: {{ids: {}}}, launch: {{image: x}}, {}}}\n"
    Path("config.yaml").write_text(
        "strategies:\n"
        + entry.format("wide", 1, "strategy: track, track: {dead_band: 40%}")
        + entry.format("usual", 2, "strategy: track, track: {dead_band: 0%, raise_wait: 90s}")
        + entry.format(
            "job",
            3,
            "strategy: deadline, deadline: {gpu_hours: 2, by: '2027-01-01T00:00Z',"
            " on_demand_ceiling: {usd: 9}}",
        )
    )
    command = ["backtest", "--trace", "trace.csv", "--value", "1", "--json", "--strategies"]
    assert main([*command, "track,wide,usual"]) == 0
    runs = {run.pop("strategy"): run for run in json.loads(capsys.readouterr().out)["runs"]}
    assert runs["usual"] == runs["track"]
    assert runs["wide"]["mean_price"] > runs["track"]["mean_price"]
    assert main([*command, "job"]) == 2
    assert "'job' is a job with a deadline" in capsys.readouterr().err
