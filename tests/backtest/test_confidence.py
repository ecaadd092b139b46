"""Means over seeds: known intervals, and no certainty where there is none."""

from math import inf, isinf
from random import Random

import pytest

from bidder.backtest.confidence import interval, paired


def test_an_interval_is_that_of_the_tables() -> None:
    """Four values, mean 5, deviation 2: 3.182 * 2 / 2 to either side."""
    found = interval([5 - 3**0.5, 5 - 3**0.5, 5 + 3**0.5, 5 + 3**0.5])
    assert found is not None
    assert found.count == 4
    assert [found.low, found.mean, found.high] == pytest.approx([5 - 3.182, 5, 5 + 3.182])


def test_of_one_value_nothing_is_sure_and_of_none_nothing_is_said() -> None:
    """Its interval has no ends."""
    alone = interval([3.0])
    assert alone is not None
    assert (alone.low, alone.high) == (-inf, inf)
    assert isinf(alone.high)
    assert interval([]) is None


def test_a_pair_with_a_missing_side_is_left_out() -> None:
    """What was never held has no price to compare."""
    found = paired([3.0, None, 5.0, 9.0], [1.0, 2.0, 2.0, None])
    assert found is not None
    assert (found.mean, found.count) == (2.5, 2)
    assert paired([None], [1.0]) is None


def test_pairs_see_what_worlds_hide() -> None:
    """Worlds differ by far more than the strategies in them do."""
    chance = Random(1)
    worlds = [chance.uniform(0, 100) for _ in range(20)]
    ours, theirs = [each - 1 + chance.random() / 10 for each in worlds], worlds
    alone, together = interval(ours), paired(ours, theirs)
    assert alone is not None
    assert together is not None
    assert together.high < 0 < alone.high - alone.low
    assert together.high - together.low < 0.1 < alone.high - alone.low


@pytest.mark.parametrize("count", [2, 5, 20, 40])
def test_it_covers_the_truth_nineteen_times_of_twenty(count: int) -> None:
    """Over 2,000 draws of a normal distribution, within sampling error; seeded, so never by luck."""
    chance = Random(count)
    found = (interval([chance.gauss(7, 2) for _ in range(count)]) for _ in range(2000))
    covered = sum(each is not None and each.low <= 7 <= each.high for each in found)
    assert 0.935 <= covered / 2000 <= 0.965
