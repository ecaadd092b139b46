"""From targets to decisions: empty slots, surplus, renewal, and one answer for every order."""

from collections.abc import Callable
from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest
from builders import (
    BID,
    FLOOR,
    NOW,
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
    outbid_holding,
    rival,
    seen,
    server_ids,
    usd,
)

from bidder.domain import affording, budgets, fold, planning
from bidder.domain.actions import Decision, PlaceBid, Reason, Reprice, Withdraw
from bidder.domain.costs import Cost
from bidder.domain.ids import OrderId, ServerId
from bidder.domain.intents import IntentKind, IntentState
from bidder.domain.market import Book, Listing, OrderKind
from bidder.domain.money import Currency, Price, Rates
from bidder.domain.pacing import Multiplier
from bidder.domain.policy import (
    AdaptiveParams,
    Budget,
    Ceiling,
    DeadlineParams,
    FixedParams,
    OwnParams,
    Per,
    Policy,
    Rails,
    Requirements,
    StrategyParams,
    TrackParams,
)
from bidder.domain.quotes import Quote
from bidder.domain.view import BookSeen, Cancelled, Holding, RateDoubt, View


def free(*servers: int, floor: str = "1") -> dict[str, Any]:
    """Return free servers whose empty books were just read."""
    return {
        "listings": [make_listing(s, floor=usd(floor)) for s in servers],
        "books": [seen(make_book(server=s, floor=usd(floor))) for s in servers],
    }


def planned(
    policy: Policy, *listings: Any, now_after: float = 0, **changes: Any
) -> tuple[Decision, ...]:
    """Return every decision of a policy in a situation."""
    world = free(202, 303)
    books = [*world["books"], *changes.pop("books", ())]
    view = make_view(policy, *listings, *world["listings"], books=books, **changes)
    return planning.plan(view, policy, at(now_after))


def creations(decisions: tuple[Decision, ...]) -> list[Decision]:
    """Return the decisions to place a bid."""
    return [d for d in decisions if isinstance(d.action, PlaceBid)]


# --- empty slots


def own(opening_bid: Callable[[Quote, object], Price | None]) -> OwnParams:
    """Return the parameters of an owner's strategy with this rule for first bids."""
    return OwnParams(function="mine:decide", decide=lambda *_: None, opening_bid=opening_bid)


def small_only(quote: Quote, _: object) -> Price | None:
    """Stay away from what takes more than 3 USD."""
    return quote.needed if quote.needed <= usd("3") else None


def fails_on_large(quote: Quote, _: object) -> Price | None:
    """Fail where it takes more than 3 USD."""
    assert quote.needed <= usd("3")
    return quote.needed


DECLINING = [
    FixedParams(price=usd("2")),
    AdaptiveParams(),
    own(small_only),
    own(fails_on_large),
]


def large_and_small(params: StrategyParams, *, small: str) -> Decision:
    """Return the decision about a slot: a server of 8 GPUs for 4.9 USD, and one of one GPU."""
    policy = make_policy(make_target(params=params))
    large, other = make_listing(101, gpus=8, floor=usd("4.9")), make_listing(202, floor=usd(small))
    books = [seen(make_book(server=s, floor=usd(p))) for s, p in ((101, "4.9"), (202, small))]
    (decision,) = planning.plan(make_view(policy, large, other, books=books), policy, NOW)
    return decision


@pytest.mark.parametrize("params", DECLINING, ids=lambda each: type(each).__name__)
def test_where_a_strategy_would_not_bid_the_next_best_server_is_taken(params: StrategyParams) -> None:
    """Eight GPUs for 4.9 USD are cheaper per GPU, but not what the strategy bids on."""
    decision = large_and_small(params, small="2")

    assert isinstance(decision.action, PlaceBid)
    assert decision.server == 202
    assert decision.facts["cheaper_declined"] == 1


@pytest.mark.parametrize("params", DECLINING, ids=lambda each: type(each).__name__)
def test_where_a_strategy_would_bid_nowhere_the_best_server_says_why(params: StrategyParams) -> None:
    """As if it were the only one; and what is known of it is kept as fresh as that of one to bid on."""
    decision = large_and_small(params, small="4.8")

    assert (decision.action, decision.server) == (None, 101)
    failed = params is DECLINING[-1]
    assert decision.reason is (Reason.STRATEGY_FAILED if failed else Reason.TOO_EXPENSIVE)


def test_the_best_server_that_a_strategy_declines_is_read_again() -> None:
    """It may come within reach; the others count as known for minutes."""
    policy = make_policy(make_target(params=FixedParams(price=usd("2"))))
    listings = [make_listing(server, floor=usd("3")) for server in (101, 202)]
    books = [seen(make_book(server=server, floor=usd("3")), when=at(-60)) for server in (101, 202)]
    (decision,) = planning.plan(make_view(policy, *listings, books=books), policy, NOW)
    assert (decision.reason, decision.wants_book) == (Reason.STALE, 101)


LIMITS = [
    {"rails": Rails(max_usd_per_day=Decimal(3))},
    {"budget": Budget(usd_per_day=Decimal(2))},
]


def short_of_money(policy: Policy, *listings: Listing, books: list[BookSeen]) -> View:
    """Return a view in which a dollar of the daily budget counts as ten."""
    view = make_view(policy, *listings, books=books)
    return replace(
        view, multipliers={limit.key: Multiplier(value=9.0, at=NOW) for limit in budgets.limits(policy)}
    )


@pytest.mark.parametrize("limit", LIMITS, ids=["rail", "budget"])
def test_where_the_best_server_is_too_dear_for_the_day_one_within_the_limit_is_taken(
    limit: dict[str, Any],
) -> None:
    """Eight GPUs for 4.9 USD a day are cheaper per GPU, and more than the owner wants to spend."""
    policy = make_policy(make_target(per=Per.GPU), **limit)
    listings = [make_listing(101, gpus=8, floor=usd("4.9")), make_listing(202, floor=usd("2"))]
    books = [
        seen(
            make_book(server=101, floor=usd("4.9")), when=at(-60)
        ),  # what is not bid on is not read again
        seen(make_book(server=202, floor=usd("2"))),
    ]
    (decision,) = planning.plan(short_of_money(policy, *listings, books=books), policy, NOW)
    assert isinstance(decision.action, PlaceBid)
    assert decision.server == 202


@pytest.mark.parametrize("limit", LIMITS, ids=["rail", "budget"])
def test_where_every_server_is_too_dear_for_the_day_the_best_one_says_so(limit: dict[str, Any]) -> None:
    """And no book is read for nothing."""
    policy = make_policy(make_target(per=Per.GPU), **limit)
    listings = [make_listing(101, gpus=8, floor=usd("4.9")), make_listing(202, floor=usd("4.8"))]
    books = [seen(make_book(server=101, floor=usd("4.9")))]
    (decision,) = planning.plan(short_of_money(policy, *listings, books=books), policy, NOW)
    assert decision.reason in {Reason.RAIL, Reason.PACED}
    assert (decision.action, decision.server, decision.wants_book) == (None, 101, None)


@pytest.mark.parametrize("rail", [Rails(max_usd_per_day=Decimal(2)), Rails(max_orders=0)])
def test_a_shut_rail_sends_nobody_through_the_market(rail: Rails) -> None:
    """The dearer one of the two is no way around it."""
    policy = make_policy(rails=rail)
    listings = [make_listing(101, floor=usd("3")), make_listing(202, floor=usd("4"))]
    books = [seen(make_book(server=101, floor=usd("3")))]
    (decision,) = planning.plan(make_view(policy, *listings, books=books), policy, NOW)
    assert (decision.reason, decision.server, decision.wants_book) == (Reason.RAIL, 101, None)


def test_an_empty_slot_is_filled_one_at_a_time() -> None:
    """Three are wanted: one bid now, the others in later passes, from fresher facts."""
    policy = make_policy(make_target(want=3))
    (decision,) = planned(policy)
    assert decision.reason is Reason.EMPTY_SLOT
    assert decision.server == 202
    assert decision.facts["empty_slots"] == 3


def test_a_first_bid_is_the_floor_or_just_above_the_best_rival() -> None:
    """Not the ceiling."""
    policy = make_policy()
    (alone,) = planned(policy)
    assert isinstance(alone.action, PlaceBid)
    assert alone.action.price == usd("1")
    view = make_view(policy, make_listing(202), books=[seen(make_book(rival(usd("1.5")), server=202))])
    (contested,) = planning.plan(view, policy, NOW)
    assert isinstance(contested.action, PlaceBid)
    assert contested.action.price == usd("1.5001")


def test_a_creation_not_yet_seen_counts_as_held() -> None:
    """Or a slow answer would mean a second order."""
    pending = make_intent(server=404, accepted=True)
    (decision,) = planned(make_policy(), intents=(pending,))
    assert decision.reason is Reason.PENDING
    doubtful = replace(pending, accepted=False)
    (decision,) = planned(make_policy(), intents=(doubtful,))
    assert decision.reason is Reason.IN_DOUBT
    unclear = replace(pending, state=IntentState.AMBIGUOUS)
    (decision,) = planned(make_policy(), intents=(unclear,))
    assert decision.reason is Reason.FROZEN


def test_a_book_is_read_before_a_bid() -> None:
    """Servers are walked by their floor; the one that might be best is asked for."""
    policy = make_policy()
    view = make_view(policy, make_listing(202))
    (decision,) = planning.plan(view, policy, NOW)
    assert decision.action is None
    assert decision.wants_book == 202


def test_no_more_books_are_read_than_could_matter() -> None:
    """A server whose floor is above the best bid known is not asked for."""
    policy = make_policy()
    view = make_view(
        policy,
        make_listing(202, floor=usd("1")),
        make_listing(303, floor=usd("2")),
        books=[seen(make_book(rival(usd("1.8")), server=202))],
    )
    (decision,) = planning.plan(view, policy, NOW)
    assert decision.server == 202
    assert isinstance(decision.action, PlaceBid)


def test_when_nothing_fits_the_nearest_miss_is_named() -> None:
    """The owner sees what it would take."""
    policy = make_policy(make_target(ceiling=usd("1.2")))
    view = make_view(policy, make_listing(202), books=[seen(make_book(rival(usd("1.5")), server=202))])
    (decision,) = planning.plan(view, policy, NOW)
    assert decision.reason is Reason.TOO_EXPENSIVE
    assert decision.facts["cheapest"] == "1.5001 USD"
    assert decision.facts["ceiling"] == "1.2 USD"


def test_an_empty_marketplace_has_no_candidate() -> None:
    """And before it was read, nothing is said."""
    policy = make_policy()
    (decision,) = planning.plan(make_view(policy), policy, NOW)
    assert decision.reason is Reason.NO_CANDIDATE
    (decision,) = planning.plan(View(), policy, NOW)
    assert decision.reason is Reason.STALE


def test_a_ceiling_in_dollars_without_a_rate_asks_for_a_book_that_brings_one() -> None:
    """It is not traded until then, and says so."""
    policy = make_policy(make_target(currencies=(Currency.BTC,)))
    view = make_view(policy, make_listing(202, floor=btc("0.00001")), rates=Rates())
    (decision,) = planning.plan(view, policy, NOW)
    assert decision.reason is Reason.NO_RATE
    assert decision.wants_book == 202


def test_an_account_wide_refusal_is_waited_out() -> None:
    """No balance: not tried on every server in turn."""
    policy = make_policy()
    view = make_view(policy, make_listing(202), books=[seen(make_book(server=202))])
    view = fold.set_back(view, "not_enough_balance", now=NOW, minutes=10)
    (decision,) = planning.plan(view, policy, NOW)
    assert decision.reason is Reason.REFUSED
    assert decision.due == at(600)
    assert decision.facts["refusal"] == "not_enough_balance"


@pytest.mark.parametrize("change", [{"online": False}, {"public": False}, {"exists": False}])
def test_a_server_whose_book_is_closed_is_passed_over(change: dict[str, Any]) -> None:
    """The next one is taken."""
    policy = make_policy()
    view = make_view(
        policy,
        make_listing(202),
        make_listing(303, floor=usd("2")),
        books=[
            seen(make_book(server=202, **change)),
            seen(make_book(server=303, floor=usd("2"))),
        ],
    )
    (decision,) = planning.plan(view, policy, NOW)
    assert decision.server == 303


def test_a_server_without_a_book_is_bid_for_at_the_floor_that_the_marketplace_lists() -> None:
    """Nobody has bid there yet; where no floor is listed either, there is nothing to be had."""
    policy = make_policy()
    bookless = seen(Book(server=ServerId(202), exists=False))
    second = seen(make_book(server=303, floor=usd("2")))
    listings = (make_listing(202), make_listing(303, floor=usd("2")))
    (decision,) = planning.plan(make_view(policy, *listings, books=[bookless, second]), policy, NOW)
    assert isinstance(decision.action, PlaceBid)
    assert (decision.server, decision.action.price) == (202, FLOOR)


# --- orders that are held


def test_what_cannot_be_judged_now_is_held_with_its_reason() -> None:
    """In doubt, missing from our orders, refused lately."""
    policy = make_policy()
    view = make_view(policy, make_listing(), holdings=[make_holding()])

    def reason(changed: View) -> Reason:
        (decision,) = planning.plan(changed, policy, NOW)
        assert decision.action is None
        return decision.reason

    doubtful = make_intent(IntentKind.REPRICE, price=usd("3"))
    assert reason(replace(view, intents=(doubtful,))) is Reason.IN_DOUBT
    ambiguous = replace(doubtful, state=IntentState.AMBIGUOUS)
    assert reason(replace(view, intents=(ambiguous,))) is Reason.FROZEN
    assert reason(view.with_holding(make_holding(missing_reads=1))) is Reason.STALE
    refused = fold.set_back(view, "odd", now=NOW, minutes=1, order=make_order().order)
    assert reason(refused) is Reason.REFUSED


def test_an_order_that_is_not_listed_is_looked_for() -> None:
    """Our orders are read again before anything is decided about it."""
    policy = make_policy()
    view = make_view(policy, make_listing(), holdings=[make_holding(missing_reads=1)])
    (decision,) = planning.plan(view, policy, NOW)
    assert decision.wants_orders


def test_a_rental_on_demand_is_held_at_its_price() -> None:
    """There is nothing to bid."""
    policy = make_policy()
    order = make_order(kind=OrderKind.ON_DEMAND, price=usd("4"))
    view = make_view(policy, make_listing(), holdings=[make_holding(order=order, active=None)])
    (decision,) = planning.plan(view, policy, NOW)
    assert decision.reason is Reason.WINNING


RENTING = DeadlineParams(
    gpu_hours=Decimal(100), by=at(100_000), on_demand_ceiling=Ceiling(price=usd("12"))
)


def of_rental(price: Price, *, params: StrategyParams, **changes: Any) -> Decision:
    """Return what is decided about an order on demand at this price."""
    policy = make_policy(make_target(ceiling=usd("2"), params=params))
    order = make_order(kind=OrderKind.ON_DEMAND, price=price)
    held = [make_holding(order=order, active=None)]
    view = make_view(policy, make_listing(), holdings=held, **changes)
    return next(d for d in planning.plan(view, policy, NOW) if d.order == order.order)


def test_a_rental_above_the_ceiling_of_its_target_goes() -> None:
    """A job that became a bidder left it behind, or its ceiling was lowered."""
    for price, params in ((usd("2.01"), TrackParams()), (usd("12.01"), RENTING)):
        goes = of_rental(price, params=params)
        assert goes.reason is Reason.ABOVE_CEILING
        assert goes.action == Withdraw(order=OrderId(7), server=SERVER, target=TARGET)
        paused = of_rental(price, params=params, paused=True)
        assert paused.action == goes.action
    for price, params in ((usd("2"), TrackParams()), (usd("12"), RENTING)):
        assert of_rental(price, params=params).action is None


def test_a_rental_in_another_currency_is_not_ended_by_a_breath_of_its_rate() -> None:
    """It is so only well above its ceiling, and by a rate that is known and sure."""
    for price, reason in (("660", Reason.WINNING), ("660.01", Reason.ABOVE_CEILING)):
        assert of_rental(clore(price), params=RENTING).reason is reason
    unknown = of_rental(clore("660.01"), params=RENTING, rates=Rates({}))
    assert (unknown.action, unknown.reason) == (None, Reason.NO_RATE)
    doubted = {Currency.CLORE: RateDoubt(since=NOW)}
    unsure = of_rental(clore("660.01"), params=RENTING, doubted=doubted)
    assert (unsure.action, unsure.reason) == (None, Reason.STALE)


def test_the_order_of_a_person_gets_no_decision() -> None:
    """It is not ours to judge."""
    policy = make_policy(make_target(want=1))
    view = make_view(policy, make_listing(), holdings=[make_holding(target=None)])
    assert [d.order for d in planning.plan(view, policy, NOW)] == [None]


def surplus_of(*holdings: Holding, want: int) -> set[int]:
    """Return the servers that are given up when fewer are wanted than held."""
    policy = make_policy(make_target(want=want, params=FixedParams()))
    view = make_view(policy, *(make_listing(h.order.server) for h in holdings), holdings=holdings)
    found = planning.plan(view, policy, NOW)
    assert all(isinstance(d.action, Withdraw) for d in found if d.reason is Reason.SURPLUS)
    return {d.server for d in found if d.reason is Reason.SURPLUS and d.server is not None}


def held_at(price: Price, number: int, **changes: Any) -> Holding:
    """Return a running order on a server of the same number."""
    return make_holding(number, server=number, price=price, **changes)


def test_of_too_many_those_that_do_not_run_go_first_then_the_dearest() -> None:
    """However cheap the idle one is."""
    cheap, dear = held_at(usd("1"), 1), held_at(btc("0.00008"), 2)
    idle = outbid_holding(3, server=3, price=usd("0.5"))
    assert surplus_of(cheap, dear, idle, want=3) == set()
    assert surplus_of(cheap, dear, idle, want=2) == {3}
    assert surplus_of(cheap, dear, idle, want=1) == {2, 3}


# --- several targets


RULED_OUT: dict[str, dict[str, Any]] = {
    "server": {"requirements": Requirements(exclude_servers=server_ids(SERVER))},
    "host": {"requirements": Requirements(exclude_owners=frozenset({900}))},
    "country": {"requirements": Requirements(countries=frozenset({"SE"}))},
    "GPU": {"requirements": Requirements(gpu_models=("RTX 4090",))},
    "currency": {"currencies": (Currency.BTC,)},
}


@pytest.mark.parametrize("what", RULED_OUT)
def test_a_bid_that_waits_leaves_what_a_reload_has_ruled_out(what: str) -> None:
    """A raise would win it back; one that runs stays until it is outbid."""
    policy = make_policy(make_target(**RULED_OUT[what]))
    offers = (rival(usd("3"), active=True), mine(BID))
    view = make_view(
        policy,
        make_listing(),
        holdings=[outbid_holding()],
        books=[seen(make_book(*offers), outbid_reads=3)],
    )
    (leaving,) = [d for d in planning.plan(view, policy, NOW) if d.order is not None]
    assert isinstance(leaving.action, Withdraw)
    assert (leaving.reason, leaving.facts["ruled_out"]) == (Reason.UNWANTED, what)
    running = view.with_holding(make_holding())
    assert not [d for d in planning.plan(running, policy, NOW) if isinstance(d.action, Withdraw)]


@pytest.mark.parametrize(
    "requirements",
    [
        Requirements(min_reliability=1.1),
        Requirements(min_ram_gb=1000),
        Requirements(countries=frozenset({"DE"}), gpu_models=("RTX 3090",)),
    ],
)
def test_a_bid_that_waits_is_raised_where_only_what_wavers_has_changed(
    requirements: Requirements,
) -> None:
    """A host's reliability goes up and down by itself."""
    policy = make_policy(make_target(requirements=requirements))
    offers = (rival(usd("3"), active=True), mine(BID))
    books = [seen(make_book(*offers), outbid_reads=3)]
    view = make_view(policy, make_listing(), holdings=[outbid_holding()], books=books)
    (raised,) = [d for d in planning.plan(view, policy, NOW) if d.order is not None]
    assert isinstance(raised.action, Reprice)


def test_targets_do_not_bid_on_one_server_for_one_another() -> None:
    """What one holds, the other passes over."""
    policy = make_policy(make_target(), make_target("second"))
    held = make_holding(server=202, price=usd("1"))
    view = make_view(
        policy,
        *free(202, 303)["listings"],
        holdings=[held],
        books=[
            seen(make_book(mine(usd("1"), active=True), server=202)),
            seen(make_book(server=303)),
        ],
    )
    (filling,) = creations(planning.plan(view, policy, NOW))
    assert (filling.target, filling.server) == ("second", 303)


def test_a_target_that_is_switched_off_is_left_as_it_is() -> None:
    """Its orders run on; nobody decides about them."""
    policy = make_policy(make_target(enabled=False))
    view = make_view(policy, make_listing(), holdings=[make_holding()])
    assert planning.plan(view, policy, NOW) == ()


def test_the_most_urgent_action_comes_first() -> None:
    """Above the ceiling, then regaining, then lowering, then a new order."""
    policy = make_policy(make_target(want=4))
    view = make_view(
        policy,
        *(make_listing(s) for s in (1, 2, 3)),
        make_listing(202, floor=usd("2.9")),
        holdings=[
            held_at(usd("2"), 1),
            outbid_holding(2, server=2),
            held_at(usd("9"), 3),
        ],
        books=[
            seen(make_book(mine(usd("2"), active=True, number=1), server=1)),
            seen(
                make_book(mine(usd("2"), number=2), rival(usd("3"), active=True), server=2),
                outbid_reads=2,
            ),
            seen(make_book(mine(usd("9"), active=True, number=3), server=3)),
            seen(make_book(server=202, floor=usd("2.9"))),
        ],
    )
    reasons = [d.reason for d in planning.plan(view, policy, NOW)]
    assert reasons == [
        Reason.ABOVE_CEILING,
        Reason.OUTBID,
        Reason.MARK_DOWN,
        Reason.EMPTY_SLOT,
    ]


def test_facts_are_plain_and_hold_no_secret() -> None:
    """Text and numbers that may be shown to anybody."""
    secret = "hunter2-do-not-show"
    launch = replace(make_target().launch, ssh_password=secret, command=secret)
    policy = make_policy(make_target(want=2, launch=launch))
    decisions = planned(policy, make_listing(), holdings=[make_holding()])
    assert len(creations(decisions)) == 1
    for decision in decisions:
        assert decision.target == TARGET
        for fact in decision.facts.values():
            assert fact is None or isinstance(fact, str | int | float)
        assert secret not in repr(decision)


# --- more than one order on a server


def crowded(target: str | None, *, policy: Policy, other: int = 8, **changes: Any) -> View:
    """Return a view with our order 7 and another order on its server, whose book shows both."""
    book = make_book(mine(BID, active=True), mine(BID, number=other))
    own = make_holding(7, **changes)
    both = [own, make_holding(other, target=target, active=False)]
    return make_view(policy, make_listing(), holdings=both, books=[seen(book)])


def test_an_order_beside_another_waits_for_a_person() -> None:
    """The other one may be a person's, or the twin of this one."""
    policy = make_policy()
    (frozen,) = planning.plan(crowded(None, policy=policy), policy, NOW)
    assert (frozen.reason, frozen.facts["other_order"]) == (Reason.FROZEN, 8)


def test_of_two_orders_of_ours_on_one_server_the_one_too_many_goes() -> None:
    """Both are ours by their numbers: the one that does not run is given up."""
    policy = make_policy()
    goes, stays = planning.plan(crowded(TARGET, policy=policy), policy, NOW)
    assert goes.reason is Reason.SURPLUS
    assert goes.action == Withdraw(order=OrderId(8), server=SERVER, target=TARGET)
    assert stays.reason is Reason.FROZEN


def test_an_order_that_its_budget_cannot_carry_goes_from_beside_another() -> None:
    """It is ours by its number: who pays for the other one does not matter."""
    policy = make_policy(make_target(budget=Budget(usd_per_day=Decimal(1))))
    spent = Cost(usd=Decimal("0.999"), counted=Decimal(1), at=at(-5))
    (goes,) = planning.plan(crowded(None, policy=policy, cost=spent), policy, NOW)
    assert goes.reason is Reason.BUDGET_SPENT
    assert goes.action == Withdraw(order=OrderId(7), server=SERVER, target=TARGET)


def test_an_order_above_its_ceiling_goes_from_beside_another() -> None:
    """A price that the owner forbade does not stay until a person comes."""
    policy = make_policy(make_target(ceiling=usd("0.5")))
    (goes,) = planning.plan(crowded(None, policy=policy), policy, NOW)
    assert goes.reason is Reason.ABOVE_CEILING
    assert goes.action == Withdraw(order=OrderId(7), server=SERVER, target=TARGET)


def test_a_rental_above_its_ceiling_goes_from_beside_another() -> None:
    """No book is needed to know it."""
    policy = make_policy()
    rented = make_order(kind=OrderKind.ON_DEMAND, price=usd("50"))
    view = crowded(None, policy=policy, order=rented, active=None)
    (goes,) = planning.plan(replace(view, books={}), policy, NOW)
    assert goes.reason is Reason.ABOVE_CEILING
    assert goes.action == Withdraw(order=OrderId(7), server=SERVER, target=TARGET)


def test_a_budget_does_not_count_on_cancelling_what_cannot_be_cancelled() -> None:
    """One is frozen, one has been cancelled in vain: the third must go."""
    policy = make_policy(make_target(want=3, budget=Budget(usd_per_day=Decimal(1))))
    spent = Cost(usd=Decimal("0.33"), counted=Decimal(1), at=at(-5))
    held = [
        make_holding(number, server=server, active=number == 9, cost=spent)
        for number, server in ((7, 101), (8, 102), (9, 103))
    ]
    free = make_view(policy, holdings=held)
    assert set(affording.survey(free, policy, NOW).ending) == {7}
    frozen = replace(
        free,
        intents=(make_intent(state=IntentState.AMBIGUOUS),),
        cancelled={OrderId(8): Cancelled(at=at(-300))},
    )
    assert 9 in affording.survey(frozen, policy, NOW).ending
    assert not {7, 8} & set(affording.survey(frozen, policy, NOW).ending)
