"""What the owner is told of the guard's rounds, how often, and how each round ends."""

import json
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from documented import disagreements
from guards import AFTER, CANCEL, Dead, guard, hang
from virtual import Day, begin

from bidder.cli import guarding
from bidder.cli.failures import CommandFailed
from bidder.config import Settings, load_settings
from bidder.domain.policy import Mode
from bidder.domain.unattended import Finding, Signs, Then
from bidder.errors import LeaseHeld, Unreachable
from bidder.guarding import Round
from bidder.store.commands import note
from bidder.store.engine import open_engine
from bidder.store.schema import upgrade

CONFIG = """
account: {{name: demo}}
rates: {{BTC: 69000, CLORE: 0.11}}
guard: {{then: cancel}}
notices: [{{command: [{command}]}}]
strategies:
  - {{name: ada, ceiling: {{usd: 3}}, servers: {{gpu: RTX 3090}}, launch: {{image: a/b}}}}
"""


@pytest.fixture
def day() -> Iterator[Day]:
    """Yield a day on which the daemon holds an order and was then killed."""
    engine = open_engine("sqlite://")
    upgrade(engine)
    begun = begin(engine=engine, rivals=False)
    while not begun.live() or begun.app.trader.view.intents:
        begun.run(timedelta(seconds=1))
    begun.clock.advance(AFTER.total_seconds())
    yield begun
    engine.dispose()


class Owner:
    """Somebody who gets notices, by a program that writes them down."""

    def __init__(self, folder: Path, printed: pytest.CaptureFixture[str]) -> None:
        """Start with nothing told."""
        self._printed = printed
        self._heard = folder / "heard.jsonl"
        self._heard.touch()
        self._program = folder / "hook"
        self._program.write_text(f"#!/bin/sh\ncat >> {self._heard}\n")
        self._program.chmod(0o755)
        file = folder / "config.yaml"
        file.write_text(CONFIG.format(command=self._program))
        self.settings: Settings = load_settings(file, {})

    def be_slow(self) -> None:
        """Take half a second for each notice from now on."""
        self._program.write_text(f"#!/bin/sh\nsleep 0.5\ncat >> {self._heard}\n")

    @property
    def heard(self) -> list[dict[str, Any]]:
        """Return every notice so far."""
        return [json.loads(line) for line in self._heard.read_text().splitlines()]

    def conclude(self, day: Day, found: Round, *, patience: float = 20.0) -> Any:
        """End a round as the command does; return what it printed. Raises what it raises."""
        self._printed.readouterr()
        guarding.conclude(self.settings, day.app.engine, found, as_json=True, patience_seconds=patience)
        return self.printed()

    def printed(self) -> Any:
        """Return the document that the last round printed."""
        out = self._printed.readouterr().out
        return json.loads(out[out.index("{\n") :])


@pytest.fixture
def owner(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Owner:
    """Return an owner who is reached."""
    return Owner(tmp_path, capsys)


def test_a_silence_and_what_was_done_is_told_once(day: Day, owner: Owner) -> None:
    """The document is as documented; the round after it has no news."""
    count = len(day.live())
    document = owner.conclude(day, guard(day))
    day.clock.advance(120)
    again = owner.conclude(day, guard(day))

    assert disagreements(document, "guard") == []
    assert (document["finding"], document["told"], document["problem"]) == ("silent", True, None)
    assert {each["result"] for each in document["sent"]} == {"ok"}
    (notice,) = owner.heard
    assert (notice["event"], notice["level"]) == ("silent", "urgent")
    assert f"{count} orders were cancelled (then: cancel)." in notice["text"]
    assert notice["facts"]["cancelled"] == count
    assert again["told"] is False


def test_a_notice_that_is_dated_ahead_keeps_none_back(owner: Owner) -> None:
    """The clock has been set back since, by a day: it must not silence the guard for as long."""
    engine, now = open_engine("sqlite://"), datetime.now(UTC)
    upgrade(engine)
    signs = Signs(seen_at=now - AFTER)
    found = Round(finding=Finding.SILENT, signs=signs, when=CANCEL, at=now)
    subject = guarding._subject(found)
    note(engine, owner.settings.account, "guard", subject, outcome="done", at=now + timedelta(days=1))

    for told in (True, False):
        guarding.conclude(owner.settings, engine, found, as_json=True)
        assert owner.printed()["told"] is told
    engine.dispose()


def test_on_paper_it_is_told_as_of_paper(day: Day, owner: Owner) -> None:
    """Nobody must think that the guard has cancelled his servers."""
    paper = replace(owner.settings.policy, mode=Mode.PAPER)
    owner.settings = replace(owner.settings, policy=paper)

    owner.conclude(day, guard(day))

    (notice,) = owner.heard
    assert notice["title"].startswith("ON PAPER: the daemon was last seen at ")
    assert notice["facts"]["paper"] is True


def test_a_notice_that_did_not_get_there_is_tried_in_the_next_round(day: Day, owner: Owner) -> None:
    """Nobody was told in time, so it is news again."""
    owner.be_slow()
    found = guard(day, replace(CANCEL, then=Then.NOTICE))

    assert owner.conclude(day, found, patience=0.05)["told"] is False
    assert owner.conclude(day, found)["told"] is True
    assert owner.conclude(day, found)["told"] is False
    assert {each["text"] for each in owner.heard} == {"Its orders stay as they are (then: notice)."}


def test_an_exchange_out_of_reach_is_told_and_what_is_done_later_too(day: Day, owner: Owner) -> None:
    """The first is the code 5 of the command; the document holds what stands in the error."""
    with pytest.raises(Unreachable):
        owner.conclude(day, guard(day, transport=Dead()))
    assert "no connection" in owner.printed()["problem"]
    with pytest.raises(Unreachable):
        owner.conclude(day, guard(day, transport=Dead()))

    owner.conclude(day, guard(day))

    failed, done = owner.heard
    assert "no connection" in failed["text"]
    assert "cancelled" in done["text"]


def test_a_process_that_keeps_the_lease_and_does_nothing_is_told(day: Day, owner: Owner) -> None:
    """Nothing can be done beside it, which is a failure of its own."""
    found = guard(day, clock=hang(day))
    assert found.finding is Finding.WEDGED

    with pytest.raises(LeaseHeld, match="has made no pass since"):
        owner.conclude(day, found)

    assert len(owner.heard) == 1


def test_a_clock_set_back_is_told(day: Day, owner: Owner) -> None:
    """Silence cannot be measured by it."""
    day.app.lease.release()
    day.clock.shift_wall(-timedelta(days=1))
    found = guard(day)
    assert found.finding is Finding.MISDATED

    with pytest.raises(CommandFailed, match="in the future"):
        owner.conclude(day, found)

    assert len(day.live()) > 0
    assert len(owner.heard) == 1


def test_for_the_eye_each_request_is_shown_with_its_result(
    day: Day, owner: Owner, capsys: pytest.CaptureFixture[str]
) -> None:
    """And what kept a notice from going out keeps nothing else."""
    found = guard(day)
    bad = replace(owner.settings, receivers=(replace(owner.settings.receivers[0], command=()),))
    bad = replace(bad, receivers=(replace(bad.receivers[0], address="nonsense://"),))
    capsys.readouterr()

    assert guarding.conclude(bad, day.app.engine, found, as_json=False) == 0

    printed = capsys.readouterr()
    assert "The daemon has been silent since" in printed.out
    assert "result ok" in printed.out
    assert "error: the notice failed: " in printed.err


def test_a_dry_run_tells_nobody(day: Day, owner: Owner) -> None:
    """It shows what would be sent."""
    document = owner.conclude(day, guard(day, dry_run=True))

    assert disagreements(document, "guard") == []
    assert document["planned"]
    assert document["sent"] == []
    assert owner.heard == []
