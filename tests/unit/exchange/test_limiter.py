"""The request budget: what a strict exchange, judging by arrival, never refuses."""

import asyncio
import itertools
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bidder.clock import VirtualClock
from bidder.exchange.limiter import CREATION_SPACING, SPACING, Limiter

START = datetime(2026, 1, 5, 12, tzinfo=UTC)
WAYS = st.floats(0.0005, 5.0, allow_nan=False)


def limiter_on(clock: VirtualClock, **earlier: datetime) -> Limiter:
    """Return a limiter that remembers nothing but ``earlier``."""
    return Limiter(clock, **earlier)


async def send(
    limiter: Limiter, clock: VirtualClock, there: float, back: float, *, creation: bool = False
) -> float:
    """Send one request; return when it arrived."""
    async with limiter.slot(creation=creation) as slot:
        clock.advance(there)
        arrived = clock.monotonic()
        clock.advance(back)
        slot.answer()
    limiter.accepted()
    return arrived


def worst_gaps(trips: Iterable[tuple[float, float, bool, float]]) -> tuple[float, float]:
    """Return the least time between two arrivals, and between two creations, over these trips."""

    async def all_of_them() -> tuple[float, float]:
        clock = VirtualClock(START)
        limiter = limiter_on(clock)
        arrivals, creations = [], []
        for there, back, creation, idle in trips:
            arrivals.append(await send(limiter, clock, there, back, creation=creation))
            if creation:
                creations.append(arrivals[-1])
            clock.advance(idle)
        return _least_gap(arrivals), _least_gap(creations)

    return asyncio.run(all_of_them())


def _least_gap(moments: list[float]) -> float:
    return min((b - a for a, b in itertools.pairwise(moments)), default=99.0)


@given(
    st.floats(0.001, 0.5),
    st.lists(
        st.tuples(st.floats(1, 4), st.floats(1, 4), st.booleans(), st.floats(0, 3)),
        min_size=2,
        max_size=40,
    ),
)
def test_no_two_requests_arrive_too_close_while_each_way_varies_fourfold(
    way: float, trips: list[tuple[float, float, bool, float]]
) -> None:
    """However unevenly the two ways behave, and however unevenly we send."""
    gaps = worst_gaps((way * a, way * b, creation, idle) for a, b, creation, idle in trips)
    assert gaps[0] >= SPACING
    assert gaps[1] >= CREATION_SPACING


@given(st.lists(st.tuples(WAYS, WAYS, st.booleans(), st.floats(0, 3)), min_size=2, max_size=40))
def test_once_the_network_has_shown_its_best_nothing_arrives_too_close(
    trips: list[tuple[float, float, bool, float]],
) -> None:
    """Any delay on either way, after one round trip at full speed."""
    best = (0.01, 0.01, False, 0.0)
    gaps = worst_gaps([best, *((0.01 + a, 0.01 + b, c, idle) for a, b, c, idle in trips)])
    assert gaps[0] >= SPACING
    assert gaps[1] >= CREATION_SPACING


def test_the_first_answers_teach_nothing() -> None:
    """They include the making of the connection: several round trips that look like one."""

    async def story() -> float:
        clock = VirtualClock(START)
        limiter = limiter_on(clock)
        first = await send(limiter, clock, 0.28, 0.02)
        return await send(limiter, clock, 0.02, 0.02) - first

    assert asyncio.run(story()) >= SPACING


def test_the_budget_is_used_to_the_hundredth() -> None:
    """On a steady network nearly every second carries a request."""

    async def a_minute() -> int:
        clock = VirtualClock(START)
        limiter = limiter_on(clock)
        sent = 0
        while clock.monotonic() < 600:
            await send(limiter, clock, 0.01, 0.01)
            sent += 1
        return sent

    assert asyncio.run(a_minute()) >= 590


def test_a_refusal_widens_the_margin_and_success_narrows_it_again() -> None:
    """Each refusal doubles it; a minute of answers takes it back to nothing."""

    async def story() -> None:
        clock = VirtualClock(START)
        limiter = limiter_on(clock)
        await send(limiter, clock, 0.01, 0.01)
        before = limiter.ready_in()
        limiter.refused(None)
        first = limiter.margin
        assert first > 0
        assert limiter.ready_in() > before
        limiter.refused(None)
        assert limiter.margin == 2 * first
        for _ in range(60):
            await send(limiter, clock, 0.01, 0.01)
        assert limiter.margin == 0

    asyncio.run(story())


def refusals_by(spacing: float, sent: int) -> list[int]:
    """Return which requests were refused by an exchange that counts by ``spacing`` seconds."""

    async def story() -> list[int]:
        clock = VirtualClock(START)
        limiter = limiter_on(clock)
        last, refused = float("-inf"), []
        for number in range(sent):
            async with limiter.slot() as slot:
                clock.advance(0.01)
                early = clock.monotonic() - last < spacing
                last = last if early else clock.monotonic()
                clock.advance(0.01)
                slot.answer()
            if early:
                refused.append(number)
                limiter.refused(None)
            else:
                limiter.accepted()
        return refused

    return asyncio.run(story())


@pytest.mark.parametrize("spacing", [1.02, 1.1, 1.3])
def test_a_limit_that_is_slower_than_told_is_learnt(spacing: float) -> None:
    """It is run against a few times, and not again before an hour has passed."""
    refused = refusals_by(spacing, 2000)
    assert 0 < len(refused) <= 5
    assert refused[-1] < 200


def test_a_margin_that_was_refused_once_is_forgotten_after_an_hour() -> None:
    """It is no more than half a second by then either, and other causes come and go."""

    async def story() -> None:
        clock = VirtualClock(START)
        limiter = limiter_on(clock)
        for _ in range(12):
            limiter.refused(None)
            limiter.accepted()
        for _ in range(100):
            limiter.accepted()
        assert limiter.margin == 0.5
        clock.advance(3600)
        for _ in range(60):
            limiter.accepted()
        assert limiter.margin == 0

    asyncio.run(story())


@given(st.floats(0, 86400))
def test_retry_after_is_honoured(seconds: float) -> None:
    """Nothing leaves before the time that the exchange named."""

    async def story() -> None:
        clock = VirtualClock(START)
        limiter = limiter_on(clock)
        await send(limiter, clock, 0.01, 0.01)
        limiter.refused(seconds)
        # Both are differences of binary numbers: below a nanosecond they say nothing.
        assert limiter.ready_in() >= seconds - 1e-9
        told = clock.monotonic()
        async with limiter.slot() as slot:
            assert slot.sent_at >= told + seconds - 1e-9

    asyncio.run(story())


def test_a_request_that_never_left_costs_nothing() -> None:
    """No connection, no arrival: the slot is free again at once."""

    async def story() -> None:
        clock = VirtualClock(START)
        limiter = limiter_on(clock)
        async with limiter.slot() as slot:
            clock.advance(3)
            slot.never_left()
        assert limiter.ready_in() == 0
        assert limiter.sent == 0

    asyncio.run(story())


def test_an_answer_that_never_came_is_waited_out_in_full() -> None:
    """Without an answer nothing is known of its arrival but that it was before we gave up."""

    async def story() -> None:
        clock = VirtualClock(START)
        limiter = limiter_on(clock)
        await send(limiter, clock, 0.2, 0.2)
        async with limiter.slot():
            clock.advance(20)
        assert limiter.ready_in() >= SPACING

    asyncio.run(story())


def test_requests_in_parallel_are_sent_one_after_the_other() -> None:
    """Whoever asks at once waits in line."""

    async def story() -> list[float]:
        clock = VirtualClock(START)
        limiter = limiter_on(clock)
        return sorted(await asyncio.gather(*(send(limiter, clock, 0.1, 0.1) for _ in range(8))))

    arrivals = asyncio.run(story())
    assert _least_gap(arrivals) >= SPACING


@settings(max_examples=50)
@given(st.floats(-86_400, 86_400))
def test_a_new_process_waits_for_what_the_last_one_may_have_just_sent(ago: float) -> None:
    """The calendar may have been set since, and what is stored lags: how long ago, nobody can tell."""
    last = START - timedelta(seconds=ago)
    limiter = limiter_on(VirtualClock(START), last_request_at=last, last_creation_at=last)
    assert limiter.ready_in() == SPACING
    assert limiter.ready_in(creation=True) == CREATION_SPACING


def test_the_first_process_of_all_waits_for_nobody() -> None:
    """Nothing was ever sent."""
    limiter = limiter_on(VirtualClock(START))
    assert limiter.ready_in() == 0
    assert limiter.ready_in(creation=True) == 0


def test_a_creation_waits_for_its_own_spacing_while_reads_go_on() -> None:
    """Five seconds for creations do not stop the rest."""

    async def story() -> None:
        clock = VirtualClock(START)
        limiter = limiter_on(clock)
        await send(limiter, clock, 0.01, 0.01, creation=True)
        assert limiter.ready_in() < 1.1
        assert limiter.ready_in(creation=True) > 4.9
        assert limiter.sent_last_minute() == 1
        clock.advance(61)
        assert limiter.sent_last_minute() == 0

    asyncio.run(story())
