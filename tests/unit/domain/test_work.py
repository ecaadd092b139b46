"""What an order has computed follows from what it has cost."""

from dataclasses import replace
from datetime import timedelta
from decimal import Decimal

from builders import (
    ORDER,
    at,
    make_holding,
    make_intent,
    make_listing,
    make_order,
    make_policy,
    make_target,
    make_view,
    mine,
    read_orders,
    usd,
)
from hypothesis import given
from hypothesis import strategies as st

from bidder.domain import fold, intents
from bidder.domain.actions import Reprice
from bidder.domain.intents import IntentKind
from bidder.domain.market import Book, OrderKind
from bidder.domain.money import Currency, Money
from bidder.domain.view import View
from bidder.domain.work import Work

MINUTE = timedelta(minutes=1)
POLICY = make_policy(make_target(restart=5 * MINUTE))


def spent(usd_per_day: str, minutes: int) -> Money:
    """Return what so many minutes cost."""
    return Money(Decimal(usd_per_day) * minutes / 1440, Currency.USD)


def after_read(view: View, spend: Money, *, started: float = 0, price: str = "2") -> View:
    """Return the view after a read of our one order with this spend."""
    read = read_orders(make_order(price=usd(price), spend=spend), started=started)
    return fold.orders(view, read, (), POLICY, at(started)).view


def holding_view(work: Work | None = None) -> View:
    """Return a view of one order at 2 USD per day on a server of two GPUs."""
    return make_view(POLICY, make_listing(gpus=2), holdings=[make_holding(work=work or Work())])


def test_running_is_what_was_charged_over_the_price() -> None:
    """At 2 USD per day, 30 minutes' worth of spend is half an hour on each GPU."""
    view = after_read(holding_view(), spent("2", 30))

    assert view.holdings[ORDER].work.gpu_time == 60 * MINUTE


def test_a_start_computes_nothing() -> None:
    """The first five minutes of a new order are its start."""
    order = make_order(price=usd("2"), spend=spent("2", 12))
    intent = make_intent(IntentKind.PLACE, accepted=True)
    view = make_view(POLICY, make_listing(), intents=(intent,))
    read = read_orders(order, started=300)
    verdicts = intents.settle(view.intents, read, grace=2 * MINUTE)

    work = fold.orders(view, read, verdicts, POLICY, at(301)).view.holdings[ORDER].work

    assert (work.computed, work.starting) == (7 * MINUTE, timedelta(0))


def test_an_offer_that_runs_again_starts_again() -> None:
    """After an interruption the start is lost once more; what was computed stays."""
    work = Work(computed=60 * MINUTE)
    outbid = replace(make_holding(work=work), active=False, outbid_since=at(-60))
    view = make_view(POLICY, make_listing(), holdings=[outbid])
    running = Book(server=outbid.order.server, offers=(mine(usd("2"), active=True),))

    view, _ = fold.book(view, running, POLICY, at=at(0))

    assert view.holdings[ORDER].work == replace(work, starting=5 * MINUTE)


def test_a_restart_of_the_daemon_is_no_start_of_the_server() -> None:
    """What ran when the daemon went and runs when it is back has not lost anything."""
    work = Work(computed=60 * MINUTE)
    forgotten = replace(make_holding(work=work), active=None, outbid_since=None)
    view = make_view(POLICY, make_listing(), holdings=[forgotten])
    running = Book(server=forgotten.order.server, offers=(mine(usd("2"), active=True),))

    view, _ = fold.book(view, running, POLICY, at=at(0))

    assert view.holdings[ORDER].work == work


def test_a_minute_before_a_lowering_is_not_counted_twice() -> None:
    """What was charged at the old price is divided by the old price."""
    view = holding_view()
    lowering = Reprice(
        order=ORDER,
        server=view.holdings[ORDER].order.server,
        current=usd("2"),
        price=usd("1"),
        target="render",
    )
    view = fold.repriced(view, lowering, sent_at=at(1), now=at(2))

    view = after_read(view, spent("2", 10), started=30, price="1")

    assert view.holdings[ORDER].work.computed == 10 * MINUTE


def test_ended_orders_keep_their_part_of_the_job() -> None:
    """A cancelled order's work stays with its target; a person's order has none."""
    view = holding_view(work=Work(gpus=2, computed=60 * MINUTE))

    assert fold.withdrawn(view, ORDER).computed == {"render": 120 * MINUTE}


@given(
    minutes=st.lists(st.tuples(st.integers(1, 90), st.sampled_from(["1", "1.5", "2", "7"])), max_size=6),
    restart=st.integers(0, 30),
)
def test_no_more_is_counted_than_ran(minutes: list[tuple[int, str]], restart: int) -> None:
    """Whatever the price does between two reads, the count is at most the time less the start."""
    work = Work().started(restart * MINUTE)
    spend, price = Money.zero(Currency.USD), usd("2")
    for length, after in minutes:
        new = spend + spent(str(price.amount), length)
        # The reader sees the new price together with what the old one has cost.
        work = work.lowered_from(price) if usd(after) < price else work
        work = work.charged(spend, new, max(price, usd(after)))
        spend, price = new, usd(after)

    ran = sum(length for length, _ in minutes) * MINUTE
    assert work.computed <= max(timedelta(0), ran - restart * MINUTE)
    assert work.computed + work.starting >= timedelta(0)


def test_an_order_on_demand_counts_from_its_spend_alone() -> None:
    """Its book says nothing of it: it runs as long as it is charged."""
    order = make_order(kind=OrderKind.ON_DEMAND, price=usd("10"))
    view = make_view(POLICY, make_listing(), holdings=[make_holding(order=order, active=None)])
    paid = replace(order, spend=spent("10", 60))

    view = fold.orders(view, read_orders(paid), (), POLICY, at(0)).view

    assert view.holdings[ORDER].work.computed == 60 * MINUTE
