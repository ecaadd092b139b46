"""``fixed``: one price, the ceiling unless another is named; rivals do not matter."""

from decimal import Decimal

import pytest
from builders import (
    NOW,
    RATES,
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
from unit.domain.bids import clock, decided, facing, repriced

from bidder.domain import planning
from bidder.domain.actions import PlaceBid, Reason
from bidder.domain.market import Listing, Offer
from bidder.domain.money import Currency, Price, Rates
from bidder.domain.policy import FixedParams, Rails, Target

AT_CEILING = make_target(params=FixedParams())
AT_THREE = make_target(params=FixedParams(price=usd("3")))
IN_BITCOIN = make_target(params=FixedParams(), currencies=(Currency.BTC,))


def opening(
    target: Target, *offers: Offer, listing: Listing | None = None, rails: Rails | None = None
) -> Price | Reason:
    """Return the first bid of a target on one server, or why there is none."""
    policy = make_policy(target, rails=rails or Rails())
    listing = listing or make_listing()
    floor = next(iter(listing.spot_floor.values()))
    book = make_book(*offers, floor=floor)
    (decision,) = planning.plan(make_view(policy, listing, books=[seen(book)]), policy, NOW)
    return decision.action.price if isinstance(decision.action, PlaceBid) else decision.reason


def test_the_first_bid_is_the_ceiling_or_the_named_price() -> None:
    """Whatever less would do."""
    assert opening(AT_CEILING, rival(usd("2"))) == usd("5")
    assert opening(AT_THREE, rival(usd("2"))) == usd("3")


def test_a_named_price_above_the_ceiling_is_the_ceiling() -> None:
    """The ceiling has the last word."""
    assert opening(make_target(params=FixedParams(price=usd("9")))) == usd("5")


def test_no_bid_is_placed_that_would_not_win() -> None:
    """Three dollars against four: the slot stays empty and nothing is paid for waiting."""
    assert opening(AT_THREE, rival(usd("4"))) is Reason.TOO_EXPENSIVE


def test_the_first_bid_stays_at_or_below_the_on_demand_price() -> None:
    """A ceiling above what the host asks on demand is not bid silently."""
    cheap = make_listing(on_demand=usd("2.5"))
    assert opening(AT_CEILING, listing=cheap) == usd("2.5")
    allowed = Rails(allow_above_on_demand=True)
    assert opening(AT_CEILING, listing=cheap, rails=allowed) == usd("5")


def test_an_on_demand_price_in_another_coin_gives_a_price_on_our_quantum() -> None:
    """0.00003333 BTC is 1.6665 USD: no tail of digits leaves the arithmetic."""
    odd = Rates({Currency.BTC: Decimal("50001.37")})
    target = make_target(params=FixedParams(), currencies=(Currency.USD, Currency.BTC))
    policy = make_policy(target)
    listing = make_listing(on_demand=btc("0.00003333"))
    view = make_view(policy, listing, books=[seen(make_book())], rates=odd)
    (decision,) = planning.plan(view, policy, NOW)
    assert isinstance(decision.action, PlaceBid)
    assert decision.action.price == usd("1.6665")


def test_a_floor_equal_to_the_on_demand_price_is_bid_in_the_exchanges_own_digits() -> None:
    """More than half of the recorded servers are priced so."""
    fine = usd("1.23456789")
    assert opening(AT_CEILING, listing=make_listing(floor=fine, on_demand=fine)) == fine


@pytest.mark.parametrize("active", [True, False])
def test_a_bid_below_the_price_goes_up_at_once(active: bool) -> None:
    """Rivals or not."""
    holding = make_holding(active=active, outbid_since=None if active else at(-1))
    decision = facing(mine(usd("2"), active=active), holding=holding, target=AT_THREE)
    assert decision.reason is Reason.FIXED_PRICE
    assert repriced(decision) == usd("3")


def test_a_running_bid_above_the_price_comes_down_by_the_rules() -> None:
    """At its clock, and no earlier."""
    offer = mine(usd("4"), active=True)
    opened = make_holding(price=usd("4"), clock=clock(600))
    assert repriced(facing(offer, holding=opened, target=AT_THREE)) == usd("3")
    closed = make_holding(price=usd("4"), clock=clock(599))
    decision = facing(offer, holding=closed, target=AT_THREE)
    assert decision.reason is Reason.CLOCK
    assert decision.due == at(1)


def test_an_idle_bid_above_the_price_is_not_lowered() -> None:
    """An offer that does not run is never lowered below its ceiling."""
    decision = facing(
        mine(usd("4")),
        rival(usd("9"), active=True),
        holding=outbid_holding(price=usd("4")),
        target=AT_THREE,
    )
    assert decision.action is None
    assert decision.reason is Reason.TOO_EXPENSIVE


def test_at_its_price_it_stays_whatever_rivals_do() -> None:
    """Outbid it waits; running it wins."""
    outbid = facing(
        mine(usd("3")),
        rival(usd("4"), active=True),
        holding=outbid_holding(price=usd("3")),
        target=AT_THREE,
    )
    assert outbid.reason is Reason.TOO_EXPENSIVE
    running = facing(mine(usd("3"), active=True), holding=make_holding(price=usd("3")), target=AT_THREE)
    assert running.reason is Reason.WINNING


def in_bitcoin(price: str, *, rate: str, active: bool = True) -> tuple[Reason, Price | None]:
    """Return what is decided about a bid in bitcoin below a ceiling of five dollars."""
    policy = make_policy(IN_BITCOIN)
    holding = make_holding(price=btc(price), active=active, outbid_since=None if active else at(-9))
    book = make_book(mine(btc(price), active=active), floor=btc("0.00001"))
    view = make_view(
        policy,
        make_listing(floor=btc("0.00001"), on_demand=usd("20")),
        holdings=[holding],
        books=[seen(book)],
        rates=Rates({Currency.BTC: Decimal(rate)}),
    )
    decision = decided(view, policy)
    return decision.reason, repriced(decision) if decision.action else None


def test_a_ceiling_in_dollars_is_followed_in_bitcoin_but_not_at_every_breath() -> None:
    """Two tenths of a percent are left alone, five percent are not."""
    assert in_bitcoin("0.0001", rate="50000") == (Reason.WINNING, None)
    assert in_bitcoin("0.0001", rate="49900") == (Reason.WINNING, None)
    assert in_bitcoin("0.0001", rate="47500") == (Reason.FIXED_PRICE, btc("0.00010526"))


def test_a_rate_that_lifts_the_bid_above_its_ceiling_brings_it_down_however_little() -> None:
    """The ceiling is not a matter of breath."""
    assert in_bitcoin("0.0001", rate="50100") == (Reason.ABOVE_CEILING, btc("0.0000998"))


def test_an_idle_bid_follows_the_rate_up_at_once() -> None:
    """Where a tenth of a percent may win the server back."""
    assert in_bitcoin("0.0001", rate="49900", active=False) == (Reason.FIXED_PRICE, btc("0.0001002"))


def test_a_named_price_in_dollars_is_converted_for_a_bid_in_bitcoin() -> None:
    """Two dollars mean two dollars in any coin, not the ceiling of five."""
    target = make_target(params=FixedParams(price=usd("2")), currencies=(Currency.BTC,))
    listing = make_listing(floor=btc("0.00001"), on_demand=usd("20"))
    assert opening(target, listing=listing) == btc("0.00004")
    assert RATES.to_usd(btc("0.00004")) == 2
