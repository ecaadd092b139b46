"""What orders cost and what the wallets hold, to the last digit.

A day's price is spread over time, and 86,400 seconds do not divide a decimal fraction evenly. So
charges are kept as exact sums of price x microseconds and divided only where they are shown.
Rejected: rounding each minute's charge, whose errors add up and hide real ones.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Context, Decimal, localcontext

from bidder.domain.money import EXACT
from bidder.sim.auction import Order
from bidder.sim.moments import DAY, MINUTE
from bidder.sim.rules import Rules

_DAY = Decimal(DAY)
_SHOWN = Context(prec=17)  # as many digits as the exchange's own sample answers show


def shown(charged: Decimal) -> Decimal:
    """Return a charge kept in price x microseconds as an amount of its currency."""
    return _SHOWN.divide(charged, _DAY)


def amount(charged: Decimal) -> Decimal:
    """Return a charge as an amount of its currency, to 40 digits."""
    with localcontext(EXACT) as context:
        context.prec = 40
        return charged / _DAY


def begin(order: Order, rules: Rules, at: int) -> Decimal:
    """Start charging an order that begins to run; return what that alone costs."""
    order.billed_until = at
    order.minute_price = order.price
    if rules.billing != "begun_minutes":
        return Decimal(0)
    return _charge(order, order.price, MINUTE)


def accrue(order: Order, rules: Rules, at: int) -> Decimal:
    """Charge a running order up to ``at``; call before its price or state changes.

    Returns what was added, in price x microseconds.
    """
    elapsed = at - order.billed_until
    if rules.billing == "pro_rata":
        order.billed_until = at
        return _charge(order, order.price, elapsed)
    minutes = elapsed // MINUTE
    if minutes <= 0:
        return Decimal(0)
    order.billed_until += minutes * MINUTE
    if rules.billing == "begun_minutes":
        # The minute that ended here was paid when it began; these are the ones begun since.
        return _charge(order, order.price, minutes * MINUTE)
    # The price holds for a whole minute: the one in which it was changed goes at the old price.
    first = _charge(order, order.minute_price, MINUTE)
    order.minute_price = order.price
    return EXACT.add(first, _charge(order, order.price, (minutes - 1) * MINUTE))


def _charge(order: Order, price: Decimal, microseconds: int) -> Decimal:
    added = EXACT.multiply(price, Decimal(microseconds))
    order.charged = EXACT.add(order.charged, added)
    return added


@dataclass(slots=True)
class Wallets:
    """The account's balances per currency: what was paid in, less charges and fees."""

    deposits: Mapping[str, Decimal]
    creation_fees: dict[str, Decimal] = field(default_factory=dict)
    charged: dict[str, Decimal] = field(default_factory=dict)  # price x microseconds, fees included

    def pay_creation(self, currency: str, fee: Decimal) -> None:
        """Take a creation fee out."""
        self.creation_fees[currency] = EXACT.add(self.creation_fees.get(currency, Decimal(0)), fee)

    def pay_charge(self, currency: str, added: Decimal, fee_percent: Decimal) -> None:
        """Take a charge (price x microseconds) and the fee on it out."""
        with_fee = EXACT.divide(EXACT.multiply(added, 100 + fee_percent), Decimal(100))
        self.charged[currency] = EXACT.add(self.charged.get(currency, Decimal(0)), with_fee)

    def balance(self, currency: str) -> Decimal:
        """Return what is left in a currency, to 40 digits; may be a little below zero at the end."""
        zero = Decimal(0)
        before = EXACT.subtract(
            self.deposits.get(currency, zero), self.creation_fees.get(currency, zero)
        )
        return EXACT.subtract(before, amount(self.charged.get(currency, zero)))
