"""The most that a configuration allows: ceilings times what is wanted, within the rails."""

from dataclasses import replace
from datetime import timedelta
from decimal import Decimal

from builders import NOW, RATES, btc, make_policy, make_target, make_view, server_ids, usd
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from unit.domain.worlds import policies, views

from bidder.domain import planning
from bidder.domain.actions import PlaceBid
from bidder.domain.money import Currency, Rates
from bidder.domain.policy import (
    Budget,
    Ceiling,
    DeadlineParams,
    Per,
    Rails,
    Renewal,
    Requirements,
)
from bidder.domain.worst_case import BUDGET, CEILINGS, MAX_ORDERS, MAX_USD_PER_DAY, worst_case


def test_every_slot_at_its_ceiling() -> None:
    """Two at five and one at three."""
    policy = make_policy(make_target(want=2), make_target("b", ceiling=usd("3")))
    worst = worst_case(policy, RATES)
    assert (worst.usd, worst.bounded_by) == (Decimal(13), CEILINGS)
    assert [each.usd for each in worst.targets] == [Decimal(10), Decimal(3)]


def test_a_ceiling_per_gpu_counts_the_largest_server() -> None:
    """Of so many GPUs as the strategy takes at most; without a bound there is none."""
    bounded = make_target(per=Per.GPU, requirements=Requirements(max_gpus=4))
    assert worst_case(make_policy(bounded), RATES).usd == Decimal(20)
    unbounded = worst_case(make_policy(make_target(per=Per.GPU)), RATES)
    assert unbounded.usd is None
    assert "unbounded" in unbounded.problem
    assert "servers.gpus.max" in unbounded.problem


def test_without_a_rate_it_is_not_known() -> None:
    """And with one it is."""
    policy = make_policy(make_target(ceiling=btc("0.0001")))
    unknown = worst_case(policy, Rates())
    assert unknown.usd is None
    assert "no rate to USD is known for BTC" in unknown.problem
    assert worst_case(policy, RATES).usd == Decimal(5)


def test_the_rail_bounds_what_the_ceilings_do_not() -> None:
    """Also what would have no bound of its own."""
    rails = Rails(max_usd_per_day=Decimal(7))
    for target in (make_target(want=2), make_target(per=Per.GPU)):
        worst = worst_case(make_policy(target, rails=rails), RATES)
        assert (worst.usd, worst.bounded_by, worst.problem) == (Decimal(7), MAX_USD_PER_DAY, "")


def test_with_fewer_orders_than_slots_the_dearest_live() -> None:
    """Three slots, two orders: the five and one three."""
    policy = make_policy(
        make_target(), make_target("b", ceiling=usd("3"), want=2), rails=Rails(max_orders=2)
    )
    worst = worst_case(policy, RATES)
    assert (worst.usd, worst.bounded_by) == (Decimal(8), MAX_ORDERS)


def test_an_overlapping_renewal_is_one_order_more() -> None:
    """For a while both are paid."""
    policy = make_policy(make_target(renewal=Renewal(overlap=True)))
    assert worst_case(policy, RATES).usd == Decimal(10)


def test_a_job_may_rent_on_demand_and_for_a_while_beside_a_bid() -> None:
    """Its dearer ceiling counts, whichever that is, and one order more than it wants."""
    by = NOW + timedelta(days=1)
    for spot, on_demand in (("5", "12"), ("12", "5")):
        params = DeadlineParams(
            gpu_hours=Decimal(2), by=by, on_demand_ceiling=Ceiling(price=usd(on_demand))
        )
        (worst,) = worst_case(make_policy(make_target(params=params, ceiling=usd(spot))), RATES).targets
        assert (worst.orders, worst.each) == (2, Decimal(12))


def test_what_a_job_rents_is_unbounded_where_its_ceiling_per_gpu_is() -> None:
    """A bound of its bids is none of what it rents."""
    on_demand = Ceiling(price=usd("12"), per=Per.GPU)
    params = DeadlineParams(gpu_hours=Decimal(2), by=NOW, on_demand_ceiling=on_demand)
    for most, usd_each in ((None, None), (4, Decimal(48))):
        target = make_target(params=params, requirements=Requirements(max_gpus=most))
        assert worst_case(make_policy(target), RATES).targets[0].each == usd_each


def test_there_are_no_more_orders_than_servers() -> None:
    """One bid for each of those that are named."""
    named = Requirements(servers=server_ids(1, 2), exclude_servers=server_ids(2))
    policy = make_policy(make_target(want=5, requirements=named))
    assert worst_case(policy, RATES).usd == Decimal(5)


def test_a_disabled_strategy_costs_nothing() -> None:
    """It bids on nothing."""
    assert worst_case(make_policy(make_target(enabled=False)), RATES).usd == 0


@settings(max_examples=25, suppress_health_check=[HealthCheck.too_slow])
@given(st.data())
def test_no_bid_that_is_placed_is_above_what_the_worst_case_grants_it(data: st.DataObject) -> None:
    """Held against the daemon's own decisions, rails and ceilings in every currency."""
    policy = data.draw(policies())
    policy = replace(
        policy,
        targets=tuple(replace(t, requirements=Requirements(max_gpus=4)) for t in policy.targets),
    )
    view = data.draw(views(policy))
    worst = {each.target: each for each in worst_case(policy, view.rates).targets}
    for decision in planning.plan(view, policy, NOW):
        if isinstance(decision.action, PlaceBid):
            each = worst[decision.action.target].each
            assert each is not None
            assert view.rates.to_usd(decision.action.price) <= each


def test_rates_of_the_moment_are_used() -> None:
    """What a coin is worth now, not when the file was written."""
    policy = make_policy(make_target(ceiling=btc("0.0001")))
    view = make_view(policy)
    dearer = Rates({Currency.BTC: Decimal(100_000)})
    assert worst_case(policy, view.rates).usd == Decimal(5)
    assert worst_case(policy, dearer).usd == Decimal(10)


def test_a_daily_budget_bounds_a_day() -> None:
    """However high the ceilings are."""
    policy = make_policy(make_target(want=9), budget=Budget(usd_per_day=Decimal(7)))
    worst = worst_case(policy, RATES)
    assert (worst.usd, worst.bounded_by) == (Decimal(7), BUDGET)
