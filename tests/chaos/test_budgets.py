"""The judge of the owner's budgets: broken on purpose, and what nobody could end is no breach."""

from collections.abc import Callable
from dataclasses import replace
from decimal import Decimal

import pytest
from mutants import caught

from bidder.chaos.day import ChaosDay
from bidder.chaos.kinds import Scripted
from bidder.domain import affording, budgets
from bidder.domain.policy import Budget

Patch = pytest.MonkeyPatch
LITTLE = Decimal("0.10")  # in USD; what is wanted costs more within the hour


def day_with(budget: Budget, *, seed: int = 3, script: tuple[Scripted, ...] = ()) -> ChaosDay:
    """Return a short day on which nothing goes wrong but what the script asks for, with this budget."""
    day = ChaosDay(seed, 0.03, script=script)
    day.policy = replace(day.policy, budget=budget)
    return day


def mind_no_budget(patch: Patch) -> None:
    """Nothing is paced and nothing ends."""
    patch.setattr(affording, "survey", lambda *_: affording.Survey())
    patch.setattr(affording, "begins", lambda *_: None)


def end_nothing(patch: Patch) -> None:
    """What runs goes on, however little is left."""
    patch.setattr(affording, "_ending", lambda *_: {})
    patch.setattr(budgets.Standing, "target_rate", property(lambda _: Decimal(1000)))


def count_no_fees(patch: Patch) -> None:
    """The exchange takes its percentage all the same."""
    original = budgets._spent

    def without(*arguments: object) -> Decimal:
        return original(*arguments) / Decimal("1.5")  # type: ignore[arg-type]  # handed on as they came

    patch.setattr(budgets, "_spent", without)
    patch.setattr(budgets.Standing, "target_rate", property(lambda _: Decimal(1000)))


def test_a_budget_that_is_soon_spent_is_kept() -> None:
    """Everything ends in time, and nothing else is violated by it."""
    outcome = day_with(Budget(usd_per_day=LITTLE, usd_per_month=LITTLE)).run()
    assert outcome.orders_created > 0
    assert outcome.violations == []


@pytest.mark.parametrize("how", [mind_no_budget, end_nothing, count_no_fees])
def test_a_daemon_that_spends_beyond_it_breaks_the_budget(
    monkeypatch: Patch, how: Callable[[Patch], None]
) -> None:
    """By the exchange's own book, whatever the daemon's says."""
    how(monkeypatch)
    said = caught(day_with(Budget(usd_per_day=LITTLE)), "budget")
    assert said is not None
    assert "the daily budget of all strategies is 0.10 USD" in said


def test_a_budget_of_one_strategy_is_judged_by_itself(monkeypatch: Patch) -> None:
    """What the other one spends is no part of it."""
    mind_no_budget(monkeypatch)
    day = day_with(Budget())
    first, *others = day.policy.targets
    mine = replace(first, budget=Budget(usd_per_day=LITTLE))
    day.policy = replace(day.policy, targets=(mine, *others))
    said = caught(day, "budget")
    assert said is not None
    assert f"the daily budget of {first.name} is 0.10 USD" in said


def test_what_the_wire_doubles_nobody_can_end() -> None:
    """Two orders on one server are frozen until a person decides, and cost money."""
    twice = (Scripted(kind="delivered twice", endpoint="create_order"),)
    day = day_with(Budget(usd_per_day=LITTLE), seed=7, script=twice)
    assert day.run().violations == []
    assert Decimal(day.referee.report(day.transport.now())["spend_usd"]) > LITTLE
