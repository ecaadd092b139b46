"""``track_recreate``: as ``top_plus_tick``, but created anew where walking down costs more.

The walk is the area under the staircase of lowerings, one step per 600 seconds; a new order costs the
work lost at a restart and the creation fee. ``factor`` says how far the one must outweigh the other:
above 1 it waits longer, since the rival may come back and make the walk unnecessary.
"""

from datetime import datetime

from bidder.domain.actions import Decision, Reason
from bidder.domain.policy import Policy, TrackRecreateParams
from bidder.domain.positions import Position
from bidder.domain.strategies import common, top_plus_tick


def decide(position: Position, params: TrackRecreateParams, policy: Policy, now: datetime) -> Decision:
    """Return what to do about one standing bid."""
    needed = position.needed
    active = position.offer is not None and position.offer.active
    plain = top_plus_tick.decide(position, policy, now)
    if not active or needed is None or plain.reason not in {Reason.MARK_DOWN, Reason.CLOCK}:
        return plain
    walk, again = common.ways_down(position, needed, now)
    if walk > params.factor * again and position.cap is not None and needed <= position.cap:
        return common.recreate(position, walk_cost=round(walk, 6), restart_cost=round(again, 6))
    return plain
