"""Who runs on a server: bids in several currencies, ties, rentals, outages, ends."""

from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest
from unit.sim.desk import CLORE, SERVER, Desk

from bidder.sim.rules import Rules

LAX = Rules(visibility_delay_seconds=(0, 0))


def states(desk: Desk) -> list[bool]:
    """Return which offers of the book are active, in the order of the answer."""
    offers = desk.get("spot_marketplace", f"market={SERVER}")["market"]["offers"]
    return [offer["active"] for offer in offers]


def test_offers_in_several_currencies_compete_in_one_book() -> None:
    """11 CLORE are worth 1.1 USD, 0.00002 BTC 1.2; then the rate moves."""
    desk = Desk()
    desk.rival_bids("11", currency=CLORE)
    desk.bid("0.00002")
    assert states(desk) == [False, True]

    desk.market.move_rates({**desk.market.rates, CLORE: Decimal("0.12")})
    assert states(desk) == [True, False]


def test_an_outbid_offer_waits_and_comes_back() -> None:
    """It costs nothing while it waits, and runs again when the rival leaves."""
    desk = Desk()
    desk.bid("0.00002")
    rival = desk.rival_bids("0.00003")
    assert [order.get("p") for order in desk.orders()] == [None]
    assert desk.orders()[0]["tcp_ports"] == []

    desk.market.end(rival, "left")
    assert states(desk) == [True]


def test_an_outbid_offer_may_expire() -> None:
    """Then it is gone from the default list and marked in the other."""
    desk = Desk(replace(LAX, outbid="expires"))
    desk.bid("0.00002")
    desk.rival_bids("0.00003")

    assert desk.orders() == []
    assert desk.orders(ended=True)[0]["expired"] is True
    assert desk.order().end_reason == "outbid"


def test_a_losing_bid_waits_even_where_outbid_offers_expire() -> None:
    """It never ran, so nobody outbid it."""
    desk = Desk(replace(LAX, outbid="expires"))
    desk.rival_bids("0.00003")
    desk.bid("0.00002")

    assert states(desk) == [True, False]


@pytest.mark.parametrize(("rule", "left"), [("waits", [True]), ("expires", [])])
def test_an_on_demand_rental_displaces_the_spot_offer(rule: Any, left: list[bool]) -> None:
    """Whether the offer survives is a rule."""
    desk = Desk(replace(LAX, displaced=rule))
    desk.bid("0.00002")
    desk.stranger_rents()
    assert not any(states(desk))

    desk.stranger_rents(rented=False)
    assert states(desk) == left


def test_our_own_rental_displaces_a_running_bid() -> None:
    """And gives the server back when it is cancelled."""
    desk = Desk()
    desk.rival_bids("0.00003")
    desk.rent()
    assert states(desk) == [False]
    assert desk.order().active

    desk.cancel()
    assert states(desk) == [True]


def test_an_offline_server_runs_nothing() -> None:
    """Offers wait for it to come back."""
    desk = Desk()
    desk.bid("0.00002")
    desk.power(online=False)
    assert states(desk) == [False]

    desk.power(online=True)
    assert states(desk) == [True]


@pytest.mark.parametrize(
    ("tie", "expected"),
    [
        ("earlier_price", [False, True]),
        ("earlier_offer", [True, False]),
        ("incumbent", [False, True]),
    ],
)
def test_who_wins_a_tie_is_a_rule(tie: Any, expected: list[bool]) -> None:
    """The first offer is older, but reached the price later than the second, which ran."""
    desk = Desk(replace(LAX, tie=tie))
    desk.bid("0.00002")
    desk.rival_bids("0.00003")
    desk.wait(1)
    desk.reprice("0.00003")

    assert states(desk) == expected


def test_a_least_increment_keeps_the_holder() -> None:
    """A lead of less than this does not win."""
    desk = Desk(replace(LAX, least_increment_usd=Decimal("0.06")))
    desk.rival_bids("0.00002")
    desk.bid("0.000020999")
    assert states(desk) == [True, False]

    desk.reprice("0.000021")
    assert states(desk) == [False, True]


def test_an_order_ends_at_its_mrl() -> None:
    """73 hours after creation, to the second."""
    desk = Desk()
    desk.bid("0.00001")
    desk.wait(73 * 3600 - 1)
    assert desk.order().live

    desk.wait(1)
    assert desk.order().end_reason == "mrl"
    assert states(desk) == []


def test_several_own_offers_may_stand_on_one_server() -> None:
    """The exchange allows it; only one runs."""
    desk = Desk()
    desk.bid("0.00002")
    desk.bid("0.00003")

    assert states(desk) == [False, True]


def test_a_handover_may_take_its_time() -> None:
    """Who ran before runs on until then; a free server stands idle meanwhile."""
    desk = Desk(replace(LAX, handover_seconds=30))
    desk.bid("0.00002")
    assert states(desk) == [False]
    desk.wait(29)
    assert states(desk) == [True]

    desk.rival_bids("0.00003")
    desk.wait(20)
    assert states(desk) == [True, False]
    desk.reprice("0.00004")
    desk.wait(60)
    assert states(desk) == [True, False]

    desk.rival_bids("0.00005")
    desk.wait(31)
    assert states(desk) == [False, False, True]


def test_nobody_runs_during_a_handover_where_nobody_may() -> None:
    """A bid that was withdrawn, and a server that is away, end at once."""
    desk = Desk(replace(LAX, handover_seconds=30))
    desk.rival_bids("0.00001")
    desk.bid("0.00002")
    desk.wait(31)
    assert states(desk) == [False, True]

    desk.cancel()
    assert states(desk) == [False]
    desk.wait(31)
    assert states(desk) == [True]

    stall = desk.market.stalls[SERVER]
    desk.market.set_online(stall, online=False)
    assert states(desk) == [False]
