"""What the guard may do, judged on the wire: each of its requests is looked at before it goes out.

The exchange's book says what an order costs and whose it is, the lease's row says who trades. What the
guard says of itself counts for nothing.
"""

import json
from collections import Counter
from datetime import timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import httpx

from bidder.chaos.listed import orders_in
from bidder.domain.ids import AccountName
from bidder.domain.intents import IntentState
from bidder.domain.unattended import Then
from bidder.store.queries import Queries

if TYPE_CHECKING:
    from sqlalchemy import Engine

    from bidder.chaos.day import ChaosDay

# A sign of life from further ahead is none that the guard goes by.
_MISDATED = timedelta(minutes=5)


class Overhearing(httpx.AsyncBaseTransport):
    """The wire of one round of the guard, and the judge of what goes over it."""

    def __init__(self, day: "ChaosDay", engine: "Engine", guard: str, then: Then) -> None:
        """Listen to the guard that calls itself ``guard`` in the lease."""
        self._day = day
        self._queries = Queries(engine, day.policy.account)
        self.guard = guard
        self._then = then

    def holder(self) -> str:
        """Return who has the lease, or nothing."""
        with self._day.machine.asleep():
            held = self._queries.lease()
        return "" if held is None else held.holder

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Judge one request and carry it on."""
        self._who_trades(request)
        if request.method == "POST":
            self._what_changes(request.url.path.rsplit("/", 1)[-1], await request.aread())
        return await self._day.transport.handle_async_request(request)

    def _who_trades(self, request: httpx.Request) -> None:
        day, who = self._day, self.holder()
        if who != self.guard:
            day.watch.violated(
                "the guard waits", f"{request.url.path} sent while {who or 'nobody'} has the lease"
            )
        elif day.app is not None:
            # It has shown so between the guard's two looks, also where its machine had just woken.
            day.watch.violated("the guard waits", f"{request.url.path} sent while a daemon lives")

    def _what_changes(self, endpoint: str, content: bytes) -> None:
        day, body = self._day, json.loads(content, parse_float=Decimal)
        if self._then is Then.NOTICE:
            day.watch.violated("the guard only ends", f"{endpoint} sent where only a notice is wished")
        if endpoint not in ("set_spot_price", "cancel_order"):
            day.watch.violated("the guard only ends", f"{endpoint} sent")
            return
        order = day.exchange.market.own.get(body.get("order_id", body.get("id")))
        if order is None or order.order_id in day.person.by_hand:
            day.watch.violated("the guard only ends", f"{endpoint} of an order that is not ours")
            return
        price = body.get("desired_price", Decimal(0))
        if price > max(order.price, self._told(order)):
            what = f"order {order.order_id} raised from {order.price} to {price}"
            day.watch.violated("the guard only ends", what)

    def _told(self, order: Any) -> Decimal:
        """Return the price as the list of our orders last had it: a late change is not known yet."""
        listed = orders_in(self._day.transport.last_orders)
        return next(
            (Decimal(str(each["price"])) for each in listed if each["id"] == order.order_id), order.price
        )


def left_alive(day: "ChaosDay", account: AccountName) -> tuple[int, ...]:
    """Return the daemon's live orders that a guard had the time and the means to cancel.

    Not meant are those that it must leave alone: a person's, two on one server, servers that wait for a
    person, what the wire made by itself and what a restored database has never heard of; nor any where
    the clock was set back behind the daemon's last sign of life.
    """
    day.exchange.advance(day.transport.now())
    with day.machine.asleep():
        queries = Queries(day.engine, account)
        seen, intents = queries.snapshot(), queries.open_intents()
        known = {int(record.holding.order.order) for record in queries.orders() if record.holding.ours}
    if seen is None or seen.at > day.clock.now() + _MISDATED:
        return ()
    live = day.exchange.market.live.values()
    counts = Counter(order.server_id for order in live)
    frozen = {int(intent.server) for intent in intents if intent.state is IntentState.AMBIGUOUS}

    def spared(order: Any) -> bool:
        number = order.order_id
        unheard_of = number <= day.forgotten_to or number in day.wires_own
        return (
            number in day.person.by_hand
            or counts[order.server_id] > 1
            or order.server_id in frozen
            or (unheard_of and number not in known)
        )

    return tuple(sorted(order.order_id for order in live if not spared(order)))
