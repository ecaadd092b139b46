"""One read that fails for long while everything else answers: the rest of the work goes on."""

import json
from collections import Counter
from collections.abc import Callable
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from virtual import Day, begin, wanting

from bidder.app.telling import Teller
from bidder.domain.money import Currency, Price
from bidder.domain.notices import Event, Notice
from bidder.domain.policy import Ceiling, Per
from bidder.sim.answers import Answer, Request

MINUTES = timedelta(minutes=1)
BROKEN = Answer(status=502, body=b"<html>")
NOT_THERE = Answer(status=200, body=b'{"code": 0, "exists": false, "market": null}')


class Failing:
    """An exchange of which some requests fail; counts what is asked of it and what it answers."""

    def __init__(self, day: Day) -> None:
        """Answer everything until ``fails`` says otherwise."""
        self.fails: Callable[[Request], bool] = lambda _: False
        self.answers = BROKEN
        self.asked: Counter[str] = Counter()
        self.answered: Counter[str] = Counter()
        self._real = day.exchange.handle
        day.exchange.handle = self.handle  # type: ignore[method-assign]

    def handle(self, request: Request, now: datetime) -> Answer:
        """Answer one request, or fail."""
        name = request.path.rpartition("/")[2] + (f"?{request.query}" if request.query else "")
        self.asked[name] += 1
        if self.fails(request):
            return self.answers
        self.answered[name] += 1
        return self._real(request, now)

    def begin_to_fail(self, *endpoints: str) -> None:
        """Fail each request whose path and query begin so from now on, and count anew."""
        self.asked.clear()
        self.answered.clear()
        self.fails = lambda request: f"{request.path}?{request.query}".rpartition("/")[2].startswith(
            endpoints
        )

    def books(self, day: Day) -> dict[int, int]:
        """Return how often the book of each server was read on which an order of ours lives."""
        servers = [order["server"] for order in day.live()]
        return {server: self.answered[f"spot_marketplace?market={server}"] for server in servers}


def filled() -> tuple[Day, Failing]:
    """Return a day whose five slots are filled, nine minutes after its begin."""
    day = begin(rivals=False)
    failing = Failing(day)
    day.run(9 * MINUTES)
    assert len(day.live()) == 5
    return day, failing


def displace(day: Day, which: int) -> dict[str, Any]:
    """Have a rival outbid one of our orders by a twentieth, and return that order."""
    order = day.live()[which]
    market = day.exchange.market
    stall = market.stalls[order["server"]]
    running = market.live[order["id"]]
    price = (running.price * Decimal("1.05")).quantize(Decimal("1e-8"))
    market.admit(stall, currency=running.currency, price=price)
    market.settle(stall)
    assert not running.active
    return order


def runs(day: Day, order: dict[str, Any]) -> bool:
    """Return whether an order of ours runs again."""
    return day.exchange.market.live[order["id"]].active


@pytest.mark.parametrize(
    ("endpoint", "most"), [("wallets?", 40), ("marketplace?", 40), ("my_orders?", 130)]
)
def test_the_books_are_read_and_what_is_displaced_is_regained(endpoint: str, most: int) -> None:
    """The daemon reads on at its usual pace, and tries the broken endpoint now and then."""
    day, failing = filled()
    failing.begin_to_fail(endpoint)
    day.run(15 * MINUTES)
    lost = displace(day, 0)
    day.run(15 * MINUTES)
    assert runs(day, lost)
    assert min(failing.books(day).values()) > 250
    asked = sum(count for name, count in failing.asked.items() if f"{name}?".startswith(endpoint))
    assert 20 < asked < most


def test_one_of_our_servers_does_not_hide_the_others() -> None:
    """Of five one cannot be read, at the very time at which a rival has it."""
    day, failing = filled()
    mute, lost = displace(day, 0), day.live()[1]
    failing.begin_to_fail(f"spot_marketplace?market={mute['server']}")
    day.run(15 * MINUTES)
    displace(day, 1)
    day.run(15 * MINUTES)
    assert runs(day, lost)
    read = failing.books(day)
    assert read.pop(mute["server"]) == 0
    assert min(read.values()) > 300
    failing.fails = lambda _: False
    day.run(3 * MINUTES)
    assert runs(day, mute)


@pytest.mark.parametrize("book", [BROKEN, NOT_THERE])
def test_a_price_that_the_owner_forbids_is_left_without_its_book(book: Answer) -> None:
    """Its book cannot be read, or shows no offer of ours; what our orders tell suffices to go."""
    day, failing = filled()
    order = day.live()[0]
    failing.answers = book
    failing.begin_to_fail(f"spot_marketplace?market={order['server']}")
    day.run(5 * MINUTES)
    assert order["id"] in day.app.trader.view.holdings
    assert failing.asked["my_orders?return_completed=true"] <= 40
    target = day.app.trader.view.holdings[order["id"]].target or ""
    forbidding = Ceiling(price=Price(Decimal("0.01"), Currency.USD), per=Per.SERVER)
    day.app.trader.next_policy = wanting(day.policy, target, ceiling=forbidding, value=None)
    day.run(2 * MINUTES)
    assert order["id"] not in {live["id"] for live in day.live()}


@pytest.mark.parametrize("endpoint", ["wallets?", "marketplace?"])
def test_what_fails_from_the_start_hides_nothing(endpoint: str) -> None:
    """The balances need not be known to fill slots; without a marketplace what runs is looked after."""
    day = begin(rivals=False)
    failing = Failing(day)
    failing.begin_to_fail(endpoint)
    day.run(10 * MINUTES)
    assert len(day.live()) == (5 if endpoint == "wallets?" else 0)
    assert failing.answered["my_orders"] > 15
    failing.fails = lambda _: False
    day.run(10 * MINUTES)
    assert len(day.live()) == 5


def test_the_next_best_server_is_taken_where_the_best_ones_book_cannot_be_read() -> None:
    """The same day once more, without the server that was taken first."""
    usual, _ = filled()
    best = {order["server"] for order in usual.live()}
    first = next(report.acted.action.server for report in usual.reports if report.acted is not None)
    day = begin(rivals=False)
    failing = Failing(day)
    failing.begin_to_fail(f"spot_marketplace?market={first}")
    day.run(9 * MINUTES)
    taken = {order["server"] for order in day.live()}
    assert len(taken) == 5
    assert best - taken == {first}
    assert failing.asked[f"spot_marketplace?market={first}"] < 15


def test_bids_are_placed_and_settled_where_the_ended_orders_cannot_be_read() -> None:
    """Once they were read at all: what is running tells enough."""
    day = begin(rivals=False)
    failing = Failing(day)
    day.run(timedelta(seconds=5))
    failing.begin_to_fail("my_orders?return_completed")
    day.run(15 * MINUTES)
    assert len(day.live()) == 5
    assert day.app.trader.view.intents == ()
    assert len(day.app.trader.view.holdings) == 5
    failing.begin_to_fail("my_orders?return_completed")
    market = day.exchange.market
    market.end(market.live[day.live()[0]["id"]], "host")
    day.run(15 * MINUTES)
    assert len(day.live()) == 4, "which order has ended is told by no other read"
    assert min(failing.books(day).values()) > 150
    assert 20 < failing.asked["my_orders?return_completed=true"] < 60


def test_an_ended_order_that_cannot_be_read_keeps_nothing_from_beginning() -> None:
    """It stands in the account's history for good, with a price of null."""
    day = begin(rivals=False)
    real = day.exchange.handle

    def with_history(request: Request, now: datetime) -> Answer:
        answer = real(request, now)
        if not request.path.endswith("my_orders") or "return_completed" not in request.query:
            return answer
        content = json.loads(answer.body, parse_float=Decimal)
        content["orders"].append({"id": 1, "si": 1, "ct": 1, "price": None, "expired": True})
        return Answer(status=200, body=json.dumps(content, default=float).encode())

    day.exchange.handle = with_history  # type: ignore[method-assign]
    day.run(10 * MINUTES)
    assert len(day.live()) == 5


def test_a_person_is_told_of_the_one_that_fails() -> None:
    """Once, after ten minutes, and not that the exchange is out of reach."""
    day, failing = filled()
    failing.begin_to_fail("wallets?")
    teller = Teller()
    notices: list[Notice] = []

    def tell(report: Any) -> None:
        trader = day.app.trader
        unreachable = trader.failures > 0
        notices.extend(teller.notices(report, trader.view, trader.policy, unreachable=unreachable))

    day.run(40 * MINUTES, on_pass=tell)
    told = [n.title for n in notices if n.event in {Event.BLOCKED, Event.UNREACHABLE}]
    assert told == ["the wallets cannot be read, though the exchange answers other requests"]
    assert told[0] in day.reports[-1].standing
    failing.fails = lambda _: False
    day.run(5 * MINUTES)
    assert day.reports[-1].standing == ()
