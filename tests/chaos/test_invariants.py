"""The checks of a day on which everything goes wrong: that they hold, and that each can fail.

A check that has never failed proves nothing, so each rule is broken on purpose here.
"""

import json
import shlex
import subprocess
import sys
from collections.abc import Iterable
from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
import structlog
from documented import disagreements

from bidder.app.executor import Executor
from bidder.chaos.campaign import replay
from bidder.chaos.day import CANARIES, ChaosDay, Outcome
from bidder.chaos.invariants import INVARIANTS
from bidder.chaos.kinds import DAYS, KINDS, LIES, Scripted
from bidder.domain import fold, guard, intents, planning, price_rules
from bidder.domain.actions import Decision, Reason, RentOnDemand
from bidder.domain.intents import Intent, OrdersRead, Verdict
from bidder.domain.money import Price
from bidder.domain.policy import Ceiling
from bidder.exchange import limiter
from bidder.store import rows
from bidder.store.lease import Lease
from bidder.telemetry import Redactor


def broken(outcome: Outcome) -> set[str]:
    """Return the invariants that were violated."""
    return {invariant for invariant, _, _ in outcome.violations}


@pytest.mark.parametrize("seed", range(101, 113))
def test_nothing_is_violated_on_a_bad_day(seed: int) -> None:
    """A quarter of a day each, with every kind of trouble."""
    outcome = ChaosDay(seed, 0.25).run()
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


def test_a_limiter_that_hurries_breaks_the_pace(monkeypatch: pytest.MonkeyPatch) -> None:
    """Half a second between requests instead of a whole one."""
    monkeypatch.setattr(limiter, "SPACING", 0.5)
    assert "pace" in broken(ChaosDay(3, 0.1).run())


def test_a_guard_without_a_ceiling_breaks_the_ceiling(monkeypatch: pytest.MonkeyPatch) -> None:
    """A ceiling ten times too high, and no rail that catches it."""
    original = Ceiling.for_server

    def lax(self: Ceiling, gpus: int, currency: Any, rates: Any) -> Price:
        return original(self, gpus, currency, rates).times(Decimal("1.5"))

    monkeypatch.setattr(Ceiling, "for_server", lax)
    found: set[str] = set()
    # On days without a rail that would stop the dear bid.
    for seed in (5, 8, 11, 14):
        found |= broken(ChaosDay(seed, 0.3).run())
    assert "ceiling" in found


def test_a_clock_that_runs_fast_breaks_the_lowering_clock(monkeypatch: pytest.MonkeyPatch) -> None:
    """The 600 seconds taken for 300."""
    original = price_rules.next_lowering_at

    def early(*arguments: Any) -> Any:
        opens_at = original(*arguments)
        return None if opens_at is None else opens_at - timedelta(seconds=300)

    monkeypatch.setattr(price_rules, "next_lowering_at", early)
    found: set[str] = set()
    for seed in (3, 4, 5):
        found |= broken(ChaosDay(seed, 0.3).run())
    assert "lowering clock" in found


def test_an_executor_that_forgets_its_intents_doubles_and_loses_orders(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """What was sent counts as not sent as soon as there is any doubt."""

    def forgetful(intents: Iterable[Intent], *_: Any, **__: Any) -> tuple[Verdict, ...]:
        return ()

    monkeypatch.setattr(fold, "opened", lambda view, intent, now: view)
    monkeypatch.setattr(fold, "answered", lambda view, intent: view)
    monkeypatch.setattr("bidder.domain.intents.settle", forgetful)
    monkeypatch.setattr(guard, "_too_many", lambda view, policy: None)
    # Nor is an order that looks like one of its own anything to it.
    monkeypatch.setattr(planning, "unexplained", lambda *_: ())
    monkeypatch.setattr(guard, "unexplained", lambda *_: ())
    found = broken(ChaosDay(5, 0.1).run())
    assert found & {"one order for a slot", "no lost order"}


def test_a_lease_that_anybody_gets_breaks_the_one_writer(monkeypatch: pytest.MonkeyPatch) -> None:
    """A second daemon starts beside a living one."""
    monkeypatch.setattr("bidder.store.lease.held_until", lambda *_, **__: None)
    monkeypatch.setattr(Lease, "renew", lambda self, now: None)
    day = ChaosDay(3, 0.05)
    day._start()
    day.troubles.make("second daemon")
    day.close()
    assert "one writer" in broken(day.outcome)


def test_a_store_that_rounds_breaks_the_money(monkeypatch: pytest.MonkeyPatch) -> None:
    """What was spent, to six places instead of all of them."""
    original = rows.order_values

    def rounding(*arguments: Any) -> dict[str, Any]:
        values = original(*arguments)
        return {**values, "spend": round(values["spend"], 6)}

    monkeypatch.setattr(rows, "order_values", rounding)
    assert "money" in broken(ChaosDay(7, 0.2).run())


def test_a_log_that_shows_what_is_launched_breaks_the_secrets(monkeypatch: pytest.MonkeyPatch) -> None:
    """A careless line in the log, and nothing that blacks it out."""
    original = Executor._write_down

    def careless(self: Executor, action: Any, view: Any) -> Intent:
        launch = getattr(action, "launch", None)
        if launch is not None:
            structlog.get_logger("bidder").info("launching", what=launch.command)
        return original(self, action, view)

    monkeypatch.setattr(Executor, "_write_down", careless)
    assert "no secret" not in broken(ChaosDay(3, 0.05).run()), "redaction by value holds"
    monkeypatch.setattr(Redactor, "__call__", lambda self, logger, method, event: event)
    assert "no secret" in broken(ChaosDay(3, 0.05).run())


def test_a_daemon_that_stays_paused_breaks_the_liveness(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is ever bid for."""
    monkeypatch.setattr(guard, "_paused", lambda view: (Reason.PAUSED, {}))
    assert "liveness" in broken(ChaosDay(3, 0.05).run())


def test_every_invariant_is_broken_by_some_test_or_bounded_by_one() -> None:
    """The list of invariants and the mutations above do not drift apart."""
    assert set(INVARIANTS) == {
        "pace",
        "lowering clock",
        "ceiling",
        "one order for a slot",
        "rails",
        "a person is told",
        "one writer",
        "the guard waits",
        "the guard only ends",
        "the guard ends",
        "nothing escapes",
        "no lost order",
        "doubles are found",
        "liveness",
        "money",
        "no secret",
        "size",
    }


TWICE = (Scripted(kind="delivered twice", endpoint="create_order"),)


def test_an_order_doubled_by_the_wire_is_found() -> None:
    """Frozen and told, and nothing else is violated by it."""
    day = ChaosDay(3, 0.1, script=TWICE)
    outcome = day.run()
    assert outcome.faults["delivered twice"] == 1
    assert outcome.violations == []
    assert "frozen" in day.log.getvalue()


def test_a_daemon_that_keeps_quiet_breaks_the_finding_of_doubles(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """It stops, and nobody is told that a person is needed."""
    monkeypatch.setattr("bidder.app.alarms.causes", lambda *_, **__: ())
    assert "doubles are found" in broken(ChaosDay(3, 0.1, script=TWICE).run())


def test_a_pass_that_crashes_breaks_that_nothing_escapes(monkeypatch: pytest.MonkeyPatch) -> None:
    """A mistake of ours in the middle of deciding."""

    def mistaken(*_: Any) -> Any:
        raise KeyError("no such thing")

    monkeypatch.setattr(planning, "_for_target", mistaken)
    assert "nothing escapes" in broken(ChaosDay(3, 0.01).run())


def test_rows_that_pile_up_break_the_size() -> None:
    """More rows than the days can explain."""
    day = ChaosDay(3, 0.01)
    day.watch._size({"orders": [{}] * 10_000})
    day.close()
    assert broken(day.outcome) == {"size"}


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
    assert not any(document["violations"].values())
    assert not any(canary in done.stdout + done.stderr for canary in CANARIES)


def test_a_guard_without_the_dollar_rail_breaks_the_rails(monkeypatch: pytest.MonkeyPatch) -> None:
    """The owner allows less than the ceilings would; seeds divisible by three have such a rail."""
    monkeypatch.setattr(guard, "_over_budget", lambda *_: None)
    found: set[str] = set()
    for seed in (3, 6, 9, 12):
        found |= broken(ChaosDay(seed, 0.1).run())
    assert "rails" in found


def test_a_guard_that_counts_no_orders_breaks_the_rails(monkeypatch: pytest.MonkeyPatch) -> None:
    """One order fewer is allowed than the targets want."""
    monkeypatch.setattr(guard, "_too_many", lambda *_: None)
    found: set[str] = set()
    for seed in (1, 4, 7, 10, 13):
        found |= broken(ChaosDay(seed, 0.1).run())
    assert "rails" in found


def test_a_log_without_alarms_breaks_that_a_person_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    """The alarm is raised, and its line is not written."""
    monkeypatch.setattr("bidder.app.recording._log", lambda *_: None)
    assert "a person is told" in broken(ChaosDay(3, 0.1, script=TWICE).run())


def test_a_teller_without_alarms_breaks_that_a_person_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    """The line is written, and no notice goes out."""
    monkeypatch.setattr("bidder.app.telling._alarms", lambda *_: ())
    assert "a person is told" in broken(ChaosDay(3, 0.1, script=TWICE).run())


def test_a_store_that_forgets_what_runs_breaks_the_money() -> None:
    """Of a running order an older spend is on disk than the exchange last named."""
    day = ChaosDay(3, 0.05, script=())
    day.transport.last_orders = b'{"orders": [{"id": 7, "spend": 0.25}]}'
    day.watch._money_of_live_orders({7: {"ended_at": None, "spend": "0.125"}})
    day.close()
    assert broken(day.outcome) == {"money"}


def test_a_daemon_that_only_says_that_nothing_fits_breaks_the_liveness(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The exchange knows better: what the targets want can be had."""

    def idle(target: Any, *_: Any, **__: Any) -> Decision:
        return Decision(target=target.name, reason=Reason.NO_CANDIDATE)

    monkeypatch.setattr(planning, "_fill", idle)
    found: set[str] = set()
    for seed in (5, 8, 11):
        found |= broken(ChaosDay(seed, 0.05).run())
    assert "liveness" in found


def test_a_creation_that_is_given_up_too_soon_breaks_that_no_order_is_lost(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """One empty read, and it counts as never made; the order runs and is paid all the same."""
    settle = intents.settle
    monkeypatch.setattr(intents, "EMPTY_READS", 0)

    def hasty(found: Iterable[Intent], read: OrdersRead, *, grace: timedelta) -> tuple[Verdict, ...]:
        return settle(found, read, grace=min(grace, timedelta(0)))

    monkeypatch.setattr(intents, "settle", hasty)
    lost = Scripted(kind="time-out, executed", endpoint="create_order", times=6)
    found: set[str] = set()
    for seed in (5, 8, 11):
        found |= broken(ChaosDay(seed, 0.05, script=(lost,)).run())
    assert "no lost order" in found


def test_a_guard_without_rails_for_rentals_breaks_the_rails(monkeypatch: pytest.MonkeyPatch) -> None:
    """A job rents on demand beyond what the owner allows in all."""
    original = guard.apply

    def lax(decision: Decision, *others: Any) -> Decision:
        if isinstance(decision.action, RentOnDemand):
            return decision
        return original(decision, *others)

    monkeypatch.setattr(guard, "apply", lax)
    found: set[str] = set()
    for seed in (7, 12, 22, 27):
        found |= broken(ChaosDay(seed, 0.25).run())
    assert "rails" in found


def test_the_command_that_replays_plays_the_same(tmp_path: Path) -> None:
    """Also where a script asked for the faults, and however odd the number of days."""
    file = tmp_path / "faults of mine.json"
    shown = replay(4, 1 / 30, str(file))
    assert shlex.split(shown)[1:] == [
        *("chaos", "--seeds", "4-4", "--days", repr(1 / 30)),
        *("--script", str(file), "--timeline"),
    ]
    assert float(repr(1 / 30)) == 1 / 30


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
