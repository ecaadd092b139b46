"""Books that lag behind our own deeds, or say less than our bills and memory do."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal

import pytest
from builders import (
    BID,
    NOW,
    ORDER,
    SERVER,
    at,
    make_book,
    make_holding,
    make_listing,
    make_order,
    make_policy,
    make_target,
    make_view,
    mine,
    outbid_holding,
    read_orders,
    rival,
    seen,
    usd,
)

from bidder.domain import fold, guard, planning
from bidder.domain.actions import Decision, Reason, Reprice, Withdraw
from bidder.domain.market import Book, Offer
from bidder.domain.money import Currency, Money, Price
from bidder.domain.policy import AdaptiveParams, Per, Policy, StrategyParams, TrackParams
from bidder.domain.view import View
from bidder.domain.work import Work

RAISERS = [TrackParams(), AdaptiveParams()]


def raises(params: StrategyParams, lag: float, *after: Offer) -> list[tuple[float, Price]]:
    """Return what is sent in a minute in which books are so many seconds behind our first raise.

    ``after`` are the rivals that stand there once the book knows of it.
    """
    policy = make_policy(make_target(params=params, restart=timedelta(minutes=6)))
    before = make_book(mine(usd("2")), rival(usd("2.5"), active=True))
    view = make_view(policy, make_listing(), holdings=[outbid_holding(since=-15)])
    view, _ = fold.book(view, before, policy, at=at(-1))
    sent: list[tuple[float, Price]] = []
    for second in range(60):
        shown = before
        if sent and second >= sent[0][0] + lag:
            price = view.holdings[ORDER].order.price
            wins = all(price > offer.price for offer in after)
            others = after or (rival(usd("2.5")),)
            shown = make_book(mine(price, active=wins), *(replace(o, active=not wins) for o in others))
        view, _ = fold.book(replace(view, orders_at=at(second)), shown, policy, at=at(second))
        (decision,) = planning.plan(view, policy, at(second + 0.3))
        if isinstance(decision.action, Reprice):
            sent.append((second, decision.action.price))
            moment = at(second + 0.5)
            view = fold.repriced(view, decision.action, sent_at=moment, now=moment)
    return sent


@pytest.mark.parametrize("params", RAISERS)
@pytest.mark.parametrize("lag", [0, 5, 30])
def test_a_book_older_than_our_raise_is_no_answer_to_it(params: StrategyParams, lag: float) -> None:
    """Whoever took it for one would outbid himself, twice in half a minute."""
    assert [price for _, price in raises(params, lag)] == [usd("2.5001")]


@pytest.mark.parametrize("params", RAISERS)
def test_an_answer_to_our_raise_is_seen_once_the_book_knows_of_it(params: StrategyParams) -> None:
    """The rival's higher bid stands beside our new one."""
    sent = raises(params, 5, rival(usd("2.6")))
    assert len(sent) == 2
    assert sent[1][1] >= usd("2.6001")


def test_a_price_that_stays_another_one_is_believed_in_the_end() -> None:
    """Answers are at most so late; then somebody else has changed it."""
    policy = make_policy(make_target(params=TrackParams()))
    clock = make_holding().clock
    holding = make_holding(price=usd("3"), clock=replace(clock, raised_at=NOW))
    book = make_book(mine(usd("2")), rival(usd("2.5"), active=True))
    view = make_view(policy, make_listing(), holdings=[holding])
    reasons = []
    for second in (1, 44, 45, 46, 60):
        view, _ = fold.book(view, book, policy, at=at(second))
        (decision,) = planning.plan(view, policy, at(second))
        reasons.append(decision.reason)
    assert reasons[:2] == [Reason.CONFIRMING] * 2
    assert reasons[-1] is Reason.OUTBID


def empty_books(billed: bool) -> Iterator[tuple[int, Decision]]:
    """Yield what becomes of a running order whose book is said not to exist, for ten minutes."""
    policy = make_policy(make_target())
    view = make_view(policy, make_listing(), holdings=[make_holding()])
    for second in range(0, 600, 10):
        view, _ = fold.book(
            view, Book(server=make_listing().server, exists=False), policy, at=at(second)
        )
        minutes = second // 60 if billed else 0
        spend = Money(BID.amount * minutes / 1440, Currency.USD)
        listed = read_orders(make_order(spend=spend), started=second)
        view = fold.orders(view, listed, (), policy, at(second)).view
        (decision,) = planning.plan(view, policy, at(second + 1))
        yield second, decision


def test_an_order_that_is_billed_is_not_given_up_for_an_empty_book() -> None:
    """It runs, whatever that endpoint says; one that is not billed is given up after three minutes."""
    assert all(decision.action is None for _, decision in empty_books(billed=True))
    given_up = [second for second, d in empty_books(billed=False) if isinstance(d.action, Withdraw)]
    assert given_up[0] == 180


def hidden(per: Per, gpus: int, price: str, **changes: object) -> tuple[View, Policy]:
    """Return a running order on a server that the marketplace does not list any more."""
    policy = make_policy(make_target(per=per, ceiling=usd("2")))
    holding = make_holding(price=usd(price), work=Work(gpus=gpus))
    book = seen(make_book(mine(usd(price), active=True)))
    return make_view(policy, make_listing(202), holdings=[holding], books=[book]), policy


def test_a_server_that_hides_while_we_rent_it_keeps_its_ceiling() -> None:
    """Two dollars for each of four GPUs: a bid of 7 comes down, one of 9 is too dear."""
    for price, reason in (("7", Reason.MARK_DOWN), ("9", Reason.ABOVE_CEILING)):
        view, policy = hidden(Per.GPU, 4, price)
        (decision,) = planning.plan(view, policy, NOW)
        assert decision.reason is reason
        assert decision.action is not None


def test_a_ceiling_for_gpus_that_nobody_has_counted_ends_nothing() -> None:
    """One GPU is also what is noted of a server that was never listed while it ran."""
    view, policy = hidden(Per.GPU, 1, "3")
    (decision,) = planning.plan(view, policy, NOW)
    assert (decision.action, decision.reason) == (None, Reason.STALE)
    view, policy = hidden(Per.GPU, 1, "1.9")
    (decision,) = planning.plan(view, policy, NOW)
    assert decision.reason is Reason.MARK_DOWN


@pytest.mark.parametrize(("price", "passes"), [("7.9", True), ("8.1", False)])
def test_no_raise_goes_beyond_the_ceiling_of_a_hidden_server(price: str, passes: bool) -> None:
    """Eight dollars for its four GPUs."""
    view, policy = hidden(Per.GPU, 4, "7")
    action = Reprice(
        order=ORDER, server=SERVER, current=usd("7"), price=usd(price), target=policy.targets[0].name
    )
    wanted = Decision(target=policy.targets[0].name, reason=Reason.OUTBID, action=action)
    assert (guard.apply(wanted, view, policy, NOW).action is not None) is passes


def test_the_share_of_a_bill_that_comes_late_is_no_sign_of_life_for_long() -> None:
    """The last minute is billed after the offer has gone; three minutes later it counts no more."""
    policy = make_policy(make_target())
    holding = make_holding(outbid_since=at(-400), active=False)
    late = replace(holding, cost=replace(holding.cost, usd=Decimal(1), at=at(-200)))
    book = seen(Book(server=make_listing().server, exists=False))
    view = make_view(policy, make_listing(), holdings=[late], books=[book])
    (decision,) = planning.plan(view, policy, NOW)
    assert decision.reason is Reason.SERVER_LOST
