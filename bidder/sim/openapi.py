"""The simulated exchange's own description, as an OpenAPI 3.1 document.

One table of the ten endpoints (API page, section 2) is the source; a test holds the simulator to it
with generated requests. Shapes are written as JSON Schema, not derived from the code that answers:
what describes itself from itself agrees with every mistake.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

from bidder.sim.answers import DATABASE_ERROR, OVER_LIMIT, REFUSED

Schema = Mapping[str, Any]

_TEXT: Schema = {"type": "string", "minLength": 1}
_BOOL: Schema = {"type": "boolean"}
_COUNT: Schema = {"type": "integer", "minimum": 0}
_ID: Schema = {"type": "integer"}
_AMOUNT: Schema = {"type": "number", "minimum": 0}
_AMOUNTS: Schema = {"type": "object", "additionalProperties": {"anyOf": [_AMOUNT, {"type": "null"}]}}
# What positive() of bodies.py takes, well within its bounds.
_GIVEN: Schema = {"type": "number", "minimum": 1e-9, "maximum": 1e6}
_GIVEN_OR_ZERO: Schema = {"type": "number", "minimum": 0, "maximum": 1e6, "multipleOf": 0.0001}
_SPECS: Schema = {"type": "object"}
# The exchange's \s takes every blank; a description promises no more than the plain ones.
_STARRED = "^[a-zA-Z0-9 =.@+/-]+$"


def _object(required: Mapping[str, Schema], optional: Mapping[str, Schema] | None = None) -> Schema:
    return {
        "type": "object",
        "properties": {**required, **(optional or {})},
        "required": sorted(required),
    }


def _list(of: Schema) -> Schema:
    return {"type": "array", "items": of}


def _starred(longest: int) -> Schema:
    return {"type": "string", "pattern": _STARRED, "minLength": 1, "maxLength": longest}


_WALLET = _object(
    {
        "name": _TEXT,
        "deposit": _TEXT,
        "balance": {"anyOf": [_AMOUNT, {"type": "null"}]},
        "withdrawal_fee": _AMOUNT,
    }
)
_HOSTED = _object(
    {
        "name": _TEXT,
        "connected": {"type": ["boolean", "string"]},
        "visibility": {"enum": ["public", "hidden"]},
        "pricing": _AMOUNTS,
        "online": _BOOL,
        "min_spot_pricing": _AMOUNTS,
        "init_token": _TEXT,
    },
    {"specs": _SPECS, "id": _ID, "allowed_currencies": _list(_TEXT)},
)
_HOSTED_CONFIG = _object(
    {
        "name": _TEXT,
        "connected": _BOOL,
        "visibility": {"enum": ["public", "hidden"]},
        "pricing": _AMOUNTS,
        "spot_pricing": _AMOUNTS,
        "mrl": _COUNT,
        "online": _BOOL,
        "initialized": _BOOL,
        "rental_status": {"enum": [0, 1, 2]},
        "background_job": _object(
            {
                "times_updated": _COUNT,
                "image": _TEXT,
                "command": {"type": "string"},
                "env": {"type": ["array", "object"]},
            }
        ),
    },
    {"id": _ID, "specs": _SPECS},
)
_SERVER = _object(
    {
        "id": _ID,
        "owner": _ID,
        "mrl": _COUNT,
        "price": _object({"on_demand": _AMOUNTS}, {"spot": _AMOUNTS}),
        "rented": _BOOL,
        "specs": _SPECS,
    },
    {"spot": _AMOUNTS, "allowed_coins": _list(_TEXT)},
)
_ORDER = _object(
    {
        "id": _ID,
        "creation_fee": _AMOUNT,
        "price": _AMOUNT,
        "mrl": _COUNT,
        "image": _TEXT,
        "currency": _TEXT,
        "spend": _AMOUNT,
        "ct": _COUNT,
        "si": _ID,
        "tcp_ports": _list({"type": "string", "pattern": "^[0-9]+:[0-9]+$"}),
    },
    {
        "fee": _AMOUNT,
        "p": _COUNT,
        "specs": _SPECS,
        "spot": {"const": True},
        "expired": {"const": True},
        "pub_cluster": _list(_TEXT),
        "http_port": _TEXT,
    },
)
_OFFER = _object({"offer_id": _ID, "bid": _AMOUNT, "active": _BOOL, "my": _BOOL}, {"currency": _TEXT})
_BOOK = _object(
    {
        "offers": _list(_OFFER),
        "server": _object(
            {
                "min_pricing": _AMOUNTS,
                "mrl": _COUNT,
                "visibility": {"enum": ["public", "hidden"]},
                "online": _BOOL,
            }
        ),
    },
    {"currency_rates_in_usd": {"type": "object", "additionalProperties": _AMOUNT}},
)
_CREATION_COMMON: Mapping[str, Schema] = {
    "currency": _TEXT,
    "image": _TEXT,
    "renting_server": _ID,
}
_CREATION_EXTRAS: Mapping[str, Schema] = {
    "ports": {
        "type": "object",
        "maxProperties": 5,
        # One HTTP port at most; a description in JSON Schema cannot say so, so it offers none.
        "propertyNames": {"pattern": "^[1-9][0-9]{0,3}$"},
        "additionalProperties": {"const": "tcp"},
    },
    "env": {
        "type": "object",
        "maxProperties": 5,
        "propertyNames": {"minLength": 1, "maxLength": 128},
        "additionalProperties": {"type": "string", "maxLength": 300},
    },
    "jupyter_token": _starred(32),
    "ssh_key": _starred(3072),
    "ssh_password": _starred(32),
    "command": {"type": "string"},
    "autossh_entrypoint": _BOOL,
}
_CREATION: Schema = {
    "oneOf": [
        _object({**_CREATION_COMMON, "type": {"const": "spot"}, "spotprice": _GIVEN}, _CREATION_EXTRAS),
        _object(
            {**_CREATION_COMMON, "type": {"const": "on-demand"}},
            {**_CREATION_EXTRAS, "required_price": _GIVEN},
        ),
    ]
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Endpoint:
    """One of the ten: its method, what it takes, and what a yes carries besides ``code``."""

    method: str
    name: str
    summary: str
    answer: Schema
    query: Mapping[str, Schema] | None = None
    required_query: frozenset[str] = frozenset()
    body: Schema | None = None
    token: bool = True


ENDPOINTS: tuple[Endpoint, ...] = (
    Endpoint(
        method="GET",
        name="wallets",
        summary="The account's wallets and balances.",
        answer=_object({"wallets": _list(_WALLET)}),
    ),
    Endpoint(
        method="GET",
        name="my_servers",
        summary="The servers that the account offers for rent.",
        answer=_object({"servers": _list(_HOSTED), "limit": _COUNT}),
    ),
    Endpoint(
        method="GET",
        name="server_config",
        summary="One own server; a GET whose name stands in a JSON body.",
        body=_object({"server_name": _TEXT}),
        answer=_object({"config": _HOSTED_CONFIG, "creation_completed": _BOOL}),
    ),
    Endpoint(
        method="GET",
        name="marketplace",
        summary="All public servers; works without a token.",
        token=False,
        answer=_object({"servers": _list(_SERVER)}, {"my_servers": _list(_ID)}),
    ),
    Endpoint(
        method="GET",
        name="my_orders",
        summary="The account's orders; with return_completed=true the ended ones too.",
        query={"return_completed": {"type": "string", "enum": ["true", "false"]}},
        answer=_object({"orders": _list(_ORDER), "limit": _COUNT}),
    ),
    Endpoint(
        method="GET",
        name="spot_marketplace",
        summary="The spot market of one server.",
        query={"market": {"type": "string", "pattern": "^[0-9]{1,15}$"}},
        required_query=frozenset(("market",)),
        answer=_object({"exists": _BOOL, "market": {"anyOf": [_BOOK, {"type": "null"}]}}),
    ),
    Endpoint(
        method="POST",
        name="set_server_settings",
        summary="Availability, longest rental in hours, and prices of an own server.",
        body=_object(
            {
                "name": _TEXT,
                "availability": _BOOL,
                "mrl": {"type": "integer", "minimum": 1, "maximum": 8760},
                "on_demand": _GIVEN_OR_ZERO,
                "spot": _GIVEN_OR_ZERO,
            }
        ),
        answer=_object({}),
    ),
    Endpoint(
        method="POST",
        name="set_spot_price",
        summary="A standing bid's new price per day.",
        body=_object({"order_id": _ID, "desired_price": _GIVEN}),
        answer=_object({}),
    ),
    Endpoint(
        method="POST",
        name="cancel_order",
        summary="End an order; `issue` reports the host.",
        body=_object({"id": _ID}, {"issue": {"type": "string", "maxLength": 2048}}),
        answer=_object({}),
    ),
    Endpoint(
        method="POST",
        name="create_order",
        summary="Rent a server by spot bid or on demand; the answer carries no id.",
        body=_CREATION,
        answer=_object({}),
    ),
)

_FAILED = _object({"code": {"type": "integer", "minimum": DATABASE_ERROR, "maximum": OVER_LIMIT}})
_REFUSED = _object(
    {"code": {"const": REFUSED}, "error": _TEXT},
    {"max_step": _AMOUNT, "time_to_lowering": _AMOUNT, "min_price": _AMOUNT},
)


@cache
def document() -> dict[str, Any]:
    """Return the OpenAPI document of the ten endpoints."""
    return {
        "openapi": "3.1.0",
        "info": {"title": "A simulated GPU marketplace", "version": "1"},
        "servers": [{"url": "/v1"}],
        "paths": {f"/{each.name}": {each.method.lower(): _operation(each)} for each in ENDPOINTS},
        "components": {
            "securitySchemes": {"token": {"type": "apiKey", "in": "header", "name": "auth"}},
            "schemas": {"Failed": _FAILED, "Refused": _REFUSED},
        },
    }


def _operation(endpoint: Endpoint) -> dict[str, Any]:
    yes = {
        "allOf": [
            endpoint.answer,
            {"type": "object", "properties": {"code": {"const": 0}}, "required": ["code"]},
        ]
    }
    no = [{"$ref": f"#/components/schemas/{name}"} for name in ("Failed", "Refused")]
    operation: dict[str, Any] = {
        "operationId": endpoint.name,
        "summary": endpoint.summary,
        "security": [{"token": []}, *([] if endpoint.token else [{}])],
        "parameters": [
            {
                "name": name,
                "in": "query",
                "required": name in endpoint.required_query,
                "schema": schema,
            }
            for name, schema in (endpoint.query or {}).items()
        ],
        # Codes 1 to 5 come with 200, or with the status that the scenario sets for them.
        "responses": {
            "200": _said({"oneOf": [yes, *no]}, "Carried out, failed or refused: see `code`."),
            "4XX": _said(no[0], "Codes 2 to 5."),
            "500": _said(no[0], "Code 1."),
        },
    }
    if endpoint.body is not None:
        operation["requestBody"] = {
            "required": True,
            "content": {"application/json": {"schema": endpoint.body}},
        }
    return operation


def _said(schema: Mapping[str, Any], description: str) -> dict[str, Any]:
    return {"description": description, "content": {"application/json": {"schema": schema}}}
