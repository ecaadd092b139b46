"""The client over real sockets: three outcomes, nothing repeated, no secret anywhere."""

import asyncio
import traceback
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from decimal import Decimal

import pytest

from bidder.clock import ScaledClock, SystemClock
from bidder.domain.actions import PlaceBid
from bidder.domain.ids import OrderId, ServerId
from bidder.domain.money import Currency, Price
from bidder.domain.policy import Launch
from bidder.errors import ExchangeError, InDoubt, InvalidToken, NotSent, RateLimited, Refused
from bidder.exchange.client import CallReport, ExchangeClient, open_http
from bidder.exchange.limiter import Limiter
from bidder.sim.server import DEFAULT_START, build_exchange, running_sim

TOKEN = "canary-token-4711"
BID = PlaceBid(
    server=ServerId(6),
    price=Price(Decimal("0.000001"), Currency.BTC),
    target="t",
    launch=Launch(image="nvidia/cuda", ssh_password="canary password", env=(("K", "canary-env"),)),
)

Answer = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@dataclass(slots=True)
class Peer:
    """A server of a few lines that behaves as badly as it is told to."""

    answer: Answer
    requests: list[bytes] = field(default_factory=list)
    port: int = 0

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Read one request, then misbehave."""
        try:
            head = await reader.readuntil(b"\r\n\r\n")
            length = next(
                (
                    int(line.split(b":")[1])
                    for line in head.split(b"\r\n")
                    if line.lower().startswith(b"content-length:")
                ),
                0,
            )
            self.requests.append(head + await reader.readexactly(length))
            await self.answer(reader, writer)
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()


@asynccontextmanager
async def peer(answer: Answer) -> AsyncIterator[Peer]:
    """Run a badly behaved server while the block lasts."""
    made = Peer(answer)
    server = await asyncio.start_server(made.serve, "127.0.0.1", 0)
    made.port = server.sockets[0].getsockname()[1]
    try:
        yield made
    finally:
        server.close()


def says(raw: bytes) -> Answer:
    """Return an answer of exactly these bytes."""

    async def answer(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(raw)
        await writer.drain()

    return answer


async def reset(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Break the connection without a word."""
    writer.transport.abort()


async def silence(reader: asyncio.StreamReader, _: asyncio.StreamWriter) -> None:
    """Take the request and never answer."""
    await reader.read()


def http(body: bytes, status: str = "200 OK", length: int | None = None, extra: str = "") -> bytes:
    """Return a whole HTTP answer."""
    size = len(body) if length is None else length
    head = (
        f"HTTP/1.1 {status}\r\ncontent-type: application/json\r\ncontent-length: {size}\r\n{extra}\r\n"
    )
    return head.encode() + body


def client_of(port: int, *, read_only: bool = False, speed: float = 1.0) -> ExchangeClient:
    """Return a client for a server on loopback; a higher ``speed`` shortens its time-outs."""
    clock = SystemClock() if speed == 1 else ScaledClock(speed=speed, start=DEFAULT_START)
    return ExchangeClient(
        http=open_http(f"http://127.0.0.1:{port}/v1", TOKEN),
        limiter=Limiter(clock),
        clock=clock,
        read_only=read_only,
    )


async def failure_of(client: ExchangeClient) -> ExchangeError:
    """Return what a creation ends in, having looked for secrets everywhere in it."""
    with pytest.raises(ExchangeError) as caught:
        await client.create_order(BID)
    await client.close()
    shown = "".join(traceback.format_exception(caught.value)) + repr(caught.value)
    chain: BaseException | None = caught.value
    while chain is not None:
        shown += repr(chain) + repr(vars(chain))
        chain = chain.__cause__ or (None if chain.__suppress_context__ else chain.__context__)
    assert "canary" not in shown
    return caught.value


@pytest.mark.parametrize(
    ("answer", "kind"),
    [
        (says(b""), InDoubt),
        (reset, InDoubt),
        (says(http(b'{"code":', length=20)), InDoubt),
        (says(http(b"")), InDoubt),
        (says(http(b"<html>no</html>")), InDoubt),
        (says(http(b'{"code":1}', "500 Internal Server Error")), InDoubt),
        (says(http(b"<html>", "502 Bad Gateway")), InDoubt),
        (says(http(b'{"code":0}', "302 Found", extra="location: http://127.0.0.1:9/\r\n")), None),
        (says(b"SSH-2.0-OpenSSH\r\n"), InDoubt),
        (says(http(b'{"code":3}')), InvalidToken),
        (says(http(b'{"code":5}')), RateLimited),
        (says(http(b"", "429 Too Many Requests", extra="retry-after: 7\r\n")), RateLimited),
        (says(http(b'{"code":6,"error":"not_enough_balance"}')), Refused),
    ],
)
async def test_each_misbehaviour_is_one_of_three_outcomes(
    answer: Answer, kind: type[ExchangeError] | None
) -> None:
    """And it is sent exactly once: whether to try again is not decided here."""
    async with peer(answer) as server:
        client = client_of(server.port)
        if kind is None:
            await client.create_order(BID)
            await client.close()
        else:
            assert isinstance(await failure_of(client), kind)
        assert len(server.requests) == 1
        assert b"canary password" in server.requests[0]


async def test_a_server_that_never_answers_leaves_doubt() -> None:
    """After the time-out; it may have been carried out."""
    async with peer(silence) as server:
        assert isinstance(await failure_of(client_of(server.port, speed=1000)), InDoubt)
        assert len(server.requests) == 1


async def test_where_nobody_listens_nothing_was_sent() -> None:
    """A refused connection is certain: safe to try again, and no request is counted."""
    async with peer(silence) as server:
        port = server.port
    client = client_of(port)
    assert isinstance(await failure_of(client), NotSent)
    assert client.limiter.sent == 0


async def test_a_read_only_client_sends_nothing_that_changes_anything() -> None:
    """Not one byte of the four changing endpoints leaves."""
    async with peer(says(http(b'{"code":0}'))) as server:
        client = client_of(server.port, read_only=True)
        price = Price(Decimal(1), Currency.BTC)
        for call in (
            client.create_order(BID),
            client.set_spot_price(OrderId(1), price),
            client.cancel_order(OrderId(1)),
            client.set_server_settings(
                "a", availability=True, mrl_hours=1, on_demand=Decimal(1), spot=Decimal(1)
            ),
        ):
            with pytest.raises(NotSent):
                await call
        await client.close()
        assert server.requests == []


async def test_a_launch_over_the_limits_is_never_sent() -> None:
    """The exchange would refuse it; the message names the key and no value."""
    async with peer(says(http(b'{"code":0}'))) as server:
        client = client_of(server.port)
        bad = PlaceBid(
            server=BID.server,
            price=BID.price,
            target="t",
            launch=Launch(image="a", ssh_password="canary!"),
        )
        with pytest.raises(NotSent, match=r"launch\.ssh_password"):
            await client.create_order(bad)
        await client.close()
        assert server.requests == []


async def test_a_cancellation_never_reports_the_host() -> None:
    """``issue`` would send the vendor's staff after somebody."""
    async with peer(says(http(b'{"code":0}'))) as server:
        client = client_of(server.port)
        await client.cancel_order(OrderId(39))
        await client.close()
        assert server.requests[0].endswith(b'{"id":39}')


async def test_all_ten_endpoints_against_the_simulated_exchange() -> None:
    """The whole API over real HTTP, in the exchange's own words."""
    exchange = build_exchange(seed=1, servers=40, rivals=False, token=TOKEN)
    calls: list[CallReport] = []
    async with running_sim(exchange, speed=100) as sim:
        assert isinstance(sim.clock, ScaledClock)
        client = ExchangeClient(
            http=open_http(sim.base_url, TOKEN),
            limiter=Limiter(sim.clock),
            clock=sim.clock,
            on_call=calls.append,
        )
        assert {wallet.currency for wallet in await client.wallets()} >= {Currency.BTC}
        (rig, _) = await client.my_servers()
        assert (await client.server_config(rig.name)).name == rig.name
        await client.set_server_settings(
            rig.name, availability=True, mrl_hours=24, on_demand=Decimal("0.0002"), spot=Decimal("1e-7")
        )
        changed = await client.server_config(rig.name)
        assert changed.spot_floor[Currency.BTC].amount == Decimal("0.0000001")
        market = await client.marketplace()
        listing = next(
            each
            for each in market.listings.values()
            if not each.rented and Currency.BTC in each.spot_floor and each.takes(Currency.BTC)
        )
        floor = listing.spot_floor[Currency.BTC]
        book = await client.spot_marketplace(listing.server)
        assert book.rates.knows(Currency.BTC)
        await client.create_order(
            PlaceBid(server=listing.server, price=floor, target="t", launch=Launch(image="nvidia/cuda"))
        )
        await sim.clock.sleep(10)
        (order,) = (await client.my_orders()).orders
        assert (order.server, order.price) == (listing.server, floor)
        higher = floor.one_tick_up()
        await client.set_spot_price(order.order, higher)
        assert (await client.my_orders()).orders[0].price == higher
        await client.cancel_order(order.order)
        assert (await client.my_orders()).orders == ()
        assert (await client.my_orders(completed=True)).orders[0].expired
        await client.close()
    assert {call.outcome for call in calls} == {"ok"}
    assert len({call.endpoint for call in calls}) == 10


async def test_a_wrong_token_is_refused_as_such() -> None:
    """Code 3, recognised whatever is asked."""
    async with running_sim(build_exchange(seed=1, servers=5, token="another")) as sim:
        client = ExchangeClient(
            http=open_http(sim.base_url, TOKEN), limiter=Limiter(sim.clock), clock=sim.clock
        )
        with pytest.raises(InvalidToken) as caught:
            await client.wallets()
        await client.close()
    assert TOKEN not in "".join(traceback.format_exception(caught.value))
