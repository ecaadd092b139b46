"""A network and a proxy that fail by chance: between the real client and the simulated exchange.

What the wire does to a request is decided here, what the exchange does with it is not: a request is
executed by the exchange's own state machine, or it is not.
"""

import json
import re
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from random import Random

import httpx

from bidder.clock import VirtualClock
from bidder.sim.answers import Answer, Request
from bidder.sim.exchange import SimExchange

_READ_SECONDS, _MARKETPLACE_SECONDS = 20.0, 40.0
_ONE_WAY = (0.005, 0.08)
_STALE_SECONDS = 30.0
_HTML = b"<!DOCTYPE html><html><body><h1>Something went wrong \xe2\x80\xae</h1></body></html>"

# Never executed; the client may know that nothing was sent, or has to doubt it.
_NOT_EXECUTED: dict[str, Callable[[httpx.Request], Exception]] = {
    "connection refused": lambda request: httpx.ConnectError("refused", request=request),
    "reset before": lambda request: httpx.ReadError("reset", request=request),
    "reset during": lambda request: httpx.WriteError("reset", request=request),
}
# Executed, and the answer is replaced by these.
_BODIES: dict[str, tuple[int, bytes]] = {
    "empty body": (200, b""),
    "html 200": (200, _HTML),
    "html 403": (403, _HTML),
    "html 502": (502, _HTML),
    "html 503": (503, _HTML),
    "html 520": (520, _HTML),
    "html 524": (524, _HTML),
    "invalid json": (200, b'{"code": 0,'),
    "nan": (200, b'{"code": NaN}'),
    "1e400": (200, b'{"code": 1e400}'),
    "missing code": (200, b'{"orders": []}'),
    "500 and code 1": (500, b'{"code": 1}'),
    "code 1": (200, b'{"code": 1}'),
}
_ODD_ANSWERS = ("no rates", "another runs", "odd step", "odd wait", "stale")
_OTHERS = (
    "reset after",
    "time-out, executed",
    "time-out, not executed",
    "time-out, executed later",
    "late answer",
    "delivered twice",
    "truncated",
    "429",
    "code 5",
)
KINDS = (*_NOT_EXECUTED, *_BODIES, *_OTHERS, *_ODD_ANSWERS)


@dataclass(slots=True)
class Weather:
    """How bad the wire is at present: the chance that a request meets a fault."""

    chance: float = 0.0
    only: str | None = None  # this kind and no other


class FaultyTransport(httpx.AsyncBaseTransport):
    """Carries requests to the exchange, as well as the weather allows."""

    def __init__(
        self,
        exchange: SimExchange,
        clock: VirtualClock,
        chance: Random,
        weather: Weather,
        point: Callable[[], None],
    ) -> None:
        """Draw faults from ``chance``; call ``point`` wherever the process may be killed."""
        self._exchange = exchange
        self._clock = clock
        self._chance = chance
        self._weather = weather
        self._point = point
        self._later: list[tuple[float, Request]] = []
        self._before: dict[str, tuple[float, Answer]] = {}
        self.faults: Counter[str] = Counter()
        self.last_fault = ""

    def now(self) -> datetime:
        """Return the exchange's time, which no step of our own clock touches."""
        return self._exchange.start + timedelta(seconds=self._clock.monotonic())

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Carry one request there and its answer back, or not."""
        body = await request.aread()
        carried = Request(
            method=request.method,
            path=request.url.path,
            query=request.url.query.decode("ascii"),
            headers={name.lower(): value for name, value in request.headers.items()},
            body=body,
        )
        self._point()
        kind = self._drawn(carried)
        self._travel()
        self._deliver_late_ones()
        answer = self._met(kind, carried, request) if kind else self._execute(carried)
        self._travel()
        self._point()
        return httpx.Response(answer.status, headers=dict(answer.headers), content=answer.body)

    def _drawn(self, request: Request) -> str:
        weather = self._weather
        if self._chance.random() >= weather.chance:
            return ""
        kind = weather.only or self._chance.choice(KINDS)
        if kind in ("delivered twice", "time-out, executed later") and request.method == "GET":
            kind = "time-out, executed"
        self.faults[kind] += 1
        self.last_fault = f"{kind} on {request.path.rsplit('/', 1)[-1]}"
        return kind

    def _met(self, kind: str, carried: Request, request: httpx.Request) -> Answer:
        """Return the answer that arrives; raises what a client sees instead of one."""
        if kind in _NOT_EXECUTED:
            raise _NOT_EXECUTED[kind](request)
        if kind in _BODIES:
            self._execute(carried)
            self._exchange.lose_answer()
            status, body = _BODIES[kind]
            return Answer(status=status, body=body)
        if kind in _ODD_ANSWERS:
            return self._odd(kind, carried)
        match kind:
            case "429":
                retry = {"retry-after": str(self._chance.randint(1, 30))}
                headers = retry if self._chance.random() < 0.5 else {}
                return Answer(status=429, body=b"", headers=headers)
            case "code 5":
                return Answer(status=200, body=b'{"code":5}')
            case "truncated":
                answer = self._execute(carried)
                self._exchange.lose_answer()
                return Answer(status=200, body=answer.body[: len(answer.body) // 2])
            case "delivered twice":
                answer = self._execute(carried)
                self._exchange.repeat(carried)
                return answer
            case "late answer":
                return self._late(carried, request)
            case "time-out, executed later":
                wait = self._chance.uniform(0, 25)
                self._later.append((self._clock.monotonic() + wait, carried))
            case "time-out, executed" | "reset after":
                self._execute(carried)
                self._exchange.lose_answer()
        if kind == "reset after":
            raise httpx.RemoteProtocolError("reset", request=request)
        self._clock.advance(_patience(carried))
        raise httpx.ReadTimeout("nothing came", request=request)

    def _late(self, carried: Request, request: httpx.Request) -> Answer:
        answer = self._execute(carried)
        wait = self._chance.uniform(1, 120)
        if wait >= _patience(carried):
            self._exchange.lose_answer()
            self._clock.advance(_patience(carried))
            raise httpx.ReadTimeout("nothing came in time", request=request)
        self._clock.advance(wait)
        return answer

    def _execute(self, carried: Request) -> Answer:
        answer = self._exchange.handle(carried, self.now())
        if carried.method == "GET" and answer.status == 200:
            self._before[f"{carried.path}?{carried.query}"] = (self._clock.monotonic(), answer)
        return answer

    def _deliver_late_ones(self) -> None:
        now = self._clock.monotonic()
        for at, carried in self._later:
            if at <= now:
                self._exchange.advance(self.now())
                self._exchange.repeat(carried, late=True)
        self._later = [(at, carried) for at, carried in self._later if at > now]

    def _odd(self, kind: str, carried: Request) -> Answer:
        """Return an answer that is well-formed and not what it should be."""
        earlier = self._before.get(f"{carried.path}?{carried.query}")
        answer = self._execute(carried)
        endpoint = carried.path.rsplit("/", 1)[-1]
        if kind == "stale" and endpoint in ("my_orders", "marketplace") and earlier is not None:
            at, before = earlier
            return before if self._clock.monotonic() - at <= _STALE_SECONDS else answer
        body = answer.body
        if kind == "no rates" and endpoint == "spot_marketplace":
            self._exchange.lose_answer()
            body = re.sub(rb',?"currency_rates_in_usd":\{[^}]*\}', b"", body)
        elif kind == "another runs" and endpoint == "spot_marketplace":
            body = self._another_runs(body)
        elif kind == "odd step" and b"exceeded_max_step" in body:
            step = self._chance.choice((b"9999", b"null", b"-1", b'"x"'))
            body = re.sub(rb'"max_step":[^,}]*', b'"max_step":' + step, body)
        elif kind == "odd wait" and b"can_lower" in body:
            wait = self._chance.choice((b"0", b"-30", b"1000000", b"null"))
            body = re.sub(rb'"time_to_lowering":[^,}]*', b'"time_to_lowering":' + wait, body)
        return Answer(status=answer.status, body=body, headers=answer.headers)

    def _another_runs(self, body: bytes) -> bytes:
        document = json.loads(body)
        offers = (document.get("market") or {}).get("offers") or []
        if len(offers) < 2:
            return body
        chosen = self._chance.randrange(len(offers))
        # Only the flag is changed, as text: the prices must keep their digits.
        parts = body.split(b'"active":')
        for number in range(len(offers)):
            rest = parts[number + 1]
            flag = b"true" if number == chosen else b"false"
            parts[number + 1] = (
                flag + rest[len(b"true") if rest.startswith(b"true") else len(b"false") :]
            )
        return b'"active":'.join(parts)

    def _travel(self) -> None:
        self._clock.advance(self._chance.uniform(*_ONE_WAY))


def _patience(carried: Request) -> float:
    return _MARKETPLACE_SECONDS if carried.path.endswith("/marketplace") else _READ_SECONDS
