"""What is shown of budgets, and what of them is news."""

from dataclasses import replace
from datetime import timedelta
from decimal import Decimal

from builders import NOW, TARGET, at, make_holding, make_policy, make_target, make_view

from bidder.app.budgets_told import BudgetsTold, shown
from bidder.domain import budgets, planning
from bidder.domain.costs import Spent
from bidder.domain.money import Currency, Price
from bidder.domain.notices import Event, Notice
from bidder.domain.pacing import Multiplier
from bidder.domain.policy import Budget
from bidder.domain.view import View

POLICY = make_policy(
    make_target(budget=Budget(usd_per_month=Decimal(300))), budget=Budget(usd_per_day=Decimal(10))
)


def spent(usd: str, **changes: object) -> View:
    """Return a view after so much was spent today, by orders that are over."""
    over = Spent(at=at(-60), day=Decimal(usd), month=Decimal(usd))
    return replace(make_view(POLICY, spent={TARGET: over}), **changes)  # type: ignore[arg-type]  # of a view


def told(teller: BudgetsTold, view: View, *, minutes: float = 0) -> list[Notice]:
    """Return what is news so many minutes after noon."""
    now = NOW + timedelta(minutes=minutes)
    return list(teller.notices(now, view, POLICY, planning.plan(view, POLICY, now)))


def test_each_budget_is_shown_as_it_stands() -> None:
    """Spent, left, rates, multiplier and state; that of all first."""
    view = spent("4", multipliers={"day": Multiplier(value=0.5)})

    whole, own = shown(view, POLICY, NOW, ())

    assert (whole["target"], whole["period"], whole["state"], whole["multiplier"]) == (
        None,
        "day",
        "paced",
        0.5,
    )
    assert whole["left"] == {"amount": "6", "currency": "USD"}
    assert whole["target_per_day"] == {"amount": "11.8", "currency": "USD"}
    assert whole["ends_at"] == "2026-03-02T00:00:00Z"
    assert (own["target"], own["period"], own["state"]) == (TARGET, "month", "free")
    assert own["ends_at"] == "2026-04-01T00:00:00Z"


def test_a_budget_that_ends_an_order_is_shown_as_spent() -> None:
    """By the decisions: with no order left there is nothing that it could end."""
    view = spent("10", holdings={1: make_holding(1)})

    whole, own = shown(view, POLICY, NOW, planning.plan(view, POLICY, NOW))

    assert (whole["state"], own["state"]) == ("spent", "free")


def test_without_a_rate_the_amounts_are_not_known() -> None:
    """It says so, and shows the limit."""
    price = Price(Decimal(1), Currency.named("nosuchcoin"))
    holding = make_holding(1)
    odd = replace(holding, order=replace(holding.order, price=price))

    whole, _ = shown(spent("1", holdings={1: odd}), POLICY, NOW, ())

    assert (whole["state"], whole["spent"], whole["multiplier"]) == ("unknown", None, None)
    assert whole["limit"] == {"amount": "10", "currency": "USD"}


def test_an_order_that_cannot_be_valued_is_told_once_it_lasts() -> None:
    """Not a gap between two reads; and what else is news of the budgets is told as ever."""
    price = Price(Decimal(1), Currency.named("nosuchcoin"))
    holding = make_holding(1, target=None)
    odd = {1: replace(holding, order=replace(holding.order, price=price))}
    teller = BudgetsTold()
    assert told(teller, spent("1", holdings=odd)) == []

    (nearly,) = told(teller, spent("9.2", holdings=odd), minutes=5)
    (blind,) = told(teller, spent("9.2", holdings=odd), minutes=10)

    assert "is 92% spent" in nearly.title
    assert blind.event is Event.BUDGET
    assert blind.title == "what is paid in nosuchcoin cannot be valued: no rate to USD is known"
    assert "the daily budget of all strategies:" in blind.text
    assert blind.text.endswith("Orders: 1.")
    assert told(teller, spent("9.2", holdings=odd), minutes=15) == []
    assert told(teller, spent("9.2"), minutes=20) == []
    assert told(teller, spent("9.2", holdings=odd), minutes=25) == []
    assert [n.title for n in told(teller, spent("9.2", holdings=odd), minutes=36)] == [blind.title]


def test_a_budget_is_shown_as_spent_also_where_a_rate_is_missing() -> None:
    """What can be valued suffices for that."""
    price = Price(Decimal(1), Currency.named("nosuchcoin"))
    holding = make_holding(1, target=None)
    odd = {1: replace(holding, order=replace(holding.order, price=price))}

    whole, own = shown(spent("10", holdings=odd), POLICY, NOW, ())

    assert (whole["state"], whole["spent"]) == ("spent", None)
    assert (own["state"], own["spent"]) == ("free", {"amount": "10", "currency": "USD"})


def test_a_spent_budget_is_told_once_for_its_day() -> None:
    """Nine tenths at noon are early, and then all of it; the next day is another one."""
    teller = BudgetsTold()
    assert told(teller, spent("1")) == []

    (nearly,) = told(teller, spent("9.2"), minutes=2)
    ending = spent("10", holdings={1: make_holding(1)})
    (over,) = told(teller, ending, minutes=4)

    assert (nearly.event, over.event) == (Event.BUDGET, Event.BUDGET)
    assert (
        nearly.title
        == "the daily budget of all strategies is 92% spent, long before 2026-03-02 00:00 UTC"
    )
    assert over.title.startswith("the daily budget of all strategies is spent: 10.0")
    assert told(teller, ending, minutes=6) == []
    assert told(teller, spent("1"), minutes=8) == []
    assert told(teller, ending, minutes=10) == [], "it was told today"


def test_what_stood_there_at_the_start_is_no_news() -> None:
    """Nor is a budget that is nearly spent in the evening."""
    assert told(BudgetsTold(), spent("9.5")) == []
    teller = BudgetsTold()
    told(teller, spent("1"))
    late = replace(
        spent("9.9"), spent={TARGET: Spent(at=at(3600 * 11), day=Decimal("9.9"), month=Decimal(0))}
    )

    assert told(teller, late, minutes=60 * 11) == []
    assert budgets.standings(late, POLICY, at(3600 * 11))[0].spent == Decimal("9.9")
