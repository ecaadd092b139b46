"""``autopilot``: the best rival and a margin on top, raised late and in bounded steps, lowered slowly.

The rule of hashrate-autopilot's successor (``decide.ts``, ``gate.ts``), where one offer wins: its
anchor, the bottom of the filled block, is the best rival's bid. It lowers only when 600 seconds have
passed since *any* price change of its own, raises only after a time outbid and by at most one
escalation a minute, and holds while it runs below its aim.
"""

from datetime import datetime

from bidder.domain.actions import Decision, Reason
from bidder.domain.money import Price
from bidder.domain.policy import AutopilotParams, Policy
from bidder.domain.positions import Position
from bidder.domain.price_rules import LOWERING_PAUSE
from bidder.domain.quotes import Quote
from bidder.domain.strategies import common


def opening_bid(quote: Quote, params: AutopilotParams) -> Price:
    """Return the same aim as later on."""
    return _aim(quote.needed, quote.cap, params)


def decide(position: Position, params: AutopilotParams, policy: Policy, now: datetime) -> Decision:
    """Return what to do about one standing bid."""
    needed = position.needed
    forced = common.unseen(position, policy, now) or common.above_ceiling(position, needed, now)
    if forced is not None:
        return forced
    if needed is None or position.cap is None:
        return common.hold(position, Reason.NO_RATE)
    aim = _aim(needed, position.cap, params)
    if position.offer is not None and position.offer.active:
        return _running(position, aim, now)
    return _outbid(position, needed, aim, params, now)


def _aim(needed: Price, cap: Price, params: AutopilotParams) -> Price:
    return max(min(needed.times(1 + params.overpay).rounded_up(), cap), needed)


def _running(position: Position, aim: Price, now: datetime) -> Decision:
    if position.price <= aim:
        return common.hold(position, Reason.WINNING)
    changes = [at for at in (position.holding.clock.raised_at, position.holding.clock.lowered_at) if at]
    settled_at = max(changes) + LOWERING_PAUSE if changes else now
    if now < settled_at:
        return common.hold(position, Reason.PATIENCE, due=settled_at)
    return common.walk_down(position, aim, Reason.MARK_DOWN, now)


def _outbid(
    position: Position, needed: Price, aim: Price, params: AutopilotParams, now: datetime
) -> Decision:
    outbid_since = position.holding.outbid_since or now
    regain = common.regain(position, needed, outbid_since, now)
    if isinstance(regain, Decision):
        return regain
    # The wait is for the whole episode: a raise of ours that did not win does not begin it anew.
    ready_at = (position.holding.idle_since or outbid_since) + params.grace
    raised_at = position.holding.clock.raised_at
    if raised_at is not None:
        ready_at = max(raised_at + params.raise_every, ready_at)
    if now < ready_at:
        return common.hold(position, Reason.PATIENCE, due=ready_at, wants_book=True)
    price = min(max(aim, regain), position.price.times(1 + params.escalation).rounded_up())
    if position.floor is not None and price < position.floor:
        price = position.floor  # less would be refused
    action = common.reprice(position, price)
    return common.act(position, Reason.OUTBID, action, urgency=common.URGENT_REGAIN)
