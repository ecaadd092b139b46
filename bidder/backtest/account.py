"""What an account's orders came to, by the simulated exchange's own book and not by the daemon's."""

from dataclasses import dataclass, field
from decimal import Decimal

from bidder.sim.answers import Answer
from bidder.sim.auction import Order
from bidder.sim.exchange import Observer, SimExchange
from bidder.sim.market import Market, Watcher
from bidder.sim.moments import HOUR

_DAY_HOURS = Decimal(24)
_CHANGING = frozenset({"create_order", "set_spot_price", "cancel_order"})


@dataclass(slots=True, kw_only=True)
class Account(Watcher, Observer):
    """Time held and USD paid, by server, at each moment's rates and without fees; fees apart.

    ``starts`` counts how often an order of ours began to run.
    """

    market: Market
    since: dict[int, int] = field(default_factory=dict)
    held_on: dict[int, int] = field(default_factory=dict)  # microseconds
    paid_on: dict[int, Decimal] = field(default_factory=dict)
    fees: Decimal = Decimal(0)
    starts_on: dict[int, int] = field(default_factory=dict)
    creations: int = 0
    requests: int = 0

    @classmethod
    def watching(cls, exchange: SimExchange) -> "Account":
        """Return an account that counts from now on what happens on this exchange."""
        account = cls(market=exchange.market)
        exchange.market.watchers.append(account)
        exchange.observers.append(account)
        return account

    @property
    def held(self) -> int:
        """Return how long orders ran, in microseconds, all servers together."""
        return sum(self.held_on.values())

    @property
    def paid(self) -> Decimal:
        """Return what was paid for that, in USD."""
        return sum(self.paid_on.values(), Decimal(0))

    @property
    def starts(self) -> int:
        """Return how often an order began to run."""
        return sum(self.starts_on.values())

    def created(self, order: Order, at: int) -> None:  # noqa: ARG002 - a watcher's signature
        self.creations += 1
        self.fees += self.market.usd(order.creation_fee, order.currency)

    def switched(self, order: Order, at: int) -> None:
        if order.active:
            self.starts_on[order.server_id] = self.starts_on.get(order.server_id, 0) + 1
            self.since[order.order_id] = at
        else:
            self._book(order, order.price, at)
            self.since.pop(order.order_id, None)

    def priced(self, order: Order, before: Decimal, at: int) -> None:
        self._book(order, before, at)

    def answered(self, endpoint: str, answer: Answer, at: int) -> None:  # noqa: ARG002 - likewise
        self.requests += endpoint in _CHANGING

    def close(self, at: int) -> None:
        """Count what still runs."""
        for order in self.market.live.values():
            self._book(order, order.price, at)

    def _book(self, order: Order, price: Decimal, at: int) -> None:
        since, server = self.since.get(order.order_id), order.server_id
        if since is None:
            return
        self.held_on[server] = self.held_on.get(server, 0) + at - since
        per_hour = self.market.usd(price, order.currency) / _DAY_HOURS
        paid = per_hour * (at - since) / HOUR
        self.paid_on[server] = self.paid_on.get(server, Decimal(0)) + paid
        self.since[order.order_id] = at
