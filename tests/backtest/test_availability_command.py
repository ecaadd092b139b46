"""Jobs with a deadline, from the command line."""

import json
from pathlib import Path

import pytest
from documented import disagreements

from bidder.cli.main import main


def trace_file(folder: Path, text: str) -> Path:
    """A trace as a file."""
    file = folder / "spot.json"
    file.write_text(text)
    return file


def arguments(file: Path, job: str = "5", deadline: str = "8") -> list[str]:
    """The command's words."""
    return ["backtest", "--availability", str(file), "--job-hours", job, "--deadline-hours", deadline]


def test_every_policy_keeps_the_deadline_and_none_beats_the_optimum(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """One object, as documented; on demand throughout is never needed here."""
    steps = [int(n % 7 not in (2, 3)) for n in range(100)]
    file = trace_file(tmp_path, json.dumps({"metadata": {"gap_seconds": 600}, "data": steps}))
    assert main([*arguments(file), "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert disagreements(document, "backtest --availability") == []
    assert not any(run["missed"] for run in document["runs"])
    assert all(run["cost"] >= document["optimum_cost"] - 1e-9 for run in document["runs"])
    assert {run["strategy"] for run in document["runs"]} >= {"deadline", "greedy", "uniform_progress"}


@pytest.mark.parametrize(
    ("text", "job", "told"),
    [
        ("[]", "5", "is no availability trace"),
        ('{"metadata": {"gap_seconds": 0.5}, "data": [1]}', "5", "gap_seconds"),
        ('{"metadata": {"gap_seconds": 1e999}, "data": [1]}', "5", "gap_seconds"),
        ('{"metadata": {"gap_seconds": NaN}, "data": [1]}', "5", "gap_seconds"),
        ('{"metadata": {"gap_seconds": 600}, "data": [2]}', "5", "data"),
        ('{"metadata": {"gap_seconds": 600}, "data": [1, 0]}', "5", "--deadline-hours"),
        (json.dumps({"metadata": {"gap_seconds": 600}, "data": [1] * 99}), "7.9", "--job-hours"),
        ("", "inf", "--job-hours"),
        (json.dumps({"metadata": {"gap_seconds": 1}, "data": [1] * 30_000}), "7", "takes too long"),
    ],
)
def test_bad_input_is_named(
    text: str, job: str, told: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The file or the option, and the remedy; exit code 2."""
    assert main(arguments(trace_file(tmp_path, text), job)) == 2
    assert told in capsys.readouterr().err


def test_a_policy_that_is_named_twice_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """One row where two were asked for would leave a question open."""
    file = trace_file(tmp_path, json.dumps({"metadata": {"gap_seconds": 600}, "data": [1] * 99}))
    assert main([*arguments(file), "--strategies", "greedy,deadline, greedy"]) == 2
    assert "--strategies names 'greedy' more than once" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("market", "other"),
    [
        (("--availability", "f.json"), ("--html", "a.html")),
        (("--availability", "f.json"), ("--from", "2026-01-01")),
        (("--generated", "1"), ("--step", "abc")),
        (("--trace", "f.csv", "--value", "1"), ("--days", "3")),
        (("--from-history", "--value", "1"), ("--market", "a")),
    ],
)
def test_an_option_without_a_use_is_not_ignored(
    market: tuple[str, ...], other: tuple[str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    """Whoever gives it believes that it counts."""
    assert main(["backtest", *market, *other]) == 2
    assert f"{market[0]} does not go with {other[0]}" in capsys.readouterr().err
