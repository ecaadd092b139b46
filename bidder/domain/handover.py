"""From the bid that wins a server to the offer that runs there: what may lie between, and for how long.

No document of the exchange says how soon ``active`` follows the bids. While it may yet follow, an offer
on top that does not run is neither outbid nor lost: a raise would only outbid ourselves, and an order on
another server pay a second creation fee.

Rejected: learning the time from how long it took before. Where it is longer than what is believed, each
order is given up before it could teach that, and an idle offer costs nothing while it waits.
"""

from collections.abc import Container
from datetime import datetime, timedelta

from bidder.domain.ids import OrderId
from bidder.domain.market import Book
from bidder.domain.money import Rates
from bidder.domain.view import BookSeen, Holding
from bidder.errors import NoRate

# Longer than an exchange that settles its auctions once a minute takes, our look at it included.
LONGEST = timedelta(seconds=90)


def waits_on_top(book: Book, order: OrderId, rates: Rates, own: Container[OrderId]) -> bool:
    """Return whether this offer stands idle above every rival's; False where one cannot be valued."""
    offer = book.offer_of(order)
    if offer is None or offer.active:
        return False
    floor = book.floor.get(offer.price.currency)
    if floor is not None and offer.price < floor:
        return False
    try:
        rival = book.best_rival(rates, own)
        return rival is None or rates.to_usd(offer.price) > rates.to_usd(rival.price)
    except NoRate:
        return False


def topped_since(
    before: BookSeen | None,
    book: Book,
    order: OrderId,
    rates: Rates,
    own: Container[OrderId],
    *,
    at: datetime,
) -> datetime | None:
    """Return since when an idle offer has been on top because those above it went away.

    None where it is not, and where a bid of ours put it there or it ran there before.
    """
    if before is None or not waits_on_top(book, order, rates, own):
        return None
    if before.topped_since is not None:
        return before.topped_since
    was = before.book.offer_of(order)
    below = was is not None and not was.active and not waits_on_top(before.book, order, rates, own)
    return at if below else None


def until(
    holding: Holding, seen: BookSeen | None, rates: Rates, own: Container[OrderId]
) -> datetime | None:
    """Return until when an offer that waits on top may yet begin to run; None for any other offer."""
    order = holding.order.order
    if seen is None or not waits_on_top(seen.book, order, rates, own):
        return None
    begins = (holding.clock.created_at, holding.clock.raised_at, seen.topped_since)
    return max((at + LONGEST for at in begins if at is not None), default=None)


def comes_of_our_bid(
    holding: Holding, before: BookSeen | None, rates: Rates, own: Container[OrderId], *, at: datetime
) -> bool:
    """Return whether an offer that runs ``at`` a moment waited on top before, since a bid of ours."""
    if before is None or before.topped_since is not None:
        return False
    handover_until = until(holding, before, rates, own)
    return handover_until is not None and at <= handover_until
