"""The real client on an HTTP transport that answers anything at all, for each of the ten endpoints."""

import asyncio
import json
from collections.abc import Iterator, Mapping
from dataclasses import fields, is_dataclass
from decimal import Decimal
from typing import Any

import httpx
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from bidder.clock import VirtualClock
from bidder.domain.actions import PlaceBid
from bidder.domain.ids import OrderId, ServerId
from bidder.domain.money import Currency, Price
from bidder.domain.policy import Launch
from bidder.errors import ExchangeError, InDoubt, NotSent, Refused
from bidder.exchange.answers import clean
from bidder.exchange.client import ExchangeClient, open_http
from bidder.exchange.limiter import Limiter
from bidder.sim.answers import Request
from bidder.sim.server import DEFAULT_START, build_exchange

BTC = Price(Decimal("0.000001"), Currency.BTC)
BID = PlaceBid(server=ServerId(6), price=BTC, target="t", launch=Launch(image="nvidia/cuda"))
CALLS = {
    "wallets": lambda client: client.wallets(),
    "my_servers": lambda client: client.my_servers(),
    "server_config": lambda client: client.server_config("rig-1"),
    "marketplace": lambda client: client.marketplace(),
    "my_orders": lambda client: client.my_orders(completed=True),
    "spot_marketplace": lambda client: client.spot_marketplace(ServerId(6)),
    "set_server_settings": lambda client: client.set_server_settings(
        "rig-1", availability=True, mrl_hours=24, on_demand=Decimal(1), spot=Decimal(1)
    ),
    "set_spot_price": lambda client: client.set_spot_price(OrderId(1), BTC),
    "cancel_order": lambda client: client.cancel_order(OrderId(1)),
    "create_order": lambda client: client.create_order(BID),
}
BOUNDED = settings(derandomize=True, max_examples=60, deadline=None, database=None)
ENDPOINTS = pytest.mark.parametrize("name", sorted(CALLS))

# Written into the text of an answer in place of a value: JSON's own types cannot say most of these.
HOSTILE = (
    *("1e400", "-1e400", "1e999999999", "-1e999999999", "1e-999999999", "-0.0", "-1", "0", "1e18"),
    *(str(2**53 + 1), str(2**63), str(2**64), str(10**400), "9" * 5000, "0." + "1" * 500),
    *("NaN", "Infinity", '"NaN"', '"sNaN"', '"Infinity"', '"1e999999999"'),
    *('"-1"', '"' + "9" * 5000 + '"'),
    *("null", "true", "false", "{}", "[]", "[[]]", '{"a":{}}', "", '""', "[" * 3000, '{"a":' * 3000),
    *('"\\u001b[31mred\\u001b[0m"', '"\\u202egnp.exe"', '"\\u009b2J"'),
    *('"\\ud800"', '"\\u0000"', '"\\r\\n\\u2028"'),
    *('"[red]x[/red]"', '"[link=http://x]y[/link]"', '"../../etc/passwd"', '"$(reboot)"', '"{{7*7}}"'),
    *('"\\u200b\\u200f\\ufeff"', '"\\udb40\\udc41"', '"' + "a" * 100_000 + '"', '"\x1b]0;t\x07"'),
)  # fmt: skip
ANY = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.decimals().map(str)
    | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=12), inner, max_size=4),
    max_leaves=15,
)
STATUSES = st.sampled_from([200, 200, 200, 201, 204, 302, 400, 401, 404, 429, 500, 502, 503, 520, 524])
RETRIES = st.none() | st.text(st.characters(min_codepoint=32, max_codepoint=126), max_size=40)


def real_answers() -> dict[str, Any]:
    """Return one good answer of each reading endpoint, as the simulated exchange gives it."""
    exchange = build_exchange(servers=4, rivals=False)
    stall, coin = next(
        (stall, coin)
        for stall in exchange.market.stalls.values()
        for coin in stall.floor
        if stall.open_to_bids and not stall.hosted_by_us and stall.listing.takes(coin)
    )
    creation = {
        "currency": coin,
        "image": "nvidia/cuda",
        "renting_server": stall.server_id,
        "type": "spot",
        "spotprice": float(stall.floor[coin]),
        "ports": {"22": "tcp", "8888": "http"},
    }
    asks = (
        ("POST", "create_order", "", creation),
        ("GET", "wallets", "", None),
        ("GET", "my_servers", "", None),
        ("GET", "server_config", "", {"server_name": "rig-1"}),
        ("GET", "marketplace", "", None),
        ("GET", "my_orders", "return_completed=true", None),
        ("GET", "spot_marketplace", f"market={stall.server_id}", None),
    )
    found = {}
    for place, (method, name, query, body) in enumerate(asks):
        request = Request(
            method=method,
            path=f"/v1/{name}",
            query=query,
            headers={"auth": exchange.token},
            body=b"" if body is None else json.dumps(body).encode(),
        )
        at = DEFAULT_START.fromtimestamp(DEFAULT_START.timestamp() + 6 * place, DEFAULT_START.tzinfo)
        found[name] = json.loads(exchange.handle(request, at).body)
    refusal = {"code": 6, "error": "exceeded_max_step", "max_step": 1e-6}
    waiting = {"code": 6, "error": "can_lower_every_600_seconds", "time_to_lowering": 513}
    floor = {"code": 6, "error": "too_low_price", "min_price": 1e-6}
    return {
        **found,
        "set_server_settings": {"code": 6, "error": "server_not_found"},
        "set_spot_price": refusal,
        "cancel_order": waiting,
        "create_order": floor,
    }


GOOD = real_answers()


class Rig:
    """One client on a transport that gives whatever answer is laid out."""

    def __init__(self) -> None:
        """Open the client; it is used for every answer, as a daemon's is."""
        self._clock = VirtualClock(DEFAULT_START)
        self._answer = httpx.Response(200)
        transport = httpx.MockTransport(lambda _: self._answer)
        http = open_http("http://exchange/v1", "canary-token", transport=transport)
        self._client = ExchangeClient(http=http, limiter=Limiter(self._clock), clock=self._clock)
        self._runner = asyncio.Runner()

    def outcome(
        self, name: str, body: bytes, status: int = 200, headers: Mapping[str, str] | None = None
    ) -> object:
        """Return what a call comes to: a value or one of the three families, else raise it."""
        self._answer = httpx.Response(status, content=body, headers=dict(headers or {}))
        try:
            return self._runner.run(CALLS[name](self._client))
        except (NotSent, Refused, InDoubt) as exc:
            return exc

    def close(self) -> None:
        """Close the client."""
        self._runner.run(self._client.close())
        self._runner.close()


@pytest.fixture(scope="module")
def rig() -> Iterator[Rig]:
    """Yield a client for the tests of this file."""
    made = Rig()
    yield made
    made.close()


def texts(value: object) -> Iterator[str]:
    """Yield every text that stands anywhere in a value, as a page or a command would show it."""
    if isinstance(value, str):
        yield str(value)
    elif isinstance(value, ExchangeError):
        yield str(value)
        yield from texts(vars(value))
    elif isinstance(value, Mapping):
        for key, each in value.items():
            yield from texts(key)
            yield from texts(each)
    elif isinstance(value, list | tuple | set | frozenset):
        for each in value:
            yield from texts(each)
    elif is_dataclass(value):
        for each in fields(value):
            yield from texts(getattr(value, each.name))
    else:
        yield repr(value)
        yield str(value)


def assert_fit_to_show(value: object) -> None:
    """Fail where a text could steer a terminal, hide itself, or not be written at all."""
    for text in texts(value):
        assert clean(text, len(text)) == text
        assert not any(character in text for character in "\x1b\x9b\x07\r\n\u202e")
        text.encode()
        assert len(text) < 1000
        assert "canary" not in text


def places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Return the path of every value in an answer."""
    found = [path] if path else []
    if isinstance(value, dict):
        children: Any = value.items()
    elif isinstance(value, list):
        children = enumerate(value)
    else:
        return found
    for key, each in children:
        found += places(each, (*path, key))
    return found


MARK = "put-the-hostile-value-here"


def mutated(answer: Any, path: tuple[Any, ...], raw: str) -> str:
    """Return the answer's text with ``raw`` in place of the value at ``path``."""
    copy = json.loads(json.dumps(answer))
    parent = copy
    for step in path[:-1]:
        parent = parent[step]
    parent[path[-1]] = MARK
    return json.dumps(copy).replace(f'"{MARK}"', raw)


@ENDPOINTS
def test_a_good_answer_is_understood(rig: Rig, name: str) -> None:
    """What the other tests mutate is read without loss before they do."""
    value = rig.outcome(name, json.dumps(GOOD[name]).encode())

    assert isinstance(value, Refused) == (GOOD[name]["code"] != 0)
    assert not isinstance(value, InDoubt)
    assert_fit_to_show(value)


@ENDPOINTS
def test_a_hostile_value_at_every_place(rig: Rig, name: str) -> None:
    """Huge, negative, nested, of the wrong type, invisible, steering: one of the three families."""
    tried = 0
    for path in places(GOOD[name]):
        if isinstance(path[-1], int) and path[-1] > 0:
            continue  # one entry of a list stands for all
        if any(isinstance(step, int) and step > 0 for step in path):
            continue
        for raw in HOSTILE:
            text = mutated(GOOD[name], path, raw)
            assert_fit_to_show(rig.outcome(name, text.encode("utf-8", "surrogatepass")))
            tried += 1

    assert tried >= 2 * len(HOSTILE)


@ENDPOINTS
@BOUNDED
@given(body=st.binary(max_size=200), status=STATUSES, retry=RETRIES)
@example(body=b"[" * 5000, status=200, retry=None)
@example(body=b'{"code":0,"orders":' + b"[" * 5000, status=200, retry=None)
@example(body=b'{"code":' + b"9" * 5000 + b"}", status=200, retry="1e999")
@example(body=b'{"code":5}', status=429, retry="Fri, 31 Dec 99999999999 23:59:59 GMT")
@example(body=b'{"code":5}', status=429, retry="-inf")
def test_arbitrary_bytes(rig: Rig, name: str, body: bytes, status: int, retry: str | None) -> None:
    """Whatever a proxy says, with whatever status and ``Retry-After``."""
    headers = {} if retry is None else {"retry-after": retry}

    assert_fit_to_show(rig.outcome(name, body, status, headers))


@ENDPOINTS
@BOUNDED
@given(data=st.data(), status=STATUSES)
def test_arbitrary_json(rig: Rig, name: str, data: st.DataObject, status: int) -> None:
    """Any value under the keys that are read, and any value instead of the object."""
    keys = {"error", "max_step", "time_to_lowering", "min_price", *GOOD[name]} - {"code"}
    shaped = st.fixed_dictionaries(
        {"code": st.sampled_from([0, 0, 6, 1, 7, -1])}, optional=dict.fromkeys(sorted(keys), ANY)
    )
    value = data.draw(ANY | shaped)

    assert_fit_to_show(rig.outcome(name, json.dumps(value).encode(), status))


@ENDPOINTS
@BOUNDED
@given(data=st.data())
def test_real_answers_with_many_things_wrong_at_once(rig: Rig, name: str, data: st.DataObject) -> None:
    """Several values replaced, removed, or the text cut off anywhere."""
    answer = json.loads(json.dumps(GOOD[name]))
    for _ in range(data.draw(st.integers(1, 4))):
        path = data.draw(st.sampled_from(places(answer)))
        parent = answer
        for step in path[:-1]:
            parent = parent[step]
        if data.draw(st.booleans()):
            parent[path[-1]] = data.draw(ANY)
        else:
            del parent[path[-1]]
        if not places(answer):
            break
    text = json.dumps(answer).encode()
    cut = data.draw(st.integers(0, len(text)) | st.just(len(text)))

    assert_fit_to_show(rig.outcome(name, text[:cut]))


def test_a_disk_of_a_million_digits_takes_no_time(rig: Rig) -> None:
    """Looking for its unit used to take the square of its length; this test would not end."""
    path = ("servers", 0, "specs", "disk")
    body = mutated(GOOD["marketplace"], path, '"' + "9" * 1_000_000 + '"').encode()

    assert not isinstance(rig.outcome("marketplace", body), ExchangeError)
