"""One target after another: what to do about its bids, and how its empty slots are filled.

``plan`` is the whole of deciding. It returns a decision for every order of ours and for every empty
slot, holds included, sorted so that the most urgent comes first; the caller carries out at most one
and forgets the rest.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from decimal import Decimal

from bidder.domain import (
    affording,
    crowded,
    cut_off,
    deadlines,
    guard,
    moving,
    portfolio,
    price_rules,
    selection,
    strategies,
    workloads,
)
from bidder.domain.actions import Asked, AskedToOpen, Decision, Fact, PlaceBid, Reason, Withdraw
from bidder.domain.ids import OrderId, ServerId
from bidder.domain.intents import Intent, IntentState
from bidder.domain.market import Listing, OrderKind
from bidder.domain.money import Price, to_places
from bidder.domain.policy import DeadlineParams, Policy, Target
from bidder.domain.positions import position
from bidder.domain.quotes import Quote
from bidder.domain.searching import Declined, Found, NeedsBook, NothingFits
from bidder.domain.strategies import common, own
from bidder.domain.unexplained import unexplained
from bidder.domain.view import Cancelled, Holding, View
from bidder.domain.workloads import Dead
from bidder.errors import StrategyFailed

# A clock that opens within this is looked at closely.
_SOON = timedelta(seconds=5)
# A book that fails for so long, while others are answered, is not waited for any longer.
_UNREADABLE_FOR = timedelta(minutes=3)


# What decides: the strategies, or who stands in for them.
Plan = Callable[[View, Policy, datetime], tuple[Decision, ...]]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Account:
    """What is so for all targets, sorted out once: fifty times over it would be dear."""

    by_target: Mapping[str | None, tuple[Holding, ...]]
    crowded: frozenset[ServerId]
    unreadable: frozenset[ServerId]
    dead: Mapping[OrderId, Dead]
    budgets: affording.Survey


def plan(view: View, policy: Policy, now: datetime) -> tuple[Decision, ...]:
    """Return every decision of this moment, most urgent action first, after the owner's rails."""
    decisions: list[Decision] = []
    account = _Account(
        by_target=view.by_target(),
        crowded=crowded.servers(view),
        unreadable=view.unread.unreadable(since=_UNREADABLE_FOR),
        dead=workloads.dead(view, policy, now),
        budgets=affording.survey(view, policy, now),
    )
    for target in policy.targets:
        if target.enabled:
            decisions.extend(_for_target(target, account, view, policy, now))
    guarded = [guard.apply(decision, view, policy, now) for decision in decisions]
    return tuple(sorted(guarded, key=lambda d: (d.action is None, -d.urgency)))


def _for_target(
    target: Target, account: _Account, view: View, policy: Policy, now: datetime
) -> list[Decision]:
    held = account.by_target.get(target.name, ())
    strange = unexplained(target, view, policy.mode) if None in account.by_target else ()
    open_here = [intent for intent in view.intents if intent.target == target.name]
    creating = _creating(open_here)
    decisions = [_waiting(intent_server, target, view) for intent_server in creating]
    decisions.extend(_unexplained(holding, target) for holding in strange)
    returning = view.returning(target.name)
    decisions.extend(_returning(holding, target) for holding in returning)
    decisions.extend(_cut_off(h, target, view) for h in view.cut_off.values() if h.target == target.name)
    if isinstance(target.params, DeadlineParams):
        decisions.extend(_for_job(target, target.params, account, view, policy, now))
        return decisions
    kept = tuple(h for h in held if h.order.order not in view.cancelled)
    ending = tuple(h for h in kept if target.renewal.due(h.order.ends_at, now, mrl=h.order.mrl))
    # With an overlap the successor is sought while the old order still runs.
    counted = len(kept) - (len(ending) if target.renewal.overlap else 0)
    surplus = _surplus(kept, counted - target.want, target, account.dead, view, policy, now)
    about = [_for_holding(h, target, account, view, policy, now, surplus) for h in held]
    decisions.extend(portfolio.one_at_a_time(about, target, view, policy, now))
    # Never more than one over ``want``, and that one only while an old order runs out.
    allowed = target.want + (1 if ending and target.renewal.overlap else 0) - len(held) - len(creating)
    allowed -= len(strange) + len(returning)
    empty = min(target.want - counted - len(creating), allowed)
    if empty > 0:
        renewing = bool(ending) and target.renewal.overlap
        paced = account.budgets.slot(target, view)
        # Where all is spent no book is read in vain.
        filled = account.budgets.closed(target) or _fill(
            paced, view, policy, now, empty=empty, renewing=renewing
        )
        decisions.append(affording.told(filled, paced, account.budgets))
    return decisions


def _for_job(
    target: Target,
    params: DeadlineParams,
    account: _Account,
    view: View,
    policy: Policy,
    now: datetime,
) -> list[Decision]:
    job = deadlines.steps(target, params, view, policy, now)
    held = account.by_target.get(target.name, ())
    found = [_for_holding(h, target, account, view, policy, now, job.give_up) for h in held]
    if job.seek > 0:
        found.append(_fill(target, view, policy, now, empty=job.seek, renewing=False))
    return [*job.decisions, *map(job.told, found)]


def _creating(intents: list[Intent]) -> list[ServerId]:
    return [intent.server for intent in intents if intent.creates]


def _waiting(server: ServerId, target: Target, view: View) -> Decision:
    intent = view.intent_on(server)
    frozen = intent is not None and intent.state is IntentState.AMBIGUOUS
    accepted = intent is not None and intent.accepted
    reason = Reason.FROZEN if frozen else Reason.PENDING if accepted else Reason.IN_DOUBT
    return Decision(target=target.name, reason=reason, server=server)


def _unexplained(holding: Holding, target: Target) -> Decision:
    order = holding.order
    return Decision(
        target=target.name,
        reason=Reason.FROZEN,
        server=order.server,
        facts={"unexplained_order": order.order, "price": str(order.price)},
    )


def _returning(holding: Holding, target: Target) -> Decision:
    order = holding.order
    facts: dict[str, Fact] = {"listed_again": order.order, "price": str(order.price)}
    return Decision(target=target.name, reason=Reason.IN_DOUBT, server=order.server, facts=facts)


def _cut_off(holding: Holding, target: Target, view: View) -> Decision:
    """Return the wait for what the market shows of an order that ended before its time."""
    server = holding.order.server
    wants = server if cut_off.wants_book(holding, view) else None
    facts: dict[str, Fact] = {"ended_early": holding.order.order}
    return Decision(
        target=target.name, reason=Reason.CONFIRMING, server=server, wants_book=wants, facts=facts
    )


def _surplus(
    held: tuple[Holding, ...],
    count: int,
    target: Target,
    dead: Mapping[OrderId, Dead],
    view: View,
    policy: Policy,
    now: datetime,
) -> dict[OrderId, Reason]:
    """Return the orders that are too many: those that do not run first, then the dead, the dearest."""
    if count <= 0:
        return {}
    taking_over = portfolio.taking_over(held, target, now)
    if taking_over is not None and not portfolio.told(taking_over, view, now):
        return {}

    def worth(holding: Holding) -> tuple[bool, bool, Decimal]:
        rate = portfolio.dearness(holding, target, view, policy, now)
        return (holding.active is not False, holding.order.order not in dead, -rate)

    return {
        h.order.order: Reason.SURPLUS if taking_over is None or taking_over is h else Reason.MOVE
        for h in sorted(held, key=worth)[:count]
    }


def _for_holding(
    holding: Holding,
    target: Target,
    account: _Account,
    view: View,
    policy: Policy,
    now: datetime,
    surplus: Mapping[OrderId, Reason],
) -> Decision:
    order = holding.order
    base = Decision(target=target.name, reason=Reason.STALE, server=order.server, order=order.order)
    intent = view.intent_on(order.server) if view.intents else None
    if intent is not None:
        frozen = intent.state is IntentState.AMBIGUOUS
        return replace(base, reason=Reason.FROZEN if frozen else Reason.IN_DOUBT)
    if holding.missing_reads:
        return replace(base, wants_orders=True, facts={"missing_from_orders": holding.missing_reads})
    cancelled = view.cancelled.get(order.order)
    if cancelled is not None:
        return _cancelled_again(base, cancelled, holding, now)
    others = crowded.others(holding, view) if order.server in account.crowded else ()
    # Of ours alone the one too many may go; a stranger's may be the twin that its target needs no more.
    goes = order.order in account.budgets.ending or (
        order.order in surplus and all(other.ours for other in others)
    )
    setback = next((s for s in view.setbacks if s.order == order.order and now < s.until), None)
    if others and not goes:
        here = position(holding, target, view, policy, now)
        return crowded.beside(here, others, policy, now, setback=setback)
    if setback is not None:
        return replace(base, reason=Reason.REFUSED, due=setback.until, facts={"refusal": setback.reason})
    if order.order in account.budgets.ending:
        action = Withdraw(order=order.order, server=order.server, target=target.name)
        spent = account.budgets.ending[order.order]
        return replace(
            base,
            reason=Reason.BUDGET_SPENT,
            action=action,
            urgency=common.URGENT_CEILING,
            facts={"bid": str(order.price), **spent},
        )
    if order.order in surplus:
        action = Withdraw(order=order.order, server=order.server, target=target.name)
        reason, facts = surplus[order.order], portfolio.successor(holding, target, view, now)
        return replace(base, reason=reason, action=action, urgency=common.URGENT_LEAVE, facts=facts)
    found = account.dead.get(order.order)
    if found is not None and found.kept is None:
        return workloads.given_up(found)
    if order.kind is OrderKind.ON_DEMAND:
        return common.rented(position(holding, target, view, policy, now))
    return _unwanted(base, holding, target, view) or _for_bid(
        base, holding, target, account, view, policy, now
    )


def _for_bid(
    base: Decision,
    holding: Holding,
    target: Target,
    account: _Account,
    view: View,
    policy: Policy,
    now: datetime,
) -> Decision:
    """Return the decision about a bid that the owner still wants: its strategy's, or to wait."""
    order = holding.order
    if order.server in account.unreadable:
        # What the owner forbade is left without its book as well: our orders tell the price.
        forbidden = common.above_ceiling(position(holding, target, view, policy, now), None, now)
        if forbidden is not None:
            return forbidden
    if _nothing_new(holding, view, policy, now):
        bid: dict[str, Fact] = {"bid": str(order.price), "active": holding.active}
        return replace(base, wants_book=order.server, facts=bid)
    paced = account.budgets.bid(holding, target, view)
    here = position(holding, paced, view, policy, now)
    verdict = strategies.decide(here, policy, now)
    asked = Asked(position=here, now=now, verdict=verdict)
    decided = moving.leave_or_stay(verdict, here, view, policy, now)
    decided = portfolio.kept_or_moved(decided, here, view, policy, now)
    return replace(affording.told(decided, paced, account.budgets), asked=asked)


def _unwanted(base: Decision, holding: Holding, target: Target, view: View) -> Decision | None:
    """Return the decision to cancel a bid that waits where the owner allows none any more.

    One that runs stays until it is outbid: its work is at stake.
    """
    if holding.active is not False:
        return None
    order, listing = holding.order, view.marketplace.listings.get(holding.order.server)
    ruled_out = selection.ruled_out(order, listing, target)
    if ruled_out is None:
        return None
    action = Withdraw(order=order.order, server=order.server, target=target.name)
    facts: dict[str, Fact] = {"bid": str(order.price), "ruled_out": ruled_out}
    return replace(base, reason=Reason.UNWANTED, action=action, urgency=common.URGENT_LEAVE, facts=facts)


# So often a cancellation that comes to nothing is sent again before a person is told.
_TRIES_UNTOLD = 2


def _cancelled_again(base: Decision, before: Cancelled, holding: Holding, now: datetime) -> Decision:
    """Return the next cancellation of an order that was cancelled and runs on, or the wait for it."""
    order = holding.order
    facts: dict[str, Fact] = {
        "cancelled_at": before.at.isoformat(timespec="seconds"),
        "times": before.times,
    }
    if now < before.again_at:
        vain = before.times > _TRIES_UNTOLD
        reason = Reason.FROZEN if vain else Reason.IN_DOUBT
        return replace(base, reason=reason, due=before.again_at, facts=facts)
    action = Withdraw(order=order.order, server=order.server, target=base.target)
    return replace(
        base, reason=Reason.STILL_ALIVE, action=action, urgency=common.URGENT_LEAVE, facts=facts
    )


def _nothing_new(holding: Holding, view: View, policy: Policy, now: datetime) -> bool:
    """Return whether a running bid can only wait for its turn to be read.

    The strategies would say so too; with a hundred positions, asking them each second is dear.
    """
    if holding.active is False:
        return False
    seen = view.books.get(holding.order.server)
    if seen is not None and now - seen.at <= policy.pace.book_stale_after:
        return False
    opens_at = price_rules.next_lowering_at(holding.clock, view.rules)
    return opens_at is None or not now < opens_at <= now + _SOON


def _fill(
    target: Target, view: View, policy: Policy, now: datetime, *, empty: int, renewing: bool
) -> Decision:
    """Return the decision about one empty slot; the others follow in later passes."""
    facts: dict[str, Fact] = {"empty_slots": empty}
    base = Decision(target=target.name, reason=Reason.NO_CANDIDATE, facts=facts)
    refused = moving.kept_from_creating(target, view, now)
    if refused is not None:
        return replace(
            base,
            reason=Reason.REFUSED,
            due=refused.until,
            facts={**facts, "refusal": refused.reason},
        )
    if view.marketplace_at is None:
        return replace(base, reason=Reason.STALE)
    if policy.adopt and _may_adopt(view):
        # Which target a stranger's order fits is known only by its server: nothing is ordered beside it.
        return replace(base, reason=Reason.STALE, wants_orders=True)
    result = moving.search(target, view, policy, now)
    match result:
        case NeedsBook(server=server):
            return replace(base, reason=Reason.STALE, server=server, wants_book=server)
        case NothingFits(considered=considered, cheapest=cheapest, oldest=oldest):
            facts["considered"] = considered
            base = replace(base, wants_book=oldest)
            if cheapest is None:
                return _without_candidate(base, target, view, now)
            facts["cheapest"] = str(cheapest.needed)
            facts["ceiling"] = str(cheapest.ceiling)
            return replace(base, reason=Reason.TOO_EXPENSIVE)
        case Found(listing=listing, quote=quoted) | Declined(listing=listing, quote=quoted):
            facts.update(_quote_facts(result))
            if isinstance(result, Declined):
                base = replace(base, wants_book=result.oldest)
            asked = _asked_to_open(quoted, target, view, listing, now)
            base, price = replace(base, asked=asked), asked.answer
            if isinstance(price, str):
                facts.update(own.failure(target.params, price))
                return replace(base, reason=Reason.STRATEGY_FAILED, server=listing.server)
            if price is None:
                # A read that was put off until then would be one too few.
                due = None if base.wants_book is not None else asked.stance.ripe_at
                return replace(base, reason=Reason.TOO_EXPENSIVE, server=listing.server, due=due)
            action = PlaceBid(
                server=listing.server, price=price, target=target.name, launch=target.launch
            )
            return replace(
                base,
                reason=Reason.RENEW if renewing else Reason.EMPTY_SLOT,
                server=listing.server,
                action=action,
                wants_book=None,
                urgency=common.URGENT_PLACE,
            )


def _asked_to_open(
    quote: Quote, target: Target, view: View, listing: Listing, now: datetime
) -> AskedToOpen:
    stance, gpus = view.stance_of(target, listing.server, now), listing.specs.gpu_count
    answer: Price | str | None
    try:
        answer = strategies.opening_bid(quote, target, view.rates, stance=stance, gpus=gpus)
    except StrategyFailed as exc:
        answer = str(exc)
    return AskedToOpen(
        quote=quote, target=target, rates=view.rates, stance=stance, gpus=gpus, answer=answer
    )


def _may_adopt(view: View) -> bool:
    """Return whether an order of nobody's was last read before its server was."""
    unread = (
        view.orders_at is None or view.marketplace_at is None or view.orders_at < view.marketplace_at
    )
    return unread and any(not holding.ours for holding in view.holdings.values())


# How long a book that was read for its rates keeps us from reading it for them again.
_PROBE_EVERY = timedelta(seconds=60)


def _without_candidate(base: Decision, target: Target, view: View, now: datetime) -> Decision:
    """Return why nothing qualifies: no server at all, or no rate to judge any by."""
    probe = view.rate_probes.get(target.name)
    if probe is None:
        return base
    seen = view.books.get(probe)
    recently = seen is not None and now - seen.at < _PROBE_EVERY
    wants = base.wants_book if recently else probe
    return replace(base, reason=Reason.NO_RATE, server=probe, wants_book=wants)


def _quote_facts(found: Found | Declined) -> dict[str, Fact]:
    quoted = found.quote
    facts: dict[str, Fact] = {
        "needed": str(quoted.needed),
        "floor": str(quoted.floor),
        "ceiling": str(quoted.ceiling),
        "score_usd_per_gpu": str(to_places(found.score, 4)),
    }
    if quoted.rival is not None:
        facts["rival"] = str(quoted.rival.price)
    if isinstance(found, Found) and found.declined:
        facts["cheaper_declined"] = found.declined
    return facts
