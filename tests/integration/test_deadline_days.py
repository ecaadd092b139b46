"""Jobs with a deadline, the whole daemon in virtual time, judged by when orders really ran."""

from dataclasses import replace
from datetime import timedelta
from decimal import Decimal

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from jobs import HOUR, RESTART, START, USD, Run, begin, job, server

from bidder.app.report import Acted, Result
from bidder.domain.actions import PlaceBid, Reason, RentOnDemand, Withdraw
from bidder.domain.notices import Event
from bidder.domain.policy import TrackParams

# What is charged by full minutes is known a minute late, and then a read has to come by.
_COUNTED_LATE = timedelta(minutes=4)
DEAR = "2.5"  # above the ceiling for spot servers, below the price on demand


def in_time(run: Run, hours: float, within: float) -> bool:
    """Return whether the job was really done by its deadline, and without a foul."""
    return not run.fouls() and run.computed(START + within * HOUR) >= hours * HOUR


def test_a_spot_server_that_is_held_all_along_needs_no_other() -> None:
    """The job ends on spot, its order is cancelled, the owner told, and nothing is bid again."""
    run = begin(job(1, 3))

    run.run(1.5)

    assert in_time(run, 1, 3)
    assert len(run.orders(spot=True)) == 1
    assert not run.orders(spot=False)
    assert not run.live()
    assert [n.event for n in run.notices if n.event.value.startswith("job")] == [Event.JOB_DONE]
    (order,) = run.orders(spot=True)
    assert order.ended_at is not None
    assert run.computed(run.clock.now()) <= 1 * HOUR + _COUNTED_LATE


def test_where_spot_is_always_too_dear_the_job_waits_and_then_rents() -> None:
    """It waits for spot while it may, and is in time by one on-demand server at its listed price."""
    run = begin(job(1, 3), server(floor=DEAR))

    run.run(3)

    assert in_time(run, 1, 3)
    (rented,) = run.orders(spot=False)
    assert (rented.price, len(run.orders(spot=True))) == (Decimal(3), 0)
    begun = [d.decision for d in run.deeds if isinstance(d.action, RentOnDemand)]
    assert [d.reason for d in begun] == [Reason.DEADLINE]
    assert run.clock.now() - START > HOUR
    assert not run.live()


def test_servers_that_can_be_rented_for_an_hour_only_make_no_job_late() -> None:
    """Three starts on the cheaper ones would be one too many: it rents the one that lasts."""
    short = [replace(server(number, floor=DEAR), mrl_hours=1) for number in (1, 3, 4)]
    run = begin(job(2, 2.38), *short, server(2, floor=DEAR, on_demand="3.1"))

    run.run(2.38)

    assert in_time(run, 2, 2.38)
    assert [order.server_id for order in run.orders(spot=False)] == [2]


def test_back_on_spot_only_once_a_spot_order_runs() -> None:
    """A rival takes every spot server for an hour; the on-demand one bridges it and then goes."""
    run = begin(job(1, 2), server(1), server(2))
    for number in (1, 2):
        run.at(0.25, lambda r, n=number: r.rival(DEAR, number=n, lasting=0.8))  # type: ignore[misc]  # bound now
    gone_while_spot_ran: list[bool] = []

    def look(deed: Acted) -> None:
        if isinstance(deed.action, Withdraw) and deed.decision.reason is Reason.SPOT_AGAIN:
            gone_while_spot_ran.append(any(o.spot and o.active for o in run.live()))

    run.on_deed = look

    run.run(2)

    assert in_time(run, 1, 2)
    assert len(run.orders(spot=False)) == 1
    assert gone_while_spot_ran == [True]


def test_a_restart_of_the_daemon_keeps_the_progress() -> None:
    """What ran before, and while the daemon was down, counts: the job ends when it is done."""
    run = begin(job(1, 3))
    run.run(0.5)
    run.clock.advance(900)
    run.restart_daemon()

    run.run(0.75)

    assert not run.live()
    assert in_time(run, 1, 3)
    assert run.computed(run.clock.now()) <= 1 * HOUR + _COUNTED_LATE


def test_a_job_that_is_done_is_done_for_the_next_daemon_too() -> None:
    """Nothing is bid again, and nobody is told twice."""
    run = begin(job(0.5, 3))
    run.run(0.8)
    run.restart_daemon()
    before = len(run.notices)

    run.run(0.3)

    assert len(run.orders(spot=True)) == 1
    assert not run.notices[before:]


def test_a_job_that_is_done_is_over_also_while_trading_is_paused() -> None:
    """Its server on demand goes as on any other day: a pause is no wish to pay on."""
    run = begin(job(1, 1.5), server(floor=DEAR))
    run.run(0.6)
    assert len(run.live()) == 1
    run.app.trader.view = replace(run.app.trader.view, paused=True)

    run.run(1.4)

    assert in_time(run, 1, 1.5)
    assert not run.live()


def test_a_job_that_becomes_a_bidder_leaves_no_rental_behind_above_its_ceiling() -> None:
    """What was rented for 3 USD goes where the target pays 2 by now, and a bid takes its place."""
    run = begin(job(1, 1.5), server(1, floor=DEAR), server(2))
    run.rival(DEAR, number=2, lasting=1)
    run.run(0.6)
    assert len(run.orders(spot=False)) == 1
    run.app.trader.next_policy = replace(
        run.app.trader.policy, targets=(replace(run.target, params=TrackParams()),)
    )

    run.run(1)

    assert [order.spot for order in run.live()] == [True]
    left = [d.decision.reason for d in run.deeds if isinstance(d.action, Withdraw)]
    assert left.count(Reason.ABOVE_CEILING) == 1
    assert not run.fouls()


def test_a_price_that_has_gone_up_is_refused_and_read_again() -> None:
    """The exchange starts an order only at the price that was seen; the job is in time all the same."""
    run = begin(job(1, 2), server(floor=DEAR))
    stall = run.exchange.market.stalls[1]

    def dearer(_: Run) -> None:
        if not any(deed.result is Result.REFUSED for deed in run.deeds):
            stall.on_demand[USD] += Decimal("0.0001")
            run.exchange.market.set_prices(stall)

    for second in range(0, 7200, 2):
        run.at(second / 3600, dearer)

    run.run(2)

    refused = [d for d in run.deeds if d.result is Result.REFUSED]
    assert {type(d.action) for d in refused} == {RentOnDemand}
    assert in_time(run, 1, 2)
    assert all(order.price <= Decimal(4) for order in run.orders(spot=False))


def test_prices_that_float_by_the_minute_keep_no_job_from_its_deadline() -> None:
    """What is listed is read right before it is required, so that hardly a request is lost."""
    run = begin(job(1, 2), *(server(n, floor=DEAR, on_demand=f"3.0{n}") for n in range(1, 4)))

    def float_on(run: Run) -> None:
        market = run.exchange.market
        for stall in market.stalls.values():
            stall.on_demand[USD] += Decimal("0.0001")
            market.set_prices(stall)

    for minute in range(120):
        run.at((minute + 0.9) / 60, float_on)

    run.run(2)

    assert in_time(run, 1, 2)
    refused = [deed for deed in run.deeds if deed.result is Result.REFUSED]
    assert len(refused) <= 1


def test_a_job_that_cannot_be_in_time_says_so_and_goes_on() -> None:
    """Nothing on demand is below the ceiling: it is late, then missed, and is done on spot at last."""
    run = begin(job(1, 1.3), server(on_demand="9"))
    run.rival("9", lasting=1.0)

    run.run(2.5)

    told = [n.event for n in run.notices if n.event.value.startswith("job")]
    assert told == [Event.JOB_LATE, Event.JOB_MISSED, Event.JOB_DONE]
    assert not run.orders(spot=False)


@pytest.mark.parametrize("want", [2, 3])
def test_several_servers_share_a_job(want: int) -> None:
    """All of them rent in the end, and together they are in time."""
    servers = [server(number, floor=DEAR) for number in range(1, 5)]
    run = begin(job(1.5, 1.6, want=want), *servers)

    run.run(1.6)

    assert in_time(run, 1.5, 1.6)
    assert len(run.orders(spot=False)) >= want


@settings(max_examples=6, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    spells=st.lists(st.tuples(st.integers(0, 70), st.integers(1, 40)), max_size=3),
    spare_minutes=st.integers(0, 40),
    restart_at=st.none() | st.integers(1, 40),
)
def test_no_deadline_is_missed_while_servers_can_be_rented(
    spells: list[tuple[int, int]], spare_minutes: int, restart_at: int | None
) -> None:
    """Whatever rivals do and wherever the daemon is killed, if begun with time for a start."""
    margin = timedelta(minutes=10)
    within = (0.5 * HOUR + RESTART + margin + timedelta(minutes=spare_minutes)) / HOUR
    run = begin(job(0.5, within))
    for begins, minutes in spells:
        run.at(begins / 60, lambda r, m=minutes: r.rival(DEAR, lasting=m / 60))  # type: ignore[misc]  # bound now
    if restart_at is not None:
        run.run(restart_at / 60)
        run.restart_daemon()

    run.run(within - (run.clock.now() - START) / HOUR)

    assert in_time(run, 0.5, within)
    assert not any(isinstance(d.action, PlaceBid) and d.action.price.amount > 2 for d in run.deeds)
