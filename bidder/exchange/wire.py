"""The shapes of the exchange's answers, and how they become domain values.

Money is read exactly from the JSON text. What one listing or offer gets wrong costs that one only;
an order of ours that cannot be read makes the whole answer unreadable, because an order that
silently vanishes would be placed again. Secrets (``init_token``) are not even declared here, so they
are never decoded.
"""

import re
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from functools import lru_cache
from typing import Any

import msgspec

from bidder.domain.ids import OrderId, ServerId
from bidder.domain.market import (
    Access,
    Book,
    HostedServer,
    Listing,
    Marketplace,
    Offer,
    OrderKind,
    OrdersAnswer,
    OwnOrder,
    Specs,
    Wallet,
    parse_gpu,
)
from bidder.domain.money import Currency, Money, Price, Rates, checked_amount
from bidder.errors import InDoubt, InvalidAmount
from bidder.exchange.answers import clean

_LONGEST_MRL = timedelta(days=3650)
_LATEST_TIME = 32_503_680_000  # the year 3000
_DISK = re.compile(r"(\d+(?:\.\d+)?)\s*(TB|GB)\s*$", re.IGNORECASE)
_LONGEST_ID = 10**18

Amounts = dict[str, Decimal | None]


class _Net(msgspec.Struct):
    up: float | None = None
    down: float | None = None
    cc: str | None = None


class _Specs(msgspec.Struct):
    cpu: str | None = None
    ram: float | None = None
    disk: str | None = None
    disk_speed: float | None = None
    gpu: str | None = None
    gpuram: float | None = None
    net: _Net | None = None


class _Prices(msgspec.Struct):
    on_demand: Amounts | None = None
    spot: Amounts | None = None


class _Rating(msgspec.Struct):
    avg: float | None = None
    cnt: int | None = None


class _Server(msgspec.Struct):
    id: int
    price: _Prices | None = None
    spot: Amounts | None = None
    owner: int | None = None
    mrl: float | None = None
    rented: bool | None = None
    specs: _Specs | None = None
    allowed_coins: list[str] | None = None
    reliability: float | None = None
    rating: _Rating | None = None
    cuda_version: str | None = None


class _Marketplace(msgspec.Struct):
    servers: list[_Server]
    my_servers: list[int] | None = None


class _RawMarketplace(msgspec.Struct):
    servers: list[msgspec.Raw]
    my_servers: Any = None


class _Offer(msgspec.Struct):
    offer_id: int
    bid: Decimal
    active: bool | None = None
    my: bool | None = None
    currency: str | None = None


class _Order(msgspec.Struct):
    id: int
    si: int
    price: Decimal
    ct: float
    currency: str | None = None
    mrl: float | None = None
    spend: Decimal | None = None
    fee: float | None = None
    creation_fee: Decimal | None = None
    image: str | None = None
    spot: bool | None = None
    expired: bool | None = None
    pub_cluster: list[str] | None = None
    tcp_ports: list[str] | None = None
    http_port: str | int | None = None


class _Orders(msgspec.Struct):
    orders: list[_Order]
    limit: int | None = None


class _Wallet(msgspec.Struct):
    name: str
    balance: Decimal | None = None
    deposit: str | None = None
    withdrawal_fee: Decimal | None = None


class _Hosted(msgspec.Struct):
    name: str
    id: int | None = None
    connected: bool | str | None = None
    visibility: str | None = None
    online: bool | None = None
    pricing: Amounts | None = None
    spot_pricing: Amounts | None = None
    min_spot_pricing: Amounts | None = None
    mrl: float | None = None
    rental_status: int | None = None
    specs: _Specs | None = None


_MARKETPLACE = msgspec.json.Decoder(_Marketplace, strict=False)
_RAW_MARKETPLACE = msgspec.json.Decoder(_RawMarketplace)
_SERVER = msgspec.json.Decoder(_Server, strict=False)
_ORDERS = msgspec.json.Decoder(_Orders, strict=False)
_WALLET = msgspec.json.Decoder(_Wallet, strict=False)
_HOSTED = msgspec.json.Decoder(_Hosted, strict=False)
_OFFER = msgspec.json.Decoder(_Offer, strict=False)
_OBJECT = msgspec.json.Decoder(dict[str, msgspec.Raw])
_LIST = msgspec.json.Decoder(list[msgspec.Raw])
_AMOUNTS = msgspec.json.Decoder(dict[str, Decimal | None], strict=False)

_UNREADABLE = (msgspec.DecodeError, ValueError, RecursionError, OverflowError)


def marketplace(body: bytes) -> Marketplace:
    """Return the servers of a ``marketplace`` answer; raises InDoubt when it has none readable."""
    try:
        answer = _MARKETPLACE.decode(body)
        servers: Iterable[_Server] = answer.servers
        own = answer.my_servers or []
    except _UNREADABLE:
        servers, own = _one_by_one(body)
    listings = {}
    for server in servers:
        listing = _listing(server)
        if listing is not None:
            listings[listing.server] = listing
    return Marketplace(listings=listings, own_servers=frozenset(map(ServerId, own)))


def _one_by_one(body: bytes) -> tuple[list[_Server], list[int]]:
    try:
        raw = _RAW_MARKETPLACE.decode(body)
    except _UNREADABLE as exc:
        raise _unreadable("marketplace") from exc
    servers = []
    for text in raw.servers:
        try:
            servers.append(_SERVER.decode(text))
        except _UNREADABLE:
            continue
    own = raw.my_servers if isinstance(raw.my_servers, list) else []
    return servers, [server for server in own if isinstance(server, int)]


def orders(body: bytes) -> OrdersAnswer:
    """Return our orders; raises InDoubt when any of them cannot be read."""
    try:
        answer = _ORDERS.decode(body)
        return OrdersAnswer(orders=tuple(map(_order, answer.orders)), limit=answer.limit)
    except (*_UNREADABLE, InvalidAmount) as exc:
        raise _unreadable("my_orders") from exc


def book(body: bytes, server: ServerId) -> Book:
    """Return one server's spot market; raises InDoubt when it cannot be read."""
    try:
        answer = _OBJECT.decode(body)
        market = answer.get("market")
        if market is None or bytes(market) == b"null":
            return Book(server=server, exists=False)
        shown = _OBJECT.decode(market)
        offers = [_offer(raw) for raw in _LIST.decode(shown["offers"])]
        about = _OBJECT.decode(shown.get("server", msgspec.Raw(b"{}")))
        rates = _rates(shown.get("currency_rates_in_usd"))
    except (*_UNREADABLE, InvalidAmount, KeyError) as exc:
        raise _unreadable("spot_marketplace") from exc
    return Book(
        server=server,
        offers=tuple(offer for offer in offers if offer is not None),
        floor=_prices(_amounts(about.get("min_pricing"))),
        exists=_plain(answer.get("exists"), bool, default=True),
        public=_plain(about.get("visibility"), str, default="public") == "public",
        online=_plain(about.get("online"), bool, default=True),
        mrl=_duration(_plain(about.get("mrl"), float, default=None), 1),
        rates=rates,
    )


def wallets(body: bytes) -> tuple[Wallet, ...]:
    """Return the wallets; one that cannot be read is left out."""
    found = []
    for raw in _items(body, "wallets"):
        try:
            wallet = _WALLET.decode(raw)
        except _UNREADABLE:
            continue
        currency = _currency(wallet.name)
        fee = wallet.withdrawal_fee
        found.append(
            Wallet(
                currency=currency,
                balance=_money(wallet.balance, currency),
                deposit=clean(wallet.deposit or ""),
                withdrawal_fee=_money(fee, currency),
            )
        )
    return tuple(found)


def hosted_servers(body: bytes) -> tuple[HostedServer, ...]:
    """Return the account's own servers; one that cannot be read is left out."""
    found = []
    for raw in _items(body, "servers"):
        try:
            found.append(_hosted(_HOSTED.decode(raw)))
        except _UNREADABLE:
            continue
    return tuple(found)


def hosted_server(body: bytes) -> HostedServer:
    """Return one own server's configuration; raises InDoubt when it cannot be read."""
    try:
        return _hosted(_HOSTED.decode(_OBJECT.decode(body)["config"]))
    except (*_UNREADABLE, KeyError) as exc:
        raise _unreadable("server_config") from exc


def _items(body: bytes, key: str) -> list[msgspec.Raw]:
    try:
        return _LIST.decode(_OBJECT.decode(body)[key])
    except (*_UNREADABLE, KeyError) as exc:
        raise _unreadable(key) from exc


def _unreadable(what: str) -> InDoubt:
    return InDoubt("the answer says yes but cannot be read", endpoint=what)


@lru_cache(maxsize=256)
def _currency(name: str) -> Currency:
    text = clean(name, 40)
    return Currency.named(text)


@lru_cache(maxsize=256)
def _currencies(names: tuple[str, ...]) -> frozenset[Currency]:
    return frozenset(map(_currency, names))


def _price(amount: Decimal | None, currency: Currency) -> Price | None:
    """Return a price; None for null, for 0 ("not offered", trap 5) and for what cannot be money."""
    if not amount:
        return None
    try:
        return Price(amount, currency)
    except InvalidAmount:
        return None


def _money(amount: Decimal | None, currency: Currency) -> Money | None:
    if amount is None:
        return None
    try:
        return Money(checked_amount(amount), currency)
    except InvalidAmount:
        return None


def _prices(amounts: Mapping[str, Decimal | None] | None) -> dict[Currency, Price]:
    found: dict[Currency, Price] = {}
    if amounts:
        for name, amount in amounts.items():
            if not amount:
                continue
            currency = _currency(name)
            try:
                found[currency] = Price(amount, currency)
            except InvalidAmount:
                continue
    return found


def _amounts(raw: msgspec.Raw | None) -> Amounts:
    if raw is None:
        return {}
    try:
        return _AMOUNTS.decode(raw)
    except _UNREADABLE:
        return {}


def _rates(raw: msgspec.Raw | None) -> Rates:
    return Rates({_currency(name): rate for name, rate in _amounts(raw).items() if rate is not None})


def _plain(raw: msgspec.Raw | None, kind: type, *, default: Any) -> Any:
    if raw is None:
        return default
    try:
        value = msgspec.json.decode(raw, type=kind | None, strict=False)
    except _UNREADABLE:
        return default
    return default if value is None else value


@lru_cache(maxsize=4096)
def _duration(value: float | None, unit_seconds: int) -> timedelta | None:
    if value is None or value != value or value < 0:
        return None
    if value * unit_seconds >= _LONGEST_MRL.total_seconds():
        return _LONGEST_MRL
    return timedelta(seconds=value * unit_seconds)


def _id(value: int) -> int:
    if not 0 <= value < _LONGEST_ID:
        raise ValueError("an id out of range")
    return value


def _listing(server: _Server) -> Listing | None:
    if not 0 <= server.id < _LONGEST_ID:
        return None
    prices = server.price
    on_demand = None if prices is None else prices.on_demand
    spot = server.spot if prices is None or prices.spot is None else prices.spot
    rating = server.rating
    allowed = server.allowed_coins
    return Listing(
        server=ServerId(server.id),
        on_demand=_prices(on_demand),
        spot_floor=_prices(spot),
        rented=bool(server.rented),
        mrl=_duration(server.mrl, 3600) or timedelta(0),
        specs=_specs(server.specs, server.cuda_version),
        owner=server.owner,
        allowed=None if allowed is None else _currencies(tuple(allowed)),
        reliability=server.reliability,
        rating=None if rating is None else rating.avg,
        rating_count=0 if rating is None else rating.cnt or 0,
    )


@lru_cache(maxsize=4096)
def _gpu(text: str) -> tuple[str, int, str]:
    cleaned = clean(text, 120)
    count, model = parse_gpu(cleaned)
    return cleaned, count, model


@lru_cache(maxsize=8192)
def _disk(text: str) -> float | None:
    found = _DISK.search(text)
    if found is None:
        return None
    size = float(found[1])
    return size * 1000 if found[2].upper() == "TB" else size


@lru_cache(maxsize=8192)
def _text(text: str | None) -> str:
    return "" if text is None else clean(text, 120)


def _specs(specs: _Specs | None, cuda: str | None) -> Specs:
    if specs is None:
        return Specs(cuda=_text(cuda))
    gpu, count, model = _gpu(specs.gpu or "")
    net = specs.net
    return Specs(
        gpu=gpu,
        gpu_model=model,
        gpu_count=count,
        gpu_memory_gb=specs.gpuram,
        ram_gb=specs.ram,
        disk_gb=None if specs.disk is None else _disk(specs.disk),
        disk_speed=specs.disk_speed,
        cpu=_text(specs.cpu),
        net_up=None if net is None else net.up,
        net_down=None if net is None else net.down,
        country="" if net is None else _text(net.cc),
        cuda=_text(cuda),
    )


def _offer(raw: msgspec.Raw) -> Offer | None:
    try:
        offer = _OFFER.decode(raw)
    except _UNREADABLE:
        return None
    # Without a currency an offer is in bitcoin.
    price = _price(offer.bid, _currency(offer.currency or "bitcoin"))
    if price is None or not 0 <= offer.offer_id < _LONGEST_ID:
        return None
    return Offer(
        order=OrderId(offer.offer_id), price=price, active=bool(offer.active), mine=bool(offer.my)
    )


def _order(order: _Order) -> OwnOrder:
    currency = _currency(order.currency or "bitcoin")
    created = min(max(order.ct, 0.0), float(_LATEST_TIME))
    http_port = None if order.http_port is None else clean(order.http_port, 60)
    return OwnOrder(
        order=OrderId(_id(order.id)),
        server=ServerId(_id(order.si)),
        kind=OrderKind.SPOT if order.spot else OrderKind.ON_DEMAND,
        price=Price(checked_amount(order.price), currency),
        spend=Money(checked_amount(order.spend or Decimal(0)), currency),
        created_at=datetime.fromtimestamp(created, UTC),
        mrl=_duration(order.mrl, 1) or _LONGEST_MRL,
        expired=bool(order.expired),
        fee_percent=order.fee,
        creation_fee=_money(order.creation_fee, currency),
        image=clean(order.image or ""),
        access=Access(
            pub_cluster=tuple(clean(host) for host in order.pub_cluster or ()),
            tcp_ports=tuple(clean(port, 40) for port in order.tcp_ports or ()),
            http_port=http_port,
        ),
    )


_RENTALS = {0: "free", 1: "spot", 2: "on-demand"}


def _hosted(server: _Hosted) -> HostedServer:
    connected = server.connected
    if isinstance(connected, str):
        connected = connected.strip().lower() not in {"", "0", "false", "no", "none"}
    spot = server.spot_pricing if server.spot_pricing is not None else server.min_spot_pricing
    status = server.rental_status
    return HostedServer(
        name=clean(server.name),
        server=None if server.id is None else ServerId(_id(server.id)),
        connected=bool(connected),
        visibility=clean(server.visibility or ""),
        online=bool(server.online),
        on_demand=_prices(server.pricing),
        spot_floor=_prices(spot),
        mrl=_duration(server.mrl, 3600),
        rental=None if status is None else _RENTALS.get(status),
        specs=None if server.specs is None else _specs(server.specs, None),
    )
