"""A network and a proxy that fail by chance or by script, between the client and the exchange.

What the wire does to a request is decided here, what the exchange does with it is not: a request is
executed by the exchange's own state machine, or it is not.
"""

import re
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from decimal import Decimal
from email.utils import format_datetime
from random import Random

import httpx

from bidder.chaos import kinds, lies
from bidder.chaos.clock import MachineClock
from bidder.chaos.ledger import Ledger
from bidder.chaos.numbers import NUMBERS, strike
from bidder.sim.answers import OK, OVER_LIMIT, Answer, Request
from bidder.sim.exchange import SimExchange

_READ_SECONDS, _MARKETPLACE_SECONDS = 20.0, 40.0
_ONE_WAY = (0.005, 0.08)
_STALE_SECONDS = 30.0
_HIDDEN_SECONDS, _SHOWN_SECONDS = 60.0, 300.0
_ORDER_ID = re.compile(rb'"id":(\d+)')
_HTML = b"<!DOCTYPE html><html><body><h1>Something went wrong \xe2\x80\xae</h1></body></html>"

# Never executed; the client may know that nothing was sent, or has to doubt it.
_NOT_EXECUTED: dict[str, Callable[[httpx.Request], Exception]] = {
    "connection refused": lambda request: httpx.ConnectError("refused", request=request),
    "reset before": lambda request: httpx.ReadError("reset", request=request),
    "reset during": lambda request: httpx.WriteError("reset", request=request),
}
# Executed or not, which nobody can tell from these answers.
_BODIES: dict[str, tuple[int, bytes]] = {
    "empty body": (200, b""),
    **{f"html {status}": (status, _HTML) for status in (200, 403, 502, 503, 520, 521, 522, 523, 524)},
    "invalid json": (200, b'{"code": 0,'),
    "nan": (200, b'{"code": NaN}'),
    "1e400": (200, b'{"code": 1e400}'),
    "missing code": (200, b'{"orders": []}'),
    "500 and code 1": (500, b'{"code": 1}'),
    "code 1": (200, b'{"code": 1}'),
}
_OVER_LIMIT = {
    "429": Answer(status=429, body=b"", code=OVER_LIMIT, headers={}),
    "429 with retry-after": Answer(status=429, body=b"", code=OVER_LIMIT, headers={}),
    "code 5": Answer(status=200, body=b'{"code":5}', code=OVER_LIMIT),
}


@dataclass(slots=True)
class Weather:
    """How bad the wire is at present: the chance that a request meets a fault."""

    chance: float = 0.0
    only: str | None = None  # this kind and no other
    lagging_until: float = 0.0  # until then, what was changed is shown late


class FaultyTransport(httpx.AsyncBaseTransport):
    """Carries requests to the exchange, as well as the weather allows."""

    def __init__(
        self,
        exchange: SimExchange,
        clock: MachineClock,
        chance: Random,
        weather: Weather,
        point: Callable[[], None],
        script: kinds.Script,
        say: Callable[[str], None],
    ) -> None:
        """Draw faults from ``chance``; call ``point`` wherever the process may be killed.

        ``say`` gets a line for each fault.
        """
        self._say = say
        self._exchange = exchange
        self._clock = clock
        self._chance = chance
        self._weather = weather
        self._point = point
        self._script = script
        self._later: list[tuple[float, Request]] = []
        self._before: dict[str, tuple[float, Answer]] = {}
        self._stale: dict[str, tuple[float, Answer]] = {}
        self._hidden: dict[int, float] = {}
        self._rates: dict[str, Decimal] = {}
        self.faults: Counter[str] = Counter()
        # Awaited when an answer has arrived that nobody has read yet.
        self.on_answer: Callable[[], Awaitable[None]] | None = None
        self.ledger = Ledger(exchange.start)
        self.shown: frozenset[int] = frozenset()  # the orders that the latest list of ours named
        self.last_orders = b""  # that list itself, as it was sent
        self.made_by_then = 0  # the newest order that there was when it was sent

    def now(self) -> datetime:
        """Return the exchange's time, which no step of our own clock touches."""
        return self._exchange.start + timedelta(seconds=self._clock.true)

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
        kind, executed = self._drawn(carried)
        self._travel()
        self._deliver_late_ones()
        answer = self._noted(kind, carried, request, executed=executed)
        self._travel()
        self._point()
        readable = answer.status == 200 and kind not in kinds.UNREADABLE
        if carried.path.endswith("/my_orders") and readable:
            self.shown = frozenset(map(int, _ORDER_ID.findall(answer.body)))
            self.last_orders = answer.body
            self.made_by_then = max(self._exchange.market.own, default=0)
        if self.on_answer is not None:
            await self.on_answer()
        headers = {**answer.headers, "date": format_datetime(self.now(), usegmt=True)}
        return httpx.Response(answer.status, headers=headers, content=answer.body)

    def _noted(self, kind: str, carried: Request, request: httpx.Request, *, executed: bool) -> Answer:
        """Return the answer that arrives, and put down request and answer; raises as ``_met`` does."""
        ledger, arrives_at, endpoint = self.ledger, self._clock.true, _endpoint(carried)
        ledger.arrives(endpoint, arrives_at)
        if endpoint == "create_order":
            ledger.creates(carried.json()["renting_server"], arrives_at)
        try:
            answer = (
                self._met(kind, carried, request, executed=executed) if kind else self._shown(carried)
            )
        except httpx.HTTPError:
            ledger.unanswered(arrives_at)
            raise
        # With one number too large it is a yes, and what is spoilt of it is but one entry.
        yes = kind == "1e400" and answer.code == OK and answer.body != _BODIES[kind][1]
        usable = kind not in kinds.UNREADABLE or (yes and endpoint != "my_orders")
        ledger.answers(answer, sent_at=arrives_at, at=self._clock.true, usable=usable, accepted=yes)
        return answer

    def _drawn(self, request: Request) -> tuple[str, bool]:
        """Return what befalls a request, or nothing, and whether it is executed all the same."""
        endpoint = _endpoint(request)
        asked = self._script.for_request(endpoint, self._clock.true)
        kind = self._by_chance(endpoint) if asked is None else asked.kind
        executed = None if asked is None else asked.executed
        if executed is None:
            executed = kind not in kinds.EITHER_WAY or self._chance.random() < 0.5
        return kind, executed

    def _by_chance(self, endpoint: str) -> str:
        if self._chance.random() >= self._weather.chance:
            return ""
        if self._weather.only is not None:
            return self._weather.only
        kind = self._chance.choice(kinds.striking(endpoint))
        return "" if kind in kinds.RARE and self._chance.random() < 0.9 else kind

    def _count(self, kind: str, request: Request, how: str = "") -> None:
        self.faults[kind] += 1
        self._say(f"The wire: {kind}, on {_endpoint(request)}{how}.")

    def _met(self, kind: str, carried: Request, request: httpx.Request, *, executed: bool) -> Answer:
        """Return the answer that arrives; raises what a client sees instead of one."""
        if kind in kinds.LIES:
            return self._lie(kind, carried)
        how = "" if kind not in kinds.EITHER_WAY else ", executed" if executed else ", not executed"
        self._count(kind, carried, how)
        if kind in _NOT_EXECUTED:
            raise _NOT_EXECUTED[kind](request)
        if kind in kinds.UNREADABLE:
            return self._unreadable(kind, carried, executed=executed)
        if kind in _OVER_LIMIT:
            return self._over_limit(kind)
        return self._mishap(kind, carried, request)

    def _unreadable(self, kind: str, carried: Request, *, executed: bool) -> Answer:
        status, body = _BODIES.get(kind, (200, _HTML))
        if executed:
            told = dict(self._rates)
            answer = self._execute(carried)
            # A chance of its own: what else happens on this day does not hang on it.
            chance = Random(f"{kind}/{self._clock.true!r}")
            if kind in NUMBERS and answer.code == OK and chance.random() < 0.7:
                struck, coin = strike(answer.body, NUMBERS[kind], chance)
                if struck != answer.body:
                    return self._spoilt(kind, carried, _with_body(answer, struck), coin, told)
            self._exchange.lose_answer()
            body = answer.body if kind == "truncated" else body
        return Answer(status=status, body=body[: len(body) // 2] if kind == "truncated" else body)

    def _spoilt(
        self, kind: str, carried: Request, answer: Answer, coin: str, told: dict[str, Decimal]
    ) -> Answer:
        """Return an answer with one number spoilt, and take note of what it teaches all the same."""
        if kind == "1e400" and _endpoint(carried) == "spot_marketplace":
            rates = dict(self._exchange.market.rates)
            self._teach({**rates, coin: told.get(coin, rates[coin])} if coin else rates)
        else:
            self._exchange.lose_answer()
        return answer

    def _over_limit(self, kind: str) -> Answer:
        answer = _OVER_LIMIT[kind]
        if kind != "429 with retry-after":
            return answer
        seconds = self._chance.randint(1, 30)
        # Both of the forms that the header may have.
        moment = format_datetime(self.now() + timedelta(seconds=seconds), usegmt=True)
        return replace(answer, headers={"retry-after": moment if seconds % 2 else str(seconds)})

    def _mishap(self, kind: str, carried: Request, request: httpx.Request) -> Answer:
        match kind:
            case "delivered twice":
                answer = self._execute(carried)
                self._exchange.repeat(carried)
                return answer
            case "late answer":
                return self._late(carried, request)
            case "time-out, executed later":
                wait = self._chance.uniform(0, 25)
                self._later.append((self._clock.true + wait, carried))
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
        if carried.method == "POST" and self._clock.true < self._weather.lagging_until:
            self._lag_behind(carried)
        answer = self._exchange.handle(carried, self.now())
        if carried.method == "GET" and answer.status == 200:
            self._before[_asked(carried)] = (self._clock.true, answer)
        return answer

    def _lag_behind(self, change: Request) -> None:
        """Let our orders, for a while, look as they did before this change."""
        until = self._clock.true + self._chance.uniform(5, _STALE_SECONDS)
        self._exchange.advance(self.now())
        for query in ("", "return_completed=true"):
            read = Request(
                method="GET", path="/v1/my_orders", query=query, headers={"auth": self._exchange.token}
            )
            answer = self._exchange.repeat(read)
            if change.headers.get("auth") == self._exchange.token:
                self._stale[_asked(read)] = (until, answer)

    def _shown(self, carried: Request) -> Answer:
        """Return the answer as caches and replicas show it at present."""
        answer = self._execute(carried)
        endpoint = _endpoint(carried)
        until, stale = self._stale.get(_asked(carried), (0.0, answer))
        if self._clock.true < until and answer.code == 0:
            self._count("replica lags", carried)
            answer = stale
        hidden = {order for order, until in self._hidden.items() if self._clock.true < until}
        if endpoint == "my_orders" and hidden and answer.code == 0:
            body = lies.without_orders(answer.body, hidden)
            if body != answer.body:
                self._count("order left out", carried)
                answer = _with_body(answer, body)
        if endpoint == "spot_marketplace" and answer.code == 0:
            self._rates = dict(self._exchange.market.rates)
        return answer

    def _deliver_late_ones(self) -> None:
        now = self._clock.true
        for at, carried in self._later:
            if at <= now:
                self._exchange.advance(self.now())
                self._exchange.repeat(carried, late=True)
        self._later = [(at, carried) for at, carried in self._later if at > now]

    def _lie(self, kind: str, carried: Request) -> Answer:
        """Return an answer that is well-formed and not what it should be; counted where it is one."""
        earlier = self._before.get(_asked(carried))
        answer = self._shown(carried)
        if answer.code != 0 and answer.error is None:
            return answer
        if kind == "stale":
            if earlier is None or self._clock.true - earlier[0] > _STALE_SECONDS:
                return answer
            if _endpoint(carried) == "spot_marketplace":
                self._exchange.lose_answer()
            self._count(kind, carried)
            return earlier[1]
        body = self._falsified(kind, carried, answer.body)
        if body == answer.body:
            return answer
        self._count(kind, carried)
        return _with_body(answer, body)

    def _falsified(self, kind: str, carried: Request, body: bytes) -> bytes:
        chance, exchange = self._chance, self._exchange
        match kind:
            case "order left out":
                # Once it is back it stays listed for a while: a minute is the most it is away.
                true = self._clock.true
                lately = {o for o, until in self._hidden.items() if true < until + _SHOWN_SECONDS}
                shown, order = lies.left_out(body, chance, live=set(exchange.market.live) - lately)
                if order is not None:
                    self._hidden[order] = true + chance.uniform(1, _HIDDEN_SECONDS)
                return shown
            case "no rates":
                exchange.lose_answer()
                return lies.no_rates(body)
            case "one rate missing":
                return self._without_one_rate(body)
            case "offer without order":
                return lies.offer_without_order(body, chance, exchange, _server(carried))
            case "odd text":
                odd = lies.odd_text(body, chance)
                if b'"error"' in body and odd != body:
                    # A reason that cannot be read teaches nobody anything.
                    exchange.lose_answer()
                return odd
            case "odd wait":
                odd = lies.odd_wait(body, chance)
                if odd != body:
                    # Where two events may have closed the clock it does not tell which of them has.
                    exchange.lose_answer()
                return odd
        return lies.PLAIN[kind](body, chance)

    def _without_one_rate(self, body: bytes) -> bytes:
        known = dict(self._rates)
        body, left = lies.one_rate_missing(body, self._chance)
        if left:
            self._teach({**known, **left})
        return body

    def _teach(self, rates: dict[str, Decimal]) -> None:
        """Take note that the account was told these rates, and not those that were sent."""
        self._exchange.lose_answer()
        self._rates = rates
        for observer in self._exchange.observers:
            observer.rates_sent(rates)

    def _travel(self) -> None:
        self._clock.advance(self._chance.uniform(*_ONE_WAY))


def _with_body(answer: Answer, body: bytes) -> Answer:
    return Answer(
        status=answer.status, body=body, code=answer.code, error=answer.error, headers=answer.headers
    )


def _endpoint(request: Request) -> str:
    return request.path.rsplit("/", 1)[-1]


def _asked(request: Request) -> str:
    return f"{request.path}?{request.query}"


def _server(request: Request) -> int:
    return int(request.parameter("market") or 0)


def _patience(carried: Request) -> float:
    return _MARKETPLACE_SECONDS if carried.path.endswith("/marketplace") else _READ_SECONDS
