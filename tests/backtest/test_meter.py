"""What trading cost against an all-knowing bidder, on records of which the truth is known."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal

import pytest
from builders import make_policy, make_target, usd
from diaries import DAY, HOUR, MINUTE, START, Diary, steady
from sqlalchemy import Engine

from bidder.backtest import meter
from bidder.domain.money import Currency
from bidder.domain.policy import Mode, Policy, Requirements
from bidder.domain.regret import Regret
from bidder.store.engine import open_engine
from bidder.store.schema import upgrade

# Levels of bids lie a five-hundredth of the price apart, and the best stands above its rival.
CLOSE = 0.005


@pytest.fixture
def engine() -> Iterator[Engine]:
    """Yield an empty database in memory."""
    made = open_engine("sqlite://")
    upgrade(made)
    yield made
    made.dispose()


@pytest.fixture
def diary(engine: Engine) -> Diary:
    """Return a record in which nothing stands yet."""
    return Diary(engine=engine)


def regret_of(diary: Diary, policy: Policy | None = None, *, hours: float = 2) -> Regret:
    """Return the only regret of the record's first hours."""
    found = meter.measure(diary.queries(), policy or make_policy(), START, START + hours * HOUR)
    assert not found.unmeasured
    (regret,) = found.regrets
    return regret


def test_paying_too_much_is_told_with_the_decision_that_did_it(diary: Diary) -> None:
    """Three dollars against a rival's two: a third of it was for nothing."""
    diary.bid(7, 1, "3")
    diary.watch(2 * HOUR, {1: steady("2")})
    found = regret_of(diary)
    assert found.paid_ratio == pytest.approx(3 / 2, rel=CLOSE)
    assert found.held_share == pytest.approx(1, abs=0.02)
    assert found.best_held_share == found.held_share
    assert float(found.usd) == pytest.approx((3 - 2) * found.ours.held / DAY, rel=0.01)
    worst = found.costly[0]
    assert worst.usd == pytest.approx(found.usd, abs=Decimal("0.001"))
    assert (worst.server, worst.order, worst.at) == (1, 7, START + MINUTE / 2)
    assert "a bid of 3 USD per day was placed" in worst.sentence
    assert worst.better.startswith("at 00:00 UTC was to bid 2.00")


def test_bidding_just_enough_has_nothing_to_regret(diary: Diary) -> None:
    """A cent above the rival is the optimum, to within a level."""
    diary.bid(7, 1, "2.005")
    diary.watch(2 * HOUR, {1: steady("2")})
    found = regret_of(diary)
    assert found.paid_ratio == pytest.approx(1, rel=CLOSE)
    assert abs(found.usd) < Decimal("0.001")


def test_a_spike_that_is_chased_costs_the_walk_down(diary: Diary) -> None:
    """Raised to four for two minutes of a rival, the bid is on its way down for an hour."""
    diary.fee = "0.08"
    diary.bid(7, 1, "1.6")
    diary.watch(10 * MINUTE, {1: steady("1.5")})
    diary.watch(MINUTE, {1: steady("3.8")})
    diary.reprice(7, "4", "outbid")
    diary.watch(MINUTE, {1: steady("3.8")})
    diary.watch(2 * HOUR - 12 * MINUTE, {1: steady("1.5")})
    found = regret_of(diary)
    worst = found.costly[0]
    assert "the bid went from 1.6 USD to 4 USD per day" in worst.sentence
    assert worst.at == START + 11.5 * MINUTE
    assert worst.usd > found.usd / 2
    assert worst.better.startswith("at 00:11 UTC was to ")
    assert "raise" not in worst.better


def test_losses_of_decisions_add_up_to_the_regret(diary: Diary) -> None:
    """No part of it is unexplained, and none is counted twice."""
    diary.bid(7, 1, "3")
    diary.watch(30 * MINUTE, {1: steady("2"), 2: steady("1.5")})
    diary.end(7)
    diary.decide("not_worth_it")
    diary.watch(90 * MINUTE, {1: steady("2"), 2: steady("1.5")})
    found = regret_of(diary)
    assert len(found.costly) == 3
    total = sum(each.usd for each in found.costly)
    assert total == pytest.approx(found.usd, abs=Decimal("0.005"))
    assert {each.sentence.split(":")[0].split(" (")[0] for each in found.costly} == {
        "A server was missing and this one was the cheapest that fits",
        "Each raise was answered, so the server was left to its rivals",
        "The server could be won, but too near its value to be worth a start",
    }


def test_a_cheaper_server_beside_it_is_what_the_best_would_have_had(diary: Diary) -> None:
    """Only where its book was read, and only if it fits."""
    diary.bid(7, 1, "3.01")
    diary.watch(2 * HOUR, {1: steady("3"), 2: steady("1.5")})
    found = regret_of(diary)
    assert found.paid_ratio == pytest.approx(2, rel=0.01)
    assert "on server 2" in found.costly[0].better
    only = make_policy(make_target(requirements=Requirements(exclude_servers=frozenset({2}))))  # type: ignore[arg-type]
    assert regret_of(diary, only).paid_ratio == pytest.approx(1, rel=0.01)


def test_two_wanted_servers_are_not_both_the_cheapest_one(diary: Diary) -> None:
    """The best of all lanes together could have been gone: no server twice."""
    diary.bid(7, 1, "2.01")
    diary.bid(8, 2, "1.51")
    diary.watch(2 * HOUR, {1: steady("2"), 2: steady("1.5")})
    found = regret_of(diary, make_policy(make_target(want=2)))
    assert found.paid_ratio == pytest.approx(1, rel=0.01)
    assert found.best.held == pytest.approx(2 * 2 * HOUR, abs=12 * MINUTE)
    assert abs(found.usd) < Decimal("0.003")


def test_a_server_of_another_strategy_is_not_free(diary: Diary) -> None:
    """What one strategy holds no other would have had."""
    diary.bid(7, 1, "3.01", target="render")
    diary.bid(8, 2, "1.51", target="second")
    diary.watch(2 * HOUR, {1: steady("3"), 2: steady("1.5")})
    policy = make_policy(make_target(), make_target("second"))
    found = meter.measure(diary.queries(), policy, START, START + 2 * HOUR).regrets
    assert [each.target for each in found] == ["render", "second"]
    assert [each.paid_ratio for each in found] == [pytest.approx(1, rel=0.01)] * 2


def test_waiting_is_the_best_where_the_price_is_above_the_value(diary: Diary) -> None:
    """Holding above what it is worth to the owner is a loss, however cheap it was won."""
    worth = make_target(value=replace(make_target().ceiling, price=usd("2")))
    diary.bid(7, 1, "4.01")
    diary.watch(2 * HOUR, {1: steady("4")})
    found = regret_of(diary, make_policy(worth))
    assert found.best_held_share == 0
    assert found.paid_ratio is None
    assert float(found.usd) == pytest.approx((4.01 - 2) / 12, rel=0.1)


def test_what_nobody_watched_counts_for_neither_side(diary: Diary) -> None:
    """An hour's gap in the record is said, and is no time not held."""
    diary.bid(7, 1, "2.01")
    diary.watch(HOUR, {1: steady("2")})
    diary.now += HOUR
    diary.watch(HOUR, {1: steady("2")})
    found = regret_of(diary, hours=3)
    assert found.unwatched == pytest.approx(HOUR, abs=12 * MINUTE)
    assert found.known_share == pytest.approx(2 / 3, abs=0.07)
    assert found.held_share == pytest.approx(1, abs=0.02)
    assert abs(found.usd) < Decimal("0.005")


def test_what_is_held_at_midnight_is_not_paid_for_anew(diary: Diary) -> None:
    """The best goes on from where one stood: no start and no creation for either side."""
    diary.bid(7, 1, "2.005")
    diary.watch(4 * HOUR, {1: steady("2")})
    queries, policy = diary.queries(), make_policy()
    (found,) = meter.measure(queries, policy, START + 2 * HOUR, START + 4 * HOUR).regrets
    assert (found.ours.starts, found.ours.creations) == (0, 0)
    assert (found.best.starts, found.best.creations) == (0, 0)
    assert abs(found.usd) < Decimal("0.001")


def test_paper_is_told_apart(engine: Engine) -> None:
    """What was held on paper is no part of the live figure, and has one of its own."""
    paper = Diary(engine=engine, mode=Mode.PAPER)
    paper.bid(-1, 1, "3")
    paper.watch(2 * HOUR, {1: steady("2")})
    live = meter.measure(paper.queries(), make_policy(), START, START + 2 * HOUR)
    kinds = {each.mode: each for each in live.regrets}
    assert set(kinds) == {Mode.LIVE, Mode.PAPER}
    assert kinds[Mode.LIVE].ours.held == timedelta(0)
    assert kinds[Mode.PAPER].paid_ratio == pytest.approx(1.5, rel=CLOSE)
    assert kinds[Mode.PAPER].costly[0].order == -1


def test_what_was_paid_is_told_in_its_coin_too(diary: Diary) -> None:
    """By currency, as it was bid."""
    diary.bid(7, 1, "3")
    diary.watch(2 * HOUR, {1: steady("2")})
    found = regret_of(diary)
    assert found.coins[Currency.USD] == pytest.approx(found.ours.paid, abs=Decimal("1e-6"))


def test_a_strategy_without_a_record_says_so(diary: Diary) -> None:
    """Instead of a figure that means nothing."""
    diary.watch(HOUR, {1: steady("2")})
    other = make_policy(make_target(requirements=Requirements(gpu_models=("RTX 4090",))))
    found = meter.measure(diary.queries(), other, START, START + HOUR)
    assert found.regrets == ()
    assert found.unmeasured == {"render": "no book of a server that fits it was read"}


def test_a_strategy_that_is_gone_is_told(diary: Diary) -> None:
    """What it paid was paid for something that nobody can weigh any more."""
    diary.bid(7, 1, "2.01", target="old")
    diary.watch(HOUR, {1: steady("2")})
    found = meter.measure(diary.queries(), make_policy(), START, START + HOUR)
    assert found.unmeasured == {"old": "it is not in the configuration any more"}
    assert found.regrets[0].best.held == timedelta(0), "its server was taken"


def test_what_a_handover_costs_is_what_was_paid_twice(diary: Diary) -> None:
    """Two servers run for two minutes of six hours, and one was wanted all the time."""
    market = {server: steady("2") for server in (1, 2, 3)}
    diary.bid(7, 1, "2.005")
    diary.watch(3 * HOUR, market)
    diary.bid(8, 2, "2.005")
    diary.watch(2 * MINUTE, market)
    diary.end(7)
    diary.watch(3 * HOUR, market)
    found = regret_of(diary, hours=6)
    assert found.ours.held == found.best.held == found.wanted
    restart = 5 * (6 * MINUTE / DAY)
    assert float(found.usd) == pytest.approx(2.005 * (2 * MINUTE / DAY) + restart, abs=0.001)
