"""A job's target: when it bids, when it rents, and what makes way for what."""

from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from builders import (
    LAUNCH,
    NOW,
    ORDER,
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

from bidder.domain import agenda, deadlines, fold, planning
from bidder.domain.actions import Decision, PlaceBid, Reason, RentOnDemand, Withdraw
from bidder.domain.ids import OrderId, ServerId
from bidder.domain.intents import IntentKind
from bidder.domain.jobs import Outlook, Spells
from bidder.domain.market import OrderKind
from bidder.domain.policy import Ceiling, DeadlineParams, Policy, Rails, Requirements, Target
from bidder.domain.probe import Replaced
from bidder.domain.strategies import deadline
from bidder.domain.view import Created, Holding, View
from bidder.domain.work import Work

MINUTES, HOURS = timedelta(minutes=1), timedelta(hours=1)
ENOUGH, SCARCE = 20.0, 2.4  # hours until the deadline of a job of two


def job(hours: float = ENOUGH, *, gpu_hours: str = "2", **changes: Any) -> Target:
    """Return a target with a job of two GPU-hours, at most 5 USD per day on spot, 12 on demand."""
    params = DeadlineParams(
        gpu_hours=Decimal(gpu_hours),
        by=NOW + hours * HOURS,
        on_demand_ceiling=Ceiling(price=usd("12")),
    )
    return make_target(params=params, **{"restart": 6 * MINUTES, **changes})


def world(
    target: Target, *held: Holding, rails: Rails | None = None, **changes: Any
) -> tuple[View, Policy]:
    """Return a market of two servers at 10 USD on demand, on which rivals outbid the ceiling."""
    policy = make_policy(target, rails=rails or Rails())
    books = [
        seen(
            make_book(
                rival(usd("6"), active=not any(h.active and h.order.server == n for h in held)),
                *(mine(h.order.price, active=bool(h.active)) for h in held if h.order.server == n),
                server=n,
            )
        )
        for n in (101, 202)
    ]
    listings = (make_listing(101), make_listing(202))
    view = make_view(policy, *listings, holdings=held, books=books, **changes)
    return deadlines.looked(view, policy, NOW), policy


def offered(target: Target, *terms: tuple[str, float], **changes: Any) -> tuple[View, Policy]:
    """Return a market of servers 101, 102 ...: what each costs on demand, and for how many hours."""
    policy = make_policy(target, rails=changes.pop("rails", Rails()))
    listings = [
        make_listing(number, on_demand=usd(price), mrl=hours * HOURS, floor=usd("6"))
        for number, (price, hours) in enumerate(terms, 101)
    ]
    view = make_view(policy, *listings, **changes)
    return deadlines.looked(view, policy, NOW), policy


def rents_on(view: View, policy: Policy) -> list[int]:
    """Return the servers that would be rented."""
    found = [d.action for d in plan(view, policy) if isinstance(d.action, RentOnDemand)]
    return [action.server for action in found]


def rented(**changes: Any) -> Holding:
    """Return an on-demand order on server 101 that has computed for an hour."""
    order = make_order(kind=OrderKind.ON_DEMAND, price=usd("10"))
    return make_holding(order=order, active=None, work=Work(computed=1 * HOURS), **changes)


def plan(view: View, policy: Policy) -> list[Decision]:
    """Return what would be done at this moment."""
    return list(planning.plan(view, policy, NOW))


def acts(decisions: list[Decision]) -> list[tuple[type, Reason]]:
    """Return what the decisions would send, and why."""
    return [(type(d.action), d.reason) for d in decisions if d.action is not None]


def test_with_time_to_spare_a_job_waits_for_spot() -> None:
    """Nothing is rented while waiting cannot make it late, and waiting is no alarm."""
    (decision,) = plan(*world(job(ENOUGH)))

    assert (decision.action, decision.reason) == (None, Reason.SLACK)
    assert decision.facts["because"] == Reason.TOO_EXPENSIVE.value


def test_without_time_to_spare_it_rents_the_cheapest_at_its_price() -> None:
    """``required_price`` is the price that was seen, to the digit."""
    (decision,) = plan(*world(job(SCARCE)))

    assert isinstance(decision.action, RentOnDemand)
    assert (decision.action.server, decision.action.price) == (101, usd("10"))


def test_the_marketplace_is_read_before_anything_is_rented_at_its_price() -> None:
    """It may float by the minute, and a rental at another one is refused: no bid makes way for that."""
    view, policy = world(job(SCARCE), outbid_holding())
    old = replace(view, marketplace_at=at(-11), orders_at=NOW, completed_at=NOW, wallets_at=NOW)

    decisions = plan(old, policy)

    assert not acts(decisions)
    assert [d.reason for d in decisions if d.wants_marketplace] == [Reason.STALE]
    assert agenda.next_read(old, tuple(decisions), policy, NOW).read == agenda.ReadMarketplace()
    for read in (
        replace(old, marketplace_at=at(-10)),
        # A slow answer is never younger than that.
        replace(old, marketplace_at=at(-40), marketplace_whole_at=at(-10)),
    ):
        assert acts(plan(read, policy)) == [(Withdraw, Reason.DEADLINE)]


def test_after_a_refusal_for_its_price_the_marketplace_is_read_once_more() -> None:
    """Not each second: it is large. And where it cannot be read, a job is not late for that."""
    view, policy = world(job(SCARCE))
    moved = Created(server=ServerId(202), at=at(-4), refused=True, mispriced=True)
    view = replace(view, creations=(moved,), marketplace_at=at(-5))
    view = replace(view, orders_at=NOW, completed_at=NOW, wallets_at=NOW)

    decisions = tuple(plan(view, policy))

    assert not acts(list(decisions))
    marketplace = agenda.ReadMarketplace()
    assert agenda.next_read(view, decisions, policy, at(4)).read != marketplace
    assert agenda.next_read(view, decisions, policy, at(5)).read == marketplace
    assert acts(plan(replace(view, marketplace_at=at(-3)), policy)) == [(RentOnDemand, Reason.DEADLINE)]
    unread = view.unread.failed(agenda.subject(marketplace), NOW, limited=False)
    assert acts(plan(replace(view, unread=unread), policy)) == [(RentOnDemand, Reason.DEADLINE)]


def test_a_bid_that_waits_makes_way_for_renting() -> None:
    """First the bid goes, then the server is rented: never an order more than wanted."""
    view, policy = world(job(SCARCE), outbid_holding())

    assert acts(plan(view, policy)) == [(Withdraw, Reason.DEADLINE)]
    assert acts(plan(view.without_holding(ORDER), policy)) == [(RentOnDemand, Reason.DEADLINE)]


def test_a_bid_stays_where_a_rail_forbids_to_rent() -> None:
    """Giving it up would leave the job with nothing; the owner is told what was not done, and why."""
    view, policy = world(job(SCARCE), outbid_holding(), rails=Rails(max_usd_per_day=Decimal(9)))

    decisions = plan(view, policy)

    assert not acts(decisions)
    assert {(d.reason, d.facts.get("rail")) for d in decisions} >= {(Reason.RAIL, "max_usd_per_day")}


def test_where_nothing_can_be_rented_that_is_said() -> None:
    """No server on demand below the ceiling: the job depends on spot servers."""
    target = job(SCARCE)
    assert isinstance(target.params, DeadlineParams)
    cheap = replace(target.params, on_demand_ceiling=Ceiling(price=usd("9.9999")))

    decisions = plan(*world(replace(target, params=cheap)))

    assert not acts(decisions)
    assert Reason.NO_CANDIDATE in {d.reason for d in decisions}
    assert "9.9999 USD per server" in {d.facts.get("on_demand_ceiling") for d in decisions}


NO_NET: dict[str, tuple[Rails, str]] = {
    "max_usd_per_day": (Rails(max_usd_per_day=Decimal(9)), "10"),
    "max_usd_if_unattended": (Rails(max_usd_if_unattended=Decimal(5)), "10"),
    "max_orders": (Rails(max_orders=0), "10"),
    "no_candidate": (Rails(), "12.5"),
}


@pytest.mark.parametrize("what", NO_NET)
def test_a_job_that_waits_says_what_would_keep_it_from_renting(what: str) -> None:
    """There is time to change it; once it must rent there is none."""
    rails, price = NO_NET[what]
    decisions = plan(*offered(job(ENOUGH), (price, 96), rails=rails))
    assert {(d.reason, d.facts.get("net_stopped_by")) for d in decisions} == {(Reason.SLACK, what)}


@pytest.mark.parametrize("passing", ["paused", "recalled", "nothing"])
def test_what_passes_by_itself_is_no_lack_of_a_net(passing: str) -> None:
    """A pause, or orders that are yet to be read; and where all is well nothing is said."""
    view, policy = offered(job(ENOUGH), ("10", 96))
    recalled_at = NOW if passing == "recalled" else None
    view = replace(view, paused=passing == "paused", recalled_at=recalled_at)
    decisions = plan(view, policy)
    assert [d.facts.get("net_stopped_by") for d in decisions] == [None]


def test_a_request_in_doubt_is_not_repeated() -> None:
    """A rental whose answer is missing fills its slot until our orders tell."""
    doubtful = make_intent(IntentKind.RENT, server=101, price=usd("10"))
    view, policy = world(job(SCARCE), intents=(doubtful,))

    assert not acts(plan(view, policy))


def test_an_order_on_demand_that_nothing_explains_fills_its_slot() -> None:
    """As a database restored from a backup would show it: a second one would be paid for besides."""
    forgotten = replace(make_order(kind=OrderKind.ON_DEMAND, price=usd("10")), image=LAUNCH.image)
    view, policy = world(job(SCARCE), make_holding(order=forgotten, active=None, target=None))

    assert not acts(plan(view, policy))
    assert Reason.FROZEN in {d.reason for d in plan(view, policy)}


def test_on_demand_is_kept_while_no_spot_server_is_to_be_had() -> None:
    """And the market is looked at for one."""
    view, policy = world(job(1.5), rented())

    decisions = plan(view, policy)

    assert not acts(decisions)
    assert {d.reason for d in decisions} == {Reason.WINNING, Reason.DEADLINE}


def test_a_spot_server_is_bid_for_beside_the_one_on_demand() -> None:
    """The on-demand order stays until the spot order runs."""
    view, policy = world(job(3), rented())
    free = seen(make_book(server=202))
    view = deadlines.looked(replace(view, books={**view.books, free.book.server: free}), policy, NOW)

    assert acts(plan(view, policy)) == [(PlaceBid, Reason.EMPTY_SLOT)]


def test_of_two_that_run_the_one_on_demand_goes() -> None:
    """Once the spot order runs, and there is time for its start."""
    spot = make_holding(8, server=202, work=Work(starting=6 * MINUTES))
    view, policy = world(job(3), rented(), spot)

    assert acts(plan(view, policy)) == [(Withdraw, Reason.SPOT_AGAIN)]


def test_of_spot_servers_that_are_wanted_no_more_the_dearest_go() -> None:
    """``want`` was lowered by a reload: what is one too many is not paid for until the job is done."""
    held = [
        make_holding(number, server=server, price=usd(price))
        for number, server, price in ((7, 101, "2"), (8, 202, "3"), (9, 303, "1"))
    ]
    view, policy = world(job(ENOUGH, want=1), *held)

    gone = {d.order: d.reason for d in plan(view, policy) if isinstance(d.action, Withdraw)}

    assert gone == {7: Reason.SURPLUS, 8: Reason.SURPLUS}


def test_of_rentals_that_are_wanted_no_more_the_dearest_goes() -> None:
    """No spot server has taken over from it."""
    cheap = make_order(8, server=202, kind=OrderKind.ON_DEMAND, price=usd("9"))
    held = (rented(), make_holding(8, order=cheap, active=None))
    view, policy = world(job(SCARCE, want=1), *held)

    gone = {d.order: d.reason for d in plan(view, policy) if isinstance(d.action, Withdraw)}

    assert gone == {ORDER: Reason.SURPLUS}


def test_a_job_that_is_done_gives_up_everything_and_bids_no_more() -> None:
    """Also what its ended orders computed counts."""
    view, policy = world(job(ENOUGH), make_holding(work=Work(computed=1 * HOURS)))
    view = replace(view, computed={TARGET: 1 * HOURS})

    assert acts(plan(view, policy)) == [(Withdraw, Reason.JOB_DONE)]
    (done,) = plan(fold.withdrawn(view, ORDER), policy)
    assert (done.action, done.reason) == (None, Reason.JOB_DONE)


def test_two_servers_compute_twice_as_fast() -> None:
    """A job too long for one server within its time has time to spare on two with two GPUs."""
    one = job(SCARCE, gpu_hours="6")
    four = replace(one, want=2, requirements=Requirements(min_gpus=2))

    assert deadline.concern(one, NOW) is not None
    assert deadline.concern(four, NOW) is None


def test_an_owner_hears_before_what_cannot_be() -> None:
    """Too late altogether, too late even on demand, or too late for spot servers."""
    assert "is over" in (deadline.concern(job(-1), NOW) or "")
    assert "also on demand" in (deadline.concern(job(2), NOW) or "")
    assert "begins on demand" in (deadline.concern(job(2.2), NOW) or "")
    assert deadline.concern(job(2.2, enabled=False), NOW) is None


def test_a_long_time_without_a_look_teaches_nothing() -> None:
    """A suspended machine has not seen a spell of many hours."""
    outlook = Outlook(looked_at=NOW, spells=Spells(last=True))

    looked = outlook.seen(available=True, at=at(86400))

    assert (looked.spells.mean_up, looked.looked_at) == (Spells().mean_up, at(86400))


@given(
    minutes=st.integers(-600, 6000),
    computed=st.integers(0, 150),
    starting=st.integers(0, 6),
    want=st.integers(1, 3),
)
def test_the_net_is_drawn_in_time(minutes: int, computed: int, starting: int, want: int) -> None:
    """An idle slot waits only while an on-demand server that starts a minute later is still in time."""
    target = job(minutes / 60, want=want)
    held = [make_holding(work=Work(computed=computed * MINUTES, starting=starting * MINUTES))][
        : want - 1
    ]
    view, policy = world(target, *held)
    assert isinstance(target.params, DeadlineParams)

    course = deadline.course(target, target.params, view, NOW)

    rents = any(isinstance(d.action, RentOnDemand) for d in plan(view, policy))
    in_time = course.slack - target.params.margin - 1 * MINUTES >= target.restart
    assert course.finished or rents or in_time


def test_without_time_for_a_second_start_it_rents_for_as_long_as_the_work_takes() -> None:
    """The cheaper server goes after an hour, and each further start takes six minutes."""
    assert rents_on(*offered(job(SCARCE), ("10", 1), ("11", 3), ("11.5", 96))) == [102]
    assert rents_on(*offered(job(SCARCE), ("10", 2.1), ("11", 96))) == [101]


def test_with_time_for_further_starts_it_rents_where_all_of_them_cost_least() -> None:
    """Three starts instead of one are 12 minutes more of two hours' rent, a tenth."""
    hardly_on_spot = Spells(ups=100, up_time=100, downs=100, down_time=100 * 900)
    never_on_spot = Outlook(looked_at=NOW, spells=hardly_on_spot)
    patient = job(3.5)
    for dearer, server in (("10.5", 102), ("11.5", 101)):
        view, policy = offered(patient, ("10", 1), (dearer, 96))
        assert rents_on(replace(view, outlooks={TARGET: never_on_spot}), policy) == [server]


def test_where_none_lasts_it_rents_what_has_to_be_rented_least_often() -> None:
    """It will be late, but no later than it must."""
    assert rents_on(*offered(job(2.2), ("9", 0.1), ("10", 1), ("11", 1.5))) == [103]


def test_the_net_counts_a_start_for_each_rental() -> None:
    """Where all may be rented for an hour at most, two hours of work take three of them."""
    target = job(2.35)
    assert isinstance(target.params, DeadlineParams)
    for hours, late in ((1, True), (96, False)):
        view, _ = offered(target, ("10", hours))
        assert deadline.is_late(deadline.course(target, target.params, view, NOW)) is late


def test_a_rental_that_ends_before_the_work_does_leaves_a_start_ahead() -> None:
    """Of the three hours left to the deadline it takes what the next server needs to begin."""
    target = job(3, gpu_hours="3")
    assert isinstance(target.params, DeadlineParams)
    slacks = []
    for hours in (1.5, 96):
        order = make_order(kind=OrderKind.ON_DEMAND, price=usd("10"), mrl=hours * HOURS)
        held = make_holding(order=order, active=None, work=Work(computed=1 * HOURS))
        view, _ = offered(target, ("10", 96), ("10", 96), holdings=[held])
        slacks.append(deadline.course(target, target.params, view, NOW).slack)
    assert slacks == [1 * HOURS - target.restart - deadline.BETWEEN, 1 * HOURS]


def test_the_net_of_two_slots_needs_two_servers_that_last() -> None:
    """One of them is not enough: the other slot is what the job waits for."""
    target = job(1.35, want=2)
    assert isinstance(target.params, DeadlineParams)
    for other, late in ((0.5, True), (96, False)):
        view, _ = offered(target, ("10", 96), ("10", other))
        assert deadline.is_late(deadline.course(target, target.params, view, NOW)) is late


def test_a_rental_of_hardly_more_than_a_start_is_none() -> None:
    """Ever so many of them would be no help, and more than can be counted."""
    second = 1 / 3600
    target = job(1000, gpu_hours="900000")
    assert isinstance(target.params, DeadlineParams)
    view, policy = offered(target, ("10", 0.1 + second / 1000), ("10", 0.1 + second), ("11", 96))
    assert rents_on(view, policy) == [103]
    view, policy = offered(target, ("10", 0.1 + second / 1000))
    assert deadline.is_late(deadline.course(target, target.params, view, NOW))


@pytest.mark.parametrize(("free", "server"), [((101, 102), 102), ((101,), 101)])
def test_where_its_workload_has_died_it_rents_only_as_a_last_resort(
    free: tuple[int, ...], server: int
) -> None:
    """Another server goes first, though it is dearer; where there is none, that one is better."""
    view, policy = offered(job(SCARCE), *((str(number - 91), 96) for number in free))
    died = Replaced(target=TARGET, server=ServerId(101), order=OrderId(5), at=at(-600))
    assert rents_on(replace(view, replaced=(died,)), policy) == [server]
