"""Days on a budget, the whole daemon in virtual time, judged by what the exchange really charged."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest
from jobs import HOUR, USD, Run, begin, server

from bidder.domain import budgets
from bidder.domain.actions import Reason, Withdraw
from bidder.domain.budgets import Standing
from bidder.domain.money import Currency, Price
from bidder.domain.notices import Event
from bidder.domain.policy import Budget, Ceiling, Launch, Pace, Target
from bidder.sim.rules import Rules

MIDNIGHT = datetime(2026, 3, 1, tzinfo=UTC)
# Things are looked at seldom: what these tests are about takes days.
PACE = Pace(
    book_every=timedelta(minutes=2),
    book_stale_after=timedelta(minutes=4),
    orders_every=timedelta(minutes=4),
    marketplace_every=timedelta(minutes=20),
    wallets_every=timedelta(hours=6),
)


def target(*, want: int = 1, ceiling: str = "30") -> Target:
    """Return a target that wants servers of any kind below 30 USD per day."""
    return Target(
        name="render",
        want=want,
        ceiling=Ceiling(price=Price.parse(ceiling, Currency.USD)),
        launch=Launch(image="renderer"),
        currencies=(Currency.USD,),
    )


def days(
    *floors: str,
    want: int = 1,
    start: datetime = MIDNIGHT,
    rules: Rules | None = None,
    pace: Pace = PACE,
    **budget: str,
) -> Run:
    """Return a run on servers at these floors with a budget of all."""
    servers = [
        server(number, floor=floor, on_demand="99") for number, floor in enumerate(floors, start=1)
    ]
    limit = Budget(**{key: Decimal(usd) for key, usd in budget.items()})
    wanted = target(want=want)
    run = begin(wanted, *servers, start=start, rules=rules, budget=limit, pace=pace)
    run.longest_sleep = timedelta(minutes=4)
    return run


def paid(run: Run) -> Decimal:
    """Return what has left the wallet, creation fees and the exchange's percentage included."""
    run.exchange.market.advance(run.exchange.market.at)
    return Decimal(1000) - run.exchange.market.wallets.balance(USD)


def standing(run: Run) -> Standing:
    """Return where the budget stands as the daemon knows it."""
    trader = run.app.trader
    return budgets.standings(trader.view, trader.policy, run.clock.now())[0]


def test_a_daily_budget_is_spent_to_the_end_of_the_day_and_never_beyond() -> None:
    """Of a server that costs four times what is left each day gets its part, spread over it."""
    run = days("20", start=MIDNIGHT + 12 * HOUR, usd_per_day="5")
    parts, before = [], Decimal(0)
    for hours in (4, 4, 4, 2):
        run.run(hours)
        parts.append(paid(run) - before)
        before = paid(run)

    first = sum(parts[:3], Decimal(0))
    assert Decimal("4.75") <= first <= Decimal(5)
    assert all(Decimal("0.6") <= part <= Decimal(3) for part in parts[:3]), parts
    # The new day's first hours: what was learnt yesterday holds.
    assert parts[3] <= Decimal(1)
    assert len(run.orders(spot=True)) <= 12
    assert not run.fouls()
    assert not [notice for notice in run.notices if notice.event is Event.BUDGET]


def test_a_restart_within_the_day_keeps_the_books() -> None:
    """Killed twice, once for an hour, and started on what is on disk: the day's budget is the day's."""
    run = days("20", "21", want=2, start=MIDNIGHT + 12 * HOUR, usd_per_day="12")
    run.run(3)
    before = standing(run)
    run.restart_daemon()
    after = standing(run)
    assert (after.spent, after.multiplier) == (before.spent, before.multiplier)
    assert after.spent > 1
    run.run(3)
    run.clock.advance(3600)
    run.restart_daemon()

    run.run(5)

    assert Decimal("11.4") <= paid(run) <= Decimal(12)
    assert not run.fouls()


@pytest.mark.parametrize("billing", ["begun_minutes", "pro_rata", "full_minutes"])
def test_a_budget_that_is_far_too_small_ends_everything_in_time(billing: str) -> None:
    """However the exchange counts minutes; the owner is told once, and nothing is begun again."""
    quick = replace(PACE, orders_every=timedelta(seconds=30), book_every=timedelta(seconds=60))
    rules = Rules(billing=billing)  # type: ignore[arg-type]  # one of its words
    start = MIDNIGHT + 18 * HOUR
    run = days("20", "20", "20", want=3, start=start, rules=rules, pace=quick, usd_per_day="0.5")

    run.run(1)

    assert Decimal("0.45") <= paid(run) <= Decimal("0.5")
    assert not run.live()
    gone = [d.decision.reason for d in run.deeds if isinstance(d.action, Withdraw)]
    assert Reason.BUDGET_SPENT in gone
    told = [notice.title for notice in run.notices if notice.event is Event.BUDGET]
    assert (
        len([title for title in told if title.startswith("the daily budget of all strategies is sp")])
        == 1
    )
    assert not run.fouls()


def test_a_monthly_budget_is_filled_up_again_at_the_turn_of_the_utc_month() -> None:
    """Spent on the 31st: nothing runs until midnight, and then the new month pays."""
    run = days("28", start=datetime(2026, 3, 31, 22, tzinfo=UTC), usd_per_month="1")

    run.run(2)
    march = paid(run)
    assert Decimal("0.9") <= march <= Decimal(1)
    assert not run.live()
    run.run(0.5)

    assert run.live()
    assert Decimal("0.4") <= paid(run) - march <= Decimal(1)
    assert not run.fouls()


def test_the_cheapest_hours_get_the_money() -> None:
    """Where a rival is cheap at first and dear later, the cheap hours are bought whole."""
    run = days("1", start=MIDNIGHT + 14 * HOUR, usd_per_day="4")
    for hour in range(10):
        price = "4" if hour < 5 else "24"
        run.at(hour, lambda r, p=price: r.rival(p, lasting=0.999))  # type: ignore[misc]  # bound now
    run.run(5)
    cheap = paid(run)
    run.run(5)

    assert cheap >= Decimal("0.75")
    assert Decimal("3.8") <= paid(run) <= 4
