"""Strategies on a generated market, each with a whole daemon of its own."""

import json
from pathlib import Path

import pytest
from documented import disagreements

from bidder.cli.main import main


def test_each_strategy_gets_a_whole_daemon(capsys: pytest.CaptureFixture[str]) -> None:
    """The same seed gives the same figures; a value below the floor buys nothing."""
    ask = ["backtest", "--generated", "1", "--hours", "0.2", "--json"]
    assert main([*ask, "--strategies", "track,min_bid"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert disagreements(document, "backtest --generated") == []
    runs = {run["strategy"]: run for run in document["runs"]}
    assert set(runs) == {"track", "min_bid"}
    assert runs["track"]["held_share"] > 0.9
    assert 0 < runs["track"]["mean_price"] <= document["value"]
    assert main([*ask, "--strategies", "track"]) == 0
    assert json.loads(capsys.readouterr().out)["runs"] == [runs["track"]]
    assert main([*ask, "--strategies", "track", "--value", "0.0001"]) == 0
    (poor,) = json.loads(capsys.readouterr().out)["runs"]
    assert (poor["held_share"], poor["mean_price"], poor["requests"]) == (0.0, None, 0)


def test_what_belongs_to_a_trace_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Two markets at once are one too many."""
    assert main(["backtest", "--generated", "1", "--trace", str(tmp_path / "trace.csv")]) == 2
    assert "--generated does not go with --trace" in capsys.readouterr().err
