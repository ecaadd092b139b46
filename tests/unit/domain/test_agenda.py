"""Which read comes next while a request is in doubt, and while a person is waited for."""

from dataclasses import replace
from datetime import timedelta

import pytest
from builders import NOW, at, make_intent, make_policy, make_view

from bidder.domain.agenda import Agenda, ReadOrders, next_read
from bidder.domain.intents import Intent, IntentState
from bidder.domain.policy import Policy

POLICY = make_policy()
USUAL = POLICY.pace.orders_every


def agenda(intent: Intent, *, read_ago: timedelta, policy: Policy = POLICY) -> Agenda:
    """Return the agenda where nothing but our orders, read so long ago, is worth a request."""
    view = make_view(policy)
    fresh = replace(
        view,
        orders_at=NOW - read_ago,
        completed_at=NOW - read_ago,
        marketplace_at=NOW,
        wallets_at=NOW,
        intents=(intent,),
    )
    return next_read(fresh, (), policy, NOW)


def asked(found: Agenda) -> bool:
    """Return whether our orders are read now, the ended ones included."""
    return found.read == ReadOrders(completed=True)


@pytest.mark.parametrize("usual", [USUAL, timedelta(minutes=10)])
def test_a_person_is_waited_for_at_the_usual_pace(usual: timedelta) -> None:
    """Who has to tell two orders apart may take days; what was done is seen as soon as anything is."""
    frozen = make_intent(state=IntentState.AMBIGUOUS, ended=-3600)
    policy = replace(POLICY, pace=replace(POLICY.pace, orders_every=usual))
    second = timedelta(seconds=1)

    assert agenda(frozen, read_ago=usual - second, policy=policy).read is None
    assert agenda(frozen, read_ago=usual - second, policy=policy).wake_at == NOW + second
    assert asked(agenda(frozen, read_ago=usual, policy=policy))


@pytest.mark.parametrize(("age", "every"), [(10, 2), (25, 5), (100, 5), (3600, 20)])
def test_a_doubt_is_looked_into_soon(age: int, every: int) -> None:
    """Every few seconds at first, ever less often later, never at the usual pace only."""
    doubtful = make_intent(ended=-age)

    found = [agenda(doubtful, read_ago=timedelta(seconds=ago)) for ago in (every - 1, every)]

    assert found[0] == Agenda(read=None, wake_at=at(1))
    assert isinstance(found[1].read, ReadOrders)
