"""``track`` when outbid: a wait, two reads, the smallest raise that suffices, never above the cap."""

from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from builders import (
    ORDER,
    SERVER,
    at,
    btc,
    make_book,
    make_holding,
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
from unit.domain.bids import EAGER, decided, facing, repriced

from bidder.domain import fold
from bidder.domain.actions import Decision, Reason, Reprice, Withdraw
from bidder.domain.market import Offer
from bidder.domain.money import Currency, Price, Rates
from bidder.domain.policy import (
    AdaptiveParams,
    FixedParams,
    MinBidParams,
    Per,
    Rails,
    StrategyParams,
    TopPlusTickParams,
    TrackParams,
    TrackRecreateParams,
)
from bidder.domain.price_rules import LoweringClock
from bidder.domain.view import Holding


def test_an_outbid_offer_is_raised_to_just_above_the_best_rival() -> None:
    """The smallest bid that suffices, not the ceiling."""
    decision = facing(
        mine(usd("2")), rival(usd("3"), active=True), rival(usd("2.5")), holding=outbid_holding()
    )
    assert decision.reason is Reason.OUTBID
    assert repriced(decision) == usd("3.0001")


def test_the_raise_keeps_the_margin_that_the_owner_asked_for() -> None:
    """So many quanta above the rival."""
    params = TrackParams(raise_wait=timedelta(0), confirm=False, margin_ticks=25)
    decision = facing(
        mine(usd("2")), rival(usd("3"), active=True), holding=outbid_holding(), params=params
    )
    assert repriced(decision) == usd("3.0025")


def test_a_rival_in_another_coin_is_beaten_by_value() -> None:
    """0.00006 BTC is 3 USD: bid that, a small margin for the rate, and a quantum."""
    decision = facing(mine(usd("2")), rival(btc("0.00006"), active=True), holding=outbid_holding())
    assert usd("3") < repriced(decision) <= usd("3.02")


def test_a_rival_above_the_ceiling_is_not_followed() -> None:
    """The offer waits in the queue, for nothing."""
    decision = facing(mine(usd("2")), rival(usd("5"), active=True), holding=outbid_holding())
    assert decision.reason is Reason.TOO_EXPENSIVE
    assert decision.action is None


def test_a_raise_may_reach_the_ceiling_itself() -> None:
    """One quantum below it is a rival that can just be beaten."""
    decision = facing(mine(usd("2")), rival(usd("4.9999"), active=True), holding=outbid_holding())
    assert repriced(decision) == usd("5")


def test_spot_never_goes_above_on_demand_unless_allowed() -> None:
    """Above the host's own price, on demand is the better deal."""
    offers = (mine(usd("2")), rival(usd("3.5"), active=True))
    cheap = make_listing(on_demand=usd("3"))
    decision = facing(*offers, holding=outbid_holding(), listing=cheap)
    assert decision.reason is Reason.ON_DEMAND_CHEAPER
    allowed = Rails(allow_above_on_demand=True)
    assert repriced(facing(*offers, holding=outbid_holding(), listing=cheap, rails=allowed)) == usd(
        "3.5001"
    )


def test_a_blip_is_waited_out() -> None:
    """Outbid for less than the wait: hold, say until when, and read the book again then."""
    params = TrackParams(raise_wait=timedelta(seconds=10))
    decision = facing(
        mine(usd("2")),
        rival(usd("3"), active=True),
        holding=outbid_holding(since=-4),
        params=params,
    )
    assert decision.reason is Reason.PATIENCE
    assert decision.due == at(6)
    assert decision.wants_book == SERVER


def test_two_reads_must_agree_before_a_raise() -> None:
    """One read may be late or wrong; the second is asked for at once."""
    params = TrackParams(raise_wait=timedelta(seconds=10), confirm=True)
    offers = (mine(usd("2")), rival(usd("3"), active=True))
    once = facing(*offers, holding=outbid_holding(), params=params, reads=1)
    assert once.reason is Reason.CONFIRMING
    assert once.wants_book == SERVER
    assert once.urgency > 0
    twice = facing(*offers, holding=outbid_holding(), params=params, reads=2)
    assert twice.reason is Reason.OUTBID


def test_on_top_without_running_is_no_reason_to_raise() -> None:
    """Another tenant or an outage has the server: wait, then look elsewhere."""
    offers = (mine(usd("2")), rival(usd("1.5")))
    first = facing(*offers, holding=outbid_holding(since=-5))
    assert first.reason is Reason.UNAVAILABLE
    assert first.due == at(15)
    assert facing(*offers, holding=outbid_holding(since=-25)).reason is Reason.SERVER_LOST


@pytest.mark.parametrize("gone", ["online", "public", "exists"])
def test_a_server_that_is_away_is_not_bid_for(gone: str) -> None:
    """Offline, hidden or gone: no raise wins it."""
    changes: dict[str, Any] = {gone: False}
    book = make_book(mine(usd("2")), rival(usd("3"), active=True), **changes)
    decision = facing(holding=outbid_holding(since=-5), book=book)
    assert decision.reason is Reason.UNAVAILABLE
    assert decision.action is None


def test_a_server_rented_on_demand_is_not_bid_for() -> None:
    """While it is rented, no bid can win there."""
    decision = facing(
        mine(usd("2")),
        rival(usd("3"), active=True),
        holding=outbid_holding(since=-5),
        listing=make_listing(rented=True),
    )
    assert decision.reason is Reason.UNAVAILABLE


def test_a_lower_bid_that_runs_is_passed_by_more_than_a_quantum() -> None:
    """The exchange wants a larger step than ours: half a percent, still no jump to the ceiling."""
    decision = facing(mine(usd("2")), rival(usd("1.9"), active=True), holding=outbid_holding())
    assert decision.reason is Reason.OUTBID
    assert repriced(decision) == usd("2.01")


def test_our_own_other_offers_are_not_rivals() -> None:
    """Never outbid oneself: the best bid is our own order elsewhere in the book."""
    other = Offer(order=make_holding(8).order.order, price=usd("4"), active=True, mine=False)
    policy = make_policy(make_target(want=2, params=EAGER))
    book = seen(make_book(mine(usd("2")), other), outbid_reads=2)
    view = make_view(policy, make_listing(), holdings=[outbid_holding(), make_holding(8)], books=[book])
    assert not isinstance(decided(view, policy).action, Reprice)


def test_nothing_is_changed_on_a_stale_book() -> None:
    """It is read first, and before others where a raise could win the server back."""
    policy = make_policy(make_target(params=EAGER))
    book = make_book(mine(usd("2")), rival(usd("3"), active=True))
    view = make_view(
        policy,
        make_listing(),
        holdings=[outbid_holding()],
        books=[seen(book, when=at(-11), outbid_reads=2)],
    )
    decision = decided(view, policy)
    assert decision.reason is Reason.STALE
    assert decision.wants_book == SERVER
    assert decision.urgency > 0


def test_an_offer_missing_from_its_book_is_looked_up_then_given_up() -> None:
    """One of two answers is late; after three minutes the offer is gone for good."""
    early = facing(rival(usd("3"), active=True), holding=outbid_holding(since=-170))
    assert early.wants_orders
    assert early.action is None
    late = facing(rival(usd("3"), active=True), holding=outbid_holding(since=-181))
    assert late.reason is Reason.SERVER_LOST
    assert isinstance(late.action, Withdraw)


def test_a_book_that_cannot_be_valued_is_not_acted_on() -> None:
    """A rival in a coin without a rate might be the strongest."""
    decision = facing(
        mine(usd("2")),
        rival(btc("1"), active=True),
        holding=outbid_holding(),
        rates=Rates(),
    )
    assert decision.reason is Reason.NO_RATE


@pytest.mark.parametrize(
    "params", [EAGER, FixedParams(price=usd("2")), AdaptiveParams(), MinBidParams()]
)
def test_a_rival_in_an_odd_coin_keeps_no_bid_above_its_ceiling(params: StrategyParams) -> None:
    """To leave a forbidden price no rival needs to be known; as ever it comes down, or goes."""

    def above(price: str, floor: str) -> Decision:
        offers = (mine(usd(price), active=True), rival(Price(Decimal(1), Currency.named("nosuchcoin"))))
        book = make_book(*offers, floor=usd(floor))
        return facing(holding=make_holding(price=usd(price)), book=book, params=params)

    near, far, nowhere = above("5.2", "1"), above("8", "1"), above("5.2", "5.1")

    assert {each.reason for each in (near, far, nowhere)} == {Reason.ABOVE_CEILING}
    assert repriced(near) == usd("5")
    assert isinstance(far.action, Withdraw)
    assert isinstance(nowhere.action, Withdraw), "the server takes no bid that low"
    assert above("4", "1").reason is Reason.NO_RATE


def test_a_ceiling_per_gpu_without_the_count_changes_nothing() -> None:
    """The server left the marketplace for a moment: its eight GPUs are not suddenly one."""
    target = make_target(ceiling=usd("1"), per=Per.GPU, params=EAGER)
    decision = facing(
        mine(usd("6"), active=True),
        holding=make_holding(price=usd("6")),
        target=target,
        listing=None,
    )
    assert decision.reason is Reason.STALE
    assert decision.action is None


def bid_lately(seconds: float, **changes: Any) -> Holding:
    """Return an idle bid of ours that was raised so long ago, first seen idle two seconds later."""
    raised = LoweringClock(created_at=at(-3600), raised_at=at(-seconds))
    return outbid_holding(since=2 - seconds, clock=raised, **changes)


@pytest.mark.parametrize(
    "offers",
    [(mine(usd("2")), rival(usd("1.9999"), active=True)), (mine(usd("2")), rival(usd("1.5")))],
    ids=["rival runs on", "nobody runs"],
)
@pytest.mark.parametrize(
    "params",
    [
        EAGER,
        AdaptiveParams(),
        TopPlusTickParams(),
        TrackRecreateParams(),
        MinBidParams(),
        FixedParams(price=usd("2")),
    ],
)
def test_a_bid_on_top_is_given_its_time_to_run(
    offers: tuple[Offer, ...], params: StrategyParams
) -> None:
    """Neither is it raised against itself nor the server given up: the exchange may switch late."""
    decision = facing(*offers, holding=bid_lately(80), params=params)
    assert (decision.reason, decision.action, decision.due) == (Reason.HANDOVER, None, at(10))
    late = facing(*offers, holding=bid_lately(91), params=EAGER)
    assert late.reason in {Reason.OUTBID, Reason.SERVER_LOST}


def test_a_new_order_is_given_its_time_to_run() -> None:
    """Its creation is a bid as well."""
    created = outbid_holding(since=-50, clock=LoweringClock(created_at=at(-52)))
    assert facing(mine(usd("2")), holding=created).reason is Reason.HANDOVER


def test_a_rival_who_bids_more_ends_the_wait() -> None:
    """There is something to answer."""
    decision = facing(mine(usd("2")), rival(usd("2.5"), active=True), holding=bid_lately(20))
    assert repriced(decision) == usd("2.5001")


def test_a_server_that_is_away_is_no_handover() -> None:
    """No bid runs there, however long one waits."""
    book = make_book(mine(usd("2")), online=False)
    assert facing(holding=bid_lately(30), book=book).reason is Reason.SERVER_LOST


def test_a_bid_whose_rival_went_away_is_given_its_time_to_run() -> None:
    """It has been idle for long, and on top since just now."""
    policy = make_policy(make_target(params=EAGER))
    view = make_view(policy, make_listing(), holdings=[outbid_holding(since=-900)])
    beaten = make_book(mine(usd("2")), rival(usd("9"), active=True))
    left = make_book(mine(usd("2")))
    for second, book in ((-40, beaten), (-30, left), (0, left)):
        view, _ = fold.book(view, book, policy, at=at(second))
    decision = decided(view, policy)
    assert (decision.reason, decision.due) == (Reason.HANDOVER, at(60))
    view, _ = fold.book(view, left, policy, at=at(60))
    assert decided(view, policy, at(60)).reason is Reason.SERVER_LOST


def test_a_bid_that_ran_and_stands_idle_alone_is_no_handover() -> None:
    """Another tenant or an outage has the server."""
    policy = make_policy(make_target(params=EAGER))
    view = make_view(policy, make_listing(), holdings=[make_holding()])
    for second, active in ((-40, True), (-30, False), (0, False)):
        view, _ = fold.book(view, make_book(mine(usd("2"), active=active)), policy, at=at(second))
    assert decided(view, policy).reason is Reason.SERVER_LOST


def test_pushes_past_a_lower_bid_that_runs_grow_and_end() -> None:
    """A least increment of any size is soon found; a tenth above whoever runs it is given up."""
    policy = make_policy(make_target(params=EAGER))
    holding = bid_lately(600, price=usd("2.0001"))
    view = make_view(policy, make_listing(), holdings=[holding])
    pushed, reasons = [], []
    for minute in range(0, 30, 2):
        price, now = view.holdings[ORDER].order.price, at(60 * minute)
        view = replace(view, marketplace_at=now, orders_at=now)
        for second in (0, 30):
            book = make_book(mine(price), rival(usd("2"), active=True))
            view, _ = fold.book(view, book, policy, at=now + timedelta(seconds=second))
        now += timedelta(seconds=30)
        decision = decided(view, policy, now)
        reasons.append(decision.reason)
        if isinstance(decision.action, Reprice):
            pushed.append(decision.action.price)
            view = fold.repriced(view, decision.action, sent_at=now, now=now)
    assert pushed == [usd("2.0102"), usd("2.0304"), usd("2.0711"), usd("2.1540"), usd("2.2")]
    assert reasons[-1] is Reason.SERVER_LOST
