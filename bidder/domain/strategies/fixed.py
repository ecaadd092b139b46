"""``fixed``: bid one price, the ceiling unless another is named, and stay there.

It does not react to rivals. It only corrects a bid that stands elsewhere than configured: up at
once, down by the rules.
"""

from datetime import datetime

from bidder.domain.actions import Decision, Reason
from bidder.domain.money import Price
from bidder.domain.policy import FixedParams, Policy
from bidder.domain.positions import Position
from bidder.domain.selection import Quote
from bidder.domain.strategies import common


def opening_bid(quote: Quote, params: FixedParams) -> Price | None:
    """Return the fixed price in the quote's currency; None where it would not win."""
    wanted = quote.ceiling
    if params.price is not None and params.price.currency == quote.ceiling.currency:
        wanted = min(params.price, quote.ceiling)
    return wanted if wanted >= quote.needed else None


def decide(position: Position, params: FixedParams, policy: Policy, now: datetime) -> Decision:
    """Return the correction toward the fixed price, if one is due."""
    blind = common.unseen(position, policy, now)
    if blind is not None:
        return blind
    too_high = common.above_cap(position, now)
    if too_high is not None:
        return too_high
    cap = position.cap
    if cap is None:
        return common.hold(position, Reason.NO_RATE)
    wanted = cap
    if params.price is not None and params.price.currency == cap.currency:
        wanted = min(params.price, cap)
    if wanted > position.price:
        return common.act(
            position,
            Reason.FIXED_PRICE,
            common.reprice(position, wanted),
            urgency=common.URGENT_REGAIN,
        )
    if wanted < position.price and position.holding.active:
        return common.walk_down(position, wanted, Reason.FIXED_PRICE, now)
    if position.holding.active:
        return common.hold(position, Reason.WINNING)
    return common.hold(position, Reason.TOO_EXPENSIVE)
