"""Raising, lowering, the step, the clock and the floor, as the exchange judges them."""

from dataclasses import replace
from decimal import Decimal

import pytest
from unit.sim.desk import BTC, CLORE, Desk, make_listing, make_world

from bidder.sim.rules import Fixed, Rules, ShareOfFloor, ShareOfOnDemand, ShareOfPrice, StepRule

LAX = Rules(visibility_delay_seconds=(0, 0), creation_starts_clock=False)


def test_a_raise_is_free_at_any_time() -> None:
    """Every raise goes through, however soon after the last change."""
    desk = Desk()
    desk.bid("0.00001")

    assert [desk.reprice(price) for price in ("0.000011", "0.00002", "0.5")] == [{"code": 0}] * 3
    assert desk.order().price == Decimal("0.5")


def test_too_large_a_step_names_the_lowest_price_that_may_be_set_and_that_price_succeeds() -> None:
    """exceeded_max_step changes nothing and starts no clock; max_step is settable next."""
    desk = Desk(LAX)
    desk.bid("0.000014")

    refusal = desk.reprice("0.000012")

    assert refusal == {"code": 6, "error": "exceeded_max_step", "max_step": Decimal("0.000013")}
    assert desk.order().price == Decimal("0.000014")
    assert desk.reprice("0.000013") == {"code": 0}


def test_a_lowering_starts_600_seconds_in_which_no_other_is_allowed() -> None:
    """can_lower_every_600_seconds carries the seconds still to wait, with their fraction."""
    desk = Desk(LAX)
    desk.bid("0.000014")
    desk.reprice("0.0000135")
    desk.wait(85.5)

    refusal = desk.reprice("0.000013")

    assert refusal["error"] == "can_lower_every_600_seconds"
    assert refusal["time_to_lowering"] == Decimal("513.5")
    desk.wait(511.499)
    assert desk.reprice("0.000013")["time_to_lowering"] == Decimal("1.001")
    desk.wait(0.001)
    assert desk.reprice("0.000013") == {"code": 0}


@pytest.mark.parametrize(("creation", "raised"), [(True, False), (False, True), (True, True)])
def test_creation_or_a_raise_starts_the_clock_where_told(creation: bool, raised: bool) -> None:
    """Both are unknown of the real exchange, so both are rules of the scenario."""
    rules = replace(LAX, creation_starts_clock=creation, raise_starts_clock=raised)
    desk = Desk(rules)
    desk.bid("0.000014")
    assert ("error" in desk.reprice("0.0000135")) is creation
    desk.wait(600)
    desk.reprice("0.0000145")

    assert ("error" in desk.reprice("0.000014")) is raised


def test_setting_the_same_price_starts_no_clock() -> None:
    """Repeating a price is neither a raise nor a lowering."""
    desk = Desk(replace(LAX, raise_starts_clock=True))
    desk.bid("0.000014")
    desk.reprice("0.000014")

    assert desk.reprice("0.0000135") == {"code": 0}


def test_a_price_below_the_floor_is_refused_with_the_floor() -> None:
    """too_low_price carries min_price, whether lowering into it or raising short of it."""
    desk = Desk(LAX)
    desk.bid("0.0000105")
    assert desk.reprice("0.0000099") == {
        "code": 6,
        "error": "too_low_price",
        "min_price": Decimal("0.00001"),
    }
    desk.stall().floor[BTC] = Decimal("0.00002")

    assert desk.reprice("0.000015")["min_price"] == Decimal("0.00002")
    assert desk.reprice("0.00001")["error"] == "too_low_price"
    assert desk.reprice("0.00002") == {"code": 0}


def test_max_step_never_lies_below_the_floor() -> None:
    """Near the floor the lowest settable price is the floor itself."""
    desk = Desk(LAX)
    desk.bid("0.0000105")

    assert desk.reprice("0.000001")["max_step"] == Decimal("0.00001")


@pytest.mark.parametrize(
    ("step", "lowest"),
    [
        (Fixed(), "0.000039"),
        (Fixed(amounts={BTC: Decimal("0.000003")}), "0.000037"),
        (ShareOfPrice(Decimal("0.1")), "0.000036"),
        (ShareOfFloor(Decimal("0.5")), "0.000035"),
        (ShareOfOnDemand(Decimal("0.1")), "0.000038"),
    ],
)
def test_the_step_is_a_rule_of_the_scenario(step: StepRule, lowest: str) -> None:
    """Each rule names its own lowest price, and one digit below it is refused."""
    desk = Desk(replace(LAX, step=step))
    desk.bid("0.00004")

    refusal = desk.reprice(str(Decimal(lowest) - Decimal("1e-10")))

    assert refusal["max_step"] == Decimal(lowest)
    assert desk.reprice(lowest) == {"code": 0}


def test_the_fixed_step_of_another_currency_is_worth_as_much() -> None:
    """0.069 USD at 0.1 USD per CLORE is 0.69 CLORE, and stays so when the rate moves."""
    desk = Desk(LAX)
    desk.bid("10", currency=CLORE)
    desk.market.move_rates({**desk.market.rates, CLORE: Decimal("0.2")})

    assert desk.reprice("8")["max_step"] == Decimal("9.31")


def test_which_refusal_comes_first_is_a_rule() -> None:
    """A lowering too soon and too far gets the clock's refusal, or the step's."""
    errors = []
    for first in (True, False):
        desk = Desk(replace(LAX, creation_starts_clock=True, clock_before_step=first))
        desk.bid("0.00004")
        errors.append(desk.reprice("0.00002")["error"])

    assert errors == ["can_lower_every_600_seconds", "exceeded_max_step"]


def test_the_clock_is_each_orders_own() -> None:
    """Lowering one order leaves the other free to go down."""
    desk = Desk(LAX, make_world(make_listing(6), make_listing(7)))
    desk.bid("0.000014", 6)
    first = desk.order().order_id
    desk.bid("0.000014", 7)

    assert desk.reprice("0.0000135", first) == {"code": 0}
    assert desk.reprice("0.0000135") == {"code": 0}


def test_an_ended_or_foreign_order_cannot_be_changed() -> None:
    """Strings that no document lists, and never an exception."""
    desk = Desk(LAX)
    rival = desk.rival_bids("0.00002")
    desk.bid("0.000014")
    desk.cancel()

    assert desk.reprice("0.5")["error"] == "order_already_ended"
    assert desk.cancel()["error"] == "order_already_ended"
    assert desk.reprice("0.5", rival.order_id)["error"] == "order_not_found"
    assert desk.cancel(rival.order_id)["error"] == "order_not_found"
    desk.rent()
    assert desk.reprice("0.5")["error"] == "not_a_spot_order"
