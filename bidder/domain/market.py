"""What the exchange shows, as values: servers, books, orders, wallets.

A ``Listing`` is a server as ``marketplace`` shows it, a ``Book`` its spot market (API document,
endpoints 4 and 6). Durations arrive in hours from one and in seconds from the other; here both are
``timedelta``. A price of 0 means "not offered" (trap 5) and never gets this far.
"""

import re
from collections.abc import Container, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from enum import StrEnum

from bidder.domain.ids import OrderId, ServerId
from bidder.domain.money import Currency, Money, Price, Rates
from bidder.errors import NoRate


class OrderKind(StrEnum):
    """How an order rents its server."""

    SPOT = "spot"  # an offer in the server's spot market, displaced when outbid
    ON_DEMAND = "on-demand"  # a rental at the host's price


@dataclass(frozen=True, slots=True, kw_only=True)
class Specs:
    """A server's hardware. ``None`` means that the exchange did not say.

    ``gpu_model`` is normalised: without maker and brand words, in capitals, as people search for it
    (``RTX 3090``); ``gpu_count`` is 0 where the text names no count. Sizes in GB, network in Mbit/s.
    """

    gpu: str = ""
    gpu_model: str = ""
    gpu_count: int = 0
    gpu_memory_gb: float | None = None
    ram_gb: float | None = None
    disk_gb: float | None = None
    disk_speed: float | None = None
    cpu: str = ""
    net_up: float | None = None
    net_down: float | None = None
    country: str = ""
    cuda: str = ""


_COUNTED = re.compile(r"^\s*(\d{1,3})\s*x\s+(.+)$", re.IGNORECASE)
_MAKERS = re.compile(r"\b(nvidia|amd|geforce|radeon|intel|graphics|corporation)\b", re.IGNORECASE)


def parse_gpu(text: str) -> tuple[int, str]:
    """Return count and normalised model of ``specs.gpu`` (trap 7); count 0 when none is named."""
    counted = _COUNTED.match(text)
    count, name = (int(counted[1]), counted[2]) if counted else (0, text)
    return count, gpu_model(name)


def gpu_model(name: str) -> str:
    """Return a GPU's name as people search for it: ``NVIDIA GeForce RTX 3090`` -> ``RTX 3090``."""
    return " ".join(_MAKERS.sub(" ", name).upper().split())


@dataclass(frozen=True, slots=True, kw_only=True)
class Listing:
    """One server on the marketplace.

    A ``gigaspot`` is auctioned elsewhere: it is listed with its prices, and takes no order here.
    """

    server: ServerId
    on_demand: Mapping[Currency, Price]
    spot_floor: Mapping[Currency, Price]
    rented: bool
    mrl: timedelta
    specs: Specs = Specs()
    owner: int | None = None
    allowed: frozenset[Currency] | None = None
    reliability: float | None = None
    rating: float | None = None
    rating_count: int = 0
    gigaspot: bool = False

    def takes(self, currency: Currency) -> bool:
        """Return whether the host accepts this currency (trap 3)."""
        return self.allowed is None or currency in self.allowed

    def without(self, currency: Currency) -> "Listing":
        """Return the server as one whose host does not accept this currency."""
        allowed = self.allowed
        if allowed is None:
            allowed = frozenset((*self.spot_floor, *self.on_demand))
        return replace(self, allowed=allowed - {currency})

    def on_demand_usd(self, rates: Rates, currencies: frozenset[Currency]) -> Price | None:
        """Return the cheapest on-demand price among ``currencies``; None where there is none."""
        payable = [
            price
            for currency, price in self.on_demand.items()
            if currency in currencies and self.takes(currency) and rates.knows(currency)
        ]
        return min(payable, key=rates.to_usd, default=None)


@dataclass(frozen=True, slots=True, kw_only=True)
class Marketplace:
    """One answer of ``marketplace``: all public servers, and which of them are the account's own.

    ``names_own`` is False where the answer did not say which: then what was known stands.
    """

    listings: Mapping[ServerId, Listing]
    own_servers: frozenset[ServerId] = frozenset()
    names_own: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Offer:
    """One bid standing in a server's spot market; ``active`` is the one that runs now."""

    order: OrderId
    price: Price
    active: bool
    mine: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Book:
    """One server's spot market, all currencies in one ladder.

    ``rates`` are the answer's own, by which the exchange compares offers; they may be empty.
    ``presumed`` says that nobody read it: it stands for a book that may not be read (paper trading).
    """

    server: ServerId
    offers: tuple[Offer, ...] = ()
    floor: Mapping[Currency, Price] = field(default_factory=dict)
    exists: bool = True
    public: bool = True
    online: bool = True
    mrl: timedelta | None = None
    rates: Rates = Rates()
    presumed: bool = False

    def open_at(self, listing: Listing | None) -> bool:
        """Return whether bids are taken on this server, as far as its book tells.

        Of one that nobody has bid for yet the exchange may show no book at all, while it lists the least
        that it takes. One that is closed says so, or is listed no more.
        """
        exists = self.exists or (self.unborn and listing is not None and bool(listing.spot_floor))
        return exists and self.public and self.online

    @property
    def unborn(self) -> bool:
        """Return whether the exchange shows no book, nor a word why."""
        return not (self.exists or self.floor or self.offers or self.presumed)

    def active(self) -> Offer | None:
        """Return the offer that runs now, which need not be the highest (API page, section 3)."""
        return next((offer for offer in self.offers if offer.active), None)

    def offer_of(self, order: OrderId) -> Offer | None:
        """Return our offer of this number, if it is in the book."""
        return next((offer for offer in self.offers if offer.order == order), None)

    def rivals(self, own: Container[OrderId] = frozenset()) -> tuple[Offer, ...]:
        """Return the offers that are not ours (trap 6: never outbid oneself)."""
        return tuple(o for o in self.offers if not o.mine and o.order not in own)

    def best_rival(self, rates: Rates, own: Container[OrderId] = frozenset()) -> Offer | None:
        """Return the strongest rival by USD value; raises NoRate when one cannot be valued."""
        return max(self.rivals(own), key=lambda o: rates.to_usd(o.price), default=None)

    def valued(self, rates: Rates) -> bool:
        """Return whether every offer can be compared in USD by these rates."""
        try:
            for offer in self.offers:
                rates.to_usd(offer.price)
        except NoRate:
            return False
        return True


@dataclass(frozen=True, slots=True, kw_only=True)
class Access:
    """How to reach a running order: public hosts, ``container:public`` TCP ports, HTTPS port."""

    pub_cluster: tuple[str, ...] = ()
    tcp_ports: tuple[str, ...] = ()
    http_port: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class OwnOrder:
    """One of the account's orders as ``my_orders`` shows it.

    ``spend`` is what it has cost so far without fees, exactly as sent. ``fee_percent`` and
    ``creation_fee`` are None where the answer leaves them out. ``gpu_model`` (as in ``Specs``) and
    ``gpu_count`` are what it rents by its own word; both are None where that does not say so legibly.
    ``assumed`` says of an order on paper that it was taken to win although its book could not be seen.
    """

    order: OrderId
    server: ServerId
    kind: OrderKind
    price: Price
    spend: Money
    created_at: datetime
    mrl: timedelta
    expired: bool = False
    fee_percent: float | None = None
    creation_fee: Money | None = None
    image: str = ""
    access: Access = Access()
    assumed: bool = False
    gpu_model: str | None = None
    gpu_count: int | None = None

    @property
    def ends_at(self) -> datetime:
        """Return when the order ends by itself: ``ct + mrl``; a spot order cannot be extended."""
        return self.created_at + self.mrl


@dataclass(frozen=True, slots=True, kw_only=True)
class OrdersAnswer:
    """One answer of ``my_orders``; ``limit`` is the most active orders the account may have."""

    orders: tuple[OwnOrder, ...]
    limit: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Wallet:
    """One wallet; ``balance`` is None where the exchange does not say."""

    currency: Currency
    balance: Money | None
    deposit: str = ""
    withdrawal_fee: Money | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class HostedServer:
    """One server that the account itself offers for rent (endpoints 2 and 3), without secrets."""

    name: str
    server: ServerId | None = None
    connected: bool = False
    visibility: str = ""
    online: bool = False
    on_demand: Mapping[Currency, Price] = field(default_factory=dict)
    spot_floor: Mapping[Currency, Price] = field(default_factory=dict)
    mrl: timedelta | None = None
    rental: str | None = None  # free, spot, on-demand; None where not said
    specs: Specs | None = None
