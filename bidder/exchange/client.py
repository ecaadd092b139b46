"""The ten endpoints, one method each. Nothing leaves but ``NotSent``, ``Refused`` and ``InDoubt``.

The seam for tests and the simulator is the httpx transport; there is no second client. Nothing is
ever repeated here: whether to try again is decided by whoever knows what is at stake.
"""

import asyncio
from collections import deque
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

import httpx

from bidder.clock import Clock
from bidder.domain import launch_rules
from bidder.domain.actions import PlaceBid, RentOnDemand
from bidder.domain.ids import OrderId, ServerId
from bidder.domain.market import Book, HostedServer, Marketplace, OrdersAnswer, Wallet
from bidder.domain.money import Price
from bidder.errors import ExchangeError, InDoubt, NotSent, RateLimited
from bidder.exchange import answers, requests, wire
from bidder.exchange.limiter import Limiter, Slot

Http = httpx.AsyncClient
Transport = httpx.AsyncBaseTransport

_CONNECT_SECONDS = 5.0
_READ_SECONDS = 20.0
_MARKETPLACE_SECONDS = 40.0
# In scaled time the exchange's seconds are short; the machine still needs some of its own.
_LEAST_REAL_SECONDS = 2.0
_LARGEST_ANSWER = 64 * 1024 * 1024
_MOST_URLS = 1000

# Raised before a byte of the request can have left.
_BEFORE_SENDING = (
    httpx.ConnectError,
    httpx.ConnectTimeout,
    httpx.PoolTimeout,
    httpx.UnsupportedProtocol,
    httpx.LocalProtocolError,
    httpx.InvalidURL,
    httpx.ProxyError,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class CallReport:
    """One call as it went: for metrics, and so that a read knows when it started.

    ``lead_seconds`` is how far the exchange's clock lies ahead of ours, where the answer told.
    """

    endpoint: str
    outcome: str  # "ok" or the error's class name
    sent_at: datetime
    answered_at: datetime
    round_trip_seconds: float
    lead_seconds: float | None = None


# What changes something rests on what was known when it was asked for. The machine may have been
# suspended while it waited for its turn.
_HELD_BACK_AT_MOST = timedelta(seconds=30)


class ExchangeClient:
    """Speaks the marketplace's HTTP API for one account."""

    def __init__(
        self,
        *,
        http: httpx.AsyncClient,
        limiter: Limiter,
        clock: Clock,
        read_only: bool = False,
        on_call: Callable[[CallReport], None] | None = None,
    ) -> None:
        """Send through ``http`` within ``limiter``; with ``read_only`` never change anything."""
        self._http = http
        self.limiter = limiter
        self._clock = clock
        self._read_only = read_only
        self._on_call = on_call
        self.last_call: CallReport | None = None
        # Bounded: not everybody who makes calls asks for the reports.
        self._calls: deque[CallReport] = deque(maxlen=100)
        self._urls: dict[tuple[str, str], httpx.URL] = {}
        self._ahead = timedelta(0)  # how far the exchange's clock lies ahead of ours
        self._lead: timedelta | None = None  # the same by the latest answer, uncorrected

    def take_calls(self) -> tuple[CallReport, ...]:
        """Return the calls since this was last asked, at most the latest hundred."""
        calls = tuple(self._calls)
        self._calls.clear()
        return calls

    async def close(self) -> None:
        """Close the connections."""
        await self._http.aclose()

    async def wallets(self) -> tuple[Wallet, ...]:
        """Return the wallets and their balances (endpoint 1)."""
        return wire.wallets(await self._get("wallets"))

    async def my_servers(self) -> tuple[HostedServer, ...]:
        """Return the servers that the account offers for rent (endpoint 2)."""
        return wire.hosted_servers(await self._get("my_servers"))

    async def server_config(self, name: str) -> HostedServer:
        """Return the configuration of one own server (endpoint 3: a GET with a JSON body)."""
        body = requests.encode({"server_name": name})
        return wire.hosted_server(await self._call("GET", "server_config", body=body))

    async def marketplace(self) -> Marketplace:
        """Return all public servers (endpoint 4); about 2 MB."""
        return wire.marketplace(await self._get("marketplace"))

    async def my_orders(self, *, completed: bool = False) -> OrdersAnswer:
        """Return the account's orders (endpoint 5), with ``completed`` the ended ones too.

        Their times are in our clock: the exchange's own may lie far from it (trap 11).
        """
        query = {"return_completed": "true"} if completed else None
        body = await self._get("my_orders", query)
        return wire.orders(body, ahead=self._ahead)

    async def spot_marketplace(self, server: ServerId) -> Book:
        """Return one server's spot market (endpoint 6)."""
        return wire.book(await self._get("spot_marketplace", {"market": str(server)}), server)

    async def set_server_settings(
        self,
        name: str,
        *,
        availability: bool,
        mrl_hours: int,
        on_demand: Decimal,
        spot: Decimal,
    ) -> None:
        """Set an own server's availability, longest rental and prices per day (endpoint 7)."""
        await self._post(
            "set_server_settings",
            {
                "name": name,
                "availability": availability,
                "mrl": mrl_hours,
                "on_demand": on_demand,
                "spot": spot,
            },
        )

    async def set_spot_price(self, order: OrderId, price: Price) -> None:
        """Set a standing bid to ``price`` per day (endpoint 8)."""
        await self._post("set_spot_price", {"order_id": order, "desired_price": price.amount})

    async def cancel_order(self, order: OrderId) -> None:
        """Cancel an order (endpoint 9), never with ``issue``: that reports the host."""
        await self._post("cancel_order", {"id": order})

    async def create_order(self, action: PlaceBid | RentOnDemand) -> None:
        """Create an order (endpoint 10). The answer carries no id: read our orders to learn it."""
        problems = launch_rules.check_launch(action.launch)
        if problems:
            raise NotSent(f"launch.{problems[0][0]}: {problems[0][1]}", endpoint="create_order")
        await self._post("create_order", requests.creation(action), creation=True)

    async def _get(self, endpoint: str, query: Mapping[str, str] | None = None) -> bytes:
        return await self._call("GET", endpoint, query=query)

    async def _post(self, endpoint: str, body: Mapping[str, Any], *, creation: bool = False) -> None:
        if self._read_only:
            raise NotSent("paper mode sends nothing that changes anything", endpoint=endpoint)
        by = self._clock.now() + _HELD_BACK_AT_MOST
        await self._call("POST", endpoint, body=requests.encode(body), creation=creation, by=by)

    async def _call(
        self,
        method: str,
        endpoint: str,
        *,
        query: Mapping[str, str] | None = None,
        body: bytes | None = None,
        creation: bool = False,
        by: datetime | None = None,
    ) -> bytes:
        async with self.limiter.slot(creation=creation) as slot:
            outcome, self._lead = "ok", None
            try:
                if by is not None and self._clock.now() > by:
                    slot.never_left()
                    raise NotSent("it was held back for too long", endpoint=endpoint)
                return await self._exchange(method, endpoint, slot, query, body)
            except ExchangeError as exc:
                outcome = type(exc).__name__
                raise
            finally:
                self._report(endpoint, outcome, slot)

    async def _exchange(
        self,
        method: str,
        endpoint: str,
        slot: Slot,
        query: Mapping[str, str] | None,
        body: bytes | None,
    ) -> bytes:
        limit = _MARKETPLACE_SECONDS if endpoint == "marketplace" else _READ_SECONDS
        deadline = max(_LEAST_REAL_SECONDS, self._clock.real_seconds(limit))
        try:
            async with asyncio.timeout(deadline):
                status, headers, content = await self._send(method, endpoint, query, body, deadline)
        except _BEFORE_SENDING as exc:
            slot.never_left()
            raise NotSent(_cause(exc), endpoint=endpoint) from None
        except (TimeoutError, httpx.HTTPError, httpx.StreamError, ValueError, OSError) as exc:
            # ``from None``: an httpx error holds the request, and with it the token.
            raise InDoubt(_cause(exc), endpoint=endpoint) from None
        slot.answer()
        now = self._clock.now()
        self._ahead = answers.clock_ahead(headers.get("date"), now)
        self._lead = answers.clock_lead(headers.get("date"), now)
        try:
            answers.check(endpoint, status, headers, content, now)
        except RateLimited as exc:
            self.limiter.refused(exc.retry_after_seconds)
            raise
        self.limiter.accepted()
        return content

    async def _send(
        self,
        method: str,
        endpoint: str,
        query: Mapping[str, str] | None,
        body: bytes | None,
        deadline: float,
    ) -> tuple[int, Mapping[str, str], bytes]:
        connect = max(_LEAST_REAL_SECONDS, self._clock.real_seconds(_CONNECT_SECONDS))
        request = self._http.build_request(
            method,
            self._url(endpoint, query),
            content=body,
            headers={"content-type": "application/json"} if body is not None else None,
            timeout=httpx.Timeout(deadline, connect=connect),
        )
        response = await self._http.send(request, stream=True, follow_redirects=False)
        try:
            content = bytearray()
            async for chunk in response.aiter_bytes():
                content += chunk
                if len(content) > _LARGEST_ANSWER:
                    raise ValueError("the answer is larger than any that makes sense")
        finally:
            with suppress(httpx.HTTPError, OSError):
                await response.aclose()
        return response.status_code, response.headers, bytes(content)

    def _url(self, endpoint: str, query: Mapping[str, str] | None) -> httpx.URL:
        """Return the whole address; putting one together costs more than the rest of a request."""
        asked = "" if not query else str(httpx.QueryParams(query))
        known = self._urls.get((endpoint, asked))
        if known is None:
            if len(self._urls) >= _MOST_URLS:
                self._urls.clear()
            whole = self._http.base_url.join(endpoint)
            known = whole.copy_with(query=asked.encode()) if asked else whole
            self._urls[endpoint, asked] = known
        return known

    def _report(self, endpoint: str, outcome: str, slot: Slot) -> None:
        self.last_call = CallReport(
            endpoint=endpoint,
            outcome=outcome,
            sent_at=slot.sent_on,
            answered_at=self._clock.now(),
            round_trip_seconds=self._clock.monotonic() - slot.sent_at,
            lead_seconds=None if self._lead is None else self._lead.total_seconds(),
        )
        self._calls.append(self.last_call)
        if self._on_call is not None:
            self._on_call(self.last_call)


def _cause(exc: BaseException) -> str:
    """Return what went wrong, by kind only: a library's message may quote what was sent."""
    return {
        "ConnectError": "no connection",
        "ConnectTimeout": "no connection in time",
        "ReadTimeout": "no answer in time",
        "TimeoutError": "no answer in time",
        "RemoteProtocolError": "the connection broke before the answer was complete",
        "ReadError": "the connection broke before the answer was complete",
        "WriteError": "the connection broke while sending",
    }.get(type(exc).__name__, type(exc).__name__)


def open_http(
    base_url: str, token: str | None, *, transport: httpx.AsyncBaseTransport | None = None
) -> httpx.AsyncClient:
    """Return the HTTP client for an account; ``token`` None sends no ``auth`` header."""
    headers = {"user-agent": "bidder/0.1", "accept": "application/json"}
    if token is not None:
        headers["auth"] = token
    return httpx.AsyncClient(
        base_url=base_url.rstrip("/") + "/",
        headers=headers,
        transport=transport,
        follow_redirects=False,
        limits=httpx.Limits(max_connections=4, max_keepalive_connections=2),
    )
