"""``track``: just enough to stay active.

Outbid: wait a moment (a blip is not worth money), see it twice, then raise by the smallest bid that
suffices. Active: at each opening of the clock go down toward just above the best rival, or the
floor. The two sides are lopsided on purpose: losing the server stops the owner's work, overpaying
costs a little for ten minutes.

A rival that answers every raise is not fed: after ``war_raises`` within ``war_window`` the server is
left, or waited for when there is no other. An offer that does not run is never lowered, unless it
stands above its ceiling (peers: NiceHashBot 18 and 29 lowered idle orders until they died).
"""

from collections.abc import Iterable
from datetime import datetime

from bidder.domain.actions import Decision, Reason
from bidder.domain.money import Price
from bidder.domain.policy import Policy, TrackParams
from bidder.domain.positions import Position
from bidder.domain.strategies import common


def decide(position: Position, params: TrackParams, policy: Policy, now: datetime) -> Decision:
    """Return what to do about one standing bid."""
    blind = common.unseen(position, policy, now)
    if blind is not None:
        return blind
    too_high = common.above_ceiling(position, position.needed, now)
    if too_high is not None:
        return too_high
    needed = position.needed
    if needed is None:
        return common.hold(position, Reason.NO_RATE)
    if position.offer is not None and position.offer.active:
        return _while_active(position, needed, params, now)
    return _while_outbid(position, needed, params, now)


def peace_at(raises: Iterable[datetime], params: TrackParams) -> datetime | None:
    """Return when the pause after the latest war ends, given our raises; None without a war."""
    ordered = sorted(raises)
    runs = zip(ordered, ordered[params.war_raises - 1 :], strict=False)
    ends = [last + params.war_pause for first, last in runs if last - first < params.war_window]
    return max(ends, default=None)


def _while_active(position: Position, needed: Price, params: TrackParams, now: datetime) -> Decision:
    saving = position.price.minus(needed)
    if saving.amount <= position.price.amount * params.dead_band:
        return common.hold(position, Reason.WINNING)
    if params.lower_patience and position.holding.clock.raised_at is not None:
        patient_until = position.holding.clock.raised_at + params.lower_patience
        if now < patient_until:
            return common.hold(position, Reason.PATIENCE, due=patient_until)
    return common.walk_down(position, needed, Reason.MARK_DOWN, now)


def _while_outbid(position: Position, needed: Price, params: TrackParams, now: datetime) -> Decision:
    outbid_since = position.holding.outbid_since or now
    regain = common.regain(position, needed, outbid_since, now)
    if isinstance(regain, Decision):
        return regain
    needed = regain
    patient_until = outbid_since + params.raise_wait
    if now < patient_until:
        return common.hold(
            position,
            Reason.PATIENCE,
            due=patient_until,
            wants_book=True,
            urgency=common.URGENT_REGAIN,
        )
    resume_at = peace_at(position.raises, params)
    if resume_at is not None and now < resume_at:
        return common.hold(position, Reason.WAR_PAUSE, due=resume_at, raises=len(position.raises))
    if params.confirm and position.outbid_reads < 2:
        return common.hold(position, Reason.CONFIRMING, wants_book=True, urgency=common.URGENT_REGAIN)
    return common.act(
        position,
        Reason.OUTBID,
        common.reprice(position, needed),
        urgency=common.URGENT_REGAIN,
        outbid_seconds=round((now - outbid_since).total_seconds(), 1),
    )
