"""A desk at the simulated exchange: requests in virtual time, in worlds to reckon by hand."""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

from bidder.sim import answers
from bidder.sim.answers import Answer, Request
from bidder.sim.auction import Order, Stall
from bidder.sim.exchange import SimExchange
from bidder.sim.rules import Rules
from bidder.sim.world import Listing, World, with_hosted

START = datetime(2026, 1, 5, 12, 0, tzinfo=UTC)
TOKEN = "sim-token"
BTC = "bitcoin"
CLORE = "CLORE-Blockchain"
SERVER = 6

SPECS: dict[str, Any] = {
    "mb": "Z590 GAMING X",
    "cpu": "11th Gen Intel(R) Core(TM) i9-11900 @ 2.50GHz",
    "cpus": "8/16",
    "ram": Decimal("62.67348861694336"),
    "disk": "NVMe disk 247.3623046875GB",
    "disk_speed": 0,
    "gpu": "2x NVIDIA GeForce RTX 3090",
    "gpuram": 24,
    "net": {"up": Decimal("26.38"), "down": Decimal("118.42"), "cc": "CZ"},
}


def make_listing(server_id: int = SERVER, **changes: Any) -> Listing:
    """Return a server of two GPUs: floor 0.00001 BTC or 6 CLORE, on demand 0.00002 or 12."""
    fields: dict[str, Any] = {
        "server_id": server_id,
        "owner": 4,
        "mrl_hours": 73,
        "on_demand": {BTC: Decimal("0.00002"), CLORE: Decimal(12)},
        "floor": {BTC: Decimal("0.00001"), CLORE: Decimal(6)},
        "allowed": (BTC, CLORE),
        "rented": False,
        "specs": SPECS,
        "extras": {"reliability": Decimal("0.99"), "rating": {"avg": 0, "cnt": 0}},
    }
    return Listing(**{**fields, **changes})


def make_world(*listings: Listing, **others: Any) -> World:
    """Return a world of these servers (default: one) and the account's own two rigs."""
    rates = {BTC: Decimal(60000), CLORE: Decimal("0.1"), "USD-Blockchain": Decimal(1)}
    return with_hosted(listings or (make_listing(),), **{"rates": rates, **others})


class Desk:
    """Sends requests to an exchange without rivals; each send waits for its second by itself."""

    def __init__(
        self,
        rules: Rules | None = None,
        world: World | None = None,
        *,
        rivals: bool = False,
        seed: int = 1,
    ) -> None:
        self.rules = rules or Rules(visibility_delay_seconds=(0, 0))
        self.exchange = SimExchange(
            world or make_world(), self.rules, seed=seed, start=START, token=TOKEN, rivals=rivals
        )
        self.now = START
        self.body: dict[str, Any] = {}

    @property
    def market(self) -> Any:
        return self.exchange.market

    def wait(self, seconds: float) -> None:
        self.now += timedelta(seconds=seconds)
        self.exchange.advance(self.now)

    def raw(
        self,
        method: str,
        endpoint: str,
        body: object = None,
        *,
        query: str = "",
        token: str | None = TOKEN,
        prefix: str = "/v1/",
        content: bytes | None = None,
    ) -> Answer:
        """Send at once, whatever the limits say."""
        sent = content if content is not None else b"" if body is None else answers.encoded(body)
        headers: Mapping[str, str] = {} if token is None else {"auth": token}
        request = Request(method=method, path=prefix + endpoint, query=query, headers=headers, body=sent)
        return self.exchange.handle(request, self.now)

    def get(self, endpoint: str, query: str = "", body: object = None) -> dict[str, Any]:
        self.wait(1)
        return decoded(self.raw("GET", endpoint, body, query=query))

    def post(self, endpoint: str, **body: object) -> dict[str, Any]:
        self.wait(5 if endpoint == "create_order" else 1)
        return decoded(self.raw("POST", endpoint, body))

    def bid(
        self, price: str, server: int = SERVER, currency: str = BTC, **more: object
    ) -> dict[str, Any]:
        return self.post(
            "create_order",
            **{
                "currency": currency,
                "image": "cloreai/ubuntu20.04-jupyter",
                "renting_server": server,
                "type": "spot",
                "spotprice": Decimal(price),
                **more,
            },
        )

    def rent(self, server: int = SERVER, currency: str = BTC, **more: object) -> dict[str, Any]:
        return self.post(
            "create_order",
            currency=currency,
            image="cloreai/ubuntu20.04-jupyter",
            renting_server=server,
            type="on-demand",
            **more,
        )

    def reprice(self, price: str, order_id: int | None = None) -> dict[str, Any]:
        wanted = order_id if order_id is not None else self.order().order_id
        return self.post("set_spot_price", order_id=wanted, desired_price=Decimal(price))

    def cancel(self, order_id: int | None = None) -> dict[str, Any]:
        return self.post("cancel_order", id=order_id if order_id is not None else self.order().order_id)

    def orders(self, *, ended: bool = False) -> list[dict[str, Any]]:
        return list(self.get("my_orders", "return_completed=true" if ended else "")["orders"])

    def order(self) -> Order:
        """Return the account's newest order as it really is."""
        newest: Order = list(self.market.own.values())[-1]
        return newest

    def stall(self, server: int = SERVER) -> Stall:
        stall: Stall = self.market.stalls[server]
        return stall

    def rival_bids(self, price: str, server: int = SERVER, currency: str = BTC) -> Order:
        """Have a stranger bid now."""
        order: Order = self.market.admit(self.stall(server), currency=currency, price=Decimal(price))
        self.market.settle(self.stall(server))
        return order

    def stranger_rents(self, *, rented: bool = True, server: int = SERVER) -> None:
        self.market.set_rented(self.stall(server), rented=rented)

    def power(self, *, online: bool, server: int = SERVER) -> None:
        self.market.set_online(self.stall(server), online=online)


def decoded(answer: Answer) -> dict[str, Any]:
    """Return an answer's body, fractions as exact decimals."""
    return dict(answers.decoded(answer.body))
