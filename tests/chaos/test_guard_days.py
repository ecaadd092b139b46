"""The guard when the daemon is left dead on a bad day, and that each of its bounds can fail."""

from dataclasses import replace
from datetime import datetime, timedelta
from decimal import Decimal
from types import SimpleNamespace
from typing import Any

import pytest

from bidder.chaos.day import ChaosDay
from bidder.chaos.kinds import Scripted
from bidder.chaos.outcome import Outcome
from bidder.domain import price_rules, unattended
from bidder.domain.actions import Decision, Reason, Reprice, Withdraw
from bidder.domain.policy import Policy
from bidder.domain.unattended import Finding, Planner, Then, WhenSilent
from bidder.domain.view import View

LEFT_DEAD = Scripted(kind="left dead", at_seconds=900)
DAYS = 0.045
AFTER = timedelta(minutes=15)


def left_dead(then: Then, *more: Scripted, seed: int = 4) -> ChaosDay:
    """Return a day on which the daemon is left dead once, and nothing else goes wrong but ``more``."""
    day = ChaosDay(seed, DAYS, script=(LEFT_DEAD, *more))
    day.watchman.when = WhenSilent(then=then, after=AFTER)
    return day


def broken(outcome: Outcome) -> set[str]:
    """Return the invariants that were violated."""
    return {invariant for invariant, _, _ in outcome.violations}


@pytest.mark.parametrize("then", Then)
def test_a_daemon_that_is_left_dead_is_guarded_and_comes_back(then: Then) -> None:
    """Orders are ended, lowered or left, and the daemon that starts afterwards settles."""
    day = left_dead(then)
    outcome = day.run()

    assert outcome.faults["left dead"] == 1
    assert outcome.violations == []
    assert (day.watchman.acted > 0) is (then is not Then.NOTICE)


def test_a_guard_meets_the_same_wire() -> None:
    """Answers to its first requests go missing; what it asked for is done all the same."""
    lost = Scripted(kind="time-out, executed", endpoint="cancel_order", at_seconds=1500, times=2)
    gone = Scripted(kind="html 502", endpoint="my_orders", at_seconds=1500, times=2)
    outcome = left_dead(Then.CANCEL, lost, gone).run()

    assert (outcome.faults[lost.kind], outcome.faults[gone.kind]) == (2, 2)
    assert outcome.violations == []


def test_what_a_person_orders_breaks_no_rail_of_the_daemons() -> None:
    """It stands in the account's book, beyond what the owner allows the daemon."""
    for seed in (12, 16):  # one with a rail of dollars, one with a rail of orders
        day = left_dead(Then.NOTICE, seed=seed)
        day.watchman.by_hand_chance = 1.0
        outcome = day.run()

        assert day.person.by_hand
        assert outcome.violations == []


def test_beside_a_living_daemon_a_round_sends_nothing() -> None:
    """Also where the machine has just slept for hours, and every sign of life is old."""
    slept = Scripted(kind="suspended", at_seconds=900)
    day = ChaosDay(4, DAYS, script=(slept,))
    day.watchman.when = WhenSilent(then=Then.CANCEL, after=AFTER)
    outcome = day.run()

    assert day.watchman.rounds > 1
    assert day.watchman.acted == 0
    assert outcome.violations == []


def test_a_guard_that_looks_once_breaks_that_it_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine that wakes has a daemon that lives, and every picture is old."""
    monkeypatch.setattr(unattended, "SECOND_LOOK", {})
    day = ChaosDay(4, DAYS, script=(Scripted(kind="suspended", at_seconds=900),))
    day.watchman.when = WhenSilent(then=Then.CANCEL, after=AFTER)

    assert "the guard waits" in broken(day.run())


def test_a_lease_that_anybody_gets_breaks_that_the_guard_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    """It takes every daemon for silent, and gets the lease of a living one."""
    monkeypatch.setattr("bidder.store.lease.held_until", lambda *_, **__: None)
    monkeypatch.setattr(unattended, "judge", lambda *_: Finding.SILENT)
    monkeypatch.setattr(unattended, "judge_again", lambda *_: Finding.SILENT)
    day = ChaosDay(4, DAYS, script=(Scripted(kind="suspended", at_seconds=900),))
    day.watchman.when = WhenSilent(then=Then.CANCEL, after=AFTER)

    assert "the guard waits" in broken(day.run())


def test_a_guard_that_decides_nothing_breaks_that_it_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every round finds the daemon silent, and the orders go on."""
    monkeypatch.setattr(Planner, "plan", lambda *_: ())

    assert broken(left_dead(Then.CANCEL).run()) == {"the guard ends"}


def decisions(view: View, action: Any) -> tuple[Decision, ...]:
    """Return a decision for every order of the account, whoever made it."""
    return tuple(
        Decision(
            target=holding.target,
            reason=Reason.UNATTENDED,
            server=holding.order.server,
            order=holding.order.order,
            action=action(holding),
        )
        for holding in view.holdings.values()
    )


def test_a_guard_that_cancels_everything_breaks_that_it_only_ends(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A person's order as well, and no rule that keeps it from that."""

    def all_of_them(self: Planner, view: View, policy: Policy, now: datetime) -> tuple[Decision, ...]:
        return decisions(
            view, lambda h: Withdraw(order=h.order.order, server=h.order.server, target=h.target)
        )

    monkeypatch.setattr(Planner, "plan", all_of_them)
    day = left_dead(Then.CANCEL)
    day.watchman.by_hand_chance = 1.0

    assert "the guard only ends" in broken(day.run())


def test_a_guard_that_raises_breaks_that_it_only_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    """By a tenth, once."""
    passes: list[datetime] = []

    def dearer(self: Planner, view: View, policy: Policy, now: datetime) -> tuple[Decision, ...]:
        passes.append(now)
        if len(passes) > 5:
            return ()
        return decisions(
            view,
            lambda h: Reprice(
                order=h.order.order,
                server=h.order.server,
                current=h.order.price,
                price=h.order.price.times(Decimal("1.1")),
                target=h.target or "",
            ),
        )

    monkeypatch.setattr(Planner, "plan", dearer)

    assert "the guard only ends" in broken(left_dead(Then.LOWER).run())


def test_a_guard_that_sends_where_it_should_tell_breaks_that_it_only_ends(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The owner wishes for a notice, and orders are cancelled."""
    notice = Planner._for

    def cancels(self: Planner, *arguments: Any, **named: Any) -> Decision:
        return notice(replace(self, when=replace(self.when, then=Then.CANCEL)), *arguments, **named)

    monkeypatch.setattr(Planner, "_for", cancels)
    monkeypatch.setattr("bidder.guarding.Then", SimpleNamespace(NOTICE=None))

    assert "the guard only ends" in broken(left_dead(Then.NOTICE).run())


def test_a_guard_without_a_clock_breaks_the_lowering_clock(monkeypatch: pytest.MonkeyPatch) -> None:
    """It lowers in each round, whatever the exchange has said."""
    day, original = left_dead(Then.LOWER), price_rules.next_lowering_at

    def always_open(*arguments: Any) -> Any:
        # Until it is caught: after that it would only be refused once a second.
        open_now = day.watchman.left_dead and not day.referee.fouls()["early_lowerings"]
        return None if open_now else original(*arguments)

    monkeypatch.setattr(price_rules, "next_lowering_at", always_open)

    assert "lowering clock" in broken(day.run())
