"""What a server costs per GPU until a horizon, and what a change costs."""

from dataclasses import replace
from datetime import timedelta
from decimal import Decimal

import pytest
from builders import (
    NOW,
    RATES,
    at,
    make_book,
    make_holding,
    make_listing,
    make_order,
    make_policy,
    make_target,
    make_view,
    mine,
    rival,
    seen,
)
from hypothesis import given
from hypothesis import strategies as st

from bidder.domain import churn
from bidder.domain.churn import Change
from bidder.domain.money import Currency, Price
from bidder.domain.positions import position
from bidder.domain.price_rules import LoweringClock

AMOUNTS = st.decimals("0", "20", places=4)


def staying(currency: Currency, bid: str, needed: str, *, hours: int = 24, gpus: int = 1) -> Decimal:
    """Return what a bid of these dollars costs that may come down to above a rival, in any currency."""

    def price(dollars: str) -> Price:
        return RATES.from_usd(Decimal(dollars), currency).rounded_up()

    target = make_target(currencies=(currency,))
    target = replace(target, moving=replace(target.moving, horizon=timedelta(hours=hours)))
    policy = make_policy(target)
    order = make_order(price=price(bid), mrl=timedelta(days=30))
    holding = make_holding(order=order, clock=LoweringClock(lowered_at=at(0)))
    book = make_book(mine(price(bid), active=True), rival(price(needed)), floor=price("0.5"))
    view = make_view(
        policy,
        make_listing(floor=price("0.5"), gpus=gpus),
        holdings=[holding],
        books=[seen(book)],
    )
    found = churn.staying(position(holding, target, view, policy, NOW), view, NOW)
    assert found is not None
    return found


@pytest.mark.parametrize("currency", [Currency.USD, Currency.BTC, Currency.CLORE])
def test_the_walk_down_counts_in_any_currency(currency: Currency) -> None:
    """Also where it is but a few of a currency's last digits; less than to stand there for a day."""
    flat, walked = staying(currency, "2", "1.9999"), staying(currency, "4", "1.9999")
    assert flat == pytest.approx(Decimal(2), rel=Decimal("0.001"))
    assert Decimal("0.05") < walked - flat < Decimal(2)
    # Ten minutes of a cent more, at least: both come down to the same.
    cent = staying(currency, "2.012", "1.9999") - staying(currency, "2.002", "1.9999")
    assert cent > Decimal("0.01") / 144 * Decimal("0.8")


def test_a_walk_costs_no_more_than_staying_up_there() -> None:
    """In a minute nothing is saved by coming down."""
    assert staying(Currency.USD, "4", "1.9999", hours=0) <= Decimal(4) / 1440


def test_everything_is_per_gpu() -> None:
    """Four GPUs share what the server costs."""
    assert staying(Currency.USD, "4", "1.9999", gpus=4) * 4 == staying(Currency.USD, "4", "1.9999")


@given(here=AMOUNTS, there=AMOUNTS, costs=st.tuples(AMOUNTS, AMOUNTS, AMOUNTS), margin=st.decimals(0, 1))
def test_no_change_pays_that_saves_less_than_it_costs_and_none_pays_both_ways(
    here: Decimal, there: Decimal, costs: tuple[Decimal, Decimal, Decimal], margin: Decimal
) -> None:
    """Whatever the margin."""
    fee, restart, overlap = costs
    change = Change(
        staying=here, going=there, fee=fee, restart=restart, overlap=overlap, span=timedelta(hours=24)
    )
    back = replace(change, staying=there, going=here)
    assert not change.pays(margin) or change.saving > change.churn
    assert not (change.pays(margin) and back.pays(margin))
