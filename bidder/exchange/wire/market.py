"""The marketplace and the spot market of one server: what anybody may read."""

from collections.abc import Iterable
from datetime import timedelta
from decimal import Decimal
from typing import Any

import msgspec

from bidder.domain.ids import OrderId, ServerId
from bidder.domain.market import Book, Listing, Marketplace, Offer
from bidder.domain.money import Currency, Price, checked_amount
from bidder.errors import InvalidAmount
from bidder.exchange.wire.fields import (
    LIST,
    LONGEST_ID,
    OBJECT,
    UNREADABLE,
    Amounts,
    SpecsShape,
    amounts_of,
    currencies_of,
    currency_of,
    duration_of,
    finite,
    plain_of,
    prices_of,
    rates_of,
    specs_of,
    unreadable,
)


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
    specs: SpecsShape | None = None
    allowed_coins: list[str] | None = None
    reliability: float | None = None
    rating: _Rating | None = None
    cuda_version: str | None = None
    gigaspot: Any = None


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


_MARKETPLACE = msgspec.json.Decoder(_Marketplace, strict=False)
_RAW_MARKETPLACE = msgspec.json.Decoder(_RawMarketplace)
_SERVER = msgspec.json.Decoder(_Server, strict=False)
_OFFER = msgspec.json.Decoder(_Offer, strict=False)


def marketplace(body: bytes) -> Marketplace:
    """Return the servers of a ``marketplace`` answer; raises InDoubt when it has none readable."""
    try:
        answer = _MARKETPLACE.decode(body)
        servers: Iterable[_Server] = answer.servers
        own = answer.my_servers
    except UNREADABLE:
        servers, own = _one_by_one(body)
    listings = {}
    for server in servers:
        listing = _listing(server)
        if listing is not None:
            listings[listing.server] = listing
    return Marketplace(
        listings=listings,
        own_servers=frozenset(map(ServerId, own or ())),
        names_own=own is not None,
    )


def book(body: bytes, server: ServerId) -> Book:
    """Return one server's spot market; raises InDoubt when it cannot be read."""
    try:
        answer = OBJECT.decode(body)
        market = answer.get("market")
        if market is None or bytes(market) == b"null":
            return Book(server=server, exists=False)
        shown = OBJECT.decode(market)
        offers = [_offer(raw) for raw in LIST.decode(shown["offers"])]
        about = OBJECT.decode(shown.get("server", msgspec.Raw(b"{}")))
        rates = rates_of(shown.get("currency_rates_in_usd"))
    except (*UNREADABLE, InvalidAmount, KeyError) as exc:
        raise unreadable("spot_marketplace") from exc
    return Book(
        server=server,
        offers=tuple(offer for offer in offers if offer is not None),
        floor=prices_of(amounts_of(about.get("min_pricing"))),
        exists=plain_of(answer.get("exists"), bool, default=True),
        public=plain_of(about.get("visibility"), str, default="public") == "public",
        online=plain_of(about.get("online"), bool, default=True),
        mrl=duration_of(plain_of(about.get("mrl"), float, default=None), 1),
        rates=rates,
    )


def _one_by_one(body: bytes) -> tuple[list[_Server], list[int] | None]:
    try:
        raw = _RAW_MARKETPLACE.decode(body)
    except UNREADABLE as exc:
        raise unreadable("marketplace") from exc
    servers = []
    for text in raw.servers:
        try:
            servers.append(_SERVER.decode(text))
        except UNREADABLE:
            continue
    own = raw.my_servers
    if not isinstance(own, list):
        return servers, None
    return servers, [server for server in own if isinstance(server, int)]


def _price(amount: Decimal | None, currency: Currency) -> Price | None:
    """Return a price; None for null, for 0 ("not offered", trap 5) and for what cannot be money."""
    if not amount:
        return None
    try:
        return Price(checked_amount(amount), currency)
    except InvalidAmount:
        return None


def _listing(server: _Server) -> Listing | None:
    if not 0 <= server.id < LONGEST_ID:
        return None
    prices = server.price
    on_demand = None if prices is None else prices.on_demand
    spot = server.spot if prices is None or prices.spot is None else prices.spot
    rating = server.rating
    allowed = server.allowed_coins
    return Listing(
        server=ServerId(server.id),
        on_demand=prices_of(on_demand),
        spot_floor=prices_of(spot),
        rented=bool(server.rented),
        mrl=duration_of(server.mrl, 3600) or timedelta(0),
        specs=specs_of(server.specs, server.cuda_version),
        owner=server.owner,
        allowed=None if allowed is None else currencies_of(tuple(allowed)),
        reliability=finite(server.reliability),
        rating=None if rating is None else finite(rating.avg),
        rating_count=0 if rating is None else rating.cnt or 0,
        gigaspot=_said(server.gigaspot),
    )


def _said(value: Any) -> bool:
    """Return whether a flag is set, in whatever shape; anything else than a clear yes is a no."""
    return value is True or value == 1 or (isinstance(value, str) and value.lower() == "true")


def _offer(raw: msgspec.Raw) -> Offer | None:
    try:
        offer = _OFFER.decode(raw)
    except UNREADABLE:
        return None
    # Without a currency an offer is in bitcoin.
    price = _price(offer.bid, currency_of(offer.currency or "bitcoin"))
    if price is None or not 0 <= offer.offer_id < LONGEST_ID:
        return None
    return Offer(
        order=OrderId(offer.offer_id), price=price, active=bool(offer.active), mine=bool(offer.my)
    )
