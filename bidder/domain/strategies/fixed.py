"""``fixed``: bid one price, the ceiling unless another is named, and stay there.

It does not react to rivals. It only corrects a bid that stands elsewhere than configured: up at
once, down by the rules. A price that comes through an exchange rate moves with every breath of it:
a running bid follows only when it is off by more than that.
"""

from datetime import datetime
from decimal import Decimal

from bidder.domain.actions import Decision, Reason
from bidder.domain.money import Price, Rates
from bidder.domain.policy import FixedParams, Policy
from bidder.domain.positions import Position
from bidder.domain.quotes import Quote
from bidder.domain.strategies import common
from bidder.errors import NoRate

# Rates were seen to wander by some tenths of a percent.
_BREATH = Decimal("0.005")


def opening_bid(quote: Quote, params: FixedParams, rates: Rates) -> Price | None:
    """Return the fixed price in the quote's currency; None where it would not win."""
    wanted = _wanted(params, quote.cap, quote.needed, rates)
    return wanted if wanted is not None and wanted >= quote.needed else None


def _wanted(params: FixedParams, cap: Price, needed: Price | None, rates: Rates) -> Price | None:
    """Return the price to bid, never above ``cap``; None where it cannot be converted."""
    wanted = cap
    if params.price is not None:
        try:
            wanted = min(rates.convert(params.price, cap.currency), cap)
        except NoRate:
            return None
    if wanted == params.price:
        return wanted
    rounded = wanted.rounded_down()
    if needed is not None and rounded < needed <= wanted:
        return needed  # a floor finer than our quantum
    return rounded


def decide(position: Position, params: FixedParams, policy: Policy, now: datetime) -> Decision:
    """Return the correction toward the fixed price, if one is due."""
    blind = common.unseen(position, policy, now)
    if blind is not None:
        return blind
    cap, active = position.cap, position.holding.active
    wanted = None if cap is None else _wanted(params, cap, position.needed, position.rates)
    too_high = common.above_ceiling(position, wanted, now)
    if too_high is not None:
        return too_high
    if wanted is None:
        return common.hold(position, Reason.NO_RATE)
    if position.floor is not None and wanted < position.floor:
        return common.hold(position, Reason.WINNING if active else Reason.TOO_EXPENSIVE)
    if active and _is_close(wanted, position, params):
        return common.hold(position, Reason.WINNING)
    if wanted > position.price:
        return common.act(
            position,
            Reason.FIXED_PRICE,
            common.reprice(position, wanted),
            urgency=common.URGENT_REGAIN,
        )
    if wanted < position.price and active:
        return common.walk_down(position, wanted, Reason.FIXED_PRICE, now)
    waiting = None if active else common.handed_over(position, now)
    return waiting or common.hold(position, Reason.WINNING if active else Reason.TOO_EXPENSIVE)


def _is_close(wanted: Price, position: Position, params: FixedParams) -> bool:
    named = position.target.ceiling.price if params.price is None else params.price
    if named.currency == wanted.currency:
        return False
    off = max(wanted.minus(position.price), position.price.minus(wanted))
    return off.amount <= position.price.amount * _BREATH
