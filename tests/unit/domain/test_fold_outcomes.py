"""What carrying out teaches: accepted changes, refusals, and the pauses they ask for."""

from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from builders import (
    NOW,
    ORDER,
    SERVER,
    TARGET,
    at,
    btc,
    clore,
    make_book,
    make_holding,
    make_intent,
    make_listing,
    make_policy,
    make_target,
    make_view,
    mine,
    outbid_holding,
    rival,
    seen,
    usd,
)
from unit.domain.bids import EAGER, decided, repriced

from bidder.domain import fold, planning, price_rules
from bidder.domain.actions import PlaceBid, Reason, Reprice
from bidder.domain.ids import OrderId, ServerId
from bidder.domain.intents import IntentKind
from bidder.domain.money import Currency, Price
from bidder.domain.price_rules import LoweringClock
from bidder.domain.view import Holding, View

POLICY = make_policy(make_target(params=EAGER))
HERE = ServerId(SERVER)


def change(to: Price, current: Price | None = None) -> Reprice:
    """Return a change of our bid."""
    return Reprice(order=ORDER, server=HERE, current=current or usd("4"), price=to, target=TARGET)


def lowering_view(**changes: Any) -> View:
    """Return our running bid of 4 USD with its floor at 1."""
    holding: Holding = changes.pop("holding", make_holding(price=usd("4")))
    book = make_book(mine(holding.order.price, active=bool(holding.active)))
    return make_view(POLICY, make_listing(), holdings=[holding], books=[seen(book)], **changes)


# --- accepted


def test_an_accepted_lowering_starts_the_clock_at_its_answer() -> None:
    """And the book it rested on is forgotten: whoever acts on it again would act twice."""
    view = fold.repriced(lowering_view(), change(usd("3")), sent_at=at(0), now=at(1))
    assert view.holdings[ORDER].order.price == usd("3")
    assert view.holdings[ORDER].clock.lowered_at == at(1)
    assert HERE not in view.books
    assert view.raises == ()


def test_an_accepted_raise_is_remembered_with_the_rival_that_made_it_necessary() -> None:
    """And the wait before the next one begins anew, though it has been idle for as long as before."""
    book, idle = make_book(mine(usd("2")), rival(usd("3"), active=True, number=77)), at(-300)
    holding = outbid_holding(idle_since=idle)
    view = make_view(POLICY, make_listing(), holdings=[holding], books=[seen(book)])
    raised = fold.repriced(view, change(usd("3.1"), usd("2")), sent_at=at(0), now=at(1))
    assert raised.holdings[ORDER].clock.raised_at == at(1)
    assert raised.holdings[ORDER].outbid_since is None
    assert raised.holdings[ORDER].idle_since == idle
    (note,) = raised.raises
    assert (note.order, note.rival, note.at) == (ORDER, 77, at(1))


def test_an_accepted_lowering_clears_the_events_before_it() -> None:
    """Created five minutes ago and lowered now: creation does not start the clock."""
    young = make_holding(price=usd("4"), clock=LoweringClock(created_at=at(-300)))
    view = fold.repriced(lowering_view(holding=young), change(usd("3")), sent_at=at(0), now=at(1))
    assert view.rules.creation is False


def test_raises_and_creations_are_forgotten_after_a_day() -> None:
    """No list grows for ever."""
    view = lowering_view(holding=make_holding(price=usd("2")))
    for hour in range(60):
        now = NOW + timedelta(hours=hour)
        view = fold.repriced(view, change(usd("3"), usd("2")), sent_at=now, now=now)
        view = fold.opened(view, make_intent(id=hour, server=900 + hour), now)
        view = fold.closed(view, view.intents[0])
    assert len(view.raises) <= 25
    assert len(view.creations) <= 25
    assert view.intents == ()


def test_a_cancelled_order_is_over_and_its_spend_is_still_to_be_read() -> None:
    """Its number is never mistaken for a new order's."""
    view = fold.withdrawn(lowering_view(), ORDER)
    assert view.holdings == {}
    assert view.unbooked == {ORDER}
    assert fold.known_orders(view, HERE) == {ORDER}
    assert fold.withdrawn(view, OrderId(99)) == view


def test_an_intent_in_doubt_keeps_its_server_to_itself() -> None:
    """From the moment it is written down until it is closed."""
    intent = make_intent(server=202, ended=None)
    view = fold.opened(lowering_view(), intent, NOW)
    assert view.intent_on(ServerId(202)) == intent
    assert [c.server for c in view.creations] == [202]
    doubtful = replace(intent, ended_at=at(5))
    assert fold.answered(view, doubtful).intents == (doubtful,)
    assert fold.closed(view, intent).intent_on(ServerId(202)) is None


def test_a_change_of_price_is_no_creation() -> None:
    """The breaker counts only what may cost a fee."""
    view = fold.opened(lowering_view(), make_intent(IntentKind.REPRICE), NOW)
    assert view.creations == ()


# --- refusals


def test_a_step_refused_is_asked_for_once_and_then_kept() -> None:
    """The vendor's sequence: too far, the limit named, the limit accepted."""
    view = lowering_view()
    assert repriced(decided(view, POLICY)) == usd("1")
    view = fold.step_exceeded(view, change(usd("1")), max_step=Decimal("3.7"), now=NOW)
    assert repriced(decided(view, POLICY)) == usd("3.7")
    assert view.holdings[ORDER].clock.lowered_at is None


def test_a_refusal_without_a_limit_is_searched_by_halves() -> None:
    """From 4 to 1 was too far: 2.5 is tried, then 3.25."""
    view = lowering_view()
    for expected in ("2.5", "3.25"):
        asked = repriced(decided(view, POLICY))
        view = fold.step_exceeded(view, change(asked), max_step=None, now=NOW)
        assert repriced(decided(view, POLICY)) == usd(expected)


def test_a_step_that_was_only_guessed_is_soon_forgotten() -> None:
    """Kept for a week, one answer without a number would make every lowering of it too narrow."""
    view = fold.step_exceeded(lowering_view(), change(usd("1")), max_step=None, now=NOW)
    assert price_rules.largest_drop(usd("4"), None, view.steps, at(600)) == Decimal("1.5")
    assert price_rules.largest_drop(usd("4"), None, view.steps, at(1200)) is None


def test_a_limit_that_is_named_replaces_what_was_guessed() -> None:
    """At any price: a guess beside it would be taken for another shape of the rule."""
    view = fold.step_exceeded(lowering_view(), change(usd("1")), max_step=None, now=NOW)
    view = fold.step_exceeded(view, change(usd("2.5"), usd("3.9")), max_step=Decimal("3.7"), now=at(1))
    assert [(step.drop, step.exact) for step in view.steps] == [(Decimal("0.2"), True)]


@pytest.mark.parametrize("named", ["0", "0.5", "1"])
def test_a_limit_that_was_kept_to_and_refused_is_not_run_against_each_second(named: str) -> None:
    """The answer contradicts itself: nothing is learnt, and a minute later it is tried again."""
    view = fold.step_exceeded(lowering_view(), change(usd("1")), max_step=Decimal(named), now=NOW)
    decision = decided(view, POLICY)
    assert (decision.reason, decision.due, view.steps) == (Reason.CLOCK, at(60), ())


@pytest.mark.parametrize("named", ["4", "5"])
def test_a_limit_that_allows_nothing_is_a_pause(named: str) -> None:
    """Asking each second would be refused each second."""
    view = fold.step_exceeded(lowering_view(), change(usd("1")), max_step=Decimal(named), now=NOW)
    decision = decided(view, POLICY)
    assert decision.reason is Reason.CLOCK
    assert decision.due == at(600)


def test_a_new_limit_at_the_same_price_replaces_the_old_one() -> None:
    """The exchange changed its rule: the narrower step is believed at once."""
    view = lowering_view()
    view = fold.step_exceeded(view, change(usd("1")), max_step=Decimal(3), now=NOW)
    view = fold.step_exceeded(view, change(usd("3")), max_step=Decimal("3.8"), now=at(1))
    assert len(view.steps) == 1
    assert repriced(decided(view, POLICY)) == usd("3.8")


def test_a_lowering_too_soon_waits_as_long_as_the_exchange_says() -> None:
    """513.25 more seconds, to the fraction; the raise of 87 seconds ago is to blame."""
    raised = make_holding(price=usd("4"), clock=LoweringClock(raised_at=at(-86.75)))
    view = lowering_view(holding=raised)
    assert decided(view, POLICY).reason is Reason.MARK_DOWN
    view = fold.lowered_too_soon(view, change(usd("1")), wait_seconds=513.25, now=NOW)
    decision = decided(view, POLICY)
    assert decision.reason is Reason.CLOCK
    assert decision.due == at(513.25)
    assert view.rules.raised is True


def test_a_floor_that_rose_between_read_and_creation_is_priced_again() -> None:
    """``too_low_price`` names it: the next bid is that, within the ceiling."""
    policy = make_policy()
    view = make_view(policy, make_listing(202), books=[seen(make_book(server=202))])
    corrected = fold.floor_raised(view, ServerId(202), usd("1"), min_price=Decimal("1.3"), now=NOW)
    (decision,) = planning.plan(corrected, policy, NOW)
    assert isinstance(decision.action, PlaceBid)
    assert decision.action.price == usd("1.3")
    dear = fold.floor_raised(view, ServerId(202), usd("1"), min_price=Decimal("5.1"), now=NOW)
    (decision,) = planning.plan(dear, policy, NOW)
    assert decision.reason is Reason.TOO_EXPENSIVE


def test_a_floor_that_is_enforced_above_the_one_shown_is_not_run_against_again_and_again() -> None:
    """Each book shows a lower one; another try comes ten minutes later, a raise whenever it is due."""
    book = make_book(mine(usd("1.2"), active=True))
    view = lowering_view(holding=make_holding(price=usd("1.2")))
    refused = 0
    for second in range(1200):
        now = at(second)
        view = replace(view, orders_at=now, completed_at=now, marketplace_at=now)
        if isinstance(decided(view, POLICY, now).action, Reprice):
            refused += 1
            view = fold.floor_raised(view, HERE, usd("1"), min_price=Decimal("1.2"), now=now)
        else:
            view, _ = fold.book(view, book, POLICY, at=now)
    assert refused == 2

    lost = make_book(mine(usd("1.2")), rival(usd("1.5"), active=True))
    for second in (1200, 1220, 1240):
        view, _ = fold.book(view, lost, POLICY, at=at(second))
    assert repriced(decided(view, POLICY, at(1240))) > usd("1.5")


def test_a_bid_refused_for_a_floor_that_was_known_rests_for_a_minute() -> None:
    """The refusal teaches nothing, so the same would be sent each second."""
    view = lowering_view()
    first = fold.floor_raised(view, HERE, usd("1"), min_price=Decimal("1.2"), now=NOW)
    assert isinstance(decided(first, POLICY).action, Reprice)
    again = fold.floor_raised(first, HERE, usd("1"), min_price=Decimal("1.2"), now=NOW)
    rests = decided(again, POLICY)
    assert (rests.action, rests.reason, rests.due) == (None, Reason.REFUSED, at(60))
    later, _ = fold.book(again, make_book(mine(usd("4"), active=True)), POLICY, at=at(60))
    assert isinstance(decided(later, POLICY, at(60)).action, Reprice)


def test_a_floor_that_was_named_does_not_hide_a_higher_one() -> None:
    """Nor does it stand for a currency in which the server is not offered any more."""
    view = fold.floor_raised(lowering_view(), HERE, usd("1"), min_price=Decimal("1.2"), now=NOW)
    for shown, expected in ((usd("1.3"), usd("1.3")), (usd("1.1"), usd("1.2")), (btc("1"), None)):
        view, _ = fold.book(view, make_book(floor=shown), POLICY, at=at(1))
        assert view.books[HERE].book.floor.get(Currency.USD) == expected


@pytest.mark.parametrize("named", [None, Decimal("0.5"), Decimal(1)])
def test_a_floor_refusal_that_makes_no_sense_is_a_pause_for_that_server(
    named: Decimal | None,
) -> None:
    """Nothing named, or a floor that the bid had met."""
    policy = make_policy()
    view = make_view(policy, make_listing(202), books=[seen(make_book(server=202))])
    view = fold.floor_raised(view, ServerId(202), usd("1"), min_price=named, now=NOW)
    (decision,) = planning.plan(view, policy, NOW)
    assert decision.reason is Reason.NO_CANDIDATE
    later = replace(view, books={ServerId(202): seen(make_book(server=202), when=at(300))})
    (decision,) = planning.plan(later, policy, at(300))
    assert decision.reason is Reason.EMPTY_SLOT


def test_a_standing_bid_whose_change_is_refused_so_is_left_alone_for_a_while() -> None:
    """Or the same change would be sent, and refused, every second."""
    view = fold.floor_raised(lowering_view(), HERE, usd("1"), min_price=None, now=NOW)
    decision = decided(view, POLICY)
    assert decision.reason is Reason.REFUSED
    assert decision.due == at(300)


def test_a_setback_ends_by_itself() -> None:
    """After its minutes the order, the server or the account may try again."""
    view = fold.set_back(lowering_view(), "whatever", now=NOW, minutes=1, order=ORDER)
    assert decided(view, POLICY).reason is Reason.REFUSED
    later = replace(view, books={HERE: seen(make_book(mine(usd("4"), active=True)), when=at(60))})
    assert decided(later, POLICY, at(60)).reason is Reason.MARK_DOWN


def test_setbacks_that_are_over_are_dropped() -> None:
    """No list grows for ever."""
    view = lowering_view()
    for minute in range(0, 600, 5):
        view = fold.set_back(view, "x", now=at(60 * minute), minutes=10, server=ServerId(5))
    assert len(view.setbacks) <= 3


def test_a_server_that_goes_on_refusing_alike_is_asked_ever_more_seldom() -> None:
    """Other words begin anew, another server has pauses of its own, and a day's silence ends it."""
    view, now, pauses = lowering_view(), NOW, []
    for _ in range(5):
        view = fold.set_back_longer(view, "odd", now=now, first=30, longest=240, server=ServerId(5))
        now = view.setbacks[-1].until
        pauses.append((now - (view.setbacks[-1].at or NOW)) / timedelta(minutes=1))
    assert pauses == [30, 60, 120, 240, 240]
    assert len(view.setbacks) == 1
    for words, server, later, minutes in (
        ("new", 5, 0, 30),
        ("odd", 6, 0, 30),
        ("odd", 5, 23, 240),
        ("odd", 5, 25, 30),
    ):
        at_last = now + timedelta(hours=later)
        after = fold.set_back_longer(
            view, words, now=at_last, first=30, longest=240, server=ServerId(server)
        )
        assert after.setbacks[-1].until == at_last + timedelta(minutes=minutes)


def test_a_step_in_one_coin_leaves_another_untouched() -> None:
    """Samples are kept per currency, the newest forty of all."""
    view = lowering_view()
    for n in range(60):
        view = fold.step_exceeded(
            view, change(usd("1"), usd(str(4 + n))), max_step=Decimal(3 + n), now=at(n)
        )
    assert len(view.steps) <= 41
    holding = make_holding(price=clore("400"))
    other = view.with_holding(holding)
    view = fold.step_exceeded(
        other, change(clore("100"), clore("400")), max_step=Decimal(390), now=at(99)
    )
    assert {step.currency for step in view.steps} == {usd("1").currency, clore("1").currency}


def test_outcomes_for_an_order_that_is_gone_change_nothing() -> None:
    """A read of our orders may have ended it meanwhile."""
    view = make_view(POLICY, make_listing())
    assert fold.repriced(view, change(usd("3")), sent_at=NOW, now=NOW) == view
    assert fold.lowered_too_soon(view, change(usd("3")), wait_seconds=9, now=NOW) == view
    assert fold.step_exceeded(view, change(usd("3")), max_step=Decimal(2), now=NOW) == view


def test_a_request_that_was_not_even_looked_at_was_no_attempt() -> None:
    """Its own creation is forgotten; those before it, and on other servers, still count."""
    view = make_view(POLICY)
    for number, (server, second) in enumerate([(101, -60), (202, -30), (101, 0)]):
        intent = make_intent(server=server, id=number, opened_at=at(second))
        view = fold.opened(view, intent, at(second))
        view = fold.undone(view, intent) if number == 2 else fold.closed(view, intent)

    assert [(created.server, created.at) for created in view.creations] == [
        (101, at(-60)),
        (202, at(-30)),
    ]
    assert view.intents == ()
