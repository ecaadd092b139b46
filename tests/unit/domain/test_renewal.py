"""An order ends at ``ct + mrl``: when its successor is sought, and whether both may run."""

from datetime import timedelta
from typing import Any

from builders import (
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

from bidder.domain import planning
from bidder.domain.actions import Decision, PlaceBid, Reason
from bidder.domain.policy import Policy, Renewal
from bidder.domain.view import Holding


def free(*servers: int, floor: str = "1") -> dict[str, Any]:
    """Return free servers whose empty books were just read."""
    return {
        "listings": [make_listing(s, floor=usd(floor)) for s in servers],
        "books": [seen(make_book(server=s, floor=usd(floor))) for s in servers],
    }


def planned(
    policy: Policy, *listings: Any, now_after: float = 0, **changes: Any
) -> tuple[Decision, ...]:
    """Return every decision of a policy in a situation."""
    world = free(202, 303)
    books = [*world["books"], *changes.pop("books", ())]
    view = make_view(policy, *listings, *world["listings"], books=books, **changes)
    return planning.plan(view, policy, at(now_after))


def creations(decisions: tuple[Decision, ...]) -> list[Decision]:
    """Return the decisions to place a bid."""
    return [d for d in decisions if isinstance(d.action, PlaceBid)]


def ending(minutes: float, number: int = 7, server: int = 101) -> Holding:
    """Return a running order that ends in so many minutes."""
    order = make_order(
        number,
        server=server,
        price=usd("1"),
        created_at=at(-3600),
        mrl=timedelta(seconds=3600 + 60 * minutes),
    )
    return make_holding(order=order)


def renewing(overlap: bool, *held: Holding, want: int = 1, **changes: Any) -> tuple[Decision, ...]:
    """Return what is decided where a successor is sought ten minutes before the end."""
    policy = make_policy(make_target(want=want, renewal=Renewal(overlap=overlap)))
    books = [
        seen(make_book(mine(usd("1"), active=True, number=h.order.order), server=h.order.server))
        for h in held
    ]
    listings = [make_listing(h.order.server) for h in held]
    return planned(policy, *listings, holdings=held, books=books, **changes)


def test_with_an_overlap_the_successor_is_sought_while_the_old_order_runs() -> None:
    """Ten minutes before its end, and no earlier."""
    assert creations(renewing(True, ending(10.1))) == []
    (successor,) = creations(renewing(True, ending(9.9)))
    assert successor.reason is Reason.RENEW
    assert successor.server == 202


def test_the_old_order_is_left_to_run_out() -> None:
    """It is no surplus beside its successor."""
    young = make_holding(8, server=202, price=usd("1"))
    decisions = renewing(True, ending(5), young)
    assert creations(decisions) == []
    assert Reason.SURPLUS not in {d.reason for d in decisions}


def test_a_successor_in_the_making_is_not_sought_twice() -> None:
    """An open creation counts."""
    making = make_intent(server=303, accepted=True)
    assert creations(renewing(True, ending(5), intents=(making,))) == []


def test_two_orders_that_end_together_are_succeeded_one_after_the_other() -> None:
    """Never more than one over what is wanted."""
    both = (ending(5), ending(6, 8, 102))
    assert len(creations(renewing(True, *both, want=2))) == 1
    young = make_holding(9, server=404, price=usd("1"))
    decisions = renewing(True, *both, young, want=2)
    assert creations(decisions) == []
    assert Reason.SURPLUS not in {d.reason for d in decisions}


def test_without_an_overlap_the_successor_waits_for_the_end() -> None:
    """Two are never paid at once; once the old one is over, the slot is filled."""
    assert creations(renewing(False, ending(0.1))) == []
    (successor,) = creations(renewing(False))
    assert successor.reason is Reason.EMPTY_SLOT


def test_an_empty_slot_beside_an_ending_order_is_no_renewal() -> None:
    """Without an overlap nothing is renewed ahead."""
    (filling,) = creations(renewing(False, ending(5), want=2))
    assert filling.reason is Reason.EMPTY_SLOT


def test_a_successor_is_not_due_before_half_of_an_orders_time_is_over() -> None:
    """Asked for earlier than an order lives, each would need one at once, and two be paid for ever."""
    policy = make_policy(make_target(renewal=Renewal(before=timedelta(hours=24), overlap=True)))

    def successors(aged: timedelta) -> int:
        order = make_order(mrl=timedelta(hours=12), created_at=at(-aged.total_seconds()), price=usd("1"))
        book = seen(make_book(mine(usd("1"), active=True)))
        return len(
            creations(
                planned(policy, make_listing(), holdings=[make_holding(order=order)], books=[book])
            )
        )

    assert successors(timedelta(minutes=1)) == 0
    assert successors(timedelta(hours=5, minutes=59)) == 0
    assert successors(timedelta(hours=6)) == 1
