"""``nicehash`` and ``nicehash_literal``: one step up when starved, one step down when there is room.

The rule of NiceHashBot 3: every minute, an order that gets nothing goes up by one lowering step; one
that is served goes down by one step while at least two cheaper *filled* prices stand below it. There
many orders are filled at once. Here one is, so ``nicehash_literal``, true to the letter, never comes
down. ``nicehash`` takes every rival's bid for a filled price, and a lone rival for reason enough while
a step down still stands above it: the fair opponent. Both stay below the cap, which the original
lacks.
"""

from datetime import datetime
from decimal import Decimal

from bidder.domain.actions import Decision, Reason
from bidder.domain.money import Price
from bidder.domain.policy import NicehashParams, Policy
from bidder.domain.positions import Position
from bidder.domain.strategies import common


def decide(position: Position, params: NicehashParams, policy: Policy, now: datetime) -> Decision:
    """Return the next step up or down."""
    needed = position.needed
    forced = common.unseen(position, policy, now) or common.above_ceiling(position, needed, now)
    if forced is not None:
        return forced
    if needed is None:
        return common.hold(position, Reason.NO_RATE)
    if position.offer is not None and position.offer.active:
        return _served(position, needed, params, now)
    return _starved(position, needed, params, now)


def _served(position: Position, needed: Price, params: NicehashParams, now: datetime) -> Decision:
    rivals = _rivals(position)
    ours = position.rates.to_usd(position.price)
    cheaper = {usd for usd in rivals if usd < ours}
    room = len(cheaper) >= 2 or len(rivals) <= 1
    down = Price(max(position.price.amount - position.usual_drop(now), needed.amount), needed.currency)
    if params.literal or not room or down >= position.price:
        return common.hold(position, Reason.WINNING)
    return common.walk_down(position, down, Reason.MARK_DOWN, now)


def _rivals(position: Position) -> list[Decimal]:
    book = position.book
    offers = () if book is None else book.rivals({position.holding.order.order})
    return [position.rates.to_usd(offer.price) for offer in offers]


def _starved(position: Position, needed: Price, params: NicehashParams, now: datetime) -> Decision:
    regain = common.regain(position, needed, position.holding.outbid_since or now, now)
    if isinstance(regain, Decision):
        return regain
    raised_at = position.holding.clock.raised_at
    again_at = None if raised_at is None else raised_at + params.every
    if again_at is not None and now < again_at:
        return common.hold(position, Reason.PATIENCE, due=again_at, wants_book=True)
    step = Price(position.usual_drop(now), position.price.currency)
    price = (position.price + step).rounded_up()
    if position.floor is not None and price < position.floor:
        price = position.floor  # less would be refused
    if position.cap is None:
        return common.hold(position, Reason.NO_RATE)
    if price > position.cap:
        # The last step may be a short one: what suffices is within reach.
        price = position.cap.rounded_down()
    if price <= position.price:
        return common.hold(position, Reason.TOO_EXPENSIVE)
    action = common.reprice(position, price)
    return common.act(position, Reason.OUTBID, action, urgency=common.URGENT_REGAIN)
