"""What the wallets carry: in which currencies a new order would run for long enough to be of use.

A bid's price is named in one currency for good, and one wallet pays for it. So a wallet that is empty
must not keep a target from a server that another wallet could pay for.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal

from bidder.domain.market import Wallet
from bidder.domain.money import Currency, Money, Price

# Of a day: a new order must be able to run this long from the balance, or it ends before it is of use.
_LEAST_RUN = Decimal(1) / Decimal(24)


@dataclass(frozen=True, slots=True, kw_only=True)
class Purse:
    """The balances as last read, and what of each is to stay (``min_balance``).

    From the ``refused`` ones the exchange would not pay lately, whatever the balance says.
    """

    wallets: Mapping[Currency, Wallet] = field(default_factory=dict)
    kept: tuple[Money, ...] = ()
    refused: frozenset[Currency] = frozenset()

    def carries(self, price: Price) -> bool:
        """Return whether an order at this price could run for an hour.

        A balance that is not known carries all, unless something of it is to stay: what nobody can
        count cannot be kept.
        """
        if price.currency in self.refused:
            return False
        stays = next((m.amount for m in self.kept if m.currency == price.currency), None)
        balance = self.balance(price.currency)
        if balance is None:
            return stays is None
        return balance.amount >= (stays or 0) + price.amount * _LEAST_RUN

    def balance(self, currency: Currency) -> Money | None:
        """Return the balance as last read; None where it is not known."""
        wallet = self.wallets.get(currency)
        return None if wallet is None else wallet.balance
