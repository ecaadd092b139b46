"""An exchange on which ``active`` follows the bids late: the whole daemon in virtual time."""

from datetime import timedelta
from decimal import Decimal
from itertools import pairwise

import jobs
import pytest

from bidder.domain.money import Currency, Price
from bidder.domain.policy import (
    AdaptiveParams,
    Ceiling,
    FixedParams,
    Launch,
    Moving,
    NicehashParams,
    Pace,
    Requirements,
    StrategyParams,
    Target,
    TopPlusTickParams,
    TrackParams,
    TrackRecreateParams,
)
from bidder.sim import auction
from bidder.sim.auction import Order
from bidder.sim.market import Watcher
from bidder.sim.rules import Rules

DELAYS = (5.0, 30.0, 60.0)
STRATEGIES = (AdaptiveParams(), TrackParams(), TopPlusTickParams(), TrackRecreateParams())
STAYING = Moving()
# A virtual hour at one read a second takes long.
PACE = Pace(book_every=timedelta(seconds=8), book_stale_after=timedelta(seconds=20))


class Raises(Watcher):
    """The raises of the account's orders, and those of a bid that nobody's had reached."""

    def __init__(self, run: jobs.Run) -> None:
        """Watch from now on."""
        self.market = run.exchange.market
        self.market.watchers.append(self)
        self.made: list[Decimal] = []
        self.against_itself: list[Decimal] = []

    def priced(self, order: Order, before: Decimal, at: int) -> None:
        """Take note of a raise."""
        if order.price <= before:
            return
        self.made.append(order.price)
        rival = auction.highest_rival_usd(self.market.stalls[order.server_id], self.market.rates)
        if rival is None or before > rival:
            self.against_itself.append(order.price)


def wanting(params: StrategyParams, *, moving: Moving = STAYING) -> Target:
    """Return a target that may bid 9 USD for one server."""
    ceiling = Ceiling(price=Price.parse("9", Currency.USD))
    return Target(
        name="patient",
        want=1,
        ceiling=ceiling,
        value=ceiling,
        launch=Launch(image="trainer"),
        requirements=Requirements(),
        params=params,
        currencies=(Currency.USD,),
        restart=jobs.RESTART,
        moving=moving,
    )


def begun(target: Target, delay: float, *floors: str) -> jobs.Run:
    """Return a day on servers with these floors, on which each handover takes so many seconds."""
    servers = [
        jobs.server(number, floor=floor, on_demand="20") for number, floor in enumerate(floors, 1)
    ]
    return jobs.begin(target, *servers, rules=Rules(handover_seconds=delay), pace=PACE)


@pytest.mark.parametrize(
    ("params", "delay"),
    [(STRATEGIES[0], 5.0), (STRATEGIES[1], 30.0), *((params, 60.0) for params in STRATEGIES)],
    ids=lambda each: each if isinstance(each, float) else type(each).__name__,
)
def test_a_slow_handover_is_waited_for(params: StrategyParams, delay: float) -> None:
    """A new order on top of a rival, and two raises: none is repeated, and no fee is paid twice."""
    run = begun(wanting(params), delay, "1", "6")
    run.rival("1.5")
    raises = Raises(run)
    run.at(0.1, lambda now: now.rival("2.5"))
    run.at(0.2, lambda now: now.rival("3"))
    run.run(0.3)
    (order,) = run.orders(spot=True)
    assert order.active
    assert raises.against_itself == []
    assert [price.quantize(Decimal("0.1")) for price in raises.made] == [Decimal("2.5"), Decimal("3.0")]
    assert run.fouls() == 0


@pytest.mark.parametrize(
    "params", [*STRATEGIES, FixedParams(), NicehashParams()], ids=lambda each: type(each).__name__
)
def test_a_free_server_that_is_slow_to_run_is_not_given_up(params: StrategyParams) -> None:
    """Nobody runs there for a minute; elsewhere a second creation fee would buy the same wait."""
    run = begun(wanting(params), 60, "1", "1.1", "1.2")
    run.run(0.1)
    (order,) = run.orders(spot=True)
    assert order.active


@pytest.mark.parametrize("delay", DELAYS)
def test_the_order_that_takes_over_is_kept_until_it_can_run(delay: float) -> None:
    """The old one runs on meanwhile, and goes when the new one has the server."""
    moving = Moving(running=True, overlap=True, pause=timedelta(minutes=6))
    run = begun(wanting(TrackParams(), moving=moving), delay, "5", "6")
    run.at(0.1, lambda now: cheapened(now, 2, "1"))
    run.run(0.3)
    first, second = run.orders(spot=True)
    assert (first.server_id, second.server_id) == (1, 2)
    assert second.active
    assert not first.live
    spells = run.watch.spells(run.clock.now())
    assert all(begin <= end for (_, end), (begin, _) in pairwise(spells)), "it never stands still"


def cheapened(run: jobs.Run, number: int, floor: str) -> None:
    """Let a host ask less from now on."""
    stall = run.exchange.market.stalls[number]
    stall.floor[jobs.USD] = Decimal(floor)
    run.exchange.market.set_prices(stall)


def test_a_book_that_is_topped_is_not_climbed_for_ever() -> None:
    """An exchange that wants more of a lead than anybody would pay keeps a bid from a tenth more."""
    run = begun(wanting(TopPlusTickParams()), 0, "1")
    run.rival("2")
    run.exchange.market.rules = Rules(least_increment_usd=Decimal(5), tie="incumbent")
    raises = Raises(run)
    run.run(0.4)
    (order,) = run.orders(spot=True)
    assert not order.active
    assert Decimal(2) < order.price <= Decimal("2.2001")
    assert len(raises.made) <= 6
