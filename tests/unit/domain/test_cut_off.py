"""Orders that ended before their time: whose doing it was, by what the market shows afterwards."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from builders import (
    BID,
    NOW,
    ORDER,
    SERVER,
    at,
    btc,
    make_book,
    make_holding,
    make_intent,
    make_listing,
    make_order,
    make_policy,
    make_view,
    mine,
    read_orders,
    rival,
    seen,
    usd,
)

from bidder.domain import cut_off, fold, planning
from bidder.domain.actions import PlaceBid, Reason
from bidder.domain.intents import IntentKind
from bidder.domain.market import Book, OrderKind
from bidder.domain.price_rules import LoweringClock
from bidder.domain.view import Cancelled, Holding, View

POLICY = make_policy()
ENDED = replace(make_order(), expired=True)
RUNNING = make_book(mine(BID, active=True))


def over(holding: Holding | None = None, *, listed: Any = ENDED, **changes: Any) -> View:
    """Return what is known when our order is listed as ended, four days before its time."""
    changes.setdefault("books", [seen(RUNNING)])
    listing = changes.pop("listing", make_listing())
    view = make_view(POLICY, listing, holdings=[holding or make_holding()], **changes)
    return fold.orders(view, read_orders(listed, started=10), (), POLICY, at(10)).view


def judged(view: View, book: Book, *, market: float = 30, rented: bool = False) -> View:
    """Return the view after its server's book and the marketplace were read."""
    after, _ = fold.book(view, book, POLICY, at=at(20))
    listing = make_listing(rented=rented)
    market_view = make_view(POLICY, listing).marketplace
    after = fold.marketplace(after, market_view, POLICY, at=at(market))
    return fold.ends_judged(after, at(30))


def left_alone(view: View) -> bool:
    """Return whether the server is left alone as after a cancellation."""
    return [s.server for s in view.setbacks if s.reason == cut_off.REASON] == [SERVER]


@pytest.mark.parametrize(
    ("book", "by_somebody"),
    [
        (make_book(), True),
        (make_book(rival(usd("1.9999"), active=True)), True),  # it waited below ours
        (make_book(rival(usd("2"), active=True)), False),  # ties are settled by nobody knows what
        (make_book(rival(btc("0.00005"), active=True)), False),
        (make_book(rival(btc("0.00003"), active=True)), True),
        (make_book(rival(usd("1.5"))), False),  # nobody's bid runs: a tenant has it
        (make_book(online=False), False),
        (make_book(exists=False), False),
    ],
)
def test_the_book_after_its_end_shows_whether_a_rival_took_its_server(
    book: Book, *, by_somebody: bool
) -> None:
    """Where nobody did, a person cancelled it, or the exchange: the server is left alone for an hour."""
    view = over()
    assert set(view.cut_off) == {ORDER}
    after = judged(view, book)
    assert (left_alone(after), dict(after.cut_off)) == (by_somebody, {})
    if by_somebody:
        assert after.setbacks[0].until == at(30) + timedelta(hours=1)


def test_until_it_is_known_nothing_is_ordered_there() -> None:
    """The book is asked for, and once it shows no rival the marketplace tells of a tenant."""
    view = over()
    decisions = planning.plan(view, POLICY, at(10))
    waits = next(d for d in decisions if d.facts.get("ended_early") == ORDER)
    assert (waits.reason, waits.wants_book) == (Reason.CONFIRMING, SERVER)
    assert not any(isinstance(d.action, PlaceBid) for d in decisions)
    stale = judged(view, RUNNING)
    assert set(stale.cut_off) == {ORDER}, "an old answer shows it still"
    unknown = judged(view, make_book(), market=5)
    assert set(unknown.cut_off) == {ORDER}
    assert all(
        d.wants_book is None for d in planning.plan(unknown, POLICY, at(30)) if d.server == SERVER
    )
    rented = judged(view, make_book(), rented=True)
    assert (left_alone(rented), dict(rented.cut_off)) == (False, {})
    never = fold.ends_judged(unknown, at(700))
    assert (left_alone(never), dict(never.cut_off)) == (False, {})


def test_a_book_that_was_read_before_our_orders_suffices() -> None:
    """Its offer is gone from there, which is not to stand idle."""
    gone = make_holding(active=False, outbid_since=at(-2))
    assert left_alone(judged(over(gone, books=[seen(make_book())]), make_book()))
    idle = over(gone, books=[seen(make_book(mine(BID), rival(usd("3"), active=True)))])
    assert not idle.cut_off


def test_a_rental_has_no_rivals() -> None:
    """Only a person or the exchange ends it."""
    order = make_order(kind=OrderKind.ON_DEMAND)
    holding = make_holding(order=order, active=None)
    view = over(holding, listed=replace(order, expired=True))
    assert left_alone(fold.ends_judged(view, at(10)))


def withdrawing(*, order: int) -> Any:
    """Return a cancellation of an order, whose answer never came."""
    return make_intent(IntentKind.WITHDRAW, price=None, order=order)


def test_what_we_cancelled_ourselves_is_no_surprise() -> None:
    """Also where nobody knows whether the request arrived, or it ran on for a while."""
    assert not over(intents=(withdrawing(order=ORDER),)).cut_off
    assert not over(cancelled={ORDER: Cancelled(at=at(-60))}).cut_off
    assert over(intents=(withdrawing(order=99),)).cut_off
    assert not over(make_holding(target=None)).cut_off, "nor is what a person does with his own"


def lasting(*, mrl: timedelta, listed_mrl: timedelta = timedelta(hours=96), **changes: Any) -> bool:
    """Return whether an order an hour old counts as cut off."""
    order = make_order(mrl=mrl)
    holding = make_holding(order=order, **changes)
    view = over(holding, listed=replace(order, expired=True), listing=make_listing(mrl=listed_mrl))
    return bool(view.cut_off)


def test_its_time_is_counted_by_each_clock() -> None:
    """Either calendar may be wrong, and the exchange may name the time in another unit or not at all."""
    hour = timedelta(hours=1)
    assert lasting(mrl=3 * hour)
    assert not lasting(mrl=1.2 * hour), "a quarter of an hour is nothing"
    born_long_ago = LoweringClock(created_at=at(-3 * 3600))
    assert not lasting(mrl=3 * hour, clock=born_long_ago)
    assert not lasting(mrl=3 * hour, listed_mrl=hour)
    assert not lasting(mrl=timedelta(days=3650), listed_mrl=timedelta(0))


def test_an_order_that_is_listed_again_was_not_ended_by_anybody() -> None:
    """An answer may have been wrong about it."""
    view = over()
    held = replace(view, closing={ORDER: make_holding(ended_at=NOW)}, revenants={ORDER: NOW})
    back = fold.orders(held, read_orders(make_order(), started=400), (), POLICY, at(400)).view
    assert ORDER in back.holdings
    assert not back.cut_off
