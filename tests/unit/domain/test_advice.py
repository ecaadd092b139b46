"""Promises of bids: the arithmetic, and whether they are kept where nothing changes."""

import random
from collections.abc import Sequence
from datetime import timedelta
from decimal import Decimal

import pytest
from builders import NOW
from hypothesis import given, settings
from hypothesis import strategies as st

from bidder.domain import advice
from bidder.domain.history import Reading, survival

HOUR = timedelta(hours=1)
PRICES = st.lists(st.one_of(st.none(), st.integers(0, 9).map(Decimal)), min_size=1, max_size=40)
KINDS = st.lists(PRICES, min_size=1, max_size=3)


def hours(prices: Sequence[Decimal | str | None]) -> list[Reading]:
    """Return a history of one price per hour that ends now; "closed": nobody could win it."""
    begin = NOW - len(prices) * HOUR
    return [
        Reading(
            begin=begin + n * HOUR,
            end=begin + (n + 1) * HOUR,
            price=price if isinstance(price, Decimal) else None,
            closed=price == "closed",
        )
        for n, price in enumerate(prices)
    ]


@settings(deadline=None)
@given(kinds=KINDS, keep=st.integers(1, 6), odds=st.tuples(st.floats(0.05, 0.9), st.floats(0.05, 0.9)))
def test_better_odds_are_never_cheaper(
    kinds: list[list[Decimal | None]], keep: int, odds: tuple[float, float]
) -> None:
    """And where the better ones can be promised, so can the worse."""
    servers = [hours(prices) for prices in kinds]
    low, high = (advice.advise(servers, keep * HOUR, each, NOW) for each in sorted(odds))
    if high is None:
        return
    assert low is not None
    assert low.above <= high.above
    assert low.usd <= high.usd + Decimal("1e-9")
    assert high.found.lower >= max(odds)


@settings(deadline=None)
@given(kinds=KINDS, bid=st.integers(0, 9), keep=st.integers(1, 6))
def test_a_bid_is_expected_to_run_no_longer_than_asked_and_no_shorter_than_it_held(
    kinds: list[list[Decimal | None]], bid: int, keep: int
) -> None:
    """Between the share that held all of the time, and all of the time."""
    found = advice.at_bid([hours(p) for p in kinds], Decimal(bid), keep * HOUR, 0.5, NOW)
    if found is None:
        return
    share = found.expected / (keep * HOUR)
    assert found.found.share - 1e-9 <= share <= 1 + 1e-9


@settings(deadline=None)
@given(kinds=KINDS, keep=st.integers(1, 6))
def test_the_most_that_can_be_promised_is_promised(kinds: list[list[Decimal | None]], keep: int) -> None:
    """And nothing beyond it."""
    servers = [hours(prices) for prices in kinds]
    most = advice.most(servers, keep * HOUR, NOW)
    beyond = advice.advise(servers, keep * HOUR, 0.999, NOW)
    if most is None:
        assert beyond is None
        return
    more = advice.advise(servers, keep * HOUR, most.found.lower + 0.001, NOW)
    assert more is None
    assert most.above in {Decimal(0), *(r.price for each in servers for r in each)}


def test_servers_of_a_kind_make_their_observations_together() -> None:
    """Four servers know as much as one that was watched four times as long, and no start spans two."""
    one = hours([Decimal(1), Decimal(2)] * 20)
    together = survival([one] * 4, Decimal(2), 3 * HOUR, NOW)
    alone = survival([one], Decimal(2), 3 * HOUR, NOW)
    assert alone is not None
    assert together is not None
    assert together.observations == pytest.approx(4 * alone.observations)
    assert together.share == alone.share
    assert together.lower > alone.lower
    assert survival([hours([Decimal(1)])] * 9, Decimal(2), 3 * HOUR, NOW) is None


def test_who_rents_the_server_on_demand_ends_whatever_ran() -> None:
    """Nothing starts while it is closed, and nothing survives its closing at any price."""
    never = timedelta(days=10**6)
    quiet = hours([Decimal(1)] * 4 + ["closed"] * 2 + [Decimal(1)] * 4)
    found = survival([quiet], Decimal(5), 2 * HOUR, NOW, half_life=never)
    assert found is not None
    # Starts in hours 0 to 2 hold, those in 2 to 4 do not, 4 to 6 are none, those in 6 to 8 hold.
    assert found.share == pytest.approx(4 / 6, abs=1e-6)
    assert found.observations == pytest.approx(4, abs=1e-6)
    assert advice.advise([quiet], 2 * HOUR, 0.9, NOW, confidence=0.5) is None


def walk(chance: random.Random, length: int) -> list[Decimal | None]:
    """Return a market that does not change: quiet prices, and a spike in one hour of fifty."""
    return [
        Decimal(9) if chance.random() < 0.02 else Decimal(chance.randint(1, 5)) for _ in range(length)
    ]


@pytest.mark.parametrize("seed", range(4))
def test_promises_are_kept_where_the_market_does_not_change(seed: int) -> None:
    """Promised from the past alone, more are kept than was promised; and the table says so."""
    chance = random.Random(seed)
    servers = [hours(walk(chance, 400)) for _ in range(5)]
    table = advice.calibrate(servers, 4 * HOUR, (0.5, 0.8, 0.9), NOW)
    for row in table:
        assert row.promises > 60
        assert row.share is not None
        assert row.share >= row.probability - 0.05
        assert row.likely is True


def test_promises_are_broken_where_the_market_turns() -> None:
    """Rivals that bid ten times as much from one day on break what was promised, and that is told."""
    servers = [hours([Decimal(1)] * 100 + [Decimal(2 + n) for n in range(300)]) for _ in range(4)]
    (row,) = advice.calibrate(servers, 4 * HOUR, (0.8,), NOW)
    assert row.share is not None
    assert row.share < 0.5
    assert row.likely is False


def test_a_promise_is_made_from_the_past_alone() -> None:
    """What came later changes nothing of what would have been promised before."""
    chance = random.Random(5)
    quiet = walk(chance, 300)
    wild = hours([*quiet, *[Decimal(9)] * 100])
    calm = hours([*quiet, *[Decimal(1)] * 100])
    moment = NOW - 100 * HOUR
    assert advice.until(wild, moment) == advice.until(calm, moment)
    assert advice.until(wild, moment)[-1].end == moment
    bids = [advice.advise([advice.until(s, moment)], 4 * HOUR, 0.8, moment) for s in (wild, calm)]
    assert bids[0] == bids[1]
    assert bids[0] is not None


def test_a_short_history_promises_nothing_and_says_what_it_takes() -> None:
    """At 95 % it takes fifty-one observations, however quiet it was."""
    assert advice.observations_needed(0.95) == pytest.approx(51.4, abs=0.1)
    assert advice.advise([hours([Decimal(1)] * 48)], 24 * HOUR, 0.95, NOW) is None
    enough = [hours([Decimal(1)] * 240) for _ in range(6)]
    found = advice.advise(enough, 24 * HOUR, 0.95, NOW)
    assert found is not None
    assert found.above == 1
    assert found.found.observations >= 51
