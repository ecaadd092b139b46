"""Bids of ours that a rival answered, each at the price of a start.

A rival's program that looks every minute or so outbids a raise at once, and each time our server stands
still and starts anew. Only starts that were lost are counted: where the raise that wins a server back
comes at the very moment of the loss, as on a recorded trace, no work is.

Rejected: counting every raise soon after another bid. On a market that climbs by itself in small steps
that is a war against nobody, and waiting for its end costs the whole climb.
"""

from bisect import bisect_left
from datetime import datetime, timedelta

from bidder.domain import handover
from bidder.domain.ids import ServerId
from bidder.domain.market import Book
from bidder.domain.view import Holding, View

# As many answers are expected within the next hour as there were within this one.
REMEMBERED = timedelta(hours=1)
# Outbid within this after our own bid, and somebody answered it: rivals' programs look that often.
_ANSWERED_WITHIN = timedelta(minutes=3)
# A raise is counted from when the exchange has taken it, which is so much later at most: one that is
# decided on now and would be too late by then has not been called for by an answer.
_UNDER_WAY = timedelta(seconds=30)


def answered(server: ServerId, view: View, now: datetime) -> tuple[datetime, ...]:
    """Return when within the last hour a bid of ours was raised because a rival had answered it."""
    since = now - REMEMBERED
    lost = [r.at for r in view.raises if r.server == server and r.at > since and r.lost and r.beaten]
    if not lost:
        return ()
    bids = _bids(server, view, since - _ANSWERED_WITHIN)
    return tuple(at for at in sorted(lost) if _soon(at, bids))


def known(holding: Holding, view: View, now: datetime) -> tuple[datetime, ...]:
    """Return when a rival answered within the last hour where an order stands, now included.

    It is answered now where it has been idle for more than a moment, a rival's bid is no lower, and a
    raise would come soon after our last bid.
    """
    server, since = holding.order.server, holding.outbid_since
    found = answered(server, view, now)
    if holding.active is not False or since is None or since >= now:
        return found
    seen = view.books.get(server)
    if seen is not None and _tops(holding, seen.book, view):
        return found
    bids = _bids(server, view, now - _ANSWERED_WITHIN)
    return (*found, now) if _soon(now + _UNDER_WAY, bids) else found


def _tops(holding: Holding, book: Book, view: View) -> bool:
    rates = book.rates.over(view.rates)
    return handover.waits_on_top(book, holding.order.order, rates, view.holdings)


def _bids(server: ServerId, view: View, since: datetime) -> list[datetime]:
    raised = (r.at for r in view.raises if r.server == server and r.at > since)
    placed = (c.at for c in view.creations if c.server == server and c.at > since and not c.refused)
    return sorted((*raised, *placed))


def _soon(at: datetime, bids: list[datetime]) -> bool:
    """Return whether the latest bid before ``at`` was so short a time ago that this is an answer."""
    before = bisect_left(bids, at)
    return before > 0 and at - bids[before - 1] <= _ANSWERED_WITHIN
