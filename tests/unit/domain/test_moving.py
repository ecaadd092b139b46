"""Leaving a server for another: when it pays, and never for one that could not be had."""

from collections.abc import Callable
from datetime import timedelta
from decimal import Decimal
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
from unit.domain.bids import EAGER, clock, decided

from bidder.domain import fold, planning
from bidder.domain.actions import Asked, Decision, PlaceBid, Reason, Reprice, Withdraw
from bidder.domain.evidence import overruled, stands
from bidder.domain.ids import OrderId, ServerId
from bidder.domain.market import Wallet
from bidder.domain.money import Currency, Money
from bidder.domain.policy import AdaptiveParams, FixedParams, Policy, Rails, StrategyParams, TrackParams
from bidder.domain.sentences import tell
from bidder.domain.view import BookSeen, Created, Holding, Raised, View

OTHER = 202


def between(
    holding: Holding,
    *here: Any,
    there: str = "2",
    params: StrategyParams = EAGER,
    rails: Rails | None = None,
    other_book: BookSeen | None = None,
    **changes: Any,
) -> tuple[View, Policy]:
    """Return our order on server 101 with these offers, and server 202 free at ``there`` dollars."""
    policy = make_policy(make_target(params=params), rails=rails or Rails())
    view = make_view(
        policy,
        make_listing(),
        make_listing(OTHER, floor=usd(there)),
        holdings=[holding],
        books=[
            seen(make_book(*here), outbid_reads=2),
            other_book or seen(make_book(server=OTHER, floor=usd(there))),
        ],
        **changes,
    )
    return view, policy


def outbid_at(price: str, **changes: Any) -> Decision:
    """Return the decision about our bid of 2 USD, outbid by ``price``."""
    return decided(*between(outbid_holding(), mine(usd("2")), rival(usd(price), active=True), **changes))


def test_an_outbid_order_moves_where_it_is_cheaper_by_the_owners_margin() -> None:
    """3 dollars here against 2.69 there is more than a tenth; against 2.71 it is not."""
    leaving = outbid_at("2.9999", there="2.69")
    assert leaving.reason is Reason.MOVE
    assert isinstance(leaving.action, Withdraw)
    assert leaving.facts["to_server"] == OTHER
    assert leaving.facts["because"] == "outbid"
    staying = outbid_at("2.9999", there="2.71")
    assert staying.reason is Reason.OUTBID
    assert isinstance(staying.action, Reprice)


def test_the_creation_fee_counts_against_the_move() -> None:
    """Half a dollar, spread over a day, eats the saving."""
    assert outbid_at("2.9999", there="2.3", creation_fee_usd=Decimal("0.3")).reason is Reason.MOVE
    dear = outbid_at("2.9999", there="2.3", creation_fee_usd=Decimal("0.5"))
    assert dear.reason is Reason.OUTBID


def test_a_fee_for_an_order_that_ends_soon_is_spread_over_what_is_left() -> None:
    """With two hours left, three cents of fee are 36 cents per day."""
    order = make_order(created_at=at(-3600), mrl=timedelta(hours=3))
    ending = outbid_holding(order=order)
    offers = (mine(usd("2")), rival(usd("2.9999"), active=True))

    def reason(fee: str) -> Reason:
        view = between(ending, *offers, there="2.4", creation_fee_usd=Decimal(fee))
        return decided(*view).reason

    assert reason("0.02") is Reason.MOVE
    assert reason("0.03") is Reason.OUTBID


def test_an_order_that_lost_its_server_leaves_for_any_that_can_be_had() -> None:
    """Waiting below a rival above the ceiling earns nothing, whatever the other costs."""
    decision = outbid_at("6", there="4.9")
    assert decision.reason is Reason.MOVE
    assert decision.facts["because"] == "too_expensive"


def test_where_there_is_nowhere_to_go_it_stays_in_the_queue() -> None:
    """The other server is above the ceiling as well."""
    decision = outbid_at("6", there="5.1")
    assert decision.reason is Reason.TOO_EXPENSIVE
    assert decision.action is None


def test_it_looks_at_the_other_book_first() -> None:
    """Nothing is given up for a server that was not just read."""
    stale = seen(make_book(server=OTHER, floor=usd("2")), when=at(-11))
    decision = outbid_at("6", other_book=stale)
    assert decision.action is None
    assert decision.wants_book == OTHER


def test_a_raise_in_hand_is_not_delayed_by_looking_around() -> None:
    """Regaining comes first."""
    stale = seen(make_book(server=OTHER, floor=usd("2")), when=at(-11))
    assert outbid_at("3", other_book=stale).reason is Reason.OUTBID


BLOCKED: dict[str, dict[str, Any]] = {
    "the breaker is out": {
        "rails": Rails(max_creations_per_hour=1),
        "creations": (Created(server=ServerId(5), at=at(-60)),),
    },
    "the daily limit is too low": {"rails": Rails(max_usd_per_day=Decimal("1.5"))},
    "the balance is spent": {
        "wallets": {Currency.USD: Wallet(currency=Currency.USD, balance=Money.zero(Currency.USD))}
    },
    "no order of ours is allowed": {"rails": Rails(max_orders=0)},
    "trading is paused": {"paused": True},
}


@pytest.mark.parametrize("why", BLOCKED)
def test_no_place_in_a_queue_is_given_up_for_an_order_that_a_rail_would_stop(why: str) -> None:
    """Or the target would end with nothing at all."""
    decision = outbid_at("6", **BLOCKED[why])
    assert decision.action is None
    assert decision.facts["kept_from"] == OTHER
    assert f"{decision.facts['kept_by']} keeps it from server {OTHER}" in tell(
        decision.reason, decision.facts
    )


def test_nothing_is_given_up_while_every_creation_is_refused() -> None:
    """An account-wide refusal (no balance, a bad request) holds for some minutes."""
    view, policy = between(outbid_holding(), mine(usd("2")), rival(usd("6"), active=True))
    refused = fold.set_back(view, "not_enough_balance", now=NOW, minutes=10)
    assert decided(refused, policy).action is None
    assert decided(view, policy).action is not None


def test_a_fixed_bid_stays_where_its_price_would_not_win_elsewhere_either() -> None:
    """Three dollars do not win at 3.50: the offer waits instead of being thrown away."""
    three = FixedParams(price=usd("3"))
    offers = (mine(usd("3")), rival(usd("4"), active=True))
    staying = decided(*between(outbid_holding(price=usd("3")), *offers, there="3.5", params=three))
    assert staying.action is None
    assert staying.reason is Reason.TOO_EXPENSIVE
    leaving = decided(*between(outbid_holding(price=usd("3")), *offers, there="2.9", params=three))
    assert leaving.reason is Reason.MOVE


def test_a_fixed_bid_moves_past_a_server_that_its_price_would_not_win() -> None:
    """Per GPU the large one is cheaper, but its two GPUs cost more than the three dollars."""
    target = make_target(params=FixedParams(price=usd("3")))
    policy = make_policy(target)
    listings = (
        make_listing(),
        make_listing(OTHER, gpus=2, floor=usd("3.5")),
        make_listing(303, floor=usd("2.9")),
    )
    books = [
        seen(make_book(mine(usd("3")), rival(usd("4"), active=True)), outbid_reads=2),
        seen(make_book(server=OTHER, floor=usd("3.5"))),
        seen(make_book(server=303, floor=usd("2.9"))),
    ]
    view = make_view(policy, *listings, holdings=[outbid_holding(price=usd("3"))], books=books)
    leaving = decided(view, policy)
    assert (leaving.reason, leaving.facts["to_server"]) == (Reason.MOVE, 303)


def test_after_leaving_the_new_server_is_bid_for() -> None:
    """And with the least that suffices there."""
    view, policy = between(outbid_holding(), mine(usd("2")), rival(usd("6"), active=True))
    left = decided(view, policy)
    assert isinstance(left.action, Withdraw)
    (next_step,) = planning.plan(fold.withdrawn(view, left.action.order), policy, NOW)
    assert isinstance(next_step.action, PlaceBid)
    assert next_step.server == OTHER
    assert next_step.action.price == usd("2")


def test_a_running_order_stays_however_cheap_the_others_are() -> None:
    """Moving interrupts its work: only on the owner's word."""
    running = make_holding(price=usd("4"), clock=clock(10))
    view, policy = between(running, mine(usd("4"), active=True), rival(usd("3.9")), there="1")
    decision = decided(view, policy)
    assert decision.action is None


def test_a_server_that_refused_or_wore_out_is_passed_over() -> None:
    """The next best is taken, if there is one."""
    view, policy = between(outbid_holding(), mine(usd("2")), rival(usd("6"), active=True))
    refused = fold.set_back(view, "server-offline", now=NOW, minutes=10, server=ServerId(OTHER))
    assert decided(refused, policy).action is None
    worn = tuple(Created(server=ServerId(OTHER), at=at(-60 * n)) for n in range(4))
    view, policy = between(
        outbid_holding(), mine(usd("2")), rival(usd("6"), active=True), creations=worn
    )
    assert decided(view, policy).action is None


def test_the_reliable_server_wins_over_a_slightly_cheaper_flaky_one() -> None:
    """A tenth of its time down costs more than five cents."""
    policy = make_policy(make_target(params=EAGER))
    view = make_view(
        policy,
        make_listing(OTHER, floor=usd("2"), reliability=0.9),
        make_listing(303, floor=usd("2.05")),
        books=[seen(make_book(server=s, floor=usd(f))) for s, f in ((OTHER, "2"), (303, "2.05"))],
    )
    (decision,) = planning.plan(view, policy, NOW)
    assert decision.server == 303


def test_a_first_bid_keeps_the_owners_margin() -> None:
    """As a raise would."""
    params = TrackParams(margin_ticks=10)
    policy = make_policy(make_target(params=params))
    view = make_view(policy, make_listing(), books=[seen(make_book(rival(usd("2"), active=True)))])
    (decision,) = planning.plan(view, policy, NOW)
    assert isinstance(decision.action, PlaceBid)
    assert decision.action.price == usd("2.001")
    assert decision.action.price.currency == Currency.USD
    assert decision.server == SERVER


# An adaptive bid that reacts at once, worth 5 dollars a day and 6 minutes of it at each start.
WATCHFUL = AdaptiveParams(raise_wait=timedelta(0), confirm=False)


def answered(times: int, outbid_for: float = 5, **changes: Any) -> Decision:
    """Return the decision about an adaptive bid of 2 USD that was raised in vain so often."""
    raises = tuple(
        Raised(server=ServerId(SERVER), order=OrderId(ORDER), rival=OrderId(9), at=at(-60 * (n + 1)))
        for n in range(times)
    )
    created = (Created(server=ServerId(SERVER), at=at(-60 * (times + 1))),)
    offers = (mine(usd("2")), rival(usd("2.0999"), active=True))
    return decided(
        *between(
            outbid_holding(since=-outbid_for),
            *offers,
            params=WATCHFUL,
            raises=raises,
            creations=created,
            **changes,
        )
    )


def test_an_adaptive_bid_stops_feeding_a_rival_that_answers_each_raise() -> None:
    """Five restarts an hour cost 2.50 of the 5 dollars that the day is worth; six more than is left."""
    assert answered(5, there="6").reason is Reason.OUTBID
    weary = answered(6, there="6")
    assert weary.reason is Reason.WAR_PAUSE
    assert weary.action is None
    assert weary.facts["raises"] == 6
    assert weary.due == at(3600 - 360)  # the first of them is forgotten after an hour


def test_an_adaptive_bid_leaves_a_fight_for_a_server_in_peace() -> None:
    """Also a dearer one, as long as it may be entered there; and sooner where it counts as cheaper."""
    leaving = answered(6, there="3")
    assert leaving.reason is Reason.WAR
    assert leaving.facts["to_server"] == OTHER
    assert answered(3, there="3").reason is Reason.MOVE
    assert answered(0, there="3").reason is Reason.OUTBID


def test_nobody_leaves_one_fight_early_for_what_may_be_another() -> None:
    """A rival stands on the other server; only where the price alone is a reason it is one."""

    def there(price: str) -> BookSeen:
        return seen(make_book(rival(usd(price), active=True, number=600), server=OTHER, floor=usd("1")))

    assert answered(3, there="1", other_book=there("2.9999")).reason is Reason.OUTBID
    assert answered(3, there="1", other_book=there("1.7999")).reason is Reason.MOVE
    assert answered(6, there="1", other_book=there("2.9999")).reason is Reason.WAR


def test_where_raises_were_answered_the_next_one_waits_for_a_look_around() -> None:
    """For a moment only, and not for the first answer, which may be chance."""
    stale = seen(make_book(server=OTHER, floor=usd("3")), when=at(-11))
    assert answered(1, other_book=stale).reason is Reason.OUTBID
    looking = answered(2, other_book=stale)
    assert (looking.action, looking.wants_book) == (None, OTHER)
    assert answered(2, other_book=stale, outbid_for=19).action is None
    assert answered(2, other_book=stale, outbid_for=20).reason is Reason.OUTBID


STALE = seen(make_book(server=OTHER, floor=usd("3")), when=at(-11))
CHANGED: dict[str, Callable[[], Decision]] = {
    "weary of a fight": lambda: answered(6, there="6"),
    "leaving a fight": lambda: answered(6, there="3"),
    "moving": lambda: answered(3, there="3"),
    "looking around first": lambda: answered(2, other_book=STALE),
    "raising": lambda: answered(0, there="3"),
    "kept by a rail": lambda: outbid_at("6", rails=Rails(max_orders=0)),
}


@pytest.mark.parametrize("how", CHANGED)
def test_a_replay_can_tell_what_became_of_a_verdict(how: str) -> None:
    """It is what was decided, or the decision says that something else had the last word."""
    decision = CHANGED[how]()
    assert isinstance(decision.asked, Asked)
    verdict = decision.asked.verdict
    stood = decision.reason is verdict.reason and stands(verdict, decision.facts)
    assert stood or overruled(verdict, decision.reason.value, decision.facts)


def test_raises_far_apart_are_no_fight() -> None:
    """A market that moves every ten minutes is no rival that answers."""
    raises = tuple(
        Raised(server=ServerId(SERVER), order=OrderId(ORDER), rival=OrderId(9), at=at(-600 * (n + 1)))
        for n in range(6)
    )
    offers = (mine(usd("2")), rival(usd("2.0999"), active=True))
    view = between(outbid_holding(since=-5), *offers, there="3", params=WATCHFUL, raises=raises)
    assert decided(*view).reason is Reason.OUTBID
