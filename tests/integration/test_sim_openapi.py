"""The simulated exchange held to its own OpenAPI document by generated requests.

Each request comes six simulated seconds after the last, so that no limit answers in the endpoint's
place. Everything is derived from the document: the same requests in every run.
"""

import json
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from functools import partial
from typing import Any
from urllib.parse import urlencode

import httpx
import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from schemathesis import GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from bidder.sim import openapi
from bidder.sim.answers import INVALID_ENDPOINT, INVALID_INPUT, INVALID_TOKEN, OVER_LIMIT, Request
from bidder.sim.app import make_sim_app
from bidder.sim.exchange import SimExchange
from bidder.sim.rules import Oddities, Rules
from bidder.sim.server import build_exchange, running_sim

AUTH = {"auth": "sim-token"}
CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_schema_conformance,
]
BOUNDED = settings(
    derandomize=True,
    max_examples=12,
    deadline=None,
    database=None,
    phases=[Phase.explicit, Phase.generate],
    suppress_health_check=list(HealthCheck),
)
NAMES = [endpoint.name for endpoint in openapi.ENDPOINTS]
WITH_BODY = [endpoint for endpoint in openapi.ENDPOINTS if endpoint.body is not None]


class Striding:
    """A clock that steps on by six seconds whenever it is asked."""

    def __init__(self) -> None:
        self._at = datetime(2026, 1, 5, 12, 5, tzinfo=UTC)

    def now(self) -> datetime:
        """Return six seconds after the last answer."""
        self._at += timedelta(seconds=6)
        return self._at

    def monotonic(self) -> float:
        """Return the same moment in seconds."""
        return self._at.timestamp()

    async def sleep(self, seconds: float) -> None:
        """Let the time pass at once."""
        self._at += timedelta(seconds=seconds)

    def real_seconds(self, seconds: float) -> float:
        """Return the seconds unchanged."""
        return seconds


def exchange_of(rules: Rules | None = None) -> SimExchange:
    """Return a small world that holds one order running and one that is over."""
    exchange = build_exchange(servers=12, rivals=False, rules=rules)
    takers = [
        (stall, coin)
        for stall in exchange.market.stalls.values()
        for coin in stall.floor
        if stall.open_to_bids and not stall.hosted_by_us and stall.listing.takes(coin)
    ]
    for place, (stall, coin) in enumerate(takers[:2]):
        body = {
            "currency": coin,
            "image": "nvidia/cuda",
            "renting_server": stall.server_id,
            "type": "spot",
            "spotprice": float(stall.floor[coin] * Decimal("1.5")),
            "ports": {"22": "tcp", "8888": "http"},
        }
        at = exchange.start + timedelta(seconds=6 * place)
        asked(exchange, "POST", "create_order", body, at=at)
    (first, *_) = exchange.ground_truth()
    asked(
        exchange,
        "POST",
        "cancel_order",
        {"id": first["id"]},
        at=exchange.start + timedelta(seconds=20),
    )
    return exchange


def asked(
    exchange: SimExchange,
    method: str,
    name: str,
    body: Any = None,
    *,
    at: datetime | None = None,
    query: str = "",
    headers: dict[str, str] | None = None,
) -> dict[str, Any]:
    """Return the answer to one request, by default six seconds after everything so far."""
    answer = exchange.handle(
        Request(
            method=method,
            path=f"/v1/{name}",
            query=query,
            headers=AUTH if headers is None else headers,
            body=b"" if body is None else json.dumps(body).encode(),
        ),
        exchange.now + timedelta(seconds=6) if at is None else at,
    )
    assert answer.status < 500
    decoded: dict[str, Any] = json.loads(answer.body)
    return decoded


def operation_of(name: str, rules: Rules | None) -> Any:
    """Return schemathesis' view of one endpoint in the document that the simulator serves."""
    app = make_sim_app(exchange_of(rules), Striding())
    return schemathesis.openapi.from_asgi("/openapi.json", app)[f"/{name}"]


SCENARIOS = {
    "usual": Rules(),
    "statuses": Rules(invalid_status=400, refusal_status=429, database_error_status=200),
    "oddities": Rules(
        oddities=Oddities(
            null_balance=True,
            connected_as_text=True,
            spot_beside_price=True,
            fee_fields=False,
            order_specs=False,
            currency_on_offers="always",
        )
    ),
}


@pytest.mark.parametrize("mode", list(GenerationMode))
@pytest.mark.parametrize("scenario", SCENARIOS)
@pytest.mark.parametrize("name", NAMES)
def test_every_answer_conforms_to_the_document(name: str, scenario: str, mode: GenerationMode) -> None:
    """Good or bad input: status, content type and shape are those described, and never 5xx."""
    endpoint = next(each for each in openapi.ENDPOINTS if each.name == name)
    if mode is GenerationMode.NEGATIVE and endpoint.body is None and not endpoint.query:
        mode = GenerationMode.POSITIVE  # nothing can be wrong about a request without content
    operation = operation_of(name, SCENARIOS[scenario])
    codes = set()

    @BOUNDED
    @given(case=operation[endpoint.method].as_strategy(generation_mode=mode))
    def conforms(case: Any) -> None:
        response = case.call(headers=AUTH)
        case.validate_response(response, checks=CHECKS)
        codes.add(response.json()["code"])

    conforms()

    assert codes
    if mode is GenerationMode.POSITIVE:
        assert not codes & {INVALID_TOKEN, INVALID_ENDPOINT, OVER_LIMIT}


GOOD_FIELDS: dict[str, Any] = {
    "server_name": "rig-1",
    "name": "rig-1",
    "availability": True,
    "mrl": 24,
    "id": 1,
    "on_demand": 1,
    "spot": 1,
    "order_id": 1,
    "desired_price": 1,
    "currency": "bitcoin",
    "image": "a",
    "renting_server": 1,
    "type": "spot",
    "spotprice": 1,
}
BAD: st.SearchStrategy[Any] = st.sampled_from(
    [None, [], {}, "", "x", -1, 0, 1.5, True, [[]], "1", 10**30, {"a": {}}]
)


@BOUNDED
@given(data=st.data())
@pytest.mark.parametrize("endpoint", WITH_BODY, ids=lambda endpoint: endpoint.name)
def test_bad_input_gets_code_2(endpoint: openapi.Endpoint, data: st.DataObject) -> None:
    """A body that lacks a required field, or holds one of the wrong type, changes nothing."""
    shape = dict(endpoint.body or {})
    shape = shape["oneOf"][0] if "oneOf" in shape else shape
    good = dict(GOOD_FIELDS)
    body = {name: good[name] for name in shape["required"]}
    victim = data.draw(st.sampled_from(sorted(body)))
    if data.draw(st.booleans()):
        del body[victim]
    else:
        body[victim] = data.draw(BAD.filter(partial(misfits, shape["properties"][victim])))
    exchange = exchange_of()
    before = exchange.ground_truth()

    assert asked(exchange, endpoint.method, endpoint.name, body)["code"] == INVALID_INPUT
    assert exchange.ground_truth() == before


def misfits(schema: Any, value: object) -> bool:
    """Return whether the exchange cannot take the value: a huge number where one is wanted is data."""
    return not fits(schema, value)


def fits(schema: Any, value: object) -> bool:
    """Return whether the exchange may take the value."""
    if isinstance(value, bool):
        return bool(schema.get("type") == "boolean")
    if isinstance(value, int | float):
        if schema.get("minimum", value) > value:
            return False
        return schema.get("type") == "number" or (
            schema.get("type") == "integer" and isinstance(value, int)
        )
    return isinstance(value, str) and value != "" and schema.get("type") == "string"


@BOUNDED
@given(body=st.binary(max_size=40) | st.sampled_from([b"[" * 5000, b'{"id":1', b"\xff\xfe", b"NaN"]))
@pytest.mark.parametrize("endpoint", WITH_BODY, ids=lambda endpoint: endpoint.name)
def test_a_body_that_is_no_json_gets_code_2(endpoint: openapi.Endpoint, body: bytes) -> None:
    """However it is broken."""
    exchange = build_exchange(servers=3, rivals=False)
    request = Request(method=endpoint.method, path=f"/v1/{endpoint.name}", headers=AUTH, body=body)

    answer = exchange.handle(request, exchange.start)

    assert answer.code == INVALID_INPUT


@BOUNDED
@given(market=st.text(max_size=20).filter(lambda text: not (text.isascii() and text.isdigit())))
def test_a_market_that_is_no_number_gets_code_2(market: str) -> None:
    """As does none at all."""
    exchange = build_exchange(servers=3, rivals=False)
    query = urlencode({"market": market}, errors="replace")

    answer = asked(exchange, "GET", "spot_marketplace", query=query)

    assert answer["code"] == INVALID_INPUT


@BOUNDED
@given(
    method=st.sampled_from(["GET", "POST", "PUT", "DELETE", "PATCH"]),
    path=st.text(max_size=20) | st.sampled_from([*NAMES, "../v1/wallets", "my_orders/1"]),
)
def test_an_unknown_endpoint_gets_code_4(method: str, path: str) -> None:
    """A path that the document does not have, or one of its paths by another method."""
    known = any((each.method, each.name) == (method, path.strip("/")) for each in openapi.ENDPOINTS)
    exchange = build_exchange(servers=3, rivals=False)

    answer = asked(exchange, method, path)

    assert known or answer["code"] == INVALID_ENDPOINT


@pytest.mark.parametrize("headers", [{}, {"auth": "another"}, {"authorization": "sim-token"}])
@pytest.mark.parametrize("endpoint", openapi.ENDPOINTS, ids=lambda endpoint: endpoint.name)
def test_a_missing_token_gets_code_3(endpoint: openapi.Endpoint, headers: dict[str, str]) -> None:
    """Before the body is looked at; only the marketplace may be read without one."""
    answer = asked(exchange_of(), endpoint.method, endpoint.name, headers=headers)

    open_to_all = not endpoint.token and "auth" not in headers
    assert answer["code"] == (0 if open_to_all else INVALID_TOKEN)


def test_the_document_has_exactly_the_endpoints_that_exist() -> None:
    """Ten, each of which answers something other than "unknown endpoint"."""
    assert len(NAMES) == len(set(NAMES)) == 10
    for endpoint in openapi.ENDPOINTS:
        answer = asked(exchange_of(), endpoint.method, endpoint.name)
        assert answer["code"] != INVALID_ENDPOINT


async def test_the_document_is_served_and_counted_nowhere() -> None:
    """Anybody may read it at the root, beside the API."""
    exchange = build_exchange(servers=3, rivals=False)
    async with running_sim(exchange) as sim, httpx.AsyncClient() as http:
        for _ in range(2):
            answer = await http.get(f"{sim.control_url}/openapi.json")
            assert answer.json() == openapi.document()
        assert (await http.get(f"{sim.base_url}/wallets", headers=AUTH)).json()["code"] == 0
