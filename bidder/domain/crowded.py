"""Servers on which the account has more than one live order."""

from collections import Counter
from datetime import datetime

from bidder.domain.actions import Decision, Reason
from bidder.domain.ids import ServerId
from bidder.domain.market import OrderKind
from bidder.domain.policy import Policy
from bidder.domain.positions import Position
from bidder.domain.strategies import common
from bidder.domain.view import Holding, Setback, View


def servers(view: View) -> frozenset[ServerId]:
    """Return the servers on which the account has more than one live order."""
    counts = Counter(holding.order.server for holding in view.holdings.values())
    return frozenset(server for server, count in counts.items() if count > 1)


def others(holding: Holding, view: View) -> tuple[Holding, ...]:
    """Return the account's other live orders on this server."""
    order = holding.order
    here = (h for h in view.holdings.values() if h.order.server == order.server)
    return tuple(h for h in here if h.order.order != order.order)


def beside(
    here: Position,
    others: tuple[Holding, ...],
    policy: Policy,
    now: datetime,
    *,
    setback: Setback | None,
) -> Decision:
    """Return the decision about an order that is not the account's only one on its server.

    A request that the wire delivered twice, or a person's order: nobody can say which may go. But this
    one is ours by its number, and above its ceiling it must not stay. ``setback``: what has just been
    refused of this order.
    """
    order = here.holding.order
    forced: Decision | None = None
    if order.kind is OrderKind.ON_DEMAND:
        forced = common.rented(here)
    elif here.fresh(now, policy.pace.book_stale_after):
        forced = common.above_ceiling(here, None, now)
    if forced is not None and forced.action is not None and setback is None:
        return forced
    return Decision(
        target=here.target.name,
        reason=Reason.FROZEN,
        server=order.server,
        order=order.order,
        facts={"other_order": others[0].order.order},
    )
