"""Every endpoint's answer, field by field, against the documented samples."""

from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest
from unit.sim.desk import BTC, CLORE, SERVER, SPECS, Desk, decoded, make_listing, make_world

from bidder.sim.rules import Oddities, Rules

LAX = Rules(visibility_delay_seconds=(0, 0))


def kinds(value: Any) -> Any:
    """Return a value's shape: names and JSON types."""
    if isinstance(value, dict):
        return {name: kinds(part) for name, part in value.items()}
    if isinstance(value, list):
        return [kinds(part) for part in value[:1]]
    return "number" if isinstance(value, int | Decimal) and not isinstance(value, bool) else type(value)


def odd(**oddities: Any) -> Rules:
    return replace(LAX, oddities=Oddities(**oddities))


def test_wallets() -> None:
    """name, deposit, balance, withdrawal_fee."""
    answer = Desk().get("wallets")

    assert [wallet["name"] for wallet in answer["wallets"]] == [BTC, CLORE, "USD-Blockchain"]
    assert kinds(answer["wallets"][0]) == {
        "name": str,
        "deposit": str,
        "balance": "number",
        "withdrawal_fee": "number",
    }
    assert answer["wallets"][0]["balance"] == Decimal("0.05")


def test_a_balance_may_be_null() -> None:
    """As callers of the real one have met."""
    assert Desk(odd(null_balance=True)).get("wallets")["wallets"][-1]["balance"] is None


def test_my_servers() -> None:
    """A rig that has never connected has no specs."""
    answer = Desk().get("my_servers")

    public, hidden = answer["servers"]
    assert answer["limit"] == 16
    assert public["specs"]["gpu"] == SPECS["gpu"]
    assert public["pricing"] == {BTC: Decimal("0.00010337"), "usd": 0}
    assert set(hidden) == {
        "name",
        "connected",
        "visibility",
        "pricing",
        "online",
        "min_spot_pricing",
        "init_token",
    }
    assert (hidden["connected"], hidden["visibility"], hidden["pricing"]) == (
        False,
        "hidden",
        {BTC: 0, "usd": 0},
    )


def test_connected_may_be_text() -> None:
    """The documents' table calls it a string."""
    servers = Desk(odd(connected_as_text=True)).get("my_servers")["servers"]

    assert [server["connected"] for server in servers] == ["true", "false"]


def test_server_config() -> None:
    """mrl in hours, the rental status, an empty env as a list."""
    desk = Desk()
    answer = desk.get("server_config", body={"server_name": "rig-1"})

    config = answer["config"]
    assert answer["creation_completed"] is True
    assert (config["mrl"], config["rental_status"], config["id"]) == (72, 0, SERVER + 1)
    assert config["spot_pricing"] == {BTC: Decimal("0.00005168"), "usd": 0}
    assert config["background_job"]["env"] == []
    assert desk.get("server_config", body={"server_name": "rig-2"})["creation_completed"] is False
    assert desk.get("server_config", body={"server_name": "x"})["error"] == "server_not_found"
    assert desk.get("server_config")["code"] == 2


def test_rental_status_tells_spot_from_on_demand() -> None:
    """0 free, 1 on spot, 2 on demand."""
    desk = Desk()
    desk.rival_bids("0.0001", SERVER + 1)
    spot = desk.get("server_config", body={"server_name": "rig-1"})["config"]["rental_status"]
    desk.stranger_rents(server=SERVER + 1)

    config = desk.get("server_config", body={"server_name": "rig-1"})["config"]
    assert (spot, config["rental_status"]) == (1, 2)


def test_set_server_settings_changes_what_the_market_shows() -> None:
    """Prices in bitcoin, mrl in hours, availability as visibility."""
    desk = Desk()
    change = {
        "name": "rig-1",
        "availability": True,
        "mrl": 96,
        "on_demand": Decimal("0.0001"),
        "spot": Decimal("0.00000113"),
    }

    assert desk.post("set_server_settings", **change) == {"code": 0}
    shown = desk.get("marketplace")["servers"][-1]
    assert (shown["mrl"], shown["price"]["spot"][BTC]) == (96, Decimal("0.00000113"))
    desk.post("set_server_settings", **{**change, "availability": False})
    assert SERVER + 1 not in [server["id"] for server in desk.get("marketplace")["servers"]]
    assert desk.post("set_server_settings", name="rig-1")["code"] == 2
    assert desk.post("set_server_settings", **{**change, "name": "x"})["code"] == 6


def test_marketplace_shows_what_the_host_wrote() -> None:
    """Fields, numbers and own servers as in the documented sample."""
    answer = Desk().get("marketplace")

    server = answer["servers"][0]
    assert answer["my_servers"] == [SERVER + 1]
    assert server["price"]["on_demand"] == {BTC: Decimal("0.00002"), CLORE: 12}
    assert server["price"]["spot"] == {BTC: Decimal("0.00001"), CLORE: 6}
    assert server["specs"] == SPECS
    assert (server["id"], server["mrl"], server["rented"]) == (SERVER, 73, False)
    assert server["allowed_coins"] == [BTC, CLORE]
    assert server["rating"] == {"avg": 0, "cnt": 0}


def test_the_floor_may_stand_beside_the_price() -> None:
    """servers[x].spot, as the documents' table has it."""
    server = Desk(odd(spot_beside_price=True)).get("marketplace")["servers"][0]

    assert (server["spot"][CLORE], "spot" in server["price"]) == (6, False)


def test_allowed_coins_are_absent_where_the_host_names_none() -> None:
    """Then every priced coin goes."""
    desk = Desk(LAX, make_world(make_listing(allowed=None)))

    assert "allowed_coins" not in desk.get("marketplace")["servers"][0]
    assert desk.bid("0.00001") == {"code": 0}


def test_rentals_and_outages_show_in_the_marketplace() -> None:
    """`rented` follows at once; offline servers stay listed or not, as the rule says."""
    desk = Desk(odd(offline_listed=False))
    desk.get("marketplace")
    desk.stranger_rents()
    assert desk.get("marketplace")["servers"][0]["rented"] is True
    desk.power(online=False)

    assert [server["id"] for server in desk.get("marketplace")["servers"]] == [SERVER + 1]


def test_my_orders_of_a_running_spot_order() -> None:
    """Where to reach it, what it costs, until when; `expired` is absent."""
    desk = Desk()
    desk.bid("0.00002", ports={"22": "tcp", "8888": "http"})

    (order,) = desk.orders()
    assert kinds(order) == {
        "id": "number",
        "fee": "number",
        "creation_fee": "number",
        "price": "number",
        "mrl": "number",
        "image": str,
        "currency": str,
        "spend": "number",
        "ct": "number",
        "p": "number",
        "specs": kinds(SPECS),
        "si": "number",
        "pub_cluster": [str],
        "tcp_ports": [str],
        "http_port": str,
        "spot": bool,
    }
    assert (order["fee"], order["creation_fee"]) == (Decimal("2.5"), Decimal("1e-7"))
    assert (order["mrl"], order["si"], order["ct"]) == (262800, SERVER, 1767614405)
    assert (order["tcp_ports"], order["http_port"]) == (["22:10000"], "8888")


def test_my_orders_of_an_on_demand_order() -> None:
    """5 %, 3e-7, and no `spot` field."""
    desk = Desk()
    desk.rent(required_price=Decimal("0.00002"))

    (order,) = desk.orders()
    assert (order["fee"], order["creation_fee"], "spot" in order) == (5, Decimal("3e-7"), False)
    assert desk.get("marketplace")["servers"][0]["rented"] is True


def test_an_ended_order_is_listed_only_on_demand() -> None:
    """It says expired, and has no endpoints any more."""
    desk = Desk()
    desk.bid("0.00002", ports={"22": "tcp"})
    desk.cancel()

    assert desk.orders() == []
    (order,) = desk.orders(ended=True)
    assert (order["expired"], order["spot"], order["tcp_ports"]) == (True, True, [])
    assert "pub_cluster" not in order
    assert desk.get("my_orders", "return_completed=1")["orders"] == []


def test_how_far_back_ended_orders_reach_is_a_rule() -> None:
    """After that they are gone for good."""
    desk = Desk(replace(LAX, completed_reach_seconds=60))
    desk.bid("0.00002")
    desk.cancel()

    assert len(desk.orders(ended=True)) == 1
    desk.wait(60)
    assert desk.orders(ended=True) == []


def test_a_new_order_appears_in_my_orders_only_after_a_while() -> None:
    """The book shows it at once."""
    desk = Desk(Rules(visibility_delay_seconds=(30, 30)))
    desk.bid("0.00002")

    assert len(desk.get("spot_marketplace", f"market={SERVER}")["market"]["offers"]) == 1
    assert desk.orders() == []
    desk.wait(28)
    assert len(desk.orders()) == 1


def test_fee_and_p_may_be_absent() -> None:
    """Callers must treat them as optional."""
    desk = Desk(odd(fee_fields=False))
    desk.bid("0.00002")

    assert not {"fee", "p"} & set(desk.orders()[0])


def test_specs_may_be_absent_from_orders() -> None:
    """What an order rents is then told by the marketplace alone."""
    desk = Desk(odd(order_specs=False))
    desk.bid("0.00002")

    assert "specs" not in desk.orders()[0]
    assert "specs" in desk.get("marketplace")["servers"][0]


def test_spot_marketplace() -> None:
    """Bids, whose, and the server's terms with mrl in seconds."""
    desk = Desk()
    desk.rival_bids("7", currency=CLORE)
    desk.bid("0.00002")

    assert desk.get("spot_marketplace", f"market={SERVER}") == {
        "market": {
            "offers": [
                {"offer_id": 700001, "bid": 7, "active": False, "my": False, "currency": CLORE},
                {
                    "offer_id": 700002,
                    "bid": Decimal("0.00002"),
                    "active": True,
                    "my": True,
                    "currency": BTC,
                },
            ],
            "server": {
                "min_pricing": {BTC: Decimal("0.00001"), CLORE: 6},
                "mrl": 262800,
                "visibility": "public",
                "online": True,
            },
            "currency_rates_in_usd": {BTC: 60000, CLORE: Decimal("0.1"), "USD-Blockchain": 1},
        },
        "exists": True,
        "code": 0,
    }


def test_a_book_that_does_not_exist() -> None:
    """`market` is null; a query that is no number is code 2."""
    desk = Desk()

    assert desk.get("spot_marketplace", "market=12345") == {"market": None, "exists": False, "code": 0}
    for query in ("", "market=", "market=x", "market=-1", "market=1e3", "market=" + "9" * 40):
        assert desk.get("spot_marketplace", query) == {"code": 2}


def test_offers_without_currency_and_books_without_rates() -> None:
    """The documented sample has neither."""
    desk = Desk(odd(currency_on_offers="not_bitcoin", rates_in_books=False))
    desk.rival_bids("7", currency=CLORE)
    desk.rival_bids("0.00002")

    market = desk.get("spot_marketplace", f"market={SERVER}")["market"]
    assert ["currency" in offer for offer in market["offers"]] == [True, False]
    assert "currency_rates_in_usd" not in market


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"null", b'{"order_id": NaN}', b"\xff\xfe"])
def test_a_body_that_is_no_object_is_code_2(content: bytes) -> None:
    """Whatever is sent, an answer comes back."""
    assert decoded(Desk().raw("POST", "set_spot_price", content=content)) == {"code": 2}


@pytest.mark.parametrize(
    "body",
    [
        {"order_id": "1", "desired_price": 1},
        {"order_id": True, "desired_price": 1},
        {"order_id": 1, "desired_price": "0.1"},
        {"order_id": 1, "desired_price": -1},
        {"order_id": 1, "desired_price": 0},
        {"order_id": 1},
    ],
)
def test_a_price_change_needs_a_number_and_a_price(body: dict[str, object]) -> None:
    """Text, signs and zero are invalid input."""
    assert Desk().post("set_spot_price", **body) == {"code": 2}


def test_an_issue_has_a_limit() -> None:
    """2,048 characters."""
    desk = Desk()
    desk.bid("0.00002")

    assert desk.post("cancel_order", id=desk.order().order_id, issue="x" * 2049) == {"code": 2}
    assert desk.post("cancel_order", id=desk.order().order_id, issue="x" * 2048) == {"code": 0}
