"""A strategy of the owner's: asked only what can be judged, believed in nothing."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from builders import (
    CEILING,
    NOW,
    SERVER,
    at,
    make_book,
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
from unit.domain.bids import decided, facing, repriced

from bidder.app import alarms
from bidder.domain import planning
from bidder.domain.actions import Decision, Reason, Withdraw
from bidder.domain.money import Price
from bidder.domain.policy import Launch, OwnParams
from bidder.domain.strategies import common
from bidder.domain.view import BookSeen

OUTBID = outbid_holding(price=usd("2"))
BOOK = (rival(usd("3"), active=True), mine(usd("2")))
Decide = Callable[..., Any]


def own(decide: Decide, **settings: Any) -> OwnParams:
    """Return the parameters of a function under test."""
    return OwnParams(function="tests:decide", decide=decide, settings=tuple(settings.items()))


def asked(decide: Decide, **settings: Any) -> Decision:
    """Return what comes of the function's answer for an outbid offer."""
    return facing(*BOOK, holding=OUTBID, params=own(decide, **settings))


def bid(amount: str) -> Decide:
    """Return a function that always names this price."""
    return lambda position, params, now: common.act(
        position, Reason.OUTBID, common.reprice(position, usd(amount)), urgency=1
    )


def test_its_answer_is_carried_out() -> None:
    """With its facts, and with the urgency of a raise whatever it says."""
    decision = asked(bid("3.01"))

    assert repriced(decision) == usd("3.01")
    assert decision.urgency == common.URGENT_REGAIN
    assert decision.facts["rival"] == "3 USD"


def test_it_gets_the_settings_and_not_the_launch() -> None:
    """What runs on a server is none of its business."""
    got: list[Any] = []

    def decide(position: Any, params: Mapping[str, Any], now: Any) -> Decision:
        got.extend((dict(params), position.target.launch, now))
        return common.hold(position, Reason.PATIENCE)

    asked(decide, share=Decimal("0.5"))

    assert got == [{"share": Decimal("0.5")}, Launch(image=""), NOW]


@pytest.mark.parametrize(
    "known",
    [seen(make_book(*BOOK), when=at(-60)), seen(make_book(rival(usd("9"))))],
    ids=["too old", "our offer is missing"],
)
def test_it_is_not_asked_what_cannot_be_judged(known: BookSeen) -> None:
    """The book is read again first."""
    policy = make_policy(make_target(params=own(never)))
    view = make_view(policy, make_listing(), holdings=[OUTBID], books=[known])

    assert decided(view, policy).reason is Reason.STALE


def never(position: Any, params: Any, now: Any) -> Decision:
    """Fail if asked."""
    raise AssertionError("it was asked")


def test_a_bid_above_its_ceiling_comes_down_without_being_asked() -> None:
    """Also where the function is broken."""
    dear = outbid_holding(price=usd("7"))

    decision = facing(rival(usd("8"), active=True), mine(usd("7")), holding=dear, params=own(never))

    assert decision.reason is Reason.ABOVE_CEILING
    assert isinstance(decision.action, Withdraw)


def quits(position: Any, params: Any, now: Any) -> Decision:
    """Try to end the daemon."""
    raise SystemExit(3)


def shouts(position: Any, params: Any, now: Any) -> Decision:
    """Raise what holds a secret."""
    raise ValueError("hunter2")


def test_whatever_it_raises_the_bid_stays() -> None:
    """The facts name kind and place, never what was said."""
    for decide, kind in ((quits, "SystemExit"), (shouts, "ValueError")):
        decision = asked(decide)

        assert decision.action is None
        assert decision.reason is Reason.STRATEGY_FAILED
        assert str(decision.facts["problem"]).startswith(f"it raised {kind} at test_own.py:")
        assert "hunter2" not in str(decision)
        assert decision.facts["strategy"] == "tests:decide"


def test_a_keyboard_interrupt_is_the_owners() -> None:
    """Control-C in the middle of a strategy ends the command."""

    def decide(position: Any, params: Any, now: Any) -> Decision:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        asked(decide)


def test_a_due_that_is_past_is_dropped() -> None:
    """It would be asked again without a pause."""
    past = asked(lambda p, s, now: common.hold(p, Reason.PATIENCE, due=now))
    later = asked(lambda p, s, now: common.hold(p, Reason.PATIENCE, due=now + timedelta(seconds=9)))

    assert (past.due, later.due) == (None, at(9))


@pytest.mark.parametrize("name", ["multiplier", "looking_at", "kept_by", "wanted_to"])
def test_a_fact_of_the_daemons_own_is_not_its_to_tell(name: str) -> None:
    """By that name the daemon says what became of the answer, which is left out when it is verified."""
    told: dict[str, Any] = {name: 1.2}
    decision = asked(lambda p, s, now: common.hold(p, Reason.PATIENCE, **told))

    assert decision.reason is Reason.STRATEGY_FAILED
    assert f"the daemon tells the fact '{name}' itself" in str(decision.facts["problem"])


def test_the_rails_hold_it() -> None:
    """A bid above the ceiling is stopped and says which rail did it."""
    decision = asked(bid("5.01"))

    assert decision.action is None
    assert (decision.reason, decision.facts["rail"]) == (Reason.RAIL, "ceiling")


def test_no_reason_gets_an_action_past_the_rails() -> None:
    """The owner's commands pass them; a strategy cannot pretend to be one."""
    decision = asked(lambda p, s, n: common.act(p, Reason.ORDERED, common.withdraw(p), urgency=99))

    assert (decision.action, decision.reason) == (None, Reason.STRATEGY_FAILED)


def opened(opening: Decide) -> Decision:
    """Return what comes of a function's first bid on a free server."""
    params = replace(own(never), opening="tests:opening", opening_bid=opening)
    policy = make_policy(make_target(params=params))
    empty = make_book(rival(usd("2"), active=True))
    view = make_view(policy, make_listing(), books=[seen(empty)])
    (decision,) = planning.plan(view, policy, NOW)
    return decision


def test_a_first_bid_is_its_own() -> None:
    """None stays away; what cannot be bid is a failure that says so."""
    decision = opened(lambda quote, params: usd("2.50"))
    assert getattr(decision.action, "price", None) == usd("2.50")
    assert opened(lambda quote, params: None).reason is Reason.TOO_EXPENSIVE
    for wrong in (usd("1.50"), CEILING.one_tick_up(), Decimal(3), Price(Decimal(0), usd("1").currency)):
        failed = opened(lambda quote, params, wrong=wrong: wrong)
        assert (failed.action, failed.reason) == (None, Reason.STRATEGY_FAILED)
        assert failed.server == SERVER


def test_a_failure_is_told_at_once_and_then_not_for_hours() -> None:
    """Also where it fails at one read and answers at the next."""
    policy = make_policy(make_target(params=own(shouts)))
    view = make_view(policy, make_listing())
    failed = asked(shouts)
    watch, told = alarms.Watch(), []
    for second in range(0, 8 * 3600, 60):
        decisions = [failed] if second % 120 == 0 else []
        present = alarms.causes(view, decisions, policy, unreachable=False)
        watch, tell = alarms.watch(watch, present, policy, at(second))
        told += [(second // 3600, alarm.text) for alarm in tell]

    assert [hour for hour, _ in told] == [0, 6]
    assert "tests:decide: it raised ValueError at test_own.py" in told[0][1]
