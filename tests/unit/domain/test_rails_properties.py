"""Whatever is proposed in whatever state: no action that gets out breaks a rule of the owner."""

from datetime import timedelta
from decimal import Decimal

import pytest
from builders import NOW, at
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from unit.domain.worlds import actions, policies, views

from bidder.domain import guard, planning, price_rules
from bidder.domain.actions import Action, Decision, PlaceBid, Reason, RentOnDemand, Reprice, Withdraw
from bidder.domain.market import OrderKind
from bidder.domain.money import Currency, Price
from bidder.domain.policy import AdaptiveParams, DeadlineParams, Policy, Target, TrackParams
from bidder.domain.view import View

pytestmark = pytest.mark.slow
SLOW = settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])


def ceiling_of(
    target: Target, view: View, server: int, price: Price, action: Action | None = None
) -> Price:
    """Return a target's ceiling for a server, reckoned anew; on demand it is the job's own."""
    listing = next((x for x in view.marketplace.listings.values() if x.server == server), None)
    ceiling = target.ceiling
    if isinstance(action, RentOnDemand):
        assert isinstance(target.params, DeadlineParams)
        ceiling = target.params.on_demand_ceiling
    # Where no listing says it, each order there says what the server has; all have the same one.
    known = [h.work.gpus for h in view.holdings.values() if h.order.server == server]
    gpus = max(known, default=1) if listing is None else listing.specs.gpu_count
    return ceiling.for_server(gpus, price.currency, view.rates)


def check_creation(action: PlaceBid | RentOnDemand, view: View, policy: Policy) -> None:
    """Fail if a new order would break a rule."""
    target = policy.target(action.target)
    assert target is not None
    assert target.enabled
    assert not view.paused
    assert action.price <= ceiling_of(target, view, action.server, action.price, action)
    assert action.server not in view.marketplace.own_servers
    # Where a target names no currency, those with a balance: in these worlds, dollars.
    assert action.price.currency in (target.currencies or (Currency.USD,))
    listing = view.marketplace.listings.get(action.server)
    assert listing is None or listing.takes(action.price.currency)
    assert all(h.order.server != action.server for h in view.holdings.values())
    assert all(intent.server != action.server for intent in view.intents)
    held = view.holdings_of(target.name)
    opening = [i for i in view.intents if i.creates and i.target == target.name]
    renews = target.renewal.overlap and any(h.order.ends_at - target.renewal.before <= NOW for h in held)
    kind = OrderKind.ON_DEMAND if isinstance(action, RentOnDemand) else OrderKind.SPOT
    changes = isinstance(target.params, DeadlineParams) and any(h.order.kind is not kind for h in held)
    mover = isinstance(target.params, TrackParams | AdaptiveParams)
    takes_over = mover and target.moving.running and target.moving.overlap
    moves = takes_over and len(held) == target.want and all(h.active for h in held)
    assert len(held) + len(opening) + 1 <= target.want + (renews or changes or moves)
    lately = [c for c in view.creations if c.at > at(-3600)]
    assert len(lately) < policy.rails.max_creations_per_hour
    assert sum(c.server == action.server for c in lately) < policy.rails.max_creations_per_server_hour
    everything = len(view.holdings) + sum(i.creates for i in view.intents)
    assert view.order_limit is None or everything < view.order_limit


def check_repricing(action: Reprice, reason: Reason, view: View, policy: Policy) -> None:
    """Fail if a new price would break a rule."""
    target = policy.target(action.target)
    assert target is not None
    unasked = {Reason.UNATTENDED, Reason.ABOVE_CEILING}
    assert not view.paused or (reason in unasked and action.lowers)
    assert view.holdings[action.order].target == target.name
    assert action.price <= ceiling_of(target, view, action.server, action.price)
    if action.lowers:
        opens = price_rules.next_lowering_at(view.holdings[action.order].clock, view.rules)
        assert opens is None or opens <= NOW


def check(action: Action, reason: Reason, view: View, policy: Policy) -> None:
    """Fail if an action that got past the rails breaks a rule."""
    match action:
        case PlaceBid() | RentOnDemand():
            check_creation(action, view, policy)
        case Reprice():
            check_repricing(action, reason, view, policy)
        case Withdraw():
            assert view.holdings[action.order].ours
            assert not view.paused or reason in {
                Reason.ABOVE_CEILING,
                Reason.UNATTENDED,
                Reason.BUDGET_SPENT,
                Reason.JOB_DONE,
                Reason.STILL_ALIVE,
            }
    check_budget(action, view, policy)
    check_on_demand(action, view, policy)


def check_budget(action: Action, view: View, policy: Policy) -> None:
    """Fail if the sum of the bids would go above the owner's limit by this action."""
    limit = policy.rails.max_usd_per_day
    if limit is None or isinstance(action, Withdraw):
        return
    before = {number: view.rates.to_usd(h.order.price) for number, h in view.holdings.items()}
    total = sum(before.values(), Decimal(0))
    total += sum(view.rates.to_usd(i.price) for i in view.intents if i.creates and i.price is not None)
    if isinstance(action, Reprice):
        if action.price <= view.holdings[action.order].order.price:
            return
        total -= before[action.order]
    assert total + view.rates.to_usd(action.price) <= limit


def check_on_demand(action: Action, view: View, policy: Policy) -> None:
    """Fail if a bid would cost more than the host's own price in the same coin."""
    if policy.rails.allow_above_on_demand or not isinstance(action, PlaceBid | Reprice):
        return
    listing = view.marketplace.listings.get(action.server)
    if listing is None or (isinstance(action, Reprice) and action.lowers):
        return
    same = listing.on_demand.get(action.price.currency)
    if same is not None and listing.takes(action.price.currency):
        assert action.price <= same


@SLOW
@given(data=st.data(), policy=policies(), reason=st.sampled_from(Reason))
def test_no_proposal_gets_past_the_rails(data: st.DataObject, policy: Policy, reason: Reason) -> None:
    """A strategy may propose anything; the owner's commands alone are exempt."""
    view = data.draw(views(policy))
    action = data.draw(actions(view))
    if reason in {Reason.ORDERED, Reason.SHUTDOWN}:
        return
    decision = Decision(target=None, reason=reason, action=action, urgency=50)
    verdict = guard.apply(decision, view, policy, NOW)
    if verdict.action is not None:
        assert verdict == decision
        check(action, reason, view, policy)


@SLOW
@given(data=st.data(), policy=policies())
def test_no_plan_breaks_a_rule(data: st.DataObject, policy: Policy) -> None:
    """The strategies that exist, in any state: one decision for each order, none against a rule."""
    view = data.draw(views(policy))
    decisions = planning.plan(view, policy, NOW)
    for decision in decisions:
        if decision.action is not None:
            check(decision.action, decision.reason, view, policy)
    urgencies = [d.urgency for d in decisions if d.action is not None]
    assert urgencies == sorted(urgencies, reverse=True)
    enabled = {target.name for target in policy.targets if target.enabled}
    judged = [d.order for d in decisions if d.order is not None]
    ours = [number for number, h in view.holdings.items() if h.target in enabled]
    assert sorted(judged) == sorted(ours)


@SLOW
@given(data=st.data(), policy=policies())
def test_no_idle_bid_below_its_ceiling_is_lowered(data: st.DataObject, policy: Policy) -> None:
    """An offer that does not run costs nothing: lowering it only loses its place."""
    view = data.draw(views(policy))
    for decision in planning.plan(view, policy, NOW):
        action = decision.action
        if isinstance(action, Reprice) and action.lowers and not view.holdings[action.order].active:
            target = policy.target(action.target)
            assert target is not None
            assert action.current > ceiling_of(target, view, action.server, action.current)


@SLOW
@given(data=st.data(), policy=policies(), wait=st.integers(0, 3600))
def test_held_decisions_name_only_moments_to_come(
    data: st.DataObject, policy: Policy, wait: int
) -> None:
    """A wait that is over is not waited for."""
    view, now = data.draw(views(policy)), NOW + timedelta(seconds=wait)
    for decision in planning.plan(view, policy, now):
        assert decision.due is None or decision.due > now
