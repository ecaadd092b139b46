"""create_order: what it takes, what it refuses, and in which words."""

from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest
from unit.sim.desk import BTC, CLORE, SERVER, Desk, make_listing, make_world

from bidder.sim.rules import Rules

LAX = Rules(visibility_delay_seconds=(0, 0))


def test_a_created_order_answers_with_nothing_but_the_code() -> None:
    """No id: it has to be found in my_orders."""
    assert Desk().bid("0.00001") == {"code": 0}


def test_a_bid_below_the_floor_names_the_floor() -> None:
    """In the currency of the bid."""
    desk = Desk()

    assert desk.bid("0.0000099") == {
        "code": 6,
        "error": "too_low_price",
        "min_price": Decimal("0.00001"),
    }
    assert desk.bid("5.99", currency=CLORE)["min_price"] == 6


def test_a_rented_server_takes_no_bid() -> None:
    """server-already-rented, for spot and on demand; a rule lets bids wait instead."""
    desk = Desk()
    desk.stranger_rents()
    assert desk.bid("0.00001")["error"] == "server-already-rented"
    assert desk.rent()["error"] == "server-already-rented"

    patient = Desk(replace(LAX, bids_while_rented="wait"))
    patient.stranger_rents()
    assert patient.bid("0.00001") == {"code": 0}
    assert patient.rent()["error"] == "server-already-rented"


def test_an_offline_server_is_refused() -> None:
    """server-offline."""
    desk = Desk()
    desk.power(online=False)

    assert desk.bid("0.00001")["error"] == "server-offline"


def test_a_gigaspot_takes_no_ordinary_order() -> None:
    """It is listed with its prices all the same."""
    desk = Desk(LAX, make_world(make_listing(extras={"gigaspot": True})))

    assert desk.bid("0.00001")["error"] == "machine-is-on-gigaspot"
    assert desk.rent()["error"] == "machine-is-on-gigaspot"


@pytest.mark.parametrize(("allowed", "currency"), [((BTC,), CLORE), ((BTC, CLORE), "dogecoin")])
def test_a_currency_that_the_host_does_not_take(allowed: tuple[str, ...], currency: str) -> None:
    """Although the marketplace may list a price in it."""
    desk = Desk(LAX, make_world(make_listing(allowed=allowed)))

    assert desk.bid("100", currency=currency)["error"] == "currency-not-allowed"


def test_a_price_of_zero_means_not_offered() -> None:
    """Zero is not free."""
    desk = Desk(LAX, make_world(make_listing(floor={BTC: Decimal(0)}, on_demand={BTC: Decimal(0)})))

    assert desk.bid("0.1")["error"] == "currency-not-allowed"
    assert desk.rent()["error"] == "currency-not-allowed"


def test_a_wallet_that_cannot_pay() -> None:
    """An hour of the price and the creation fee must be there."""
    need = Decimal("0.00024") / 24 + Decimal("1e-7")
    short = Desk(LAX, make_world(balances={BTC: need - Decimal("1e-12")}))
    enough = Desk(LAX, make_world(balances={BTC: need}))

    assert short.bid("0.00024")["error"] == "not_enough_balance"
    assert enough.bid("0.00024") == {"code": 0}


def test_own_hidden_and_unknown_servers_cannot_be_rented() -> None:
    """Strings outside the documents' table."""
    desk = Desk()

    assert desk.bid("0.001", SERVER + 1)["error"] == "cannot-rent-own-server"
    assert desk.bid("0.001", 999)["error"] == "server-not-found"
    desk.stall().visibility = "hidden"
    assert desk.bid("0.001")["error"] == "server-not-public"


def test_the_number_of_orders_is_limited() -> None:
    """Also shown as `limit` in my_orders."""
    desk = Desk(replace(LAX, orders_limit=1), make_world(make_listing(6), make_listing(7)))
    desk.bid("0.00002", 6)

    assert desk.get("my_orders")["limit"] == 1
    assert desk.bid("0.00002", 7)["error"] == "orders_limit_reached"


def test_on_demand_starts_only_at_the_required_price() -> None:
    """A host who changed it in between is not paid."""
    desk = Desk()

    assert desk.rent(required_price=Decimal("0.000019"))["error"] == "required-price-mismatch"
    assert desk.rent(required_price=Decimal("0.00002")) == {"code": 0}


def test_an_ampersand_in_an_env_value_breaks_creation() -> None:
    """Code 1, and nothing was created; the HTTP status is a rule."""
    desk = Desk(replace(LAX, database_error_status=500))

    assert desk.bid("0.00002", env={"A": "x&y"}) == {"code": 1}
    assert desk.market.own == {}


@pytest.mark.parametrize(
    "more",
    [
        {"spotprice": None},
        {"spotprice": "0.00002"},
        {"spotprice": True},
        {"type": "Spot"},
        {"image": ""},
        {"image": None},
        {"currency": 1},
        {"renting_server": "6"},
        {"ports": {str(port): "tcp" for port in range(1, 7)}},
        {"ports": {"22": "udp"}},
        {"ports": {"0": "tcp"}},
        {"ports": {"70000": "tcp"}},
        {"ports": {"a": "tcp"}},
        {"ports": {"80": "http", "81": "http"}},
        {"ports": ["22"]},
        {"env": {"N" * 129: "v"}},
        {"env": {"N": "v" * 1537}},
        {"env": {f"N{i}": "v" * 1500 for i in range(9)}},
        {"env": {"N": 1}},
        {"env": []},
        {"jupyter_token": "x" * 33},
        {"ssh_password": "x" * 33},
        {"ssh_password": "sécret"},
        {"ssh_password": "semi;colon"},
        {"ssh_password": "under_score"},
        {"ssh_password": ""},
        {"ssh_key": "x" * 3073},
        {"ssh_key": 5},
        {"command": 1},
        {"autossh_entrypoint": "yes"},
    ],
)
def test_data_outside_the_limits_is_code_2(more: dict[str, Any]) -> None:
    """Types, lengths, counts and characters as documented."""
    desk = Desk()

    assert desk.bid("0.00002", **more) == {"code": 2}
    assert desk.market.own == {}


@pytest.mark.parametrize(
    "more",
    [
        {"ports": {str(port): "tcp" for port in range(1, 6)}},
        {"env": {"N" * 128: "v" * 1536}},
        {"env": {"N": "tête <b>"}},
        {"jupyter_token": "x" * 32, "ssh_password": "aA0 -=.@+/", "ssh_key": "ssh-ed25519 AAAA+/= me@x"},
        {"command": "#!/bin/sh\napt update -y && apt install htop"},
        {"autossh_entrypoint": True, "unknown_field": [1]},
    ],
)
def test_data_at_the_limits_is_taken(more: dict[str, Any]) -> None:
    """The dash of the documented character class is a literal one."""
    assert Desk().bid("0.00002", **more) == {"code": 0}
