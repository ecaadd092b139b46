"""``bidder report`` on a record of which the truth is known, without a daemon."""

import json
from pathlib import Path
from typing import Any

import pytest
from builders import make_policy, make_target
from diaries import DAY, HOUR, START, Diary, steady
from documented import disagreements

from bidder.backtest.meter import measure
from bidder.cli.main import main
from bidder.domain.policy import Mode
from bidder.wiring import open_database

GOOD = """
mode: live
account: {name: main, token_env: UNIT_TOKEN}
database: bidder.db
rates: {BTC: 69000, CLORE: 0.11}
strategies:
  - name: render
    ceiling: {usd: 5}
    servers: {gpu: RTX 3090}
    launch: {image: nvidia/cuda}
"""


def record(config: Path, *, days: int = 1, order: int = 7, mode: Mode = Mode.LIVE) -> None:
    """Record two hours of each day, at three dollars where two would have done."""
    engine = open_database(f"sqlite:///{config.parent / 'bidder.db'}")
    for day in range(days):
        diary = Diary(engine=engine, start=START + day * DAY, mode=mode, passes=day * 200)
        diary.bid(order - day if order < 0 else order + day, 1, "3")
        diary.watch(2 * HOUR, {1: steady("2")})
        diary.end(order - day if order < 0 else order + day)
    engine.dispose()


def asked(config: Path, capsys: pytest.CaptureFixture[str], *options: str) -> dict[str, Any]:
    """Return the report, which agrees with its documentation; the one for the eye ends well, too."""
    assert main(["report", "-c", str(config), *options, "--json"]) == 0
    document: dict[str, Any] = json.loads(capsys.readouterr().out)
    assert disagreements(document, "report") == []
    assert main(["report", "-c", str(config), *options]) == 0
    document["shown"] = " ".join(capsys.readouterr().out.split())
    return document


def test_what_was_paid_is_told_with_what_cost_most(
    config: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Each strategy and all together, in money and in words."""
    record(config)
    found = asked(config, capsys)
    (total,), (target,) = found["total"], found["targets"]
    assert (total["target"], target["target"]) == ("all", "render")
    assert total["paid_ratio"] == pytest.approx(1.5, rel=0.01)
    assert float(total["paid_usd"]) == pytest.approx(3 / 12, rel=0.1)
    (paid,) = total["paid"]
    assert paid["currency"] == "USD"
    assert float(paid["amount"]) == pytest.approx(float(total["paid_usd"]), abs=1e-6)
    worst = total["costly"][0]
    assert worst["order"] == 7
    assert worst["decision"].endswith("a bid of 3 USD per day was placed.")
    assert worst["better"].startswith("The best at 00:00 UTC was to bid 2.00")
    assert total["summary"] in found["shown"]
    assert worst["decision"] in found["shown"]


def test_days_are_added_up(config: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Those asked for, the latest recorded one included; of the others it says what is missing."""
    record(config, days=2)
    found = asked(config, capsys, "--days", "5")
    assert [day["from"][:10] for day in found["days"]] == ["2026-03-02", "2026-03-03"]
    both = sum(float(day["regret_usd"]) for day in found["days"])
    assert float(found["total"][0]["regret_usd"]) == pytest.approx(both, abs=1e-5)
    assert found["unknown"][0] == "Of 3 of 5 days there is no record of a server that fits."
    assert "Nobody looked in" in found["unknown"][1]
    one = asked(config, capsys, "--days", "1")
    assert [day["from"][:10] for day in one["days"]] == ["2026-03-03"]


def test_paper_has_a_line_of_its_own(config: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """It is never added to what was paid."""
    record(config, order=-1, mode=Mode.PAPER)
    found = asked(config, capsys)
    by_mode = {total["mode"]: total for total in found["total"]}
    assert by_mode["live"]["paid_usd"] == "0"
    assert by_mode["paper"]["paid_ratio"] == pytest.approx(1.5, rel=0.01)
    assert by_mode["paper"]["costly"][0]["paper"] is True
    assert f"On paper: {by_mode['paper']['summary']}" in found["shown"]


def test_without_a_record_it_says_so(config: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """And ends well: there is nothing wrong."""
    found = asked(config, capsys)
    assert (found["from"], found["total"]) == (None, [])
    assert "Nothing is recorded yet" in found["shown"]


def test_a_strategy_with_a_deadline_is_not_measured(
    config: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """It says why."""
    job = "{gpu_hours: 9, by: 2030-01-01T00:00Z, on_demand_ceiling: {usd: 9}}"
    config.write_text(f"{GOOD}    strategy: deadline\n    deadline: {job}\n")
    record(config)
    found = asked(config, capsys)
    assert found["targets"] == []
    assert "render is not measured: work with a deadline" in found["shown"]


def test_a_strategy_that_was_removed_is_named_though_its_day_was_measured_without_it(
    config: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """What it paid is in no sum; where other days know it, those that do not are named."""
    engine = open_database(f"sqlite:///{config.parent / 'bidder.db'}")
    for number in range(2):
        day = START + number * DAY
        diary = Diary(engine=engine, start=day, passes=number * 200)
        diary.bid(10 + number, 1, "3", spend="0.25")
        diary.bid(20 + number, 2, "3", target="old", spend="0.25")
        diary.watch(2 * HOUR, {1: steady("2"), 2: steady("2")})
        diary.end(10 + number)
        diary.end(20 + number)
        render, old = make_target("render"), make_target("old")
        policy = make_policy(render, old) if number == 0 else make_policy(render)
        diary.store().save_regrets(day, measure(diary.queries(), policy, day, day + DAY).regrets)
    engine.dispose()

    (one,) = asked(config, capsys, "--days", "1")["unmeasured"]
    both = asked(config, capsys, "--days", "2")

    assert one == {"target": "old", "why": "it is not in the configuration any more"}
    assert {each["target"] for each in both["targets"]} == {"render", "old"}
    why = "it is not in the configuration any more; its orders of 2026-03-03 are left out"
    assert f"old is not measured: {why}." in both["shown"]
