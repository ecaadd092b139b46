"""What an unfinished intent waits for is what ``settle`` goes by, to the second."""

from dataclasses import replace
from datetime import timedelta

from hypothesis import given
from hypothesis import strategies as st
from store_values import NOW, make_holding, make_intent

from bidder.domain.ids import OrderId
from bidder.domain.intents import IntentKind, IntentState, OrdersRead, Settled, settle
from bidder.domain.market import OrdersAnswer
from bidder.domain.waiting import Awaited, waits_for

GRACE = timedelta(minutes=2)


@given(
    kind=st.sampled_from([IntentKind.PLACE, IntentKind.RENT, IntentKind.REPRICE, IntentKind.WITHDRAW]),
    answered=st.none() | st.integers(0, 60),
    empty=st.integers(0, 5),
    began=st.integers(0, 90),
    early=st.integers(1, 200),
    late=st.integers(0, 200),
    accepted=st.booleans(),
)
def test_it_is_given_up_when_the_wait_says(
    kind: IntentKind, answered: int | None, empty: int, began: int, early: int, late: int, accepted: bool
) -> None:
    """A read that shows nothing of it proves that from the moment named, and never before."""
    ended_at = None if answered is None else NOW + timedelta(seconds=answered)
    order = None if kind in {IntentKind.PLACE, IntentKind.RENT} else OrderId(7)
    since = NOW + timedelta(seconds=began)
    intent = make_intent(kind, ended_at=ended_at, empty_reads=empty, empty_since=since, order=order)
    intent = replace(intent, accepted=accepted)
    shown = () if intent.creates else (make_holding(7).order,)
    wait = waits_for(intent, shown, grace=GRACE)
    assert wait.given_up_at is not None

    def verdict(seconds: int) -> Settled:
        assert wait.given_up_at is not None
        read = OrdersRead(
            answer=OrdersAnswer(orders=shown, limit=None),
            started_at=wait.given_up_at + timedelta(seconds=seconds),
            completed=True,
        )
        return settle([intent], read, grace=GRACE)[0].settled

    given_up = Settled.LOST if intent.creates else Settled.NOT_DONE
    assert verdict(-early) is Settled.UNKNOWN
    assert (verdict(late) is given_up) == (wait.reads == 1)


def test_an_ambiguous_creation_names_the_orders_that_fit() -> None:
    """Only a person can tell which of them is meant."""
    live = [make_holding(7, server=107).order, make_holding(8, server=107).order, make_holding(9).order]

    wait = waits_for(make_intent(state=IntentState.AMBIGUOUS), live, grace=GRACE)

    assert (wait.awaited, wait.orders) == (Awaited.PERSON, (OrderId(7), OrderId(8)))
    assert wait.given_up_at is None


def test_what_is_awaited_follows_from_the_kind() -> None:
    """A creation its order, a change its price, a withdrawal the end."""
    kinds = (IntentKind.PLACE, IntentKind.REPRICE, IntentKind.WITHDRAW)

    found = [waits_for(make_intent(kind), (), grace=GRACE).awaited for kind in kinds]

    assert found == [Awaited.ORDER, Awaited.PRICE, Awaited.END]
