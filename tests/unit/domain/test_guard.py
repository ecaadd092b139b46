"""The owner's rails: whatever a strategy proposes, none of them can be passed."""

from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from builders import (
    LAUNCH,
    NOW,
    ORDER,
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
    seen,
    usd,
)

from bidder.domain import guard, moving
from bidder.domain.actions import Action, Decision, PlaceBid, Reason, RentOnDemand, Reprice, Withdraw
from bidder.domain.ids import OrderId, ServerId
from bidder.domain.intents import IntentKind
from bidder.domain.market import Offer, OrderKind, Wallet
from bidder.domain.money import Currency, Money, Price, Rates
from bidder.domain.policy import (
    Ceiling,
    DeadlineParams,
    Per,
    Policy,
    Rails,
    Renewal,
    Requirements,
    Target,
)
from bidder.domain.price_rules import LoweringClock
from bidder.domain.view import Created, RateDoubt, View

FREE = make_listing(202)


def place(price: Price, *, server: int = 202, target: str = TARGET) -> PlaceBid:
    """Return a proposal to bid on a server."""
    return PlaceBid(server=ServerId(server), price=price, target=target, launch=LAUNCH)


def reprice(to: Price, *, current: Price | None = None, order: int = ORDER) -> Reprice:
    """Return a proposal to change the price of our order on server 101."""
    return Reprice(
        order=OrderId(order), server=ServerId(101), current=current or usd("2"), price=to, target=TARGET
    )


def withdraw(order: int = ORDER, target: str | None = TARGET) -> Withdraw:
    """Return a proposal to cancel an order on server 101."""
    return Withdraw(order=OrderId(order), server=ServerId(101), target=target)


def judged(action: Action, view: View, policy: Policy, reason: Reason = Reason.EMPTY_SLOT) -> Decision:
    """Return what the rails make of a proposal."""
    return guard.apply(
        Decision(target=TARGET, reason=reason, action=action, urgency=60), view, policy, NOW
    )


def usual(policy: Policy | None = None, **changes: Any) -> tuple[View, Policy]:
    """Return a view with server 101, where our order stands, and the free server 202."""
    policy = policy or make_policy(make_target(want=2))
    changes.setdefault("holdings", [make_holding()])
    return make_view(policy, make_listing(), FREE, **changes), policy


def with_bitcoin(view: View) -> View:
    """Return the view of an account that has bitcoin as well."""
    wallet = Wallet(currency=Currency.BTC, balance=None)
    return replace(view, wallets={**view.wallets, Currency.BTC: wallet})


def stop_of(action: Action, view: View, policy: Policy) -> tuple[Reason, Any]:
    """Return why a proposal was stopped, and by which rail; fails if it was not."""
    verdict = judged(action, view, policy)
    assert verdict.action is None
    assert verdict.urgency == 0
    assert verdict.facts["wanted_to"] == "empty_slot"
    return verdict.reason, verdict.facts.get("rail")


def test_what_no_rail_forbids_passes_unchanged() -> None:
    """The guard stops; it never alters."""
    view, policy = usual()
    for action in (place(usd("5")), reprice(usd("5")), withdraw()):
        decision = Decision(target=TARGET, reason=Reason.EMPTY_SLOT, action=action)
        assert guard.apply(decision, view, policy, NOW) is decision


def test_a_hold_passes() -> None:
    """There is nothing to stop."""
    view, policy = usual()
    held = Decision(target=TARGET, reason=Reason.WINNING)
    assert guard.apply(held, view, policy, NOW) is held


def test_nothing_is_bid_above_the_ceiling() -> None:
    """A creation, a raise, or a lowering that does not come home; in any coin."""
    view, policy = usual()
    for action in (
        place(usd("5.0001")),
        reprice(usd("5.0001")),
        reprice(usd("6"), current=usd("7")),
    ):
        assert stop_of(action, view, policy) == (Reason.RAIL, "ceiling")


def test_a_ceiling_without_a_rate_stops_everything_in_that_coin() -> None:
    """Dollars cannot be compared with bitcoin by guessing."""
    policy = make_policy(make_target(want=2, currencies=(Currency.BTC,)))
    view, _ = usual(policy, rates=Rates())
    assert stop_of(place(btc("0.00000001")), view, policy)[0] is Reason.NO_RATE


def test_a_ceiling_per_gpu_counts_the_servers_gpus_or_one() -> None:
    """A server that is not on the marketplace counts as one GPU: the safe side."""
    policy = make_policy(make_target(want=2, ceiling=usd("2"), per=Per.GPU))
    view = make_view(policy, make_listing(202, gpus=4), wallets={})
    assert judged(place(usd("8")), view, policy).action is not None
    assert stop_of(place(usd("8.0001")), view, policy) == (Reason.RAIL, "ceiling")
    assert stop_of(place(usd("2.0001"), server=999), view, policy) == (Reason.RAIL, "ceiling")


def job(**changes: Any) -> Target:
    """Return a target with a job that may pay 9 USD per day on demand, and 5 on spot."""
    params = DeadlineParams(
        gpu_hours=Decimal(40),
        by=at(10**6),
        on_demand_ceiling=Ceiling(price=usd("9")),
    )
    return make_target(params=params, **changes)


def rent(price: Price, *, server: int = 202) -> RentOnDemand:
    """Return a proposal to rent a server on demand."""
    return RentOnDemand(server=ServerId(server), price=price, target=TARGET, launch=LAUNCH)


def test_only_a_job_rents_on_demand_and_only_below_its_own_ceiling() -> None:
    """The ceiling for spot servers does not hold on demand, nor the other way round."""
    policy = make_policy(job())
    view = make_view(policy, FREE)

    assert judged(rent(usd("9")), view, policy).action is not None
    assert stop_of(rent(usd("9.0001")), view, policy) == (Reason.RAIL, "ceiling")
    assert stop_of(place(usd("5.0001")), view, policy) == (Reason.RAIL, "ceiling")
    assert stop_of(rent(usd("1")), view, make_policy()) == (Reason.RAIL, "no_on_demand")


def test_a_job_may_change_between_spot_and_on_demand_with_one_order_more() -> None:
    """A second order of the same kind is one too many; of the other kind it takes over."""
    policy = make_policy(job())
    spot = make_view(policy, make_listing(), FREE, holdings=[make_holding()])
    rented = make_view(
        policy, make_listing(), FREE, holdings=[make_holding(order=make_order(kind=OrderKind.ON_DEMAND))]
    )

    assert stop_of(place(usd("2")), spot, policy) == (Reason.RAIL, "want")
    assert judged(rent(usd("9")), spot, policy).action is not None
    assert stop_of(rent(usd("9")), rented, policy) == (Reason.RAIL, "want")
    assert judged(place(usd("2")), rented, policy).action is not None


def test_of_a_jobs_creations_one_is_kept_for_renting() -> None:
    """Bids stop one short of the breaker, so that the server on demand can still be had."""
    policy = make_policy(job(), rails=Rails(max_creations_per_hour=3))
    creations = tuple(Created(server=ServerId(300 + n), at=at(-600 - n)) for n in range(2))
    view = make_view(policy, FREE, creations=creations)

    assert judged(place(usd("2")), view, policy).reason is Reason.CHURN
    assert judged(rent(usd("9")), view, policy).action is not None


def test_spending_on_demand_counts_against_the_daily_limit() -> None:
    """The limit in USD per day holds a rental as it holds a bid."""
    policy = make_policy(job(), rails=Rails(max_usd_per_day=Decimal(6)))

    assert stop_of(rent(usd("7")), make_view(policy, FREE), policy) == (Reason.RAIL, "max_usd_per_day")


def test_spot_never_exceeds_on_demand_unless_the_owner_allows_it() -> None:
    """Neither a creation nor a raise."""
    target = make_target(want=2)
    listings = [make_listing(on_demand=usd("3")), make_listing(202, on_demand=usd("3"))]
    policy = make_policy(target)
    view = make_view(policy, *listings, holdings=[make_holding()])
    assert stop_of(place(usd("3.0001")), view, policy)[0] is Reason.ON_DEMAND_CHEAPER
    assert stop_of(reprice(usd("3.0001")), view, policy)[0] is Reason.ON_DEMAND_CHEAPER
    assert judged(place(usd("3")), view, policy).action is not None
    allowing = make_policy(target, rails=Rails(allow_above_on_demand=True))
    assert judged(place(usd("3.0001")), view, allowing).action is not None


def test_no_raise_stays_below_a_floor_that_is_known() -> None:
    """It would be refused, and decided again in the next pass."""
    book = seen(make_book(mine(usd("2")), floor=usd("3")))
    view, policy = usual(books=[book])
    assert stop_of(reprice(usd("2.99")), view, policy) == (Reason.RAIL, "floor")
    assert judged(reprice(usd("3")), view, policy).action == reprice(usd("3"))


def test_no_more_orders_than_wanted() -> None:
    """Live orders and open creations count alike."""
    one = make_policy(make_target(want=1))
    view, _ = usual(one)
    assert stop_of(place(usd("2")), view, one) == (Reason.RAIL, "want")
    pending = make_intent(server=303)
    two = make_policy(make_target(want=2))
    view, _ = usual(two, intents=(pending,))
    assert stop_of(place(usd("2")), view, two) == (Reason.RAIL, "want")


@pytest.mark.parametrize(("overlap", "stopped"), [(True, False), (False, True)])
def test_a_renewal_may_be_one_too_many_only_where_an_overlap_is_wanted(
    overlap: bool, stopped: bool
) -> None:
    """Five minutes before its end, the old order does not count against its successor."""
    policy = make_policy(make_target(want=1, renewal=Renewal(overlap=overlap)))
    order = make_order(created_at=NOW - timedelta(hours=1), mrl=timedelta(hours=1, minutes=5))
    view, _ = usual(policy, holdings=[make_holding(order=order)])
    assert (judged(place(usd("2")), view, policy).action is None) is stopped


def test_no_second_order_on_a_server_and_none_on_our_own() -> None:
    """A person's order counts too; our own servers cannot be rented."""
    policy = make_policy(make_target(want=5))
    persons = make_holding(9, server=303, target=None)
    view, _ = usual(policy, holdings=[make_holding(), persons], own=(404,))
    assert stop_of(place(usd("2"), server=101), view, policy) == (Reason.RAIL, "already_on_server")
    assert stop_of(place(usd("2"), server=303), view, policy) == (Reason.RAIL, "already_on_server")
    assert stop_of(place(usd("2"), server=404), view, policy) == (Reason.RAIL, "own_server")


def test_nothing_is_sent_for_a_server_in_doubt() -> None:
    """Neither a creation nor a change of price, until our orders have told."""
    view, policy = usual(
        make_policy(make_target(want=5)),
        intents=(make_intent(server=202), make_intent(IntentKind.REPRICE, id=2)),
    )
    assert stop_of(place(usd("2")), view, policy)[0] is Reason.IN_DOUBT
    assert stop_of(reprice(usd("3")), view, policy)[0] is Reason.IN_DOUBT


def test_a_persons_order_is_never_touched() -> None:
    """Neither repriced nor cancelled; nor an order of another target, nor one we do not know."""
    persons = make_holding(9, target=None)
    others = make_holding(10, target="other")
    view, policy = usual(holdings=[persons, others])
    for order in (9, 10, 11):
        assert stop_of(reprice(usd("3"), order=order), view, policy) == (Reason.RAIL, "not_our_order")
        assert stop_of(withdraw(order), view, policy) == (Reason.RAIL, "not_our_order")
    assert stop_of(withdraw(9, target=None), view, policy) == (Reason.RAIL, "not_our_order")


def test_the_owners_own_command_cancels_whatever_it_names() -> None:
    """Also a person's order, also while trading is paused."""
    view, policy = usual(holdings=[make_holding(9, target=None)], paused=True)
    for reason in (Reason.ORDERED, Reason.SHUTDOWN):
        assert judged(withdraw(9, target=None), view, policy, reason).action is not None


def test_a_pause_stops_everything_but_leaving_a_forbidden_price() -> None:
    """No bid is placed, raised, lowered or given up; one above its ceiling still goes."""
    view, policy = usual(paused=True)
    for action in (place(usd("2")), reprice(usd("3")), reprice(usd("1.5")), withdraw()):
        assert stop_of(action, view, policy)[0] is Reason.PAUSED
    for action in (withdraw(), reprice(usd("5"), current=usd("5.2"))):
        assert judged(action, view, policy, Reason.ABOVE_CEILING).action is action
    raised = judged(reprice(usd("3")), view, policy, Reason.ABOVE_CEILING)
    assert raised.reason is Reason.PAUSED, "only what comes down goes"


@pytest.mark.parametrize(
    ("reason", "goes"),
    [
        (Reason.JOB_DONE, True),
        (Reason.BUDGET_SPENT, True),
        (Reason.STILL_ALIVE, True),
        (Reason.SPOT_AGAIN, False),
        (Reason.SLACK, False),
        (Reason.SURPLUS, False),
        (Reason.WORKLOAD_DEAD, False),
    ],
)
def test_a_pause_keeps_nothing_running_that_is_paid_for_nothing(reason: Reason, *, goes: bool) -> None:
    """It means to spend no more; what is given up for another order stays, as that could not follow."""
    view, policy = usual(paused=True)
    assert (judged(withdraw(), view, policy, reason).action is not None) is goes


def test_a_pause_ends_no_move_half_way() -> None:
    """What the order moved to is paid as well; one that nothing follows stays."""
    successor = make_holding(8, server=202)
    policy = make_policy(make_target(want=1))
    both, _ = usual(policy, paused=True, holdings=[make_holding(), successor])
    assert judged(withdraw(), both, policy, Reason.MOVE).action is not None
    alone, _ = usual(policy, paused=True, holdings=[make_holding()])
    assert judged(withdraw(), alone, policy, Reason.MOVE).reason is Reason.PAUSED


def test_a_lowering_before_its_clock_is_never_sent() -> None:
    """It is known to be refused."""
    holding = make_holding(clock=LoweringClock(lowered_at=at(-599)))
    view, policy = usual(holdings=[holding])
    assert stop_of(reprice(usd("1.5")), view, policy)[0] is Reason.CLOCK
    later = replace(holding, clock=LoweringClock(lowered_at=at(-600)))
    assert judged(reprice(usd("1.5")), view.with_holding(later), policy).action is not None


def test_a_target_that_is_unknown_or_switched_off_creates_nothing() -> None:
    """However the decision came about."""
    view, policy = usual(make_policy(make_target(want=2, enabled=False)))
    assert stop_of(place(usd("2")), view, policy) == (Reason.RAIL, "unknown_target")
    assert stop_of(place(usd("2"), target="nobody"), view, policy) == (Reason.RAIL, "unknown_target")


def test_only_the_targets_currencies_that_the_host_takes_are_paid_with() -> None:
    """CLORE is not on the target's list; dollars are, but this host does not take them."""
    view, policy = usual()
    assert stop_of(place(clore("1")), view, policy) == (Reason.RAIL, "currency")
    picky = make_listing(202, allowed=frozenset({Currency.BTC}))
    view = make_view(policy, picky)
    assert stop_of(place(usd("2")), view, policy) == (Reason.RAIL, "currency")


def created(*minutes_ago: float, server: int = 900) -> tuple[Created, ...]:
    """Return attempts to create so long ago, each on a server of its own unless they name one."""
    return tuple(
        Created(server=ServerId(server if server != 900 else 900 + i), at=at(-60 * m))
        for i, m in enumerate(minutes_ago)
    )


def test_the_breaker_stops_churn_for_the_account_and_for_one_server() -> None:
    """So many creations within an hour, wherever; so many on one server."""
    target = make_target(want=50)
    breaker = make_policy(target, rails=Rails(max_creations_per_hour=3, max_creations_per_server_hour=2))
    view, _ = usual(breaker, creations=created(1, 20, 59))
    assert stop_of(place(usd("2")), view, breaker)[0] is Reason.CHURN
    view, _ = usual(breaker, creations=created(1, 20, 61))
    assert judged(place(usd("2")), view, breaker).action is not None
    view, _ = usual(breaker, creations=created(1, 20, server=202))
    assert stop_of(place(usd("2")), view, breaker)[0] is Reason.CHURN
    assert judged(reprice(usd("3")), view, breaker).action is not None


def test_of_creations_that_were_refused_for_their_price_four_count_as_one() -> None:
    """No order came of them, and no fee; but prices that never fit are not tried for ever."""
    target = make_target(want=50)
    rails = Rails(max_creations_per_hour=3, max_creations_per_server_hour=2)
    policy = make_policy(target, rails=rails)
    moved = tuple(replace(each, refused=True, mispriced=True) for each in created(*range(1, 13)))
    view, _ = usual(policy, creations=moved[:11])
    assert judged(place(usd("2")), view, policy).action is not None
    view, _ = usual(policy, creations=moved)
    assert stop_of(place(usd("2")), view, policy)[0] is Reason.CHURN
    here = tuple(replace(each, server=ServerId(202)) for each in moved)
    for count, passed_over in ((7, False), (8, True)):
        view, _ = usual(policy, creations=here[:count])
        assert (ServerId(202) in moving.taken(view, policy, NOW)) is passed_over
        stopped = judged(place(usd("2")), view, policy).action is None
        assert stopped is passed_over


def test_the_account_limit_counts_everybody_the_owners_limit_only_us() -> None:
    """The exchange's limit of active orders, and ``max_orders``."""
    target = make_target(want=50)
    held = [make_holding(), make_holding(9, server=303, target=None)]
    view, policy = usual(make_policy(target), holdings=held, order_limit=2)
    assert stop_of(place(usd("2")), view, policy)[0] is Reason.ORDER_LIMIT
    two = make_policy(target, rails=Rails(max_orders=2))
    view, _ = usual(two, holdings=held)
    assert judged(place(usd("2")), view, two).action is not None
    view, _ = usual(two, holdings=held, intents=(make_intent(server=404),))
    assert stop_of(place(usd("2")), view, two) == (Reason.RAIL, "max_orders")


def test_the_owners_limit_counts_what_looks_like_an_order_of_ours() -> None:
    """The twin of a request that was delivered twice has no intent, and costs all the same."""
    two = make_policy(make_target(want=50), rails=Rails(max_orders=2))
    twin = make_order(9, server=101, image=LAUNCH.image)
    view, _ = usual(two, holdings=[make_holding(), make_holding(order=twin, target=None)])
    assert stop_of(place(usd("2")), view, two) == (Reason.RAIL, "max_orders")


def wallet(amount: str | None) -> dict[Currency, Wallet]:
    """Return one wallet in dollars."""
    balance = None if amount is None else Money.parse(amount, Currency.USD)
    return {Currency.USD: Wallet(currency=Currency.USD, balance=balance)}


def test_a_balance_must_carry_an_hour_beyond_what_the_owner_keeps() -> None:
    """2.40 USD per day is ten cents an hour; nothing was drawn since the balance was read just now."""
    keeping = make_policy(
        make_target(want=2), rails=Rails(min_balance=(Money.parse("1", Currency.USD),))
    )
    view, _ = usual(keeping, wallets=wallet("1.0999"), wallets_at=NOW)
    assert stop_of(place(usd("2.4")), view, keeping)[0] is Reason.NO_BALANCE
    view, _ = usual(keeping, wallets=wallet("1.1001"), wallets_at=NOW)
    assert judged(place(usd("2.4")), view, keeping).action is not None


def test_of_a_balance_that_is_not_known_nothing_can_be_kept() -> None:
    """Where nothing is to stay the exchange decides; else one bad answer ends the rail."""
    keeping = make_policy(
        make_target(want=2), rails=Rails(min_balance=(Money.parse("1", Currency.USD),))
    )
    for unknown in (wallet(None), {}):
        view, _ = usual(keeping, wallets=unknown)
        assert stop_of(place(usd("2.4")), view, keeping)[0] is Reason.NO_BALANCE
        spending = make_policy(make_target(want=2))
        view, _ = usual(spending, wallets=unknown)
        assert judged(place(usd("2.4")), view, spending).action is not None


def test_the_daily_limit_counts_every_live_bid_and_every_open_request() -> None:
    """A person's orders, a creation not yet seen, and a raise whose answer is missing."""
    limited = make_policy(make_target(want=5), rails=Rails(max_usd_per_day=Decimal(10)))
    held = [make_holding(price=usd("2")), make_holding(9, server=303, price=usd("4"), target=None)]
    view, _ = usual(limited, holdings=held)
    assert guard.committed_usd(view) == 6
    assert judged(place(usd("4")), view, limited).action is not None
    assert stop_of(place(usd("4.0001")), view, limited) == (Reason.RAIL, "max_usd_per_day")
    opening = make_intent(server=404, price=usd("3"))
    assert guard.committed_usd(replace(view, intents=(opening,))) == 9
    raising = make_intent(IntentKind.REPRICE, price=usd("3.5"))
    assert guard.committed_usd(replace(view, intents=(raising,))) == Decimal("7.5")
    lowering = make_intent(IntentKind.REPRICE, price=usd("1"))
    assert guard.committed_usd(replace(view, intents=(lowering,))) == 6


def test_no_bid_is_raised_where_the_owner_allows_none_any_more() -> None:
    """Not even one that runs; it may come down."""
    target = make_target(requirements=Requirements(exclude_servers=frozenset({ServerId(101)})))
    policy = make_policy(target)
    view = make_view(policy, make_listing(), holdings=[make_holding()])
    stopped = judged(reprice(usd("3")), view, policy)
    assert (stopped.reason, stopped.facts["rail"]) == (Reason.RAIL, "unwanted")
    assert judged(reprice(usd("1.9")), view, policy).action is not None


def test_a_raise_counts_only_by_what_it_adds() -> None:
    """From two to five dollars below a limit of five."""
    limited = make_policy(rails=Rails(max_usd_per_day=Decimal(5)))
    view, _ = usual(limited)
    assert judged(reprice(usd("5")), view, limited).action is not None
    tighter = make_policy(rails=Rails(max_usd_per_day=Decimal("4.9999")))
    assert stop_of(reprice(usd("5")), view, tighter) == (Reason.RAIL, "max_usd_per_day")


def test_a_limit_that_cannot_be_valued_stops_spending() -> None:
    """An order in a coin without a rate may cost anything."""
    limited = make_policy(make_target(want=5), rails=Rails(max_usd_per_day=Decimal(1000)))
    order = make_order(9, server=303, price=clore("1"), kind=OrderKind.SPOT)
    view, _ = usual(limited, holdings=[make_holding(order=order, target=None)], rates=Rates())
    assert stop_of(place(usd("1")), view, limited)[0] is Reason.NO_RATE


def test_a_creation_waits_until_an_earlier_ones_twin_would_be_listed() -> None:
    """The wire may deliver one request twice, and one of the two orders may be listed a minute late."""

    def stopped(*creations: Created, read: float) -> bool:
        view, policy = usual(creations=creations, orders_at=at(read))
        decision = judged(place(usd("2")), view, policy)
        assert decision.action is not None or decision.wants_orders
        return decision.action is None

    here, elsewhere = ServerId(202), ServerId(303)
    assert stopped(Created(server=here, at=at(-50)), read=-5)
    assert not stopped(Created(server=elsewhere, at=at(-50)), read=-5), "slots fill one by one"
    assert stopped(Created(server=elsewhere, at=at(-300)), read=-250)
    assert not stopped(Created(server=elsewhere, at=at(-300)), read=-200)
    assert not stopped(Created(server=here, at=at(-50), refused=True), read=-5)


def test_after_a_gap_in_memory_a_creation_waits_until_each_order_must_have_been_listed() -> None:
    """A read may leave an order out, and a database restored from a backup does not miss it."""

    def stopped(read: float | None, **more: Any) -> bool:
        read_at = None if read is None else at(read)
        view, policy = usual(recalled_at=at(-300), orders_at=read_at, **more)
        decision = judged(place(usd("2")), view, policy)
        assert decision.action is not None or decision.wants_orders
        return decision.action is None

    early, policy = usual(recalled_at=at(-30), orders_at=at(-5))
    assert judged(place(usd("2")), early, policy).due == at(70)
    assert stopped(read=None)
    assert stopped(read=-201)
    assert not stopped(read=-200)
    assert stopped(read=-201, holdings=()), "the first order may just not be listed yet"


@pytest.mark.parametrize(
    ("action", "reason"),
    [
        (place(usd("1")), Reason.EMPTY_SLOT),
        (reprice(usd("3")), Reason.OUTBID),
        (reprice(usd("1")), Reason.MARK_DOWN),
        (withdraw(), Reason.ABOVE_CEILING),
        (withdraw(), Reason.MOVE),
    ],
)
def test_while_a_rate_may_be_a_mistake_nothing_rests_on_it(action: Action, reason: Reason) -> None:
    """It waits for the read that shows whether it is one, and asks for the book once that can be."""
    policy = make_policy(make_target(want=2))
    view, _ = usual(policy, holdings=[make_holding()])
    view = with_bitcoin(view)
    jumped = replace(view, doubted={Currency.BTC: RateDoubt(since=NOW)})
    assert judged(action, view, policy, reason).action is not None
    held = judged(action, jumped, policy, reason)
    assert (held.action, held.reason) == (None, Reason.STALE)
    assert (held.wants_book, held.due) == (action.server, at(45))
    recalled = replace(view, doubted={Currency.BTC: RateDoubt(since=NOW, recalled=True)})
    held = judged(action, recalled, policy, reason)
    assert (held.reason, held.wants_book, held.due) == (Reason.STALE, action.server, NOW)


@pytest.mark.parametrize(
    ("action", "reason"), [(place(usd("1")), Reason.EMPTY_SLOT), (reprice(usd("1")), Reason.MARK_DOWN)]
)
def test_a_coin_that_nothing_is_priced_in_keeps_nobody_waiting(action: Action, reason: Reason) -> None:
    """Its rate may flicker for ever; an empty wallet in it changes nothing of that."""
    policy = make_policy(make_target(want=2))
    view, _ = usual(policy, holdings=[make_holding()])
    flickers = replace(view, doubted={Currency("TINY-Blockchain"): RateDoubt(since=NOW)})
    empty = Wallet(
        currency=Currency("TINY-Blockchain"), balance=Money(Decimal(0), Currency("TINY-Blockchain"))
    )
    for each in (flickers, replace(flickers, wallets={**view.wallets, empty.currency: empty})):
        assert judged(action, each, policy, reason).action == action


def test_a_rival_in_a_coin_whose_rate_jumped_keeps_its_server_waiting() -> None:
    """The others are bid for all the same."""
    policy = make_policy(make_target(want=2))
    view, _ = usual(policy, holdings=[make_holding()])
    tiny = Currency("TINY-Blockchain")
    action = place(usd("1"))
    rival = Offer(order=OrderId(1), price=Price(Decimal(7), tiny), active=False, mine=False)
    crossed = seen(make_book(rival, server=action.server))
    view = replace(view, doubted={tiny: RateDoubt(since=NOW)})
    assert judged(action, view, policy, Reason.EMPTY_SLOT).action == action
    view = replace(view, books={**view.books, action.server: crossed})
    assert judged(action, view, policy, Reason.EMPTY_SLOT).reason is Reason.STALE


def test_a_budget_that_seems_to_be_spent_waits_for_a_rate_a_minute_and_a_half() -> None:
    """By a false rate all would seem to be; but what is spent in truth must not go on for long."""
    view, policy = usual(holdings=[make_holding()])
    view = with_bitcoin(view)
    jumped = replace(view, doubted={Currency.BTC: RateDoubt(since=at(-89))})
    assert judged(withdraw(), jumped, policy, Reason.BUDGET_SPENT).reason is Reason.STALE
    jumped = replace(view, doubted={Currency.BTC: RateDoubt(since=at(-90))})
    assert judged(withdraw(), jumped, policy, Reason.BUDGET_SPENT).action is not None


@pytest.mark.parametrize("reason", [Reason.ORDERED, Reason.SHUTDOWN])
def test_what_the_owner_commands_waits_for_no_rate(reason: Reason) -> None:
    """Whatever they are."""
    view, policy = usual(holdings=[make_holding()])
    view = with_bitcoin(view)
    jumped = replace(view, doubted={Currency.BTC: RateDoubt(since=NOW)})
    assert judged(withdraw(), jumped, policy, reason).action is not None
