"""Which read comes next: in doubt, while a person is waited for, and before a price may go down."""

from dataclasses import replace
from datetime import timedelta

import pytest
from builders import NOW, SERVER, at, make_book, make_holding, make_intent, make_policy, make_view, seen

from bidder.domain.agenda import Agenda, ReadBook, ReadOrders, next_read
from bidder.domain.intents import Intent, IntentState
from bidder.domain.policy import Policy
from bidder.domain.price_rules import LOWERING_PAUSE, LoweringClock

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


@pytest.mark.parametrize("target", [None, "of long ago"])
def test_an_order_that_nobody_looks_after_is_looked_for_among_the_ended(target: str | None) -> None:
    """Else it would count for the rails, and keep its server taken, as long as nothing else asks."""
    gone = replace(make_holding(target=target), missing_since=at(-90), missing_reads=2)
    view = make_view(POLICY, holdings=[gone], orders_at=NOW, completed_at=at(-60))
    fresh = replace(view, marketplace_at=NOW, wallets_at=NOW)

    assert asked(next_read(fresh, (), POLICY, NOW))
    held = {gone.order.order: replace(gone, missing_since=None, missing_reads=0)}
    assert not asked(next_read(replace(fresh, holdings=held), (), POLICY, NOW))


def before_opening(seconds: float, *, active: bool = True, read_ago: float = 300) -> Agenda:
    """Return the agenda so long before a clock opens, where books are read every ten minutes."""
    policy = replace(POLICY, pace=replace(POLICY.pace, book_every=timedelta(minutes=10)))
    lowered_at = at(seconds) - LOWERING_PAUSE
    held = make_holding(active=active, clock=LoweringClock(lowered_at=lowered_at))
    book = seen(make_book(), when=at(-read_ago))
    view = make_view(policy, holdings=[held], books=[book], orders_at=NOW, completed_at=NOW)
    return next_read(replace(view, marketplace_at=NOW, wallets_at=NOW), (), policy, NOW)


def test_the_book_is_read_just_before_its_clock_opens() -> None:
    """However seldom books are read otherwise: the opening is an exact second."""
    assert before_opening(10) == Agenda(read=None, wake_at=at(10 - 1.3))
    assert before_opening(1.2).read == ReadBook(server=SERVER)


def test_a_book_that_could_not_be_read_then_is_read_after_the_opening() -> None:
    """Who missed the second does not miss ten minutes; one that cannot be read waits for its turn."""
    assert before_opening(-10).read == ReadBook(server=SERVER)
    assert before_opening(-60).read is None


@pytest.mark.parametrize(("active", "read_ago"), [(False, 300), (True, 1)])
def test_no_book_is_read_early_for_nothing(active: bool, read_ago: float) -> None:
    """Not that of an offer that does not run, and not one that is fresh enough to act on."""
    assert before_opening(1.2, active=active, read_ago=read_ago).read is None
