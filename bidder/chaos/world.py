"""What may be odd about a whole day's market, and what may befall it in between."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from decimal import Decimal
from random import Random
from typing import Any

from bidder.chaos.lies import ODD_TEXT
from bidder.domain.money import Currency
from bidder.sim.auction import Order
from bidder.sim.exchange import SimExchange
from bidder.sim.generate import generate
from bidder.sim.market import Market
from bidder.sim.moments import HOUR, SECOND
from bidder.sim.rules import Fixed, Rules, ShareOfFloor, ShareOfPrice
from bidder.sim.world import Listing, World

BEYOND = 2**53
_CROWD = 500
# A spike ends well after the next read of its book, and stays short of a war.
_SPIKE_SECONDS = (300.0, 1500.0)
# Around the ceiling: the daemon may raise to it and not beyond.
_NEAR_CEILING = (0.97, 1.05)
_ABOVE_OURS = (1.05, 1.4)


def rules_of(chance: Random) -> Rules:
    """Return one of the many sets of rules that the exchange may have."""
    return Rules(
        outbid=chance.choice(("waits", "expires")),
        displaced=chance.choice(("waits", "expires")),
        creation_starts_clock=chance.random() < 0.6,
        raise_starts_clock=chance.random() < 0.5,
        clock_before_step=chance.random() < 0.5,
        step=chance.choice((Fixed(), ShareOfPrice(Decimal("0.05")), ShareOfFloor(Decimal("0.1")))),
        visibility_delay_seconds=chance.choice(((0.5, 4.0), (10.0, 60.0))),
        refusal_status=chance.choice((200, 429)),
        database_error_status=chance.choice((200, 500)),
        billing=chance.choice(("full_minutes", "begun_minutes")),
    )


def world_of(seed: int, servers: int, *, beyond: bool, odd_text: bool) -> World:
    """Return a seed's market; ``beyond`` lets ids be too large for a binary float."""
    world = generate(seed, servers)
    listings = tuple(_odd(each, beyond=beyond, odd_text=odd_text) for each in world.listings)
    first = BEYOND + 700_001 if beyond else world.first_order
    return replace(world, listings=listings, first_order=first)


def _odd(listing: Listing, *, beyond: bool, odd_text: bool) -> Listing:
    # The odd ones, which a float would round to a neighbour.
    if beyond and listing.server_id % 2:
        listing = replace(listing, server_id=BEYOND + listing.server_id)
    if odd_text:
        specs: Mapping[str, Any] = {**listing.specs, "mb": ODD_TEXT, "cpu": ODD_TEXT, "disk": ODD_TEXT}
        listing = replace(listing, specs=specs)
    return listing


def floors_jump(exchange: SimExchange, chance: Random) -> None:
    """Let a few hosts ask for something else altogether."""
    market = exchange.market
    stalls = [stall for stall in market.stalls.values() if not stall.hosted_by_us]
    for stall in chance.sample(stalls, min(8, len(stalls))):
        factor = Decimal(repr(round(chance.choice((0.2, 0.5, 0.8, 1.3, 2.0, 5.0)), 1)))
        for currency, floor in stall.floor.items():
            stall.floor[currency] = (floor * factor).quantize(Decimal("1e-8"))
        market.set_prices(stall)


def rates_jump(exchange: SimExchange, chance: Random) -> None:
    """Let one coin be worth something else from one moment to the next."""
    market = exchange.market
    coin = str(chance.choice((Currency.BTC, Currency.CLORE)))
    factor = Decimal(repr(chance.choice((0.4, 0.7, 0.9, 1.1, 1.4, 2.5))))
    rates = dict(market.rates)
    # Back towards where it began, or a few days of this would leave no market at all.
    start = market.start_rates[coin]
    moved = start * factor if chance.random() < 0.7 else start
    rates[coin] = round(moved, 5 - moved.adjusted())
    market.move_rates(rates)


def rivals_spike(exchange: SimExchange, chance: Random, ceilings: Mapping[int, Decimal]) -> int:
    """Let a stranger outbid each running spot order of the account for some minutes; return how many.

    Half of them bid around the ceiling, in USD per day for the whole server, that ``ceilings`` names for
    the order. Once they have left, the bid that won against them has a long way down.
    """
    market, struck = exchange.market, 0
    for order in list(market.live.values()):
        stall = market.stalls[order.server_id]
        ceiling = ceilings.get(order.order_id)
        if not order.spot or not order.active or ceiling is None or not stall.open_to_bids:
            continue
        price = ceiling / market.rates[order.currency] * _drawn(chance, *_NEAR_CEILING)
        if chance.random() < 0.5 or price <= order.price:
            price = order.price * _drawn(chance, *_ABOVE_OURS)
        rival = market.admit(stall, currency=order.currency, price=price.quantize(Decimal("1e-8")))
        market.settle(stall)
        _leave_later(market, [rival], round(chance.uniform(*_SPIKE_SECONDS) * SECOND))
        struck += 1
    return struck


def _drawn(chance: Random, low: float, high: float) -> Decimal:
    return Decimal(repr(round(chance.uniform(low, high), 4)))


def crowd_in(exchange: SimExchange, chance: Random, servers: set[int]) -> None:
    """Let 500 strangers bid on one of these servers, for an hour."""
    market = exchange.market
    able = [market.stalls[s] for s in sorted(servers) if s in market.stalls]
    able = [stall for stall in able if stall.open_to_bids and any(stall.floor.values())]
    if not able:
        return
    stall = chance.choice(able)
    currency, floor = next((c, f) for c, f in stall.floor.items() if f > 0 and c in market.rates)
    orders = []
    for _ in range(_CROWD):
        price = floor * Decimal(repr(round(chance.uniform(1.0, 1.4), 4)))
        orders.append(market.admit(stall, currency=currency, price=price.quantize(Decimal("1e-8"))))
    market.settle(stall)
    _leave_later(market, orders, HOUR)


def _leave_later(market: Market, orders: Sequence[Order], after: int) -> None:
    def leave(_: int) -> None:
        for order in orders:
            market.end(order, "left")

    market.schedule(market.at + after, leave)
