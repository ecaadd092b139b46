"""``track`` while it runs: down to what suffices, at its clock; above its ceiling, at once."""

from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from builders import (
    at,
    btc,
    clore,
    make_book,
    make_holding,
    make_listing,
    make_target,
    mine,
    outbid_holding,
    rival,
    usd,
)
from unit.domain.bids import clock, facing, repriced

from bidder.domain.actions import Reason, Reprice, Withdraw
from bidder.domain.money import Currency, Rates
from bidder.domain.policy import TrackParams
from bidder.domain.price_rules import LoweringClock, StepSample
from bidder.domain.view import RateDoubt


def test_an_active_bid_goes_down_to_just_above_the_best_rival() -> None:
    """Not to the floor, which would hand the server over."""
    decision = facing(mine(usd("4"), active=True), rival(usd("3")), holding=make_holding(price=usd("4")))
    assert decision.reason is Reason.MARK_DOWN
    assert repriced(decision) == usd("3.0001")


def test_without_a_rival_it_goes_down_to_the_floor() -> None:
    """The floor itself is a valid bid, in the exchange's own digits."""
    book = make_book(mine(usd("4"), active=True), floor=usd("1.23456789"))
    decision = facing(holding=make_holding(price=usd("4")), book=book)
    assert repriced(decision) == usd("1.23456789")


@pytest.mark.parametrize("allowed", [None, frozenset({Currency.BTC})])
def test_without_a_floor_in_its_currency_it_goes_down_to_the_cheapest_other_one(
    allowed: frozenset[Currency] | None,
) -> None:
    """The host lists bitcoin by now: 0.00004 of it are 100 CLORE. What it takes no more counts not."""
    mine_at = clore("400")
    floors = {Currency.BTC: btc("0.00004"), Currency.USD: usd("0.5" if allowed else "3")}
    listing = make_listing(floor=floors.values(), allowed=allowed)
    target = make_target(ceiling=clore("500"), currencies=(Currency.CLORE,))
    decision = facing(
        holding=make_holding(price=mine_at),
        book=make_book(mine(mine_at, active=True), floor=btc("0.00004")),
        listing=listing,
        target=target,
    )
    assert decision.reason is Reason.MARK_DOWN
    assert repriced(decision) == clore("100")


def test_what_another_floor_comes_to_is_rounded_up_by_rates_that_are_sure() -> None:
    """A bid below it may be refused; by a rate in doubt none is formed."""
    offer, holding = mine(clore("400"), active=True), make_holding(price=clore("400"))
    facts: dict[str, Any] = {
        "holding": holding,
        "book": make_book(offer, floor=btc("0.000040001")),
        "listing": make_listing(floor=btc("0.000040001")),
        "target": make_target(ceiling=clore("500"), currencies=(Currency.CLORE,)),
    }
    assert repriced(facing(**facts)) == clore("100.01")
    doubted = {Currency.BTC: RateDoubt(since=at(-1000), recalled=True)}
    assert repriced(facing(**facts, doubted=doubted)) == clore("100.01"), "it has been long enough"
    doubted = {Currency.BTC: RateDoubt(since=at(-10))}
    assert facing(**facts, doubted=doubted).reason is Reason.NO_RATE
    assert facing(**facts, rates=Rates({Currency.CLORE: Decimal("0.02")})).reason is Reason.NO_RATE


def test_a_lowering_waits_for_its_clock_and_names_the_second() -> None:
    """One that is known to be refused is never sent."""
    holding = make_holding(price=usd("4"), clock=clock(599))
    decision = facing(mine(usd("4"), active=True), holding=holding)
    assert decision.reason is Reason.CLOCK
    assert decision.due == at(1)
    assert decision.action is None
    opened = make_holding(price=usd("4"), clock=clock(600))
    assert repriced(facing(mine(usd("4"), active=True), holding=opened)) == usd("1")


def test_a_lowering_goes_no_further_than_the_learnt_step() -> None:
    """The rest follows at the next opening."""
    step = StepSample(
        currency=Currency.USD,
        price=Decimal(4),
        drop=Decimal("0.5"),
        floor=None,
        exact=True,
        at=at(-60),
    )
    decision = facing(mine(usd("4"), active=True), holding=make_holding(price=usd("4")), steps=(step,))
    assert repriced(decision) == usd("3.5")


def test_a_saving_within_the_dead_band_is_left_alone() -> None:
    """Hysteresis: two bots do not walk each other up and down for nothing."""
    params = TrackParams(dead_band=Decimal("0.01"))
    holding = make_holding(price=usd("3.03"))
    near = facing(mine(usd("3.03"), active=True), rival(usd("3")), holding=holding, params=params)
    assert near.reason is Reason.WINNING
    far = facing(mine(usd("3.03"), active=True), rival(usd("2.9")), holding=holding, params=params)
    assert far.reason is Reason.MARK_DOWN


def test_after_a_raise_the_way_down_waits_for_the_owners_patience() -> None:
    """The rival that was just beaten may still be there."""
    params = TrackParams(lower_patience=timedelta(minutes=5))
    raised = LoweringClock(created_at=at(-3600), raised_at=at(-120))
    holding = make_holding(price=usd("4"), clock=raised)
    decision = facing(mine(usd("4"), active=True), holding=holding, params=params)
    assert decision.reason is Reason.PATIENCE
    assert decision.due == at(180)


def test_a_bid_that_runs_below_a_higher_one_stays() -> None:
    """Trust the flag: no raise is needed where ours is the one that runs."""
    decision = facing(mine(usd("2"), active=True), rival(usd("3")), holding=make_holding())
    assert decision.reason is Reason.WINNING


def test_an_idle_offer_is_never_lowered() -> None:
    """However far above the floor it stands."""
    for offers in (
        [mine(usd("4"))],
        [mine(usd("4")), rival(usd("1.5"))],
        [mine(usd("4")), rival(usd("3.9"), active=True)],
    ):
        decision = facing(*offers, holding=outbid_holding(price=usd("4")))
        assert not (isinstance(decision.action, Reprice) and decision.action.lowers)


@pytest.mark.parametrize("active", [True, False])
def test_a_bid_slightly_above_its_ceiling_comes_down_in_one_step(active: bool) -> None:
    """Running or idle: the owner's ceiling counts more than the place in the queue."""
    holding = make_holding(price=usd("5.4"), active=active, outbid_since=None if active else at(-60))
    decision = facing(mine(usd("5.4"), active=active), rival(usd("3")), holding=holding)
    assert decision.reason is Reason.ABOVE_CEILING
    assert repriced(decision) == usd("3.0001")


def test_a_bid_far_above_its_ceiling_is_cancelled() -> None:
    """Walking it down would mean setting prices that the owner forbade."""
    decision = facing(mine(usd("8"), active=True), holding=make_holding(price=usd("8")))
    assert decision.reason is Reason.ABOVE_CEILING
    assert isinstance(decision.action, Withdraw)


def test_a_step_too_short_to_reach_the_ceiling_cancels() -> None:
    """From 5.40 one may go to 5.20 at most: still forbidden."""
    step = StepSample(
        currency=Currency.USD,
        price=Decimal("5.4"),
        drop=Decimal("0.2"),
        floor=None,
        exact=True,
        at=at(-60),
    )
    decision = facing(
        mine(usd("5.4"), active=True), holding=make_holding(price=usd("5.4")), steps=(step,)
    )
    assert isinstance(decision.action, Withdraw)


def test_above_its_ceiling_a_running_bid_waits_for_its_clock_an_idle_one_goes() -> None:
    """The idle one costs nothing yet, but could win at a forbidden price."""
    running = make_holding(price=usd("5.4"), clock=clock(500))
    decision = facing(mine(usd("5.4"), active=True), holding=running)
    assert decision.reason is Reason.ABOVE_CEILING
    assert decision.due == at(100)
    idle = outbid_holding(price=usd("5.4"), clock=clock(500))
    decision = facing(mine(usd("5.4")), rival(usd("9"), active=True), holding=idle)
    assert isinstance(decision.action, Withdraw)
