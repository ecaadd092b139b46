"""The kit passes every strategy of ours, and catches each kind of broken one."""

import random
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings

from bidder.domain import canonical
from bidder.domain.actions import Decision, PlaceBid, Reason, Reprice
from bidder.domain.ids import AccountName, OrderId
from bidder.domain.money import Currency, Price
from bidder.domain.policy import (
    AdaptiveParams,
    AutopilotParams,
    AutospottingParams,
    FixedParams,
    Launch,
    MinBidParams,
    Mode,
    NicehashParams,
    Policy,
    Setting,
    StrategyParams,
    TopPlusTickParams,
    TrackParams,
    TrackRecreateParams,
)
from bidder.domain.positions import Position
from bidder.domain.quotes import Quote
from bidder.domain.strategies import common
from bidder.domain.strategies import decide as ours
from bidder.testing import StrategyBroken, check_strategy, positions

Params = Mapping[str, Setting]
POLICY = Policy(account=AccountName("main"), mode=Mode.LIVE, targets=())
OURS: Mapping[str, StrategyParams] = {
    "track": TrackParams(),
    "track at once": TrackParams(raise_wait=timedelta(0), confirm=False),
    "adaptive": AdaptiveParams(),
    "fixed": FixedParams(),
    "min_bid": MinBidParams(),
    "top_plus_tick": TopPlusTickParams(),
    "track_recreate": TrackRecreateParams(),
    "nicehash": NicehashParams(),
    "nicehash_literal": NicehashParams(literal=True),
    "autopilot": AutopilotParams(),
    "autospotting": AutospottingParams(),
}


def as_own(params: StrategyParams) -> Callable[[Position, Params, datetime], Decision]:
    """Return a strategy of ours as an owner would write it."""

    def decide(position: Position, _: Params, now: datetime) -> Decision:
        mine = replace(position, target=replace(position.target, params=params))
        return ours(mine, POLICY, now)

    return decide


@pytest.mark.parametrize("name", OURS)
def test_our_own_strategies_pass(name: str) -> None:
    """In every generated situation."""
    check_strategy(as_own(OURS[name]), seeds=[7], examples=12, hours=0)


def test_ours_passes_on_the_exchange_too() -> None:
    """For some minutes of a simulated market."""
    check_strategy(as_own(OURS["track at once"]), seeds=[3], examples=2, hours=0.03)


def rule(position: Position, params: Params, now: datetime) -> Decision:
    """Bid what suffices: the good rule that each broken one below is one step away from."""
    needed, offer = position.needed, position.offer
    if needed is None or offer is None:
        return common.hold(position, Reason.NO_RATE)
    if offer.active:
        return common.walk_down(position, needed, Reason.MARK_DOWN, now)
    found = common.regain(position, needed, position.holding.outbid_since or now, now)
    if isinstance(found, Decision):
        return found
    return common.act(position, Reason.OUTBID, common.reprice(position, found), urgency=0)


def test_a_good_rule_passes() -> None:
    """With a first bid of its own, too."""
    check_strategy(rule, opening_bid=lambda quote, params: quote.needed, examples=25, hours=0)


def raises(position: Position, params: Params, now: datetime) -> Decision:
    """Forget that there may be no rival."""
    assert position.rival is not None
    return rule(position, params, now)


def returns_nothing(position: Position, params: Params, now: datetime) -> Any:
    """Forget to return."""
    rule(position, params, now)


def says_nothing(position: Position, params: Params, now: datetime) -> Decision:
    """Give no facts."""
    return replace(rule(position, params, now), facts={})


def counts(position: Position, params: Params, now: datetime) -> Decision:
    """Remember how often it was asked."""
    COUNTED.append(1)
    held = common.hold(position, Reason.WINNING)
    return replace(held, facts={"asked": len(COUNTED)})


COUNTED: list[int] = []


def rolls_dice(position: Position, params: Params, now: datetime) -> Decision:
    """Decide by chance."""
    return common.hold(position, random.choice((Reason.WINNING, Reason.PATIENCE)))


def remembers(position: Position, params: Params, now: datetime) -> Decision:
    """Say of a bid what it was asked about the one before."""
    before = LAST[0] if LAST else ""
    LAST[:] = [str(position.price)]
    return replace(common.hold(position, Reason.WINNING), facts={"before": before})


LAST: list[str] = []


def scribbles(position: Position, params: Params, now: datetime) -> Decision:
    """Change what it was given."""
    object.__setattr__(position, "raises", ())
    object.__setattr__(position, "outbid_reads", 99)
    return common.hold(position, Reason.WINNING)


def empties_the_floor(position: Position, params: Params, now: datetime) -> Decision:
    """Change a mapping inside of what it was given."""
    assert position.book is not None
    position.book.floor.clear()  # type: ignore[attr-defined]  # it must not be a dict
    return common.hold(position, Reason.WINNING)


def set_to(position: Position, price: Price) -> Decision:
    """Return the decision to set this price."""
    if price == position.price:
        return common.hold(position, Reason.WINNING)
    return common.act(position, Reason.OUTBID, common.reprice(position, price), urgency=0)


def bids_ten_times(position: Position, params: Params, now: datetime) -> Decision:
    """Go above the ceiling."""
    return set_to(position, position.price.times(10).rounded_up())


def bids_a_trifle(position: Position, params: Params, now: datetime) -> Decision:
    """Go below the floor."""
    return set_to(position, Price(Decimal("0.00000001"), position.price.currency).rounded_up())


def lowers_at_once(position: Position, params: Params, now: datetime) -> Decision:
    """Ignore the clock."""
    running = position.offer is not None and position.offer.active
    if position.needed is None or position.needed >= position.price or not running:
        return common.hold(position, Reason.WINNING)
    lowest = position.lowest
    return set_to(position, position.needed if lowest is None else max(position.needed, lowest))


def lowers_while_idle(position: Position, params: Params, now: datetime) -> Decision:
    """Walk down a bid that does not run (NiceHashBot 18)."""
    if position.needed is None:
        return common.hold(position, Reason.NO_RATE)
    return common.walk_down(position, position.needed, Reason.MARK_DOWN, now)


def bids_thirds(position: Position, params: Params, now: datetime) -> Decision:
    """Name a price with more digits than a bid can have."""
    return set_to(position, position.price.times(Decimal(1) / Decimal(3)))


def bids_in_doge(position: Position, params: Params, now: datetime) -> Decision:
    """Name a price in another currency."""
    return set_to(position, Price(Decimal(1), Currency("dogecoin")))


def touches_another(position: Position, params: Params, now: datetime) -> Decision:
    """Set the price of somebody else's order."""
    action = replace(common.reprice(position, position.price.one_tick_up()), order=OrderId(1))
    return common.act(position, Reason.OUTBID, action, urgency=0)


def speaks_for_another(position: Position, params: Params, now: datetime) -> Decision:
    """Decide about another order."""
    return replace(common.hold(position, Reason.WINNING), order=OrderId(1))


def buys(position: Position, params: Params, now: datetime) -> Decision:
    """Order something new instead."""
    server = position.holding.order.server
    bid = PlaceBid(
        server=server, price=position.price, target=position.target.name, launch=Launch(image="x")
    )
    return common.act(position, Reason.OUTBID, bid, urgency=0)


def commands(position: Position, params: Params, now: datetime) -> Decision:
    """Pretend that the owner commanded it, which no rail would stop."""
    return common.act(position, Reason.ORDERED, common.withdraw(position), urgency=0)


def not_a_number(position: Position, params: Params, now: datetime) -> Decision:
    """Give a fact that no JSON holds."""
    return replace(common.hold(position, Reason.WINNING), facts={"share": float("nan")})


def naive(position: Position, params: Params, now: datetime) -> Decision:
    """Name a time without a zone."""
    return common.hold(position, Reason.WINNING, due=now.replace(tzinfo=None))


BROKEN: Mapping[str, tuple[Callable[..., Any], str]] = {
    "raises": (raises, "answers"),
    "returns nothing": (returns_nothing, "answers"),
    "touches another order": (touches_another, "answers"),
    "speaks for another order": (speaks_for_another, "answers"),
    "buys": (buys, "answers"),
    "commands": (commands, "answers"),
    "not a number": (not_a_number, "answers"),
    "a time without a zone": (naive, "answers"),
    "a trifle": (bids_a_trifle, "answers"),
    "thirds": (bids_thirds, "answers"),
    "doge": (bids_in_doge, "answers"),
    "empties the floor": (empties_the_floor, "answers"),
    "says nothing": (says_nothing, "explains"),
    "counts": (counts, "pure"),
    "rolls dice": (rolls_dice, "pure"),
    "remembers": (remembers, "pure"),
    "scribbles": (scribbles, "pure"),
    "ten times": (bids_ten_times, "proposes"),
    "lowers at once": (lowers_at_once, "proposes"),
    "lowers while idle": (lowers_while_idle, "proposes"),
}


@pytest.mark.slow
@pytest.mark.parametrize("name", BROKEN)
def test_a_broken_one_is_caught(name: str) -> None:
    """By the invariant that it breaks."""
    broken, check = BROKEN[name]

    with pytest.raises(StrategyBroken) as caught:
        check_strategy(broken, seeds=[1], examples=150 if "lowers" in name else 40, hours=0)

    assert caught.value.check == check, caught.value


def test_what_only_a_market_brings_is_caught_there() -> None:
    """Generated orders have one number; those of an exchange have others."""

    def decide(position: Position, params: Params, now: datetime) -> Decision:
        if position.holding.order.order != 17:
            raise LookupError
        return rule(position, params, now)

    check_strategy(decide, examples=20, hours=0)
    with pytest.raises(StrategyBroken, match="LookupError"):
        check_strategy(decide, examples=1, hours=0.03)


@pytest.mark.parametrize(
    ("opening", "check"),
    [
        (
            lambda quote, params: None if quote.rival is None else quote.cap.times(2).rounded_up(),
            "answers",
        ),
        (lambda quote, params: quote.floor.times(Decimal("0.5")).rounded_down(), "answers"),
        (lambda quote, params: 1 / 0, "answers"),
        (lambda quote, params: quote.needed.amount, "answers"),
        (lambda quote, params: random.choice((None, quote.needed)), "pure"),
    ],
)
def test_a_broken_first_bid_is_caught(opening: Callable[[Quote, Params], Any], check: str) -> None:
    """Above the cap, below what wins, no price at all, or another each time."""
    with pytest.raises(StrategyBroken) as caught:
        check_strategy(rule, opening_bid=opening, examples=20, hours=0)

    assert caught.value.check == check


@settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(positions())
def test_a_position_survives_being_written_down(position: Position) -> None:
    """Its text is the same again, and so is the value."""
    text = canonical.dump(position)
    back = canonical.load(text)

    assert back == position
    assert canonical.dump(back) == text


def test_the_situations_are_of_every_kind() -> None:
    """A kit that never shows a dear running bid with an open clock checks nothing of lowering."""
    seen: set[tuple[bool, str]] = set()

    def decide(position: Position, params: Params, now: datetime) -> Decision:
        decision = rule(position, params, now)
        deed = "hold"
        if isinstance(decision.action, Reprice):
            deed = "lower" if decision.action.lowers else "raise"
        seen.add((bool(position.holding.active), deed))
        return decision

    check_strategy(decide, seeds=[1], examples=200, hours=0)

    assert seen == {(True, "hold"), (True, "lower"), (False, "hold"), (False, "raise")}
