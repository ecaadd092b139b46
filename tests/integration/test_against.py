"""A new configuration held against the present one, on the simulated exchange in virtual time."""

import asyncio
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal

import pytest
from sqlalchemy import Engine
from virtual import Day, begin, wanting

from bidder.app import commands, observation, preview
from bidder.backtest import fortnight
from bidder.domain import comparing
from bidder.domain.comparing import Comparison, Verdict
from bidder.domain.policy import FixedParams, Mode, Policy, Rails
from bidder.store.commands import forget_outcome, post_request
from bidder.store.engine import open_engine
from bidder.store.queries import Queries
from bidder.store.schema import upgrade

UP, DOWN, FEWER = "rtx-3060-ti", "rtx-3080", "rtx-4090"
UNCHANGED = {Verdict.UNCHANGED}


@pytest.fixture(scope="module")
def engine() -> Iterator[Engine]:
    """Yield a database in memory."""
    made = open_engine("sqlite://")
    upgrade(made)
    yield made
    made.dispose()


@pytest.fixture(scope="module")
def day(engine: Engine) -> Day:
    """Return a day on which the daemon holds what it wants, two strategies at fixed prices."""

    def shape(policy: Policy) -> Policy:
        for name in (UP, DOWN):
            policy = wanting(policy, name, params=FixedParams())
        return replace(policy, rails=Rails(allow_above_on_demand=True))

    begun = begin(engine=engine, rivals=False, shape=shape)
    begun.run(timedelta(minutes=13))
    assert len(begun.live()) == 5
    return begun


def scaled(policy: Policy, name: str, factor: str) -> Policy:
    """Return the policy with one ceiling higher or lower."""
    target = policy.target(name)
    assert target is not None
    price = target.ceiling.price.times(Decimal(factor))
    return wanting(policy, name, ceiling=replace(target.ceiling, price=price))


def another(policy: Policy) -> Policy:
    """Return a policy by which one order rises, two fall, one ends and one begins."""
    policy = wanting(scaled(scaled(policy, UP, "1.2"), DOWN, "0.95"), FEWER, want=1)
    extra = policy.target(UP)
    assert extra is not None
    return replace(policy, targets=(*policy.targets, replace(extra, name="extra")))


def verdicts(found: Comparison) -> list[tuple[str | None, Verdict]]:
    """Return each order's and slot's verdict."""
    return sorted((change.target, change.verdict) for change in found.changes)


EXPECTED = [
    ("extra", Verdict.BEGIN),
    (UP, Verdict.RISE),
    (DOWN, Verdict.FALL),
    (DOWN, Verdict.FALL),
    (FEWER, Verdict.END),
    (FEWER, Verdict.UNCHANGED),
]


def looked(day: Day, after: Policy) -> preview.Compared:
    """Return the comparison from a look of its own at the exchange."""
    trader = day.app.trader
    return asyncio.run(
        preview.compare(trader.view, day.policy, after, client=trader.client, clock=day.clock)
    )


def asked(day: Day, after: Policy) -> Comparison:
    """Return the comparison from what the running daemon answers."""
    number = post_request(day.app.engine, day.policy.account, "observe", at=day.clock.now())
    day.run(timedelta(seconds=10))
    queries = Queries(day.app.engine, day.policy.account)
    request = queries.request(number)
    assert request is not None
    assert request.outcome is not None
    assert request.outcome.startswith(commands.DONE)
    known = observation.read(request.outcome.removeprefix(commands.DONE))
    assert known.mode is Mode.LIVE
    forget_outcome(day.app.engine, day.policy.account, number)
    emptied = queries.request(number)
    assert emptied is not None
    assert emptied.outcome == "fetched"
    return comparing.compare(known.view, day.policy, after, known.at)


def test_what_rises_falls_ends_and_begins(day: Day) -> None:
    """By a look at the exchange, at the first step and the moment that its rules allow."""
    before = day.live()
    found = looked(day, another(day.policy))
    assert verdicts(found.comparison) == sorted(EXPECTED)
    assert found.requests >= 8
    for change in found.comparison.orders:
        assert change.fate is not None
        if change.verdict is Verdict.FALL:
            assert change.price is not None
            assert change.fate.to is not None
            assert change.fate.step is not None
            assert change.fate.to <= change.fate.step < change.price
        if change.verdict is Verdict.RISE:
            assert change.price is not None
            assert change.fate.to is not None
            assert change.fate.to > change.price
    prices = {order["id"]: order["price"] for order in before}
    assert {order["id"]: order["price"] for order in day.live()} == prices, "nothing was changed"


def test_beside_the_daemon_it_is_what_that_saw(day: Day) -> None:
    """The same verdicts, and no request of our own."""
    assert verdicts(asked(day, another(day.policy))) == sorted(EXPECTED)


def test_the_same_configuration_changes_nothing(day: Day) -> None:
    """Looked at afresh, and asked of the daemon."""
    assert {change.verdict for change in looked(day, day.policy).comparison.changes} == UNCHANGED
    assert {change.verdict for change in asked(day, day.policy).changes} == UNCHANGED


def test_the_recorded_history_is_replayed_for_both(day: Day) -> None:
    """The daemon's own record of these minutes: the lower ceiling holds less, or pays less."""
    after = scaled(day.policy, UP, "0.1")
    found = fortnight.replay(
        Queries(day.app.engine, day.policy.account),
        day.policy,
        after,
        listings=day.app.trader.view.marketplace.listings,
        now=day.clock.now(),
    )
    assert 0 < found.days * 24 * 60 <= 60
    present = {each.target: each for each in found.before}
    new = {each.target: each for each in found.after}
    assert set(present) == set(new) == {UP, DOWN, FEWER}
    assert present[UP].share == pytest.approx(1.0, abs=0.1)
    assert present[UP].paid > 0
    assert new[UP].share == 0.0
    assert new[UP].paid == 0
    assert new[FEWER] == present[FEWER]


def test_a_daemon_that_has_just_started_says_so() -> None:
    """It has nothing to tell yet, and says that instead of an empty market."""
    begun = begin(rivals=False)
    number = post_request(begun.app.engine, begun.policy.account, "observe", at=begun.clock.now())
    begun.run(timedelta(milliseconds=1))
    request = Queries(begun.app.engine, begun.policy.account).request(number)
    assert request is not None
    assert request.outcome is not None
    assert request.outcome.startswith(commands.FAILED)
    assert "only just started" in request.outcome
