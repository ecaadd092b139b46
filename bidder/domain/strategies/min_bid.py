"""``min_bid``: the server's floor, never moved.

What dstack did on a marketplace with bids (issue 4026 there): ask for the least allowed and wait. The
yardstick for every strategy that claims its raises are worth their money.
"""

from datetime import datetime

from bidder.domain.actions import Decision, Reason
from bidder.domain.money import Price
from bidder.domain.policy import Policy
from bidder.domain.positions import Position
from bidder.domain.quotes import Quote
from bidder.domain.strategies import common


def opening_bid(quote: Quote) -> Price | None:
    """Return the floor; None where the cap is below it."""
    return quote.floor if quote.floor <= quote.cap else None


def decide(position: Position, policy: Policy, now: datetime) -> Decision:
    """Return the hold, save for what the ceiling commands, or where the server is lost."""
    forced = (
        common.unseen(position, policy, now)
        or common.above_ceiling(position, None, now)
        or common.lost(position, now)
    )
    if forced is not None:
        return forced
    active = position.offer is not None and position.offer.active
    return common.hold(position, Reason.WINNING if active else Reason.FIXED_PRICE)
