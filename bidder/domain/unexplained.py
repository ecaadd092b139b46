"""Orders that look like a target's own and that nothing here explains.

A database that was restored from a backup, or begun anew, has forgotten orders that are still being
paid for. Taken for a person's, each of them would be ordered a second time. So an order that could
have come from a target's own launch fills one of its slots, untouched, until a person has decided:
``adopt: true`` gives it to the target, cancelling it frees the slot.

Where it could be any of several targets' it fills a slot of each. Rejected: counting it against the
first of them that has room. That one may want nothing now (its budget is spent, its job is done), and
whose it really is would order it a second time.
"""

from bidder.domain import selection
from bidder.domain.market import OrderKind
from bidder.domain.policy import Mode, Target
from bidder.domain.view import Holding, View


def unexplained(target: Target, view: View, mode: Mode) -> tuple[Holding, ...]:
    """Return the orders of nobody that ``target`` would have placed just so.

    On paper there are none: what is real was not placed there, and is never taken up.
    """
    if mode is Mode.PAPER:
        return ()
    return tuple(h for h in view.holdings.values() if h.target is None and _alike(h, target, view))


def _alike(holding: Holding, target: Target, view: View) -> bool:
    order = holding.order
    if order.image != target.launch.image:
        return False
    if order.kind is not OrderKind.SPOT and not target.rents:
        return False
    listing = view.marketplace.listings.get(order.server)
    if listing is None:
        return selection.could_qualify(order, target.requirements)
    return selection.qualifies(listing, target.requirements)
