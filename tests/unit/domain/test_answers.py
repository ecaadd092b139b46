"""Which bids a rival answered: those after which a start was lost."""

from dataclasses import replace
from typing import Any

import pytest
from builders import (
    NOW,
    ORDER,
    SERVER,
    at,
    make_book,
    make_holding,
    make_listing,
    make_policy,
    make_target,
    make_view,
    mine,
    outbid_holding,
    rival,
    seen,
    usd,
)
from unit.domain.bids import raises

from bidder.domain import answers, fold
from bidder.domain.actions import Reprice
from bidder.domain.ids import OrderId, ServerId
from bidder.domain.policy import AdaptiveParams, StrategyParams, TrackParams
from bidder.domain.positions import position
from bidder.domain.view import Created, Holding, View

HERE = ServerId(SERVER)


def world(holding: Holding, params: StrategyParams | None = None, **changes: Any) -> View:
    """Return a view in which a rival has outbid our 2 USD."""
    book = make_book(mine(usd("2")), rival(usd("2.5"), active=True))
    policy = make_policy(make_target(params=params or AdaptiveParams()))
    return make_view(policy, make_listing(), holdings=[holding], books=[seen(book)], **changes)


def raised(idle: float | None) -> View:
    """Return the view after a raise by a bid that has stood idle for so long, a minute after another."""
    holding = make_holding(price=usd("2")) if idle is None else outbid_holding(since=-idle)
    action = Reprice(
        order=OrderId(ORDER), server=HERE, current=usd("2"), price=usd("2.6"), target="render"
    )
    view = world(holding, raises=raises(-60))
    return fold.repriced(view, action, sent_at=NOW, now=NOW)


@pytest.mark.parametrize(("idle", "counted"), [(None, 0), (0, 0), (0.5, 1), (40, 1)])
def test_an_answer_is_one_that_lost_a_start(idle: float | None, counted: int) -> None:
    """Who regains the server in the moment in which it is lost goes on computing."""
    view = raised(idle)
    assert len(view.raises) == 2
    assert len(answers.answered(HERE, view, NOW)) == counted


@pytest.mark.parametrize(("seconds", "counted"), [(20, 1), (180, 1), (181, 0)])
def test_a_rival_that_looks_every_minute_or_so_answers(seconds: float, counted: int) -> None:
    """Who comes later has reasons of his own; a creation is a bid as well, unless it was refused."""
    now = at(seconds)
    view = world(outbid_holding(), raises=raises(0, seconds))
    assert len(answers.answered(HERE, view, now)) == counted
    created = (Created(server=HERE, at=at(0)),)
    view = world(outbid_holding(), raises=raises(seconds), creations=created)
    assert len(answers.answered(HERE, view, now)) == counted
    view = replace(view, creations=(replace(created[0], refused=True),))
    assert answers.answered(HERE, view, now) == ()


def test_answers_are_forgotten_after_an_hour() -> None:
    """And those on other servers never count."""
    view = world(outbid_holding(), raises=(*raises(-3700, -3600, -3599), *raises(-60, -30, server=7)))
    assert answers.answered(HERE, view, NOW) == (at(-3599),)


@pytest.mark.parametrize(
    ("last", "idle", "counted"),
    [(-60, 20, 2), (-60, 0, 1), (-149, 20, 2), (-151, 20, 1), (-600, 20, 1)],
)
def test_a_bid_that_stands_answered_counts_already(last: float, idle: float, counted: int) -> None:
    """Where the raise to come will count as well, though it takes a moment to arrive."""
    view = world(outbid_holding(since=-idle), raises=raises(last - 30, last))
    assert len(answers.known(view.holdings[OrderId(ORDER)], view, NOW)) == counted


@pytest.mark.parametrize(("params", "counted"), [(AdaptiveParams(), 2), (TrackParams(), 0)])
def test_only_who_weighs_answers_is_told_of_them(params: StrategyParams, counted: int) -> None:
    """What others rest on is kept as before; a raise itself is known to all."""
    view = world(outbid_holding(since=-20), params, raises=raises(-90, -60))
    policy = make_policy(make_target(params=params))
    here = position(view.holdings[OrderId(ORDER)], policy.targets[0], view, policy, NOW)
    assert len(here.answers) == counted
    assert len(here.raises) == 2


def test_a_bid_that_waits_on_top_is_not_answered() -> None:
    """The exchange has yet to let it run: nobody has bid more, neither now nor when it was raised."""
    view = world(outbid_holding(since=-20), raises=raises(-30))
    topped = make_book(mine(usd("2")), rival(usd("1.9"), active=True))
    waiting = replace(view, books={HERE: seen(topped)})
    holding = waiting.holdings[OrderId(ORDER)]
    assert answers.known(holding, view, NOW) == (NOW,)
    assert answers.known(holding, waiting, NOW) == ()
    action = Reprice(
        order=OrderId(ORDER), server=HERE, current=usd("2"), price=usd("2.01"), target="render"
    )
    assert len(answers.answered(HERE, fold.repriced(view, action, sent_at=NOW, now=NOW), NOW)) == 1
    pushed = fold.repriced(waiting, action, sent_at=NOW, now=NOW)
    assert answers.answered(HERE, pushed, NOW) == ()
