"""``adaptive``: enter low, stay dear, come down early, and learn from watching how far to go.

It follows the stance (see ``stances``) that earned most on these servers lately. The rules of the
exchange are lopsided, a raise is free and instant while an overshoot comes down one step per 600
seconds, so what a bid costs is not its price but the walk back. Entering near the value buys little
work at the price of a start, so it enters at once only well below, and higher up when the price has
stayed below the value for long enough; once it runs, leaving costs a restart, so it stays longer; and
when a rival who drove the bid up is gone and the walk down would cost several restarts, the offer is
cancelled and created again at the bottom. Against a rival that answers it raises with room, and keeps
the room for as long as it remembers him. An offer that wins again by itself is judged like a new one
in its first seconds, while cancelling it loses no work.
"""

from dataclasses import replace
from datetime import datetime, timedelta
from decimal import Decimal

from bidder.domain.actions import Decision, Reason
from bidder.domain.money import Price
from bidder.domain.policy import AdaptiveParams, Policy
from bidder.domain.positions import Position
from bidder.domain.price_rules import LOWERING_PAUSE
from bidder.domain.quotes import Quote
from bidder.domain.stances import Stance
from bidder.domain.strategies import common

# An offer that was displaced this recently still counts as running: its owner's work is at stake.
_JUST_NOW = timedelta(seconds=30)
# One that began to run this recently has computed nothing that a new start would lose.
_FRESH = timedelta(seconds=10)
_HOUR = timedelta(hours=1)
# The share of what a rival's answers are going to cost in lost starts that is bid on top, so that he
# stops answering. Whatever is below 1 costs less than the starts do, where it saves them all.
_ROOM = Decimal("0.5")


def opening_bid(quote: Quote, worth: Price | None, stance: Stance) -> Price | None:
    """Return the bid that suffices, or None where it is too near the value to be worth a start."""
    limit = quote.cap if worth is None else min(_entry(worth, stance), quote.cap)
    return quote.needed if quote.needed <= limit else None


def decide(position: Position, params: AdaptiveParams, policy: Policy, now: datetime) -> Decision:
    """Return what to do about one standing bid."""
    blind = common.unseen(position, policy, now)
    if blind is not None:
        return blind
    too_high = common.above_ceiling(position, position.needed, now)
    if too_high is not None:
        return too_high
    needed, worth = position.needed, position.worth()
    if needed is None or worth is None:
        return common.hold(position, Reason.NO_RATE)
    if position.offer is not None and position.offer.active:
        return _while_active(position, needed, worth, now)
    return _while_outbid(position, needed, worth, params, now)


def _while_active(position: Position, needed: Price, worth: Price, now: datetime) -> Decision:
    stance, since = position.stance, position.holding.active_since
    fresh = since is not None and now - since < _FRESH
    limit = _entry(worth, stance)
    if fresh and needed > limit:
        return common.act(
            position,
            Reason.NOT_WORTH_IT,
            common.withdraw(position),
            urgency=common.URGENT_LEAVE,
            limit=str(limit),
        )
    wanted = _roomy(position, needed, worth, limit=None, answers=len(position.answers))
    if position.price <= wanted:
        return _told(common.hold(position, Reason.WINNING), position.price, needed)
    walk, again = common.ways_down(position, wanted, now)
    if fresh:
        again = float(position.creation_fee())
    if needed <= _share(worth, stance.enter) and walk > stance.patience * again:
        return common.recreate(position, walk_cost=round(walk, 6), restart_cost=round(again, 6))
    return _told(common.walk_down(position, wanted, Reason.MARK_DOWN, now), wanted, needed)


def _while_outbid(
    position: Position, needed: Price, worth: Price, params: AdaptiveParams, now: datetime
) -> Decision:
    outbid_since = position.holding.outbid_since or now
    regain = common.regain(position, needed, outbid_since, now)
    if isinstance(regain, Decision):
        return regain
    needed, stance = regain, position.stance
    at_stake = now - outbid_since <= params.raise_wait + _JUST_NOW
    limit = _share(worth, stance.stay) if at_stake else _entry(worth, stance)
    if needed > limit:
        return common.hold(position, Reason.NOT_WORTH_IT, limit=str(limit), due=stance.ripe_at)
    patient_until = outbid_since + params.raise_wait
    if now < patient_until:
        return common.hold(
            position, Reason.PATIENCE, due=patient_until, wants_book=True, urgency=common.URGENT_REGAIN
        )
    if params.confirm and position.outbid_reads < 2:
        return common.hold(position, Reason.CONFIRMING, wants_book=True, urgency=common.URGENT_REGAIN)
    # What will not be remembered when the price could first come down again would take it down at once.
    lasting = sum(now + LOWERING_PAUSE - at < _HOUR for at in position.answers)
    price = _roomy(position, needed, worth, limit=limit, answers=lasting)
    action = common.reprice(position, price)
    raising = common.act(position, Reason.OUTBID, action, urgency=common.URGENT_REGAIN)
    return _told(raising, price, needed)


def _roomy(
    position: Position, needed: Price, worth: Price, *, limit: Price | None, answers: int
) -> Price:
    """Return what is needed, with room for a rival who answers, as far as the limits allow."""
    if not answers:
        return needed
    lost = Decimal(repr(position.target.restart / _HOUR))
    room = worth.times(lost * answers * _ROOM)
    limits = [each.rounded_down() for each in (limit, position.cap) if each is not None]
    return max(needed, min([(needed + room).rounded_up(), *limits]))


def _told(decision: Decision, price: Price, needed: Price) -> Decision:
    """Return the decision with the fact that says why more is bid than needed."""
    if price <= needed:
        return decision
    return replace(decision, facts={**decision.facts, "room": str(price.minus(needed))})


def _entry(worth: Price, stance: Stance) -> Price:
    """Return up to which price a server is entered now."""
    return worth if stance.ripe else _share(worth, stance.enter)


def _share(worth: Price, share: float) -> Price:
    return worth.times(Decimal(str(share)))
