"""Budgets in the decisions: what is begun, what keeps its price, and what must end."""

from collections.abc import Iterable
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from builders import (
    NOW,
    TARGET,
    at,
    make_book,
    make_holding,
    make_intent,
    make_listing,
    make_order,
    make_policy,
    make_target,
    make_view,
    mine,
    outbid_holding,
    rival,
    seen,
    usd,
)
from hypothesis import given
from hypothesis import strategies as st

from bidder.domain import affording, budgets, canonical, evidence, planning
from bidder.domain.actions import Decision, PlaceBid, Reason, Reprice, Withdraw
from bidder.domain.budgets import Standing
from bidder.domain.costs import Cost, Spent
from bidder.domain.ids import OrderId
from bidder.domain.market import Book, OrderKind
from bidder.domain.money import Currency, Price
from bidder.domain.pacing import Multiplier
from bidder.domain.policy import Budget, Ceiling, DeadlineParams, FixedParams, Mode, Policy
from bidder.domain.view import Holding, View

DAILY, NONE = Budget(usd_per_day=Decimal(10)), Budget()


def policy_of(budget: Budget = DAILY, *, own: Budget = NONE, **changes: Any) -> Policy:
    """Return a policy of one target below 5 USD per day, with a budget of all and one of its own."""
    return make_policy(make_target(budget=own, **changes), budget=budget)


def holding(number: int, price: str, **changes: Any) -> Holding:
    """Return a running bid without fees on a server of its own."""
    order = make_order(number, server=100 + number, price=usd(price), fee_percent=0.0)
    return make_holding(number, order=order, **changes)


def view_of(
    policy: Policy,
    *held: Holding,
    spent: str = "0",
    mu: float = 0.0,
    free: Iterable[str] = (),
    **changes: Any,
) -> View:
    """Return a view of these holdings, each at its floor, and of free servers at these."""
    listings = [make_listing(h.order.server, floor=h.order.price) for h in held]
    books = [seen(_book(h)) for h in held]
    for number, floor in enumerate(free, start=300):
        listings.append(make_listing(number, floor=usd(floor)))
        books.append(seen(make_book(server=number, floor=usd(floor))))
    over = Spent(at=at(-3600), day=Decimal(spent), month=Decimal(spent))
    multipliers = {limit.key: Multiplier(value=mu) for limit in budgets.limits(policy)}
    usual = {"spent": {TARGET: over}, "multipliers": multipliers}
    return make_view(policy, *listings, holdings=held, books=books, **{**usual, **changes})


def _book(held: Holding) -> Book:
    order = held.order
    offer = mine(order.price, active=held.active is not False, number=order.order)
    return make_book(offer, server=order.server, floor=order.price)


def decisions(view: View, policy: Policy) -> tuple[Decision, ...]:
    """Return what is decided now."""
    return planning.plan(view, policy, NOW)


def daily(view: View, policy: Policy) -> Standing:
    """Return where the first budget stands."""
    return budgets.standings(view, policy, NOW)[0]


def test_the_target_rate_is_what_is_left_over_the_time_left() -> None:
    """At noon, with 4 of 10 USD spent, the rest less a margin has half a day."""
    policy = policy_of()
    here = daily(view_of(policy, spent="4"), policy)

    assert (here.spent, here.left, here.room) == (Decimal(4), Decimal(6), Decimal(6))
    assert here.target_rate == pytest.approx(Decimal("11.8"))


def test_what_may_have_been_run_up_since_the_last_look_counts_as_spent() -> None:
    """A running order counts from when it was last seen and a minute more; an outbid one does not."""
    policy = policy_of(want=2)
    runs, waits = holding(1, "2.4", last_seen_at=at(-300)), holding(2, "2.4", active=False)

    here = daily(view_of(policy, runs, waits), policy)

    assert here.unseen == pytest.approx(Decimal("0.01"))
    assert here.rate == Decimal("2.4")
    assert here.stopping > Decimal("4.8") * 120 / 86400


def test_a_creation_that_is_not_seen_yet_counts() -> None:
    """Whoever asked for an order may have it."""
    policy = policy_of(want=2)
    view = view_of(policy, intents=(make_intent(server=300, price=usd("3")),))

    here = daily(view, policy)

    assert here.rate == pytest.approx(Decimal("3.15"))
    assert here.unseen > 0


@pytest.mark.parametrize(("spent", "reason"), [("9", Reason.EMPTY_SLOT), ("9.99", Reason.BUDGET_SPENT)])
def test_nothing_is_begun_on_a_budget_that_is_spent(spent: str, reason: Reason) -> None:
    """There must be enough for a while of running."""
    policy = policy_of()

    (only,) = decisions(view_of(policy, spent=spent, free=["1"]), policy)

    assert only.reason is reason
    assert isinstance(only.action, PlaceBid) is (reason is Reason.EMPTY_SLOT)


def test_on_a_spent_budget_no_book_is_read() -> None:
    """There is nothing to look for until the day is over."""
    policy = policy_of()
    view = view_of(policy, spent="9.95", free=["1"])

    (only,) = decisions(replace(view, books={}), policy)

    assert (only.reason, only.wants_book) == (Reason.BUDGET_SPENT, None)
    assert only.due == NOW.replace(hour=0) + timedelta(days=1)


def test_nothing_is_raised_on_a_budget_that_is_spent() -> None:
    """Also an order that waits costs nothing, and begins to when it is raised."""
    policy = policy_of()
    waits = outbid_holding(order=make_order(price=usd("2")))
    book = seen(make_book(rival(usd("2.5"), active=True), mine(usd("2"))), outbid_reads=3)
    for spent, expected in (("0", Reason.OUTBID), ("9.96", Reason.BUDGET_SPENT)):
        view = make_view(
            policy,
            make_listing(),
            holdings=[waits],
            books=[book],
            spent={TARGET: Spent(at=NOW, day=Decimal(spent), month=Decimal(spent))},
        )
        (only,) = decisions(view, policy)
        assert only.reason is expected
        assert isinstance(only.action, Reprice) is (expected is Reason.OUTBID)


def test_a_spent_budget_ends_orders_the_idle_first_and_then_the_worst_bargain() -> None:
    """As few as suffice are cancelled."""
    policy = policy_of(want=3)
    held = [holding(1, "3"), holding(2, "4.9"), holding(3, "2", active=False)]
    ends = []
    for spent in ("9.97", "9.98", "9.985", "10"):
        found = decisions(view_of(policy, *held, spent=spent), policy)
        gone = [d.action.order for d in found if isinstance(d.action, Withdraw)]
        assert all(d.reason is Reason.BUDGET_SPENT for d in found if d.action is not None)
        ends.append(sorted(gone))

    assert ends == [[], [3], [2, 3], [1, 2, 3]]


def test_a_pause_does_not_keep_a_spent_budget_from_ending_orders() -> None:
    """A pause means: spend no more."""
    policy = policy_of()

    (only,) = decisions(view_of(policy, holding(1, "3"), spent="10", paused=True), policy)

    assert isinstance(only.action, Withdraw)


@given(
    prices=st.lists(st.integers(1, 49).map(lambda tenths: f"{tenths / 10}"), min_size=1, max_size=6),
    idle=st.sets(st.integers(1, 6)),
    spent=st.integers(9900, 10100).map(lambda thousandths: f"{thousandths / 1000}"),
    hour=st.integers(0, 23),
)
def test_what_is_left_always_suffices_to_cancel_what_is_kept(
    prices: list[str], idle: set[int], spent: str, hour: int
) -> None:
    """No set of orders is kept that could run the budget over before it can be cancelled."""
    policy = policy_of(want=6)
    held = [
        holding(
            number, price, active=number not in idle, outbid_since=at(-10) if number in idle else None
        )
        for number, price in enumerate(prices, start=1)
    ]
    view = view_of(policy, *held, spent=spent, free=["1"])
    now = NOW.replace(hour=hour)
    # As the orders were seen five seconds before noon, time has passed by then.
    shift = now - NOW
    view = replace(
        view,
        holdings={o: replace(h, last_seen_at=h.last_seen_at + shift) for o, h in view.holdings.items()},
        spent={TARGET: replace(view.spent[TARGET], at=now)},
    )

    found = planning.plan(view, policy, now)

    gone = {d.order for d in found if d.reason is Reason.BUDGET_SPENT and d.action is not None}
    kept = [h for h in view.holdings.values() if h.order.order not in gone]
    here = budgets.standings(view, policy, now)[0]
    bids = sum((h.order.price.amount for h in kept), Decimal(0))
    assert not kept or here.spent + here.unseen + bids * here.stopping_share <= Decimal(10)
    if here.room < 0:
        assert not any(isinstance(d.action, PlaceBid) for d in found)


def test_a_budget_that_does_not_bind_changes_no_decision() -> None:
    """With a multiplier of 0 and enough money everything is as without a budget."""
    held = (holding(1, "2"), holding(2, "3", active=False, outbid_since=at(-100)))
    rich, none = policy_of(Budget(usd_per_day=Decimal(1000)), want=3), policy_of(Budget(), want=3)

    with_it = decisions(view_of(rich, *held, free=["1", "2"]), rich)

    assert with_it == decisions(view_of(none, *held, free=["1", "2"]), none)


def test_an_order_that_the_target_rate_covers_keeps_its_bid() -> None:
    """However high the multiplier: of two the better bargain stays, and only the other must go."""
    policy = policy_of(want=2)
    held = (holding(1, "2"), holding(2, "4"))
    view = view_of(policy, *held, spent="8", mu=3.0)
    assert Decimal(2) < daily(view, policy).target_rate < Decimal(6)

    by_order = {d.order: d for d in decisions(view, policy)}

    assert by_order[OrderId(1)].action is None
    assert by_order[OrderId(1)].reason not in {Reason.PACED, Reason.ABOVE_CEILING}
    assert by_order[OrderId(2)].reason is Reason.PACED
    assert isinstance(by_order[OrderId(2)].action, Withdraw | Reprice)


@pytest.mark.parametrize(("mu", "acts"), [(0.2, False), (0.5, False), (0.9, True)])
def test_the_order_that_the_rate_ends_in_stays_until_well_above(mu: float, acts: bool) -> None:
    """At 4 of 5 USD a new bid ends at a multiplier of 0.25; one that runs only at 0.875."""
    policy = policy_of()
    view = view_of(policy, holding(1, "4"), spent="8.5", mu=mu)

    (only,) = decisions(view, policy)

    assert (only.action is not None) is acts
    assert (only.reason is Reason.PACED) is acts
    assert only.facts["multiplier"] == mu


@pytest.mark.parametrize(
    ("mu", "spent", "floor", "placed"),
    [
        (0.0, "0", "4", True),
        (0.2, "9", "4", True),  # worth it, though the rate does not cover it
        (0.3, "9", "4", False),
        (0.3, "9", "1", True),  # covered: no multiplier keeps it out
        (2.0, "0", "4", True),
    ],
)
def test_a_new_bid_is_covered_by_the_rate_or_worth_the_multiplier(
    mu: float, spent: str, floor: str, placed: bool
) -> None:
    """What is neither waits, and says what for."""
    policy = policy_of()

    (only,) = decisions(view_of(policy, spent=spent, mu=mu, free=[floor]), policy)

    assert isinstance(only.action, PlaceBid) is placed
    if not placed:
        assert only.reason is Reason.PACED


def test_no_more_is_begun_than_the_rate_covers_and_the_one_it_ends_in() -> None:
    """Ten servers are wanted and there is money for two and a half: three are begun, not ten."""
    policy = policy_of(Budget(usd_per_day=Decimal("1.3")), want=10)
    view = view_of(policy, *[holding(number, "1") for number in (1, 2, 3)], free=["1", "1"])

    empty = [d for d in decisions(view, policy) if d.order is None]

    assert [d.reason for d in empty] == [Reason.PACED]
    two = view_of(policy, *[holding(number, "1") for number in (1, 2)], free=["1", "1"])
    assert any(isinstance(d.action, PlaceBid) for d in decisions(two, policy))


def test_a_waiting_bid_within_reach_keeps_its_place() -> None:
    """It costs nothing while it waits; it is raised again once its price is worth it."""
    policy = policy_of()
    waits = outbid_holding(order=make_order(price=usd("4")), since=-600)
    book = seen(make_book(rival(usd("4.1"), active=True), mine(usd("4"))), outbid_reads=3)
    spent = {TARGET: Spent(at=NOW, day=Decimal("8.5"), month=Decimal("8.5"))}
    found = {}
    for mu in (0.1, 0.6, 4.0):
        view = make_view(
            policy,
            make_listing(),
            holdings=[waits],
            books=[book],
            spent=spent,
            multipliers={"day": Multiplier(value=mu)},
        )
        (found[mu],) = decisions(view, policy)

    assert isinstance(found[0.1].action, Reprice)
    assert (found[0.6].action, found[0.6].reason) == (None, Reason.PACED)
    assert isinstance(found[4.0].action, Withdraw)


def test_both_budgets_of_a_target_count_together() -> None:
    """Two multipliers add up, as the duals of two constraints do."""
    policy = policy_of(Budget(usd_per_day=Decimal(10)), own=Budget(usd_per_month=Decimal(300)))
    tight, loose = (view_of(policy, spent="9", mu=mu, free=["4"]) for mu in (0.15, 0.12))

    (only,) = decisions(tight, policy)

    assert [limit.key for limit in budgets.limits(policy)] == ["day", f"{TARGET}/month"]
    assert (only.reason, only.facts["multiplier"]) == (Reason.PACED, 0.3)
    assert isinstance(decisions(loose, policy)[0].action, PlaceBid)


def odd(number: int, amount: str = "1", **changes: Any) -> Holding:
    """Return a running order in a currency that nobody can value."""
    price = Price(Decimal(amount), Currency.named("nosuchcoin"))
    held = holding(number, "1", **changes)
    return replace(held, order=replace(held.order, price=price))


def test_a_budget_that_does_not_count_what_cannot_be_valued_works_as_usual() -> None:
    """A person's order in an odd currency is none of a strategy's own budget."""
    policy = policy_of(Budget(usd_per_day=Decimal(1000)), own=DAILY)
    (only,) = decisions(view_of(policy, holding(1, "3"), odd(2, target=None), spent="10"), policy)

    assert (only.order, only.reason, type(only.action)) == (1, Reason.BUDGET_SPENT, Withdraw)
    assert only.facts["budget"] == f"the daily budget of {TARGET}"


def test_what_can_be_valued_spends_a_budget_alone() -> None:
    """Then the orders end, also the one that nobody can value: nothing is known to be left for it."""
    policy = policy_of(want=2)
    for spent, ends in (("9", []), ("10", [1, 2])):
        found = decisions(view_of(policy, holding(1, "3"), odd(2), spent=spent), policy)

        assert sorted(d.order for d in found if d.order and d.action is not None) == ends


def test_nothing_is_begun_from_a_budget_that_counts_what_cannot_be_valued() -> None:
    """Another strategy with a budget of its own begins all the same."""
    other = make_target("other", budget=DAILY)
    policy = make_policy(make_target(want=2, budget=DAILY), other)
    found = decisions(view_of(policy, odd(1), free=["1", "1.5"]), policy)

    begun = {d.target: (d.reason, isinstance(d.action, PlaceBid)) for d in found if d.order is None}
    assert begun == {
        TARGET: (Reason.NO_RATE, False),
        other.name: (Reason.EMPTY_SLOT, True),
    }


def test_the_multiplier_holds_while_an_order_cannot_be_valued() -> None:
    """What is paced stays paced: only that it changes would need all amounts."""
    policy = policy_of(want=2)
    view = view_of(policy, holding(1, "4.9"), odd(2, target=None), spent="9.9", mu=4.0)

    assert budgets.looked(view, policy, NOW).multipliers["day"].value == 4.0
    (reason,) = {d.reason for d in decisions(view, policy) if d.order == 1}
    assert reason is Reason.PACED


@given(
    priced=st.lists(st.integers(1, 49).map(lambda tenths: f"{tenths / 10}"), max_size=4),
    odds=st.integers(0, 3),
    spent=st.integers(9900, 10100).map(lambda thousandths: f"{thousandths / 1000}"),
)
def test_what_cannot_be_valued_never_saves_what_else_must_end(
    priced: list[str], odds: int, spent: str
) -> None:
    """The orders that a budget ends by what can be valued end beside odd ones as well."""
    policy = policy_of(want=7)
    held = [holding(number, price) for number, price in enumerate(priced, start=1)]
    strange = [odd(number) for number in range(11, 11 + odds)]

    alone = affording.survey(view_of(policy, *held, spent=spent), policy, NOW)
    beside = affording.survey(view_of(policy, *held, *strange, spent=spent), policy, NOW)

    assert set(alone.ending) <= set(beside.ending)
    gone = {each.order.order for each in strange} if beside.standings[0].room < 0 else set()
    assert {o for o in beside.ending if o >= 11} == gone


def test_a_persons_order_is_paid_from_the_budget_of_all() -> None:
    """It is the same wallet; but not the one that is on paper."""
    live = policy_of(own=DAILY)
    hand = holding(1, "4", target=None, cost=Cost(usd=Decimal(6), counted=Decimal(6), at=at(-60)))
    paper = replace(live, mode=Mode.PAPER)

    whole, own = budgets.standings(view_of(live, hand), live, NOW)
    on_paper = daily(view_of(paper, hand), paper)

    assert (whole.spent, whole.rate) == (Decimal(6), Decimal(4))
    assert (own.spent, own.rate) == (Decimal(0), Decimal(0))
    assert (on_paper.spent, on_paper.rate) == (Decimal(0), Decimal(0))


def test_a_job_is_not_paced_and_goes_last() -> None:
    """Its orders count; pacing its cheap servers would only rent dear ones later."""
    params = DeadlineParams(
        gpu_hours=Decimal(500), by=at(30 * 86400), on_demand_ceiling=Ceiling(price=usd("9"))
    )
    work = make_target("job", params=params)
    policy = make_policy(make_target(), work, budget=DAILY)
    job, other = holding(1, "4.9", target="job"), holding(2, "1")
    paced = {d.order: d for d in decisions(view_of(policy, job, other, spent="9", mu=5.0), policy)}
    tight = {d.order: d for d in decisions(view_of(policy, job, other, spent="9.988"), policy)}

    assert paced[OrderId(1)].action is None
    assert [order for order, d in tight.items() if d.reason is Reason.BUDGET_SPENT] == [OrderId(2)]


def test_on_demand_orders_are_ended_too() -> None:
    """Money is money."""
    params = DeadlineParams(
        gpu_hours=Decimal(500), by=at(30 * 86400), on_demand_ceiling=Ceiling(price=usd("9"))
    )
    policy = make_policy(make_target(params=params), budget=DAILY)
    order = make_order(price=usd("8"), kind=OrderKind.ON_DEMAND)

    found = decisions(view_of(policy, make_holding(order=order), spent="10"), policy)

    assert [d.reason for d in found if d.action is not None] == [Reason.BUDGET_SPENT]


def test_without_a_rate_nothing_is_begun_and_nothing_ended() -> None:
    """What cannot be valued cannot be budgeted, as long as what can be leaves something."""
    policy = policy_of(want=2)
    strange = holding(1, "3")
    priced = replace(strange.order.price, currency=strange.order.price.currency.named("nosuchcoin"))
    odd = replace(strange, order=replace(strange.order, price=priced))

    found = decisions(view_of(policy, odd, spent="9", free=["1"]), policy)

    assert not any(isinstance(d.action, PlaceBid) or d.reason is Reason.BUDGET_SPENT for d in found)
    assert any(d.reason is Reason.NO_RATE and d.facts.get("rail") == "budget" for d in found)


def test_a_fixed_price_comes_down_with_the_ceiling() -> None:
    """The strategy is handed the lowered ceiling, whatever it does with it."""
    policy = policy_of(params=FixedParams())
    (only,) = decisions(view_of(policy, spent="9", mu=0.25, free=["1"]), policy)
    assert isinstance(only.action, PlaceBid)
    full = decisions(view_of(policy, free=["1"]), policy)[0]

    assert isinstance(full.action, PlaceBid)
    assert (full.action.price, only.action.price) == (usd("5"), usd("4.0169"))


def test_the_multiplier_moves_with_the_spending() -> None:
    """Each look at the orders brings it up to date; a budget that is gone takes its own with it."""
    policy = policy_of(Budget(usd_per_day=Decimal(2)), own=Budget(usd_per_day=Decimal(100)))
    view = budgets.looked(view_of(policy, holding(1, "4")), policy, NOW)
    later = budgets.looked(view, policy, at(60))

    assert set(later.multipliers) == {"day", f"{TARGET}/day"}
    assert later.multipliers["day"].value > 0
    assert later.multipliers[f"{TARGET}/day"].value == 0
    assert budgets.looked(later, policy_of(Budget()), at(90)).multipliers == {}


def test_the_widest_numbers_are_no_trouble() -> None:
    """The largest budget in its last second, for bids as small as money can be."""
    policy = policy_of(Budget(usd_per_day=Decimal(10_000_000)), ceiling=usd("0.0001"), want=3)
    now = NOW.replace(hour=23, minute=59, second=59, microsecond=999_999)
    held = (holding(1, "1000"), holding(2, "0.0001", active=False, outbid_since=at(-60)))
    view = view_of(policy, *held, mu=3.0, free=["0.0001"])

    assert len(planning.plan(view, policy, now)) == 3


def test_what_a_strategy_was_asked_with_a_lowered_ceiling_is_kept_as_such() -> None:
    """A replay asks it again with the same ceiling."""
    policy = policy_of()
    (only,) = decisions(view_of(policy, holding(1, "4"), spent="9.5", mu=0.9), policy)
    kept = evidence.written(only.asked)
    assert kept is not None

    answer, verdict = evidence.asked_again(kept, policy, lambda params: params)

    assert answer == kept.answer
    assert verdict is not None
    assert only.facts["because"] == verdict.reason.value
    assert canonical.load(evidence.configuration(policy)).budget == policy.budget
