"""What the exchange refuses again and again: everything else goes on, and a person is told."""

import json
from collections import Counter
from datetime import datetime, timedelta
from decimal import Decimal

import pytest
from virtual import Day, begin, unhurried, wanting

from bidder.domain.money import Currency, Price
from bidder.domain.policy import Ceiling, Per
from bidder.sim.answers import Answer, Request

MINUTES = timedelta(minutes=1)
OVER = Answer(status=200, body=b'{"code": 6, "error": "order_already_ended"}')
TOO_MANY = Answer(status=200, body=b'{"code": 5, "error": "exceeded_api_rate"}')
DONE = Answer(status=200, body=b'{"code": 0}')


class Stubborn:
    """An exchange that cancels nothing: the first time it says that it did, then it answers ``says``."""

    def __init__(self, day: Day, says: Answer, *, claims_first: bool) -> None:
        """Stand before the exchange of ``day``."""
        self.asked: Counter[str] = Counter()
        self._claims = claims_first
        self._says = says
        self._claimed: set[int] = set()
        self._real = day.exchange.handle
        day.exchange.handle = self.handle  # type: ignore[method-assign]

    def handle(self, request: Request, now: datetime) -> Answer:
        """Answer one request."""
        name = request.path.rpartition("/")[2]
        self.asked[name] += 1
        if name != "cancel_order":
            return self._real(request, now)
        order = json.loads(request.body)["id"]
        if self._claims and order not in self._claimed:
            self._claimed.add(order)
            return DONE
        return self._says


def filled() -> Day:
    """Return a day whose five slots are filled."""
    day = begin(rivals=False, shape=unhurried)
    day.run(12 * MINUTES)
    assert len(day.live()) == 5
    return day


def test_an_order_that_is_over_and_listed_all_the_same_stops_nothing_else() -> None:
    """Its second cancellation is refused: it is tried ever more seldom, and a person is told."""
    day = filled()
    exchange = Stubborn(day, OVER, claims_first=True)
    target = day.policy.targets[0]
    day.app.trader.next_policy = wanting(day.policy, target.name, want=target.want - 1)
    day.run(30 * MINUTES)

    assert 3 <= exchange.asked["cancel_order"] <= 6
    assert exchange.asked["my_orders"] >= 60
    assert exchange.asked["spot_marketplace"] >= 300
    told = [text for report in day.reports for text in report.alarms]
    assert any("runs on although it was cancelled" in text for text in told), told


@pytest.mark.parametrize(("says", "books"), [(OVER, 100), (TOO_MANY, 10)])
def test_a_cancellation_that_is_never_carried_out_keeps_nothing_from_being_read(
    says: Answer, books: int
) -> None:
    """A bid far above its ceiling goes first of all, and still not instead of all the rest.

    After each answer that there were too many requests all of them grow rarer.
    """
    day = filled()
    exchange = Stubborn(day, says, claims_first=False)
    tiny = Ceiling(price=Price(Decimal("0.01"), Currency.USD), per=Per.SERVER)
    target = day.policy.targets[0]
    day.app.trader.next_policy = wanting(day.policy, target.name, ceiling=tiny, value=None)
    day.run(20 * MINUTES)

    assert exchange.asked["cancel_order"] >= 10
    assert exchange.asked["my_orders"] >= 15
    assert exchange.asked["marketplace"] >= 3
    assert exchange.asked["spot_marketplace"] >= books
