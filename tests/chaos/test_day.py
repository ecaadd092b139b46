"""The checks of a day on which everything goes wrong: that they hold, whatever happens.

That each of them can fail is shown in `test_invariants.py`.
"""

import json
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
from documented import disagreements

from bidder.chaos.campaign import Campaign
from bidder.chaos.canaries import MARK
from bidder.chaos.day import ChaosDay
from bidder.chaos.invariants import INVARIANTS
from bidder.chaos.kinds import DAYS, KINDS, LIES, Scripted, load_script
from bidder.cli.main import main


@pytest.mark.parametrize("seed", range(101, 125))
def test_nothing_is_violated_on_a_bad_day(seed: int) -> None:
    """Half a day each, with every kind of trouble: a campaign of about three minutes of one core."""
    outcome = ChaosDay(seed, 0.5).run()
    assert outcome.violations == []
    assert outcome.requests > 100


def test_the_same_seed_is_the_same_day() -> None:
    """A failure can be replayed exactly."""
    lines: list[list[str]] = [[], []]
    first = ChaosDay(7, 0.2, tell=lines[0].append).run()
    second = ChaosDay(7, 0.2, tell=lines[1].append).run()
    assert first == second
    assert [_without_folder(line) for line in lines[0]] == [_without_folder(line) for line in lines[1]]


def _without_folder(line: str) -> str:
    return line.split("chaos-", maxsplit=1)[0]


TWICE = (Scripted(kind="delivered twice", endpoint="create_order"),)


def test_an_order_doubled_by_the_wire_is_found() -> None:
    """Frozen and told, nothing else is violated by it, and a person is waited for without haste."""
    day = ChaosDay(3, 0.1, script=TWICE)
    outcome = day.run()
    assert outcome.requests < 200
    assert outcome.faults["delivered twice"] == 1
    assert outcome.violations == []
    assert "frozen" in day.log.getvalue()


def test_the_command_prints_one_object_and_ends_with_zero() -> None:
    """Seeds side by side, progress on standard error, the account on standard output."""
    done = subprocess.run(
        [sys.executable, "-m", "bidder.cli.main", "chaos", "--seeds", "1-2", "--days", "0.05", "--json"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    document = json.loads(done.stdout)
    assert disagreements(document, "chaos") == []
    assert document["simulated_days"] == pytest.approx(0.1)
    assert set(document["violations"]) == set(INVARIANTS)
    assert set(document["in_doubt"]) == {"adopted", "lost", "ambiguous", "open"}
    assert not any(document["violations"].values())
    assert MARK not in done.stdout + done.stderr


def test_the_command_that_replays_plays_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """What a violation is printed with, typed in again: the same account, and the same violation.

    Also where a script asked for the faults, and however odd the number of days.
    """
    file = tmp_path / "faults of mine.json"
    file.write_text('[{"kind": "delivered twice", "endpoint": "create_order"}]')
    monkeypatch.setattr("bidder.app.alarms.causes", lambda *_, **__: ())
    asked = load_script(file, 1 / 30)
    first = Campaign(script_file=str(file), days_each=1 / 30)
    first.add(ChaosDay(3, 1 / 30, script=asked).run())
    account = first.document()
    command = account["found"][0]["replay"]

    assert main([*shlex.split(command)[1:], "--json"]) == 1
    assert json.loads(capsys.readouterr().out) == {"schema": 1, **account}


def test_a_script_ends_with_the_trouble() -> None:
    """What is left of it would strike while the day looks whether everything recovers."""
    faults = (Scripted(kind="code 5", at_seconds=60, times=100_000),)
    outcome = ChaosDay(4, 0.05, script=faults).run()
    assert outcome.faults["code 5"] > 0
    assert outcome.violations == []


# What falsifies an answer needs one that has what is falsified: many are tried, and on these seeds
# there is one.
_SEEDS = {"odd wait": 6, "another runs": 3}
_TIMES = {**dict.fromkeys(LIES, 1000), "order without offer": 50, "20,000 servers": 3}


@pytest.mark.parametrize("kind", KINDS)
def test_each_kind_of_fault_can_be_asked_for_and_does_no_harm(kind: str) -> None:
    """By script, at its moment, wherever it may strike; nothing else goes wrong."""
    fault = Scripted(kind=kind, at_seconds=0 if kind in DAYS else 20, times=_TIMES.get(kind, 3))
    days = 0.1 if kind == "offer without order" else 0.04 if kind in LIES else 0.02
    outcome = ChaosDay(_SEEDS.get(kind, 4), days, script=(fault,)).run()
    # The second of two kills in a row is one of its own.
    assert outcome.faults["killed" if kind == "killed in a row" else kind] > 0
    assert outcome.violations == []
