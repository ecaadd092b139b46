"""``track_recreate``: as ``top_plus_tick``, but created anew where walking down costs more.

The walk is the area under the staircase of lowerings, one step per 600 seconds; a new order costs the
work lost at a restart and the creation fee. ``factor`` says how far the one must outweigh the other:
above 1 it waits longer, since the rival may come back and make the walk unnecessary.
"""

from datetime import datetime, timedelta

from bidder.domain.actions import Decision, Reason
from bidder.domain.money import Price
from bidder.domain.policy import Policy, TrackRecreateParams
from bidder.domain.positions import Position
from bidder.domain.stances import walk_cost
from bidder.domain.strategies import common, top_plus_tick


def decide(position: Position, params: TrackRecreateParams, policy: Policy, now: datetime) -> Decision:
    """Return what to do about one standing bid."""
    needed = position.needed
    active = position.offer is not None and position.offer.active
    plain = top_plus_tick.decide(position, policy, now)
    if not active or needed is None or plain.reason not in {Reason.MARK_DOWN, Reason.CLOCK}:
        return plain
    walk, again = costs(position, needed, now)
    if walk > params.factor * again and position.cap is not None and needed <= position.cap:
        return common.recreate(position, walk_cost=round(walk, 6), restart_cost=round(again, 6))
    return plain


def costs(position: Position, needed: Price, now: datetime) -> tuple[float, float]:
    """Return what walking down to ``needed`` costs, and what a new order does, in its currency."""
    worth = position.worth()
    wait = 0.0 if position.opens_at is None else max((position.opens_at - now).total_seconds(), 0.0)
    over = float(position.price.minus(needed).amount)
    walk = walk_cost(over, float(position.usual_drop(now)), wait)
    restart = (
        0.0 if worth is None else float(worth.amount) * (position.target.restart / timedelta(days=1))
    )
    return walk, restart + float(position.creation_fee())
