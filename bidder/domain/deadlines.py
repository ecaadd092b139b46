"""Jobs with a deadline: what to give up, what to rent, and for how many slots to bid.

``strategies.deadline`` says what each slot should do; here it becomes orders. A slot changes from on
demand to spot by a bid that is placed first: the on-demand order goes only once the spot order runs.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from decimal import Decimal

from bidder.domain import guard, moving, rentals, selection, strategies
from bidder.domain.actions import Decision, Fact, Reason, RentOnDemand, Reprice
from bidder.domain.ids import OrderId
from bidder.domain.intents import IntentKind
from bidder.domain.jobs import Choice, Outlook
from bidder.domain.market import OrderKind
from bidder.domain.policy import DeadlineParams, Policy, Target
from bidder.domain.positions import position
from bidder.domain.searching import Declined, Found, NeedsBook, NothingFits
from bidder.domain.strategies import common, deadline
from bidder.domain.strategies.deadline import Course
from bidder.domain.unexplained import unexplained
from bidder.domain.view import Holding, View

# The book of an order this new need not have been read yet.
_NEW = timedelta(minutes=2)
# What passes by itself, within seconds: no reason to bid for spot servers instead.
_PASSING = frozenset({Reason.STALE, Reason.IN_DOUBT, Reason.PAUSED})
# What does not: a job that waits for spot servers relies on a net that is not there.
_LASTING = frozenset({Reason.RAIL, Reason.NO_BALANCE, Reason.ORDER_LIMIT, Reason.NO_CANDIDATE})
_NO_SPOT = frozenset({Reason.NO_CANDIDATE, Reason.TOO_EXPENSIVE, Reason.ON_DEMAND_CHEAPER})
# A bid in one of these states is about to run again.
_COMING_BACK = frozenset({Reason.PATIENCE, Reason.CONFIRMING, Reason.HANDOVER, Reason.OUTBID})


@dataclass(frozen=True, slots=True, kw_only=True)
class Steps:
    """What a job's target does next: orders to give up and why, what is said, slots to bid for.

    ``facts`` are what all of it rests on; of a job that waits for spot servers, ``net_stopped_by`` is
    what would keep it from renting on demand. ``blocked``: it should rent on demand and cannot, so that
    bids are all that is left.
    """

    give_up: Mapping[OrderId, Reason] = field(default_factory=dict)
    decisions: tuple[Decision, ...] = ()
    seek: int = 0
    blocked: bool = False
    facts: Mapping[str, Fact] = field(default_factory=dict)

    def told(self, decision: Decision) -> Decision:
        """Return a decision about one of its orders or slots as the job sees it.

        Where no spot server is to be had, a job that has time is not kept from anything: it waits.
        """
        facts = {**self.facts, **decision.facts}
        waits = decision.action is None and decision.reason in _NO_SPOT and not self.blocked
        if waits and (decision.server is None or decision.order is not None):
            facts["because"] = decision.reason.value
            return replace(decision, reason=Reason.SLACK, facts=facts)
        return replace(decision, facts=facts)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Slots:
    """A target's orders by what they do."""

    rented: tuple[Holding, ...]
    running: tuple[Holding, ...]
    waiting: tuple[Holding, ...]
    new: tuple[Holding, ...]
    renting: int
    placing: int
    strange: int  # orders that look like its own: they fill slots until a person has decided

    def idle(self, target: Target) -> int:
        """Return how many slots nothing runs in and no on-demand server is on its way to."""
        filled = len(self.rented) + self.renting + len(self.running) + self.strange
        return max(0, target.want - filled)

    def live(self) -> int:
        """Return how many orders there are, or may be."""
        held = (*self.rented, *self.running, *self.waiting, *self.new)
        return len(held) + self.renting + self.placing + self.strange


def steps(target: Target, params: DeadlineParams, view: View, policy: Policy, now: datetime) -> Steps:
    """Return what the job does at this moment."""
    course = deadline.course(target, params, view, now)
    if course.finished:
        return _finished(target, params, view)
    found = _unfinished(target, course, view, policy, now)
    return replace(found, facts={**course.facts(), **found.facts})


def _unfinished(target: Target, course: Course, view: View, policy: Policy, now: datetime) -> Steps:
    slots = _slots(target, view, policy, now)
    excess = len(slots.rented) + len(slots.running) - target.want
    if excess > 0:
        return Steps(give_up=_one_too_many(slots, course, excess, view))
    if slots.rented and course.on_demand is Choice.IDLE:
        return Steps(give_up={h.order.order: Reason.SLACK for h in slots.rented})
    notes: tuple[Decision, ...] = ()
    idle = slots.idle(target)
    moving_off = bool(slots.running) and course.on_spot is Choice.ON_DEMAND and not slots.renting
    blocked = False
    if (idle and course.idle is Choice.ON_DEMAND) or moving_off:
        rent = _rent(target, slots, course, view, policy, now)
        if not rent.blocked:
            return rent
        blocked, notes = True, rent.decisions
    returning = 1 if slots.rented and course.on_demand is Choice.SPOT else 0
    room = idle + returning - len(slots.new) - slots.placing
    spare = slots.waiting[max(0, room) :]
    if slots.rented and not returning:
        notes = (*notes, _looking_for_spot(target, course, view, policy, now))
    waits = idle > 0 and not blocked
    return Steps(
        give_up={h.order.order: Reason.SURPLUS for h in spare},
        decisions=notes,
        seek=max(0, room - len(slots.waiting)),
        blocked=blocked,
        facts=_without_net(target, slots, course, view, policy, now) if waits else {},
    )


def looked(view: View, policy: Policy, now: datetime) -> View:
    """Return the view after a read, with what it says of the spot servers that jobs may bid for."""
    outlooks = {}
    for target in policy.targets:
        if target.enabled and isinstance(target.params, DeadlineParams):
            outlooks[target.name] = _outlook(target, view, policy, now)
    return replace(view, outlooks=outlooks) if outlooks or view.outlooks else view


def _slots(target: Target, view: View, policy: Policy, now: datetime) -> _Slots:
    every = view.holdings_of(target.name)
    held = [h for h in every if h.order.order not in view.cancelled]
    spot = [h for h in held if h.order.kind is OrderKind.SPOT]
    new = [h for h in spot if h.active is None and now - h.first_seen_at < _NEW]
    kinds = [intent.kind for intent in view.intents if intent.target == target.name]
    return _Slots(
        rented=tuple(h for h in held if h.order.kind is OrderKind.ON_DEMAND),
        running=tuple(h for h in spot if h.active),
        waiting=tuple(h for h in spot if not h.active and h not in new),
        new=tuple(new),
        renting=kinds.count(IntentKind.RENT),
        placing=kinds.count(IntentKind.PLACE),
        strange=len(unexplained(target, view, policy.mode))
        + len(view.returning(target.name))
        + len(every)
        - len(held),
    )


def _finished(target: Target, params: DeadlineParams, view: View) -> Steps:
    give_up = {h.order.order: Reason.JOB_DONE for h in view.holdings_of(target.name)}
    done = Decision(
        target=target.name, reason=Reason.JOB_DONE, facts={"gpu_hours": float(params.gpu_hours)}
    )
    return Steps(give_up=give_up, decisions=() if give_up else (done,))


def _one_too_many(slots: _Slots, course: Course, excess: int, view: View) -> Mapping[OrderId, Reason]:
    """Return which servers that compute go: of two in one slot one, and those wanted no more."""
    if course.on_demand is Choice.ON_DEMAND and slots.running:
        going = sorted(slots.running, key=lambda h: h.work.starting, reverse=True)
        reason, rest = Reason.DEADLINE, slots.rented
    else:
        going = sorted(slots.rented, key=lambda h: _usd(h, view), reverse=True)
        reason = Reason.SPOT_AGAIN if slots.running else Reason.SURPLUS
        rest = slots.running
    dearest = sorted(rest, key=lambda h: _usd(h, view) / max(1, h.work.gpus), reverse=True)
    gone = {h.order.order: reason for h in going[:excess]}
    return gone | {h.order.order: Reason.SURPLUS for h in dearest[: excess - len(gone)]}


def _usd(holding: Holding, view: View) -> Decimal:
    price = holding.order.price
    return view.rates.to_usd(price) if view.rates.knows(price.currency) else price.amount


def _rent(
    target: Target, slots: _Slots, course: Course, view: View, policy: Policy, now: datetime
) -> Steps:
    """Return the way to one more on-demand server, or why there is none.

    A bid that does not run makes way, but only for an order that would get past the rails.
    """
    renting = _renting(target, slots, course, view, policy, now)
    if renting.action is None:
        return Steps(decisions=(renting,), blocked=renting.reason not in _PASSING)
    if not rentals.price_is_fresh(view, policy, now):
        look = replace(renting, action=None, reason=Reason.STALE, urgency=0, wants_marketplace=True)
        return Steps(decisions=(look,))
    at_most = target.want + (0 if slots.idle(target) else 1)
    in_the_way = slots.waiting if slots.live() >= at_most or _holds(renting.action.server, slots) else ()
    if in_the_way:
        return Steps(give_up={h.order.order: Reason.DEADLINE for h in in_the_way})
    if slots.live() >= at_most:
        return Steps()  # what is on its way is seen within seconds
    return Steps(decisions=(renting,))


def _renting(
    target: Target, slots: _Slots, course: Course, view: View, policy: Policy, now: datetime
) -> Decision:
    """Return the rental of one more server as the rails let it pass, or what stops it."""
    base = Decision(target=target.name, reason=Reason.DEADLINE, facts=course.facts())
    cleared = view
    for holding in slots.waiting:
        cleared = cleared.without_holding(holding.order.order)
    rental = rentals.cheapest(target, cleared, policy, now)
    if rental is None:
        facts = {**base.facts, "on_demand_ceiling": _ceiling(target)}
        return replace(base, reason=Reason.NO_CANDIDATE, facts=facts)
    server, price = rental.server, rental.price
    action = RentOnDemand(server=server, price=price, target=target.name, launch=target.launch)
    facts = {**base.facts, "server": server, "price": str(price)}
    wanted = replace(base, action=action, server=server, urgency=common.URGENT_REGAIN, facts=facts)
    return guard.apply(wanted, cleared, policy, now)


def _without_net(
    target: Target, slots: _Slots, course: Course, view: View, policy: Policy, now: datetime
) -> Mapping[str, Fact]:
    """Return what would keep a job that waits from renting, where that does not pass by itself."""
    on_its_way = slots.new or slots.placing or slots.renting
    if on_its_way or view.marketplace_at is None or moving.kept_from_creating(target, view, now):
        return {}
    stopped = _renting(target, slots, course, view, policy, now)
    if stopped.reason not in _LASTING or stopped.facts.get("rail") == "want":
        return {}
    return {"net_stopped_by": stopped.facts.get("rail", stopped.reason.value)}


def _ceiling(target: Target) -> str:
    assert isinstance(target.params, DeadlineParams)
    ceiling = target.params.on_demand_ceiling
    return f"{ceiling.price} per {ceiling.per.value}"


def _holds(server: int, slots: _Slots) -> bool:
    return any(h.order.server == server for h in slots.waiting)


def _looking_for_spot(
    target: Target, course: Course, view: View, policy: Policy, now: datetime
) -> Decision:
    """Return the decision that keeps an on-demand server, and names the book that may end that."""
    found = moving.search(target, view, policy, now)
    wants = found.server if isinstance(found, NeedsBook) else None
    if isinstance(found, NothingFits | Declined):
        wants = found.oldest
    return Decision(target=target.name, reason=Reason.DEADLINE, wants_book=wants, facts=course.facts())


def _outlook(target: Target, view: View, policy: Policy, now: datetime) -> Outlook:
    before = view.outlooks.get(target.name) or Outlook(looked_at=now)
    rental = rentals.cheapest(target, view, policy, now)
    on_demand = before.on_demand if rental is None else rental.score
    available, spot = _spot(target, view, policy, now)
    if available and spot is not None and rental is not None:
        available = spot <= rental.score
    after = before.seen(available=available, at=now)
    return replace(after, spot=before.spot if spot is None else spot, on_demand=on_demand)


def _spot(
    target: Target, view: View, policy: Policy, now: datetime
) -> tuple[bool | None, Decimal | None]:
    """Return whether a spot server can be had for one more slot, and for how much, as far as known."""
    held = [h for h in view.holdings_of(target.name) if h.order.kind is OrderKind.SPOT]
    running = [h for h in held if h.active]
    if len(running) >= target.want:
        return True, _mean(running, view)
    coming = (_comes_back(h, target, view, policy, now) for h in held if h.active is False)
    if any(coming):
        return True, None
    if any(h.active is None for h in held) or _placing(target, view):
        return None, None  # a bid that has just been placed is about to tell
    result = moving.search(target, view, policy, now)
    if isinstance(result, NeedsBook):
        return None, None
    if isinstance(result, NothingFits):
        return False, None
    return isinstance(result, Found), result.score


def _placing(target: Target, view: View) -> bool:
    return any(i.target == target.name and i.kind is IntentKind.PLACE for i in view.intents)


def _comes_back(holding: Holding, target: Target, view: View, policy: Policy, now: datetime) -> bool:
    verdict = strategies.decide(position(holding, target, view, policy, now), policy, now)
    return verdict.reason in _COMING_BACK or isinstance(verdict.action, Reprice)


def _mean(running: Iterable[Holding], view: View) -> Decimal | None:
    scores = []
    for holding in running:
        listing = view.marketplace.listings.get(holding.order.server)
        price = holding.order.price
        if listing is not None and view.rates.knows(price.currency):
            scores.append(selection.weigh(view.rates.to_usd(price), listing))
    return sum(scores, Decimal(0)) / len(scores) if scores else None
