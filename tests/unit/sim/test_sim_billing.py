"""Spend, fees and wallets, to the last digit."""

from dataclasses import replace
from decimal import Decimal

from unit.sim.desk import BTC, CLORE, Desk, make_world

from bidder.sim.rules import Rules

LAX = Rules(visibility_delay_seconds=(0, 0), creation_starts_clock=False)


def spend(desk: Desk) -> Decimal:
    """Return the spend of the account's newest order as my_orders shows it."""
    return Decimal(desk.orders(ended=True)[0]["spend"])


def test_spend_is_the_price_over_1440_per_minute() -> None:
    """The documented samples: 0.00001 per day for one minute and for twenty."""
    desk = Desk()
    desk.bid("0.00001")
    desk.wait(60)
    one = spend(desk)
    desk.wait(1140)

    assert one == Decimal("6.9444444444444444e-9")
    assert spend(desk) == Decimal("1.3888888888888889e-7")


def test_a_part_of_a_minute_is_a_rule() -> None:
    """150.5 s are two minutes, three begun ones, or just that."""
    charged = {}
    for billing in ("full_minutes", "begun_minutes", "pro_rata"):
        desk = Desk(replace(LAX, billing=billing))
        desk.bid("14.4", currency=CLORE)
        desk.wait(149.5)
        desk.cancel()
        charged[billing] = spend(desk)

    assert charged == {
        "full_minutes": Decimal("0.02"),
        "begun_minutes": Decimal("0.03"),
        "pro_rata": Decimal("0.025083333333333333"),
    }


def test_a_minute_goes_at_the_price_with_which_it_began() -> None:
    """Raised after 90 s: two minutes at the old price, one at the new."""
    desk = Desk()
    desk.bid("14.4", currency=CLORE)
    desk.wait(89)
    desk.reprice("28.8")
    desk.wait(90)

    assert spend(desk) == Decimal("0.04")


def test_pro_rata_follows_the_price_at_once() -> None:
    """90 s at 14.4 and 90 s at 28.8 per day."""
    desk = Desk(replace(LAX, billing="pro_rata"))
    desk.bid("14.4", currency=CLORE)
    desk.wait(89)
    desk.reprice("28.8")
    desk.wait(89)

    assert spend(desk) == Decimal("0.045")


def test_waiting_costs_nothing() -> None:
    """An outbid offer is charged for the time it ran, no more."""
    desk = Desk()
    desk.bid("14.4", currency=CLORE)
    desk.wait(600)
    desk.rival_bids("0.001")
    desk.wait(6000)

    assert spend(desk) == Decimal("0.1")


def test_the_wallet_pays_spend_and_fees() -> None:
    """Ten minutes of 14.4 per day, 2.5 % on top, and 1e-7 BTC at 60,000 in CLORE at 0.1."""
    desk = Desk()
    desk.bid("14.4", currency=CLORE)
    desk.wait(599)

    balance = desk.get("wallets")["wallets"][1]["balance"]
    assert balance == Decimal(30000) - Decimal("0.1") * Decimal("1.025") - Decimal("0.06")
    assert desk.orders()[0]["creation_fee"] == Decimal("0.06")


def test_on_demand_pays_five_percent() -> None:
    """And 3e-7 BTC for the creation."""
    desk = Desk()
    desk.rent()
    desk.wait(24 * 3600 - 1)

    balance = desk.get("wallets")["wallets"][0]["balance"]
    assert balance == Decimal("0.05") - Decimal("0.00002") * Decimal("1.05") - Decimal("3e-7")


def test_the_creation_fee_is_gone_even_if_the_order_never_ran() -> None:
    """Every re-creation pays again."""
    desk = Desk()
    desk.rival_bids("0.001")
    for _ in range(3):
        desk.bid("0.00001")
        desk.cancel()

    assert desk.get("wallets")["wallets"][0]["balance"] == Decimal("0.05") - Decimal("3e-7")


def test_orders_end_when_the_wallet_is_empty() -> None:
    """Only those in the empty currency."""
    world = make_world(balances={BTC: Decimal("0.05"), CLORE: Decimal(2)})
    desk = Desk(LAX, world)
    desk.bid("14.4", currency=CLORE)
    desk.wait(2 * 3600)
    assert desk.order().live

    desk.wait(2 * 3600)
    assert desk.order().end_reason == "balance"
    assert desk.get("wallets")["wallets"][1]["balance"] == 0
