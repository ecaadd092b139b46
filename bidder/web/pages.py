"""The four addresses, and the guard before them."""

import hmac
import ipaddress
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from bidder.domain.ids import spelled
from bidder.web.metrics import Metrics
from bidder.web.source import Source

_TEMPLATES = Path(__file__).parent / "templates"
_HOST = re.compile(r"(?:\[(?P<six>[0-9a-f:.]+)\]|(?P<name>[^:\[\]]+))(?::[0-9]*)?\Z", re.IGNORECASE)
_HEADERS = [
    (b"cache-control", b"no-store"),
    (b"content-security-policy", b"default-src 'none'; style-src 'self'; frame-ancestors 'none'"),
    (b"cross-origin-resource-policy", b"same-origin"),
    (b"referrer-policy", b"no-referrer"),
    (b"x-content-type-options", b"nosniff"),
    (b"x-frame-options", b"DENY"),
]


def make_pages(source: Source, metrics: Metrics, token: str | None) -> ASGIApp:
    """Return the application; with ``token`` every reader must send it."""
    page = _page()

    async def healthz(_: Request) -> Response:
        return _verdict(() if not source.wedged() else (source.wedged(),))

    async def readyz(_: Request) -> Response:
        return _verdict(source.not_trading())

    async def scrape(_: Request) -> Response:
        return Response(generate_latest(metrics.registry), media_type=CONTENT_TYPE_LATEST)

    async def status(_: Request) -> Response:
        picture, reasons = source.picture(), source.not_trading()
        return Response(
            page(picture=picture, summary=source.summary(), reasons=reasons), media_type="text/html"
        )

    async def style(_: Request) -> Response:
        return Response(_read("style.css"), media_type="text/css")

    routes = [
        Route("/", status),
        Route("/style.css", style),
        Route("/healthz", healthz),
        Route("/readyz", readyz),
        Route("/metrics", scrape),
    ]
    return Guard(Starlette(routes=routes), token)


class Guard:
    """Lets in who may read, and sends every answer with the headers that keep a browser careful."""

    def __init__(self, app: ASGIApp, token: str | None) -> None:
        """Guard ``app``; without a token who asks by a name of this machine's own gets in."""
        self._app = app
        self._token = None if token is None else token.encode("ascii")

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request, or say what it lacks."""
        if scope["type"] != "http":
            return

        async def careful(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [*message.get("headers", ()), *_HEADERS]
            await send(message)

        await self._chosen(dict(scope["headers"]))(scope, receive, careful)

    def _chosen(self, headers: dict[bytes, bytes]) -> ASGIApp:
        if self._token is None:
            # A page elsewhere may point a name of its own at this machine and read what it finds.
            known = _is_this_machine(headers.get(b"host", b"").decode("latin-1"))
            return self._app if known else PlainTextResponse("ask for 127.0.0.1\n", 421)
        kind, _, given = headers.get(b"authorization", b"").partition(b" ")
        right = hmac.compare_digest(given.strip(), self._token)
        if kind.lower() == b"bearer" and right:
            return self._app
        asked = {"www-authenticate": 'Bearer realm="bidder"'}
        return PlainTextResponse("a token is needed\n", 401, headers=asked)


def _is_this_machine(host: str) -> bool:
    """Return whether a Host header names a loopback address; no page can make one its own name."""
    found = _HOST.match(host)
    if found is None:
        return False
    name = found["six"] or found["name"]
    try:
        return name.lower() == "localhost" or ipaddress.ip_address(name).is_loopback
    except ValueError:
        return False


def _verdict(reasons: tuple[str, ...]) -> Response:
    if not reasons:
        return PlainTextResponse("ok\n")
    return PlainTextResponse("".join(f"{reason}\n" for reason in reasons), 503)


def _page() -> Callable[..., str]:
    environment = Environment(
        loader=FileSystemLoader(_TEMPLATES),
        autoescape=True,  # nothing that the exchange says is markup
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["amount"] = _amount
    environment.filters["spelled"] = spelled
    return environment.get_template("status.html").render


def _amount(value: dict[str, Any] | None) -> str:
    return "–" if value is None else f"{value['amount']} {value['currency']}"


def _read(name: str) -> str:
    return (_TEMPLATES / name).read_text(encoding="utf-8")
