"""Amounts in the configuration: which currency, how much, and whether it can be meant."""

from decimal import Decimal
from typing import Final, NamedTuple

from bidder.config import values
from bidder.config.problems import Problems
from bidder.config.reader import scalar_value
from bidder.config.tree import Branch, Scalar
from bidder.domain import money
from bidder.domain.money import Currency, Price, Rates
from bidder.errors import InvalidAmount

# No server of this marketplace costs this much per day; a ceiling above it is a slip of the keyboard.
MOST_USD_PER_DAY: Final = Decimal(100_000)
# The same bound for the coins that may have no rate here: far above any bid, far below a typing error.
_MOST_PER_DAY: Final = {
    Currency.USD: MOST_USD_PER_DAY,
    Currency.BTC: Decimal(1),
    Currency.CLORE: Decimal(10_000_000),
}
# The exchange's own answers hold the rates of these.
RATED_BY_EXCHANGE: Final = frozenset({Currency.BTC, Currency.CLORE, Currency.USD})


class Amount(NamedTuple):
    """One amount as the owner wrote it, with its place in the file."""

    currency: Currency
    amount: Decimal
    scalar: Scalar
    name: str


def positive(scalar: Scalar) -> Decimal:
    """Return an exact amount above zero."""
    amount = not_negative(scalar)
    if amount == 0:
        raise values.Unusable("must be more than zero", "write a positive amount")
    return amount


def not_negative(scalar: Scalar) -> Decimal:
    """Return an exact amount of zero or more."""
    value = values.number(scalar)
    if value < 0:
        raise values.Unusable("is negative", "write a positive amount")
    try:
        return money.checked_amount(value)
    except InvalidAmount:
        raise values.Unusable(
            "is finer or larger than money can be", "write an ordinary amount"
        ) from None


def amounts(
    branch: Branch, problems: Problems, *, skip: frozenset[str], zero: bool = False
) -> tuple[Amount, ...]:
    """Return the amounts of a section whose keys are currencies, each currency once."""
    found: dict[Currency, Amount] = {}
    for name, node in branch.entries.items():
        if name in skip:
            continue
        if name.strip() == "per":
            remedy = "remove it; only a ceiling and a value may be per GPU"
            problems.add("is no currency", line=node.line, key=f"{branch.path}.per", remedy=remedy)
            continue
        amount = scalar_value(node, not_negative if zero else positive, problems)
        if amount is None or not isinstance(node, Scalar):
            continue
        currency = Currency.named(name.strip())
        if currency in found:
            problems.add(
                f"is the same currency as '{found[currency].name}'",
                line=branch.key_lines[name],
                key=node.path,
                remedy="keep one of them",
            )
            continue
        found[currency] = Amount(currency, amount, node, name)
    return tuple(found.values())


def price_per_day(amount: Amount, rates: Rates, problems: Problems) -> Price | None:
    """Return a price that an owner can have meant; None, with an error noted, for any other."""
    currency, scalar = amount.currency, amount.scalar
    if not rated(currency, rates):
        note_unrated(amount.name, problems, line=scalar.line, key=scalar.path)
        return None
    price = Price(amount.amount, currency)
    problem = remedy = ""
    if price.rounded_down().amount == 0:
        problem = f"is below the smallest price step of {currency.short}"
        remedy = f"write at least {money.plain(money.quantum(currency))}"
    elif rates.knows(currency) and rates.to_usd(price) > MOST_USD_PER_DAY:
        problem = f"is absurd: more than {MOST_USD_PER_DAY} USD per day"
        remedy = f"check the decimal point and the rate; this is a price per day in {currency.short}"
    elif currency in _MOST_PER_DAY and amount.amount > _MOST_PER_DAY[currency]:
        problem = f"is absurd: more than {_MOST_PER_DAY[currency]} {currency.short} per day"
        remedy = f"check the decimal point; this is a price per day in {currency.short}"
    if problem:
        problems.add(problem, line=scalar.line, key=scalar.path, value=scalar.text, remedy=remedy)
        return None
    return price


def rated(currency: Currency, rates: Rates) -> bool:
    """Return whether a rate to USD is known here or will come from the exchange."""
    return currency in RATED_BY_EXCHANGE or rates.knows(currency)


def note_unrated(name: str, problems: Problems, *, line: int, key: str) -> None:
    """Note a currency that nobody has a rate for."""
    problems.add(
        f"no rate to USD is known for the currency '{name[:60]}'",
        line=line,
        key=key[:200],
        remedy=f"use usd, btc or clore, or add 'rates: {{{name[:60]}: USD per unit}}'",
    )
