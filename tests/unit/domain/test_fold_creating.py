"""Creations of which no order comes: who waits for it, and for how long."""

from dataclasses import replace
from datetime import timedelta

from builders import (
    SERVER,
    TARGET,
    at,
    make_intent,
    make_order,
    make_policy,
    make_target,
    make_view,
    read_orders,
)

from bidder.domain import fold
from bidder.domain.intents import Intent, IntentKind, Settled, Verdict
from bidder.domain.view import View

POLICY = make_policy(make_target(), make_target("second"))


def losing(*intents: Intent) -> View:
    """Return what is known once these creations have been lost, one a minute."""
    view = make_view(POLICY)
    for minute, intent in enumerate(intents):
        verdict = Verdict(intent=intent, settled=Settled.LOST)
        now = at(60 * minute)
        view = fold.orders(view, read_orders(started=60 * minute), [verdict], POLICY, now).view
    return view


def pauses(view: View, *, target: str | None = None, server: int | None = None) -> list[int]:
    """Return the pauses of a target or a server, in minutes."""
    found = (s for s in view.setbacks if (s.target, s.server) == (target, server))
    return [round((s.until - s.at) / timedelta(minutes=1)) for s in found if s.at is not None]


def creations(count: int) -> list[Intent]:
    """Return so many creations of one target, each on a server of its own."""
    return [make_intent(id=number, server=200 + number) for number in range(count)]


def test_a_target_whose_creations_are_lost_one_after_the_other_waits_ever_longer() -> None:
    """Two may be an accident; each server by itself is in order, and another target goes on."""
    assert pauses(losing(*creations(2)), target=TARGET) == []
    view = losing(*creations(7))
    assert pauses(view, target=TARGET)[-4:] == [4, 8, 15, 15]
    assert [s for s in view.setbacks if s.server is not None] == []
    assert view.creating_refused(TARGET, at(400)) is not None
    assert view.creating_refused("second", at(400)) is None


def test_a_server_that_makes_no_order_of_several_creations_waits() -> None:
    """Whoever asked for them; but what a job rents on demand may be its only server."""
    alike = [replace(each, server=SERVER, target=f"t{each.id}") for each in creations(5)]
    assert pauses(losing(*alike), server=SERVER) == [5, 10, 20, 30]
    rented = [replace(each, kind=IntentKind.RENT) for each in alike]
    assert pauses(losing(*rented), server=SERVER) == []


def test_an_order_that_comes_ends_the_count() -> None:
    """What was lost before it was an accident after all."""
    view = losing(*creations(2))
    assert view.in_vain[TARGET].lost == 2
    order, intent = make_order(9), make_intent()
    adopted = Verdict(intent=intent, settled=Settled.ADOPTED, orders=(order.order,))
    read = read_orders(order, started=200)
    assert fold.orders(view, read, [adopted], POLICY, at(200)).view.in_vain == {}
