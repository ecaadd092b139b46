"""The owner's rails, applied last to every decision. No strategy gets past them.

Each rail recomputes what it needs from the view and trusts nothing that a strategy says. A decision
that a rail stops becomes a hold with the rail's reason, so that the owner sees what was not done
and why.
"""

from dataclasses import replace
from datetime import datetime, timedelta
from decimal import Decimal
from typing import assert_never

from bidder.domain import price_rules, selection
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
from bidder.domain.money import Currency, Price
from bidder.domain.policy import Policy, Target
from bidder.domain.view import View
from bidder.errors import NoRate

_HOUR = timedelta(hours=1)
# A new order must be able to run this long from the balance, or it ends before it is of use.
_LEAST_RUN = Decimal(1) / Decimal(24)


def apply(decision: Decision, view: View, policy: Policy, now: datetime) -> Decision:
    """Return the decision, or the hold that the owner's rails make of it."""
    action = decision.action
    if action is None:
        return decision
    stopped: tuple[Reason, dict[str, Fact]] | None
    match action:
        case Withdraw():
            stopped = _paused(view) if decision.reason not in _ALWAYS else None
        case Reprice():
            stopped = _paused(view) or _repricing(action, view, policy, now)
        case PlaceBid() | RentOnDemand():
            stopped = _paused(view) or _creation(action, view, policy, now)
        case _:
            assert_never(action)
    if stopped is None:
        return decision
    reason, facts = stopped
    return replace(
        decision,
        action=None,
        reason=reason,
        urgency=0,
        wants_book=None,
        facts={**decision.facts, **facts, "wanted_to": decision.reason.value},
    )


# Orders of the owner are carried out even while trading is paused.
_ALWAYS = frozenset({Reason.ORDERED, Reason.SHUTDOWN, Reason.ABOVE_CEILING})


def _paused(view: View) -> tuple[Reason, dict[str, Fact]] | None:
    return (Reason.PAUSED, {}) if view.paused else None


def _repricing(
    action: Reprice, view: View, policy: Policy, now: datetime
) -> tuple[Reason, dict[str, Fact]] | None:
    target = policy.target(action.target)
    holding = view.holdings.get(action.order)
    if target is None or holding is None or holding.target != target.name:
        return Reason.RAIL, {"rail": "not_our_order"}
    if action.lowers:
        opens_at = price_rules.next_lowering_at(holding.clock, view.rules)
        if opens_at is not None and now < opens_at:
            return Reason.CLOCK, {"opens_at": opens_at.isoformat()}
        return _above_ceiling(action.server, action.price, target, view)
    above = _above_ceiling(action.server, action.price, target, view)
    if above is not None:
        return above
    return _over_budget(action.price, action.current, view, policy)


def _creation(
    action: PlaceBid | RentOnDemand, view: View, policy: Policy, now: datetime
) -> tuple[Reason, dict[str, Fact]] | None:
    target = policy.target(action.target)
    if target is None:
        return Reason.RAIL, {"rail": "unknown_target"}
    if action.server in view.marketplace.own_servers:
        return Reason.RAIL, {"rail": "own_server"}
    if any(h.order.server == action.server for h in view.holdings.values()):
        return Reason.RAIL, {"rail": "already_on_server"}
    if view.intent_on(action.server) is not None:
        return Reason.IN_DOUBT, {}
    return (
        _above_ceiling(action.server, action.price, target, view)
        or _too_many(view, policy)
        or _churn(action.server, view, policy, now)
        or _balance(action.price, view, policy)
        or _over_budget(action.price, None, view, policy)
    )


def _above_ceiling(
    server: ServerId, price: Price, target: Target, view: View
) -> tuple[Reason, dict[str, Fact]] | None:
    listing = view.marketplace.listings.get(server)
    gpus = 1 if listing is None else listing.specs.gpu_count
    try:
        ceiling = target.ceiling.for_server(gpus, price.currency, view.rates)
    except NoRate:
        return Reason.NO_RATE, {"currency": price.currency.short}
    if price > ceiling:
        return Reason.RAIL, {"rail": "ceiling", "ceiling": str(ceiling), "price": str(price)}
    return None


def _too_many(view: View, policy: Policy) -> tuple[Reason, dict[str, Fact]] | None:
    pending = sum(1 for intent in view.intents if intent.creates)
    live = len(view.holdings) + pending
    if view.order_limit is not None and live >= view.order_limit:
        return Reason.ORDER_LIMIT, {"limit": view.order_limit, "live": live}
    ours = sum(1 for holding in view.holdings.values() if holding.ours) + pending
    if policy.rails.max_orders is not None and ours >= policy.rails.max_orders:
        return Reason.RAIL, {"rail": "max_orders", "limit": policy.rails.max_orders}
    return None


def _churn(
    server: ServerId, view: View, policy: Policy, now: datetime
) -> tuple[Reason, dict[str, Fact]] | None:
    recent = [created for created in view.creations if now - created.at < _HOUR]
    if len(recent) >= policy.rails.max_creations_per_hour:
        return Reason.CHURN, {"creations_last_hour": len(recent)}
    here = sum(1 for created in recent if created.server == server)
    if here >= policy.rails.max_creations_per_server_hour:
        return Reason.CHURN, {"creations_on_server_last_hour": here}
    return None


def _balance(price: Price, view: View, policy: Policy) -> tuple[Reason, dict[str, Fact]] | None:
    wallet = view.wallets.get(price.currency)
    if wallet is None or wallet.balance is None:
        return None
    kept = next((m.amount for m in policy.rails.min_balance if m.currency == price.currency), Decimal(0))
    least = kept + price.amount * _LEAST_RUN
    if wallet.balance.amount < least:
        return Reason.NO_BALANCE, {"balance": str(wallet.balance)}
    return None


def _over_budget(
    price: Price, replaces: Price | None, view: View, policy: Policy
) -> tuple[Reason, dict[str, Fact]] | None:
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
            "would_be_usd": str(round(total, 4)),
        }
    return None


def committed_usd(view: View) -> Decimal:
    """Return what all live bids and open creations cost per day if all ran; raises NoRate.

    A person's orders count too: it is the same wallet.
    """
    total = Decimal(0)
    for holding in view.holdings.values():
        total += view.rates.to_usd(holding.order.price)
    for intent in view.intents:
        if intent.creates and intent.price is not None:
            total += view.rates.to_usd(intent.price)
    return total


def payable_currencies(view: View, policy: Policy) -> frozenset[Currency]:
    """Return every currency that some enabled target may pay with."""
    found: set[Currency] = set()
    for target in policy.targets:
        if target.enabled:
            found |= selection.payable(target, view.wallets)
    return frozenset(found)
