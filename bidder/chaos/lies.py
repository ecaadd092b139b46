"""Answers that are well-formed and wrong: what replicas, caches and odd servers make of the truth.

Each function takes the true answer's body and returns the one that is sent instead, or the same one
where there is nothing to falsify. Bodies are edited as text where that keeps the digits of prices.
"""

import json
import re
from collections.abc import Callable, Mapping
from decimal import Decimal
from functools import lru_cache
from random import Random
from typing import Any

from bidder.sim import answers
from bidder.sim.exchange import SimExchange

# Letters of many scripts, an order of reading turned round, a joiner, an accent on its own, a face.
ODD_TEXT = "Ω≈ç√ سيرفر 服务器 \u202eleft\u202c\u200d e\u0301 \U0001f600 <b>&amp;</b> ${x} {{y}} '); --"
_SPECS_TEXT = re.compile(rb'"(mb|cpu|disk|cc|image|cpus)":"[^"]*"')
_ERROR_TEXT = re.compile(rb'"error":"[^"]*"')
_RATES = re.compile(rb',?"currency_rates_in_usd":\{[^}]*\}')
_CROWD = 20_000
_FIRST_OF_CROWD = 5_000_000_000


def left_out(body: bytes, chance: Random, *, live: set[int]) -> tuple[bytes, int | None]:
    """Return our orders without one of the live ones, and which one."""
    document = answers.decoded(body)
    shown = [order["id"] for order in document.get("orders", ()) if order["id"] in live]
    if not shown:
        return body, None
    chosen = chance.choice(shown)
    return without_orders(body, {chosen}), chosen


def without_orders(body: bytes, hidden: set[int]) -> bytes:
    """Return our orders without some."""
    document = answers.decoded(body)
    document["orders"] = [o for o in document.get("orders", ()) if o["id"] not in hidden]
    return answers.encoded(document)


def no_rates(body: bytes) -> bytes:
    """Return a book without any currency rates."""
    return _RATES.sub(b"", body)


def one_rate_missing(body: bytes, chance: Random) -> tuple[bytes, dict[str, Decimal]]:
    """Return a book in which one currency has no rate, and the rates that are left."""
    document = answers.decoded(body)
    rates = (document.get("market") or {}).get("currency_rates_in_usd") or {}
    if len(rates) < 2:
        return body, {}
    del rates[chance.choice(sorted(rates))]
    return answers.encoded(document), {name: Decimal(rate) for name, rate in rates.items()}


def another_runs(body: bytes, chance: Random) -> bytes:
    """Return a book in which any of the offers is the one that runs."""
    offers = (json.loads(body).get("market") or {}).get("offers") or []
    if len(offers) < 2:
        return body
    chosen = chance.randrange(len(offers))
    parts = body.split(b'"active":')
    for number in range(len(offers)):
        rest = parts[number + 1]
        flag = b"true" if number == chosen else b"false"
        parts[number + 1] = flag + rest[len(b"true") if rest.startswith(b"true") else len(b"false") :]
    return b'"active":'.join(parts)


def offer_without_order(body: bytes, chance: Random, exchange: SimExchange, server: int) -> bytes:
    """Return a book in which an ended order of ours still stands."""
    over = [o for o in exchange.market.own.values() if o.server_id == server and not o.live and o.spot]
    document = answers.decoded(body)
    market = document.get("market") or {}
    if not over or "offers" not in market:
        return body
    last = over[-1]
    runs = chance.random() < 0.5
    for offer in market["offers"]:
        offer["active"] = offer["active"] and not runs
    shown = {"offer_id": last.order_id, "bid": last.price, "active": runs, "my": True}
    market["offers"].append({**shown, "currency": last.currency})
    return answers.encoded(document)


def order_without_offer(body: bytes, _: Random) -> bytes:
    """Return a book in which none of our offers stands."""
    document = answers.decoded(body)
    market = document.get("market") or {}
    offers = market.get("offers") or []
    if not any(offer["my"] for offer in offers):
        return body
    market["offers"] = [offer for offer in offers if not offer["my"]]
    return answers.encoded(document)


def prices_of_zero(body: bytes, chance: Random) -> bytes:
    """Return a book or a marketplace in which floors, prices and some strangers' bids are 0."""
    document = answers.decoded(body)
    market = document.get("market") or {}
    if market:
        floors = market["server"]["min_pricing"]
        market["server"]["min_pricing"] = dict.fromkeys(floors, 0)
        for offer in market["offers"]:
            if not offer["my"] and chance.random() < 0.5:
                offer["bid"] = 0
    for server in document.get("servers", ()):
        if chance.random() < 0.3:
            _zero_some(server, chance)
    return answers.encoded(document)


def _zero_some(server: dict[str, Any], chance: Random) -> None:
    for side in ("on_demand", "spot"):
        prices = server["price"].get(side)
        if prices and chance.random() < 0.7:
            server["price"][side] = dict.fromkeys(prices, 0)


def servers_left_out(body: bytes, chance: Random) -> bytes:
    """Return a marketplace without half of its servers, at times without any."""
    document = answers.decoded(body)
    keep = chance.choice((0.0, 0.5, 0.5, 0.9))
    document["servers"] = [s for s in document["servers"] if chance.random() < keep]
    return answers.encoded(document)


def own_unnamed(body: bytes, _: Random) -> bytes:
    """Return a marketplace that lists our own servers and does not say that they are ours."""
    return re.sub(rb',"my_servers":\[[^\]]*\]', b"", body)


def crowded(body: bytes, _: Random) -> bytes:
    """Return a marketplace of 20,000 servers more, which nobody can rent."""
    document = answers.decoded(body)
    models = document["servers"]
    if not models:
        return body
    first = body.index(b"[") + 1
    return body[:first] + _crowd(answers.encoded(models[:24])) + b"," + body[first:]


@lru_cache(maxsize=2)
def _crowd(models: bytes) -> bytes:
    servers = [answers.encoded({**model, "id": 0}) for model in answers.decoded(models)]
    marked = [server.replace(b'"id":0', b'"id":%d', 1).split(b"%d", 1) for server in servers]
    return b",".join(
        b"%d".join(marked[number % len(marked)]).replace(b"%d", b"%d" % (_FIRST_OF_CROWD + number), 1)
        for number in range(_CROWD)
    )


def odd_step(body: bytes, chance: Random) -> bytes:
    """Return a refusal whose limit is above the price, absent, or no amount at all."""
    if b"exceeded_max_step" not in body:
        return body
    step = chance.choice((b"9999", b"null", b"-1", b'"x"', b"0", b"1e300", None))
    if step is None:
        return re.sub(rb'"max_step":[^,}]*,?', b"", body)
    return re.sub(rb'"max_step":[^,}]*', b'"max_step":' + step, body)


def odd_wait(body: bytes, chance: Random) -> bytes:
    """Return a refusal whose waiting time makes no sense."""
    if b"can_lower" not in body:
        return body
    wait = chance.choice((b"0", b"-30", b"1000000", b"null", b'"soon"', None))
    if wait is None:
        return re.sub(rb'"time_to_lowering":[^,}]*,?', b"", body)
    return re.sub(rb'"time_to_lowering":[^,}]*', b'"time_to_lowering":' + wait, body)


def odd_text(body: bytes, chance: Random) -> bytes:
    """Return an answer whose texts are of every script there is, at times half a character."""
    odd = json.dumps(ODD_TEXT, ensure_ascii=chance.random() < 0.5).encode()
    if chance.random() < 0.2:
        odd = odd[:-1] + b'\\ud83d"'
    body = _ERROR_TEXT.sub(lambda _: b'"error":' + odd, body)
    return _SPECS_TEXT.sub(lambda found: b'"' + found[1] + b'":' + odd, body)


# Those that need nothing but the body and chance.
PLAIN: Mapping[str, Callable[[bytes, Random], bytes]] = {
    "another runs": another_runs,
    "order without offer": order_without_offer,
    "prices of 0": prices_of_zero,
    "servers left out": servers_left_out,
    "own servers unnamed": own_unnamed,
    "20,000 servers": crowded,
    "odd step": odd_step,
    "odd wait": odd_wait,
}
