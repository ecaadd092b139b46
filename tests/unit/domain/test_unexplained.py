"""An order that looks like a target's own fills its slot until a person has decided."""

from dataclasses import replace
from typing import Any

import pytest
from builders import (
    LAUNCH,
    TARGET,
    make_book,
    make_holding,
    make_listing,
    make_order,
    make_policy,
    make_target,
    make_view,
    seen,
    server_ids,
    usd,
)

from bidder.app import alarms
from bidder.domain import guard, planning
from bidder.domain.actions import Decision, PlaceBid, Reason
from bidder.domain.market import Marketplace, OrderKind
from bidder.domain.policy import Mode, Policy, Requirements
from bidder.domain.view import View

POLICY = make_policy(make_target(want=1))
FREE = seen(make_book(server=102))


def forgotten(policy: Policy = POLICY, **order: Any) -> View:
    """Return a view with an order of nobody on server 101, and a free server beside it."""
    strange = make_holding(order=make_order(**{"image": LAUNCH.image, **order}), target=None)
    return make_view(policy, make_listing(), make_listing(102), holdings=[strange], books=[FREE])


def placed(view: View, policy: Policy = POLICY) -> list[Decision]:
    """Return the decisions that would create an order."""
    decided = planning.plan(view, policy, FREE.at)
    return [d for d in decided if isinstance(d.action, PlaceBid)]


def test_it_is_not_ordered_a_second_time() -> None:
    """As a database restored from a backup would."""
    assert placed(forgotten()) == []


def test_a_person_is_told_at_once_which_order_it_is() -> None:
    """And what can be done about it."""
    view = forgotten()
    decisions = planning.plan(view, POLICY, FREE.at)
    assert [d.reason for d in decisions] == [Reason.FROZEN]
    (alarm,) = alarms.causes(view, decisions, POLICY, unreachable=False)
    assert alarm.at_once
    assert "order 7 looks like one of its own" in alarm.text
    assert "adopt: true" in alarm.text


def test_before_a_marketplace_was_read_nobody_is_told_yet() -> None:
    """It may be any target's, and keeps a slot of each of them; whose it looks like is told then."""
    view = replace(forgotten(), marketplace=Marketplace(listings={}), marketplace_at=None)
    decisions = planning.plan(view, POLICY, FREE.at)
    assert [d.reason for d in decisions] == [Reason.FROZEN]
    assert alarms.causes(view, decisions, POLICY, unreachable=False) == ()


def test_on_paper_a_real_order_is_no_paper_order() -> None:
    """The slot on paper is filled beside it: nothing is ordered, and nobody can adopt it there."""
    policy = replace(POLICY, mode=Mode.PAPER)
    assert len(placed(forgotten(policy), policy)) == 1


def test_another_image_or_kind_is_a_persons_own_affair() -> None:
    """Such an order cannot have come from the target's launch."""
    assert len(placed(forgotten(image="other/image"))) == 1
    assert len(placed(forgotten(kind=OrderKind.ON_DEMAND))) == 1


def test_a_server_that_does_not_qualify_is_a_persons_own_affair() -> None:
    """The target would not have chosen it."""
    target = make_target(want=1)
    picky = replace(target.requirements, exclude_countries=frozenset({"DE"}))
    policy = make_policy(replace(target, requirements=picky))
    strange = make_holding(order=make_order(image=LAUNCH.image), target=None)
    abroad = make_listing(102, specs=replace(make_listing().specs, country="FR"))
    view = make_view(policy, make_listing(), abroad, holdings=[strange], books=[FREE])
    assert len(placed(view, policy)) == 1


WANTED = make_policy(
    *(
        make_target(model, requirements=Requirements(gpu_models=(model,)))
        for model in ("RTX 4090", "RTX 3090", "A100")
    )
)
UNLISTED = 404


@pytest.mark.parametrize(
    ("said", "frozen"),
    [
        ({"gpu_model": "RTX 4090", "gpu_count": 1}, {"RTX 4090"}),
        ({"gpu_model": "RTX 4080", "gpu_count": 1}, set()),
        ({}, {"RTX 4090", "RTX 3090", "A100"}),
    ],
    ids=["of one of them", "of none", "not told"],
)
def test_on_a_server_that_is_not_listed_an_orders_own_gpus_say_whose_it_may_be(
    said: dict[str, Any], frozen: set[str]
) -> None:
    """All targets launch the same image; where nothing is told it may be any of theirs."""
    view = forgotten(WANTED, server=UNLISTED, **said)
    decided = planning.plan(view, WANTED, FREE.at)
    assert {d.target for d in decided if d.reason is Reason.FROZEN} == frozen


def test_on_a_server_that_is_not_listed_the_rail_goes_by_the_orders_gpus_too() -> None:
    """By the number of GPUs and of the server as well."""
    bid = PlaceBid(server=make_listing(102).server, price=usd("1"), target=TARGET, launch=LAUNCH)
    wish = Decision(target=TARGET, reason=Reason.EMPTY_SLOT, action=bid)
    eight = {"server": UNLISTED, "gpu_model": "RTX 3090", "gpu_count": 8}
    for wanted, stopped in (
        (Requirements(gpu_models=("RTX 3090",)), True),
        (Requirements(gpu_models=("RTX 3090",), max_gpus=4), False),
        (Requirements(servers=server_ids(102)), False),
        (Requirements(exclude_servers=server_ids(UNLISTED)), False),
    ):
        policy = make_policy(make_target(requirements=wanted))
        decided = guard.apply(wish, forgotten(policy, **eight), policy, FREE.at)
        assert (decided.facts.get("rail") == "want") is stopped


def test_the_rail_holds_without_the_plan() -> None:
    """Whatever a strategy says."""
    bid = PlaceBid(server=make_listing(102).server, price=usd("1"), target=TARGET, launch=LAUNCH)
    wish = Decision(target=TARGET, reason=Reason.EMPTY_SLOT, action=bid)
    assert guard.apply(wish, forgotten(), POLICY, FREE.at).facts["rail"] == "want"
