"""Summaries of an hour or a day: exact sums and medians over time."""

from datetime import timedelta
from decimal import Decimal
from fractions import Fraction

from builders import at
from hypothesis import given, settings
from hypothesis import strategies as st

from bidder.domain.digest import Held, Span, Spread, Stretch, cost, held_by_order, spread, summarise
from bidder.domain.ids import OrderId

PRICES = st.decimals(min_value="0.0001", max_value="1000", places=8, allow_nan=False)
LENGTHS = st.integers(min_value=1, max_value=86_400_000_000)
OURS = OrderId(7)


def running(begin: float, end: float, bid: str, **changes: object) -> Stretch:
    """Return a stretch in which our order runs at a price."""
    usual = {"rented": True, "held": True, "order": OURS, "bid": Decimal(bid)}
    return Stretch(begin=at(begin), end=at(end), **{**usual, **changes})  # type: ignore[arg-type]


@settings(deadline=None)
@given(st.lists(st.tuples(PRICES, LENGTHS), min_size=1))
def test_cost_is_the_exact_sum(parts: list[tuple[Decimal, int]]) -> None:
    """Prices over time add up to within half of the last place, however many there are."""
    exact = sum((Fraction(price) * length for price, length in parts), Fraction(0)) / 86_400_000_000

    assert abs(Fraction(cost(parts)) - exact) <= Fraction(1, 2 * 10**12)


@settings(deadline=None)
@given(st.lists(st.tuples(PRICES, LENGTHS), min_size=1))
def test_median_halves_the_time(parts: list[tuple[Decimal, int]]) -> None:
    """At most half of the time the price was below the median, at most half above it."""
    found = spread(parts)
    assert found is not None
    whole = sum(length for _, length in parts)

    assert 2 * sum(length for price, length in parts if price < found.median) <= whole
    assert 2 * sum(length for price, length in parts if price > found.median) <= whole
    assert found.low <= found.median <= found.high


def test_summary_weighs_by_time() -> None:
    """Shares and spread count how long something was so, not how often it was seen."""
    seen = (
        running(0, 3000, "2", rival=Decimal(1)),
        running(3000, 3100, "3", rival=Decimal(5)),
        Stretch(begin=at(3100), end=at(3600), online=False, rival=None),
    )
    found = summarise(seen)

    assert found.rival == Spread(low=Decimal(1), median=Decimal(1), high=Decimal(5))
    assert (found.known, found.online) == (timedelta(hours=1), timedelta(seconds=3100))
    assert found.spend == cost([(Decimal(2), 3_000_000_000), (Decimal(3), 100_000_000)])


def test_only_a_beginning_is_a_restart() -> None:
    """An order that ran on from the period before, or through a gap nobody watched, began only once."""
    seen = (
        running(0, 10, "1"),
        running(60, 70, "1"),
        running(70, 80, "1", held=False),
        running(80, 90, "1"),
    )

    assert held_by_order(seen, ran_before=OURS)[OURS].restarts == 1
    assert held_by_order(seen, ran_before=None)[OURS].restarts == 2


def test_on_demand_stands_beside_what_it_is_compared_with() -> None:
    """Time in which the host's price was not known is left out, not counted as free."""
    seen = (running(0, 43200, "1", on_demand=Decimal(4)), running(43200, 86400, "1"))

    assert held_by_order(seen, ran_before=None)[OURS] == Held(
        spend=Decimal(1),
        held=timedelta(days=1),
        restarts=1,
        on_demand=Decimal(2),
        compared=timedelta(hours=12),
    )


def test_periods_begin_on_the_clock() -> None:
    """Hours and days are those of UTC."""
    assert Span.HOUR.begin(at(5)).minute == 0
    assert Span.DAY.begin(at(5)).hour == 0
