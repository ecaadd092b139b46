"""Searching settings: on one part of the time, checked on another, kept in a database."""

import json
from dataclasses import replace
from decimal import Decimal
from importlib.metadata import version
from pathlib import Path

import pytest
import yaml
from backtest_traces import START, wandering
from documented import disagreements

from bidder.backtest import studies, tuning
from bidder.backtest.terms import Terms
from bidder.cli.main import main
from bidder.errors import BadInput

TERMS = Terms(value=Decimal("0.2"), step=Decimal("0.001"), tick=Decimal("0.0001"))


def test_the_best_settings_are_one_of_those_tried(tmp_path: Path) -> None:
    """What is printed earns what is claimed, on both parts; a second search goes on with the study."""
    whole = tuning.Stretch(points=tuple(wandering(5, 900)), start=START)
    url = f"sqlite:///{tmp_path / 'study.db'}"
    found = tuning.search("track_recreate", whole, TERMS, trials=3, workers=2, url=url, name="a")
    first, rest = whole.split(TERMS.grid, 2 / 3)
    assert found.searched[1] == tuning.earned("track_recreate", found.best, first, TERMS)
    assert found.checked == (
        tuning.earned("track_recreate", {}, rest, TERMS),
        tuning.earned("track_recreate", found.best, rest, TERMS),
    )
    again = tuning.search("track_recreate", whole, TERMS, trials=2, workers=2, url=url, name="a")
    assert again.trials == 5
    assert again.searched[1] >= found.searched[1]


def test_an_interrupted_search_leaves_no_trial_running(tmp_path: Path) -> None:
    """Later draws would keep away from it; what it came to is not counted either."""
    whole = tuning.Stretch(points=tuple(wandering(5, 300)), start=START)
    url = f"sqlite:///{tmp_path / 'study.db'}"

    def interrupted(_: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        tuning.search(
            "track_recreate",
            whole,
            TERMS,
            trials=3,
            workers=2,
            url=url,
            name="a",
            progress=interrupted,
        )
    states = [trial.state.name for trial in studies.opened(url, "a/track_recreate").trials]
    assert sorted(states) == ["COMPLETE", "FAIL"]
    again = tuning.search("track_recreate", whole, TERMS, trials=1, workers=1, url=url, name="a")
    assert again.trials == 2


def test_other_prices_are_another_question() -> None:
    """Also before the cut, from which a strategy learns; and so is another version."""
    points = tuple(wandering(5, 60))
    whole = tuning.Stretch(points=points, start=START)
    others = (
        tuning.Stretch(points=points[::-1], start=START),
        tuning.Stretch(points=points, past=points, start=START),
    )
    name = tuning.question("a", whole, TERMS)
    assert name == tuning.question("a", replace(whole), TERMS)
    assert name not in {tuning.question("a", other, TERMS) for other in others}
    assert name.endswith(f" {version('bidder')}")


@pytest.mark.parametrize("strategy", sorted(tuning.KNOBS))
def test_every_drawn_setting_is_one_that_the_strategy_takes(strategy: str) -> None:
    """The ends of each range become parameters that differ."""
    ends = [
        tuning.with_settings(
            strategy,
            {key: knob.written(getattr(knob, end)) for key, knob in tuning.KNOBS[strategy].items()},
        )
        for end in ("least", "most")
    ]
    assert ends[0] != ends[1]


@pytest.mark.parametrize("strategy", sorted(tuning.KNOBS))
def test_the_first_trial_is_the_usual_settings(strategy: str) -> None:
    """So nothing worse than they is ever called the best."""
    whole = tuning.Stretch(points=tuple(wandering(7, 300)), start=START)
    found = tuning.search(strategy, whole, TERMS, trials=1, workers=1, url=None, name="a")
    assert tuning.with_settings(strategy, found.best) == tuning.with_settings(strategy, {})
    assert found.searched[0] == found.searched[1]
    assert not found.holds


@pytest.mark.parametrize(
    ("seconds", "written"),
    [(0, "0s"), (1.4, "1s"), (599, "9m59s"), (3601, "1h"), (90_000, "1d1h"), (5_183_999, "60d")],
)
def test_spans_are_written_as_in_the_configuration(seconds: float, written: str) -> None:
    """In days, hours and minutes, seconds only where they matter; and read as they are written."""
    knob = tuning.KNOBS["adaptive"]["half_life"]
    assert knob.written(seconds) == written
    assert abs(knob.read(written).total_seconds() - seconds) <= 30


def test_the_yaml_to_paste_can_be_read() -> None:
    """As text that names the strategy and its settings."""
    found = tuning.Tuned(
        strategy="autopilot",
        trials=1,
        best={"overpay": "1.50%", "grace": "90s"},
        searched=(0.0, 1.0),
        checked=(0.0, -1.0),
    )
    assert yaml.safe_load(found.yaml()) == {
        "strategy": "autopilot",
        "autopilot": {"overpay": "1.50%", "grace": "90s"},
    }
    assert not found.holds


def test_the_command_prints_what_it_documents(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Settings, and what they earned where they were found and where they were not."""
    rows = [f"2026-01-01T{n // 60:02}:{n % 60:02}:00Z,a,{p},x" for n, p in enumerate(wandering(6, 600))]
    file = tmp_path / "trace.csv"
    file.write_text("\n".join(["ts_utc,market,price_usd,source", *rows]) + "\n")
    arguments = ["tune", "--trace", str(file), "--value", "0.2", "--trials", "2", "--workers", "1"]
    assert main([*arguments, "--strategy", "track_recreate", "--json"]) == 0
    shown = capsys.readouterr()
    document = json.loads(shown.out)
    assert disagreements(document, "tune") == []
    (warning,) = document["warnings"]
    assert f"warning: {warning}\n" in shown.err
    assert main([*arguments, "--strategy", "fixed"]) == 2
    assert capsys.readouterr().err.startswith("error: --strategy")  # no progress of what never began
    assert main([*arguments, "--value", "0"]) == 2
    assert "--value" in capsys.readouterr().err


def test_what_a_start_costs_is_asked_for(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The same options as a backtest has."""
    rows = [f"2026-01-01T{n // 60:02}:{n % 60:02}:00Z,a,{p},x" for n, p in enumerate(wandering(6, 600))]
    file = tmp_path / "trace.csv"
    file.write_text("\n".join(["ts_utc,market,price_usd,source", *rows]) + "\n")
    arguments = ["tune", "--trace", str(file), "--value", "0.2", "--trials", "1", "--workers", "1"]

    def earned(*options: str) -> float:
        assert main([*arguments, *options, "--strategy", "track", "--json"]) == 0
        return float(json.loads(capsys.readouterr().out)["searched_usual"])

    usual = earned()
    assert earned("--restart-hours", "2") < usual
    assert earned("--creation-fee", "0.5") < usual
    assert earned("--tick", "0.01") != usual


def test_a_stretch_too_short_to_check_on_is_refused() -> None:
    """One moment cannot be split."""
    with pytest.raises(BadInput):
        tuning.Stretch(points=(Decimal(1),), start=START).split(TERMS.grid, 0.5)


@pytest.mark.parametrize("use", ["search", "check"])
def test_a_price_that_never_changes_tells_no_settings_apart(use: str) -> None:
    """Neither where they are searched nor where they are checked."""
    lively, still = tuple(wandering(5, 600)), (Decimal("0.1"),)
    points = still * 1200 + lively if use == "search" else lively * 2 + still * 600
    with pytest.raises(
        BadInput, match=f"a.csv: .* never changes in the time to {use} on, .*; widen --from"
    ):
        tuning.doubts(Path("a.csv"), tuning.Stretch(points=points, start=START), TERMS.grid)


@pytest.mark.parametrize(("changes", "doubtful"), [(99, True), (100, False)])
def test_few_changes_to_check_on_are_told(changes: int, doubtful: bool) -> None:
    """With their number, and the number that would do."""
    rest = tuple(Decimal(n % 2 + 1) for n in range(changes + 1))
    whole = tuning.Stretch(points=(*rest, *rest, *rest), start=START)
    found = tuning.doubts(Path("a.csv"), whole, TERMS.grid)
    assert len(found) == doubtful
    assert all("changes only 99 times" in each and "100 changes or more" in each for each in found)


def test_two_rows_are_too_little_to_search_on(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Nothing is searched, so nothing is called good."""
    file = tmp_path / "trace.csv"
    file.write_text("ts_utc,market,price_usd,source\n2026-01-01,a,1,x\n2026-01-02,a,2,x\n")
    assert main(["tune", "--trace", str(file), "--value", "2", "--trials", "1"]) == 2
    assert "never changes" in capsys.readouterr().err
