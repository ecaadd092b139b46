"""What may be odd about a whole day's market, and what may befall it in between."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from decimal import Decimal
from random import Random
from typing import Any

from bidder.chaos.lies import ODD_TEXT
from bidder.domain.money import Currency, Money
from bidder.domain.policy import Rails, Target
from bidder.sim.exchange import SimExchange
from bidder.sim.generate import generate
from bidder.sim.market import Market
from bidder.sim.moments import HOUR
from bidder.sim.rules import Fixed, Rules, ShareOfFloor, ShareOfPrice
from bidder.sim.world import Listing, World

BEYOND = 2**53
_CROWD = 500
_UNATTENDED_DAYS = 5


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

    def leave(_: int) -> None:
        _leave(market, orders)

    market.schedule(market.at + HOUR, leave)


def _leave(market: Market, orders: list[Any]) -> None:
    for order in orders:
        market.end(order, "left")


def rails_of(seed: int, targets: Sequence[Target], usual: Rails, world: World) -> Rails:
    """Return the owner's rails of one seed: on five days of six there is one that bites."""
    chance = Random(f"rails/{seed}")
    rails = replace(usual, allow_above_on_demand=True)
    wanted = sum(target.want for target in targets)
    most = sum((t.ceiling.price.amount * t.want for t in targets), Decimal(0))
    share = Decimal(str(round(chance.uniform(0.5, 3), 3)))
    match seed % 3, seed // 3 % 8:
        case 0, _:
            return replace(rails, max_usd_per_day=most * share)
        case 1, _:
            return replace(rails, max_orders=max(1, wanted - 1))
        case 2, 0:
            return replace(rails, max_creations_per_hour=wanted)
        case 2, 5:
            return replace(rails, max_creations_per_server_hour=1)
        case 2, 6:
            return replace(rails, min_balance=_nearly_all(world, spent_usd=most * share / 10))
        case 2, 7:
            # Some server may be rented for weeks, and all of these would have to be paid.
            return replace(rails, max_usd_if_unattended=most * share * _UNATTENDED_DAYS)
        case _:
            return rails


def _nearly_all(world: World, *, spent_usd: Decimal) -> tuple[Money, ...]:
    """Return balances to keep that so much spending, in any currency, will go below."""
    return tuple(
        Money(world.balances[coin] - spent_usd / world.rates[coin], Currency(coin))
        for coin in world.balances
        if coin in world.rates
    )
