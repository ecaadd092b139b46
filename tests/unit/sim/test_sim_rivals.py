"""A living market: rivals compete by the rules, servers come and go, and it is all repeatable."""

import hashlib
from collections import Counter
from datetime import timedelta
from decimal import Decimal
from statistics import median

import pytest
from unit.sim.desk import BTC, START, Desk

from bidder.sim.answers import Request
from bidder.sim.auction import Order, Stall
from bidder.sim.exchange import SimExchange
from bidder.sim.generate import generate
from bidder.sim.market import TooSoon
from bidder.sim.moments import HOUR, SECOND
from bidder.sim.referee import Referee
from bidder.sim.rivals import Kind
from bidder.sim.rules import Rules
from bidder.sim.targets import targets_from


def digest_of_a_day(seed: int) -> str:
    """Play a day of fixed requests and return a digest of all answers."""
    exchange = SimExchange(generate(seed, 60), seed=seed, start=START)
    servers = [stall.server_id for stall in exchange.market.stalls.values()]
    headers = {"auth": exchange.token}
    digest = hashlib.sha256()
    now = START
    for turn in range(400):
        now += timedelta(seconds=200)
        path, query, method, body = "/v1/marketplace", "", "GET", b""
        if turn % 4 == 1:
            path, query = "/v1/spot_marketplace", f"market={servers[turn % len(servers)]}"
        elif turn % 4 == 2:
            path, method = "/v1/create_order", "POST"
            body = (
                f'{{"currency":"bitcoin","image":"x","type":"spot","spotprice":0.0001,'
                f'"renting_server":{servers[turn % len(servers)]}}}'
            ).encode()
        elif turn % 4 == 3:
            path, query = "/v1/my_orders", "return_completed=true"
        request = Request(method=method, path=path, query=query, headers=headers, body=body)
        digest.update(exchange.handle(request, now).body)
    return digest.hexdigest()


def test_the_same_seed_and_requests_give_the_same_bytes() -> None:
    """Rivals, rentals, rates, order numbers: all from the seed."""
    assert digest_of_a_day(5) == digest_of_a_day(5)
    assert digest_of_a_day(5) != digest_of_a_day(6)


def test_the_length_of_a_step_changes_nothing() -> None:
    """Advancing second by second or by the hour meets the same events."""
    coarse, fine = (SimExchange(generate(2, 60), seed=2, start=START) for _ in range(2))
    for minutes in range(1, 6 * 60 + 1):
        fine.advance(START + timedelta(minutes=minutes))
    coarse.advance(START + timedelta(hours=6))

    assert state(coarse) == state(fine)


def state(exchange: SimExchange) -> list[object]:
    return [
        (
            stall.server_id,
            stall.rented,
            stall.online,
            [(o.order_id, o.price, o.active) for o in stall.offers],
        )
        for stall in exchange.market.stalls.values()
    ]


def test_our_orders_do_not_change_the_weather() -> None:
    """Two players under one seed meet the same rentals and outages."""
    quiet, busy = (SimExchange(generate(2, 60), seed=2, start=START) for _ in range(2))
    for stall in busy.market.stalls.values():
        if stall.open_to_bids and not stall.hosted_by_us:
            busy.market.open_own(
                busy.market.admit(stall, currency=BTC, price=Decimal(1), mine=True), stall
            )
    for exchange in (quiet, busy):
        exchange.advance(START + timedelta(hours=12))

    seen = [
        [(stall.rented, stall.online, dict(stall.floor)) for stall in exchange.market.stalls.values()]
        for exchange in (quiet, busy)
    ]
    assert seen[0] == seen[1]


def test_without_rivals_nothing_stirs_but_the_rates() -> None:
    """--no-rivals: no bids, no rentals, no outages, no new floors."""
    exchange = SimExchange(generate(2, 60), seed=2, start=START, rivals=False)
    before, rates = state(exchange), dict(exchange.market.rates)
    exchange.advance(START + timedelta(hours=24))

    assert state(exchange) == before
    assert exchange.market.rates != rates


def test_rates_wander_but_do_not_run_away() -> None:
    """Within a day bitcoin stays within 15 % of its start."""
    exchange = SimExchange(generate(1, 5), seed=1, start=START, rivals=False)
    exchange.advance(START + timedelta(hours=24))

    assert abs(exchange.market.rates[BTC] / 69000 - 1) < Decimal("0.15")
    assert exchange.market.rates["USD-Blockchain"] == 1


def test_all_kinds_of_rivals_come_and_go() -> None:
    """Over a day, and they leave again."""
    exchange = SimExchange(generate(1, 200), seed=1, start=START)
    kinds: Counter[Kind] = Counter()
    reasons: Counter[str] = Counter()

    def note(order: Order) -> None:
        assert order.rival is not None
        kinds[order.rival.kind] += 1
        reasons[order.end_reason] += 1

    exchange.market.end_listeners.append(note)
    exchange.advance(START + timedelta(hours=24))

    assert set(kinds) == set(Kind)
    assert reasons["left"] > 100
    standing = sum(len(stall.offers) for stall in exchange.market.stalls.values())
    assert 30 < standing < 1600


def test_rivals_obey_the_price_rules() -> None:
    """Whatever they do goes through the same checks; none of theirs is ever below its floor's entry."""
    exchange = SimExchange(generate(1, 60), Rules(creation_starts_clock=False), seed=1, start=START)
    lowered: dict[int, int] = {}
    market = exchange.market
    original = market.set_price

    def watched(order: Order, price: Decimal) -> object:
        assert order.rival is not None
        assert price <= max(order.rival.ceiling, order.price)
        before = order.price
        refusal = original(order, price)
        assert not isinstance(refusal, TooSoon)
        if refusal is None and price < before:
            assert market.at - lowered.get(order.order_id, 0) >= 600 * SECOND
            lowered[order.order_id] = market.at
        return refusal

    market.set_price = watched  # type: ignore[method-assign, assignment]  # a spy, not a stand-in
    exchange.advance(START + timedelta(hours=12))

    assert len(lowered) > 5


def test_an_increment_bot_answers_our_raise_up_to_its_ceiling() -> None:
    """Within two minutes it leads again, until it cannot."""
    desk = Desk(rivals=True, seed=3)
    market = desk.market
    stall = desk.stall()
    bot = leading_bot(desk)
    rival = bot.rival
    assert rival is not None
    ours = market.admit(stall, currency=bot.currency, price=bot.price + rival.tick, mine=True)
    market.open_own(ours, stall)
    market.advance(market.at + 130 * SECOND)
    if ours.price + rival.tick <= rival.ceiling:
        assert bot.price > ours.price
    market.set_price(ours, rival.ceiling + rival.tick)
    market.advance(market.at + 130 * SECOND)

    assert bot.price <= rival.ceiling
    assert not bot.active


def leading_bot(desk: Desk) -> Order:
    """Wait until an increment bot that stays a while leads the book."""
    market, stall = desk.market, desk.stall()
    for _ in range(2000):
        market.advance(market.at + 60 * SECOND)
        offer = stall.active
        if offer is None or offer.rival is None or offer.rival.kind is not Kind.INCREMENT:
            continue
        if offer.rival.leaves_at > market.at + HOUR:
            return offer
    pytest.fail("no increment bot came")


def test_where_outbid_offers_expire_the_bots_return() -> None:
    """The market does not run empty under that rule."""
    exchange = SimExchange(generate(1, 100), Rules(outbid="expires"), seed=1, start=START)
    exchange.advance(START + timedelta(hours=24))

    running = sum(stall.active is not None for stall in exchange.market.stalls.values())
    assert running > 20


def test_servers_are_rented_and_returned_at_a_realistic_rate() -> None:
    """A given server every 12 to 48 hours for some hours; outages are rare."""
    exchange = SimExchange(generate(1, 300), seed=1, start=START)
    market = exchange.market
    starts = outages = 0
    was = {stall.server_id: (stall.rented, stall.online) for stall in market.stalls.values()}

    def note(stall: Stall, _: int) -> None:
        nonlocal starts, outages
        rented, online = was[stall.server_id]
        starts += stall.rented and not rented
        outages += online and not stall.online
        was[stall.server_id] = (stall.rented, stall.online)

    market.book_listeners.append(note)
    exchange.advance(START + timedelta(hours=48))

    assert 200 < starts < 900
    assert 10 < outages < 100


def test_a_reasonable_ceiling_can_usually_hold_a_server() -> None:
    """1.15 times the median on-demand price per GPU of a model wins most of the time."""
    exchange = SimExchange(generate(1, 60), seed=1, start=START)
    model = "RTX 4090"
    per_gpu = [
        min(price * exchange.market.rates[coin] for coin, price in stall.on_demand.items() if price > 0)
        / stall.listing.gpu()[0]
        for stall in exchange.market.stalls.values()
        if model in stall.listing.specs["gpu"]
    ]
    ceiling = {"amount": str(median(per_gpu) * Decimal("1.15")), "currency": "USD", "per": "gpu"}
    targets = targets_from([{"name": "x", "want": 2, "gpu_models": [model], "ceiling": ceiling}])
    referee = Referee(exchange, targets)
    exchange.handle(Request(method="GET", path="/v1/wallets", headers={"auth": exchange.token}), START)

    report = referee.report(START + timedelta(hours=24))
    assert report["targets"][0]["attainable_share"] > 0.9
