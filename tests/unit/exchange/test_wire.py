"""Answers become domain values: exactly, and whatever else stands in them."""

import json
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bidder.domain.ids import ServerId
from bidder.domain.market import OrderKind
from bidder.domain.money import Currency, Money, Price, plain
from bidder.errors import InDoubt
from bidder.exchange import wire

SEED = Path(__file__).parents[2] / "fixtures" / "seed"
DOGE = Currency.named("dogecoin")


def seed(name: str) -> bytes:
    """Return a documented sample answer."""
    return (SEED / f"{name}.json").read_bytes()


def encoded(**answer: Any) -> bytes:
    """Return an answer with code 0."""
    return json.dumps({"code": 0, **answer}).encode()


def test_the_documented_wallets() -> None:
    """Balance and withdrawal fee, to the last digit."""
    (wallet,) = wire.wallets(seed("wallets"))
    assert wallet.currency == Currency.BTC
    assert wallet.balance == Money(Decimal("0.00153176"), Currency.BTC)
    assert wallet.withdrawal_fee == Money(Decimal("0.0001"), Currency.BTC)
    assert wallet.deposit == "tb1q6erw7v02t7hakgmlcl4wfnlykzqj05alndruwr"


def test_the_documented_marketplace() -> None:
    """One server with its prices, its longest rental in hours, and the account's own numbers."""
    market = wire.marketplace(seed("marketplace"))
    listing = market.listings[ServerId(6)]
    assert market.own_servers == {1, 2, 4}
    assert listing.on_demand == {Currency.BTC: Price(Decimal("0.00001"), Currency.BTC)}
    assert listing.spot_floor == {Currency.BTC: Price(Decimal("0.000001"), Currency.BTC)}
    assert listing.mrl == timedelta(hours=73)
    assert (listing.owner, listing.rented, listing.allowed) == (4, False, None)
    specs = listing.specs
    assert (specs.gpu_count, specs.gpu_model) == (1, "GTX 1080 TI")
    assert (specs.country, specs.net_down, specs.gpu_memory_gb) == ("CZ", 118.42, 11)
    assert specs.disk_gb == pytest.approx(247.3623)
    assert specs.ram_gb == pytest.approx(62.67, abs=0.01)


def test_the_documented_orders() -> None:
    """One rented on demand that runs, one spot order that is over; spend exactly as sent."""
    answer = wire.orders(seed("my_orders"))
    assert answer.limit == 13
    running, over = answer.orders
    assert (running.order, running.server, running.kind) == (38, 6, OrderKind.ON_DEMAND)
    assert running.price == Price(Decimal("0.00001"), Currency.BTC)
    assert running.spend == Money(Decimal("6.944444444444445e-9"), Currency.BTC)
    assert running.created_at == datetime(2022, 11, 2, 15, 3, 16, tzinfo=UTC)
    assert running.mrl == timedelta(seconds=262800)
    assert running.ends_at == running.created_at + timedelta(hours=73)
    assert running.fee_percent == 5
    assert running.creation_fee == Money(Decimal("3e-7"), Currency.BTC)
    assert running.access.pub_cluster == ("n1.c1.clorecloud.net", "n2.c1.clorecloud.net")
    assert running.access.tcp_ports == ("22:10000",)
    assert running.access.http_port == "8888"
    assert not running.expired
    assert (over.order, over.kind, over.expired) == (36, OrderKind.SPOT, True)
    assert over.access.http_port is None
    assert (running.gpu_model, running.gpu_count) == ("GTX 1080 TI", 1)


def test_the_documented_spot_market() -> None:
    """Our offer runs; the floor, and the longest rental in seconds."""
    book = wire.book(seed("spot_marketplace"), ServerId(6))
    (offer,) = book.offers
    assert (offer.order, offer.active, offer.mine) == (39, True, True)
    assert offer.price == Price(Decimal("0.0000042"), Currency.BTC)
    assert book.floor == {Currency.BTC: Price(Decimal("0.000001"), Currency.BTC)}
    assert (book.exists, book.public, book.online) == (True, True, True)
    assert book.mrl == timedelta(seconds=262800)


def test_the_documented_own_servers() -> None:
    """One that never connected, one with specs; the secret token is left behind."""
    first, second = wire.hosted_servers(seed("my_servers"))
    assert (first.name, first.connected, first.visibility) == ("Michael", False, "hidden")
    assert first.on_demand == {}
    assert second.on_demand == {Currency.BTC: Price(Decimal("0.00010337"), Currency.BTC)}
    assert "qnwVIMsZPjUWS7jw" not in repr(first)
    config = wire.hosted_server(seed("server_config"))
    assert (config.name, config.server, config.rental) == ("Jan Vykydal", 4, "free")
    assert config.mrl == timedelta(hours=72)
    assert config.spot_floor == {Currency.BTC: Price(Decimal("0.00005168"), Currency.BTC)}


def test_unknown_fields_and_currencies_survive() -> None:
    """What is added tomorrow breaks nothing, and an offer in a new coin is an offer."""
    body = encoded(
        market={
            "offers": [
                {"offer_id": 1, "bid": 12.5, "active": True, "my": False, "currency": "dogecoin"},
                {"offer_id": 2, "bid": 0.1, "shiny": {"new": [1]}},
            ],
            "server": {"min_pricing": {"dogecoin": 3}, "mood": "good"},
            "currency_rates_in_usd": {"dogecoin": 0.1, "bitcoin": 60000},
            "novelty": 1,
        },
        exists=True,
        extra=[],
    )
    book = wire.book(body, ServerId(1))
    assert [offer.price.currency for offer in book.offers] == [DOGE, Currency.BTC]
    assert book.rates.to_usd(book.offers[0].price) == Decimal("1.25")
    assert book.floor[DOGE].amount == 3


def test_a_server_that_cannot_be_read_hides_no_other() -> None:
    """One odd entry is left out, the rest of the marketplace is used."""
    good = {"id": 7, "price": {"on_demand": {"bitcoin": 1}, "spot": {"bitcoin": 0.5}}, "mrl": 1}
    odd: list[Any] = [
        {"id": "seven"},
        {"id": -1},
        {"id": 10**30},
        {"no": "id"},
        {**good, "id": 8, "specs": "none"},
        None,
        [],
    ]
    market = wire.marketplace(encoded(servers=[*odd, good], my_servers="none"))
    assert set(market.listings) == {7}
    assert market.own_servers == frozenset()
    assert not market.names_own


def test_a_price_of_nothing_is_no_offer() -> None:
    """0, null, negative, endless: the server does not take that currency."""
    body = b"""{"code":0,"servers":[{"id":1,"mrl":24,"price":{"on_demand":
        {"bitcoin":0,"CLORE-Blockchain":null,"a":-1,"b":1e400,"c":0.5},"spot":{"bitcoin":1e-8}}}]}"""
    listing = wire.marketplace(body).listings[ServerId(1)]
    assert [plain(price.amount) for price in listing.on_demand.values()] == ["0.5"]
    assert [plain(price.amount) for price in listing.spot_floor.values()] == ["0.00000001"]


@pytest.mark.parametrize(
    ("said", "gigaspot"),
    [
        (True, True),
        (1, True),
        ("true", True),
        (False, False),
        (None, False),
        ({"a": 1}, False),
        ([], False),
    ],
)
def test_a_gigaspot_is_told_apart_and_an_odd_flag_hides_no_server(said: Any, gigaspot: bool) -> None:
    """Its prices are listed as those of any other."""
    body = encoded(servers=[{"id": 1, "price": {"spot": {"bitcoin": 2}}, "gigaspot": said}])
    assert wire.marketplace(body).listings[ServerId(1)].gigaspot is gigaspot


def test_older_and_newer_shapes_of_the_same_thing() -> None:
    """``spot`` beside or inside ``price``; ``connected`` as text; an empty ``env``."""
    body = encoded(servers=[{"id": 1, "spot": {"bitcoin": 2}, "price": {"on_demand": {}}, "mrl": 24}])
    assert wire.marketplace(body).listings[ServerId(1)].spot_floor[Currency.BTC].amount == 2
    (server,) = wire.hosted_servers(encoded(servers=[{"name": "a", "connected": "true"}]))
    assert server.connected
    (server,) = wire.hosted_servers(encoded(servers=[{"name": "a", "connected": "false"}]))
    assert not server.connected


@pytest.mark.parametrize("market", [None, {"offers": []}])
def test_a_spot_market_that_is_not_there(market: Any) -> None:
    """``market`` null means that the server has none; an empty book is one."""
    book = wire.book(encoded(market=market, exists=market is not None), ServerId(3))
    assert book.exists is (market is not None)
    assert book.offers == ()


@pytest.mark.parametrize(
    "body",
    [
        b"{}",
        b"[]",
        b'{"code":0}',
        b'{"code":0,"orders":null}',
        b'{"code":0,"orders":[{"id":1}]}',
        b'{"code":0,"orders":[{"id":1,"si":2,"price":-1,"ct":0}]}',
        b'{"code":0,"orders":[{"id":1,"si":2,"price":"x","ct":0}]}',
        b'{"code":0,"orders":[{"id":1,"si":2,"price":null,"ct":0,"expired":false}]}',
        b'{"code":0,"orders":[{"id":1,"si":2,"price":null,"ct":0,"expired":"perhaps"}]}',
        b'{"code":0,"orders":[{"id":1,"si":2,"price":null,"ct":0,"expired":true},7]}',
    ],
)
def test_orders_that_cannot_all_be_read_are_doubt(body: bytes) -> None:
    """An order left out would be taken for one that is over."""
    with pytest.raises(InDoubt):
        wire.orders(body)


@pytest.mark.parametrize(
    "odd",
    [
        {"pub_cluster": ""},
        {"pub_cluster": [None]},
        {"tcp_ports": {}},
        {"http_port": 1.5},
        {"fee": "2.5%"},
        {"creation_fee": {}},
        {"image": 7},
    ],
)
def test_what_a_live_order_merely_shows_may_be_unreadable(odd: dict[str, Any]) -> None:
    """It counts as not told; the order, its price and its end are known, and nothing stops."""
    shown = {"fee": 5, "creation_fee": 0.1, "image": "a/b", "pub_cluster": ["h"], "tcp_ports": ["22:1"]}
    order = {**RUNNING, **shown, "spot": True, "mrl": 60, "spend": 0.25}
    (plain_one,) = wire.orders(encoded(orders=[order])).orders

    (found,) = wire.orders(encoded(orders=[{**order, **odd}], limit="unlimited")).orders

    assert (found.order, found.price, found.spend) == (7, plain_one.price, plain_one.spend)
    assert (found.kind, found.ends_at, found.expired) == (plain_one.kind, plain_one.ends_at, False)
    untold = {name for name in ("fee_percent", "creation_fee") if getattr(found, name) is None}
    assert untold == {{"fee": "fee_percent"}.get(name, name) for name in odd} & {
        "fee_percent",
        "creation_fee",
    }
    assert found.access.tcp_ports == (() if "tcp_ports" in odd else ("22:1",))
    assert found.access.pub_cluster == (() if "pub_cluster" in odd else ("h",))


@pytest.mark.parametrize("said", ["NaN", "Infinity", "-inf"])
def test_what_a_server_says_of_itself_in_no_number_counts_as_not_told(said: str) -> None:
    """Servers are sorted by it, and nothing can be compared with what is no number."""
    specs = {"gpu": "1x A", "ram": said, "gpuram": said, "net": {"up": said, "down": said}}
    odd = {"id": 1, "reliability": said, "rating": {"avg": said, "cnt": 1}, "specs": specs}
    listing = wire.marketplace(encoded(servers=[odd])).listings[ServerId(1)]
    assert (listing.reliability, listing.rating) == (None, None)
    assert (listing.specs.ram_gb, listing.specs.gpu_memory_gb) == (None, None)
    assert (listing.specs.net_up, listing.specs.net_down) == (None, None)


@pytest.mark.parametrize(
    ("specs", "gpus"),
    [
        ({"gpu": "8x NVIDIA GeForce RTX 3090", "ram": 64}, ("RTX 3090", 8)),
        ({"gpu": "8x NVIDIA GeForce RTX 3090", "ram": "much", "net": []}, ("RTX 3090", 8)),
        ({"gpu": "NVIDIA GeForce RTX 3090"}, (None, None)),
        ({"gpu": "0x RTX 3090"}, (None, None)),
        ({"gpu": 8}, (None, None)),
        ({"gpu": None}, (None, None)),
        (["8x NVIDIA GeForce RTX 3090"], (None, None)),  # as the documents' table has it
        ("8x NVIDIA GeForce RTX 3090", (None, None)),
        (None, (None, None)),
    ],
)
@pytest.mark.parametrize("beside", [{}, {"image": []}], ids=["plain", "piece by piece"])
def test_the_gpus_of_an_order_are_told_or_not(
    specs: Any, gpus: tuple[str | None, int | None], beside: dict[str, Any]
) -> None:
    """However oddly its hardware is described, the order itself is read."""
    (found,) = wire.orders(encoded(orders=[{**RUNNING, "specs": specs, **beside}])).orders
    assert (found.gpu_model, found.gpu_count) == gpus
    assert (found.order, found.price) == (7, Price(Decimal(1), Currency.BTC))


def test_a_limit_that_cannot_be_read_hides_no_order() -> None:
    """It counts as not told."""
    answer = wire.orders(encoded(orders=[RUNNING], limit="unlimited"))
    assert ([order.order for order in answer.orders], answer.limit) == ([7], None)


@pytest.mark.parametrize(
    "field", ["id", "si", "price", "ct", "currency", "mrl", "spend", "spot", "expired"]
)
def test_a_live_order_without_what_it_takes_to_look_after_it_is_doubt(field: str) -> None:
    """Whose it is, whether it runs, what it costs and until when: none of it is guessed."""
    with pytest.raises(InDoubt):
        wire.orders(encoded(orders=[{**RUNNING, field: {}}]))


RUNNING = {"id": 7, "si": 101, "price": 1, "ct": 3600, "currency": "bitcoin"}
OVER = {**RUNNING, "id": 8, "expired": True, "spend": 0.5}


@pytest.mark.parametrize("field", ["price", "mrl", "fee", "image", "pub_cluster", "spot"])
@pytest.mark.parametrize("value", [None, {}, "-1e999"])
def test_an_ended_order_that_cannot_be_read_hides_no_other(field: str, value: Any) -> None:
    """It costs nothing any more: which one it was and its bill are all that counts."""
    answer = wire.orders(encoded(orders=[{**OVER, field: value}, RUNNING], limit=13))
    over, running = answer.orders
    assert (over.order, over.server, over.expired) == (8, 101, True)
    assert over.spend == Money(Decimal("0.5"), Currency.BTC)
    assert (running.order, running.expired, answer.limit) == (7, False, 13)


@pytest.mark.parametrize("field", ["id", "si", "ct", "spend", "currency"])
def test_an_ended_order_whose_bill_cannot_be_told_is_left_out(field: str) -> None:
    """Its bill is not taken for nothing, nor for that of another order or in another coin."""
    (running,) = wire.orders(encoded(orders=[{**OVER, field: {}}, RUNNING])).orders
    assert running.order == 7


@pytest.mark.parametrize("fee", [-101, -0.5, 100.5, 1e80, 1e308])
def test_a_fee_that_cannot_be_one_counts_as_not_told(fee: float) -> None:
    """Whatever is reckoned with it would be nonsense, or no number at all."""
    (order,) = wire.orders(encoded(orders=[{**RUNNING, "fee": fee}])).orders
    assert order.fee_percent is None


def test_amounts_beyond_anything_real_are_unreadable() -> None:
    """An order makes its answer doubtful; an offer, a floor and a balance are left out."""
    with pytest.raises(InDoubt):
        wire.orders(encoded(orders=[{**RUNNING, "price": 1e25}]))
    market = {
        "offers": [{"offer_id": 1, "bid": 1e25}, {"offer_id": 2, "bid": 1}],
        "server": {"min_pricing": {"bitcoin": 1e16}},
    }
    book = wire.book(encoded(market=market), ServerId(3))
    assert ([offer.order for offer in book.offers], book.floor) == ([2], {})
    (wallet,) = wire.wallets(encoded(wallets=[{"name": "bitcoin", "balance": 1e25}]))
    assert wallet.balance is None


@pytest.mark.parametrize("limit", [-1, 10**7, 10**60])
def test_a_limit_that_cannot_be_one_counts_as_not_told(limit: int) -> None:
    """It would stop everything, or could not be stored."""
    assert wire.orders(encoded(orders=[RUNNING], limit=limit)).limit is None


def test_large_numbers_and_odd_times() -> None:
    """Ids beyond 2**53 stay exact; a time before 1970 or after the year 3000 is bounded."""
    order = {"id": 2**59 + 1, "si": 2**59 + 3, "price": 1, "currency": "bitcoin", "spot": True}
    (found,) = wire.orders(encoded(orders=[{**order, "ct": -5, "mrl": 1e18}])).orders
    assert (found.order, found.server) == (2**59 + 1, 2**59 + 3)
    assert found.created_at == datetime(1970, 1, 1, tzinfo=UTC)
    assert found.mrl <= timedelta(days=3650)
    (late,) = wire.orders(encoded(orders=[{**order, "ct": 1e15}])).orders
    assert late.created_at.year >= 3000 - 1


@given(
    st.decimals(
        min_value=Decimal("1e-12"), max_value=Decimal("1e9"), allow_nan=False, allow_infinity=False
    ).filter(lambda amount: len(amount.as_tuple().digits) <= 45)
)
def test_every_price_arrives_exactly(amount: Decimal) -> None:
    """Whatever notation the exchange uses."""
    for text in (plain(amount), f"{amount:e}"):
        body = f'{{"code":0,"orders":[{{"id":1,"si":2,"price":{text},"ct":1}}]}}'.encode()
        assert wire.orders(body).orders[0].price.amount == amount


ANY = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=10),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=12,
)
PARTS = ("servers", "my_servers", "orders", "market", "wallets", "config", "exists", "limit")
FIELDS = (
    *("id", "si", "price", "ct", "mrl", "specs", "name", "offer_id", "bid", "spot"),
    *("offers", "server", "currency_rates_in_usd", "balance", "allowed_coins"),
)


def mixed(keys: tuple[str, ...]) -> st.SearchStrategy[dict[str, Any]]:
    """Return objects that hold anything under some of these keys."""
    entry = st.fixed_dictionaries({}, optional=dict.fromkeys(FIELDS, ANY))
    inner = ANY | entry | st.lists(entry, max_size=3)
    return st.fixed_dictionaries({}, optional=dict.fromkeys(keys, inner))


@given(mixed(PARTS).map(lambda value: json.dumps(value).encode()) | st.binary(max_size=80))
def test_no_answer_raises_anything_but_doubt(body: bytes) -> None:
    """A decoder that stumbles would stop trading: it says that it cannot read instead."""
    for decode in (
        wire.marketplace,
        wire.orders,
        wire.wallets,
        wire.hosted_servers,
        wire.hosted_server,
        lambda raw: wire.book(raw, ServerId(1)),
    ):
        try:
            decode(body)
        except InDoubt as exc:
            assert exc.__cause__ is None or not isinstance(exc.__cause__, KeyboardInterrupt)  # noqa: PT017
