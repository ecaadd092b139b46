"""What our orders prove about a request whose answer is missing, and what they do not."""

from collections.abc import Iterable
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from builders import LAUNCH, ORDER, TARGET, at, btc, make_intent, make_order, read_orders, usd
from hypothesis import given
from hypothesis import strategies as st

from bidder.domain import intents
from bidder.domain.ids import OrderId
from bidder.domain.intents import Intent, IntentKind, IntentState, OrdersRead, Settled, Verdict
from bidder.domain.market import OrderKind, OwnOrder

GRACE = timedelta(seconds=120)
STALE = intents.STALENESS.total_seconds()
AWAY = intents.LEFT_OUT.total_seconds()


def settled(intent: Intent, read: OrdersRead) -> Verdict:
    """Return the verdict on one intent."""
    (verdict,) = intents.settle([intent], read, grace=GRACE)
    return verdict


def young(number: int = 8, **changes: Any) -> OwnOrder:
    """Return an order of our server created just now."""
    order = {"created_at": at(1), **changes}
    return make_order(number, **order)


def withdrawing(**changes: Any) -> Intent:
    """Return a cancellation whose answer is missing."""
    return make_intent(IntentKind.WITHDRAW, price=None, **changes)


def repricing(to: str, **changes: Any) -> Intent:
    """Return a change of price, from 2 USD, whose answer is missing."""
    return make_intent(IntentKind.REPRICE, price=usd(to), previous_price=usd("2"), **changes)


# --- creations


def test_the_one_new_order_of_the_right_kind_is_ours() -> None:
    """Server, type and currency agree, and it was not there before."""
    verdict = settled(make_intent(known=[7]), read_orders(make_order(7), young(8), started=5))
    assert verdict.settled is Settled.ADOPTED
    assert verdict.orders == (8,)


STRANGERS: dict[str, OwnOrder] = {
    "known before": make_order(7),
    "another server": make_order(8, server=102),
    "on demand": make_order(8, kind=OrderKind.ON_DEMAND),
    "another currency": make_order(8, price=btc("0.001")),
}


@pytest.mark.parametrize("why", STRANGERS)
def test_an_order_that_the_request_cannot_have_made_is_not_adopted(why: str) -> None:
    """It is somebody's, and the request stays in doubt."""
    verdict = settled(make_intent(known=[7]), read_orders(STRANGERS[why], started=5))
    assert verdict.settled is Settled.UNKNOWN
    assert verdict.counts_as_empty


def test_an_on_demand_rental_looks_for_an_on_demand_order() -> None:
    """A spot order on the same server is not its result."""
    rent = make_intent(IntentKind.RENT)
    both = read_orders(young(8), young(9, kind=OrderKind.ON_DEMAND), started=5)
    assert settled(rent, both).orders == (9,)


def test_two_orders_that_fit_are_a_case_for_a_person() -> None:
    """Nobody can say which is the daemon's."""
    verdict = settled(make_intent(), read_orders(young(8), young(9), started=5))
    assert verdict.settled is Settled.AMBIGUOUS
    assert verdict.orders == (8, 9)


def test_an_order_that_had_ended_before_the_request_is_not_its_result() -> None:
    """One that nobody knew is listed among the ended ones: the creation waits for its own."""
    old = make_order(8, created_at=at(-86_400), expired=True)
    verdict = settled(make_intent(), read_orders(old, started=5))
    assert verdict.settled is Settled.UNKNOWN
    assert verdict.counts_as_empty
    assert settled(make_intent(), read_orders(old, young(9), started=10)).orders == (9,)


def test_of_two_orders_that_fit_one_that_has_ended_is_not_taken_for_the_other() -> None:
    """A read may leave out the one that runs on: once it is listed again, it is the daemon's."""
    frozen = make_intent(state=IntentState.AMBIGUOUS)
    over = young(8, expired=True)
    assert settled(frozen, read_orders(over, started=5)).settled is Settled.UNKNOWN
    verdict = settled(frozen, read_orders(over, young(9), started=10))
    assert (verdict.settled, verdict.orders) == (Settled.ADOPTED, (9,))


def test_the_time_of_creation_tells_two_orders_apart() -> None:
    """Yesterday's order was not made by a request of this minute."""
    old = make_order(8, created_at=at(-86_400))
    assert settled(make_intent(), read_orders(old, young(9), started=5)).orders == (9,)


def test_a_machine_with_a_wrong_clock_still_finds_its_order() -> None:
    """The one order that fits is adopted although its ``ct`` says yesterday."""
    verdict = settled(make_intent(), read_orders(make_order(8, created_at=at(-86_400)), started=5))
    assert verdict.settled is Settled.ADOPTED


def test_an_order_that_came_and_went_is_adopted_as_ended() -> None:
    """It costs nothing any more, but its spend is ours to account for."""
    verdict = settled(make_intent(), read_orders(young(8, expired=True), started=5))
    assert verdict.settled is Settled.ADOPTED
    assert verdict.orders == (8,)


def test_a_running_order_is_preferred_to_one_that_has_ended() -> None:
    """The ended one was a person's or an earlier try."""
    read = read_orders(young(8, expired=True), young(9), started=5)
    assert settled(make_intent(), read).orders == (9,)


def test_a_creation_is_lost_only_after_the_grace_and_three_complete_reads() -> None:
    """Too early, too few, too close together, or without the ended orders: still unknown."""
    tried = make_intent(empty_reads=2, empty_since=at(5))
    assert settled(tried, read_orders(started=120)).settled is Settled.LOST
    for intent, read in (
        (tried, read_orders(started=119)),
        (tried, read_orders(started=500, completed=False)),
        (make_intent(empty_reads=1, empty_since=at(5)), read_orders(started=500)),
        (make_intent(empty_reads=9, empty_since=at(401)), read_orders(started=500)),
        (make_intent(empty_reads=9), read_orders(started=500)),
    ):
        verdict = settled(intent, read)
        assert verdict.settled is Settled.UNKNOWN
        assert verdict.counts_as_empty


def test_an_accepted_creation_is_given_up_later_than_one_in_doubt() -> None:
    """An order most likely came of it; but one that never comes must not keep its slot for hours."""
    accepted = make_intent(accepted=True, empty_reads=5, empty_since=at(2))
    assert settled(accepted, read_orders(started=599)).settled is Settled.UNKNOWN
    assert settled(accepted, read_orders(started=601)).settled is Settled.LOST
    longer = intents.settle([accepted], read_orders(started=601), grace=timedelta(minutes=20))
    assert longer[0].settled is Settled.UNKNOWN


# --- listed after all

IMAGES: dict[str | None, str] = {TARGET: LAUNCH.image}
LOST = make_intent(accepted=True)


def late(
    *orders: OwnOrder, lost: tuple[Intent, ...] = (LOST,), ours: Iterable[int] = ()
) -> list[tuple[int, str | None]]:
    """Return which orders come of lost creations by a read an hour later, and whose they are."""
    explained = frozenset(map(OrderId, ours))
    read = read_orders(*orders, started=3600)
    found = intents.late(lost, read, explained=explained, images=IMAGES)
    assert all(verdict.settled is Settled.ADOPTED for verdict in found)
    return [(verdict.orders[0], verdict.intent.target) for verdict in found]


def made(number: int = 8, **changes: Any) -> OwnOrder:
    """Return an order that is just as the lost creation asked for."""
    return make_order(number, **{"image": LAUNCH.image, "created_at": at(0), **changes})


def test_the_order_of_a_creation_that_was_given_up_is_its_targets() -> None:
    """Listed an hour late, it is all that was asked for."""
    assert late(made()) == [(8, TARGET)]
    assert late(made(server=102)) == []


@pytest.mark.parametrize(
    "change",
    [
        {"image": "somebody/elses"},
        {"price": usd("2.01")},
        {"price": btc("0.00004")},
        {"kind": OrderKind.ON_DEMAND},
        {"created_at": at(1300)},
        {"created_at": at(-1300)},
        {"expired": True},
    ],
)
def test_an_order_that_differs_from_what_was_asked_for_stays_a_persons(change: dict[str, Any]) -> None:
    """A person may have ordered on that very server."""
    assert late(made(**change)) == []


def test_what_is_known_already_came_of_no_lost_creation() -> None:
    """Neither what is ours or over, nor what was there before the request."""
    assert late(made(), ours=[8]) == []
    assert late(made(), lost=(make_intent(known=[8]),)) == []


def test_of_two_orders_that_a_lost_creation_could_have_made_neither_is_ours_for_certain() -> None:
    """One of them may be a person's."""
    assert late(made(8), made(9)) == []


def test_of_two_lost_creations_of_one_target_either_may_have_made_the_order() -> None:
    """It is that target's all the same; of two targets nobody could say whose it is."""
    first, second = make_intent(), make_intent(id=2, opened_at=at(200), ended=201)
    assert late(made(), lost=(first, second)) == [(8, TARGET)]
    other = replace(second, target="another")
    read = read_orders(made(), started=3600)
    images = {**IMAGES, "another": LAUNCH.image}
    assert intents.late((first, other), read, explained=frozenset(), images=images) == ()


def test_on_demand_the_price_that_was_asked_for_is_a_limit() -> None:
    """The host may have lowered it meanwhile."""
    rent = make_intent(IntentKind.RENT)
    assert late(made(kind=OrderKind.ON_DEMAND, price=usd("1.5")), lost=(rent,)) == [(8, TARGET)]
    assert late(made(kind=OrderKind.ON_DEMAND, price=usd("2.5")), lost=(rent,)) == []


def test_a_read_that_began_before_the_request_ended_proves_nothing() -> None:
    """Its answer may be older than the request's effect: it does not even count as empty."""
    verdict = settled(make_intent(empty_reads=9), read_orders(started=-0.5))
    assert verdict.settled is Settled.UNKNOWN
    assert not verdict.counts_as_empty


def test_after_a_crash_the_moment_of_writing_counts() -> None:
    """Nobody knows when it ended; it cannot have begun before it was written down."""
    crashed = make_intent(ended=None, empty_reads=2, empty_since=at(0))
    assert settled(crashed, read_orders(started=118)).settled is Settled.UNKNOWN
    assert settled(crashed, read_orders(started=119)).settled is Settled.LOST


def test_two_requests_never_share_one_order() -> None:
    """The first takes it, the second goes on waiting."""
    first, second = make_intent(), make_intent(id=2)
    verdicts = intents.settle([first, second], read_orders(young(8), started=5), grace=GRACE)
    assert [verdict.settled for verdict in verdicts] == [Settled.ADOPTED, Settled.UNKNOWN]


# --- a lost answer of set_spot_price


def test_a_price_that_shows_confirms_the_change() -> None:
    """However soon."""
    read = read_orders(make_order(price=usd("3")), started=0)
    assert settled(repricing("3"), read).settled is Settled.CONFIRMED


def test_a_price_that_does_not_show_denies_it_only_once_staleness_is_excluded() -> None:
    """Answers of our orders lag."""
    order = make_order(price=usd("2"))
    early, late = read_orders(order, started=STALE - 1), read_orders(order, started=STALE)
    assert settled(repricing("3"), early).settled is Settled.UNKNOWN
    assert settled(repricing("3"), late).settled is Settled.NOT_DONE


@pytest.mark.parametrize(("gone", "after"), [([], AWAY), ([make_order(expired=True)], STALE)])
def test_a_change_of_an_order_that_has_ended_is_moot(gone: list[OwnOrder], after: float) -> None:
    """Once it is sure that it has ended, and is not just left out of the list."""
    assert settled(repricing("3"), read_orders(*gone, started=after - 1)).settled is Settled.UNKNOWN
    assert settled(repricing("3"), read_orders(*gone, started=after)).settled is Settled.NOT_DONE


# --- a lost answer of cancel_order


def test_an_order_that_is_gone_confirms_its_cancellation() -> None:
    """Listed as ended at once; not listed, once it cannot just be left out."""
    ended = read_orders(make_order(expired=True), started=0)
    assert settled(withdrawing(), ended).settled is Settled.CONFIRMED
    assert settled(withdrawing(), read_orders(started=AWAY - 1)).settled is Settled.UNKNOWN
    assert settled(withdrawing(), read_orders(started=AWAY)).settled is Settled.CONFIRMED
    accepted = replace(withdrawing(), accepted=True)
    assert settled(accepted, read_orders(started=0)).settled is Settled.CONFIRMED


def test_an_order_that_is_still_there_denies_it_only_once_staleness_is_excluded() -> None:
    """Then the cancellation is decided anew."""
    early, late = read_orders(make_order(), started=STALE - 1), read_orders(make_order(), started=STALE)
    assert settled(withdrawing(), early).settled is Settled.UNKNOWN
    verdict = settled(withdrawing(), late)
    assert verdict.settled is Settled.NOT_DONE
    assert verdict.orders == (ORDER,)


# --- any intent

_ORDERS = st.lists(
    st.builds(
        make_order,
        st.integers(1, 6),
        server=st.integers(101, 102),
        price=st.sampled_from([usd("2"), usd("3"), btc("0.001")]),
        kind=st.sampled_from(OrderKind),
        expired=st.booleans(),
        created_at=st.integers(-90_000, 60).map(at),
    ),
    unique_by=lambda order: order.order,
    max_size=6,
)
_INTENTS = st.builds(
    make_intent,
    st.sampled_from(IntentKind),
    price=st.sampled_from([usd("2"), usd("3")]),
    known=st.frozensets(st.integers(1, 6)),
    ended=st.none() | st.integers(0, 30),
    empty_reads=st.integers(0, 5),
    empty_since=st.none() | st.integers(0, 200).map(at),
    accepted=st.booleans(),
)


@given(intent=_INTENTS, orders=_ORDERS, started=st.integers(-30, 300), completed=st.booleans())
def test_no_read_makes_a_second_order_possible_or_takes_a_known_one(
    intent: Intent, orders: list[OwnOrder], started: int, completed: bool
) -> None:
    """A creation is given up only when nothing fits; it never adopts what was there before."""
    read = read_orders(*orders, started=started, completed=completed)
    verdict = settled(intent, read)
    fitting = [order for order in orders if intents.fits(intent, order)]
    if not intent.creates:
        assert verdict.settled not in {Settled.ADOPTED, Settled.LOST, Settled.AMBIGUOUS}
        return
    assert not set(verdict.orders) & intent.known_orders
    if verdict.settled is Settled.LOST:
        assert not fitting
        assert completed
        assert at(started) - intent.over_since() >= GRACE
        assert intent.empty_since is not None
        assert at(started) - intent.empty_since >= intents.LEFT_OUT
    if verdict.settled is Settled.ADOPTED:
        assert len(verdict.orders) == 1
        running = {order.order for order in fitting if not order.expired}
        assert verdict.orders[0] in (running or {order.order for order in fitting})
    if any(not order.expired for order in fitting):
        assert verdict.settled in {Settled.ADOPTED, Settled.AMBIGUOUS}


@given(intent=_INTENTS, orders=_ORDERS)
def test_a_read_from_before_the_request_settles_no_doubt_by_absence(
    intent: Intent, orders: list[OwnOrder]
) -> None:
    """Only what it shows counts, never what it lacks."""
    verdict = settled(intent, read_orders(*orders, started=-2))
    assert verdict.settled not in {Settled.LOST, Settled.NOT_DONE, Settled.CONFIRMED}
    assert not verdict.counts_as_empty
