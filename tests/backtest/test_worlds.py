"""Fleets in generated worlds: what a seed draws, and what is counted of a run."""

from dataclasses import replace
from datetime import timedelta
from decimal import Decimal

import pytest
from unit.sim.desk import BTC, START

from bidder.backtest import worlds
from bidder.backtest.account import Account
from bidder.backtest.worlds import RIVALS, SERVERS, World
from bidder.errors import BadInput
from bidder.sim.exchange import SimExchange
from bidder.sim.generate import generate
from bidder.sim.moments import micros


def test_worlds_are_drawn_from_the_whole_range() -> None:
    """Twenty seeds are small and large, empty and crowded, and the same at each call."""
    drawn = [worlds.drawn(seed) for seed in range(1, 21)]
    assert drawn == [worlds.drawn(seed) for seed in range(1, 21)]
    for values, (least, most) in (
        ([world.servers for world in drawn], SERVERS),
        ([world.rivals for world in drawn], RIVALS),
    ):
        assert least <= min(values) < least + (most - least) / 4
        assert most >= max(values) > most - (most - least) / 4


def test_what_is_wanted_is_three_models_that_are_free() -> None:
    """Each at a price that somebody would pay, in each of the twenty worlds."""
    for seed in range(1, 21):
        wanted = worlds.wishes(worlds.drawn(seed))
        assert len({wish.model for wish in wanted}) == len(wanted) == 3
        assert all(
            0 < wish.on_demand < 100 and wish.gpus >= 1 and wish.want in (1, 2) for wish in wanted
        )


def test_a_world_without_a_free_server_is_refused() -> None:
    """One server, and a stranger has it."""
    taken = next(seed for seed in range(1, 100) if generate(seed, 1).listings[0].rented)
    with pytest.raises(BadInput, match="no server is free"):
        worlds.wishes(World(seed=taken, servers=1, rivals=0))


def test_a_run_depends_on_its_seed_alone_and_pays_no_more_than_on_demand() -> None:
    """Three minutes of one strategy, twice; the ceiling is the median on-demand price."""
    world = worlds.drawn(2)
    played = worlds.play(world, "track", 0.05)
    assert played == worlds.play(world, "track", 0.05)
    assert 0 < played.held < 1  # of the first seconds nothing was held yet
    assert played.price is not None
    assert played.price > 0
    assert played.price_share is not None
    assert 0 < played.price_share <= 1
    # What is held is worth as much more as it is valued, less its starts; its price stays as it is.
    dearer = worlds.play(world, "track", 0.05, worlds.VALUE * 2)
    assert replace(dearer, utility=played.utility) == played
    assert dearer.utility != played.utility


def test_an_account_pays_the_price_for_the_time_it_runs() -> None:
    """0.0024 BTC a day for six hours, then 0.0048 for six more, at the exchange's rate."""
    exchange = SimExchange(generate(2, 20), seed=2, start=START, rivals=False)
    market, account = exchange.market, Account.watching(exchange)
    stall = next(s for s in market.stalls.values() if s.open_to_bids and s.listing.takes(BTC))
    order = market.admit(stall, currency=BTC, price=Decimal("0.0024"), mine=True)
    market.open_own(order, stall)
    rate = market.rates[BTC]
    market.at = micros(START + timedelta(hours=6))
    market.set_price(order, Decimal("0.0048"))
    market.at = micros(START + timedelta(hours=12))
    account.close(market.at)
    assert account.paid == (Decimal("0.0006") + Decimal("0.0012")) * rate
    assert account.held == 12 * 3600 * 1_000_000
    assert (account.starts, account.creations) == (1, 1)
    market.end(order, "left")
    assert account.held == 12 * 3600 * 1_000_000
