"""Who asked the exchange for a while gives the account back, and keeps what was come for."""

import asyncio
import json
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from processes import TOKEN, write_config
from sqlalchemy import Engine, event
from sqlalchemy.exc import OperationalError
from virtual import Day, begin

from bidder.app.handing_back import hand_back
from bidder.app.preview import Preview
from bidder.config import Settings, load_settings
from bidder.domain.ids import AccountName
from bidder.errors import NotSent
from bidder.store.engine import open_engine
from bidder.store.lease import LEASE_TTL, Holder, Lease
from bidder.store.queries import Queries
from bidder.store.schema import upgrade
from bidder.wiring import open_database, preview_now

ANSWERS: dict[str, dict[str, Any]] = {
    "/v1/my_orders": {"orders": [], "limit": 9},
    "/v1/wallets": {"wallets": []},
    "/v1/marketplace": {"servers": [], "my_servers": []},
}


@pytest.fixture
def day() -> Iterator[Day]:
    """Yield a day whose daemon has sent something."""
    engine = open_engine("sqlite://")
    upgrade(engine)
    begun = begin(engine=engine, rivals=False, servers=24)
    begun.run(timedelta(seconds=5))
    yield begun
    engine.dispose()


def leave(day: Day) -> None:
    """Hand the day's account back."""
    trader = day.app.trader
    asyncio.run(hand_back(day.app.lease, store=trader.store, client=trader.client))


def closed(day: Day) -> bool:
    """Return whether the daemon's connections are closed."""
    with pytest.raises((RuntimeError, NotSent)) as caught:
        asyncio.run(day.app.trader.client.wallets())
    return "closed" in str(caught.value)


def overtake(engine: Engine, account: AccountName, now: datetime) -> Lease:
    """Let another process take the account once the lease has run out."""
    other = Lease(engine, account, holder=Holder(host="elsewhere", pid=1))
    other.acquire(now + LEASE_TTL + timedelta(seconds=1))
    return other


def test_when_was_asked_last_is_noted_and_the_lease_is_free(day: Day) -> None:
    """For the pace of whoever comes next."""
    leave(day)

    assert Queries(day.app.engine, day.policy.account).lease() is None
    memory = day.app.trader.store.load(day.clock.now())
    assert memory.last_request_at == day.app.trader.client.limiter.last_request_at
    assert closed(day)


def test_a_lease_that_was_lost_meanwhile_is_left_to_its_holder(day: Day) -> None:
    """Nothing is raised over it, and the connections are closed."""
    other = overtake(day.app.engine, day.policy.account, day.clock.now())

    leave(day)

    other.renew(day.clock.now())
    assert closed(day)


def test_a_database_that_fails_keeps_no_connection_open(day: Day) -> None:
    """The lease runs out by itself."""

    def full(_connection: object) -> None:
        raise OperationalError("", {}, Exception("database or disk is full"))

    event.listen(day.app.engine, "commit", full)
    leave(day)
    event.remove(day.app.engine, "commit", full)

    assert Queries(day.app.engine, day.policy.account).lease() is not None
    assert closed(day)


class Exchange:
    """A marketplace with nothing in it, that notes until when the lease lasts as it is asked."""

    def __init__(self, settings: Settings, *, overtaken: bool) -> None:
        """Answer for as long as it takes; with ``overtaken`` the last read loses the lease."""
        self._engine = open_database(settings.database_url)
        self._account, self._overtaken = settings.account, overtaken
        self.expiries: list[datetime] = []

    async def __call__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer one request."""
        path = (await reader.readuntil(b"\r\n\r\n")).split()[1].decode().partition("?")[0]
        row = Queries(self._engine, self._account).lease()
        assert row is not None
        self.expiries.append(row.expires_at)
        if self._overtaken and path == "/v1/marketplace":
            overtake(self._engine, self._account, datetime.now(UTC))
        body = json.dumps({"code": 0, **ANSWERS[path]}).encode()
        head = f"HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: {len(body)}\r\n\r\n"
        writer.write(head.encode() + body)
        await writer.drain()
        writer.close()
        await writer.wait_closed()

    def close(self) -> None:
        """Let go of the database."""
        self._engine.dispose()


@pytest.mark.parametrize("overtaken", [False, True])
def test_a_plan_renews_its_lease_and_is_told_whoever_has_it_by_then(
    tmp_path: Path, overtaken: bool
) -> None:
    """What it found must not be lost over what remains to be tidied."""

    async def planned(settings: Settings, exchange: Exchange) -> Preview:
        async with await asyncio.start_server(exchange, "127.0.0.1", 0) as server:
            port = server.sockets[0].getsockname()[1]
            return await preview_now(replace(settings, exchange_url=f"http://127.0.0.1:{port}/v1"))

    settings = load_settings(write_config(tmp_path, "http://sim.invalid"), {"E2E_TOKEN": TOKEN})
    exchange = Exchange(settings, overtaken=overtaken)
    found = asyncio.run(planned(settings, exchange))
    exchange.close()

    assert (found.requests, found.actions) == (3, ())
    assert exchange.expiries == sorted(set(exchange.expiries)), "each read begins with a longer lease"
    assert len(exchange.expiries) == 3
