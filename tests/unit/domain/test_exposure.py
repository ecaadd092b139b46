"""The dead man's bound: nothing that can happen without the daemon costs more."""

from dataclasses import replace
from datetime import timedelta
from decimal import Decimal

import pytest
from builders import (
    NOW,
    ORDER,
    TARGET,
    btc,
    make_holding,
    make_intent,
    make_listing,
    make_order,
    make_policy,
    make_target,
    make_view,
    usd,
)
from hypothesis import given, settings
from hypothesis import strategies as st
from unit.domain.worlds import actions, policies, views

from bidder.domain import exposure, guard
from bidder.domain.actions import Decision, PlaceBid, Reason, Reprice
from bidder.domain.ids import OrderId
from bidder.domain.intents import IntentKind
from bidder.domain.market import OrderKind, Wallet
from bidder.domain.money import Currency, Money, Rates
from bidder.domain.policy import Policy, Rails
from bidder.domain.view import View

TWO_DAYS = make_order(price=usd("3"), created_at=NOW, mrl=timedelta(days=2), fee_percent=2.5)
POLICY = make_policy(make_target())
HELD = make_view(POLICY, holdings=[make_holding(order=TWO_DAYS)], wallets={})


def bound(view: View) -> Decimal:
    """Return the bound in USD."""
    return exposure.worth(exposure.if_unattended(view, NOW), view)


def test_an_order_costs_its_bid_until_its_end_with_its_fee() -> None:
    """Two days at three dollars and 2.5 percent, whether it runs now or not."""
    assert bound(HELD) == Decimal("6.15")
    half = exposure.if_unattended(HELD, NOW + timedelta(days=1))
    assert exposure.worth(half, HELD) == Decimal("3.075")
    assert exposure.worth(exposure.if_unattended(HELD, NOW + timedelta(days=9)), HELD) == 0


def test_the_balance_bounds_what_can_be_paid() -> None:
    """An exchange cannot take what is not there; an unknown balance bounds nothing."""
    purse = Wallet(currency=Currency.USD, balance=Money.parse("4", Currency.USD))
    assert bound(replace(HELD, wallets={Currency.USD: purse})) == 4
    assert bound(replace(HELD, wallets={Currency.USD: replace(purse, balance=None)})) == Decimal("6.15")


def test_what_was_sent_and_not_answered_has_happened() -> None:
    """An open creation runs as long as the server may be rented; an open raise has its price."""
    raising = make_intent(IntentKind.REPRICE, price=usd("4"))
    assert bound(replace(HELD, intents=(raising,))) == Decimal("8.2")
    lowering = replace(raising, price=usd("1"))
    assert bound(replace(HELD, intents=(lowering,))) == Decimal("6.15")
    opening = make_intent(server=202, price=usd("1"))
    listed = make_view(POLICY, make_listing(202, mrl=timedelta(days=10)), wallets={})
    assert bound(replace(listed, intents=(opening,))) == Decimal("10.5")


def test_a_rental_costs_the_fee_of_rentals() -> None:
    """A spot order's 2.5 percent say nothing of it: 5, until a rental of ours shows another."""
    listed = make_view(
        POLICY,
        make_listing(202, mrl=timedelta(days=10)),
        holdings=[make_holding(order=replace(TWO_DAYS, price=usd("0.001")))],
        wallets={},
    )
    before = bound(listed)
    for kind, fee in ((IntentKind.PLACE, "0.25"), (IntentKind.RENT, "0.5")):
        opening = make_intent(kind, server=202, price=usd("1"))
        assert bound(replace(listed, intents=(opening,))) - before == 10 + Decimal(fee)

    rented = make_order(8, server=9, kind=OrderKind.ON_DEMAND, price=usd("0.001"), fee_percent=7)
    shown = listed.with_holding(make_holding(order=rented))
    opening = make_intent(IntentKind.RENT, server=202, price=usd("1"))
    assert bound(replace(shown, intents=(opening,))) - bound(shown) == Decimal("10.7")


def test_the_rail_stops_what_would_pass_it_and_nothing_else() -> None:
    """A raise beyond the limit is held; without a rate nothing that costs more is sent."""
    policy = make_policy(make_target(), rails=Rails(max_usd_if_unattended=Decimal(7)))
    action = Reprice(
        order=OrderId(ORDER), server=TWO_DAYS.server, current=usd("3"), price=usd("3.5"), target=TARGET
    )
    decision = Decision(target=TARGET, reason=Reason.OUTBID, action=action, urgency=1)
    held = guard.apply(decision, HELD, policy, NOW)
    assert (held.action, held.reason) == (None, Reason.RAIL)
    assert held.facts["rail"] == "max_usd_if_unattended"
    assert held.facts["would_be_usd"] == "7.1750"

    wider = make_policy(make_target(), rails=Rails(max_usd_if_unattended=Decimal("7.175")))
    assert guard.apply(decision, HELD, wider, NOW).action == action

    coins = make_holding(order=make_order(8, server=9, price=btc("1")))
    unrated = replace(HELD.with_holding(coins), rates=Rates())
    assert guard.apply(decision, unrated, wider, NOW).reason is Reason.NO_RATE


def test_beside_an_order_that_would_empty_the_wallet_nothing_gets_dearer() -> None:
    """Beside a person's order a raise adds nothing to what can be paid; it stays when hers is gone."""
    purse = Wallet(currency=Currency.USD, balance=Money.parse("40", Currency.USD))
    hers = make_holding(order=make_order(8, server=9, price=usd("500")), target=None)
    view = replace(HELD.with_holding(hers), wallets={Currency.USD: purse})
    policy = make_policy(make_target(), rails=Rails(max_usd_if_unattended=Decimal(7)))
    up = Reprice(
        order=OrderId(ORDER), server=TWO_DAYS.server, current=usd("3"), price=usd("4"), target=TARGET
    )
    assert bound(view) == bound(view.with_holding(make_holding(order=replace(TWO_DAYS, price=usd("4")))))

    raising = Decision(target=TARGET, reason=Reason.OUTBID, action=up, urgency=1)
    assert guard.apply(raising, view, policy, NOW).reason is Reason.RAIL
    lowering = replace(raising, reason=Reason.MARK_DOWN, action=replace(up, price=usd("2")))
    assert guard.apply(lowering, view, policy, NOW).action == lowering.action


@pytest.mark.slow
@settings(max_examples=150, deadline=None)
@given(data=st.data(), policy=policies())
def test_no_action_gets_past_the_bound(data: st.DataObject, policy: Policy) -> None:
    """In any world, what gets out leaves the bound below the limit or does not raise it."""
    limit = data.draw(st.decimals("1", "2000", places=1))
    policy = replace(policy, rails=replace(policy.rails, max_usd_if_unattended=limit))
    view = data.draw(views(policy))
    action = data.draw(actions(view))
    decision = Decision(target=TARGET, reason=Reason.EMPTY_SLOT, action=action, urgency=1)

    passed = guard.apply(decision, view, policy, NOW).action

    if isinstance(passed, PlaceBid):
        intent = make_intent(server=passed.server, price=passed.price)
        after = replace(view, intents=(*view.intents, intent))
        assert bound(after) <= max(limit, bound(view)) + Decimal("1e-9")
    if isinstance(passed, Reprice):
        holding = view.holdings[passed.order]
        raised = view.with_holding(replace(holding, order=replace(holding.order, price=passed.price)))
        assert bound(raised) <= max(limit, bound(view)) + Decimal("1e-9")
