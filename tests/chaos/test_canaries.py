"""That the daemon really holds each planted secret, and that a leak of it is found wherever it goes."""

import asyncio
from collections.abc import Callable, Iterator

import pytest
import structlog

from bidder.chaos.canaries import MARK, PLANTED
from bidder.chaos.day import ChaosDay
from bidder.config import Settings
from bidder.telemetry import Redactor
from bidder.wiring import App


def _launch(field: str) -> Callable[[ChaosDay, App], str]:
    return lambda day, app: getattr(app.trader.policy.targets[0].launch, field)


# Where the daemon holds each of them.
HELD: dict[str, Callable[[ChaosDay, App], str]] = {
    "token": lambda day, app: app.trader.client._http.headers["auth"],
    "ssh_password": _launch("ssh_password"),
    "env": lambda day, app: dict(app.trader.policy.targets[0].launch.env)["SECRET"],
    "command": _launch("command"),
    "jupyter_token": _launch("jupyter_token"),
    "ssh_key": _launch("ssh_key"),
    "web_token": lambda day, app: getattr(day.carriers.settings.web, "token", ""),
    "notice_address": lambda day, app: day.carriers.ways[0][0].address or "",
    "database_url": lambda day, app: day.carriers.settings.database_url,
}


@pytest.fixture
def day() -> Iterator[ChaosDay]:
    """Yield a day whose daemon has started."""
    day = ChaosDay(3, 0.05, script=())
    day.open_log()
    day.life.start()
    yield day
    day.close()


def leaks(day: ChaosDay) -> list[str]:
    """Return what was found of secrets."""
    return [what for invariant, _, what in day.outcome.violations if invariant == "no secret"]


def test_every_planted_secret_has_its_place() -> None:
    """And none is only a word in a list."""
    assert set(HELD) == set(PLANTED)


@pytest.mark.parametrize("field", PLANTED)
def test_a_secret_in_the_log_is_hidden_and_would_be_found(
    day: ChaosDay, monkeypatch: pytest.MonkeyPatch, field: str
) -> None:
    """Hidden by value wherever it stands; found where nothing hides it."""
    assert day.app is not None
    held = HELD[field](day, day.app)
    assert held == PLANTED[field]
    structlog.get_logger("bidder").info("leak", what=f"it is {held}, and that is it")
    day.looking.log()
    assert leaks(day) == []
    monkeypatch.setattr(Redactor, "_blacked_out", lambda self, text: text)
    structlog.get_logger("bidder").info("leak", what=held)
    day.looking.log()
    assert len(leaks(day)) == 1


@pytest.mark.parametrize("field", PLANTED)
def test_a_field_that_the_settings_do_not_call_secret_is_found(
    day: ChaosDay, monkeypatch: pytest.MonkeyPatch, field: str
) -> None:
    """The log hides what the settings name, and nothing else."""
    kept = tuple(each for each in day.carriers.settings.secret_values if each not in PLANTED[field])
    monkeypatch.setattr(Settings, "secret_values", kept)
    day.open_log()
    assert day.app is not None
    structlog.get_logger("bidder").info("leak", what=HELD[field](day, day.app))
    day.looking.log()
    assert len(leaks(day)) == 1


@pytest.mark.parametrize("field", PLANTED)
def test_a_secret_in_the_database_is_found(day: ChaosDay, field: str) -> None:
    """In a row, also where it is gone again before the day ends."""
    day.looking.life_ended()
    assert leaks(day) == []
    with day.machine.asleep(), day.engine.begin() as connection:
        connection.exec_driver_sql("UPDATE lease SET host = ?", (PLANTED[field],))
    day.looking.before_restore()
    found = leaks(day)
    assert len(found) == 2
    assert "a file of the database" in found[0]
    assert "in the database" in found[1]


def test_what_shows_itself_shows_no_secret(day: ChaosDay) -> None:
    """The settings, the pages, the notice that quotes its address, the database that is gone."""
    shown = dict(day.carriers.shown())
    day.carriers.tell(day.clock.now())
    shown["database"] = day.carriers.refused_by_the_database()
    assert day.app is not None
    report = asyncio.run(day.app.trader.run_pass())
    shown["pages"] = asyncio.run(day.carriers.pages(day.app, report))
    assert not any(MARK in text for text in shown.values())
    assert "nonexistent" in shown["database"]
    assert "200" in shown["pages"]
    assert "401" in shown["pages"]
    assert "notice.failed" in day.log.getvalue()
    day.looking.log()
    assert leaks(day) == []


def test_a_notice_that_quotes_its_address_would_be_found(
    day: ChaosDay, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two hide it, and only without both it is seen."""
    monkeypatch.setattr("bidder.notify.sending.AppriseNotifier._blacked_out", lambda self, text: text)
    monkeypatch.setattr(Redactor, "_blacked_out", lambda self, text: text)
    day.carriers.tell(day.clock.now())
    day.looking.log()
    assert len(leaks(day)) == 1
