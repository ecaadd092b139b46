"""Two policies on one view: what rises, falls, ends, begins, is left, and what is all the same."""

from dataclasses import replace
from typing import Any

import pytest
from builders import (
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
    rival,
    seen,
    usd,
)
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from unit.domain.worlds import policies, views

from bidder.domain import comparing
from bidder.domain.actions import Reason, Withdraw
from bidder.domain.comparing import Change, Comparison, Course, Verdict
from bidder.domain.ids import ServerId
from bidder.domain.money import Price
from bidder.domain.policy import FixedParams, Mode, Policy, Rails
from bidder.domain.price_rules import LoweringClock
from bidder.domain.view import Created, View
from bidder.domain.worst_case import worst_case

PRESENT = make_policy()


def running(policy: Policy = PRESENT, *, price: str = "2", needed: str = "2", **changes: Any) -> View:
    """Return a bid that runs on a server where ``needed`` would be enough."""
    holding = make_holding(price=usd(price), **changes)
    book = make_book(mine(usd(price), active=True), floor=usd(needed))
    return make_view(policy, make_listing(floor=usd(needed)), holdings=[holding], books=[seen(book)])


def only(found: Comparison) -> Change:
    """Return the one change."""
    (change,) = found.changes
    return change


def test_a_higher_ceiling_lets_an_outbid_order_rise() -> None:
    """From what it is to what it takes."""
    before = make_policy(make_target(ceiling=usd("2.5")))
    book = make_book(rival(usd("3"), active=True), mine(usd("2")))
    view = make_view(
        before, make_listing(), holdings=[outbid_holding()], books=[seen(book, outbid_reads=2)]
    )
    change = only(comparing.compare(view, before, PRESENT, NOW))
    assert (change.verdict, change.price) == (Verdict.RISE, usd("2"))
    assert change.fate is not None
    assert change.fate.to == usd("3.0001")
    assert change.instead is not None
    assert change.instead.course is Course.KEEP


def test_a_raise_that_is_only_waited_for_is_a_raise_all_the_same() -> None:
    """The patience of ten seconds is shown as the moment, not as nothing."""
    before = make_policy(make_target(ceiling=usd("2.5")))
    book = make_book(rival(usd("3"), active=True), mine(usd("2")))
    view = make_view(
        before,
        make_listing(),
        holdings=[outbid_holding(since=-4)],
        books=[seen(book, outbid_reads=1)],
    )
    change = only(comparing.compare(view, before, PRESENT, NOW))
    assert change.verdict is Verdict.RISE
    assert change.fate is not None
    assert change.fate.due == at(6)


def test_a_fixed_price_that_is_lower_falls_at_the_next_opening_of_the_clock() -> None:
    """Toward the new price, with the first step and its moment."""
    before = make_policy(make_target(params=FixedParams(price=usd("2"))))
    after = make_policy(make_target(params=FixedParams(price=usd("1.5"))))
    view = running(before, needed="1", clock=LoweringClock(lowered_at=at(-100)))
    change = only(comparing.compare(view, before, after, NOW))
    assert change.verdict is Verdict.FALL
    assert change.fate is not None
    assert (change.fate.to, change.fate.due) == (usd("1.5"), at(500))
    assert change.fate.step is not None
    assert usd("1.5") <= change.fate.step < usd("2")


def test_an_open_clock_lets_it_fall_at_once() -> None:
    """Nothing to wait for."""
    before = make_policy(make_target(params=FixedParams(price=usd("2"))))
    after = make_policy(make_target(params=FixedParams(price=usd("1.5"))))
    change = only(comparing.compare(running(before, needed="1"), before, after, NOW))
    assert change.verdict is Verdict.FALL
    assert change.fate is not None
    assert change.fate.due is None


def test_a_ceiling_far_below_the_bid_ends_the_order() -> None:
    """It is cancelled, for that reason."""
    after = make_policy(make_target(ceiling=usd("1")))
    change = comparing.compare(running(), PRESENT, after, NOW).orders[0]
    assert (change.verdict, change.order) == (Verdict.END, ORDER)
    assert change.fate is not None
    assert change.fate.decision is not None
    assert change.fate.decision.reason is Reason.ABOVE_CEILING


def test_wanting_fewer_servers_ends_the_dearest() -> None:
    """One of two is too many."""
    before, after = make_policy(make_target(want=2)), make_policy(make_target(want=1))
    holdings = [
        make_holding(7, server=101, price=usd("2")),
        make_holding(8, server=202, price=usd("3")),
    ]
    books = [
        seen(make_book(mine(usd("2"), active=True), floor=usd("2"))),
        seen(make_book(mine(usd("3"), active=True, number=8), server=202, floor=usd("3"))),
    ]
    listings = [make_listing(101, floor=usd("2")), make_listing(202, floor=usd("3"))]
    view = make_view(before, *listings, holdings=holdings, books=books)
    found = comparing.compare(view, before, after, NOW)
    assert [(c.order, c.verdict) for c in found.orders] == [
        (7, Verdict.UNCHANGED),
        (8, Verdict.END),
    ]


def test_a_new_strategy_begins_a_bid() -> None:
    """On this server, at this price; the order of the other one stays as it is."""
    after = make_policy(make_target(), make_target("new"))
    view = running()
    listed = make_view(
        PRESENT,
        make_listing(floor=usd("2")),
        make_listing(202),
        holdings=view.holdings.values(),
        books=[*view.books.values(), seen(make_book(server=202))],
    )
    found = comparing.compare(listed, PRESENT, after, NOW)
    assert [c.verdict for c in found.orders] == [Verdict.UNCHANGED]
    (begun,) = found.slots
    assert (begun.verdict, begun.target, begun.server) == (Verdict.BEGIN, "new", 202)
    assert begun.fate is not None
    assert begun.fate.to == usd("1")
    assert not begun.presumed


def test_a_server_whose_book_nobody_read_is_presumed_to_hold_no_rival() -> None:
    """The bid is told, and that it rests on no book."""
    after = make_policy(make_target(), make_target("new"))
    view = running()
    listed = make_view(
        PRESENT,
        make_listing(floor=usd("2")),
        make_listing(202),
        holdings=view.holdings.values(),
        books=view.books.values(),
    )
    (begun,) = comparing.compare(listed, PRESENT, after, NOW).slots
    assert (begun.verdict, begun.server, begun.presumed) == (Verdict.BEGIN, 202, True)


def test_every_slot_of_a_new_strategy_is_told_at_once() -> None:
    """Also while a rule waits for the next read of our orders, which a comparison need not."""
    after = make_policy(make_target(), make_target("new", want=3))
    view = running()
    listings = [make_listing(server) for server in (202, 303, 405)]
    listed = make_view(
        PRESENT,
        make_listing(floor=usd("2")),
        *listings,
        holdings=view.holdings.values(),
        books=view.books.values(),
        creations=(Created(server=ServerId(404), at=at(-140)),),
        orders_at=at(-60),
    )
    found = comparing.compare(listed, PRESENT, after, NOW)
    assert [(c.verdict, c.server) for c in found.slots] == [
        (Verdict.BEGIN, 202),
        (Verdict.BEGIN, 303),
        (Verdict.BEGIN, 405),
    ]
    assert found.before.orders_at == at(-60), "how old it is, is told as it is"


def test_a_bid_that_only_the_present_policy_would_place_is_skipped() -> None:
    """And the slot that stays empty is told, with its reason."""
    after = make_policy(make_target(ceiling=usd("0.5")))
    view = make_view(PRESENT, make_listing(202), books=[seen(make_book(server=202))])
    found = comparing.compare(view, PRESENT, after, NOW)
    assert [c.verdict for c in found.slots] == [Verdict.SKIP, Verdict.WAIT]


def test_the_order_of_a_strategy_that_is_gone_is_left_and_counted() -> None:
    """It is not cancelled: it runs and is paid until it ends."""
    after = make_policy(make_target("other"))
    found = comparing.compare(running(), PRESENT, after, NOW)
    (left,) = found.orders
    assert left.verdict is Verdict.LEFT
    assert left.fate is not None
    assert left.fate.due == left.ends_at == make_order().ends_at
    assert comparing.left_usd(found) == 2


def test_a_renamed_strategy_bids_on_another_server() -> None:
    """Its old order stands in its own way."""
    after = make_policy(make_target("other"))
    view = running()
    listed = make_view(
        PRESENT,
        make_listing(floor=usd("1")),
        make_listing(202, floor=usd("1.5")),
        holdings=view.holdings.values(),
        books=[*view.books.values(), seen(make_book(server=202, floor=usd("1.5")))],
    )
    found = comparing.compare(listed, PRESENT, after, NOW)
    assert [c.verdict for c in found.changes] == [Verdict.LEFT, Verdict.BEGIN]
    assert found.slots[0].server == 202


def test_what_would_have_risen_stays() -> None:
    """A rail that stops the raise leaves the order where it is."""
    book = make_book(rival(usd("3"), active=True), mine(usd("2")))
    view = make_view(
        PRESENT, make_listing(), holdings=[outbid_holding()], books=[seen(book, outbid_reads=2)]
    )
    after = make_policy(make_target(), rails=Rails(max_usd_per_day=usd("2").amount))
    change = only(comparing.compare(view, PRESENT, after, NOW))
    assert change.verdict is Verdict.STAY
    assert change.instead is not None
    assert change.instead.course is Course.UP


def test_an_order_whose_book_is_not_read_is_unknown() -> None:
    """Nobody can tell; only with the same policy it is certain that nothing changes."""
    view = make_view(PRESENT, make_listing(), holdings=[make_holding(active=None)])
    after = make_policy(make_target(ceiling=usd("1")))
    assert only(comparing.compare(view, PRESENT, after, NOW)).verdict is Verdict.UNKNOWN
    assert only(comparing.compare(view, PRESENT, PRESENT, NOW)).verdict is Verdict.UNCHANGED


def test_another_mode_leaves_every_order() -> None:
    """Who trades on paper looks after no real order."""
    after = replace(PRESENT, mode=Mode.PAPER)
    found = comparing.compare(running(), PRESENT, after, NOW)
    assert [c.verdict for c in found.orders] == [Verdict.LEFT]
    assert [c.server for c in found.slots] == [ServerId(SERVER)]


@pytest.mark.slow
@settings(max_examples=25, suppress_health_check=[HealthCheck.too_slow])
@given(st.data())
def test_a_policy_changes_nothing_against_itself(data: st.DataObject) -> None:
    """In whatever state the account is; and its worst case is its own."""
    policy = data.draw(policies())
    view = data.draw(views(policy))
    found = comparing.compare(view, policy, policy, NOW)
    assert {change.verdict for change in found.changes} <= {Verdict.UNCHANGED}
    assert worst_case(policy, found.before.rates) == worst_case(policy, found.after.rates)


@pytest.mark.slow
@settings(max_examples=25, suppress_health_check=[HealthCheck.too_slow])
@given(st.data())
def test_every_order_of_ours_is_told_once(data: st.DataObject) -> None:
    """Whatever the other policy is: no order is left out, and none of a person's is in."""
    before, after = data.draw(policies()), data.draw(policies())
    view = data.draw(views(before))
    found = comparing.compare(view, before, after, NOW)
    ours = sorted(h.order.order for h in view.holdings.values() if h.ours)
    assert [change.order for change in found.orders] == ours
    for change in found.orders:
        if change.verdict is Verdict.RISE:
            assert change.fate is not None
            assert isinstance(change.fate.to, Price)
            assert change.fate.decision is not None
            assert not isinstance(change.fate.decision.action, Withdraw)
    assert sum(comparing.counts(found.changes).values()) == len(found.changes)
