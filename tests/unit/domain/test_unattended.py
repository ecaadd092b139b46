"""Whether the daemon is silent, and what is done about its orders then."""

from dataclasses import replace
from datetime import datetime, timedelta
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
    make_order,
    make_policy,
    make_target,
    make_view,
    mine,
    rival,
    seen,
    usd,
)
from hypothesis import given, settings
from hypothesis import strategies as st
from unit.domain.worlds import policies, prices, views

from bidder.domain import price_rules
from bidder.domain.actions import Decision, Reason, Reprice, Withdraw
from bidder.domain.ids import OrderId
from bidder.domain.intents import IntentKind, IntentState
from bidder.domain.market import OrderKind
from bidder.domain.money import Currency
from bidder.domain.policy import Ceiling, Per, Policy
from bidder.domain.price_rules import LoweringClock, StepSample
from bidder.domain.unattended import (
    Finding,
    Planner,
    Signs,
    Then,
    WhenSilent,
    judge,
    judge_again,
    left_undone,
    unfinished,
)
from bidder.domain.view import Setback, View
from bidder.domain.work import Work

AFTER = timedelta(minutes=30)
WHEN = WhenSilent(then=Then.CANCEL, after=AFTER)
SINCE = at(-3600)
LONG_AGO, LATELY = at(-1800), at(-1799)


@pytest.mark.parametrize(
    ("signs", "found"),
    [
        (Signs(), Finding.NEVER_RAN),
        (Signs(seen_at=LATELY), Finding.QUIET),
        (Signs(seen_at=LONG_AGO), Finding.SILENT),
        (Signs(seen_at=at(301)), Finding.MISDATED),
        (Signs(seen_at=at(299)), Finding.QUIET),
        (Signs(seen_at=LATELY, holder="it", taken_at=LONG_AGO), Finding.ALIVE),
        (Signs(seen_at=at(7200), holder="it", taken_at=LONG_AGO), Finding.ALIVE),
        (Signs(seen_at=LONG_AGO, holder="it", taken_at=LATELY), Finding.HELD),
        (Signs(holder="it", taken_at=LATELY), Finding.HELD),
        (Signs(seen_at=LONG_AGO, holder="it", taken_at=LONG_AGO), Finding.WEDGED),
        (Signs(holder="it", taken_at=LONG_AGO), Finding.WEDGED),
    ],
)
def test_what_the_signs_of_life_come_to(signs: Signs, found: Finding) -> None:
    """Silence is acted upon only where nobody holds the lease, to the second."""
    assert judge(signs, WHEN, NOW) is found


@pytest.mark.parametrize(
    ("later", "found"),
    [
        (Signs(seen_at=LONG_AGO, lease=(7, None)), Finding.SILENT),
        (Signs(seen_at=LONG_AGO, lease=(8, None)), Finding.HELD),
        (Signs(seen_at=at(-1900), lease=(7, None)), Finding.HELD),
        (Signs(seen_at=NOW, lease=(7, None)), Finding.QUIET),
        (Signs(seen_at=NOW, lease=(7, None), holder="it", taken_at=LONG_AGO), Finding.ALIVE),
    ],
)
def test_a_second_look_believes_only_what_has_not_moved(later: Signs, found: Finding) -> None:
    """A lease that was taken or renewed in between, or a new picture, is somebody at work."""
    before = Signs(seen_at=LONG_AGO, lease=(7, None))

    assert judge_again(before, later, WHEN, NOW) is found


@given(age=st.integers(0, 10**6), taken=st.none() | st.integers(0, 10**6), after=st.integers(300, 10**6))
def test_nobody_is_silent_whose_lease_is_held(age: int, taken: int | None, after: int) -> None:
    """Whatever else the database says."""
    when = replace(WHEN, after=timedelta(seconds=after))
    signs = Signs(seen_at=at(-age), holder="it", taken_at=None if taken is None else at(-taken))

    assert judge(signs, when, NOW) is not Finding.SILENT
    assert (judge(replace(signs, holder=None), when, NOW) is Finding.SILENT) is (age >= after)


def planned(
    view: View, policy: Policy, then: Then = Then.CANCEL, now: datetime = NOW, **wish: Any
) -> tuple[Decision, ...]:
    """Return the guard's decisions."""
    when = WhenSilent(then=then, after=AFTER, **wish)
    return Planner(when=when, since=SINCE).plan(view, policy, now)


def one(
    *holdings: Any, then: Then = Then.CANCEL, policy: Policy | None = None, **changes: Any
) -> Decision:
    """Return the guard's decision about our order in a book of its own, with a rival."""
    wish = {"lower_to": changes.pop("lower_to")} if "lower_to" in changes else {}
    policy = policy or make_policy()
    held = holdings or (make_holding(price=usd("3")),)
    book = seen(make_book(mine(held[0].order.price, active=True), rival(usd("2"))), when=at(-1))
    changes = {"books": [book], **changes}
    listing = changes.pop("listing", make_listing())
    view = make_view(policy, listing, holdings=held, **changes)
    return next(each for each in planned(view, policy, then, **wish) if each.order == ORDER)


def test_cancel_withdraws_every_order_dearest_first() -> None:
    """In whatever currency; the reason and since when are said."""
    policy = make_policy()
    held = [
        make_holding(1, server=1, price=usd("3")),
        make_holding(2, server=2, price=btc("0.0002")),  # 10 USD
        make_holding(3, server=3, price=clore("200")),  # 4 USD
    ]
    decisions = planned(make_view(policy, holdings=held), policy)

    assert [each.order for each in decisions] == [2, 3, 1]
    assert all(isinstance(each.action, Withdraw) for each in decisions)
    assert {each.reason for each in decisions} == {Reason.UNATTENDED}
    assert decisions[0].facts["silent_since"] == "2026-03-01T11:00:00+00:00"


def test_an_order_made_by_hand_is_not_even_spoken_of() -> None:
    """Whatever the wish."""
    policy = make_policy()
    view = make_view(policy, make_listing(), holdings=[make_holding(target=None)])

    assert all(planned(view, policy, then) == () for then in Then)


def test_an_order_of_a_strategy_that_is_gone_is_cancelled_and_not_lowered() -> None:
    """It is ours; what it may cost at most is not known any more."""
    gone = make_holding(target="former")

    assert one(gone).action == Withdraw(order=ORDER, server=SERVER, target="former")
    kept = one(gone, then=Then.LOWER)
    assert (kept.action, kept.reason, left_undone(kept)) == (None, Reason.RAIL, True)


def test_an_order_beside_another_one_is_left_alone() -> None:
    """One of the two may be a person's."""
    kept = one(make_holding(), make_holding(8, target=None))

    assert (kept.action, kept.reason) == (None, Reason.FROZEN)
    assert left_undone(kept)
    assert not unfinished(kept)


def test_what_is_under_way_is_settled_first() -> None:
    """A request in doubt on the server, a creation that is not seen, an order that is not listed."""
    doubtful = one(intents=(make_intent(IntentKind.REPRICE),))
    missing = one(make_holding(missing_reads=1))
    refused = one(setbacks=(Setback(until=at(60), reason="busy", order=ORDER),))
    policy = make_policy()
    creation = make_intent(server=9, state=IntentState.AMBIGUOUS)
    (frozen,) = planned(make_view(policy, intents=(creation,)), policy)

    assert [each.action for each in (doubtful, missing, refused, frozen)] == [None] * 4
    assert (doubtful.reason, missing.reason) == (Reason.IN_DOUBT, Reason.STALE)
    assert missing.wants_orders
    assert (frozen.reason, refused.due) == (Reason.FROZEN, at(60))
    assert [unfinished(each) for each in (doubtful, missing, refused, frozen)] == [True] * 3 + [False]
    assert all(left_undone(each) for each in (doubtful, missing, refused, frozen))


def test_a_pause_keeps_no_order_up() -> None:
    """Nobody looks, so what costs goes or comes down."""
    assert isinstance(one(paused=True).action, Withdraw)
    assert isinstance(one(paused=True, then=Then.LOWER).action, Reprice)


def test_a_notice_decides_nothing() -> None:
    """It is complete as it is."""
    decision = one(then=Then.NOTICE)

    assert (decision.action, decision.reason) == (None, Reason.UNATTENDED)
    assert not left_undone(decision)


def to(decision: Decision) -> Any:
    """Return the price that a decision sets."""
    assert isinstance(decision.action, Reprice)
    return decision.action.price


def test_lowering_aims_below_the_rival_at_the_floor_or_the_owners_price() -> None:
    """The floor is the least; a wish per GPU counts them; nothing is raised to it."""
    wish = Ceiling(price=usd("0.75"), per=Per.GPU)

    assert to(one(then=Then.LOWER)) == usd("1")
    assert to(one(then=Then.LOWER, lower_to=wish, listing=make_listing(gpus=2))) == usd("1.5")
    hidden = make_holding(price=usd("3"), work=Work(gpus=2))
    assert to(one(hidden, then=Then.LOWER, lower_to=wish, listing=make_listing(202))) == usd("1.5")
    assert to(one(then=Then.LOWER, lower_to=wish)) == usd("1"), "never below the floor"
    assert to(one(then=Then.LOWER, lower_to=Ceiling(price=clore("60")))) == usd("1.2")
    for dear in (usd("3"), usd("4")):
        kept = one(then=Then.LOWER, lower_to=Ceiling(price=dear))
        assert (kept.action, left_undone(kept)) == (None, False)


def test_lowering_takes_the_step_that_was_learnt() -> None:
    """One step and no more."""
    step = StepSample(
        currency=Currency.USD,
        price=usd("3").amount,
        drop=usd("0.2").amount,
        floor=None,
        exact=True,
        at=at(-60),
    )

    assert to(one(then=Then.LOWER, steps=(step,))) == usd("2.8")


@pytest.mark.parametrize(("ago", "waits"), [(599, True), (600, False)])
def test_lowering_waits_for_the_clock(ago: int, waits: bool) -> None:
    """Until then no book need be read."""
    held = make_holding(price=usd("3"), clock=LoweringClock(lowered_at=at(-ago)))
    decision = one(held, then=Then.LOWER)

    assert (decision.reason is Reason.CLOCK) is waits
    assert (decision.due == at(1)) is waits
    assert not (waits and (unfinished(decision) or left_undone(decision)))


def test_lowering_reads_the_book_first() -> None:
    """What the server takes is looked up, not remembered."""
    decision = one(then=Then.LOWER, books=[])

    assert (decision.action, decision.wants_book) == (None, SERVER)
    assert unfinished(decision)


def test_an_order_on_demand_cannot_be_lowered() -> None:
    """It stays, and that is no failure."""
    held = make_holding(order=make_order(kind=OrderKind.ON_DEMAND))
    decision = one(held, then=Then.LOWER)

    assert (decision.action, left_undone(decision)) == (None, False)
    assert isinstance(one(held).action, Withdraw)


def test_a_bid_far_above_its_ceiling_is_cancelled_where_it_would_be_lowered() -> None:
    """As the daemon would do: a price above the ceiling is never set."""
    decision = one(make_holding(price=usd("9")), then=Then.LOWER)

    assert (decision.reason, type(decision.action)) == (Reason.ABOVE_CEILING, Withdraw)


@settings(deadline=None, max_examples=25)
@given(data=st.data(), policy=policies(), then=st.sampled_from(Then))
def test_no_guard_costs_more_or_touches_a_strangers_order(
    data: st.DataObject, policy: Policy, then: Then
) -> None:
    """In any state: cancels or lowers what is ours, at most once each, and honours clock and step."""
    view = data.draw(views(policy))
    wish = data.draw(st.none() | st.builds(Ceiling, price=prices("0.5", "6"), per=st.sampled_from(Per)))
    decisions = planned(view, policy, then, lower_to=wish)

    ours = sorted(number for number, held in view.holdings.items() if held.ours)
    assert sorted(each.order for each in decisions if each.order is not None) == ours
    for each in decisions:
        if each.action is None:
            continue
        assert isinstance(each.action, Reprice | Withdraw)
        held = view.holdings[OrderId(each.action.order)]
        assert held.ours
        assert then is not Then.NOTICE
        assert view.intent_on(held.order.server) is None
        if isinstance(each.action, Withdraw):
            assert then is Then.CANCEL or each.reason is Reason.ABOVE_CEILING
            continue
        assert then is Then.LOWER
        assert each.action.lowers
        opens_at = price_rules.next_lowering_at(held.clock, view.rules)
        assert opens_at is None or opens_at <= NOW
        floor = view.books[held.order.server].book.floor.get(each.action.price.currency)
        assert floor is None or each.action.price >= floor


def test_disabled_strategies_are_guarded_too() -> None:
    """Their orders cost as much as any."""
    policy = make_policy(make_target(TARGET, enabled=False))

    assert isinstance(one(policy=policy).action, Withdraw)
