"""Jobs by a deadline on availability traces: the optimum is exact, and no deadline is missed."""

from math import inf

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bidder.backtest.availability import Job, Trace, run
from bidder.backtest.availability_optimum import optimum
from bidder.backtest.availability_policies import POLICIES
from bidder.domain.jobs import Choice


def exhaustive(trace: Trace, job: Job) -> float:
    """Return the least cost over every sequence of choices, tried one by one."""

    def rest(step: int, left: int, running: Choice, starting: int) -> float:
        now = step * trace.gap
        if left == 0:
            return 0.0
        if now >= job.time:
            return inf
        length, available = min(trace.gap, job.time - now), trace.available[step]
        if running is Choice.SPOT and not available:
            running, starting = Choice.IDLE, 0
        best = rest(step + 1, left, Choice.IDLE, 0)
        for choice, price in ((Choice.SPOT, 1.0), (Choice.ON_DEMAND, job.ratio)):
            if choice is Choice.SPOT and not available:
                continue
            ahead = starting if running is choice else job.restart
            spent = min(length, ahead + left)
            after = rest(step + 1, left - max(0, spent - ahead), choice, max(0, ahead - spent))
            best = min(best, price * spent + after)
        return best

    return rest(0, job.work, Choice.IDLE, 0) / 3600


@settings(deadline=None)  # the first call imports numpy
@given(
    available=st.lists(st.booleans(), min_size=1, max_size=6),
    gap=st.sampled_from([60, 195, 600]),
    restart=st.sampled_from([0, 60, 90, 720]),
    cut=st.sampled_from([0, 30]),
    share=st.floats(0.01, 1),
)
def test_the_optimum_is_what_trying_everything_finds(
    available: list[bool], gap: int, restart: int, cut: int, share: float
) -> None:
    """Dynamic programming and exhaustive search agree, also on what cannot be done at all."""
    trace = Trace(name="drawn", gap=gap, available=tuple(available))
    time = gap * len(available) - cut
    job = Job(work=max(1, int(time * share)), time=time, restart=restart)
    assert optimum(trace, job) == pytest.approx(exhaustive(trace, job))


@pytest.mark.parametrize("name", POLICIES)
@settings(deadline=None)  # the first call imports numpy
@given(
    runs=st.lists(st.tuples(st.booleans(), st.integers(1, 40)), min_size=1, max_size=30),
    gap=st.sampled_from([60, 195, 600]),
    share=st.floats(0.1, 1),
)
def test_no_rule_misses_a_deadline_or_beats_the_optimum(
    name: str, runs: list[tuple[bool, int]], gap: int, share: float
) -> None:
    """Whatever the market does, a job that one start leaves time for is done in time."""
    available = tuple(up for up, steps in runs for _ in range(steps))
    time = gap * len(available)
    restart = min(720, time // 3)
    job = Job(work=max(1, int((time - restart) * share)), time=time, restart=restart)
    trace = Trace(name="drawn", gap=gap, available=available)
    outcome = run(trace, job, POLICIES[name]())
    assert not outcome.missed
    assert outcome.cost >= optimum(trace, job) - 1e-9
