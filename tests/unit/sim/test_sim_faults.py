"""The fault script: what strikes when, and what each kind does in front of the exchange."""

from collections.abc import MutableMapping
from pathlib import Path
from typing import Any

import pytest
from unit.sim.desk import START, TOKEN, make_world

from bidder.clock import VirtualClock
from bidder.errors import BadInput
from bidder.sim import answers
from bidder.sim.app import ConnectionCut, SimApp, make_sim_app
from bidder.sim.exchange import SimExchange
from bidder.sim.faults import Fault, FaultScript, Kind, load_faults
from bidder.sim.referee import Referee

BODY = answers.encoded(
    {"currency": "bitcoin", "image": "x", "renting_server": 6, "type": "spot", "spotprice": 0.001}
)


def make_app(*faults: Fault) -> SimApp:
    exchange = SimExchange(make_world(), start=START, token=TOKEN, rivals=False)
    return make_sim_app(exchange, VirtualClock(START), FaultScript(faults), Referee(exchange, ()))


async def call(
    app: SimApp,
    method: str,
    path: str,
    body: bytes = b"",
    *,
    client: str = "127.0.0.1",
    token: bytes = TOKEN.encode(),
) -> tuple[int, dict[str, str], bytes]:
    """Send one request through ASGI and return status, headers and body."""
    sent: list[MutableMapping[str, Any]] = []
    scope = {
        "type": "http",
        "method": method,
        "path": path,
        "query_string": b"",
        "headers": [(b"auth", token)],
        "client": (client, 1),
    }

    async def receive() -> MutableMapping[str, Any]:
        return {"type": "http.request", "body": body, "more_body": False}

    async def send(message: MutableMapping[str, Any]) -> None:
        sent.append(message)

    await app(scope, receive, send)
    headers = {name.decode(): value.decode() for name, value in sent[0]["headers"]}
    return sent[0]["status"], headers, sent[1]["body"]


async def create(app: SimApp) -> tuple[int, dict[str, str], bytes]:
    return await call(app, "POST", "/v1/create_order", BODY)


@pytest.mark.parametrize(
    ("kind", "status", "body", "orders"),
    [
        (Kind.ERROR_500_BEFORE, 500, b'{"code":1}', 0),
        (Kind.ERROR_500_AFTER, 500, b'{"code":1}', 1),
        (Kind.CODE_1_AFTER, 200, b'{"code":1}', 1),
        (Kind.EMPTY, 200, b"", 1),
        (Kind.TRUNCATED, 200, b'{"cod', 1),
        (Kind.TOO_MANY_429, 429, b'{"code":5}', 0),
        (Kind.DUPLICATE, 200, b'{"code":0}', 2),
    ],
)
async def test_what_each_fault_answers_and_leaves_behind(
    kind: Kind, status: int, body: bytes, orders: int
) -> None:
    """Before: nothing happened. After: it did, whatever the answer says."""
    app = make_app(Fault(kind=kind, nth=1))

    assert (await create(app))[::2] == (status, body)
    assert len(app.exchange.market.own) == orders
    assert app.referee is not None
    assert app.referee.report(START)["requests"] == 1


@pytest.mark.parametrize(("kind", "orders"), [(Kind.HTML_502_BEFORE, 0), (Kind.HTML_502_AFTER, 1)])
async def test_the_proxy_answers_in_html(kind: Kind, orders: int) -> None:
    """502, and no JSON."""
    app = make_app(Fault(kind=kind, nth=1))
    status, headers, body = await create(app)

    assert (status, headers["content-type"], body[:6]) == (502, "text/html", b"<html>")
    assert len(app.exchange.market.own) == orders


@pytest.mark.parametrize(("kind", "orders"), [(Kind.CLOSE_BEFORE, 0), (Kind.CLOSE_AFTER, 1)])
async def test_a_cut_connection_gives_no_answer(kind: Kind, orders: int) -> None:
    """An in-process client sees the exception."""
    app = make_app(Fault(kind=kind, nth=1))
    with pytest.raises(ConnectionCut):
        await create(app)

    assert len(app.exchange.market.own) == orders


async def test_429_may_say_when_to_come_back() -> None:
    """Retry-After only where the script gives it."""
    app = make_app(
        Fault(kind=Kind.TOO_MANY_429, nth=1, retry_after_seconds=7), Fault(kind=Kind.TOO_MANY_429, nth=2)
    )

    assert (await create(app))[1]["retry-after"] == "7"
    assert "retry-after" not in (await create(app))[1]


def test_the_nth_matching_request_is_struck_once() -> None:
    """Others pass, and other endpoints do not count."""
    script = FaultScript([Fault(kind=Kind.EMPTY, endpoint="*_order", nth=2)])
    struck = [
        script.strike(name) for name in ("create_order", "wallets", "cancel_order", "create_order")
    ]

    assert [fault is not None for fault in struck] == [False, False, True, False]


def test_chance_comes_from_the_seed() -> None:
    """About as often as asked, and the same each time."""
    runs = []
    for seed in (1, 1, 2):
        script = FaultScript([Fault(kind=Kind.DELAY, probability=0.2)], seed=seed)
        runs.append([script.strike("wallets") is not None for _ in range(1000)])

    assert runs[0] == runs[1] != runs[2]
    assert 150 < sum(runs[0]) < 250


def test_a_script_loads_from_json(tmp_path: Path) -> None:
    """The kinds by their names."""
    file = tmp_path / "faults.json"
    file.write_text('[{"kind": "close_after", "endpoint": "create_order", "nth": 1}]')

    struck = load_faults(file).strike("create_order")
    assert struck is not None
    assert struck.kind is Kind.CLOSE_AFTER


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("{", r": is no JSON .*; write a list such as"),
        ("{}", r": is no list of faults; write one such as"),
        ("[7]", r": \[0\]: is no fault; write one such as"),
        (
            '[{"kind": "explode"}]',
            r"\[0\]\.kind: 'explode' is no kind of fault; there are delay, close_before,",
        ),
        ('[{"kind": ["x"]}]', r"is no kind of fault"),
        ('[{"nth": 1}]', r"\[0\]\.kind: '' is no kind of fault"),
        (
            '[{"kind": "empty", "when": 1}]',
            r"'when' is no key of a fault; there are kind, endpoint, nth,",
        ),
        ('[{"kind": "empty", "nth": "x"}]', r"\[0\]: .*nth.*; compare with"),
        ('[{"kind": "empty", "nth": 0}]', r"nth must be at least 1, not 0;"),
        ('[{"kind": "empty", "probability": 2}]', r"probability must lie in 0\.\.1, not 2\.0;"),
        ('[{"kind": "delay", "seconds": -1}]', r"seconds must not be negative"),
    ],
)
def test_a_bad_script_is_bad_input(tmp_path: Path, content: str, said: str) -> None:
    """Naming the file, the place, and what would do."""
    file = tmp_path / "faults.json"
    file.write_text(content)

    with pytest.raises(BadInput, match=said) as caught:
        load_faults(file)
    assert str(caught.value).startswith(str(file))
    with pytest.raises(BadInput, match="cannot be read: No such file"):
        load_faults(tmp_path / "absent.json")


def test_the_format_of_a_script_is_documented() -> None:
    """Every kind and every key, and the example is one that works."""
    page = (Path(__file__).parents[3] / "docs" / "commands.md").read_text(encoding="utf-8")
    section = page.split("## Faults of the simulated exchange", 1)[1].split("\n## ", 1)[0]

    for word in (*Fault.__struct_fields__, *(kind.value for kind in Kind)):
        assert f"`{word}`" in section, word


async def test_control_is_for_loopback_only() -> None:
    """Anyone else is turned away, and nothing is counted."""
    app = make_app()

    assert (await call(app, "GET", "/_sim/ping", client="10.0.0.9"))[0] == 403
    assert (await call(app, "GET", "/_sim/ping"))[2] == b'{"code":0}'
    assert (await call(app, "GET", "/_sim/nothing"))[0] == 404
    assert app.referee is not None
    assert app.referee.report(START)["requests"] == 0


async def test_a_start_resets_the_exchange_and_arms_the_referee() -> None:
    """Orders are gone, time is back at the start, the targets are judged."""
    app = make_app()
    await create(app)
    targets = [{"name": "t", "ceiling": {"amount": "1", "currency": "USD"}}]
    body = answers.encoded({"speed": 50, "targets": targets})

    status, _, answer = await call(app, "POST", "/_sim/start", body)

    assert (status, app.exchange.ground_truth()) == (200, [])
    started = answers.decoded(answer)
    assert (started["speed"], started["start"]) == (50, START.isoformat())
    report = answers.decoded((await call(app, "GET", "/_sim/report"))[2])["report"]
    assert report["targets"][0]["name"] == "t"


@pytest.mark.parametrize(
    "body", [b"", b"[]", b"{}", b'{"speed": 0}', b'{"speed": "x"}', b'{"speed": 1, "targets": [{}]}']
)
async def test_a_bad_start_changes_nothing(body: bytes) -> None:
    """400 with a reason."""
    app = make_app()
    before = app.exchange

    assert (await call(app, "POST", "/_sim/start", body))[0] == 400
    assert app.exchange is before


async def test_ground_truth_shows_orders_that_are_not_yet_listed() -> None:
    """For tests that must know what really happened."""
    app = make_app()
    await create(app)

    (order,) = answers.decoded((await call(app, "GET", "/_sim/orders"))[2])["orders"]
    assert (order["server"], order["live"], order["active"], order["price"]) == (6, True, True, "0.001")
