"""Who would run: paper offers judged against each book as it is observed, and laid into it.

Between two looks things are taken to stay as the last look showed them. An offer of ours runs when it
is strictly above every other offer, in USD by the book's own rates; a tie is lost, because nobody has
written down who wins it. What cannot be compared is not won.
"""

from collections.abc import Iterable, Mapping
from dataclasses import replace
from datetime import datetime

from bidder.domain.ids import ServerId
from bidder.domain.market import Book, Listing, Offer, OrderKind
from bidder.domain.money import Rates
from bidder.domain.paper.account import Account, PaperOrder
from bidder.domain.paper.ground import Ground
from bidder.errors import NoRate


def judge(account: Account, server: ServerId, ground: Ground, at: datetime) -> Account:
    """Return the account with each order on ``server`` running or not, and paid up to ``at``."""
    standing = account.live_on(server)
    if not standing:
        return account
    first = _foremost(standing, ground.rates)
    return account.with_orders(*(_judged(order, first, ground, at) for order in standing))


def judge_all(account: Account, grounds: Mapping[ServerId, Ground], at: datetime) -> Account:
    """Return the account with the orders on all these servers judged."""
    for server, ground in grounds.items():
        account = judge(account, server, ground, at)
    return account


def lay_in(book: Book, account: Account, server: ServerId) -> Book:
    """Return the book as it would stand with our paper offers in it."""
    ours = tuple(
        Offer(order=o.order, price=o.price, active=o.active, mine=True)
        for o in account.live_on(server)
        if o.kind is OrderKind.SPOT
    )
    if not ours or not (book.exists or book.unborn):
        return book
    displaced = any(o.active for o in account.live_on(server))
    others = tuple(replace(o, active=False) for o in book.offers) if displaced else book.offers
    return replace(book, exists=True, offers=(*others, *ours))


def presumed_book(listing: Listing | None, server: ServerId) -> Book:
    """Return what must do for a book that may not be read: the floor, and nobody bidding."""
    if listing is None:
        return Book(server=server, exists=False, presumed=True)
    return Book(
        server=server,
        floor=listing.spot_floor,
        online=not listing.rented,
        mrl=listing.mrl or None,
        presumed=True,
    )


def _judged(order: PaperOrder, first: PaperOrder, ground: Ground, at: datetime) -> PaperOrder:
    runs = order is first and _wins(order, ground)
    assumed = order.assumed or (runs and ground.book is None and order.kind is OrderKind.SPOT)
    return replace(order.billed(at), active=runs, assumed=assumed)


def _wins(order: PaperOrder, ground: Ground) -> bool:
    if not ground.online:
        return False
    if order.kind is OrderKind.ON_DEMAND:
        return True
    if ground.rented:
        return False
    if ground.book is None:
        floor = ground.floor(order.price.currency)
        return floor is not None and order.price >= floor
    return _above_all(order, ground.book.offers, ground.book.rates.over(ground.rates))


def _above_all(order: PaperOrder, others: Iterable[Offer], rates: Rates) -> bool:
    for other in others:
        if other.price.currency == order.price.currency:
            if order.price <= other.price:
                return False
            continue
        try:
            if rates.to_usd(order.price) <= rates.to_usd(other.price):
                return False
        except NoRate:
            return False
    return True


def _foremost(standing: tuple[PaperOrder, ...], rates: Rates) -> PaperOrder:
    """Return which of our own orders on one server comes first: a rental, else the highest offer."""

    def strength(order: PaperOrder) -> tuple[bool, object, int]:
        known = rates.knows(order.price.currency)
        value = rates.to_usd(order.price) if known else order.price.amount * 0
        return (order.kind is OrderKind.ON_DEMAND, value, order.order)

    return max(standing, key=strength)
