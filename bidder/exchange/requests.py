"""Request bodies: JSON in which a price is a plain decimal literal, exactly as decided."""

import json
from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from bidder.domain.actions import PlaceBid, RentOnDemand
from bidder.domain.money import plain


def creation(action: PlaceBid | RentOnDemand) -> dict[str, Any]:
    """Return the body of ``create_order`` (API document, endpoint 10); absent fields are left out."""
    launch = action.launch
    spot = isinstance(action, PlaceBid)
    body: dict[str, Any] = {
        "currency": str(action.price.currency),
        "image": launch.image,
        "renting_server": action.server,
        "type": "spot" if spot else "on-demand",
        "spotprice" if spot else "required_price": action.price.amount,
        "ports": dict(launch.ports),
        "env": dict(launch.env),
        "jupyter_token": launch.jupyter_token,
        "ssh_key": launch.ssh_key,
        "ssh_password": launch.ssh_password,
        "command": launch.command,
        "autossh_entrypoint": launch.autossh_entrypoint,
    }
    return {key: value for key, value in body.items() if value is not None and value != {}}


def encode(body: Mapping[str, Any]) -> bytes:
    """Return the JSON text of a flat request body, decimals as plain literals.

    Rejected: the json module's floats (a binary tail) and msgspec's decimals (``3E-7``).
    """
    parts = [f"{json.dumps(key)}:{_value(value)}" for key, value in body.items()]
    return ("{" + ",".join(parts) + "}").encode()


def _value(value: object) -> str:
    if isinstance(value, Decimal):
        return plain(value)
    return json.dumps(value, ensure_ascii=False)
