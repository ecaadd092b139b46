"""The owner's rails, applied last to every decision. No strategy gets past them.

Each rail recomputes what it needs from the view and trusts nothing that a strategy says. A decision
that a rail stops becomes a hold with the rail's reason, so that the owner sees what was not done
and why.
"""

from dataclasses import replace
from datetime import datetime, timedelta
from decimal import Decimal
from typing import assert_never

from bidder.domain import affording, budgets, doubted, exposure, price_rules, quotes, selection
from bidder.domain.actions import (
    Decision,
    Fact,
    PlaceBid,
    Reason,
    RentOnDemand,
    Reprice,
    Withdraw,
)
from bidder.domain.ids import ServerId
from bidder.domain.market import OrderKind
from bidder.domain.money import Currency, Price, to_places
from bidder.domain.policy import Ceiling, DeadlineParams, Policy, Target
from bidder.domain.unexplained import unexplained
from bidder.domain.view import View, attempts
from bidder.errors import NoRate

# Why a rail stops an action, and the facts it rests on; None lets it pass.
Stop = tuple[Reason, dict[str, Fact]] | None

_HOUR = timedelta(hours=1)
# From then on each order of a creation is listed, also in an answer half a minute old.
_TWIN_SHOWN = timedelta(seconds=100)


def apply(decision: Decision, view: View, policy: Policy, now: datetime) -> Decision:
    """Return the decision, or the hold that the owner's rails make of it."""
    action = decision.action
    if action is None:
        return decision
    waiting = None if decision.reason in _WHATEVER_RATES else doubted.waits(decision, view, policy, now)
    if waiting is not None:
        return waiting
    stopped: Stop
    match action:
        case Withdraw():
            stopped = _withdrawal(action, decision.reason, view, policy)
        case Reprice():
            stopped = _repricing_paused(action, decision.reason, view) or _repricing(
                action, view, policy, now
            )
        case PlaceBid() | RentOnDemand():
            stopped = _paused(view) or _creation(action, view, policy, now)
        case _:
            assert_never(action)
    if stopped is None:
        return decision
    reason, facts = stopped
    asks = reason is Reason.STALE
    due = decision.due
    if asks:
        due = _all_shown_at(action.server, view, now)
    elif reason is Reason.REFUSED and not isinstance(action, Withdraw):
        refused = view.price_refused(action.price, now)
        due = None if refused is None else refused.until
    return replace(
        decision,
        action=None,
        reason=reason,
        urgency=0,
        wants_book=None,
        wants_orders=asks,
        due=due,
        facts={**decision.facts, **facts, "wanted_to": decision.reason.value},
    )


# Commands of the owner are carried out whatever the rails say.
_COMMANDED = frozenset({Reason.ORDERED, Reason.SHUTDOWN})
# What does not wait until rates that have jumped are known to be right.
_WHATEVER_RATES = _COMMANDED | {
    Reason.UNATTENDED,
    Reason.JOB_DONE,
    Reason.STILL_ALIVE,
}


def _paused(view: View) -> Stop:
    return (Reason.PAUSED, {}) if view.paused else None


def _repricing_paused(action: Reprice, reason: Reason, view: View) -> Stop:
    # A pause means "spend no more": coming down is no breach of it where nobody looks after the orders,
    # and a bid above its ceiling would go on at a price that the owner forbade.
    unasked = {Reason.UNATTENDED, Reason.ABOVE_CEILING}
    return None if reason in unasked and action.lowers else _paused(view)


def _withdrawal(action: Withdraw, reason: Reason, view: View, policy: Policy) -> Stop:
    if reason in _COMMANDED:
        return None
    holding = view.holdings.get(action.order)
    if holding is None or not holding.ours or holding.target != action.target:
        return Reason.RAIL, {"rail": "not_our_order"}
    # Also while trading is paused no order stays at a price that the owner forbade, nor unattended, nor
    # once its budget is spent or its job done, nor after it was cancelled. One on demand beside a spot
    # order that runs does stay: outbid, that one could not be raised nor be followed by another.
    unasked = {
        Reason.ABOVE_CEILING,
        Reason.UNATTENDED,
        Reason.BUDGET_SPENT,
        Reason.JOB_DONE,
        Reason.STILL_ALIVE,
    }
    if reason in unasked or (reason is Reason.MOVE and _beyond_want(action, view, policy)):
        return None
    return _paused(view)


def _beyond_want(action: Withdraw, view: View, policy: Policy) -> bool:
    """Return whether the target holds one more than it wants: what an order moved to runs as well."""
    target = None if action.target is None else policy.target(action.target)
    return target is not None and len(view.by_target().get(target.name, ())) > target.want


def _repricing(action: Reprice, view: View, policy: Policy, now: datetime) -> Stop:
    target = policy.target(action.target)
    holding = view.holdings.get(action.order)
    if target is None or holding is None or holding.target != target.name:
        return Reason.RAIL, {"rail": "not_our_order"}
    if view.intent_on(action.server) is not None:
        return Reason.IN_DOUBT, {}
    if action.lowers:
        opens_at = price_rules.next_lowering_at(holding.clock, view.rules)
        if opens_at is not None and now < opens_at:
            return Reason.CLOCK, {"opens_at": opens_at.isoformat()}
        return _above_ceiling(action.server, action.price, target.ceiling, view)
    listing = view.marketplace.listings.get(action.server)
    ruled_out = selection.ruled_out(holding.order, listing, target)
    if ruled_out is not None:
        return Reason.RAIL, {"rail": "unwanted", "ruled_out": ruled_out}
    return (
        _below_floor(action, view)
        or _above_ceiling(action.server, action.price, target.ceiling, view)
        or _above_on_demand(action.server, action.price, target, view, policy)
        or _over_budget(action.price, holding.order.price, view, policy)
        or _unattended(action, view, policy, now)
        or affording.begins(action, view, policy, now)
    )


def _below_floor(action: Reprice, view: View) -> Stop:
    seen = view.books.get(action.server)
    floor = None if seen is None else seen.book.floor.get(action.price.currency)
    if floor is None or action.price >= floor:
        return None
    # The exchange would refuse it, and the same would be asked for in each pass, ahead of all else.
    return Reason.RAIL, {"rail": "floor", "floor": str(floor)}


def _creation(action: PlaceBid | RentOnDemand, view: View, policy: Policy, now: datetime) -> Stop:
    target = policy.target(action.target)
    if target is None or not target.enabled:
        return Reason.RAIL, {"rail": "unknown_target"}
    if action.server in view.marketplace.own_servers:
        return Reason.RAIL, {"rail": "own_server"}
    if any(h.order.server == action.server for h in view.holdings.values()):
        return Reason.RAIL, {"rail": "already_on_server"}
    if view.intent_on(action.server) is not None:
        return Reason.IN_DOUBT, {}
    job = target.params if isinstance(target.params, DeadlineParams) else None
    stopped: Stop
    if isinstance(action, PlaceBid):
        stopped = _above_ceiling(action.server, action.price, target.ceiling, view) or _above_on_demand(
            action.server, action.price, target, view, policy
        )
    elif job is None:
        return Reason.RAIL, {"rail": "no_on_demand"}
    else:
        stopped = _above_ceiling(action.server, action.price, target.limit(on_demand=True), view)
    # Of a job's allowance one creation is kept for the server on demand that it may come to need.
    kept = 1 if job is not None and isinstance(action, PlaceBid) else 0
    return (
        _forbidden_currency(action.server, action.price.currency, target, view)
        or stopped
        or _enough(action, target, view, policy, now)
        or _too_many(view, policy)
        or _churn(action.server, view, policy, now, kept=kept)
        or _forgotten(view)
        or _twin(action.server, view, now)
        or _balance(action.price, view, policy, now)
        or _over_budget(action.price, None, view, policy)
        or _unattended(action, view, policy, now)
        or affording.begins(action, view, policy, now)
    )


def _forbidden_currency(server: ServerId, currency: Currency, target: Target, view: View) -> Stop:
    listing = view.marketplace.listings.get(server)
    taken = listing is None or listing.takes(currency)
    if taken and currency in selection.payable(target, view.wallets):
        return None
    return Reason.RAIL, {"rail": "currency", "currency": currency.short}


def _above_on_demand(server: ServerId, price: Price, target: Target, view: View, policy: Policy) -> Stop:
    if policy.rails.allow_above_on_demand:
        return None
    listing = view.marketplace.listings.get(server)
    payable = selection.payable(target, view.wallets) | {price.currency}
    cap = quotes.on_demand_cap(listing, price, view.rates, payable)
    return (Reason.ON_DEMAND_CHEAPER, {"on_demand": str(cap)}) if cap < price else None


def _enough(
    action: PlaceBid | RentOnDemand, target: Target, view: View, policy: Policy, now: datetime
) -> Stop:
    """Stop a creation that would make more live orders than wanted.

    One more may stand while an old order runs out, while a job changes between spot and on demand, and
    beside orders that all run, one of which it takes over from as the cheaper one.
    """
    held = view.holdings_of(target.name)
    pending = sum(1 for intent in view.intents if intent.creates and intent.target == target.name)
    ending = any(target.renewal.due(h.order.ends_at, now, mrl=h.order.mrl) for h in held)
    kind = OrderKind.SPOT if isinstance(action, PlaceBid) else OrderKind.ON_DEMAND
    job = isinstance(target.params, DeadlineParams)
    changing = job and any(holding.order.kind is not kind for holding in held)
    moving = target.overlaps and len(held) == target.want and all(h.active for h in held)
    most = target.want + (1 if changing or moving or (target.renewal.overlap and ending) else 0)
    live = len(held) + len(unexplained(target, view, policy.mode)) + pending
    live += len(view.returning(target.name))
    if live < most:
        return None
    return Reason.RAIL, {"rail": "want", "want": target.want, "live": live}


def _twin(server: ServerId, view: View, now: datetime) -> Stop:
    """Stop a creation while an earlier one may have a twin that our orders have not shown yet.

    The wire may deliver one request twice, and of the two orders one may be listed a minute later
    than the other. Slots are filled one after the other all the same; only an old creation, or one on
    this very server, is looked into first.
    """
    for created in view.creations:
        if created.refused or (created.server != server and now - created.at < _TWIN_SHOWN):
            continue
        if view.orders_at is None or view.orders_at < created.at + _TWIN_SHOWN:
            return Reason.STALE, {"created_at": created.at.isoformat()}
    return None


def _forgotten(view: View) -> Stop:
    """Stop a creation after a gap in our memory until each order of ours must have been listed.

    One read may leave an order out, or not show it yet, and a database that was restored does not
    miss it.
    """
    since = view.recalled_at
    if since is None:
        return None
    if view.orders_at is not None and view.orders_at >= since + _TWIN_SHOWN:
        return None
    return Reason.STALE, {"recalled_at": since.isoformat()}


def _all_shown_at(server: ServerId, view: View, now: datetime) -> datetime | None:
    """Return from when on our orders show all that came of the creations on this server, or before.

    None where that moment has come: our orders need only be read.
    """
    shown = [c.at + _TWIN_SHOWN for c in view.creations if c.server == server and not c.refused]
    if view.recalled_at is not None:
        shown.append(view.recalled_at + _TWIN_SHOWN)
    return max((at for at in shown if at > now), default=None)


def _above_ceiling(server: ServerId, price: Price, limit: Ceiling, view: View) -> Stop:
    try:
        ceiling = limit.for_server(view.gpus_at(server), price.currency, view.rates)
    except NoRate:
        return Reason.NO_RATE, {"currency": price.currency.short}
    if price > ceiling:
        return Reason.RAIL, {"rail": "ceiling", "ceiling": str(ceiling), "price": str(price)}
    return None


def _too_many(view: View, policy: Policy) -> Stop:
    pending = sum(1 for intent in view.intents if intent.creates)
    live = len(view.holdings) + pending
    if view.order_limit is not None and live >= view.order_limit:
        return Reason.ORDER_LIMIT, {"limit": view.order_limit, "live": live}
    if policy.rails.max_orders is None:
        return None
    ours = sum(1 for holding in view.holdings.values() if holding.ours) + pending
    # What looks like an order of ours most likely is one: of a request that was delivered twice.
    strange = (unexplained(target, view, policy.mode) for target in policy.targets)
    ours += len({holding.order.order for found in strange for holding in found})
    if ours >= policy.rails.max_orders:
        return Reason.RAIL, {"rail": "max_orders", "limit": policy.rails.max_orders}
    return None


def _churn(server: ServerId, view: View, policy: Policy, now: datetime, *, kept: int) -> Stop:
    recent = [created for created in view.creations if now - created.at < _HOUR]
    tried = attempts(recent)
    if tried >= max(1, policy.rails.max_creations_per_hour - kept):
        return Reason.CHURN, {"creations_last_hour": tried}
    here = attempts(created for created in recent if created.server == server)
    if here >= max(1, policy.rails.max_creations_per_server_hour - kept):
        return Reason.CHURN, {"creations_on_server_last_hour": here}
    return None


def _balance(price: Price, view: View, policy: Policy, now: datetime) -> Stop:
    purse = view.purse(policy.rails, now)
    if purse.carries(price):
        return None
    refused = view.price_refused(price, now)
    if refused is not None:
        return Reason.REFUSED, {"refusal": refused.reason, "currency": price.currency.short}
    balance = purse.balance(price.currency)
    if balance is None:
        return Reason.NO_BALANCE, {"unknown_balance": price.currency.short}
    return Reason.NO_BALANCE, {"balance": str(balance)}


def too_dear(action: PlaceBid, view: View, policy: Policy, now: datetime) -> bool:
    """Return whether a bid is more than the owner's limits of spending leave: a lower one may not be."""
    stopped = _over_budget(action.price, None, view, policy) or affording.begins(
        action, view, policy, now
    )
    return stopped is not None and stopped[0] is not Reason.NO_RATE


def limits_spending(policy: Policy) -> bool:
    """Return whether the owner limits what is spent in a day or month."""
    return policy.rails.max_usd_per_day is not None or bool(budgets.limits(policy))


def left_usd_per_day(target: Target, view: View, policy: Policy, now: datetime) -> Decimal:
    """Return the highest price per day of one more order; infinite where the owner limits none.

    Raises:
        NoRate: what the orders cost together cannot be said.
    """
    limit = policy.rails.max_usd_per_day
    paced = affording.left_usd_per_day(target, view, policy, now)
    left = [] if limit is None else [max(limit - committed_usd(view), Decimal(0))]
    return min([*left, *([] if paced is None else [paced])], default=Decimal("Infinity"))


def _over_budget(price: Price, replaces: Price | None, view: View, policy: Policy) -> Stop:
    limit = policy.rails.max_usd_per_day
    if limit is None:
        return None
    try:
        total = committed_usd(view) + view.rates.to_usd(price)
        if replaces is not None:
            total -= view.rates.to_usd(replaces)
    except NoRate:
        return Reason.NO_RATE, {"rail": "max_usd_per_day"}
    if total > limit:
        return Reason.RAIL, {
            "rail": "max_usd_per_day",
            "limit_usd": str(limit),
            "would_be_usd": str(to_places(total, 4)),
        }
    return None


def _unattended(
    action: PlaceBid | RentOnDemand | Reprice, view: View, policy: Policy, now: datetime
) -> Stop:
    limit = policy.rails.max_usd_if_unattended
    if limit is None:
        return None
    before = exposure.owed_if_unattended(view, now)
    if isinstance(action, Reprice):
        holding = view.holdings[action.order]
        raised = replace(holding, order=replace(holding.order, price=action.price))
        after = exposure.owed_if_unattended(view.with_holding(raised), now)
    else:
        kind = OrderKind.SPOT if isinstance(action, PlaceBid) else OrderKind.ON_DEMAND
        planned = exposure.Planned(server=action.server, price=action.price, kind=kind)
        after = exposure.owed_if_unattended(view, now, planned)
    try:
        excess = exposure.beyond_limit(after, before, view, policy)
    except NoRate:
        return Reason.NO_RATE, {"rail": "max_usd_if_unattended"}
    if excess is None:
        return None
    return Reason.RAIL, {
        "rail": "max_usd_if_unattended",
        "limit_usd": str(limit),
        "would_be_usd": str(to_places(limit + excess, 4)),
    }


def committed_usd(view: View) -> Decimal:
    """Return what all live bids and open creations cost per day if all ran; raises NoRate.

    A person's orders count too: it is the same wallet.
    """
    total = Decimal(0)
    for holding in view.holdings.values():
        total += view.rates.to_usd(holding.order.price)
    for intent in view.intents:
        if intent.price is None:
            continue
        if intent.creates:
            total += view.rates.to_usd(intent.price)
        elif intent.order is not None and intent.order in view.holdings:
            # A raise whose answer is missing may have happened.
            standing = view.rates.to_usd(view.holdings[intent.order].order.price)
            total += max(view.rates.to_usd(intent.price) - standing, Decimal(0))
    return total
