"""The exchange's HTTP face: a bare ASGI application with the real paths, and faults in front.

No web framework: the paths are ten, and a request should cost microseconds. Outside ``/v1`` stand
``/openapi.json`` and a few control endpoints for the demo and for tests; those answer on loopback
only, and none of them is counted anywhere.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, MutableMapping
from email.utils import format_datetime
from typing import Any, NoReturn

from bidder.clock import Clock, ScaledClock
from bidder.errors import BadInput
from bidder.sim import answers, openapi
from bidder.sim.answers import Answer, Request
from bidder.sim.exchange import SimExchange
from bidder.sim.faults import Fault, FaultScript, Kind
from bidder.sim.referee import Referee
from bidder.sim.targets import targets_from

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]

_LOOPBACK = frozenset(("127.0.0.1", "::1", "localhost", "testclient"))
_HTML_502 = b"<html><head><title>502 Bad Gateway</title></head><body>cloudflare</body></html>"
_HTML = {"content-type": "text/html"}


class ConnectionCut(ConnectionError):
    """The fault script broke the connection (seen by in-process clients only)."""


class SimApp:
    """One simulated exchange behind HTTP; an ASGI application."""

    def __init__(
        self,
        exchange: SimExchange,
        clock: Clock,
        faults: FaultScript | None = None,
        referee: Referee | None = None,
        *,
        dated: bool = False,
    ) -> None:
        """Serve ``exchange`` at the pace of ``clock``; ``dated`` answers say its time."""
        self.exchange = exchange
        self.clock = clock
        self.faults = faults
        self.referee = referee
        self.dated = dated

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one HTTP request."""
        if scope["type"] != "http":
            return
        body = b""
        while True:
            message = await receive()
            if message["type"] == "http.disconnect":
                return
            body += message.get("body", b"")
            if not message.get("more_body", False):
                break
        path = scope["path"]
        request = Request(
            method=scope["method"],
            path=path,
            query=scope["query_string"].decode("latin-1"),
            headers=_headers(scope),
            body=body,
        )
        if path == "/openapi.json" and request.method == "GET":
            await self._send(send, Answer(status=200, body=answers.encoded(openapi.document())))
            return
        if path.startswith("/_sim/"):
            await self._send(send, self._control(request, scope))
            return
        fault = None
        if self.faults is not None:
            fault = self.faults.strike(path.removeprefix("/v1/").strip("/"))
        if fault is None:
            await self._send(send, self.exchange.handle(request, self.clock.now()))
            return
        await self._fail(request, send, fault)

    async def _fail(self, request: Request, send: Send, fault: Fault) -> None:
        kind = fault.kind
        if kind.before:
            self.exchange.swallow(self.clock.now())
            answer = answers.good()
        else:
            answer = self.exchange.handle(request, self.clock.now())
        if not kind.before and kind.loses_answer:
            self.exchange.lose_answer()
        match kind:
            case Kind.DELAY:
                await self.clock.sleep(fault.seconds)
            case Kind.DUPLICATE:
                self.exchange.repeat(request)
            case Kind.CLOSE_BEFORE | Kind.CLOSE_AFTER:
                await _cut(send)
            case Kind.ERROR_500_BEFORE | Kind.ERROR_500_AFTER:
                answer = answers.failed(answers.DATABASE_ERROR, 500)
            case Kind.CODE_1_AFTER:
                answer = answers.failed(answers.DATABASE_ERROR, 200)
            case Kind.HTML_502_BEFORE | Kind.HTML_502_AFTER:
                answer = Answer(status=502, body=_HTML_502, headers=_HTML)
            case Kind.EMPTY:
                answer = Answer(status=200, body=b"")
            case Kind.TRUNCATED:
                answer = Answer(status=200, body=answer.body[: len(answer.body) // 2])
            case Kind.TOO_MANY_429:
                retry = fault.retry_after_seconds
                headers = {} if retry is None else {"retry-after": str(retry)}
                answer = answers.failed(answers.OVER_LIMIT, 429, headers)
        await self._send(send, answer)

    async def _send(self, send: Send, answer: Answer) -> None:
        headers = [
            (name.encode("latin-1"), value.encode("latin-1")) for name, value in answer.headers.items()
        ]
        headers.append((b"content-length", b"%d" % len(answer.body)))
        if self.dated:
            headers.append((b"date", format_datetime(self.clock.now(), usegmt=True).encode("ascii")))
        await send({"type": "http.response.start", "status": answer.status, "headers": headers})
        await send({"type": "http.response.body", "body": answer.body})

    # Control, for the demo and for tests

    def _control(self, request: Request, scope: Scope) -> Answer:
        client = scope.get("client")
        if client is not None and client[0] not in _LOOPBACK:
            return answers.failed(answers.INVALID_ENDPOINT, 403)
        match request.method, request.path:
            case "GET", "/_sim/ping":
                return answers.good()
            case "POST", "/_sim/start":
                return self._start(request)
            case "GET", "/_sim/report":
                if self.referee is None:
                    return answers.good(report=None)
                return answers.good(report=self.referee.report(self.clock.now()))
            case "GET", "/_sim/orders":
                self.exchange.advance(self.clock.now())
                return answers.good(orders=self.exchange.ground_truth())
        return answers.failed(answers.INVALID_ENDPOINT, 404)

    def _start(self, request: Request) -> Answer:
        try:
            wanted = request.json()
            speed = float(wanted["speed"])
            targets = targets_from(wanted.get("targets", []))
            if not 0 < speed < 1e6:
                raise BadInput(f"speed must lie above 0 and below 1e6, not {speed}")
        except (ValueError, TypeError, KeyError, AttributeError, BadInput) as exc:
            body = answers.encoded({"code": answers.INVALID_INPUT, "error": str(exc)})
            return Answer(status=400, body=body, code=answers.INVALID_INPUT)
        exchange = self.exchange.restarted()
        referee = Referee(exchange, targets)
        anchor = time.monotonic()
        self.exchange, self.referee = exchange, referee
        self.clock = ScaledClock(speed=speed, start=exchange.start, anchor=anchor)
        self.dated = self.dated and speed == 1
        # repr of a float and back is exact, and so is this JSON number.
        return answers.good(anchor=anchor, speed=speed, start=exchange.start.isoformat())


def make_sim_app(
    exchange: SimExchange,
    clock: Clock,
    faults: FaultScript | None = None,
    referee: Referee | None = None,
    *,
    dated: bool = False,
) -> SimApp:
    """Return the ASGI application of a simulated exchange that runs at the pace of ``clock``."""
    return SimApp(exchange, clock, faults, referee, dated=dated)


def _headers(scope: Scope) -> dict[str, str]:
    pairs = scope["headers"]
    return {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in pairs}


async def _cut(send: Send) -> NoReturn:
    # ASGI has no word for breaking a connection; uvicorn's request cycle lends its transport.
    transport = getattr(getattr(send, "__self__", None), "transport", None)
    if transport is not None:
        transport.abort()
        await asyncio.sleep(0)
        await asyncio.sleep(0)
    raise ConnectionCut("cut by the fault script")
