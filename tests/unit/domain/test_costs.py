"""What an order has cost, and in which day and month: never too little of it counts as today's."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from builders import (
    NOW,
    ORDER,
    RATES,
    TARGET,
    make_holding,
    make_order,
    make_policy,
    make_view,
    read_orders,
    usd,
)
from hypothesis import given
from hypothesis import strategies as st

from bidder.domain import fold
from bidder.domain.costs import Cost, Period, Spent
from bidder.domain.market import OwnOrder
from bidder.domain.money import Currency, Money, Rates

MIDNIGHT = datetime(2026, 4, 1, tzinfo=UTC)
PRICE = usd("24")
HOUR = timedelta(hours=1)
NEARLY = Decimal("1e-9")
DAY, MONTH = Period.DAY, Period.MONTH


def bill(spend: str, currency: Currency = Currency.USD, **changes: Any) -> OwnOrder:
    """Return an order of 24 USD a day, without a fee, that shows so much spend."""
    usual = {"price": PRICE, "spend": Money.parse(spend, currency), "fee_percent": 0.0}
    return make_order(**{**usual, **changes})


def counted(before: Cost, order: OwnOrder, *, since: datetime, at: datetime) -> Cost:
    """Return the cost once the bill is counted."""
    return before.charged(order, RATES, dearest=PRICE, percent=Decimal(5), since=since, at=at)


def test_the_periods_are_those_of_the_utc_calendar() -> None:
    """Days, and months of each length."""
    assert (DAY.began(NOW), DAY.ends(NOW)) == (NOW.replace(hour=0), NOW.replace(hour=0) + 24 * HOUR)
    ends = [MONTH.ends(datetime(2028, month, 15, 7, tzinfo=UTC)) for month in (1, 2, 12)]
    assert [(end.year, end.month, end.day) for end in ends] == [(2028, 2, 1), (2028, 3, 1), (2029, 1, 1)]


def test_fees_are_part_of_the_cost() -> None:
    """The percentage on the spend, its usual value where the order shows none, and the creation fee."""
    fee = Money.parse("0.02", Currency.USD)
    shown = counted(Cost(), bill("10", fee_percent=2.5, creation_fee=fee), since=NOW, at=NOW)
    silent = counted(Cost(), bill("10", fee_percent=None), since=NOW, at=NOW)

    assert (shown.usd, silent.usd) == (Decimal("10.27"), Decimal("10.5"))


def test_a_charge_seen_after_midnight_is_todays_as_far_as_it_can_be() -> None:
    """Ten minutes after midnight no more than eleven minutes' running can be of the new day."""
    order = bill("1", created_at=MIDNIGHT - 3 * HOUR)
    evening = counted(Cost(), order, since=MIDNIGHT - 2 * HOUR, at=MIDNIGHT - HOUR)

    after = counted(evening, bill("3"), since=MIDNIGHT - HOUR, at=MIDNIGHT + timedelta(minutes=10))

    eleven_minutes = pytest.approx(Decimal(11) / 60, abs=NEARLY)
    assert after.within(DAY, MIDNIGHT + HOUR) == eleven_minutes
    assert after.within(MONTH, MIDNIGHT + HOUR) == eleven_minutes
    assert after.usd == 3
    assert after.within(DAY, MIDNIGHT + 24 * HOUR) == 0
    assert after.within(MONTH, MIDNIGHT + 24 * HOUR) == eleven_minutes


def test_what_was_never_counted_is_dated_by_its_order() -> None:
    """An order from before this was counted brings today only what it can have cost today."""
    old = bill("100", created_at=MIDNIGHT - 100 * HOUR)

    cost = counted(Cost(), old, since=MIDNIGHT + HOUR, at=MIDNIGHT + 2 * HOUR)

    two_hours = Decimal(2) + Decimal(1) / 60
    assert cost.within(DAY, MIDNIGHT + 3 * HOUR) == pytest.approx(two_hours, abs=NEARLY)


def test_what_cannot_be_valued_is_counted_once_there_is_a_rate() -> None:
    """Nothing is lost while a rate is missing."""
    order = bill("0.001", Currency.BTC)
    unvalued = Cost().charged(order, Rates(), dearest=PRICE, percent=Decimal(0), since=NOW, at=NOW)

    assert unvalued == Cost()
    assert counted(unvalued, order, since=NOW, at=NOW).usd == 50


@given(
    minutes=st.lists(st.integers(1, 3000), min_size=1, max_size=30),
    shares=st.lists(st.floats(0, 1), min_size=30, max_size=30),
)
def test_the_parts_never_miss_what_a_period_has_cost(minutes: list[int], shares: list[float]) -> None:
    """An order that runs for parts of the time: each day's part is at least what it ran up that day.

    And it is at most a read's minute more than that where it was read often; in all it is exact.
    """
    cost, at, spent = Cost(), MIDNIGHT - 30 * HOUR, Decimal(0)
    begun, in_period = at, {period: Decimal(0) for period in Period}
    for span, part in zip(minutes, shares, strict=False):
        since, at = at, at + timedelta(minutes=span)
        ran = timedelta(minutes=round(span * part))
        spent += Decimal(ran // timedelta(minutes=1)) / 60
        cost = counted(cost, bill(str(round(spent, 12)), created_at=begun), since=since, at=at)
        for period in Period:
            # It ran as late as it can have within the time between two looks.
            late = min(ran, at - max(since, period.began(at)))
            if period.began(at) > since:
                in_period[period] = Decimal(0)
            in_period[period] += Decimal(late // timedelta(minutes=1)) / 60

    assert cost.usd == pytest.approx(spent, abs=NEARLY)
    for period in Period:
        assert cost.within(period, at) >= in_period[period] - NEARLY
        assert cost.within(period, at) <= in_period[period] + Decimal(1) / 60 + NEARLY


def test_ended_orders_are_summed_by_period() -> None:
    """A sum forgets the day, and then the month, that is over."""
    cost = counted(Cost(), bill("5", created_at=MIDNIGHT), since=MIDNIGHT, at=MIDNIGHT + HOUR)
    spent = Spent().plus((cost, cost), MIDNIGHT + HOUR)
    tomorrow = MIDNIGHT + 25 * HOUR

    assert (spent.within(DAY, MIDNIGHT + 2 * HOUR), spent.within(MONTH, tomorrow)) == (
        Decimal(10),
        Decimal(10),
    )
    assert spent.within(DAY, tomorrow) == 0
    assert spent.plus((), MIDNIGHT + 800 * HOUR) == Spent(at=MIDNIGHT + 800 * HOUR)


def test_a_cancelled_order_counts_with_its_final_bill() -> None:
    """What was known when it went, and the rest once the exchange says it, of the day of its end."""
    begun = bill("1", created_at=MIDNIGHT - HOUR, mrl=90 * HOUR)
    read = read_orders(begun, started=(MIDNIGHT - NOW).total_seconds() - 900)
    policy = make_policy()
    view = fold.orders(make_view(policy), read, (), policy, MIDNIGHT - HOUR / 4).view
    gone = fold.withdrawn(view, ORDER, MIDNIGHT - timedelta(minutes=2))
    final = bill("1.3", created_at=MIDNIGHT - HOUR, mrl=90 * HOUR, expired=True)
    later = read_orders(final, started=(MIDNIGHT - NOW).total_seconds() + 60)

    done = fold.orders(gone, later, (), policy, MIDNIGHT + timedelta(minutes=1))

    assert gone.closing[ORDER].cost.usd == 1
    assert done.costs[ORDER].usd == Decimal("1.3")
    assert not done.view.closing
    spent = done.view.spent[""]
    assert (spent.within(DAY, MIDNIGHT + HOUR), done.costs[ORDER].within(MONTH, NOW)) == (
        Decimal(0),
        Decimal("1.3"),
    )


def final_spent(*, hours_before_midnight: float, mrl: timedelta) -> Spent:
    """Return what is spent once an order is found ended, twenty hours into the next day.

    It was seen last 22 hours before midnight, and cost a dollar an hour.
    """
    begun, last = MIDNIGHT - 48 * HOUR, MIDNIGHT - 22 * HOUR
    order = bill("26", created_at=begun, mrl=mrl)
    cost = counted(Cost(), order, since=begun, at=last)
    held = make_holding(order=order, first_seen_at=begun, last_seen_at=last, cost=cost)
    policy, back = make_policy(), MIDNIGHT + 20 * HOUR
    final = replace(
        order, expired=True, spend=Money.parse(str(48 - hours_before_midnight), Currency.USD)
    )
    read = read_orders(final, started=(back - NOW).total_seconds())
    view = make_view(policy, holdings=[held], orders_at=last, completed_at=last)
    return fold.orders(view, read, (), policy, back).view.spent[TARGET]


def test_an_order_whose_time_ran_out_yesterday_costs_nothing_today() -> None:
    """A daemon that was down finds it ended a day later; what it cost then is of the day of its end."""
    spent = final_spent(hours_before_midnight=1, mrl=47 * HOUR)

    assert spent.within(DAY, MIDNIGHT + 21 * HOUR) == 0


def test_an_order_that_ended_before_its_time_may_have_cost_today() -> None:
    """Nobody knows when it went: what it can have cost today is counted."""
    spent = final_spent(hours_before_midnight=-5, mrl=96 * HOUR)

    assert spent.within(DAY, MIDNIGHT + 21 * HOUR) == pytest.approx(Decimal(20) + Decimal(1) / 60)
