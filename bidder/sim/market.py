"""The market as a state machine in event time: books, rentals, outages, floors, rates, charges.

Nothing here reads a clock or a socket. ``advance`` plays every event up to a moment in order; the
methods that change something are called by the exchange's endpoints (for the account), by rivals
and by the weather (strangers' rentals, outages, hosts' new prices).
"""

import heapq
import itertools
from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal

from bidder.domain.money import Currency
from bidder.sim import auction, billing
from bidder.sim.auction import ClockEvent, Order, Stall
from bidder.sim.moments import HOUR, MINUTE, SECOND, span
from bidder.sim.rules import Rules, lowest_settable
from bidder.sim.world import HostedServer, World


class Watcher:
    """Sees everything that happens in the market; every method does nothing unless overridden."""

    def created(self, order: Order, at: int) -> None:
        """Take note of a new order of the account."""

    def priced(self, order: Order, before: Decimal, at: int) -> None:
        """Take note of an accepted new price of an order of the account."""

    def switched(self, order: Order, at: int) -> None:
        """Take note that an order of the account began or ceased to run."""

    def ended(self, order: Order, at: int) -> None:
        """Take note that an order of the account ended."""

    def charged(self, order: Order, added: Decimal, at: int) -> None:
        """Take note of a charge (price x microseconds, without fees) at the present rates."""

    def changed(self, stall: Stall, at: int) -> None:
        """Take note of any change in a server's book, state or prices."""

    def rates_moved(self, at: int) -> None:
        """Take note that the currency rates have changed."""


@dataclass(frozen=True, slots=True)
class TooSoon:
    """A lowering before the clock opens."""

    opens_at: int
    started_by: ClockEvent


@dataclass(frozen=True, slots=True)
class StepTooLarge:
    """A lowering by more than one step; ``lowest`` may be set now."""

    lowest: Decimal


@dataclass(frozen=True, slots=True)
class BelowFloor:
    """A price below the server's lowest allowed bid."""

    floor: Decimal


PriceRefusal = TooSoon | StepTooLarge | BelowFloor


class Market:
    """All servers' books and the account's orders, at one moment."""

    def __init__(self, world: World, rules: Rules, start: int) -> None:
        """Open the market at ``start`` (microseconds) with no offers in it."""
        self.world = world
        self.rules = rules
        self.at = start
        self.rates: dict[str, Decimal] = dict(world.rates)
        self.start_rates = dict(world.rates)
        self.wallets = billing.Wallets(dict(world.balances))
        self.own: dict[int, Order] = {}
        self.live: dict[int, Order] = {}  # those of `own` that have not ended
        self.watchers: list[Watcher] = []
        self.book_listeners: list[Callable[[Stall, int], None]] = []
        self.end_listeners: list[Callable[[Order], None]] = []
        self.stalls: dict[int, Stall] = {}
        self.hosted: dict[str, tuple[HostedServer, Stall | None]] = {}
        self._events: list[tuple[int, int, Callable[[int], None]]] = []
        self._ticket = itertools.count()
        self._next_order = itertools.count(world.first_order)
        self._fill(world)
        self.schedule(start + MINUTE, self._minute)

    def _fill(self, world: World) -> None:
        for listing in world.listings:
            self.stalls[listing.server_id] = Stall(
                listing=listing,
                on_demand=dict(listing.on_demand),
                floor=dict(listing.floor),
                rented=listing.rented,
                mrl_hours=listing.mrl_hours,
            )
        for rig in world.hosted:
            stall = None
            if rig.listing is not None:
                stall = Stall(
                    listing=rig.listing,
                    on_demand=dict(rig.listing.on_demand),
                    floor=dict(rig.listing.floor),
                    hosted_by_us=True,
                    mrl_hours=rig.listing.mrl_hours,
                )
                self.stalls[rig.listing.server_id] = stall
            self.hosted[rig.name] = (rig, stall)

    # Time

    def schedule(self, at: int, action: Callable[[int], None]) -> None:
        """Have ``action`` called with ``at`` when the market's time gets there."""
        heapq.heappush(self._events, (at, next(self._ticket), action))

    def advance(self, at: int) -> None:
        """Play everything up to and including ``at``; an earlier moment changes nothing."""
        events = self._events
        while events and events[0][0] <= at:
            due, _, action = heapq.heappop(events)
            self.at = max(self.at, due)
            action(self.at)
        self.at = max(self.at, at)

    # Orders

    def usd(self, amount: Decimal, currency: str) -> Decimal:
        """Return an amount's worth in USD at the present rates."""
        return amount * self.rates[currency]

    def admit(
        self, stall: Stall, *, currency: str, price: Decimal, spot: bool = True, mine: bool = False
    ) -> Order:
        """Put a new offer into the book (``spot``) or prepare a rental; the caller then settles."""
        rules, at = self.rules, self.at
        fee_btc = rules.spot_creation_fee_btc if spot else rules.on_demand_creation_fee_btc
        order = Order(
            order_id=next(self._next_order),
            server_id=stall.server_id,
            currency=currency,
            price=price,
            spot=spot,
            mine=mine,
            created_at=at,
            ends_at=at + stall.mrl_hours * HOUR,
            priced_at=at,
            fee_percent=rules.spot_fee_percent if spot else rules.on_demand_fee_percent,
            creation_fee=self.creation_fee(fee_btc, currency) if mine else Decimal(0),
        )
        if rules.creation_starts_clock:
            self._start_clock(order, "creation")
        if spot:
            stall.offers.append(order)
        self.schedule(order.ends_at, lambda _: self.end(order, "mrl"))
        return order

    def creation_fee(self, fee_btc: Decimal, currency: str) -> Decimal:
        """Return a creation fee given in bitcoin, in ``currency`` at the present rates."""
        if currency == Currency.BTC:
            return fee_btc
        btc = self.rates.get(Currency.BTC, Decimal(0))
        return (fee_btc * btc / self.rates[currency]).quantize(Decimal("1e-8"))

    def open_own(self, order: Order, stall: Stall) -> None:
        """Book a new order of the account: fee, records, and for a rental the server itself."""
        self.own[order.order_id] = order
        self.live[order.order_id] = order
        self.wallets.pay_creation(order.currency, order.creation_fee)
        for watcher in self.watchers:
            watcher.created(order, self.at)
        if not order.spot:
            stall.tenant = order
            stall.rented = True
            stall.fragment = None
        self.settle(stall)

    def lowest_price(self, order: Order) -> Decimal:
        """Return the lowest price that may be set for this order once its clock is open."""
        stall = self.stalls[order.server_id]
        floor = stall.floor.get(order.currency, Decimal(0))
        lowest = lowest_settable(
            self.rules.step,
            price=order.price,
            currency=order.currency,
            floor=floor,
            on_demand=stall.on_demand.get(order.currency, Decimal(0)),
            usd_per_unit=self.start_rates.get(order.currency, Decimal(1)),
        )
        return max(lowest, floor)

    def set_price(self, order: Order, price: Decimal) -> PriceRefusal | None:
        """Change a live offer's price, or say which rule forbids it; a refusal changes nothing."""
        stall = self.stalls[order.server_id]
        refusal = self._price_refusal(order, stall, price)
        if refusal is not None:
            return refusal
        if price == order.price:
            return None
        before = order.price
        if order.active:
            self._accrue(order)
        if price < before:
            self._start_clock(order, "lowering")
        elif self.rules.raise_starts_clock:
            self._start_clock(order, "raise")
        order.price = price
        order.priced_at = self.at
        if order.mine:
            for watcher in self.watchers:
                watcher.priced(order, before, self.at)
        self.settle(stall)
        return None

    def end(self, order: Order, reason: str) -> None:
        """End an order for good; its server goes to the next in line."""
        if not order.live:
            return
        stall = self.stalls[order.server_id]
        if order.active:
            self._switch(stall, order, on=False)
        order.ended_at = self.at
        order.end_reason = reason
        if order.spot:
            stall.offers.remove(order)
        if stall.tenant is order:
            stall.tenant = None
            stall.rented = False
            stall.fragment = None
        if order.mine:
            del self.live[order.order_id]
            for watcher in self.watchers:
                watcher.ended(order, self.at)
        for listener in self.end_listeners:
            listener(order)
        self.settle(stall)

    # What strangers and hosts do

    def set_rented(self, stall: Stall, *, rented: bool) -> None:
        """Let a stranger rent the server on demand, or give it back."""
        if stall.tenant is None and stall.rented != rented:
            stall.rented = rented
            stall.fragment = None
            self.settle(stall)

    def set_online(self, stall: Stall, *, online: bool) -> None:
        """Take the server offline, or back."""
        if stall.online != online:
            stall.online = online
            stall.fragment = None
            self.settle(stall)

    def set_prices(self, stall: Stall) -> None:
        """Take note that the host has changed ``stall``'s prices, visibility or rental limit."""
        stall.fragment = None
        self.settle(stall)

    def move_rates(self, rates: dict[str, Decimal]) -> None:
        """Set new currency rates; books in several currencies may change hands by it."""
        self.charge_all()
        self.rates = rates
        for watcher in self.watchers:
            watcher.rates_moved(self.at)
        for stall in self.stalls.values():
            offers = stall.offers
            if len(offers) > 1 and any(offer.currency != offers[0].currency for offer in offers):
                self.settle(stall)

    # The auction

    def settle(self, stall: Stall) -> None:
        """Run the auction of one server again after anything about it has changed."""
        best = self._in_time(stall, self._wanted(stall))
        holder = stall.active
        if best is not holder:
            if holder is not None and holder.active:
                self._switch(stall, holder, on=False)
            if best is not None:
                self._switch(stall, best, on=True)
            if holder is not None and holder.live and holder.spot:
                outbid = stall.open_to_bids
                if (self.rules.outbid if outbid else self.rules.displaced) == "expires":
                    self.end(holder, "outbid" if outbid else "displaced")
                    return
        for watcher in self.watchers:
            watcher.changed(stall, self.at)
        for listener in self.book_listeners:
            listener(stall, self.at)

    def _wanted(self, stall: Stall) -> Order | None:
        tenant = stall.tenant
        if tenant is not None:
            return tenant if stall.online else None
        return auction.winner(stall, self.rates, self.rules)

    def _in_time(self, stall: Stall, best: Order | None) -> Order | None:
        """Return who runs now, where ``best`` has won: before the handover is over, who ran before."""
        holder, delay = stall.active, span(self.rules.handover_seconds)
        if best is None or best is holder or not best.spot or not delay:
            stall.heir = None
            return best
        if stall.heir is not best:
            stall.heir = best
            heir_since = best.won_at = self.at
            self.schedule(self.at + delay, lambda _: self._hand_over(stall, best, heir_since))
        if self.at >= best.won_at + delay:
            stall.heir = None
            return best
        stays = holder is not None and holder.live and holder.spot and stall.open_to_bids
        return holder if stays else None

    def _hand_over(self, stall: Stall, heir: Order, since: int) -> None:
        if stall.heir is heir and heir.won_at == since:
            self.settle(stall)

    def _switch(self, stall: Stall, order: Order, *, on: bool) -> None:
        if on:
            order.active = True
            stall.active = order
            if order.mine:
                self._charged(order, billing.begin(order, self.rules, self.at))
        else:
            self._accrue(order)
            order.active = False
            stall.active = None
        if order.mine:
            for watcher in self.watchers:
                watcher.switched(order, self.at)

    # The price rules

    def _price_refusal(self, order: Order, stall: Stall, price: Decimal) -> PriceRefusal | None:
        floor = stall.floor.get(order.currency, Decimal(0))
        if price >= order.price:
            return BelowFloor(floor) if order.price < price < floor else None
        too_soon: PriceRefusal | None = None
        if self.at < order.lowering_opens_at and order.clock_started_by is not None:
            too_soon = TooSoon(order.lowering_opens_at, order.clock_started_by)
        too_far: PriceRefusal | None = None
        lowest = self.lowest_price(order)
        if floor > order.price:
            too_far = BelowFloor(floor)
        elif price < lowest:
            # Within one step, but under the floor: the floor is what forbids it.
            within = lowest == floor and self._step_allows(order, stall, price)
            too_far = BelowFloor(floor) if within else StepTooLarge(lowest)
        if self.rules.clock_before_step:
            return too_soon or too_far
        return too_far or too_soon

    def _step_allows(self, order: Order, stall: Stall, price: Decimal) -> bool:
        return price >= lowest_settable(
            self.rules.step,
            price=order.price,
            currency=order.currency,
            floor=stall.floor.get(order.currency, Decimal(0)),
            on_demand=stall.on_demand.get(order.currency, Decimal(0)),
            usd_per_unit=self.start_rates.get(order.currency, Decimal(1)),
        )

    def _start_clock(self, order: Order, event: ClockEvent) -> None:
        order.lowering_opens_at = self.at + span(self.rules.lowering_pause_seconds)
        order.clock_started_by = event

    # Money

    def charge_all(self) -> None:
        """Charge every running order of the account up to now."""
        for order in self.live.values():
            if order.active:
                self._accrue(order)

    def _accrue(self, order: Order) -> None:
        if order.mine:
            self._charged(order, billing.accrue(order, self.rules, self.at))

    def _charged(self, order: Order, added: Decimal) -> None:
        if added == 0:
            return
        self.wallets.pay_charge(order.currency, added, order.fee_percent)
        for watcher in self.watchers:
            watcher.charged(order, added, self.at)

    def _minute(self, at: int) -> None:
        self.schedule(at + MINUTE, self._minute)
        self.charge_all()
        if not self.live:
            return
        empty = {o.currency for o in self.live.values() if self.wallets.balance(o.currency) <= 0}
        for order in [o for o in self.live.values() if o.currency in empty]:
            self.end(order, "balance")


def seconds_until(opens_at: int, at: int, decimals: int) -> Decimal:
    """Return the seconds from ``at`` to ``opens_at``, rounded up to so many decimals."""
    unit = SECOND // 10**decimals
    return Decimal(-(-(opens_at - at) // unit)).scaleb(-decimals)
