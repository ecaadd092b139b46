"""Check request bodies as the exchange does: types, lengths, characters (API page, section 2.10).

What fails here is answered with code 2, invalid input.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from bidder.sim.answers import Request, encoded

_STARRED = re.compile(r"[a-zA-Z0-9\s\-=.@+/]+")
_STARRED_LIMITS = {"jupyter_token": 32, "ssh_key": 3072, "ssh_password": 32}
_MAX_PORTS = 5
_MAX_ENV_NAME = 128
_MAX_ENV_VALUE = 1536
_MAX_ENV = 12_000
_MAX_ISSUE = 2048


class Invalid(ValueError):
    """The request's data is not what the endpoint takes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Creation:
    """A valid body of create_order; ``price`` is None for on-demand orders."""

    currency: str
    image: str
    server_id: int
    price: Decimal | None
    required_price: Decimal | None
    tcp_ports: tuple[int, ...]
    http_port: str | None
    env: Mapping[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """A valid body of set_server_settings; prices are in bitcoin per day."""

    name: str
    availability: bool
    mrl_hours: int
    on_demand: Decimal
    spot: Decimal


def fields_of(request: Request) -> dict[str, Any]:
    """Return the JSON object in the body; raises Invalid."""
    try:
        body = request.json()
    except ValueError:
        raise Invalid("body") from None
    if not isinstance(body, dict):
        raise Invalid("body")
    return body


def creation(body: Mapping[str, Any]) -> Creation:
    """Return the order that a create_order body asks for; raises Invalid."""
    kind = body.get("type")
    if kind not in ("spot", "on-demand"):
        raise Invalid("type")
    price = positive(body, "spotprice") if kind == "spot" else None
    required = None
    if kind == "on-demand" and body.get("required_price") is not None:
        required = positive(body, "required_price")
    for name, limit in _STARRED_LIMITS.items():
        _starred(body.get(name), name, limit)
    if not isinstance(body.get("command", ""), str | None):
        raise Invalid("command")
    if not isinstance(body.get("autossh_entrypoint", False), bool | None):
        raise Invalid("autossh_entrypoint")
    tcp_ports, http_port = _ports(body.get("ports"))
    return Creation(
        currency=text(body, "currency"),
        image=text(body, "image"),
        server_id=integer(body, "renting_server"),
        price=price,
        required_price=required,
        tcp_ports=tcp_ports,
        http_port=http_port,
        env=_env(body.get("env")),
    )


def settings(body: Mapping[str, Any]) -> Settings:
    """Return what a set_server_settings body asks for; raises Invalid."""
    availability = body.get("availability")
    if not isinstance(availability, bool):
        raise Invalid("availability")
    hours = integer(body, "mrl")
    if hours < 1:
        raise Invalid("mrl")
    return Settings(
        name=text(body, "name"),
        availability=availability,
        mrl_hours=hours,
        on_demand=positive(body, "on_demand", zero=True),
        spot=positive(body, "spot", zero=True),
    )


def issue(body: Mapping[str, Any]) -> str | None:
    """Return a cancellation's report about the host, if any; raises Invalid."""
    value = body.get("issue")
    if value is not None and (not isinstance(value, str) or len(value) > _MAX_ISSUE):
        raise Invalid("issue")
    return value


def text(body: Mapping[str, Any], name: str) -> str:
    """Return a field that must be text and not empty; raises Invalid."""
    value = body.get(name)
    if not isinstance(value, str) or not value:
        raise Invalid(name)
    return value


def integer(body: Mapping[str, Any], name: str) -> int:
    """Return a field that must be a whole number; raises Invalid."""
    value = body.get(name)
    if not isinstance(value, int) or isinstance(value, bool):
        raise Invalid(name)
    return value


def positive(body: Mapping[str, Any], name: str, *, zero: bool = False) -> Decimal:
    """Return a field that must be a sensible positive number; raises Invalid."""
    value = body.get(name)
    if isinstance(value, bool) or not isinstance(value, int | Decimal):
        raise Invalid(name)
    amount = Decimal(value)
    sane = amount.is_finite() and amount < 10**12 and len(amount.as_tuple().digits) <= 30
    if not sane or (amount.adjusted() < -20 and amount != 0) or amount < 0 or (amount == 0 and not zero):
        raise Invalid(name)
    return amount


def _starred(value: object, name: str, limit: int) -> None:
    if value is None:
        return
    if not isinstance(value, str) or len(value) > limit or not _STARRED.fullmatch(value):
        raise Invalid(name)


def _ports(value: object) -> tuple[tuple[int, ...], str | None]:
    if value is None:
        return (), None
    if not isinstance(value, dict) or len(value) > _MAX_PORTS:
        raise Invalid("ports")
    tcp, http = [], None
    for port, protocol in value.items():
        if not (port.isascii() and port.isdigit() and len(port) <= 5) or not 1 <= int(port) <= 65535:
            raise Invalid("ports")
        if protocol == "tcp":
            tcp.append(int(port))
        elif protocol == "http" and http is None:
            http = port
        else:
            raise Invalid("ports")
    return tuple(tcp), http


def _env(value: object) -> Mapping[str, str]:
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise Invalid("env")
    for name, content in value.items():
        if not isinstance(content, str) or not name:
            raise Invalid("env")
        if len(name) > _MAX_ENV_NAME or len(content) > _MAX_ENV_VALUE:
            raise Invalid("env")
    if len(encoded(value).decode()) > _MAX_ENV:
        raise Invalid("env")
    return value
