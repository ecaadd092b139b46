"""Orders that ended before their time without the daemon: whose doing that was.

An outbid order may end by the exchange's rules, and then a new one may be bid at once. But where no
rival and no tenant has taken its server, somebody has cancelled it by hand, or the exchange has ended it
(a dead host, an empty wallet): to order the same again would undo the one and pay for the other. No
answer says which of them it was; the book and the marketplace after its end show it.
"""

from datetime import datetime, timedelta

from bidder.domain.intents import IntentKind
from bidder.domain.market import Offer, OrderKind, OwnOrder
from bidder.domain.money import Rates
from bidder.domain.view import Holding, View

# Why its server is left alone, and for how long: as for an order that the owner has the daemon cancel.
REASON = "ended before its time"
LEFT_ALONE = timedelta(minutes=60)
# An order that ends so shortly before its time has run it out: clocks differ.
_WELL_BEFORE = timedelta(minutes=15)
# Longer than any rental: its time was not told.
_NO_TIME_TOLD = timedelta(days=3650)
# What the book and the marketplace have not shown by then is not found out any more.
_FOUND_OUT_WITHIN = timedelta(minutes=10)


def early(holding: Holding, view: View, now: datetime) -> bool:
    """Return whether an order that is over by ``now`` has ended well before its time.

    By the exchange's clock and by ours, either of which may be wrong; where the marketplace names a
    shorter time than the order, by that one.
    """
    order, listing = holding.order, view.marketplace.listings.get(holding.order.server)
    told = [order.mrl] if listing is None or not listing.mrl else [order.mrl, listing.mrl]
    mrl = min(told)
    born = holding.clock.created_at or holding.first_seen_at
    lasted = max(now - order.created_at, now - born)
    return mrl < _NO_TIME_TOLD and lasted < mrl - _WELL_BEFORE


def unexplained(holding: Holding, view: View, now: datetime) -> bool:
    """Return whether an order of ours that is over may have been cut off while it ran.

    Not where we cancelled it, nor where it was seen to stand idle, nor where nobody had looked yet.
    """
    order = holding.order
    if not holding.ours or not order.expired or not early(holding, view, now):
        return False
    asked = any(i.kind is IntentKind.WITHDRAW and i.order == order.order for i in view.intents)
    if asked or order.order in view.cancelled:
        return False
    if order.kind is OrderKind.ON_DEMAND or holding.active:
        return True
    seen = view.books.get(order.server)
    # An offer that is in the book no more is not idle but over.
    return holding.active is False and (seen is None or seen.book.offer_of(order.order) is None)


def was_cut_off(holding: Holding, view: View, now: datetime) -> bool | None:
    """Return whether an order that ended early was ended by somebody; None while that is not known.

    It was not where a rival's bid beats it, or its server can be had by nobody's bid.
    """
    order, listing = holding.order, view.marketplace.listings.get(holding.order.server)
    if order.kind is OrderKind.ON_DEMAND:
        return True
    if listing is not None and listing.rented:
        return False
    unknown = None if now - holding.last_seen_at < _FOUND_OUT_WITHIN else False
    seen = view.books.get(order.server)
    if seen is None or wants_book(holding, view):
        return unknown
    book, running = seen.book, seen.book.active()
    if not (book.exists and book.public and book.online):
        return False
    if running is not None:
        return not _beats(running, order, book.rates.over(view.rates))
    if book.offers:
        return False  # others bid and none runs: a tenant has it
    if view.marketplace_at is None or view.marketplace_at < holding.last_seen_at:
        return unknown
    return listing is not None


def wants_book(holding: Holding, view: View) -> bool:
    """Return whether its server's book must be read to know: one that shows its offer is too old."""
    order = holding.order
    if order.kind is OrderKind.ON_DEMAND:
        return False
    seen = view.books.get(order.server)
    return seen is None or seen.at < holding.first_seen_at or seen.book.offer_of(order.order) is not None


def _beats(running: Offer, order: OwnOrder, rates: Rates) -> bool:
    price = running.price
    if price.currency == order.price.currency:
        return price >= order.price
    if not (rates.knows(price.currency) and rates.knows(order.price.currency)):
        return True
    return rates.to_usd(price) >= rates.to_usd(order.price)
