"""Whether an order gives up its server for another, and the search for that other one.

An order that has lost its server leaves for any that can be won; one that a raise would win back, or
that runs, only where the other is cheaper by the owner's margin after the creation fee. Nobody
leaves for a server on which the new order would be stopped by the strategy or by a rail: the old
place in the queue is worth more than nothing.
"""

from collections import Counter
from dataclasses import replace
from datetime import datetime, timedelta
from decimal import Decimal

from bidder.domain import guard, selection, strategies, workloads
from bidder.domain.actions import Decision, Fact, PlaceBid, Reason, Reprice
from bidder.domain.ids import ServerId
from bidder.domain.policy import DeadlineParams, Policy, Target, TrackParams
from bidder.domain.positions import Position
from bidder.domain.selection import Found, NeedsBook, SearchResult
from bidder.domain.strategies import common, track
from bidder.domain.view import View
from bidder.errors import StrategyFailed

_HOUR = timedelta(hours=1)
_DAY = timedelta(days=1)

# Reasons for which an order looks for another server to move to.
_LEAVING = frozenset(
    {
        Reason.TOO_EXPENSIVE,
        Reason.ON_DEMAND_CHEAPER,
        Reason.NOT_WORTH_IT,
        Reason.SERVER_LOST,
        Reason.WAR_PAUSE,
        Reason.OUTBID,
    }
)


def leave_or_stay(
    verdict: Decision, here: Position, view: View, policy: Policy, now: datetime
) -> Decision:
    """Return ``verdict``, or the move to another server where that is the better deal."""
    if here.book is None:
        return verdict
    if verdict.reason is Reason.RECREATE and not _could_recreate(here, view, policy, now):
        # Cancelling would only lose the server.
        wanted = here.price if here.needed is None else here.needed
        return common.walk_down(here, wanted, Reason.MARK_DOWN, now)
    if verdict.reason in _LEAVING:
        return _left(verdict, here, view, policy, now)
    params = here.target.bidding
    moves = isinstance(params, TrackParams) and params.move_running
    if moves and verdict.action is None and verdict.reason in {Reason.WINNING, Reason.CLOCK}:
        return _moved_while_running(verdict, here, view, policy, now)
    return verdict


def _left(verdict: Decision, here: Position, view: View, policy: Policy, now: datetime) -> Decision:
    result = search(here.target, view, policy, now)
    if isinstance(result, NeedsBook):
        if verdict.action is not None:
            # A raise in hand is not delayed by looking around.
            return verdict
        return replace(
            verdict, wants_book=result.server, facts={**verdict.facts, "looking_at": result.server}
        )
    if not isinstance(result, Found) or not _could_place(result, here, view, policy, now):
        return verdict
    if isinstance(verdict.action, Reprice):
        raised = _worth(here, view.rates.to_usd(verdict.action.price))
        if raised is None or not _pays(result, raised, here, view, now):
            return verdict
    elif verdict.action is not None:
        return verdict
    return _move(verdict, here, result)


def _moved_while_running(
    verdict: Decision, here: Position, view: View, policy: Policy, now: datetime
) -> Decision:
    # What it can come down to where it is, not what it costs today.
    price = here.price if here.needed is None or here.price < here.needed else here.needed
    if not view.rates.knows(price.currency):
        return verdict
    staying = _worth(here, view.rates.to_usd(price))
    if staying is None:
        return verdict
    result = search(here.target, view, policy, now, below=staying)
    if isinstance(result, NeedsBook) and verdict.wants_book is None:
        return replace(
            verdict, wants_book=result.server, facts={**verdict.facts, "looking_at": result.server}
        )
    if not isinstance(result, Found) or not _pays(result, staying, here, view, now):
        return verdict
    return _move(verdict, here, result) if _could_place(result, here, view, policy, now) else verdict


def _move(verdict: Decision, here: Position, found: Found) -> Decision:
    facts: dict[str, Fact] = {
        **verdict.facts,
        "to_server": found.listing.server,
        "to_bid": str(found.quote.needed),
        "because": verdict.reason.value,
    }
    reason = Reason.WAR if verdict.reason is Reason.WAR_PAUSE else Reason.MOVE
    if verdict.reason is Reason.SERVER_LOST:
        reason = Reason.SERVER_LOST
    return replace(
        verdict,
        reason=reason,
        action=common.withdraw(here),
        urgency=common.URGENT_LEAVE,
        due=None,
        facts=facts,
    )


def _worth(here: Position, usd: Decimal) -> Decimal | None:
    """Return what a price here counts as, per GPU-day; None where the server is not known."""
    return None if here.listing is None else selection.weigh(usd, here.listing)


def _pays(found: Found, staying: Decimal, here: Position, view: View, now: datetime) -> bool:
    """Return whether a new order there is cheaper by the owner's margin than ``staying`` here.

    The creation fee is spread over the time until this order would end anyway, a day at most.
    """
    params = here.target.bidding
    if not isinstance(params, TrackParams):
        return False
    left = max(min(here.holding.order.ends_at - now, _DAY), timedelta(minutes=1))
    days = Decimal(int(left.total_seconds())) / 86400
    gpus = max(1, found.listing.specs.gpu_count)
    there = found.score + view.creation_fee_usd / days / gpus
    return there < staying * (1 - params.move_saving)


def _could_place(found: Found, here: Position, view: View, policy: Policy, now: datetime) -> bool:
    """Return whether the new order would be placed once this one is gone."""
    if any(s.account_wide and now < s.until for s in view.setbacks):
        return False
    target = here.target
    try:
        price = strategies.opening_bid(
            found.quote,
            target,
            view.rates,
            stance=view.stance_of(target, found.listing.server, now),
            gpus=found.listing.specs.gpu_count,
        )
    except StrategyFailed:
        return False
    if price is None:
        return False
    order = here.holding.order.order
    action = PlaceBid(server=found.listing.server, price=price, target=target.name, launch=target.launch)
    placing = Decision(target=target.name, reason=Reason.MOVE, action=action)
    return guard.apply(placing, view.without_holding(order), policy, now).action is not None


def _could_recreate(here: Position, view: View, policy: Policy, now: datetime) -> bool:
    """Return whether this order would be placed again, lower, once it is gone."""
    server, needed, target = here.holding.order.server, here.needed, here.target
    if needed is None or server in _unfit(
        target, view.without_holding(here.holding.order.order), policy, now
    ):
        return False
    if any(now < s.until and (s.account_wide or s.server == server) for s in view.setbacks):
        return False
    action = PlaceBid(server=server, price=needed, target=target.name, launch=target.launch)
    placing = Decision(target=target.name, reason=Reason.RECREATE, action=action)
    without = view.without_holding(here.holding.order.order)
    return guard.apply(placing, without, policy, now).action is not None


def search(
    target: Target, view: View, policy: Policy, now: datetime, *, below: Decimal | None = None
) -> SearchResult:
    """Return the best server for a target now, or whose book must be read to know.

    With ``below``, only servers that may cost less than this, in weighted USD per GPU-day.
    """
    candidates = view.shortlists.get(target.name, ())
    if below is not None:
        candidates = tuple(candidate for candidate in candidates if candidate.score < below)
    return selection.best_server(
        candidates,
        view.books,
        target,
        view.rates,
        selection.payable(target, view.wallets),
        unfit=_unfit(target, view, policy, now),
        own=view.own_ids(),
        now=now,
        fresh_after=now - policy.pace.book_stale_after,
        above_on_demand=policy.rails.allow_above_on_demand,
    )


def _unfit(target: Target, view: View, policy: Policy, now: datetime) -> frozenset[ServerId]:
    """Return the servers that must not be bid on: taken, left alone as deadly, or at war."""
    servers = set(taken(view, policy, now, kept=isinstance(target.params, DeadlineParams)))
    servers.update(workloads.left_alone(target.name, view, now))
    if isinstance(target.bidding, TrackParams):
        servers.update(at_war(target.bidding, view, now))
    return frozenset(servers)


def taken(view: View, policy: Policy, now: datetime, *, kept: bool = False) -> frozenset[ServerId]:
    """Return the servers on which nothing may be ordered: ours, in doubt, refused or worn out.

    With ``kept`` also those whose last creation of the hour is kept for renting on demand.
    """
    servers = {holding.order.server for holding in view.holdings.values()}
    servers.update(intent.server for intent in view.intents)
    servers.update(
        s.server for s in view.setbacks if s.server is not None and s.order is None and now < s.until
    )
    worn = Counter(c.server for c in view.creations if now - c.at < _HOUR)
    most = max(1, policy.rails.max_creations_per_server_hour - kept)
    servers.update(server for server, count in worn.items() if count >= most)
    return frozenset(servers)


def at_war(params: TrackParams, view: View, now: datetime) -> set[ServerId]:
    """Return the servers that are left alone for a while: a rival there answers each raise."""
    raises: dict[ServerId, list[datetime]] = {}
    for raised in view.raises:
        raises.setdefault(raised.server, []).append(raised.at)
    ends = {server: track.peace_at(times, params) for server, times in raises.items()}
    return {server for server, end in ends.items() if end is not None and now < end}
