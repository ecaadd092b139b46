"""The shapes of the exchange's answers, built from its state (API page, section 2)."""

from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from bidder.domain.money import Currency
from bidder.sim import answers
from bidder.sim.auction import Order, Stall
from bidder.sim.billing import shown
from bidder.sim.moments import SECOND
from bidder.sim.rules import Oddities
from bidder.sim.world import HostedServer

_NO_JOB: Mapping[str, Any] = {
    "times_updated": 1,
    "image": "cloreai/ubuntu20.04-jupyter",
    "command": "",
    "env": [],
}


def hosted_entry(rig: HostedServer, stall: Stall | None, oddities: Oddities) -> dict[str, Any]:
    """Return a rig as my_servers lists it (API page, section 2.2)."""
    connected: object = stall is not None
    if oddities.connected_as_text:
        connected = "true" if stall is not None else "false"
    server: dict[str, Any] = {
        "name": rig.name,
        "connected": connected,
        "visibility": "hidden" if stall is None else stall.visibility,
        "pricing": _with_usd(stall.on_demand if stall else {}),
        "online": stall is not None and stall.online,
        "min_spot_pricing": _with_usd(stall.floor if stall else {}),
        "init_token": rig.init_token,
    }
    if stall is not None:
        server["specs"] = stall.listing.specs
        server["id"] = stall.server_id
        server["allowed_currencies"] = list(stall.listing.allowed or ())
    return server


def hosted_config(rig: HostedServer, stall: Stall | None) -> dict[str, Any]:
    """Return a rig as server_config shows it (API page, section 2.3)."""
    if stall is None:
        return {
            "name": rig.name,
            "connected": False,
            "visibility": "hidden",
            "pricing": _with_usd({}),
            "spot_pricing": _with_usd({}),
            "mrl": 72,
            "online": False,
            "initialized": False,
            "rental_status": 0,
            "background_job": _NO_JOB,
        }
    return {
        "name": rig.name,
        "connected": True,
        "visibility": stall.visibility,
        "pricing": _with_usd(stall.on_demand),
        "spot_pricing": _with_usd(stall.floor),
        "mrl": stall.mrl_hours,
        "online": stall.online,
        "initialized": True,
        "id": stall.server_id,
        "rental_status": 2 if stall.rented else int(stall.active is not None),
        "specs": stall.listing.specs,
        "background_job": _NO_JOB,
    }


def order_entry(
    order: Order, stall: Stall, oddities: Oddities, workload: tuple[str, int] | None = None
) -> dict[str, Any]:
    """Return an order as my_orders lists it (API page, section 2.5).

    ``workload`` is a host and a port that really exist, to which all its ports are forwarded.
    """
    entry: dict[str, Any] = {"id": order.order_id}
    if oddities.fee_fields:
        entry["fee"] = order.fee_percent
    entry |= {
        "creation_fee": order.creation_fee,
        "price": order.price,
        "mrl": (order.ends_at - order.created_at) // SECOND,
        "image": order.image,
        "currency": order.currency,
        "spend": shown(order.charged),
        "ct": order.created_at // SECOND,
    }
    if oddities.order_specs:
        entry["specs"] = stall.listing.specs
    entry["si"] = order.server_id
    if order.active and oddities.fee_fields:
        entry["p"] = 1
    if order.spot:
        entry["spot"] = True
    if not order.live:
        entry["expired"] = True
    if not order.active:
        entry["tcp_ports"] = []
        return entry
    cluster = order.server_id % 7 + 1
    entry["pub_cluster"] = [f"n{n}.c{cluster}.clorecloud.net" for n in (1, 2)]
    entry["tcp_ports"] = list(order.tcp_ports)
    if workload is not None:
        host, port = workload
        entry["pub_cluster"] = [host]
        entry["tcp_ports"] = [f"{pair.partition(':')[0]}:{port}" for pair in order.tcp_ports]
    if order.http_port is not None:
        entry["http_port"] = order.http_port
    return entry


def book(stall: Stall, oddities: Oddities) -> dict[str, Any]:
    """Return a server's book without rates (API page, section 2.6)."""
    offers = []
    for offer in stall.offers:
        shown_offer = {
            "offer_id": offer.order_id,
            "bid": offer.price,
            "active": offer.active,
            "my": offer.mine,
        }
        rule = oddities.currency_on_offers
        if rule == "always" or (rule == "not_bitcoin" and offer.currency != Currency.BTC):
            shown_offer["currency"] = offer.currency
        offers.append(shown_offer)
    return {
        "offers": offers,
        "server": {
            "min_pricing": stall.floor,
            "mrl": stall.mrl_hours * 3600,
            "visibility": stall.visibility,
            "online": stall.online,
        },
    }


def _with_usd(prices: Mapping[str, Decimal]) -> dict[str, Decimal]:
    return {"bitcoin": Decimal(0), **prices, "usd": Decimal(0)}


def balance_shown(amount: Decimal) -> Decimal:
    """Return a balance in at most 18 decimals, whole units without an exponent."""
    rounded = amount.quantize(Decimal("1e-18")).normalize()
    return rounded.quantize(Decimal(1)) if rounded.as_tuple().exponent > 0 else rounded  # type: ignore[operator]  # finite


def fragment(stall: Stall, oddities: Oddities) -> bytes:
    """Return a server's part of the marketplace answer as JSON (API page, section 2.4)."""
    listing = stall.listing
    price: dict[str, Any] = {"on_demand": stall.on_demand}
    server: dict[str, Any] = {
        "id": listing.server_id,
        "owner": listing.owner,
        "mrl": stall.mrl_hours,
        "price": price,
        "rented": stall.rented,
        "specs": listing.specs,
    }
    if oddities.spot_beside_price:
        server["spot"] = stall.floor
    else:
        price["spot"] = stall.floor
    price |= listing.price_extras
    if listing.allowed is not None:
        server["allowed_coins"] = listing.allowed
    return answers.encoded({**server, **listing.extras})
