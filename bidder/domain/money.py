"""Exact money: amounts that know their currency and refuse to meet another without a rate.

``Price`` is per day for a whole server, ``Money`` is an amount that has been or may be paid. They
are two types on purpose: adding a rate of spending to an amount spent is never right. Rejected: a
bare ``Decimal`` with the currency in a second variable, which is how two coins get added up.

Currencies are open: the marketplace lists names that no table of ours knows, and those must survive
(API document, trap 9).
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import ROUND_CEILING, ROUND_FLOOR, ROUND_HALF_EVEN, Context, Decimal, InvalidOperation
from types import MappingProxyType
from typing import ClassVar, Self

from bidder.errors import InvalidAmount, MixedCurrencies, NoRate

# Wide enough for any sum of amounts as long as the exchange sends them, so that adding up stays exact.
EXACT = Context(prec=80)
# A quotient has to end somewhere; 30 digits are far below any quantum.
_QUOTIENT = Context(prec=30)
# Holds every digit that money may have, from the largest amount down to the finest: an absurd bid in
# a book must not end in an arithmetic error.
_WIDEST = Context(prec=160)


class Currency(str):
    """A currency by the name that the exchange uses for it."""

    __slots__ = ()

    BTC: ClassVar["Currency"]
    CLORE: ClassVar["Currency"]
    USD: ClassVar["Currency"]

    @property
    def short(self) -> str:
        """Return the name that people use: BTC, CLORE, USD, or the exchange's own."""
        return _SHORT.get(self, str(self))

    @classmethod
    def named(cls, text: str) -> "Currency":
        """Return the currency for a person's or the exchange's spelling (``BTC``, ``bitcoin``)."""
        return cls(_SPELLINGS.get(text.lower(), text))


Currency.BTC = Currency("bitcoin")
Currency.CLORE = Currency("CLORE-Blockchain")
Currency.USD = Currency("USD-Blockchain")

_SHORT = {Currency.BTC: "BTC", Currency.CLORE: "CLORE", Currency.USD: "USD"}
_SPELLINGS: dict[str, Currency] = {
    "btc": Currency.BTC,
    "bitcoin": Currency.BTC,
    "clore": Currency.CLORE,
    "clore-blockchain": Currency.CLORE,
    "usd": Currency.USD,
    "usd-blockchain": Currency.USD,
}

# The smallest step in which this program forms prices of its own. The exchange's smallest step is
# written down nowhere; these are the finest that hosts were seen to use (bitcoin 8 decimals, CLORE 2)
# and, for dollars, a hundredth of a cent. A price that the exchange itself names is never rounded.
_QUANTA = {
    Currency.BTC: Decimal("1e-8"),
    Currency.CLORE: Decimal("0.01"),
    Currency.USD: Decimal("0.0001"),
}
_DEFAULT_QUANTUM = Decimal("1e-8")

_MAX_DIGITS = 60
# Sums and products of amounts have more digits than each of them.
_LONGEST_REACHED = 160
_FINEST, _COARSEST = Decimal("1e-60"), Decimal("1e20")
# Nearly every amount lies between these and is written this short: one look tells, where taking it
# apart takes a while, and a marketplace answer holds ten thousand of them.
_USUAL_LEAST, _USUAL_MOST, _USUAL_LENGTH = Decimal("1e-20"), Decimal("1e15"), 30


def quantum(currency: Currency) -> Decimal:
    """Return the smallest price step that this program uses for a currency, per day."""
    return _QUANTA.get(currency, _DEFAULT_QUANTUM)


def plain(amount: Decimal) -> str:
    """Return the amount as a plain decimal literal: never an exponent, no needless zeros."""
    text = format(amount, "f")
    if "." in text:
        text = text.rstrip("0").rstrip(".")
    return text if text not in {"", "-0"} else "0"


def parse_amount(text: str) -> Decimal:
    """Return the exact non-negative amount written in ``text``.

    Raises:
        InvalidAmount: not a number, negative, infinite, NaN, or beyond any sensible magnitude.
    """
    try:
        # Python would read 0_1 as 1: somebody's slip for 0.1, ten times the price.
        amount = Decimal(text.strip() if "_" not in text else "")
    except InvalidOperation:
        raise InvalidAmount(f"{text!r} is not a number") from None
    return checked_amount(amount)


def checked_amount(amount: Decimal) -> Decimal:
    """Return ``amount`` if somebody may mean it: finite, not negative, of bounded length and size.

    Raises:
        InvalidAmount: otherwise.
    """
    found = reached_amount(amount, longest=_MAX_DIGITS)
    if found > _USUAL_MOST:
        raise InvalidAmount("an amount of this size cannot be money")
    return found


def reached_amount(amount: Decimal, *, longest: int = _LONGEST_REACHED) -> Decimal:
    """Return ``amount`` if it is what checked amounts may come to: added up, converted, over years.

    Raises:
        InvalidAmount: otherwise.
    """
    if not amount.is_finite():
        raise InvalidAmount(f"{amount} is not a finite amount")
    if _USUAL_LEAST <= amount <= _USUAL_MOST and len(str(amount)) <= _USUAL_LENGTH:
        return amount
    if amount.is_signed() and amount != 0:
        # As it stands: written out in full, -1e999999999 would be a gigabyte of zeros.
        raise InvalidAmount(f"{str(amount)[:_USUAL_LENGTH]} is negative")
    taken_apart = amount.as_tuple()
    digits, exponent = len(taken_apart.digits), taken_apart.exponent
    if not isinstance(exponent, int) or digits > longest or not -longest <= exponent <= 20:
        raise InvalidAmount("an amount of this size or precision cannot be money")
    # Not abs(): it would round to the precision of the context.
    return amount.copy_abs()


def to_places(amount: Decimal, places: int) -> Decimal:
    """Return the amount rounded to so many decimal places, however large it is.

    ``round`` raises where the result has more digits than the context of the thread.
    """
    return amount.quantize(Decimal(1).scaleb(-places), ROUND_HALF_EVEN, context=_WIDEST)


def _fitted(computed: Decimal) -> Decimal:
    """Return what was computed in a form that money can have: neither finer nor coarser."""
    exponent = computed.as_tuple().exponent
    if isinstance(exponent, int) and exponent < -_MAX_DIGITS:
        return computed.quantize(_FINEST, context=_WIDEST)
    if isinstance(exponent, int) and exponent > 20:
        return computed.quantize(_COARSEST, context=_WIDEST)
    return computed


@dataclass(frozen=True, slots=True)
class _Amount:
    amount: Decimal
    currency: Currency

    def __post_init__(self) -> None:
        reached_amount(self.amount)

    @classmethod
    def parse(cls, text: str, currency: Currency) -> Self:
        """Return the exact value written in ``text``; raises InvalidAmount."""
        return cls(parse_amount(text), currency)

    @classmethod
    def zero(cls, currency: Currency) -> Self:
        """Return nothing, in this currency."""
        return cls(Decimal(0), currency)

    def _same(self, other: Self) -> Decimal:
        if self.currency != other.currency:
            raise MixedCurrencies(
                f"{self.currency.short} and {other.currency.short} need a rate to be compared"
            )
        return other.amount

    def __lt__(self, other: Self) -> bool:
        return self.amount < self._same(other)

    def __le__(self, other: Self) -> bool:
        return self.amount <= self._same(other)

    def __gt__(self, other: Self) -> bool:
        return self.amount > self._same(other)

    def __ge__(self, other: Self) -> bool:
        return self.amount >= self._same(other)

    def __add__(self, other: Self) -> Self:
        return type(self)(EXACT.add(self.amount, self._same(other)), self.currency)

    def minus(self, other: Self) -> Self:
        """Return the difference, or zero where ``other`` is larger."""
        return type(self)(max(Decimal(0), EXACT.subtract(self.amount, self._same(other))), self.currency)

    def times(self, factor: Decimal | int) -> Self:
        """Return this, ``factor`` times."""
        return type(self)(_fitted(_QUOTIENT.multiply(self.amount, Decimal(factor))), self.currency)

    def __str__(self) -> str:
        return f"{plain(self.amount)} {self.currency.short}"


class Money(_Amount):
    """An amount paid, owed or owned, in one currency."""

    __slots__ = ()


class Price(_Amount):
    """What one whole server costs per day, in one currency (API document, section 1)."""

    __slots__ = ()

    def rounded_up(self) -> "Price":
        """Return the nearest price on the currency's quantum that is not below this one."""
        return self._rounded(ROUND_CEILING)

    def rounded_down(self) -> "Price":
        """Return the nearest price on the currency's quantum that is not above this one."""
        return self._rounded(ROUND_FLOOR)

    def one_tick_up(self) -> "Price":
        """Return the next price on the quantum that is strictly above this one."""
        return self.ticks_up(1)

    def ticks_up(self, ticks: int) -> "Price":
        """Return the price ``ticks`` steps above the last one on the quantum at or below this one."""
        steps = _WIDEST.multiply(quantum(self.currency), Decimal(ticks))
        return Price(_WIDEST.add(self.rounded_down().amount, steps), self.currency)

    def per_gpu(self, gpus: int) -> "Price":
        """Return this price's share for one of ``gpus`` GPUs."""
        return Price(_fitted(_QUOTIENT.divide(self.amount, Decimal(gpus))), self.currency)

    def _rounded(self, rounding: str) -> "Price":
        rounded = self.amount.quantize(quantum(self.currency), rounding, context=_WIDEST)
        return Price(rounded, self.currency)


@dataclass(frozen=True, slots=True)
class Rates:
    """What one unit of each currency is worth in USD.

    USD itself is always worth 1. Rates that are not positive and finite are dropped at
    construction: a rate of zero would make every bid free.
    """

    usd_per_unit: Mapping[Currency, Decimal] = field(default_factory=dict)

    def __post_init__(self) -> None:
        usable = {
            currency: rate
            for currency, rate in self.usd_per_unit.items()
            if rate.is_finite() and Decimal("1e-15") < rate < Decimal("1e15")
        }
        usable[Currency.USD] = Decimal(1)
        object.__setattr__(self, "usd_per_unit", MappingProxyType(usable))

    def knows(self, currency: Currency) -> bool:
        """Return whether amounts in this currency can be valued."""
        return currency in self.usd_per_unit

    def over(self, fallback: "Rates") -> "Rates":
        """Return these rates, completed by ``fallback`` where they are silent."""
        if fallback.usd_per_unit.keys() <= self.usd_per_unit.keys():
            return self
        return Rates({**fallback.usd_per_unit, **self.usd_per_unit})

    def to_usd(self, value: Price | Money) -> Decimal:
        """Return the value in USD (per day where it is a price); raises NoRate."""
        return _QUOTIENT.multiply(value.amount, self._rate(value.currency))

    def convert(self, price: Price, currency: Currency) -> Price:
        """Return the same price in another currency, not yet rounded; raises NoRate."""
        if price.currency == currency:
            return price
        usd = _QUOTIENT.multiply(price.amount, self._rate(price.currency))
        return Price(_fitted(_QUOTIENT.divide(usd, self._rate(currency))), currency)

    def from_usd(self, usd: Decimal, currency: Currency) -> Price:
        """Return the price in ``currency`` worth ``usd`` per day, not yet rounded; raises NoRate."""
        return Price(_fitted(_QUOTIENT.divide(usd, self._rate(currency))), currency)

    def _rate(self, currency: Currency) -> Decimal:
        try:
            return self.usd_per_unit[currency]
        except KeyError:
            raise NoRate(f"no rate to USD is known for {currency.short}") from None
