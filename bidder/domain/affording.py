"""What a budget makes of orders and slots: at which share of the ceiling they bid, which must end.

The orders that run are lined up, best bargain first. As far as the target rate of the budget reaches
they are covered: such an order keeps its bid, whatever the multiplier is. The one that the rate ends in
runs for a part of the time: it starts once its price is worth 1 + mu dollars for each of its own, and
ends only well above that, so that it changes hands every few hours and not every few minutes. A new bid
that the rate covers needs no multiplier either.

No order runs the budget over: what is left must always suffice to cancel them all. Once it does not,
orders are cancelled: those that wait first, then the worst bargain, jobs last, until it does again.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from decimal import ROUND_CEILING, Decimal

from bidder.domain import budgets, exposure
from bidder.domain.actions import Decision, Fact, PlaceBid, Reason, RentOnDemand, Reprice
from bidder.domain.budgets import Standing
from bidder.domain.costs import share_of_day
from bidder.domain.ids import OrderId
from bidder.domain.intents import IntentState
from bidder.domain.policy import Per, Policy, Target
from bidder.domain.view import Holding, View
from bidder.errors import NoRate

# An order in part covered ends when its price is this many times what a new one may cost.
_LASTING = Decimal("1.5")
# A new order must be able to run this long, or the period end first: a start costs work.
_LEAST_RUN = timedelta(minutes=30)
_FINEST = Decimal("1e-9")
_WHOLE = Decimal(1)
# What a strategy says of the ceiling that it was handed, where the owner's own is higher.
_FOR_ITS_CEILING = frozenset({Reason.TOO_EXPENSIVE, Reason.NOT_WORTH_IT, Reason.ABOVE_CEILING})


@dataclass(frozen=True, slots=True, kw_only=True)
class Survey:
    """All budgets at one moment; ``ending`` are the orders that must go, with the facts why."""

    standings: tuple[Standing, ...] = ()
    ending: Mapping[OrderId, Mapping[str, Fact]] = field(default_factory=dict)

    def slot(self, target: Target, view: View) -> Target:
        """Return the target as it is to look for a new server."""
        here = budgets.applying(self.standings, target.name)
        share = budgets.share_of(here)
        if target.rents or share == 1:
            return target
        # On the smallest server that it takes; whether the rate covers the one found is seen then.
        gpus = 1 if target.ceiling.per is Per.SERVER else max(1, target.requirements.min_gpus)
        try:
            most = budgets.usd_per_day(target.ceiling.price, view) * gpus
        except NoRate:
            return target.paced(share)
        free = min(each.target_rate - each.rate for each in here)
        return target.paced(max(share, _part(free, most)))

    def bid(self, holding: Holding, target: Target, view: View) -> Target:
        """Return the target as it is to decide on a standing bid."""
        here = budgets.applying(self.standings, target.name)
        if not here or target.rents:
            return target
        share = budgets.share_of(here)
        if share == 1:
            return target
        return target.paced(max(share, _kept(holding, target, share, here, view)))

    def closed(self, target: Target) -> Decision | None:
        """Return the decision to begin nothing, where of a budget only its reserve is left."""
        spent = (b for b in budgets.applying(self.standings, target.name) if b.target_rate <= 0)
        last = max(spent, key=lambda each: each.ends, default=None)
        if last is None or target.rents:
            return None
        facts = {**_facts(last), "until": last.ends.isoformat()}
        return Decision(target=target.name, reason=Reason.BUDGET_SPENT, due=last.ends, facts=facts)

    def facts(self, target: Target) -> dict[str, Fact]:
        """Return what a decision of the target adds for the owner; empty where no budget binds."""
        here = [b for b in budgets.applying(self.standings, target.name) if b.multiplier > 0]
        if not here or target.rents:
            return {}
        return {"multiplier": round(sum(each.multiplier for each in here), 3)}


def survey(view: View, policy: Policy, now: datetime) -> Survey:
    """Return where all budgets stand, each for itself."""
    found = budgets.standings(view, policy, now)
    ending: dict[OrderId, Mapping[str, Fact]] = {}
    for each in found:
        if each.room < 0:
            ending.update(_ending(each, view, policy))
    return Survey(standings=found, ending=ending)


def told(decision: Decision, paced: Target, found: Survey) -> Decision:
    """Return a decision of a paced target as the owner should read it: who lowered the ceiling."""
    facts = {**decision.facts, **found.facts(paced)}
    if paced.share < 1 and decision.reason in _FOR_ITS_CEILING:
        facts["because"] = decision.reason.value
        return replace(decision, reason=Reason.PACED, facts=facts)
    return replace(decision, facts=facts) if len(facts) > len(decision.facts) else decision


def begins(
    action: PlaceBid | RentOnDemand | Reprice, view: View, policy: Policy, now: datetime
) -> tuple[Reason, dict[str, Fact]] | None:
    """Return why a budget does not allow what costs more than before; None where it does."""
    target = policy.target(action.target)
    found = budgets.applying(budgets.standings(view, policy, now), action.target)
    if target is None or not found:
        return None
    try:
        usd = budgets.usd_per_day(action.price, view)
    except NoRate:
        return Reason.NO_RATE, {"rail": "budget"}
    order = action.order if isinstance(action, Reprice) else None
    fee = view.creation_fee_usd if order is None else Decimal(0)
    for each in found:
        span = share_of_day(min(_LEAST_RUN, each.ends - now))
        if each.room < usd * span + fee:
            return Reason.BUDGET_SPENT, {**_facts(each), "until": each.ends.isoformat()}
    unvalued = sorted(currency.short for each in found for currency in each.unvalued)
    if unvalued:
        return Reason.NO_RATE, {"rail": "budget", "currency": unvalued[0]}
    if target.rents:
        return None
    gpus = view.gpus_of(action.server) or 1
    nearness = budgets.nearness_of(action.price, target, gpus, view)
    for each in found:
        before = each.before(order, nearness)
        if before + usd <= each.target_rate:
            continue
        if before >= each.target_rate or nearness > budgets.share_of(found):
            return Reason.PACED, _facts(each)
    return None


def left_usd_per_day(target: Target, view: View, policy: Policy, now: datetime) -> Decimal | None:
    """Return which price per day the rates of all budgets cover beside what runs; None: any price."""
    found = budgets.applying(budgets.standings(view, policy, now), target.name)
    if not found or target.rents:
        return None
    with_fee = (100 + exposure.usual_fee_percent(view)) / 100
    return min(max(each.target_rate - each.rate, Decimal(0)) for each in found) / with_fee


def _kept(
    holding: Holding, target: Target, share: Decimal, here: tuple[Standing, ...], view: View
) -> Decimal:
    """Return the share of the ceiling at which a bid may stay, or win its server back."""
    order = holding.order
    gpus = view.gpus_of(order.server) or holding.work.gpus
    try:
        ceiling = target.ceiling.for_server(gpus, order.price.currency, view.rates)
        usd, most = budgets.usd_per_day(order.price, view, holding), budgets.usd_per_day(ceiling, view)
    except NoRate:
        return share
    if ceiling.amount <= 0 or most <= 0:
        return share
    # A tick above it, or rounding would press an order below its own price.
    own = _part(order.price.one_tick_up().amount, ceiling.amount)
    nearness = order.price.amount / ceiling.amount
    free = min(each.target_rate - each.before(order.order, nearness) for each in here)
    if holding.active is False:
        lasting = own if own <= share * _LASTING else share
        return max(lasting, _part(free, most))
    if usd <= free:
        return own
    return min(own, share * _LASTING) if free > 0 else share


def _part(amount: Decimal, whole: Decimal) -> Decimal:
    """Return what part of the whole this is, from none to all of it."""
    if amount >= whole:
        return _WHOLE
    return max(amount / whole, Decimal(0)).quantize(_FINEST, ROUND_CEILING)


def _ending(here: Standing, view: View, policy: Policy) -> dict[OrderId, Mapping[str, Fact]]:
    """Return the orders that must be cancelled so that what is left suffices for the others."""
    over, facts = -here.room, _facts(here)
    span = here.stopping_share
    found: dict[OrderId, Mapping[str, Fact]] = {}
    for holding in _dispensable(here, view, policy):
        # Of what nobody can value nothing that is left is known to suffice.
        unvalued = holding.order.price.currency in here.unvalued
        if unvalued or over > 0:
            found[holding.order.order] = facts
        if not unvalued:
            over -= budgets.usd_per_day(holding.order.price, view, holding) * span
    return found


def _dispensable(here: Standing, view: View, policy: Policy) -> list[Holding]:
    """Return the orders that can be cancelled: idle ones, then the worst bargain, jobs' last."""
    looked_after = {target.name for target in policy.targets if target.enabled}
    wanted = {here.limit.target} if here.limit.target is not None else looked_after
    mine = [
        h
        for h in view.holdings.values()
        if h.target in wanted & looked_after and not _cannot_be_cancelled(h, view)
    ]

    def rank(holding: Holding) -> tuple[bool, bool, Decimal]:
        nearness = budgets.nearness(holding, view, policy)
        return nearness == 0, holding.active is not False, -nearness

    return sorted(mine, key=rank)


def _cannot_be_cancelled(holding: Holding, view: View) -> bool:
    """Return whether a cancellation waits for a person, or has come to nothing before."""
    intent = view.intent_on(holding.order.server)
    frozen = intent is not None and intent.state is IntentState.AMBIGUOUS
    return frozen or holding.order.order in view.cancelled


def _facts(here: Standing) -> dict[str, Fact]:
    return {
        "budget": here.limit.spelled,
        "budget_usd": str(here.limit.usd),
        "spent_usd": f"{here.spent + here.unseen:.4f}",
        "target_rate_usd": f"{here.target_rate:.4f}",
    }
