"""A person who orders by hand beside the daemon, and the judge of who touches these orders.

The chance is their own, so that a day on which nobody orders by hand stays what it was. They order only
what no target wants: on a server that one wants, nobody but the person could say whether an order came
of a creation that is in doubt, and the daemon may take it for that.
"""

from collections.abc import Callable
from decimal import Decimal
from random import Random
from typing import TYPE_CHECKING

from bidder.sim.auction import Order
from bidder.sim.market import Watcher
from bidder.sim.moments import SECOND

if TYPE_CHECKING:
    from bidder.chaos.day import ChaosDay

_ORDERS_EVERY_SECONDS = 4 * 3600.0
_KEEPS_SECONDS = (1800.0, 4 * 3600.0)


class Person:
    """Orders by hand now and then, and cancels it again."""

    def __init__(self, day: "ChaosDay", *, by_chance: bool) -> None:
        """Be about on this day; ``by_chance`` lets them order of themselves."""
        self._day = day
        self._chance = Random(f"person/{day.seed}")
        self.by_hand: set[int] = set()  # every order that they ever made
        self.acts = False  # what is done at this moment is done by hand
        self._by_chance = by_chance
        self._orders_at = self._chance.expovariate(1 / _ORDERS_EVERY_SECONDS)

    def comes_by(self) -> None:
        """Order something if it is time to."""
        true = self._day.clock.true
        if self._by_chance and true >= self._orders_at:
            self._orders_at = true + self._chance.expovariate(1 / _ORDERS_EVERY_SECONDS)
            self.order()

    def order(self) -> None:
        """Rent a server that no target wants, for a while."""
        day = self._day
        day.exchange.advance(day.transport.now())
        market = day.exchange.market
        taken = {order.server_id for order in market.live.values()} | day.stage.wanted
        for stall in market.stalls.values():
            coins = [coin for coin, floor in stall.floor.items() if floor > 0 and coin in market.rates]
            if stall.server_id in taken or not stall.open_to_bids or stall.hosted_by_us or not coins:
                continue
            self.acts = True
            order = market.admit(stall, currency=coins[0], price=stall.floor[coins[0]] * 2, mine=True)
            self.by_hand.add(order.order_id)
            order.listed_from = market.at
            market.open_own(order, stall)
            self.acts = False
            day.say(f"A person makes order {order.order_id} on server {stall.server_id}.")
            self._cancel_later(order)
            return

    def leave(self) -> None:
        """Cancel all that was ordered by hand."""
        live = self._day.exchange.market.live
        for number in sorted(self.by_hand & live.keys()):
            self._cancel(live[number])

    def _cancel_later(self, order: Order) -> None:
        market = self._day.exchange.market
        kept = round(self._chance.uniform(*_KEEPS_SECONDS) * SECOND)
        market.schedule(market.at + kept, lambda _: self._cancel(order))

    def _cancel(self, order: Order) -> None:
        self.acts = True
        self._day.exchange.market.end(order, "cancelled")
        self.acts = False


class StrangersJudge(Watcher):
    """Sees each new price and each cancellation that the exchange carries out, and of whose order."""

    def __init__(self, day: "ChaosDay", violated: Callable[[str], None]) -> None:
        """Judge one day; ``violated`` is told what was done to an order of a person's."""
        self._day = day
        self._violated = violated
        self._given: set[int] = set()  # the owner has said `adopt: true` while they ran
        day.exchange.market.watchers.append(self)

    def passed(self) -> None:
        """Take note of what may be adopted: it stays the daemon's when ``adopt`` is taken back."""
        if self._day.policy.adopt:
            self._given |= self._day.person.by_hand & self._day.exchange.market.live.keys()

    def priced(self, order: Order, before: Decimal, at: int) -> None:  # noqa: ARG002 - Watcher's
        """Judge a new price."""
        if self._is_anothers(order):
            self._violated(f"order {order.order_id}, made by hand, from {before} to {order.price}")

    def ended(self, order: Order, at: int) -> None:  # noqa: ARG002 - Watcher's
        """Judge a cancellation; what the exchange ends by itself is nobody's doing."""
        if order.end_reason == "cancelled" and self._is_anothers(order):
            self._violated(f"order {order.order_id}, made by hand, was cancelled")

    def _is_anothers(self, order: Order) -> bool:
        day = self._day
        if order.order_id not in day.person.by_hand or day.person.acts:
            return False
        return not day.policy.adopt and order.order_id not in self._given
