"""The rules known from elsewhere, each by what tells it from the others."""

from datetime import timedelta
from decimal import Decimal

import pytest
from builders import (
    NOW,
    at,
    btc,
    clore,
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
from hypothesis import given
from hypothesis import strategies as st
from unit.domain.bids import clock, decided, facing, repriced

from bidder.domain import fold, planning, quotes
from bidder.domain.actions import Decision, PlaceBid, Reason, Withdraw
from bidder.domain.market import Offer, Wallet
from bidder.domain.money import Currency, Money, Price, Rates
from bidder.domain.policy import (
    AdaptiveParams,
    AutopilotParams,
    AutospottingParams,
    MinBidParams,
    NicehashParams,
    Rails,
    StrategyParams,
    TopPlusTickParams,
    TrackRecreateParams,
)
from bidder.domain.price_rules import LoweringClock, StepSample
from bidder.domain.stances import walk_cost
from bidder.domain.view import Created

TENTH = tuple(
    StepSample(
        currency=Currency.USD, price=Decimal(n), drop=Decimal("0.1"), floor=None, exact=True, at=NOW
    )
    for n in (1, 100)
)
RUNNING = mine(usd("2"), active=True)
OUTBID = mine(usd("2"))


def opening(params: StrategyParams, *offers: Offer, on_demand: str = "10") -> Price | Reason:
    """Return a strategy's first bid on one server, or why there is none."""
    policy = make_policy(make_target(params=params))
    listing = make_listing(on_demand=usd(on_demand))
    view = make_view(policy, listing, books=[seen(make_book(*offers))])
    (decision,) = planning.plan(view, policy, NOW)
    return decision.action.price if isinstance(decision.action, PlaceBid) else decision.reason


def test_the_minimum_is_bid_and_never_moved() -> None:
    """The floor; a rival is waited for, whatever he bids."""
    params = MinBidParams()
    assert opening(params) == usd("1")
    low, holding = mine(usd("1")), outbid_holding(price=usd("1"))
    assert facing(low, rival(usd("1.2"), active=True), holding=holding, params=params).action is None


@pytest.mark.parametrize("params", [MinBidParams(), AutospottingParams()])
def test_a_bid_that_is_never_moved_still_notices_a_lost_server(params: StrategyParams) -> None:
    """Rented to somebody else for a minute: waiting there wins nothing."""
    rented = make_listing(rented=True)
    decision = facing(OUTBID, holding=outbid_holding(), params=params, listing=rented)
    assert decision.reason is Reason.SERVER_LOST


def test_a_buffered_bid_is_ten_percent_above_the_moment_and_below_on_demand() -> None:
    """Set once: neither a rival nor his absence moves it."""
    params = AutospottingParams()
    assert (
        opening(params, rival(usd("2"))) == usd("2").one_tick_up().times(Decimal("1.1")).rounded_down()
    )
    assert opening(params, rival(usd("2")), on_demand="2.1") == usd("2.1")
    assert facing(RUNNING, holding=make_holding(), params=params).reason is Reason.WINNING
    outbid = facing(OUTBID, rival(usd("3"), active=True), holding=outbid_holding(), params=params)
    assert outbid.action is None


@pytest.mark.parametrize(
    "params", [AutospottingParams(), AutopilotParams(overpay=Decimal(1), grace=timedelta(0))]
)
def test_a_bid_up_to_the_price_on_demand_in_another_currency_is_a_price(params: StrategyParams) -> None:
    """0.00007132... bitcoin are 107 CLORE: bid is the last price below, not a quotient of 30 digits."""
    policy = make_policy(make_target(params=params, currencies=(Currency.BTC, Currency.CLORE)))
    rates = Rates({Currency.BTC: Decimal(30_003), Currency.CLORE: Decimal("0.02")})
    wallets = {
        c: Wallet(currency=c, balance=Money(Decimal(1000), c)) for c in (Currency.BTC, Currency.CLORE)
    }
    listing = make_listing(floor=btc("0.00007"), on_demand=clore("107"))
    offers = [rival(btc("0.0000705"), active=True)]
    book = make_book(*offers, floor=btc("0.00007"))
    view = make_view(policy, listing, books=[seen(book)], rates=rates, wallets=wallets)
    (decision,) = planning.plan(view, policy, NOW)
    assert isinstance(decision.action, PlaceBid)
    assert decision.action.price == btc("0.00007132")


def test_a_floor_just_below_the_price_on_demand_is_bid_as_it_is() -> None:
    """The exchange names it to the last digit: rounded down, the price on demand would forbid it."""
    listing = make_listing(floor=btc("0.000071326"), on_demand=clore("107"))
    rates = Rates({Currency.BTC: Decimal(30_003), Currency.CLORE: Decimal("0.02")})
    paid_in = frozenset({Currency.BTC, Currency.CLORE})
    assert quotes.on_demand_cap(listing, btc("1"), rates, paid_in) == btc("0.000071326")
    dearer = make_listing(floor=btc("0.000071327"), on_demand=clore("107"))
    assert quotes.on_demand_cap(dearer, btc("1"), rates, paid_in) == btc("0.00007132")


@pytest.mark.parametrize("params", [TopPlusTickParams(), TrackRecreateParams()])
def test_a_follower_raises_in_the_moment_it_is_outbid(params: StrategyParams) -> None:
    """No grace, no second read: one increment above the best rival."""
    decision = facing(
        OUTBID,
        rival(usd("3"), active=True),
        holding=outbid_holding(since=0),
        params=params,
        reads=1,
    )
    assert repriced(decision) == usd("3").one_tick_up()


def test_a_follower_comes_down_a_step_at_a_time_when_the_clock_allows() -> None:
    """A tenth of a dollar, and not a second before."""
    params = TopPlusTickParams()
    lower = facing(
        RUNNING, rival(usd("1.5")), holding=make_holding(clock=clock(600)), params=params, steps=TENTH
    )
    assert repriced(lower) == usd("1.9")
    early = facing(
        RUNNING, rival(usd("1.5")), holding=make_holding(clock=clock(599)), params=params, steps=TENTH
    )
    assert (early.action, early.reason, early.due) == (None, Reason.CLOCK, at(1))


def test_a_long_walk_is_skipped_by_cancelling() -> None:
    """From 4 to 1 in thirty steps costs 0.31 USD; a restart and the fee here 0.02 and 0.05."""
    four = mine(usd("4"), active=True)
    holding = make_holding(price=usd("4"), clock=clock(601))

    def with_fee(fee: str) -> Decision:
        return facing(
            four,
            holding=holding,
            params=TrackRecreateParams(),
            steps=TENTH,
            creation_fee_usd=Decimal(fee),
        )

    again, dear = with_fee("0.05"), with_fee("0.5")
    assert isinstance(again.action, Withdraw)
    assert again.reason is Reason.RECREATE
    assert repriced(dear) == usd("3.9")


def test_the_factor_says_how_many_restarts_a_walk_may_cost() -> None:
    """The same walk of 0.302 USD against a restart and fee of 0.0708, times 4 and times 5."""
    four = mine(usd("4"), active=True)
    holding = make_holding(price=usd("4"), clock=clock(601))
    taken = {
        factor: facing(
            four,
            holding=holding,
            params=TrackRecreateParams(factor=factor),
            steps=TENTH,
            creation_fee_usd=Decimal("0.05"),
        ).reason
        for factor in (4.0, 5.0)
    }
    assert taken == {4.0: Reason.RECREATE, 5.0: Reason.MARK_DOWN}


@given(
    price=st.integers(12, 49).map(lambda tenths: usd(f"{tenths / 10}")),
    waits=st.integers(0, 599),
    fee=st.integers(0, 10).map(lambda cents: Decimal(cents) / 100),
)
def test_both_ways_down_are_reckoned_alike_by_whoever_compares_them(
    price: Price, waits: int, fee: Decimal
) -> None:
    """The staircase from here to the floor, and what a restart and a creation cost, in both rules."""
    holding = make_holding(price=price, clock=clock(600 - waits))
    found = [
        facing(
            mine(price, active=True),
            holding=holding,
            params=params,
            steps=TENTH,
            creation_fee_usd=fee,
        )
        for params in (TrackRecreateParams(factor=0.0), AdaptiveParams())
    ]

    assert found[0].reason is Reason.RECREATE
    over = float(price.amount) - 1
    # A staircase of whole steps: rounding may make it one step shorter.
    walk, step = walk_cost(over, 0.1, float(waits)), over / 2 * 600 / 86400
    told = [d.facts for d in found if d.reason is Reason.RECREATE]
    assert all(facts["walk_cost"] == told[0]["walk_cost"] for facts in told)
    assert all(facts["restart_cost"] == told[0]["restart_cost"] for facts in told)
    assert told[0]["walk_cost"] == pytest.approx(walk, abs=step + 1e-6)
    assert told[0]["restart_cost"] == pytest.approx(5 * 6 / 1440 + float(fee), abs=1e-6)


def test_nothing_is_cancelled_that_could_not_be_created_again() -> None:
    """Where the rails would stop the new order, the old one walks down."""
    four = mine(usd("4"), active=True)
    holding = make_holding(price=usd("4"), clock=clock(601))
    server = holding.order.server
    decision = facing(
        four,
        holding=holding,
        params=TrackRecreateParams(),
        steps=TENTH,
        rails=Rails(max_creations_per_server_hour=2),
        creations=(Created(server=server, at=at(-60)), Created(server=server, at=at(-30))),
    )
    assert repriced(decision) == usd("3.9")


def test_what_was_cancelled_to_be_created_again_is_created_at_once() -> None:
    """The empty slot is filled on the same server, at the bottom."""
    policy = make_policy(make_target(params=TrackRecreateParams()))
    view = make_view(policy, make_listing(), books=[seen(make_book(rival(usd("1.5"))))])
    (decision,) = planning.plan(view, policy, NOW)
    assert isinstance(decision.action, PlaceBid)
    assert decision.action.price == usd("1.5").one_tick_up()


def test_the_stepper_raises_one_step_a_minute_without_regard_to_the_book() -> None:
    """The rival stands a dollar above; the bid goes up a tenth."""
    offers = OUTBID, rival(usd("3"), active=True)
    first = facing(*offers, holding=outbid_holding(), params=NicehashParams(), steps=TENTH)
    assert repriced(first) == usd("2.1")
    lately = outbid_holding(clock=LoweringClock(raised_at=at(-59)))
    soon = facing(*offers, holding=lately, params=NicehashParams(), steps=TENTH)
    assert (soon.action, soon.due) == (None, at(1))


def test_the_stepper_takes_a_short_last_step_to_the_cap() -> None:
    """What suffices is within the ceiling of five dollars, a whole step is not."""
    near, holding = mine(usd("4.95")), outbid_holding(price=usd("4.95"))
    there = facing(
        near,
        rival(usd("4.98"), active=True),
        holding=holding,
        params=NicehashParams(),
        steps=TENTH,
    )
    assert repriced(there) == usd("5")
    beyond = facing(
        near, rival(usd("6"), active=True), holding=holding, params=NicehashParams(), steps=TENTH
    )
    assert beyond.reason is Reason.TOO_EXPENSIVE


def test_the_adapted_stepper_comes_down_to_what_suffices() -> None:
    """A step, or what is left of one; the literal rule sees one filled price and stays for ever."""
    holding = make_holding(clock=clock(601))

    def beside(price: str, params: StrategyParams) -> Decision:
        return facing(RUNNING, rival(usd(price)), holding=holding, params=params, steps=TENTH)

    assert repriced(beside("1.8", NicehashParams())) == usd("1.9")
    assert repriced(beside("1.95", NicehashParams())) == usd("1.95").one_tick_up()
    assert beside("1.1", NicehashParams(literal=True)).reason is Reason.WINNING


def test_the_patient_one_waits_out_its_grace_and_raises_in_bounded_steps() -> None:
    """Two and a half minutes, then five percent at most."""
    offers = OUTBID, rival(usd("3"), active=True)
    early = facing(*offers, holding=outbid_holding(since=-149), params=AutopilotParams())
    assert (early.action, early.reason, early.due) == (None, Reason.PATIENCE, at(1))
    late = facing(*offers, holding=outbid_holding(since=-150), params=AutopilotParams())
    assert repriced(late) == usd("2.1")


def test_a_bounded_step_goes_at_least_to_the_floor() -> None:
    """Five percent more than two dollars would be refused where three are the least that is taken."""
    floor = usd("3")
    book = make_book(OUTBID, rival(usd("4"), active=True), floor=floor)
    decision = facing(book=book, holding=outbid_holding(since=-150), params=AutopilotParams())
    assert repriced(decision) == floor


def test_the_grace_is_one_for_the_episode() -> None:
    """A raise that did not win is followed by the next after a minute, not after another grace."""
    offers = OUTBID, rival(usd("3"), active=True)

    def after_raise(raised: float) -> Decision:
        holding = outbid_holding(
            since=raised + 1, idle_since=at(-300), clock=LoweringClock(raised_at=at(raised))
        )
        return facing(*offers, holding=holding, params=AutopilotParams())

    assert repriced(after_raise(-60)) == usd("2.1")
    assert after_raise(-59).due == at(1)


@pytest.mark.parametrize("raised", [-30, -100, -600])
def test_a_displacement_after_a_raise_that_won_is_an_episode_of_its_own(raised: float) -> None:
    """However short a time ago that was: most are over within the grace."""
    policy = make_policy(make_target(params=AutopilotParams()))
    holding = outbid_holding(since=-700, clock=LoweringClock(raised_at=at(raised)))
    view = make_view(policy, make_listing(), holdings=[holding])
    for second, active in ((raised + 1, True), (-1, False), (0, False)):
        book = make_book(mine(usd("2"), active=active), rival(usd("3"), active=not active))
        view, _ = fold.book(view, book, policy, at=at(second))
    decision = decided(view, policy)
    assert (decision.reason, decision.due) == (Reason.PATIENCE, at(149))


def test_the_cushion_is_bid_from_the_first() -> None:
    """Up to the on-demand price; where that leaves no room for it, what suffices."""
    params, needed = AutopilotParams(overpay=Decimal("0.1")), usd("2").one_tick_up()
    assert opening(params, rival(usd("2"))) == needed.times(Decimal("1.1")).rounded_up()
    assert opening(params, rival(usd("2")), on_demand="2.1") == usd("2.1")
    assert opening(params, rival(usd("2")), on_demand=str(needed.amount)) == needed


def test_the_cushion_is_kept_and_not_chased() -> None:
    """A tenth above what suffices: down to it, never up to it while running."""
    params, cushion = AutopilotParams(overpay=Decimal("0.1")), usd("1.5").one_tick_up()
    down = facing(
        RUNNING, rival(usd("1.5")), holding=make_holding(clock=clock(601)), params=params, steps=()
    )
    assert repriced(down) == cushion.times(Decimal("1.1")).rounded_up()
    thin = facing(RUNNING, rival(usd("1.95")), holding=make_holding(), params=params)
    assert thin.reason is Reason.WINNING
