"""What the wallets carry: in which currencies a new order would run for long enough to be of use.

A bid's price is named in one currency for good, and one wallet pays for it. So a wallet that is empty
must not keep a target from a server that another wallet could pay for.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import timedelta
from decimal import Decimal

from bidder.domain.costs import share_of_day
from bidder.domain.market import Wallet
from bidder.domain.money import Currency, Money, Price, Rates

# Of a day: a new order must be able to run this long from the balance, or it ends before it is of use.
_LEAST_RUN = Decimal(1) / Decimal(24)


@dataclass(frozen=True, slots=True, kw_only=True)
class Purse:
    """The balances as last read, and what of each is to stay (``min_balance``).

    ``drawn`` is what the orders that run have taken of each since then, ``spending`` what they take
    per day. ``refused`` are the least prices that a wallet was found to be too small for lately,
    whatever the balance says. ``most`` is the highest price per day in a currency that the owner's
    limits leave; none: any.
    """

    wallets: Mapping[Currency, Wallet] = field(default_factory=dict)
    kept: tuple[Money, ...] = ()
    drawn: Mapping[Currency, Decimal] = field(default_factory=dict)
    spending: Mapping[Currency, Decimal] = field(default_factory=dict)
    refused: Mapping[Currency, Price] = field(default_factory=dict)
    most: Mapping[Currency, Decimal] = field(default_factory=dict)

    def carries(self, price: Price) -> bool:
        """Return whether an order at this price could run for an hour.

        A balance that is not known carries all, unless something of it is to stay: what nobody can
        count cannot be kept.
        """
        refused = self.refused.get(price.currency)
        if refused is not None and price >= refused:
            return False
        if price.amount > self.most.get(price.currency, price.amount):
            return False
        left = self._left(price.currency)
        if left is None:
            return all(each.currency != price.currency for each in self.kept)
        return left >= price.amount * _LEAST_RUN

    def lasting(self, price: Price, most: timedelta, *, instead_of: Price | None = None) -> timedelta:
        """Return how long an order at this price could run beside those that run, at most ``most``.

        ``instead_of`` is the bid of one that runs and would end. Of a balance that is not known nobody
        can say when it ends: that is ``most``.
        """
        left = self._left(price.currency)
        if left is None:
            return most
        per_day = self.spending.get(price.currency, Decimal(0)) + price.amount
        if instead_of is not None and instead_of.currency == price.currency:
            per_day -= instead_of.amount
        if left >= per_day * share_of_day(most):
            return most
        return max(timedelta(days=float(left / per_day)), timedelta(0))

    def up_to(self, usd: Decimal, rates: Rates) -> "Purse":
        """Return the purse for servers of at most so many USD per day; without a rate, of any price."""
        most = {currency: usd / rate for currency, rate in rates.usd_per_unit.items()}
        return replace(self, most=most)

    def _left(self, currency: Currency) -> Decimal | None:
        """Return what may be spent; None where the balance is not known."""
        balance = self.balance(currency)
        if balance is None:
            return None
        stays = sum((each.amount for each in self.kept if each.currency == currency), Decimal(0))
        return balance.amount - stays - self.drawn.get(currency, Decimal(0))

    def balance(self, currency: Currency) -> Money | None:
        """Return the balance as last read; None where it is not known."""
        wallet = self.wallets.get(currency)
        return None if wallet is None else wallet.balance
