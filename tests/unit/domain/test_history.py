"""What bids would have held, on histories of which the truth is known."""

from collections.abc import Sequence
from datetime import timedelta
from decimal import Decimal

import pytest
from builders import NOW
from hypothesis import given, settings
from hypothesis import strategies as st

from bidder.domain.history import Reading, price_above, survival
from bidder.domain.money import Currency, Rates, quantum

HOUR = timedelta(hours=1)
NEVER_FORGETS = timedelta(days=100_000)
PRICES = st.lists(st.one_of(st.none(), st.integers(0, 9).map(Decimal)), min_size=1, max_size=30)


def hours(prices: Sequence[Decimal | None]) -> list[Reading]:
    """Return a history of one price per hour that ends now."""
    begin = NOW - len(prices) * HOUR
    return [
        Reading(begin=begin + n * HOUR, end=begin + (n + 1) * HOUR, price=price)
        for n, price in enumerate(prices)
    ]


@settings(deadline=None)
@given(prices=PRICES, keep=st.integers(1, 6), bid=st.integers(0, 9))
def test_survival_is_the_share_of_starts(prices: list[Decimal | None], keep: int, bid: int) -> None:
    """It agrees with trying every start, two minutes apart, one by one."""
    found = survival([hours(prices)], Decimal(bid), keep * HOUR, NOW, half_life=NEVER_FORGETS)
    starts = [(n * 2 + 1) / 60 for n in range(30 * max(0, len(prices) - keep))]
    if not starts:
        assert found is None
        return
    held = sum(
        all(
            price is None or price <= bid
            for n, price in enumerate(prices)
            if n < start + keep and n + 1 > start
        )
        for start in starts
    )
    assert found is not None
    assert abs(found.share - held / len(starts)) < 1e-3
    assert found.lower <= found.share


def test_old_prices_are_forgotten() -> None:
    """A rival who left three half-lives ago no longer decides how often a bid would have held."""
    readings = hours([Decimal(9)] * 60 + [Decimal(1)] * 36)

    remembered = survival([readings], Decimal(1), HOUR, NOW, half_life=NEVER_FORGETS)
    forgotten = survival([readings], Decimal(1), HOUR, NOW, half_life=12 * HOUR)
    assert remembered is not None
    assert forgotten is not None
    assert remembered.share == pytest.approx(35 / 95, abs=1e-4)
    assert forgotten.share > 0.85


def test_unwatched_time_is_no_survival() -> None:
    """A gap is neither held nor lost: a start into it is not judged."""
    before, after = hours([Decimal(1)] * 3), hours([Decimal(1)])
    moved = [Reading(begin=r.begin - 9 * HOUR, end=r.end - 9 * HOUR, price=r.price) for r in before]

    assert survival([[*moved, *after]], Decimal(1), 4 * HOUR, NOW) is None


@given(st.decimals(min_value="0.0001", max_value="1000", places=6))
def test_price_is_above_and_on_the_quantum(usd: Decimal) -> None:
    """What is bid wins against what it was reckoned from, in the currency's own steps."""
    rates = Rates({Currency.BTC: Decimal(69_000)})
    price = price_above(usd, Currency.BTC, rates)

    assert rates.to_usd(price) > usd
    assert price.amount % quantum(Currency.BTC) == 0
