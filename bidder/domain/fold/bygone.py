"""What a read of our orders says of those that have ended, or were taken for ended."""

from collections.abc import Iterable, Mapping
from dataclasses import replace
from datetime import datetime, timedelta

from bidder.domain.fold import bills
from bidder.domain.ids import OrderId, ServerId
from bidder.domain.intents import Intent, OrdersRead
from bidder.domain.market import OwnOrder
from bidder.domain.view import Holding, View

# An ended order that is still listed as running after this long was not ended after all.
_SURELY_BACK = timedelta(seconds=100)
# An ended order is forgotten when the exchange, asked for ended ones as well, has left it out for so
# long: while it may be listed, a new creation on its server must not be taken for it. A restart looks
# back just as far.
FORGOTTEN_AFTER = timedelta(days=3)


def closed(
    closing: Mapping[OrderId, Holding],
    booked: Iterable[OwnOrder],
    forgotten: frozenset[OrderId],
    view: View,
    now: datetime,
) -> dict[OrderId, Holding]:
    """Return the ended orders of which nothing more is to come, with what they have cost."""
    found = {order: holding for order, holding in closing.items() if order in forgotten}
    for listed in booked:
        known = closing.get(listed.order)
        if known is not None:
            over = min(known.ended_at or now, now)
            final = bills.fees_kept(known.order, listed)
            found[final.order] = replace(known, cost=bills.cost_of(known, final, view, over))
    return found


def unlisted_since(
    view: View, gone: Mapping[OrderId, ServerId], listed: Mapping[OrderId, OwnOrder], read: OrdersRead
) -> dict[OrderId, datetime]:
    """Return since when each ended order is listed no more; a read of live ones alone tells nothing."""
    before = {o: at for o, at in view.unlisted_since.items() if o in gone and o not in listed}
    if not read.completed:
        return before
    return {o: before.get(o, read.started_at) for o in gone if o not in listed}


def forgotten(
    unlisted: Mapping[OrderId, datetime],
    gone: Mapping[OrderId, ServerId],
    intents: Iterable[Intent],
    read: OrdersRead,
) -> frozenset[OrderId]:
    """Return the ended orders that nothing can be mistaken for any more."""
    if not read.completed:
        return frozenset()
    needed = {intent.server for intent in intents}
    return frozenset(
        order
        for order, since in unlisted.items()
        if read.started_at - since > FORGOTTEN_AFTER and gone[order] not in needed
    )


def revenants(view: View, listed: dict[OrderId, OwnOrder], read: OrdersRead) -> dict[OrderId, datetime]:
    """Return the ended orders that are listed as running, and since when without a break."""
    running = (o.order for o in listed.values() if not o.expired and o.order in view.ended)
    return {order: view.revenants.get(order, read.started_at) for order in running}


def is_back(order: OrderId, view: View, read: OrdersRead) -> bool:
    """Return whether an ended order has been listed as running for too long to have ended."""
    since = view.revenants.get(order)
    return since is not None and read.started_at - since >= _SURELY_BACK
