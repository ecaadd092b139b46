"""Many servers that rivals hold: the whole daemon still gets what is to be had, in virtual time."""

import asyncio
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal

from virtual import Day, begin, listing_of

from bidder.app.preview import preview
from bidder.domain.ids import ServerId
from bidder.domain.market import Listing
from bidder.domain.money import Currency, Price
from bidder.domain.policy import Ceiling, Per, Policy, Requirements

MINUTES = timedelta(minutes=1)
SERVERS, TAKEN = 400, 220
# For each GPU; a rival bids more than the least reliable server counts as at its floor.
FLOOR, RIVAL, TICK = Decimal("1e-5"), Decimal("1e-4"), Decimal("1e-8")


def servers() -> list[ServerId]:
    """Return the servers of the world that take bids in bitcoin."""
    market = listing_of(seed=3, rules=None, servers=SERVERS, marketplace=None)

    def takes_bids(listing: Listing) -> bool:
        free = not listing.rented and listing.server not in market.own_servers
        return free and listing.takes(Currency.BTC) and Currency.BTC in listing.spot_floor

    found = [listing.server for listing in market.listings.values() if takes_bids(listing)]
    assert len(found) >= TAKEN + 2
    return found[: TAKEN + 2]


def begun(*, below: str) -> Day:
    """Return a day on which one server is wanted and free, then one of many taken, then a free one."""
    first, second, *taken = servers()
    wanted = {"first": [first], "many": taken, "second": [second]}

    def shape(policy: Policy) -> Policy:
        targets = [
            replace(
                policy.targets[0],
                name=name,
                want=1,
                ceiling=Ceiling(price=Price.parse(below, Currency.BTC), per=Per.GPU),
                requirements=Requirements(servers=frozenset(each)),
                currencies=(Currency.BTC,),
            )
            for name, each in wanted.items()
        ]
        return replace(policy, targets=tuple(targets))

    day = begin(seed=3, servers=SERVERS, rivals=False, shape=shape)
    market = day.exchange.market
    for number, server in enumerate((first, second, *taken)):
        stall = market.stalls[server]
        gpus = day.market.listings[server].specs.gpu_count
        stall.floor = {"bitcoin": (FLOOR + number % 15 * TICK) * gpus}
        stall.on_demand = {"bitcoin": 10 * RIVAL * gpus}
        if server in taken:
            market.admit(stall, currency="bitcoin", price=RIVAL * gpus)
        market.set_prices(stall)
    return day


def filled(day: Day) -> set[str | None]:
    """Return the targets that hold a server."""
    return {holding.target for holding in day.app.trader.view.holdings.values()}


def test_a_search_in_vain_keeps_nobody_from_a_free_server() -> None:
    """Not even one that stands before it in the configuration and has hundreds of books to read."""
    day = begun(below="0.00002")
    day.run(3 * MINUTES)
    assert filled(day) == {"first", "second"}


def test_one_of_many_taken_servers_is_outbid() -> None:
    """Each of them can be won: after a walk of seven minutes one is."""
    day = begun(below="0.0002")
    day.run(10 * MINUTES)
    assert filled(day) == {"first", "many", "second"}


def test_a_plan_reads_books_for_each_target() -> None:
    """What a long list takes is not read for a plan; the free servers are found all the same."""
    day = begun(below="0.00002")
    trader = day.app.trader
    plan = asyncio.run(preview(trader.view, day.policy, client=trader.client, clock=day.clock))
    assert {decision.target for decision in plan.actions} == {"first", "second"}
    assert plan.requests <= 120
