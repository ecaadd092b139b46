"""The multiplier of a budget: what it does to a stream of spending, whatever the market offers."""

from datetime import timedelta
from decimal import Decimal

from builders import NOW
from hypothesis import given
from hypothesis import strategies as st

from bidder.domain.costs import Period
from bidder.domain.pacing import Multiplier, share

PERIODS = st.sampled_from(list(Period))
RATES = st.floats(0, 1e6)
LOOK = timedelta(seconds=30)


@given(
    st.lists(st.tuples(st.floats(0, 0.999), st.floats(0.001, 1000)), min_size=1, max_size=40), PERIODS
)
def test_it_stays_zero_while_the_budget_does_not_bind(
    looks: list[tuple[float, float]], period: Period
) -> None:
    """Spending below the target rate never lowers a ceiling."""
    mu, now = Multiplier(at=NOW), NOW
    for part, target in looks:
        now += LOOK
        mu = mu.after(part * target, target, period, now)

    assert mu.value == 0


@given(st.floats(0, 500), RATES, RATES, st.floats(0.001, 1e6), PERIODS, st.floats(0, 50))
def test_it_never_falls_where_more_is_spent(
    value: float, one: float, other: float, target: float, period: Period, idle: float
) -> None:
    """Of two rates of spending the higher one leaves the higher multiplier."""
    less, more = sorted((one, other))
    before, now = Multiplier(value=value, at=NOW), NOW + LOOK

    low = before.after(less, target, period, now, idle_below=idle)
    high = before.after(more, target, period, now, idle_below=idle)

    assert 0 <= low.value <= high.value * (1 + 1e-12)


@given(st.floats(0, 500), RATES, st.floats(0.001, 1e6), st.floats(0.001, 1e6), PERIODS)
def test_it_never_rises_where_more_may_be_spent(
    value: float, spending: float, one: float, other: float, period: Period
) -> None:
    """Of two target rates the higher one leaves the lower multiplier."""
    tight, loose = sorted((one, other))
    before, now = Multiplier(value=value, at=NOW), NOW + LOOK

    assert before.after(spending, loose, period, now).value <= before.after(
        spending, tight, period, now
    ).value * (1 + 1e-12)


@given(st.floats(0, 900), RATES, st.floats(0, 1e6), PERIODS, st.integers(-100, 10**7))
def test_one_look_never_moves_it_far(
    value: float, spending: float, target: float, period: Period, seconds: int
) -> None:
    """However long nobody looked, and if the clock was set back: a few percent at most."""
    after = Multiplier(value=value, at=NOW).after(
        spending, target, period, NOW + timedelta(seconds=seconds)
    )

    assert (1 + value) * 0.97 <= 1 + after.value <= (1 + value) * 1.05


@given(st.floats(0, 999), st.floats(0, 999))
def test_the_share_falls_with_the_multiplier(one: float, other: float) -> None:
    """It is 1 / (1 + mu) to within a hundredth, and never larger for a larger multiplier."""
    low, high = sorted((one, other))

    assert 0 < share(high) <= share(low) <= 1
    assert abs(float(share(one)) * (1 + one) - 1) < 0.0101 + 2e-6 * (1 + one)
    assert share(0.0) == Decimal(1)


@given(st.floats(0.5, 3), st.floats(0.05, 0.9))
def test_in_a_steady_market_the_money_lasts(price_over_target: float, nearness: float) -> None:
    """A server at one price, begun and ended as the multiplier says, comes to its target rate.

    It is begun at a price of 1 / (1 + mu) of its ceiling and ended well above that; after the first
    day, in which the multiplier is learnt, the mean over two days is the target, or the price where
    that is lower.
    """
    mu, now, runs, ran = Multiplier(at=NOW), NOW, False, 0
    step = timedelta(minutes=5)
    looks = range(3 * 288)
    for look in looks:
        level = nearness * (1 + mu.value)
        runs = price_over_target <= 1 or level <= (1.5 if runs else 1.0)
        ran += runs and look >= 288
        now += step
        idle = 1 / nearness - 1 if runs else 0.0
        mu = mu.after(price_over_target * runs, 1.0, Period.DAY, now, idle_below=idle)

    mean = price_over_target * ran / (2 * 288)
    assert abs(mean - min(price_over_target, 1.0)) < 0.25
