"""The strategy that follows the best stance: what it does that its shadows also do."""

from dataclasses import replace
from datetime import timedelta

import pytest
from builders import (
    NOW,
    ORDER,
    at,
    make_book,
    make_holding,
    make_listing,
    make_policy,
    make_target,
    make_view,
    mine,
    outbid_holding,
    rival,
    usd,
)
from unit.domain.bids import clock, decided, facing, repriced

from bidder.domain import fold, planning
from bidder.domain.actions import Decision, PlaceBid, Reason, Withdraw
from bidder.domain.policy import AdaptiveParams, Policy
from bidder.domain.price_rules import LoweringClock
from bidder.domain.view import View

# The usual ceiling is 5 USD, so a server is entered at once up to 3.75.
EAGER = AdaptiveParams(raise_wait=timedelta(0), confirm=False)


def reading(policy: Policy, view: View, seconds: float, price: str, *ours: bool) -> View:
    """Return the view after a read in which the rival bids this, and our offer runs or not."""
    offers = [mine(usd("4"), active=active) for active in ours]
    answer = make_book(rival(usd(price), active=not any(ours)), *offers)
    return fold.book(view, answer, policy, at=at(seconds))[0]


def opening(hours: float) -> Decision:
    """Return what is decided on a free server that has cost 4.5 for so long."""
    policy = make_policy(make_target(params=EAGER))
    view = make_view(policy, make_listing(on_demand=usd("10")))
    view = reading(policy, view, 0, "4.5")
    view = reading(policy, view, hours * 3600, "4.5")
    (decision,) = planning.plan(view, policy, NOW + timedelta(hours=hours))
    return decision


def test_a_server_near_its_value_is_watched_before_it_is_entered() -> None:
    """A start of six minutes is missed within an hour at 4.5 of 5, and not within 50 minutes."""
    early, late = opening(0.8), opening(1.2)
    assert (early.action, early.reason) == (None, Reason.TOO_EXPENSIVE)
    assert early.due is not None
    assert NOW + timedelta(minutes=59) < early.due < NOW + timedelta(minutes=62)
    assert isinstance(late.action, PlaceBid)
    assert late.action.price == usd("4.5").one_tick_up()


def test_an_outbid_offer_waits_in_the_same_way_and_says_how_long() -> None:
    """It has the price of a start to win back, but no creation to pay."""
    policy = make_policy(make_target(params=EAGER))
    view = make_view(policy, make_listing(on_demand=usd("10")), holdings=[outbid_holding(since=-600)])
    view = reading(policy, view, 0, "4.5", False)
    waiting = decided(view, policy, NOW + timedelta(seconds=1))
    assert (waiting.action, waiting.reason) == (None, Reason.NOT_WORTH_IT)
    assert waiting.due is not None
    fresh = replace(view, books={n: replace(b, at=waiting.due) for n, b in view.books.items()})
    assert repriced(decided(fresh, policy, waiting.due)) == usd("4.5").one_tick_up()


@pytest.mark.parametrize(("since", "given_up"), [(-2, True), (-60, False), (None, False)])
def test_an_offer_that_wins_again_where_it_would_not_enter_is_given_up(
    since: float | None, given_up: bool
) -> None:
    """In its first seconds nothing is lost; later a restart would be."""
    holding = make_holding(price=usd("4.9"), active_since=None if since is None else at(since))
    decision = facing(mine(usd("4.9"), active=True), rival(usd("4.5")), holding=holding, params=EAGER)
    assert isinstance(decision.action, Withdraw) is given_up
    assert decision.reason is (Reason.NOT_WORTH_IT if given_up else Reason.MARK_DOWN)


@pytest.mark.parametrize(("since", "anew"), [(-2, True), (-60, False)])
def test_one_that_has_just_begun_is_created_anew_sooner(since: float, anew: bool) -> None:
    """A walk from 3.2 to 3 costs less than four restarts, and more than four creations."""
    holding = make_holding(price=usd("3.2"), active_since=at(since), clock=clock(30))
    decision = facing(mine(usd("3.2"), active=True), rival(usd("3")), holding=holding, params=EAGER)
    assert (decision.reason is Reason.RECREATE) is anew


def test_a_raise_that_wins_late_is_no_win_by_itself() -> None:
    """What was worth a raise to stay is not given up as too dear to enter."""
    policy = make_policy(make_target(params=EAGER))
    raised = LoweringClock(created_at=at(-3600), raised_at=at(-32))
    holding = outbid_holding(price=usd("4.6"), outbid_since=None, active=None, clock=raised)
    view = make_view(policy, make_listing(), holdings=[holding])
    for second, active in ((-30, False), (0, True)):
        book = make_book(mine(usd("4.6"), active=active), rival(usd("4.5"), active=not active))
        view, _ = fold.book(view, book, policy, at=at(second))
    assert view.holdings[ORDER].active_since is None
    assert decided(view, policy).action is None or decided(view, policy).reason is Reason.MARK_DOWN


@pytest.mark.parametrize(("raised", "by_itself"), [(None, True), (-900, True), (-30, False)])
def test_an_offer_wins_by_itself_where_no_raise_of_ours_is_why(
    raised: float | None, by_itself: bool
) -> None:
    """Outbid for a minute: a raise before that has nothing to do with it."""
    policy = make_policy(make_target(params=EAGER))
    last = LoweringClock(created_at=at(-3600), raised_at=None if raised is None else at(raised))
    holding = outbid_holding(since=-60, clock=last)
    view = reading(policy, make_view(policy, make_listing(), holdings=[holding]), 0, "1", True)
    assert view.holdings[ORDER].active_since == (NOW if by_itself else None)
    again = reading(policy, view, 20, "1", True)
    assert again.holdings[ORDER].active_since == view.holdings[ORDER].active_since
    assert reading(policy, again, 40, "6", False).holdings[ORDER].active_since is None
