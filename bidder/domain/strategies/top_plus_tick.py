"""``top_plus_tick``: the best rival's bid and one increment, at once; lowered whenever the clock allows.

The rule of NiceHash's first bot (``OrderInstance``, 2015) where one offer wins: the marginal order is
the best rival's. Neither patience nor memory: it pays for every blip.
"""

from datetime import datetime

from bidder.domain.actions import Decision, Reason
from bidder.domain.money import Price
from bidder.domain.policy import Policy
from bidder.domain.positions import Position
from bidder.domain.strategies import common


def decide(position: Position, policy: Policy, now: datetime) -> Decision:
    """Return what to do about one standing bid."""
    needed = position.needed
    forced = common.unseen(position, policy, now) or common.above_ceiling(position, needed, now)
    if forced is not None:
        return forced
    if needed is None:
        return common.hold(position, Reason.NO_RATE)
    if position.offer is not None and position.offer.active:
        return down(position, needed, now)
    return up(position, needed, now)


def down(position: Position, needed: Price, now: datetime) -> Decision:
    """Return the lowering of a running offer toward ``needed``."""
    if position.price <= needed:
        return common.hold(position, Reason.WINNING)
    return common.walk_down(position, needed, Reason.MARK_DOWN, now)


def up(position: Position, needed: Price, now: datetime) -> Decision:
    """Return the raise that wins an outbid offer back."""
    regain = common.regain(position, needed, position.holding.outbid_since or now, now)
    if isinstance(regain, Decision):
        return regain
    action = common.reprice(position, regain)
    return common.act(position, Reason.OUTBID, action, urgency=common.URGENT_REGAIN)
