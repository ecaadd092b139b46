"""``autospotting``: today's price and a buffer on top, set once, never above the on-demand price.

The aggressive setting of AutoSpotting: ``min(on-demand, current * (1 + buffer))``. Once outbid it
waits until the price comes back.
"""

from datetime import datetime

from bidder.domain.actions import Decision, Reason
from bidder.domain.money import Price
from bidder.domain.policy import AutospottingParams, Policy
from bidder.domain.positions import Position
from bidder.domain.quotes import Quote
from bidder.domain.strategies import common


def opening_bid(quote: Quote, params: AutospottingParams) -> Price | None:
    """Return the buffered price; None where it would not win."""
    price = min(quote.needed.times(1 + params.buffer).rounded_down(), quote.cap)
    price = max(price, quote.needed)
    return price if price <= quote.cap else None


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
