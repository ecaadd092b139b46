"""Which names this machine answers to where no token guards the pages."""

import httpx
import pytest
from starlette.responses import PlainTextResponse

from bidder.web.pages import Guard


@pytest.mark.parametrize(
    ("host", "status"),
    [
        ("127.0.0.1:9464", 200),
        ("127.0.0.1", 200),
        ("127.0.0.2:9464", 200),
        ("127.255.3.4", 200),
        ("localhost:9464", 200),
        ("LocalHost", 200),
        ("[::1]:9464", 200),
        ("[::1]", 200),
        ("", 421),
        ("evil.example", 421),
        ("127.0.0.1.evil.example:9464", 421),
        ("localhost.evil.example", 421),
        ("10.0.0.1:9464", 421),
        ("0.0.0.0:9464", 421),
        ("[::2]:9464", 421),
        ("[evil.example]", 421),
        ("[::1", 421),
        ("::1", 421),
        ("127.0.0.1:9464:1", 421),
        ("127.0.0.1:evil", 421),
        ("[127.0.0.1]x", 421),
        ("2130706433", 421),
    ],
)
async def test_only_this_machines_own_names_are_answered(host: str, status: int) -> None:
    """Every loopback address is one, a name that somebody else may give is none."""
    guard = Guard(PlainTextResponse("ok"), None)
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app=guard)) as reader:
        answer = await reader.get("http://127.0.0.1/", headers={"host": host})
    assert answer.status_code == status
