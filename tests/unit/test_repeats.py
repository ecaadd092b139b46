"""A week of trouble in few lines, in virtual time."""

from datetime import UTC, datetime, timedelta
from itertools import cycle, pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

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
    assert trouble.over(START + timedelta(days=7), after=timedelta(0)) == (86400, timedelta(days=7))


def test_what_comes_and_goes_is_one_trouble_until_it_stays_away() -> None:
    """It lasted until the first success after the last failure, and is over after some peace."""
    trouble = Repeats()
    for minute in range(60):
        trouble.again(START + timedelta(minutes=minute))
        assert trouble.over(START + timedelta(minutes=minute, seconds=30)) is None
    assert trouble.count == 60
    lasted = timedelta(minutes=59, seconds=30)
    assert trouble.over(START + timedelta(minutes=64)) == (60, lasted)
    assert trouble.count == 0


def test_after_an_hour_of_peace_trouble_is_said_at_once_again() -> None:
    """However long the last one lasted; a short trouble has no end to tell."""
    trouble, now = Repeats(), START
    while now < START + timedelta(days=2):
        trouble.again(now)
        now += timedelta(seconds=30)
    assert trouble.over(now, after=timedelta(0)) is not None
    now += timedelta(hours=1)
    assert [trouble.again(now) for _ in range(5)] == [True, True, True, False, False]
    assert trouble.over(now, after=timedelta(0)) is not None
    assert trouble.again(now + timedelta(hours=1))
    assert trouble.over(now + timedelta(hours=2)) is None


# (failures, seconds between them, seconds of success afterwards), again and again.
_PATTERNS = st.lists(
    st.tuples(st.integers(1, 400), st.integers(20, 900), st.integers(1, 7200)), min_size=1, max_size=5
)


@settings(max_examples=20, deadline=None)
@given(_PATTERNS)
def test_a_week_of_any_pattern_is_few_lines_that_leave_nothing_out(
    pattern: list[tuple[int, int, int]],
) -> None:
    """Whatever comes and goes in whatever rhythm: the lines are few and their numbers add up."""
    trouble, now, end = Repeats(), START, START + timedelta(days=7)
    failed = ends = in_lines = before = 0
    for failures, gap, calm in cycle(pattern):
        for _ in range(failures):
            before += 1
            if trouble.again(now):
                failed += 1
                in_lines += 1 + trouble.said()
            now += timedelta(seconds=gap)
        for moment in (0, calm // 2, calm):
            over = trouble.over(now + timedelta(seconds=moment))
            if over is not None:
                ends += 1
                assert over[1] <= now - START
                in_lines = before
        now += timedelta(seconds=calm)
        if now >= end:
            break
    assert failed + ends < 2000
    assert ends <= failed
    assert in_lines + trouble.unsaid == before


@pytest.mark.parametrize(("fails", "works"), [(1, 1), (1, 9), (9, 1), (30, 30)])
def test_one_request_in_so_many_failing_for_a_day_is_few_lines(fails: int, works: int) -> None:
    """Without an hour of peace a flapping exchange is thinned out like one that is away."""
    trouble, lines = Repeats(), 0
    for second in range(86400):
        now = START + timedelta(seconds=second)
        if second % (fails + works) < fails:
            if trouble.again(now):
                lines += 1
                trouble.said()
        elif trouble.over(now) is not None:
            lines += 1
    assert lines < 20
