"""Money is exact, knows its currency and is rounded only in the direction that is safe."""

from decimal import Decimal

import pytest
from builders import btc, clore, usd
from hypothesis import given
from hypothesis import strategies as st

from bidder.domain.money import (
    Currency,
    Money,
    Price,
    Rates,
    checked_amount,
    parse_amount,
    plain,
    quantum,
    to_places,
)
from bidder.errors import InvalidAmount, MixedCurrencies, NoRate

CURRENCIES = st.sampled_from([Currency.BTC, Currency.CLORE, Currency.USD, Currency("dogecoin")])
AMOUNTS = st.decimals(min_value=0, max_value=10**12, allow_nan=False, allow_infinity=False, places=16)
POSITIVE = st.decimals(min_value=Decimal("1e-12"), max_value=10**9, places=12)
RATE = st.decimals(min_value=Decimal("1e-6"), max_value=10**6, places=6)
LITERALS = st.tuples(st.integers(0, 10**15), st.integers(-25, 0)).map(lambda p: f"{p[0]}e{p[1]}")


@pytest.mark.parametrize(
    ("text", "printed"),
    [
        ("3e-7", "0.0000003"),
        ("6.944444444444445e-9", "0.000000006944444444444445"),
        ("0.1", "0.1"),
        ("100", "100"),
        ("1E+2", "100"),
        ("0.10", "0.1"),
        ("-0", "0"),
        ("0e5", "0"),
        (" 7 ", "7"),
    ],
)
def test_an_amount_is_read_as_written_and_printed_without_an_exponent(text: str, printed: str) -> None:
    """No float ever touches it: every digit survives."""
    assert plain(parse_amount(text)) == printed


@pytest.mark.parametrize(
    "text",
    [
        "",
        "abc",
        "1,5",
        "0_1",
        "0x10",
        "NaN",
        "sNaN",
        "Infinity",
        "-inf",
        "-1",
        "-1e-9",
        "1e400",
        "1e-400",
        "1e16",
        "1000000000000000.01",
    ],
)
def test_what_cannot_be_money_is_refused(text: str) -> None:
    """Not a number, not finite, negative, or of a size that no price has."""
    with pytest.raises(InvalidAmount):
        parse_amount(text)


def test_a_price_checks_its_amount_however_it_is_built() -> None:
    """No negative or infinite price can exist, parsed or computed."""
    for amount in (Decimal(-1), Decimal("NaN"), Decimal("Infinity")):
        with pytest.raises(InvalidAmount):
            Price(amount, Currency.BTC)


@given(literal=LITERALS)
def test_printing_and_reading_again_gives_the_same_amount(literal: str) -> None:
    """A price that leaves as text comes back as itself."""
    amount = parse_amount(literal)
    printed = plain(amount)
    assert parse_amount(printed) == amount
    assert set(printed) <= set("0123456789.")


@given(amount=AMOUNTS, currency=CURRENCIES)
def test_rounding_is_on_the_quantum_and_never_past_it(amount: Decimal, currency: Currency) -> None:
    """Down is at most one quantum below, up at most one above, and both are whole quanta."""
    price, step = Price(amount, currency), quantum(currency)
    low, high = price.rounded_down().amount, price.rounded_up().amount
    assert low <= amount <= high
    assert high - low in {Decimal(0), step}
    assert low % step == high % step == 0


@given(amount=AMOUNTS, currency=CURRENCIES)
def test_one_tick_up_is_the_next_whole_quantum(amount: Decimal, currency: Currency) -> None:
    """Strictly above, and by no more than one quantum."""
    price = Price(amount, currency)
    tick = price.one_tick_up()
    assert price < tick
    assert tick.amount - amount <= quantum(currency)
    assert tick == tick.rounded_down()


@given(one=AMOUNTS, two=AMOUNTS)
def test_sums_are_exact(one: Decimal, two: Decimal) -> None:
    """Adding and taking away again leaves what there was, to the last digit."""
    first, second = Money(one, Currency.BTC), Money(two, Currency.BTC)
    assert (first + second).minus(second) == first
    assert first.minus(first + second) == Money.zero(Currency.BTC)


def test_two_currencies_never_meet_without_a_rate() -> None:
    """Neither compared nor added: it raises instead of being wrong."""
    one, two = btc("1"), usd("1")
    for meet in (
        lambda: one < two,
        lambda: one <= two,
        lambda: one > two,
        lambda: one >= two,
        lambda: one + two,
        lambda: one.minus(two),
    ):
        with pytest.raises(MixedCurrencies):
            meet()
    assert one != two


def test_currencies_are_named_as_people_and_as_the_exchange_do() -> None:
    """Known spellings become one currency; an unknown name survives as it is."""
    assert Currency.named("btc") == Currency.named("Bitcoin") == Currency.BTC == "bitcoin"
    assert Currency.named("clore-blockchain") == Currency.CLORE
    assert Currency.named("USD") == Currency.USD
    assert Currency.named("SomeCoin") == "SomeCoin"
    assert Currency.named("SomeCoin").short == "SomeCoin"
    assert str(btc("0.00000030")) == "0.0000003 BTC"


def test_conversion_goes_through_dollars() -> None:
    """BTC at 50,000 and CLORE at 0.02: one BTC is 2.5 million CLORE."""
    rates = Rates({Currency.BTC: Decimal(50_000), Currency.CLORE: Decimal("0.02")})
    assert rates.to_usd(btc("0.0001")) == Decimal(5)
    assert rates.convert(btc("0.0001"), Currency.CLORE) == clore("250")
    assert rates.convert(clore("250"), Currency.USD) == usd("5")
    assert rates.from_usd(Decimal(5), Currency.BTC) == btc("0.0001")


def test_a_price_in_its_own_currency_needs_no_rate() -> None:
    """Converting nothing works without rates, converting something does not."""
    assert Rates().convert(btc("1"), Currency.BTC) == btc("1")
    with pytest.raises(NoRate):
        Rates().convert(btc("1"), Currency.USD)
    with pytest.raises(NoRate):
        Rates().convert(usd("1"), Currency.BTC)
    with pytest.raises(NoRate):
        Rates().to_usd(clore("1"))


def test_a_dollar_is_a_dollar_whatever_an_answer_says() -> None:
    """The exchange cannot make our ceilings in dollars worth something else."""
    assert Rates({Currency.USD: Decimal("0.5")}).to_usd(usd("3")) == Decimal(3)


@pytest.mark.parametrize("rate", ["0", "-1", "NaN", "Infinity", "1e-20", "1e20"])
def test_a_senseless_rate_is_no_rate(rate: str) -> None:
    """A rate of zero would make every bid look free."""
    assert not Rates({Currency.BTC: Decimal(rate)}).knows(Currency.BTC)


def test_newer_rates_win_and_older_ones_fill_the_gaps() -> None:
    """An answer that is silent about a coin leaves what was known of it."""
    old = Rates({Currency.BTC: Decimal(1), Currency.CLORE: Decimal(2)})
    both = Rates({Currency.BTC: Decimal(5)}).over(old)
    assert both.to_usd(btc("1")) == 5
    assert both.to_usd(clore("1")) == 2


@given(amount=POSITIVE, rate=RATE, other=RATE)
def test_conversion_keeps_the_order_of_prices(amount: Decimal, rate: Decimal, other: Decimal) -> None:
    """There and back again the price is the same within far less than a quantum."""
    rates = Rates({Currency.BTC: rate, Currency.CLORE: other})
    price = Price(amount, Currency.BTC)
    back = rates.convert(rates.convert(price, Currency.CLORE), Currency.BTC)
    assert abs(back.amount - amount) <= amount * Decimal("1e-20")
    assert rates.convert(price.times(2), Currency.CLORE) > rates.convert(price, Currency.CLORE)


@given(amount=POSITIVE, gpus=st.integers(1, 64))
def test_the_shares_of_all_gpus_make_the_whole_price(amount: Decimal, gpus: int) -> None:
    """A price per GPU is the server's price divided, not rounded."""
    price = Price(amount, Currency.USD)
    assert abs(price.per_gpu(gpus).times(gpus).amount - amount) <= amount * Decimal("1e-20")


_EXTREMES = st.tuples(st.integers(1, 10**20), st.integers(-40, 20)).map(
    lambda p: Decimal(p[0]).scaleb(p[1])
)


@given(amount=_EXTREMES, rate=_EXTREMES, other=_EXTREMES)
def test_no_bid_however_absurd_breaks_the_arithmetic(
    amount: Decimal, rate: Decimal, other: Decimal
) -> None:
    """Whatever stands in a book can be rounded, outbid and converted: a rival cannot crash us."""
    price = Price(amount, Currency.BTC)
    assert price.rounded_down() <= price < price.one_tick_up()
    rates = Rates({Currency.BTC: rate, Currency.CLORE: other})
    if rates.knows(Currency.BTC) and rates.knows(Currency.CLORE):
        assert rates.convert(price, Currency.CLORE).amount >= 0


@given(amount=_EXTREMES.filter(lambda amount: amount <= Decimal("1e15")), places=st.integers(0, 20))
def test_what_amounts_come_to_can_be_rounded_and_kept(amount: Decimal, places: int) -> None:
    """A sum of many years at an absurd price and rate is no error of arithmetic."""
    worth = Rates({Currency.BTC: Decimal("9e14")}).to_usd(Price(amount, Currency.BTC)) * 3650
    rounded = to_places(worth, places)
    assert abs(rounded - worth) <= Decimal(1).scaleb(-places)
    assert Price(rounded, Currency.USD) + Price(amount, Currency.USD) >= Price(rounded, Currency.USD)


@pytest.mark.parametrize(
    "text", ["-1e999999999", "-1e-999999999", "1e999999999", "-" + "9" * 10_000, "-0." + "1" * 10_000]
)
def test_an_absurd_amount_is_refused_in_few_words(text: str) -> None:
    """Written out in full, such a number would fill the memory; a mere refusal must not."""
    with pytest.raises(InvalidAmount) as caught:
        checked_amount(Decimal(text))

    assert len(str(caught.value)) < 100
