"""Which servers a target holds: the cheapest together, and a change only where it pays for itself."""

from collections.abc import Mapping
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from itertools import combinations
from typing import Any

import pytest
from builders import (
    TARGET,
    at,
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
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bidder.domain import planning, selection, sentences
from bidder.domain.actions import Decision, PlaceBid, Reason, Reprice, Withdraw
from bidder.domain.ids import ServerId
from bidder.domain.market import Listing
from bidder.domain.policy import (
    AdaptiveParams,
    FixedParams,
    Moving,
    Policy,
    Rails,
    StrategyParams,
    TrackParams,
)
from bidder.domain.price_rules import LoweringClock
from bidder.domain.view import BookSeen, Created, Holding, View

NOW = at(0)
RUNNING = Moving(running=True, pause=timedelta(hours=1))
EAGER = TrackParams(raise_wait=timedelta(0), confirm=False)
SLOW = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])


def held(server: int, price: str, *, hours: float = 2, **changes: Any) -> Holding:
    """Return a running order of so many hours' age whose clock has just been started."""
    order = make_order(
        server, server=server, price=usd(price), created_at=at(-3600 * hours), mrl=timedelta(days=30)
    )
    first = at(-3600 * hours)
    usual = make_holding(order=order, first_seen_at=first, clock=LoweringClock(lowered_at=at(-1)))
    return replace(usual, **changes)


def book_of(holding: Holding, best_rival: str | None = None) -> BookSeen:
    """Return the book of a server of ours; a rival stands one tick below our bid unless said."""
    price = holding.order.price
    below = usd(str(price.amount - Decimal("0.0001"))) if best_rival is None else usd(best_rival)
    ours = mine(price, active=bool(holding.active), number=holding.order.order)
    return seen(make_book(ours, rival(below), server=holding.order.server))


def world(
    *holdings: Holding,
    free: Mapping[int, str],
    want: int = 1,
    moving: Moving = RUNNING,
    params: StrategyParams = EAGER,
    rails: Rails | None = None,
    gpus: Mapping[int, int] | None = None,
    books: tuple[BookSeen, ...] | None = None,
    **changes: Any,
) -> tuple[View, Policy]:
    """Return a target with these orders, and free servers at these dollars."""
    sizes = gpus or {}
    target_changes = {key: changes.pop(key) for key in ("restart", "per", "ceiling") if key in changes}
    target = make_target(params=params, want=want, moving=moving, **target_changes)
    policy = make_policy(target, rails=rails or Rails())
    listings = [make_listing(h.order.server, gpus=sizes.get(h.order.server, 1)) for h in holdings]
    listings += [make_listing(s, floor=usd(p), gpus=sizes.get(s, 1)) for s, p in free.items()]
    ours = books if books is not None else tuple(book_of(h) for h in holdings)
    there = [seen(make_book(server=s, floor=usd(p))) for s, p in free.items()]
    return make_view(policy, *listings, holdings=holdings, books=[*ours, *there], **changes), policy


def moves(view: View, policy: Policy) -> list[Decision]:
    """Return what is decided of moves."""
    return [d for d in planning.plan(view, policy, NOW) if d.reason is Reason.MOVE and d.action]


def move(*holdings: Holding, **changes: Any) -> Decision | None:
    """Return the one move that is decided, if there is one."""
    found = moves(*world(*holdings, **changes))
    assert len(found) <= 1
    return found[0] if found else None


def test_a_running_order_moves_to_a_server_that_is_cheaper_by_more_than_the_change_costs() -> None:
    """The new order is placed first; the old one stays as it is."""
    view, policy = world(held(101, "4"), free={202: "2"})
    decisions = planning.plan(view, policy, NOW)
    (placing,) = [d for d in decisions if d.action]
    assert isinstance(placing.action, PlaceBid)
    assert (placing.reason, placing.server, placing.order) == (Reason.MOVE, 202, None)
    assert placing.action.price == usd("2")
    # 24 hours of two dollars a day; a tenth of an hour of five dollars, and two minutes of both.
    assert placing.facts["saving_usd"] == "2.0000"
    assert placing.facts["churn_usd"] == "0.0264"
    assert (placing.facts["from_order"], placing.facts["from_server"]) == (101, 101)
    (staying,) = [d for d in decisions if d.order == 101]
    assert staying.action is None


def test_it_is_told_as_a_sentence() -> None:
    """With what it saves and what it costs."""
    placing = move(held(101, "4"), free={202: "2"})
    assert placing is not None
    said = sentences.tell("move", placing.facts, action="place", price="2 USD")
    assert said == (
        "Another server was the better deal (server 202 takes 2 USD per day, in 24.0 hours it saves"
        " 2.0000 USD per GPU, the change costs 0.0264, order 101 stays until the new one runs):"
        " a bid of 2 USD per day was placed."
    )


@pytest.mark.parametrize(
    ("changes", "moved"),
    [
        ({"free": {202: "3.5"}}, True),
        ({"free": {202: "3.59"}}, False),  # 41 cents are not a tenth and the change
        ({"free": {202: "3.5"}, "creation_fee_usd": Decimal("0.2")}, False),
        ({"free": {202: "2"}, "restart": timedelta(hours=8)}, False),  # 1.67 of five dollars, and 0.4
        ({"free": {202: "2"}, "restart": timedelta(hours=7)}, True),
    ],
)
def test_the_saving_must_exceed_the_owners_margin_and_the_cost_of_the_change(
    changes: dict[str, Any], moved: bool
) -> None:
    """Price, fee and lost work, in one sum."""
    assert (move(held(101, "4"), **changes) is not None) is moved


def test_what_is_saved_after_the_horizon_does_not_count() -> None:
    """In an hour two dollars a day are eight cents: more than six minutes of work, less than twenty."""
    soon = replace(RUNNING, horizon=timedelta(hours=1))
    assert move(held(101, "4"), free={202: "2"}, moving=soon) is not None
    assert move(held(101, "4"), free={202: "2"}, moving=soon, restart=timedelta(minutes=20)) is None


def test_an_order_that_ends_soon_is_not_worth_moving() -> None:
    """What would be saved ends with it."""
    ending = held(101, "4")
    ending = replace(ending, order=replace(ending.order, mrl=timedelta(hours=2, minutes=15)))
    assert move(ending, free={202: "2"}) is None


def test_the_walk_down_that_is_ahead_counts_against_staying() -> None:
    """It comes down to two dollars, and the way costs something: 1.70 is a reason, 1.95 is none."""
    high = held(101, "4.9")
    near = world(high, free={202: "1.7"}, books=(book_of(high, "1.9999"),))
    far = world(high, free={202: "1.95"}, books=(book_of(high, "1.9999"),))
    (placing,) = moves(*near)
    assert Decimal(str(placing.facts["saving_usd"])) > Decimal("0.3")
    assert moves(*far) == []


ALONE: dict[str, dict[str, Any]] = {
    "overlap": {"moving": replace(RUNNING, overlap=False)},
    "orders": {"rails": Rails(max_orders=1)},
    "dollars": {"rails": Rails(max_usd_per_day=Decimal("5.5"))},
}


@pytest.mark.parametrize("why", ALONE)
def test_where_both_may_not_stand_the_old_order_goes_first(why: str) -> None:
    """Because the owner or one of the rails says so."""
    leaving = move(held(101, "4"), free={202: "2"}, **ALONE[why])
    assert leaving is not None
    assert isinstance(leaving.action, Withdraw)
    assert (leaving.order, leaving.facts["to_server"]) == (101, 202)


def test_of_a_target_the_order_moves_that_saves_most_and_no_other() -> None:
    """Both could; the second one looks again when the first has settled."""
    view, policy = world(held(101, "3.5"), held(102, "4"), free={202: "2", 203: "2"}, want=2)
    (placing,) = moves(view, policy)
    assert placing.facts["from_order"] == 102


def after_placing(active: bool | None, **changes: Any) -> dict[int, Decision]:
    """Return the decisions, by order, once the new order is listed beside the old one."""
    new = held(202, "2", hours=0, active=active, **changes)
    view, policy = world(held(101, "4"), new, free={})
    found = planning.plan(view, policy, NOW)
    return {d.order: d for d in found if d.order is not None}


def test_the_old_order_goes_once_the_new_one_runs() -> None:
    """And says for which."""
    waiting = after_placing(None)
    assert all(d.action is None for d in waiting.values())
    done = after_placing(True)
    assert isinstance(done[101].action, Withdraw)
    assert done[101].reason is Reason.MOVE
    assert done[101].facts["to_server"] == 202
    assert done[202].action is None


def test_a_new_order_that_does_not_run_is_given_up_again() -> None:
    """The old one keeps its server."""
    found = after_placing(False, outbid_since=at(-5))
    assert isinstance(found[202].action, Withdraw)
    assert found[202].reason is Reason.SURPLUS
    assert found[101].action is None


def test_a_new_order_is_given_its_time_to_run() -> None:
    """It is on top; the exchange may switch to it late, and both are kept until then."""
    for seconds, reason in ((8, None), (89, None), (91, Reason.SURPLUS)):
        clock = LoweringClock(created_at=at(-seconds))
        found = after_placing(False, outbid_since=at(2 - seconds), clock=clock)
        assert found[101].action is None
        assert (found[202].reason if found[202].action else None) is reason


def test_a_new_order_that_its_book_does_not_list_yet_is_kept_for_as_long() -> None:
    """The read may be older than the order."""
    for seconds, reason in ((8, None), (91, Reason.SURPLUS)):
        clock = LoweringClock(created_at=at(-seconds))
        new = held(202, "2", hours=0, active=False, outbid_since=at(2 - seconds), clock=clock)
        old = held(101, "4")
        books = (book_of(old), seen(make_book(server=202)))
        view, policy = world(old, new, free={}, books=books)
        (kept,) = [d for d in planning.plan(view, policy, NOW) if d.order == 202]
        assert (kept.reason if kept.action else None) is reason


def test_a_server_where_that_happened_is_not_tried_again_within_the_pause() -> None:
    """Whatever it would save."""
    lately = (Created(server=ServerId(202), at=at(-600)),)
    assert move(held(101, "4"), free={202: "2"}, creations=lately) is None
    before = (Created(server=ServerId(202), at=at(-3700)),)
    assert move(held(101, "4"), free={202: "2"}, creations=before, orders_at=at(0)) is not None


BUSY: dict[str, tuple[tuple[Holding, ...], dict[str, Any]]] = {
    "new order": ((held(101, "4"), held(102, "1", hours=0.5)), {}),
    "outbid": ((held(101, "4"), held(102, "1", active=False, outbid_since=at(-5))), {}),
    "not yet seen": ((held(101, "4"), held(102, "1", active=None)), {}),
    "missing": ((held(101, "4"), held(102, "1", missing_reads=1)), {}),
    "open request": (
        (held(101, "4"), held(102, "1")),
        {"intents": (make_intent(server=303, target=TARGET),)},
    ),
}


@pytest.mark.parametrize("why", BUSY)
def test_nothing_that_runs_moves_while_something_of_the_target_is_in_motion(why: str) -> None:
    """One thing after the other."""
    holdings, changes = BUSY[why]
    assert move(*holdings, free={202: "2"}, want=2, **changes) is None
    assert move(held(101, "4"), held(102, "1"), free={202: "2"}, want=2) is not None


def test_servers_of_different_sizes_compare_by_the_gpu() -> None:
    """Two GPUs for 5 dollars are dearer than four for 8."""
    sizes = {101: 2, 202: 4}
    placing = move(held(101, "5"), free={202: "8"}, gpus=sizes, ceiling=usd("20"))
    assert placing is not None
    assert move(held(101, "5"), free={202: "9.9"}, gpus=sizes, ceiling=usd("20")) is None


def test_of_too_many_the_dearest_by_the_gpu_goes() -> None:
    """Four GPUs for six dollars are no bargain to give up for one at two."""
    large, small = held(101, "6"), held(102, "2")
    view, policy = world(large, small, free={}, gpus={101: 4}, ceiling=usd("20"), moving=Moving())
    gone = [d.order for d in planning.plan(view, policy, NOW) if d.reason is Reason.SURPLUS]
    assert gone == [102]


def test_a_server_of_another_target_is_nobodys_choice() -> None:
    """However cheap its rival makes it look."""
    other = held(202, "1", target="second")
    targets = [make_target(name, params=EAGER, moving=RUNNING) for name in (TARGET, "second")]
    policy = make_policy(*targets)
    mine_, listings = held(101, "4"), (make_listing(101), make_listing(202, floor=usd("0.5")))
    view = make_view(policy, *listings, holdings=[mine_, other], books=[book_of(mine_), book_of(other)])
    assert moves(view, policy) == []


def test_a_fixed_bid_and_one_without_leave_stay() -> None:
    """Who names a price is not moved for it."""
    assert move(held(101, "4"), free={202: "1"}, moving=Moving()) is None
    assert move(held(101, "4"), free={202: "1"}, params=FixedParams(price=usd("4"))) is None
    assert move(held(101, "4"), free={202: "1"}, params=AdaptiveParams()) is not None


# Properties


@st.composite
def servers(draw: st.DrawFn, least: int = 1) -> tuple[Listing, ...]:
    """Return free servers of any size, price and reliability."""
    count = draw(st.integers(least, 6))
    return tuple(
        make_listing(
            number,
            floor=usd(str(draw(st.integers(50, 500)) / Decimal(100))),
            gpus=draw(st.integers(1, 4)),
            reliability=draw(st.sampled_from([1.0, 0.97, 0.9])),
        )
        for number in range(301, 301 + count)
    )


def empty(listing: Listing, holding: Holding | None) -> BookSeen:
    """Return the book of a server nobody else bids for."""
    (floor,) = listing.spot_floor.values()
    offers = [] if holding is None else [mine(holding.order.price, active=True, number=listing.server)]
    return seen(make_book(*offers, server=listing.server, floor=floor))


def carried_out(decision: Decision, state: dict[int, Holding]) -> None:
    """Change the orders as the exchange would; each new bid wins."""
    match decision.action:
        case PlaceBid(server=server, price=price):
            assert server not in state
            state[server] = held(server, str(price.amount), hours=0)
        case Withdraw(server=server):
            del state[server]
        case Reprice(server=server, price=price):
            state[server] = replace(state[server], order=replace(state[server].order, price=price))


def an_hour_older(holding: Holding) -> Holding:
    """Return it an hour later, its clock open."""
    order = replace(holding.order, created_at=holding.order.created_at - timedelta(hours=1))
    first = holding.first_seen_at - timedelta(hours=1)
    return replace(holding, order=order, first_seen_at=first, clock=LoweringClock(lowered_at=first))


def score(listing: Listing) -> Decimal:
    """Return what a server counts as, per GPU-day."""
    (floor,) = listing.spot_floor.values()
    return selection.weigh(floor.amount, listing)


@SLOW
@given(found=servers(), want=st.integers(1, 3))
def test_slots_filled_one_by_one_are_the_best_choice_of_all_together(
    found: tuple[Listing, ...], want: int
) -> None:
    """As cheap per GPU as the cheapest of all sets of so many servers."""
    policy = make_policy(make_target(want=want, params=EAGER, ceiling=usd("50")))
    state: dict[int, Holding] = {}
    for _ in range(want):
        books = [empty(each, state.get(each.server)) for each in found]
        view = make_view(policy, *found, holdings=state.values(), books=books)
        placed = [d for d in planning.plan(view, policy, NOW) if d.action]
        assert len(placed) == (1 if len(state) < min(want, len(found)) else 0)
        for decision in placed:
            carried_out(decision, state)
    chosen = sum(score(each) for each in found if each.server in state)
    sets = combinations(found, min(want, len(found)))
    assert chosen == min(sum(map(score, each)) for each in sets)


@SLOW
@given(
    found=servers(least=3),
    want=st.integers(1, 3),
    saving=st.sampled_from(["0", "0.1"]),
    overlap=st.booleans(),
    restart=st.integers(0, 240),
    fee=st.sampled_from(["0", "0.05", "0.5"]),
    data=st.data(),
)
def test_in_a_world_that_stands_still_orders_come_to_rest(
    found: tuple[Listing, ...],
    want: int,
    saving: str,
    overlap: bool,
    restart: int,
    fee: str,
    data: st.DataObject,
) -> None:
    """From any orders at any price: no server is left twice or bid on twice; one is too many at most.

    Each move saves more than it costs, and in the end what is left out could save no more than that.
    """
    moving = Moving(running=True, saving=Decimal(saving), overlap=overlap, pause=timedelta(minutes=30))
    target = make_target(
        want=want, params=EAGER, moving=moving, ceiling=usd("50"), restart=timedelta(minutes=restart)
    )
    policy = make_policy(target, rails=Rails())
    # The dearest ones, or the world would be at rest from the beginning.
    chosen = sorted(found, key=score, reverse=True)[:want]
    state: dict[int, Holding] = {}
    for listing in chosen:
        (floor,) = listing.spot_floor.values()
        over = data.draw(st.integers(0, 200))
        state[listing.server] = held(listing.server, str(floor.amount + Decimal(over) / 100))
    left: list[int] = []
    decisions: list[Decision] = []
    for _ in range(40):
        books = [empty(each, state.get(each.server)) for each in found]
        view = make_view(
            policy, *found, holdings=state.values(), books=books, creation_fee_usd=Decimal(fee)
        )
        decisions = [d for d in planning.plan(view, policy, NOW) if d.action]
        for decision in decisions:
            if "saving_usd" in decision.facts:
                spared = Decimal(str(decision.facts["saving_usd"]))
                assert spared > Decimal(str(decision.facts["churn_usd"]))
        if decisions:
            if isinstance(decisions[0].action, Withdraw):
                left.append(decisions[0].action.server)
            carried_out(decisions[0], state)
        assert len(state) <= want + overlap
        state = {server: an_hour_older(holding) for server, holding in state.items()}
    assert decisions == []
    assert len(state) == min(want, len(found))
    assert len(left) == len(set(left))
    assert not {*left} & {*state}
