"""Whether an order gives up its server for another, and the search for that other one.

An order that has lost its server leaves for any that can be won; one that a raise would win back only
where the other is cheaper by the owner's margin after the creation fee. Those that run are a matter of
``portfolio``. Nobody leaves for a server on which the new order would be stopped by the strategy or by a
rail: the old place in the queue is worth more than nothing.
"""

from collections import Counter
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from functools import partial

from bidder.domain import answers, churn, guard, selection, strategies, turns, workloads
from bidder.domain.actions import Decision, Fact, PlaceBid, Reason, Reprice
from bidder.domain.ids import ServerId
from bidder.domain.market import Listing
from bidder.domain.money import Price
from bidder.domain.policy import AdaptiveParams, DeadlineParams, Policy, Target, TrackParams
from bidder.domain.positions import Position
from bidder.domain.quotes import Quote
from bidder.domain.searching import Declined, Found, NeedsBook, NothingFits, SearchResult, best_server
from bidder.domain.strategies import common, track
from bidder.domain.view import Setback, View, attempts
from bidder.errors import StrategyFailed

_HOUR = timedelta(hours=1)
_DAY = timedelta(days=1)
_LONG_AGO = datetime.min.replace(tzinfo=UTC)

# So many answered raises, and the next one is likely to be answered too; then for so long others are
# looked at before it: a few of their books can be read meanwhile.
_A_FIGHT, _LOOK_AROUND = 2, timedelta(seconds=20)

# Whose bids follow the market, so that a cheaper server is a better one; the others are told a price.
MOVERS = (TrackParams, AdaptiveParams)

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
    verdict = _weary(verdict, here, view, now)
    if verdict.reason in _LEAVING:
        return _left(verdict, here, view, policy, now)
    return verdict


def _weary(verdict: Decision, here: Position, view: View, now: datetime) -> Decision:
    """Return the verdict, or the wait where each raise is answered and the restarts cost what is won.

    ``track`` counts its raises itself; ``adaptive`` weighs them.
    """
    if not isinstance(here.target.bidding, AdaptiveParams) or not isinstance(verdict.action, Reprice):
        return verdict
    if verdict.reason is not Reason.OUTBID or here.listing is None:
        return verdict
    # Without its room, which is there to save the restarts that are counted here.
    price = here.needed if here.needed is not None and here.needed > here.price else verdict.action.price
    raised = _worth(here, view, view.rates.to_usd(price), now)
    value = churn.gpu_value(here.target, here.listing, view)
    times = answers.answered(here.listing.server, view, now)
    if raised is None or value is None or not times or raised <= value:
        return verdict
    return replace(
        verdict,
        reason=Reason.WAR_PAUSE,
        action=None,
        urgency=0,
        due=churn.calm_at(here, view, now),
        facts={**verdict.facts, "raises": len(times), "wanted_to": verdict.reason.value},
    )


def _left(verdict: Decision, here: Position, view: View, policy: Policy, now: datetime) -> Decision:
    result = search(here.target, view, policy, now)
    if isinstance(result, NeedsBook):
        if verdict.action is not None:
            # A raise in hand is not delayed by looking around, unless it is likely to be in vain.
            looks = _looks_first(here, view, now)
            return _looking(verdict, here, result.server, view, now) if looks else verdict
        return replace(
            verdict, wants_book=result.server, facts={**verdict.facts, "looking_at": result.server}
        )
    if not isinstance(result, Found):
        return looking_on(verdict, result)
    if not could_place(result, here, view, policy, now):
        return _kept(verdict, result, here, view, policy, now)
    if isinstance(verdict.action, Reprice):
        price = view.rates.to_usd(verdict.action.price)
        raised = _worth(here, view, price, now)
        if raised is not None and result.quote.rival is not None and here.listing is not None:
            # Nobody knows whether the one there answers as well: from one fight into another is no gain.
            raised = selection.weigh(price, here.listing)
        if raised is None or not _pays(result, raised, here, view, policy, now):
            return verdict
    elif verdict.action is not None:
        return verdict
    return move(verdict, here, result)


def _looks_first(here: Position, view: View, now: datetime) -> bool:
    """Return whether a raise waits for a look at other servers: its last ones were answered."""
    params, since = here.target.bidding, here.holding.outbid_since or now
    if not isinstance(params, MOVERS) or now - since >= params.raise_wait + _LOOK_AROUND:
        return False
    return len(answers.answered(here.holding.order.server, view, now)) >= _A_FIGHT


def _looking(verdict: Decision, here: Position, server: ServerId, view: View, now: datetime) -> Decision:
    times = answers.answered(here.holding.order.server, view, now)
    facts = {
        **verdict.facts,
        "raises": len(times),
        "looking_at": server,
        "wanted_to": verdict.reason.value,
    }
    return replace(
        verdict, reason=Reason.WAR_PAUSE, action=None, urgency=0, wants_book=server, facts=facts
    )


def looking_on(verdict: Decision, result: NothingFits | Declined) -> Decision:
    """Return the verdict of an order that stays for want of another server, and looks on for one."""
    if verdict.action is not None or verdict.wants_book is not None:
        return verdict
    return replace(verdict, wants_book=result.oldest)


def move(verdict: Decision, here: Position, found: Found) -> Decision:
    """Return the decision to give up this order for that server."""
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


def _worth(here: Position, view: View, usd: Decimal, now: datetime) -> Decimal | None:
    """Return what a price here counts as, per GPU-day; None where the server is not known."""
    if here.listing is None:
        return None
    war = churn.wars(here.target, view, now).get(here.listing.server, Decimal(0))
    return selection.weigh(usd, here.listing) + war


def _pays(
    found: Found, staying: Decimal, here: Position, view: View, policy: Policy, now: datetime
) -> bool:
    """Return whether a new order there is cheaper by the owner's margin than ``staying`` here.

    The creation fee is spread over the time until this order would end anyway, or the wallet that
    would pay there is empty, a day at most.
    """
    if not isinstance(here.target.bidding, MOVERS):
        return False
    most = min(here.holding.order.ends_at - now, _DAY)
    lasts = view.purse(policy.rails, now).lasting(found.quote.needed, most)
    left = max(lasts, timedelta(minutes=1))
    days = Decimal(int(left.total_seconds())) / 86400
    gpus = max(1, found.listing.specs.gpu_count)
    there = found.score + view.creation_fee_usd / days / gpus
    return there < staying * (1 - here.target.moving.saving)


def could_place(found: Found, here: Position, view: View, policy: Policy, now: datetime) -> bool:
    """Return whether the new order would be placed once this one is gone."""
    target = here.target
    if kept_from_creating(target, view, now) is not None:
        return False
    price = opening(found, target, view, now)
    if price is None:
        return False
    return _placing(found, price, here, view, policy, now).action is not None


def _placing(
    found: Found, price: Price, here: Position, view: View, policy: Policy, now: datetime
) -> Decision:
    """Return the new order as the rails would let it pass, or what stops it."""
    target = here.target
    action = PlaceBid(server=found.listing.server, price=price, target=target.name, launch=target.launch)
    placing = Decision(target=target.name, reason=Reason.MOVE, action=action)
    return guard.apply(placing, view.without_holding(here.holding.order.order), policy, now)


def _kept(
    verdict: Decision, found: Found, here: Position, view: View, policy: Policy, now: datetime
) -> Decision:
    """Return the verdict of an order that stays, with the rail that keeps it from a better server."""
    price = opening(found, here.target, view, now)
    if price is None or verdict.action is not None:
        return verdict
    stopped = _placing(found, price, here, view, policy, now)
    if stopped.action is not None:
        return verdict
    why = stopped.facts.get("rail", stopped.reason.value)
    return replace(verdict, facts={**verdict.facts, "kept_from": found.listing.server, "kept_by": why})


def opening(found: Found, target: Target, view: View, now: datetime) -> Price | None:
    """Return what a target's strategy would bid on a server that was found; None for no bid."""
    return _first_bid(found.listing, found.quote, target, view, now)


def _first_bid(
    listing: Listing, quoted: Quote, target: Target, view: View, now: datetime
) -> Price | None:
    stance, gpus = view.stance_of(target, listing.server, now), listing.specs.gpu_count
    try:
        return strategies.opening_bid(quoted, target, view.rates, stance=stance, gpus=gpus)
    except StrategyFailed:
        return None


def _could_recreate(here: Position, view: View, policy: Policy, now: datetime) -> bool:
    """Return whether this order would be placed again, lower, once it is gone."""
    server, needed, target = here.holding.order.server, here.needed, here.target
    if needed is None or server in _unfit(
        target, view.without_holding(here.holding.order.order), policy, now
    ):
        return False
    if kept_from_creating(target, view, now) is not None:
        return False
    if any(s.forbids(server, now) for s in view.setbacks):
        return False
    action = PlaceBid(server=server, price=needed, target=target.name, launch=target.launch)
    placing = Decision(target=target.name, reason=Reason.RECREATE, action=action)
    without = view.without_holding(here.holding.order.order)
    return guard.apply(placing, without, policy, now).action is not None


def search(
    target: Target, view: View, policy: Policy, now: datetime, *, below: Decimal | None = None
) -> SearchResult:
    """Return the best server for a target now, or whose book must be read to know.

    One whose book cannot be read is passed over for a while: the next best one is better than none.
    So is one on which the strategy would not bid, and one that costs more a day than the owner's limits
    leave, where there is one that costs less. With ``below``, only servers that may cost less than this,
    in weighted USD per GPU-day. Where no wallet carries any, the rails are to tell so of the best one.
    """

    def opens(listing: Listing, quoted: Quote) -> bool:
        return _first_bid(listing, quoted, target, view, now) is not None

    search_with = partial(
        best_server,
        view.shortlists.get(target.name, ()),
        view.books,
        target,
        view.rates,
        selection.payable(target, view.wallets),
        unfit=_unfit(target, view, policy, now) | view.unread.passed_over(now),
        own=view.own_ids(),
        now=now,
        above_on_demand=policy.rails.allow_above_on_demand,
        below=below,
        surcharge=churn.wars(target, view, now) if isinstance(target.bidding, MOVERS) else None,
        sharing=turns.sharing(view.turns, now),
        opens=opens,
    )
    purse, fresh_after = view.purse(policy.rails, now), now - policy.pace.book_stale_after
    if guard.limits_spending(policy):
        # However old its book is: whether the best server is too dear needs no newer one each time.
        best = search_with(purse=purse, fresh_after=_LONG_AGO)
        if isinstance(best, Found) and _too_dear(best, target, view, policy, now):
            left = guard.left_usd_per_day(target, view, policy, now)
            other = search_with(purse=purse.up_to(left, view.rates), fresh_after=fresh_after)
            if isinstance(other, Found | NeedsBook):
                return other
    found = search_with(purse=purse, fresh_after=fresh_after)
    unpaid = isinstance(found, NothingFits) and found.unpaid
    return search_with(fresh_after=fresh_after) if unpaid else found


def _too_dear(found: Found, target: Target, view: View, policy: Policy, now: datetime) -> bool:
    """Return whether the owner's money per day does not allow what would be bid on a server."""
    bid, server = opening(found, target, view, now), found.listing.server
    if bid is None:
        return False
    action = PlaceBid(server=server, price=bid, target=target.name, launch=target.launch)
    return guard.too_dear(action, view, policy, now)


def _unfit(target: Target, view: View, policy: Policy, now: datetime) -> frozenset[ServerId]:
    """Return the servers that must not be bid on: taken, left alone as deadly, or at war."""
    servers = set(taken(view, policy, now, kept=isinstance(target.params, DeadlineParams)))
    servers.update(workloads.left_alone(target.name, view, now))
    if isinstance(target.bidding, TrackParams):
        servers.update(at_war(target.bidding, view, now))
    if isinstance(target.bidding, AdaptiveParams):
        servers.update(_not_worth_fighting(target, view, now))
    return frozenset(servers)


def _not_worth_fighting(target: Target, view: View, now: datetime) -> set[ServerId]:
    """Return the servers where the restarts of an answered bid cost more than running there is worth."""
    found = set()
    for server, usd in churn.wars(target, view, now).items():
        value = churn.gpu_value(target, view.marketplace.listings[server], view)
        if value is not None and usd >= value:
            found.add(server)
    return found


def kept_from_creating(target: Target, view: View, now: datetime) -> Setback | None:
    """Return the refusal of late that lets a target create nothing; None where none does.

    One that speaks of a wallet does not: there may be a server that it pays for.
    """
    return view.creating_refused(target.name, now)


def taken(view: View, policy: Policy, now: datetime, *, kept: bool = False) -> frozenset[ServerId]:
    """Return the servers on which nothing may be ordered: ours, in doubt, refused or worn out.

    So are those of orders that ended before their time, until it is known whose doing that was.

    With ``kept`` also those whose last creation of the hour is kept for renting on demand.
    """
    servers = {holding.order.server for holding in view.holdings.values()}
    servers.update(intent.server for intent in view.intents)
    servers.update(holding.order.server for holding in view.cut_off.values())
    servers.update(s.server for s in view.setbacks if s.server is not None and s.forbids(s.server, now))
    recent = [c for c in view.creations if now - c.at < _HOUR]
    most = max(1, policy.rails.max_creations_per_server_hour - kept)
    for server, count in Counter(c.server for c in recent).items():
        if count >= most and attempts(c for c in recent if c.server == server) >= most:
            servers.add(server)
    return frozenset(servers)


def at_war(params: TrackParams, view: View, now: datetime) -> set[ServerId]:
    """Return the servers that are left alone for a while: a rival there answers each raise."""
    raises: dict[ServerId, list[datetime]] = {}
    for raised in view.raises:
        raises.setdefault(raised.server, []).append(raised.at)
    ends = {server: track.peace_at(times, params) for server, times in raises.items()}
    return {server for server, end in ends.items() if end is not None and now < end}
