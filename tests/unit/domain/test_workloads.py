"""Which orders go because their workload is dead, which stay all the same, and what is told."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from builders import (
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
    seen,
    usd,
)
from hypothesis import given, settings
from hypothesis import strategies as st

from bidder.domain import fold, planning, workloads
from bidder.domain.actions import Decision, PlaceBid, Reason, Withdraw
from bidder.domain.ids import OrderId, ServerId
from bidder.domain.intents import IntentKind
from bidder.domain.market import OrderKind
from bidder.domain.policy import Mode, Policy, Target
from bidder.domain.probe import Outcome, Probe, Pulse, Replaced, Sign, State, Then
from bidder.domain.view import Holding, View
from bidder.domain.workloads import Kept

PROBE = Probe(port="22", then=Then.REPLACE)
DEAD = Pulse(began_at=at(-7200), alive_at=at(-700), probed_at=at(-5), dead_since=at(-640), detail="mute")
ALIVE = Pulse(began_at=at(-7200), alive_at=at(-5), probed_at=at(-5))
STARTING = Pulse(began_at=at(-60), probed_at=at(-5), detail="mute")
BLIND = replace(DEAD, blind=True)


def probing(name: str = TARGET, *, want: int = 3, probe: Probe | None = PROBE, **more: Any) -> Target:
    """Return a target whose workload is probed, and replaced when it is dead."""
    return make_target(name, want=want, probe=probe, **more)


def held(policy: Policy, pulses: dict[int, Pulse], **changes: Any) -> View:
    """Return an account that holds an order of the first target for each of these pulses.

    Order and server have one number; each book was just read, and nothing is to be changed by it.
    """
    holdings = changes.pop(
        "holdings",
        [make_holding(number, server=number, price=usd("1")) for number in pulses],
    )
    return make_view(
        policy,
        *(make_listing(number) for number in (*pulses, 900, 901)),
        holdings=holdings,
        books=[
            *(seen(make_book(mine(usd("1"), active=True, number=n), server=n)) for n in pulses),
            *(seen(make_book(server=n)) for n in (900, 901)),
        ],
        pulses={OrderId(number): pulse for number, pulse in pulses.items()},
        **changes,
    )


def gone(decisions: tuple[Decision, ...]) -> list[int]:
    """Return the orders that are cancelled."""
    return [d.action.order for d in decisions if isinstance(d.action, Withdraw)]


def kept(policy: Policy, view: View) -> dict[int, Kept | None]:
    """Return, for each order whose workload is dead, why it stays."""
    return {order: found.kept for order, found in workloads.dead(view, policy, NOW).items()}


# --- who goes


def test_an_order_whose_workload_is_dead_is_cancelled() -> None:
    """It is paid for nothing; the decision carries what it rests on."""
    policy = make_policy(probing())
    decisions = planning.plan(held(policy, {7: DEAD, 8: ALIVE}), policy, NOW)
    (going,) = (d for d in decisions if isinstance(d.action, Withdraw))
    assert (going.order, going.reason) == (7, Reason.WORKLOAD_DEAD)
    assert going.facts["found"] == "mute"
    assert going.facts["dead_since"] == "2026-03-01T11:49:20Z"


def test_its_successor_comes_on_another_server() -> None:
    """The cheapest one is where it died, and is left alone for some hours, by this target only."""
    policy = make_policy(probing(want=1), probing("second", want=1))
    view = held(policy, {7: ALIVE}, holdings=[], replaced=(died(900, -3600),))
    placed = {d.target: d.server for d in planning.plan(view, policy, NOW) if d.action is not None}
    assert placed == {TARGET: 7, "second": 7}
    fewer = replace(view, shortlists={n: c[1:] for n, c in view.shortlists.items()})
    placed = {d.target: d.server for d in planning.plan(fewer, policy, NOW) if d.action is not None}
    assert placed == {TARGET: 901, "second": 900}
    later = planning.plan(replace(fewer, replaced=(died(900, -6 * 3600),)), policy, NOW)
    assert {d.server for d in later if isinstance(d.action, PlaceBid)} == {900}


def died(server: int, seconds: float, *, target: str = TARGET, order: int = 1) -> Replaced:
    """Return an order that was given up so many seconds after NOW."""
    return Replaced(target=target, server=ServerId(server), order=OrderId(order), at=at(seconds))


def test_a_rental_on_demand_goes_too() -> None:
    """It costs more than a bid, dead or alive."""
    policy = make_policy(probing())
    rented = make_holding(order=make_order(7, server=7, kind=OrderKind.ON_DEMAND), active=None)
    alive = make_holding(8, server=8, price=usd("1"))
    view = held(policy, {7: DEAD, 8: ALIVE}, holdings=[rented, alive])
    assert gone(planning.plan(view, policy, NOW)) == [7]


def test_of_too_many_the_dead_go_first() -> None:
    """Also where the owner only wants to be told: one of them has to go anyway."""
    policy = make_policy(probing(want=1, probe=replace(PROBE, then=Then.REPORT)))
    for dead, alive in ((7, 8), (8, 7)):
        view = held(policy, {dead: DEAD, alive: ALIVE})
        assert gone(planning.plan(view, policy, NOW)) == [dead]


# --- who stays


@pytest.mark.parametrize(
    ("probe", "pulses", "changes", "because"),
    [
        (replace(PROBE, then=Then.REPORT), {7: DEAD, 8: ALIVE}, {}, Kept.REPORT),
        (PROBE, {7: BLIND, 8: ALIVE}, {}, Kept.BLIND),
        (PROBE, {7: DEAD, 8: replace(ALIVE, dead_since=at(-60))}, {}, Kept.NETWORK),
        (PROBE, {7: DEAD, 8: BLIND}, {}, Kept.NETWORK),
        (PROBE, {7: DEAD, 8: replace(ALIVE, alive_at=at(-641))}, {}, Kept.NETWORK),
        (
            PROBE,
            {7: DEAD, 8: ALIVE},
            {"replaced": (died(1, -80_000), died(2, -60, order=2))},
            Kept.BREAKER,
        ),
        (PROBE, {7: DEAD, 8: ALIVE}, {"paused": True}, Kept.PAUSED),
        (PROBE, {7: DEAD}, {}, None),
        (PROBE, {7: DEAD, 8: STARTING}, {}, None),
        (PROBE, {7: DEAD, 8: ALIVE}, {"replaced": (died(1, -90_000), died(2, -60, order=2))}, None),
        (PROBE, {7: DEAD, 8: ALIVE}, {"replaced": (died(1, -60, target="second"),) * 2}, None),
    ],
)
def test_a_dead_workload_is_not_replaced_where_the_fault_may_be_elsewhere(
    probe: Probe, pulses: dict[int, Pulse], changes: dict[str, Any], because: Kept | None
) -> None:
    """Only what was knocked at, while others live, and not for ever."""
    policy = make_policy(probing(probe=probe))
    view = held(policy, pulses, **changes)
    assert kept(policy, view)[7] is because
    assert gone(planning.plan(view, policy, NOW)) == ([] if because else [7])


def test_a_target_that_is_dead_as_a_whole_is_no_accident_of_its_servers() -> None:
    """Others live, so our network is well: it is the image, and another server would not help."""
    policy = make_policy(probing(), probing("second"))
    other = make_holding(9, server=9, price=usd("1"), target="second")
    ours = [make_holding(n, server=n, price=usd("1")) for n in (7, 8)]
    view = held(policy, {7: DEAD, 8: DEAD, 9: ALIVE}, holdings=[*ours, other])
    assert kept(policy, view) == {7: Kept.NETWORK, 8: Kept.NETWORK}


def test_while_the_exchange_is_silent_too_nothing_is_replaced() -> None:
    """A lone workload has no other witness that our network works."""
    policy = make_policy(probing())
    view = held(policy, {7: DEAD})
    later = at(3600)
    assert workloads.dead(view, policy, later)[OrderId(7)].kept is Kept.NETWORK


def test_no_order_goes_for_dead_while_its_state_is_in_doubt() -> None:
    """An open request, missing from our orders: nothing is cancelled on a guess."""
    policy = make_policy(probing())
    pulses = {7: DEAD, 8: ALIVE}
    asked = (make_intent(IntentKind.REPRICE, server=7, order=OrderId(7)),)
    assert gone(planning.plan(held(policy, pulses, intents=asked), policy, NOW)) == []
    missing = [make_holding(7, server=7, missing_reads=1), make_holding(8, server=8)]
    assert gone(planning.plan(held(policy, pulses, holdings=missing), policy, NOW)) == []


def test_of_several_dead_ones_no_more_go_than_the_breaker_allows() -> None:
    """Those that are dead for longest, two a day."""
    policy = make_policy(probing(want=4))
    longer = replace(DEAD, dead_since=at(-900))
    view = held(policy, {6: DEAD, 7: longer, 8: DEAD, 9: ALIVE})
    assert kept(policy, view) == {7: None, 6: None, 8: Kept.BREAKER}


_pulses = st.builds(
    lambda alive, since, blind: Pulse(
        began_at=at(-7200),
        alive_at=at(-5 if since is None else -7000) if alive or since is None else None,
        probed_at=at(-5),
        dead_since=None if since is None else at(-since),
        blind=blind and since is not None,
        detail="" if since is None else "mute",
    ),
    alive=st.booleans(),
    since=st.none() | st.integers(5, 2000),
    blind=st.booleans(),
)


@settings(max_examples=150, deadline=None)
@given(
    pulses=st.dictionaries(st.integers(1, 6), _pulses, min_size=1),
    second=st.sets(st.integers(1, 6)),
    minutes=st.integers(2, 30),
    lately=st.lists(st.tuples(st.integers(1, 100_000), st.sampled_from([TARGET, "second"]))),
    then=st.sampled_from(Then),
)
def test_no_order_goes_for_dead_against_the_rules(
    pulses: dict[int, Pulse],
    second: set[int],
    minutes: int,
    lately: list[tuple[int, str]],
    then: Then,
) -> None:
    """Never before its time, never blind, never without a witness, never above two a day."""
    probe = Probe(port="22", dead_after=timedelta(minutes=minutes), then=then)
    policy = make_policy(probing(want=6, probe=probe), probing("second", want=6, probe=probe))
    name = {n: "second" if n in second else TARGET for n in pulses}
    view = held(
        policy,
        pulses,
        holdings=[make_holding(n, server=n, price=usd("1"), target=name[n]) for n in pulses],
        replaced=tuple(
            died(1, -seconds, target=target, order=100 + i) for i, (seconds, target) in enumerate(lately)
        ),
    )
    cancelled = gone(planning.plan(view, policy, NOW))
    lives = {n for n, pulse in pulses.items() if pulse.dead_since is None}
    for number in cancelled:
        pulse = pulses[number]
        assert then is Then.REPLACE
        assert pulse.dead_since is not None
        assert NOW - pulse.dead_since >= timedelta(minutes=minutes)
        assert not pulse.blind
        assert lives or len(pulses) == 1
        company = [n for n in pulses if name[n] == name[number]]
        assert len(company) == 1 or lives & set(company)
    for target in (TARGET, "second"):
        before = sum(1 for seconds, whose in lately if whose == target and seconds < 86_400)
        going = sum(1 for n in cancelled if name[n] == target)
        assert going == 0 or before + going <= workloads.MOST_REPLACED


# --- signs


def sign(outcome: Outcome, seconds: float = 0) -> Sign:
    """Return a probe's result for the usual order."""
    return Sign(order=ORDER, at=at(seconds), outcome=outcome, detail="mute")


def of(policy: Policy, holding: Holding) -> View:
    """Return an account with this one order."""
    return make_view(policy, make_listing(), holdings=[holding])


def test_a_pulse_lasts_as_long_as_the_order_runs() -> None:
    """Who was outbid and wins the server back starts anew, with a new grace."""
    policy = make_policy(probing())
    view = fold.probed(of(policy, make_holding()), (), policy, NOW)
    assert view.pulses == {ORDER: Pulse(began_at=NOW)}
    view = fold.probed(view, (sign(Outcome.ALIVE, 5),), policy, at(6))
    assert view.pulses[ORDER].state(PROBE) is State.ALIVE
    outbid = view.with_holding(make_holding(active=False))
    outbid = fold.probed(outbid, (sign(Outcome.SILENT, 7),), policy, at(8))
    assert outbid.pulses == {}
    again = fold.probed(outbid.with_holding(make_holding()), (sign(Outcome.ALIVE, 9),), policy, at(10))
    assert again.pulses == {ORDER: Pulse(began_at=at(10))}


def test_a_sign_of_an_order_of_which_it_is_not_known_whether_it_runs_is_left_out() -> None:
    """Read again from disk it keeps its pulse, and has no probe until a book shows that it runs."""
    policy = make_policy(probing())
    view = fold.probed(of(policy, make_holding()), (sign(Outcome.ALIVE, 5),), policy, NOW)
    unknown = view.with_holding(make_holding(active=None))
    assert fold.probed(unknown, (sign(Outcome.SILENT, 7),), policy, at(8)) is unknown


def test_nothing_is_probed_that_nobody_asked_for() -> None:
    """Not without a probe, not a person's order, not one on paper, not for a target that is off."""
    asked = make_policy(probing())
    for policy, holding in (
        (make_policy(), make_holding()),
        (asked, make_holding(target=None)),
        (asked, make_holding(active=None)),
        (replace(asked, mode=Mode.PAPER), make_holding(-7)),
        (make_policy(probing(enabled=False)), make_holding()),
    ):
        view = of(policy, holding)
        assert fold.probed(view, (), policy, NOW) is view


def test_where_nothing_is_new_the_view_stays_the_same() -> None:
    """Decisions are taken anew only where something can have changed."""
    policy = make_policy(probing())
    view = fold.probed(of(policy, make_holding()), (), policy, NOW)
    assert fold.probed(view, (), policy, at(60)) is view


def test_another_probe_begins_from_nothing() -> None:
    """What the old one found says nothing of a new port; an unchanged one goes on."""
    policy = make_policy(probing())
    view = fold.probed(of(policy, make_holding()), (sign(Outcome.ALIVE),), policy, NOW)
    same = fold.policy_changed(view, policy, make_policy(probing(want=9)))
    assert same.pulses == view.pulses
    other = make_policy(probing(probe=replace(PROBE, port="23")))
    assert fold.policy_changed(view, policy, other).pulses == {}


# --- what is told


def test_a_death_and_a_return_are_told_once_each() -> None:
    """And not the return of an order that is over."""
    policy = make_policy(probing(probe=replace(PROBE, then=Then.REPORT)))
    dead, alive = held(policy, {7: DEAD}), held(policy, {7: ALIVE})
    told, news = workloads.news({}, dead, policy, NOW)
    assert [(n.dead, n.kept, n.decision.order) for n in news] == [(True, Kept.REPORT, 7)]
    told, news = workloads.news(told, dead, policy, at(60))
    assert news == ()
    still, back = workloads.news(told, alive, policy, at(60))
    assert [(n.dead, n.decision.reason) for n in back] == [(False, Reason.WORKLOAD_ALIVE)]
    assert still == {}
    assert workloads.news(told, held(policy, {}), policy, at(60)) == ({}, ())


def test_a_cancellation_for_dead_is_counted_once() -> None:
    """Also where its answer is missing and it is decided again; what is a day old is forgotten."""
    policy = make_policy(probing())
    action = Withdraw(order=OrderId(7), server=ServerId(7), target=TARGET)
    view = held(policy, {7: DEAD}, replaced=(died(3, -90_000, order=3), died(4, -60, order=4)))
    twice = fold.replaced(fold.replaced(view, action, NOW), action, at(60))
    assert [r.order for r in twice.replaced] == [4, 7]
    assert workloads.replaced_lately(TARGET, twice, at(60)) == 2
