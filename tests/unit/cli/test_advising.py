"""``bidder advise`` on records and traces of which the truth is known, without a daemon."""

import json
import random
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from diaries import DAY, HOUR, MINUTE, START, Diary, Rival, steady
from documented import disagreements

from bidder.cli.main import main
from bidder.wiring import open_database

GOOD = """
mode: live
account: {name: main, token_env: UNIT_TOKEN}
database: bidder.db
rates: {BTC: 50000, CLORE: 0.02}
strategies:
  - name: render
    ceiling: {usd: 5}
    servers: {gpu: RTX 3090}
    launch: {image: nvidia/cuda}
"""


def spiky(seed: int, *, quiet: str = "2", spike: str = "6") -> Rival:
    """Return a rival who in one hour of thirty bids three times as much."""
    chance = random.Random(seed)
    dear = [chance.random() < 1 / 30 for _ in range(24 * 30)]
    return lambda minute: Decimal(spike if dear[minute // 60] else quiet)


def record(config: Path, rivals: dict[int, Rival], *, model: str = "RTX 3090", days: float = 2) -> None:
    """Record some servers of a kind with two GPUs each, looked at every ten minutes."""
    engine = open_database(f"sqlite:///{config.parent / 'bidder.db'}")
    diary = Diary(engine=engine, model=model, gpus=2)
    diary.watch(days * DAY, rivals, every=10 * MINUTE)
    engine.dispose()


def asked(capsys: pytest.CaptureFixture[str], *options: str, code: int = 0) -> dict[str, Any]:
    """Return the advice, which agrees with its documentation; the one for the eye ends well, too."""
    assert main(["advise", *options, "--json"]) == code
    document: dict[str, Any] = json.loads(capsys.readouterr().out)
    assert disagreements(document, "advise") == []
    assert main(["advise", *options]) == code
    document["shown"] = " ".join(capsys.readouterr().out.split())
    return document


def test_better_odds_cost_more_and_both_are_told(
    config: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """At half the time two dollars for two GPUs do; where it must not be lost, the spikes count."""
    record(config, {server: spiky(server) for server in range(1, 7)})
    record(config, {11: steady("3")}, model="RTX 4090")
    found = asked(capsys, "-c", str(config), "--gpu", "3090", "--keep", "2h", "--probability", "0.95")
    odds = {each["probability"]: each["bid"] for each in found["probabilities"]}
    assert [Decimal(odds[p]["usd_per_gpu_day"]) // 1 for p in (0.5, 0.95)] == [1, 3]
    bid = found["bid"]
    assert bid == odds[0.95]
    assert {each["currency"] for each in bid["bids"]} == {"USD", "BTC", "CLORE"}
    assert Decimal(3) < Decimal(bid["usd_per_gpu_day"]) < Decimal("3.01")
    assert Decimal(bid["most_usd"]) == pytest.approx(Decimal(3) / 12, abs=Decimal("0.001"))
    assert float(odds[0.5]["expected_usd"]) < float(odds[0.5]["most_usd"])
    assert found["on_demand"]["usd_per_gpu_day"] == "4.5"
    assert [each["gpu"] for each in found["classes"]] == ["RTX 4090"]
    assert len(found["servers"]) == found["servers_watched"] == 6
    assert all(each["observed_share"] == 1 for each in found["servers"])
    assert f"Bid {bid['usd_per_gpu_day']} USD or " in found["shown"]


def test_promises_of_the_past_are_held_against_what_followed(
    config: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """On a market that does not change they were kept, at each of the odds."""
    record(config, {server: spiky(server) for server in range(1, 7)})
    found = asked(capsys, "-c", str(config), "--gpu", "RTX 3090", "--keep", "2h")
    rows = [row for row in found["calibration"] if row["keep_seconds"] == 7200]
    assert [row["probability"] for row in rows] == [0.5, 0.8, 0.9, 0.95]
    for row in rows:
        assert row["promises"] > 50
        assert row["kept_share"] >= row["probability"] - 0.05
        assert row["agrees"] is True


def test_a_history_that_is_too_short_is_told_with_what_it_could_promise(
    config: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """And with what it takes."""
    record(config, {1: steady("2"), 2: steady("2")}, days=2)
    found = asked(capsys, "-c", str(config), "--gpu", "3090")
    assert found["bid"] is None
    assert "takes about 51.4 in stretches of 1d" in found["why"]
    assert found["most"]["promised_share"] < 0.8
    assert "No bid: the history is too short" in found["shown"]
    assert "The most that can be promised is" in found["shown"]


def test_time_rented_on_demand_by_others_is_no_start(
    config: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A server that nobody can win now is told so, and is none to be had on demand."""
    engine = open_database(f"sqlite:///{config.parent / 'bidder.db'}")
    diary = Diary(engine=engine, gpus=1)
    diary.watch(2 * DAY, {1: steady("2")}, every=10 * MINUTE)
    diary.rented = True
    diary.watch(DAY, {1: steady("2")}, every=10 * MINUTE)
    engine.dispose()
    options = ("--gpu", "3090", "--keep", "1h", "--probability", "0.8")
    found = asked(capsys, "-c", str(config), *options)
    assert found["bid"]["observed_share"] > 0.95
    assert found["watched_days"] == pytest.approx(2, abs=0.1)
    assert found["servers"][0]["takes_usd_per_gpu_day"] is None
    assert found["on_demand"] is None


def test_a_price_at_which_nobody_looked_lately_is_no_offer(
    config: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A server seen last two hours before the end of the record teaches odds, and offers nothing now."""
    engine = open_database(f"sqlite:///{config.parent / 'bidder.db'}")
    diary = Diary(engine=engine, gpus=1)
    diary.watch(DAY, {1: steady("1"), 2: steady("2")}, on_demand="4", every=10 * MINUTE)
    diary.watch(2 * HOUR, {2: steady("2")}, on_demand="9", every=10 * MINUTE)
    engine.dispose()
    found = asked(capsys, "-c", str(config), "--gpu", "3090", "--keep", "1h", "--probability", "0.5")
    by_server = {each["server"]: each for each in found["servers"]}

    assert found["on_demand"]["server"] == 2
    assert found["on_demand"]["usd_per_gpu_day"] == "9"
    now = ("takes_usd_per_gpu_day", "on_demand_usd_per_gpu_day")
    assert [by_server[1][key] for key in now] == [None, None]
    assert [by_server[2][key] for key in now] == ["2", "9"]


def test_a_trace_will_do_instead_of_a_history(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Its prices are per hour, the answer per day; no configuration is needed."""
    chance = random.Random(3)
    lines = ["ts_utc,market,price_usd,source"]
    for hour in range(24 * 90):
        price = "0.5" if chance.random() < 0.002 else "0.1"
        lines.append(f"{(START + hour * HOUR).isoformat()},zone-a,{price},test")
    file = tmp_path / "trace.csv"
    file.write_text("\n".join(lines))
    found = asked(capsys, "--trace", str(file), "--probability", "0.8", "--keep", "12h")
    assert asked(capsys, "--trace", str(file), "--probability", "80%", "--keep", "12h") == found
    assert Decimal("2.4") < Decimal(found["bid"]["usd_per_gpu_day"]) < Decimal("2.41")
    assert found["servers"][0]["server"] is None
    assert (found["on_demand"], found["classes"]) == (None, [])


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ((), "either --gpu 4090 from the history, or --trace FILE"),
        (("--gpu", "3090", "--trace", "x.csv"), "either --gpu 4090 from the history, or --trace FILE"),
        (("--gpu", "3090", "--keep", "soon"), "--keep is not a duration (got 'soon')"),
        (
            ("--gpu", "3090", "--keep", "1m"),
            "--keep is out of range (got '1m'); write a duration from 10m",
        ),
        (
            ("--gpu", "A100"),
            "no such kind is recorded like 'A100'; choose one of: RTX 3090, RTX 3090 TI",
        ),
        (("--gpu", "RTX"), "more than one kind is recorded like 'RTX'"),
        (("--trace", "none.csv"), "none.csv: cannot be read"),
    ],
)
def test_what_cannot_be_asked_is_told(
    config: Path, capsys: pytest.CaptureFixture[str], options: tuple[str, ...], said: str
) -> None:
    """In one line, with what to write instead."""
    record(config, {1: steady("2")}, days=0.1)
    record(config, {2: steady("2")}, model="RTX 3090 TI", days=0.1)
    assert main(["advise", "-c", str(config), *options]) == 2
    err = capsys.readouterr().err
    assert said in err
    assert len(err.splitlines()) == 1


def test_an_empty_history_is_told(config: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """With what fills it."""
    assert main(["advise", "-c", str(config), "--gpu", "4090"]) == 2
    assert "nothing is recorded yet; `bidder run` records what it sees" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--trace", "x.csv", "--days", "3"), "--trace does not go with --days"),
        (("--gpu", "4090", "--market", "a"), "--market goes with --trace FILE only"),
    ],
)
def test_an_option_without_a_use_is_refused(
    options: tuple[str, ...], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """To ignore it would mislead."""
    assert main(["advise", *options]) == 2
    assert said in capsys.readouterr().err


@pytest.mark.parametrize(
    ("option", "text"), [("--probability", "95"), ("--probability", "often"), ("--confidence", "10%")]
)
def test_a_share_that_is_none_is_refused(
    option: str, text: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """With what would do instead."""
    assert main(["advise", "--trace", "x.csv", option, text]) == 2
    said = capsys.readouterr().err
    assert f"{option} is not a usable share (got {text!r}); write one from 0." in said
