"""What bids would have held, on histories of which the truth is known."""

from collections.abc import Sequence
from datetime import timedelta
from decimal import Decimal

from builders import NOW
from hypothesis import given, settings
from hypothesis import strategies as st

from bidder.domain.history import Reading, price_above, quantile, survival
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


@settings(deadline=None)
@given(prices=PRICES, share=st.floats(0.01, 1))
def test_quantile_is_not_exceeded_for_its_share(prices: list[Decimal | None], share: float) -> None:
    """For at least that share of the time the rival was at or below it, and below for no more."""
    found = quantile(hours(prices), share, NOW, half_life=NEVER_FORGETS)
    assert found is not None
    plain = [price or Decimal(0) for price in prices]

    assert sum(price <= found for price in plain) >= share * len(plain) * (1 - 1e-6)
    assert sum(price < found for price in plain) <= share * len(plain) * (1 + 1e-6)


def test_old_prices_are_forgotten() -> None:
    """A rival who left three half-lives ago no longer decides the median."""
    prices = [Decimal(9)] * 60 + [Decimal(1)] * 36

    assert quantile(hours(prices), 0.5, NOW, half_life=NEVER_FORGETS) == 9
    assert quantile(hours(prices), 0.5, NOW, half_life=12 * HOUR) == 1


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
