"""A week of trouble in few lines, in virtual time."""

from datetime import UTC, datetime, timedelta
from itertools import pairwise

from bidder.repeats import Repeats

START = datetime(2026, 1, 5, tzinfo=UTC)


def test_a_week_of_failures_each_second_is_said_in_few_lines() -> None:
    """Fewer than fifty lines, no pause beyond six hours, and nothing is left uncounted."""
    trouble, said, counted = Repeats(), [], 0
    for second in range(0, 7 * 86400, 7):
        now = START + timedelta(seconds=second)
        if trouble.again(now):
            said.append(now)
            counted += 1 + trouble.said()
    assert len(said) < 50
    assert max(b - a for a, b in pairwise(said)) <= timedelta(hours=6, seconds=7)
    assert counted + trouble.unsaid == trouble.count
    assert trouble.over(START + timedelta(days=7)) == (86400, timedelta(days=7))


def test_what_comes_and_goes_is_one_trouble_until_it_stays_away() -> None:
    """With a time that must pass in peace first."""
    trouble, calm = Repeats(), timedelta(minutes=10)
    for minute in range(60):
        trouble.again(START + timedelta(minutes=minute))
        assert trouble.over(START + timedelta(minutes=minute, seconds=30), after=calm) is None
    assert trouble.count == 60
    assert trouble.over(START + timedelta(minutes=69), after=calm) == (60, timedelta(minutes=69))
    assert trouble.count == 0


def test_the_next_trouble_is_said_at_once_again() -> None:
    """After the end the first occurrences are news; a short trouble has no end to tell."""
    trouble = Repeats()
    assert [trouble.again(START) for _ in range(5)] == [True, True, True, False, False]
    assert trouble.over(START) is not None
    assert trouble.again(START)
    assert trouble.over(START) is None
