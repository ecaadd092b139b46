"""One target after another: what to do about its bids, and how its empty slots are filled.

``plan`` is the whole of deciding. It returns a decision for every order of ours and for every empty
slot, holds included, sorted so that the most urgent comes first; the caller carries out at most one
and forgets the rest.
"""

from collections import Counter
from dataclasses import replace
from datetime import datetime, timedelta
from decimal import Decimal

from bidder.domain import guard, price_rules, selection, strategies
from bidder.domain.actions import Decision, Fact, PlaceBid, Reason, Withdraw
from bidder.domain.ids import ServerId
from bidder.domain.intents import Intent, IntentState
from bidder.domain.market import OrderKind
from bidder.domain.policy import Policy, Target, TrackParams
from bidder.domain.positions import position
from bidder.domain.selection import Found, NeedsBook, NothingFits, SearchResult
from bidder.domain.strategies import common
from bidder.domain.view import Holding, View

_HOUR = timedelta(hours=1)
# A clock that opens within this is looked at closely.
_SOON = timedelta(seconds=5)

# Reasons for which an order looks for another server to move to.
_LEAVING = frozenset(
    {
        Reason.TOO_EXPENSIVE,
        Reason.ON_DEMAND_CHEAPER,
        Reason.SERVER_LOST,
        Reason.WAR_PAUSE,
        Reason.OUTBID,
    }
)


def plan(view: View, policy: Policy, now: datetime) -> tuple[Decision, ...]:
    """Return every decision of this moment, most urgent action first, after the owner's rails."""
    decisions: list[Decision] = []
    for target in policy.targets:
        if target.enabled:
            decisions.extend(_for_target(target, view, policy, now))
    guarded = [guard.apply(decision, view, policy, now) for decision in decisions]
    return tuple(sorted(guarded, key=lambda d: (d.action is None, -d.urgency)))


def _for_target(target: Target, view: View, policy: Policy, now: datetime) -> list[Decision]:
    held = view.holdings_of(target.name)
    open_here = [intent for intent in view.intents if intent.target == target.name]
    decisions = [_waiting(intent_server, target, view) for intent_server in _creating(open_here)]
    ending = tuple(h for h in held if _ending(h, target, now))
    # With an overlap the successor is sought while the old order still runs.
    counted = len(held) - (len(ending) if target.renewal.overlap else 0)
    surplus = _surplus(held, counted - target.want, view)
    decisions.extend(_for_holding(h, target, view, policy, now, surplus) for h in held)
    creating = len(_creating(open_here))
    # Never more than one over ``want``, and that one only while an old order runs out.
    allowed = target.want + (1 if ending and target.renewal.overlap else 0) - len(held) - creating
    empty = min(target.want - counted - creating, allowed)
    if empty > 0:
        decisions.append(_fill(target, view, policy, now, empty=empty, renewing=bool(ending)))
    return decisions


def _creating(intents: list[Intent]) -> list[ServerId]:
    return [intent.server for intent in intents if intent.creates]


def _waiting(server: ServerId, target: Target, view: View) -> Decision:
    intent = view.intent_on(server)
    frozen = intent is not None and intent.state is IntentState.AMBIGUOUS
    accepted = intent is not None and intent.accepted
    reason = Reason.FROZEN if frozen else Reason.PENDING if accepted else Reason.IN_DOUBT
    return Decision(target=target.name, reason=reason, server=server)


def _ending(holding: Holding, target: Target, now: datetime) -> bool:
    return now >= holding.order.ends_at - target.renewal.before


def _surplus(held: tuple[Holding, ...], count: int, view: View) -> frozenset[int]:
    """Return the orders that are too many: those that do not run first, then the dearest."""
    if count <= 0:
        return frozenset()

    def worth(holding: Holding) -> tuple[bool, Decimal]:
        rate = holding.order.price
        usd = view.rates.to_usd(rate) if view.rates.knows(rate.currency) else rate.amount
        return (holding.active is not False, -usd)

    return frozenset(h.order.order for h in sorted(held, key=worth)[:count])


def _for_holding(
    holding: Holding,
    target: Target,
    view: View,
    policy: Policy,
    now: datetime,
    surplus: frozenset[int],
) -> Decision:
    order = holding.order
    base = Decision(target=target.name, reason=Reason.STALE, server=order.server, order=order.order)
    intent = view.intent_on(order.server)
    if intent is not None:
        frozen = intent.state is IntentState.AMBIGUOUS
        return replace(base, reason=Reason.FROZEN if frozen else Reason.IN_DOUBT)
    if holding.missing_reads:
        return replace(base, wants_orders=True, facts={"missing_from_orders": holding.missing_reads})
    setback = next((s for s in view.setbacks if s.order == order.order and now < s.until), None)
    if setback is not None:
        return replace(base, reason=Reason.REFUSED, due=setback.until, facts={"refusal": setback.reason})
    if order.order in surplus:
        action = Withdraw(order=order.order, server=order.server, target=target.name)
        return replace(base, reason=Reason.SURPLUS, action=action, urgency=common.URGENT_LEAVE)
    if order.kind is OrderKind.ON_DEMAND:
        return replace(base, reason=Reason.WINNING, facts={"price": str(order.price)})
    if _nothing_new(holding, view, policy, now):
        bid: dict[str, Fact] = {"bid": str(order.price), "active": holding.active}
        return replace(base, wants_book=order.server, facts=bid)
    here = position(holding, target, view, policy, now)
    verdict = strategies.decide(here, policy, now)
    if verdict.reason not in _LEAVING or here.book is None:
        return verdict
    return _leave_or_stay(verdict, holding, target, view, policy, now)


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


def _leave_or_stay(
    verdict: Decision,
    holding: Holding,
    target: Target,
    view: View,
    policy: Policy,
    now: datetime,
) -> Decision:
    """Return ``verdict``, or the move to another server where that is the better deal."""
    result = _search(target, view, policy, now)
    if isinstance(result, NeedsBook):
        if verdict.action is not None:
            # A raise in hand is not delayed by looking around.
            return verdict
        return replace(
            verdict, wants_book=result.server, facts={**verdict.facts, "looking_at": result.server}
        )
    if not isinstance(result, Found):
        return verdict
    if verdict.action is not None and not _move_pays(verdict, holding, result, target, view):
        return verdict
    facts: dict[str, Fact] = {
        **verdict.facts,
        "to_server": result.listing.server,
        "to_bid": str(result.quote.needed),
        "because": verdict.reason.value,
    }
    action = Withdraw(order=holding.order.order, server=holding.order.server, target=target.name)
    reason = Reason.WAR if verdict.reason is Reason.WAR_PAUSE else Reason.MOVE
    if verdict.reason is Reason.SERVER_LOST:
        reason = Reason.SERVER_LOST
    return replace(
        verdict, reason=reason, action=action, urgency=common.URGENT_LEAVE, due=None, facts=facts
    )


def _move_pays(verdict: Decision, holding: Holding, found: Found, target: Target, view: View) -> bool:
    """Return whether a raise here costs enough more than a new order there.

    The creation fee is spread over the time until the order would end anyway, a day at most.
    """
    if not isinstance(target.params, TrackParams) or verdict.action is None:
        return False
    listing = view.marketplace.listings.get(holding.order.server)
    price = getattr(verdict.action, "price", None)
    if price is None or listing is None or not view.rates.knows(price.currency):
        return False
    here = selection.weigh(view.rates.to_usd(price), listing)
    gpus = max(1, found.listing.specs.gpu_count)
    there = found.score + view.creation_fee_usd / gpus
    return there < here * (1 - target.params.move_saving)


def _search(target: Target, view: View, policy: Policy, now: datetime) -> SearchResult:
    currencies = selection.payable(target, view.wallets)
    return selection.best_server(
        view.shortlists.get(target.name, ()),
        view.books,
        target,
        view.rates,
        currencies,
        unfit=_unfit(target, view, policy, now),
        own=view.own_ids(),
        now=now,
        fresh_after=now - policy.pace.book_stale_after,
        above_on_demand=policy.rails.allow_above_on_demand,
    )


def _unfit(target: Target, view: View, policy: Policy, now: datetime) -> frozenset[ServerId]:
    """Return the servers that must not be bid on: taken by us, in doubt, refused, worn out, at war."""
    servers = {holding.order.server for holding in view.holdings.values()}
    servers.update(intent.server for intent in view.intents)
    servers.update(
        s.server for s in view.setbacks if s.server is not None and s.order is None and now < s.until
    )
    worn = Counter(c.server for c in view.creations if now - c.at < _HOUR)
    most = policy.rails.max_creations_per_server_hour
    servers.update(server for server, count in worn.items() if count >= most)
    if isinstance(target.params, TrackParams):
        params = target.params
        counts: dict[ServerId, int] = {}
        for raised in view.raises:
            if now - raised.at < params.war_pause:
                counts[raised.server] = counts.get(raised.server, 0) + 1
        servers.update(s for s, count in counts.items() if count >= params.war_raises)
    return frozenset(servers)


def _fill(
    target: Target, view: View, policy: Policy, now: datetime, *, empty: int, renewing: bool
) -> Decision:
    """Return the decision about one empty slot; the others follow in later passes."""
    facts: dict[str, Fact] = {"empty_slots": empty}
    base = Decision(target=target.name, reason=Reason.NO_CANDIDATE, facts=facts)
    account_wide = next((s for s in view.setbacks if s.account_wide and now < s.until), None)
    if account_wide is not None:
        return replace(
            base,
            reason=Reason.REFUSED,
            due=account_wide.until,
            facts={**facts, "refusal": account_wide.reason},
        )
    if view.marketplace_at is None:
        return replace(base, reason=Reason.STALE)
    result = _search(target, view, policy, now)
    match result:
        case NeedsBook(server=server):
            return replace(base, reason=Reason.STALE, server=server, wants_book=server)
        case NothingFits(considered=considered, cheapest=cheapest):
            facts["considered"] = considered
            if cheapest is None:
                return _without_candidate(base, target, view, now)
            facts["cheapest"] = str(cheapest.needed)
            facts["ceiling"] = str(cheapest.ceiling)
            return replace(base, reason=Reason.TOO_EXPENSIVE)
        case Found(listing=listing, quote=quoted):
            price = strategies.opening_bid(quoted, target)
            facts.update(_quote_facts(result))
            if price is None:
                return replace(base, reason=Reason.TOO_EXPENSIVE, server=listing.server)
            action = PlaceBid(
                server=listing.server, price=price, target=target.name, launch=target.launch
            )
            return replace(
                base,
                reason=Reason.RENEW if renewing else Reason.EMPTY_SLOT,
                server=listing.server,
                action=action,
                urgency=common.URGENT_PLACE,
            )


# How long a book that was read for its rates keeps us from reading it for them again.
_PROBE_EVERY = timedelta(seconds=60)


def _without_candidate(base: Decision, target: Target, view: View, now: datetime) -> Decision:
    """Return why nothing qualifies: no server at all, or no rate to judge any by."""
    probe = view.rate_probes.get(target.name)
    if probe is None:
        return base
    seen = view.books.get(probe)
    recently = seen is not None and now - seen.at < _PROBE_EVERY
    wants = None if recently else probe
    return replace(base, reason=Reason.NO_RATE, server=probe, wants_book=wants)


def _quote_facts(found: Found) -> dict[str, Fact]:
    quoted = found.quote
    facts: dict[str, Fact] = {
        "needed": str(quoted.needed),
        "floor": str(quoted.floor),
        "ceiling": str(quoted.ceiling),
        "score_usd_per_gpu": str(round(found.score, 4)),
    }
    if quoted.rival is not None:
        facts["rival"] = str(quoted.rival.price)
    return facts
