"""Values of options, as people write them and as the program itself prints them."""

import json
from datetime import timedelta
from pathlib import Path

import pytest
from backtest_traces import START

from bidder.cli.main import main


def trace_file(folder: Path) -> Path:
    """Return a trace of two hours, a price every ten minutes."""
    rows = [f"{(START + n * timedelta(minutes=10)).isoformat()},a,0.{n % 3 + 1},s" for n in range(13)]
    file = folder / "trace.csv"
    file.write_text("\n".join(["ts_utc,market,price_usd,source", *rows]) + "\n")
    return file


@pytest.mark.parametrize(
    "written",
    [
        "2026-01-01T00:20:00+00:00",
        "2026-01-01T00:20:00.000Z",
        "2026-01-01T00:20:00Z",
        "2026-01-01T00:20:00",
        "2026-01-01T00:20",
        "2026-01-01 00:20",
        "2026-01-01T02:20+02:00",
    ],
)
def test_a_time_is_taken_as_the_program_prints_it(
    written: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Warnings, JSON documents and tables each have their way; without a zone it is UTC."""
    command = ["backtest", "--trace", str(trace_file(tmp_path)), "--value", "0.2", "--json"]
    assert main([*command, "--strategies", "fixed", "--from", written, "--to", "2026-01-01T01:00"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert document["from"] == "2026-01-01T00:20:00.000Z"
    assert document["to"] == "2026-01-01T01:00:00.000Z"


@pytest.mark.parametrize("command", ["backtest", "tune"])
@pytest.mark.parametrize("option", ["--from", "--to"])
@pytest.mark.parametrize("written", ["soon", "0001-01-01T00:00+02:00"])
def test_what_is_no_time_is_refused_in_one_sentence(
    command: str, option: str, written: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """With the option, what was written and how to write it."""
    asked = [command, "--trace", str(trace_file(tmp_path)), "--value", "0.2", option, written]
    assert main(asked) == 2
    told = f"error: {option} is no time (got {written!r}); write one such as 2024-01-31"
    assert capsys.readouterr().err.startswith(told)


def test_the_simulator_takes_a_start_as_it_prints_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """It gets as far as the next mistake."""
    absent = ["--marketplace", str(tmp_path / "absent.json")]
    assert main(["sim", "serve", "--start", "2026-01-01T00:20:00+00:00", *absent]) == 2
    assert "absent.json" in capsys.readouterr().err
    assert main(["sim", "serve", "--start", "soon", *absent]) == 2
    assert "--start is no time (got 'soon')" in capsys.readouterr().err
