"""An order of ours is away from our orders for longer than anything explains, and then it is listed."""

from collections import Counter
from datetime import timedelta

import pytest
from virtual import Day, begin, unhurried

from bidder.sim.moments import SECOND

HOUR = timedelta(hours=1)


def looked_after(day: Day) -> Counter[str | None]:
    """Return how many of the account's live orders the daemon holds for each target."""
    holdings = day.app.trader.view.holdings
    live = [order["id"] for order in day.live()]
    return Counter(holdings[order].target if order in holdings else None for order in live)


def wanted(day: Day) -> Counter[str | None]:
    """Return how many orders each target wants."""
    return Counter({target.name: target.want for target in day.policy.targets})


@pytest.mark.parametrize("minutes", [4, 25])
def test_an_order_that_is_left_out_for_long_is_not_left_running(minutes: int) -> None:
    """It has a successor by then: one of the two goes, and nothing is anybody else's."""
    day = begin(rivals=False, shape=unhurried)
    day.run(timedelta(minutes=10))
    assert looked_after(day) == wanted(day)
    hidden = day.exchange.market.own[day.live()[0]["id"]]
    hidden.listed_from = day.exchange.market.at + minutes * 60 * SECOND
    day.run(timedelta(minutes=minutes))
    assert len(day.live()) == 6, "its successor was ordered meanwhile"
    day.run(HOUR)
    assert looked_after(day) == wanted(day)


def test_an_accepted_order_that_is_listed_when_it_was_given_up_is_its_targets() -> None:
    """Half an hour late, and all that was asked for."""
    day = begin(rivals=False, shape=unhurried)
    while not day.live():
        day.run(timedelta(seconds=1))
    late = day.exchange.market.own[day.live()[0]["id"]]
    late.listed_from = day.exchange.market.at + 1800 * SECOND
    day.run(timedelta(minutes=9))
    assert len(day.live()) == 5, "its slot counts as taken"
    day.run(timedelta(minutes=15))
    assert len(day.live()) == 6, "and is not empty for ever"
    day.run(HOUR)
    assert looked_after(day) == wanted(day)
