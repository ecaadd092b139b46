"""A given number of rivals: of every kind, never more than there are, always going on."""

from collections import Counter
from datetime import timedelta
from decimal import Decimal

import pytest
from unit.sim.desk import BTC, START

from bidder.sim.exchange import SimExchange
from bidder.sim.generate import generate
from bidder.sim.rivals import Kind, Rival


def crowded(size: int, *, servers: int = 60, seed: int = 3) -> SimExchange:
    """Return a world with so many rivals."""
    return SimExchange(generate(seed, servers), seed=seed, start=START, crowd=size)


def present(exchange: SimExchange) -> list[Rival]:
    """Return the rivals whose offers stand now."""
    offers = (offer for stall in exchange.market.stalls.values() for offer in stall.offers)
    return [offer.rival for offer in offers if offer.rival is not None]


@pytest.mark.parametrize("size", [0, 5, 50])
def test_no_more_rivals_bid_than_there_are(size: int) -> None:
    """At no hour of two days; and most of them do bid."""
    exchange, seen = crowded(size), []
    for hour in range(48):
        exchange.advance(START + timedelta(hours=hour))
        seen.append(len(present(exchange)))
    assert max(seen) <= size
    assert sum(seen) / 48 >= size * 0.5


def test_five_are_one_of_each_kind() -> None:
    """Whoever goes on to another server stays what it is."""
    exchange, met = crowded(5), Counter[Kind]()
    for minutes in range(0, 48 * 60, 10):
        exchange.advance(START + timedelta(minutes=minutes))
        now = Counter(rival.kind for rival in present(exchange))
        assert max(now.values(), default=0) <= 1
        met |= now
    assert set(met) == set(Kind)


def test_they_go_from_server_to_server() -> None:
    """In two days five rivals are seen on more than five servers."""
    exchange, servers = crowded(5), set()
    for hour in range(48):
        exchange.advance(START + timedelta(hours=hour))
        servers |= {stall.server_id for stall in exchange.market.stalls.values() if stall.offers}
    assert len(servers) > 5


def test_the_same_seed_gives_the_same_crowd_also_after_a_new_start() -> None:
    """And what a player does to one server sends nobody elsewhere at the beginning."""
    exchange = crowded(20)
    again = exchange.restarted()

    def state(world: SimExchange) -> list[object]:
        return [
            (stall.server_id, [(o.price, o.currency, o.active) for o in stall.offers])
            for stall in world.market.stalls.values()
        ]

    assert state(exchange) == state(again)
    for world in (exchange, again):
        world.advance(START + timedelta(hours=6))
    assert state(exchange) == state(again)
    assert state(exchange) != state(crowded(20, seed=4))


def test_they_answer_a_bid_as_any_rival_does() -> None:
    """Where ours goes above one that runs, somebody is outbid."""
    exchange = crowded(50, servers=20)
    market = exchange.market
    stall = next(s for s in market.stalls.values() if s.active is not None and s.listing.takes(BTC))
    order = market.admit(stall, currency=BTC, price=Decimal(1), mine=True)
    market.open_own(order, stall)
    assert stall.active is order
