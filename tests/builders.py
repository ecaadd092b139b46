"""Builders of the domain's values: sensible defaults, and only what a test is about by name."""

from collections.abc import Iterable, Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

from bidder.domain import fold
from bidder.domain.ids import AccountName, OrderId, ServerId
from bidder.domain.intents import Intent, IntentKind, OrdersRead
from bidder.domain.market import (
    Book,
    Listing,
    Marketplace,
    Offer,
    OrderKind,
    OrdersAnswer,
    OwnOrder,
    Specs,
    Wallet,
)
from bidder.domain.money import Currency, Money, Price, Rates
from bidder.domain.policy import Ceiling, Launch, Mode, Per, Policy, Rails, Requirements, Target
from bidder.domain.price_rules import LoweringClock
from bidder.domain.view import BookSeen, Holding, View

NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
RATES = Rates({Currency.BTC: Decimal(50_000), Currency.CLORE: Decimal("0.02")})
LAUNCH = Launch(image="cloreai/ubuntu22.04")
TARGET = "render"
SERVER = ServerId(101)
ORDER = OrderId(7)


def at(seconds: float) -> datetime:
    """Return the moment so many seconds after NOW."""
    return NOW + timedelta(seconds=seconds)


def usd(text: str) -> Price:
    """Return a price in dollars per day."""
    return Price.parse(text, Currency.USD)


def btc(text: str) -> Price:
    """Return a price in bitcoin per day."""
    return Price.parse(text, Currency.BTC)


def clore(text: str) -> Price:
    """Return a price in CLORE per day."""
    return Price.parse(text, Currency.CLORE)


FLOOR = usd("1")
ON_DEMAND = usd("10")
BID = usd("2")
CEILING = usd("5")
NO_RAILS = Rails()


def prices(*amounts: Price) -> Mapping[Currency, Price]:
    """Return a price list: at most one price for each currency."""
    return {price.currency: price for price in amounts}


def server_ids(*numbers: int) -> frozenset[ServerId]:
    """Return server ids."""
    return frozenset(map(ServerId, numbers))


def make_listing(
    server: int = SERVER,
    *,
    floor: Price | Iterable[Price] = FLOOR,
    on_demand: Price | Iterable[Price] = ON_DEMAND,
    gpus: int = 1,
    **changes: Any,
) -> Listing:
    """Return a reliable server with one RTX 3090, free, at 1 USD on spot and 10 on demand."""
    listing = Listing(
        server=ServerId(server),
        spot_floor=prices(*([floor] if isinstance(floor, Price) else floor)),
        on_demand=prices(*([on_demand] if isinstance(on_demand, Price) else on_demand)),
        rented=False,
        mrl=timedelta(hours=96),
        specs=changes.pop("specs", make_specs(gpu_count=gpus)),
        owner=900,
        reliability=1.0,
        rating=5.0,
        rating_count=10,
    )
    return replace(listing, **changes)


def make_specs(**changes: Any) -> Specs:
    """Return the hardware of a well-equipped server with one RTX 3090."""
    usual = Specs(
        gpu="1x NVIDIA GeForce RTX 3090",
        gpu_model="RTX 3090",
        gpu_count=1,
        gpu_memory_gb=24.0,
        ram_gb=64.0,
        disk_gb=500.0,
        net_up=500.0,
        net_down=500.0,
        country="DE",
        cuda="12.4",
    )
    return replace(usual, **changes)


def make_market(*listings: Listing, own: Iterable[int] = ()) -> Marketplace:
    """Return a marketplace of these servers, ``own`` of which belong to the account."""
    return Marketplace(
        listings={listing.server: listing for listing in listings}, own_servers=server_ids(*own)
    )


def rival(price: Price, *, active: bool = False, number: int = 500) -> Offer:
    """Return somebody else's offer."""
    return Offer(order=OrderId(number), price=price, active=active, mine=False)


def mine(price: Price, *, active: bool = False, number: int = ORDER) -> Offer:
    """Return an offer of ours."""
    return Offer(order=OrderId(number), price=price, active=active, mine=True)


def make_book(*offers: Offer, server: int = SERVER, floor: Price = FLOOR, **changes: Any) -> Book:
    """Return a server's open spot market with these offers, which states no rates of its own."""
    book = Book(server=ServerId(server), offers=offers, floor=prices(floor))
    return replace(book, **changes)


def seen(book: Book, *, when: datetime = NOW, outbid_reads: int = 0) -> BookSeen:
    """Return a book as read at ``when``."""
    return BookSeen(book=book, at=when, outbid_reads=outbid_reads)


def make_order(
    number: int = ORDER, *, server: int = SERVER, price: Price = BID, **changes: Any
) -> OwnOrder:
    """Return a live spot order of the account, created an hour ago for four days."""
    order = OwnOrder(
        order=OrderId(number),
        server=ServerId(server),
        kind=OrderKind.SPOT,
        price=price,
        spend=Money.zero(price.currency),
        created_at=at(-3600),
        mrl=timedelta(hours=96),
    )
    return replace(order, **changes)


def make_holding(
    number: int = ORDER,
    *,
    server: int = SERVER,
    price: Price = BID,
    order: OwnOrder | None = None,
    **changes: Any,
) -> Holding:
    """Return a bid of the default target that runs, listed just before NOW, its clock long open."""
    holding = Holding(
        order=make_order(number, server=server, price=price) if order is None else order,
        target=TARGET,
        first_seen_at=at(-3600),
        last_seen_at=at(-5),
        clock=LoweringClock(created_at=at(-3600)),
        active=True,
    )
    return replace(holding, **changes)


def outbid_holding(number: int = ORDER, *, since: float = -60, **changes: Any) -> Holding:
    """Return a bid of the default target that has been outbid for a while."""
    return make_holding(number, **{"active": False, "outbid_since": at(since), **changes})


def make_target(
    name: str = TARGET,
    *,
    ceiling: Price = CEILING,
    per: Per = Per.SERVER,
    want: int = 1,
    **changes: Any,
) -> Target:
    """Return a target that wants one server of any kind below 5 USD per day, paid in dollars."""
    target = Target(
        name=name,
        want=want,
        ceiling=Ceiling(price=ceiling, per=per),
        launch=LAUNCH,
        requirements=Requirements(),
        currencies=(Currency.USD,),
    )
    return replace(target, **changes)


def make_policy(*targets: Target, rails: Rails = NO_RAILS, **changes: Any) -> Policy:
    """Return a live policy of these targets (by default the usual one)."""
    policy = Policy(
        account=AccountName("main"), mode=Mode.LIVE, targets=targets or (make_target(),), rails=rails
    )
    return replace(policy, **changes)


def make_view(
    policy: Policy,
    *listings: Listing,
    holdings: Iterable[Holding] = (),
    books: Iterable[BookSeen] = (),
    own: Iterable[int] = (),
    **changes: Any,
) -> View:
    """Return a view that has read everything, with every target's shortlist made from ``listings``."""
    view = View(
        holdings={holding.order.order: holding for holding in holdings},
        books={known.book.server: known for known in books},
        orders_at=at(-5),
        completed_at=at(-60),
        wallets={Currency.USD: Wallet(currency=Currency.USD, balance=Money.parse("1000", Currency.USD))},
        wallets_at=at(-60),
        rates=RATES,
    )
    known = fold.marketplace(
        replace(view, **changes), make_market(*listings, own=own), policy, at=at(-10)
    )
    # Reading the marketplace forgets books of no interest; a test that names one is interested.
    return replace(known, books=view.books)


def make_intent(
    kind: IntentKind = IntentKind.PLACE,
    *,
    server: int = SERVER,
    price: Price | None = BID,
    known: Iterable[int] = (),
    ended: float | None = 0,
    **changes: Any,
) -> Intent:
    """Return an open intent of the default target, sent a second before it ended."""
    intent = Intent(
        id=1,
        kind=kind,
        server=ServerId(server),
        target=TARGET,
        order=None if kind in {IntentKind.PLACE, IntentKind.RENT} else ORDER,
        price=price,
        previous_price=None,
        known_orders=frozenset(map(OrderId, known)),
        opened_at=at(-1),
        ended_at=None if ended is None else at(ended),
    )
    return replace(intent, **changes)


def read_orders(
    *orders: OwnOrder, started: float = 0, completed: bool = True, limit: int | None = None
) -> OrdersRead:
    """Return a read of our orders that started so many seconds after NOW."""
    return OrdersRead(
        answer=OrdersAnswer(orders=orders, limit=limit), started_at=at(started), completed=completed
    )
