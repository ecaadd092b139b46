"""How long the wallets last at the bids that run now, fees included.

An order that stands idle costs nothing meanwhile. One of which no book has been read may run.
"""

from collections.abc import Iterable, Mapping
from datetime import timedelta
from decimal import Decimal

from bidder.domain.costs import USUAL_FEE_PERCENT
from bidder.domain.market import Wallet
from bidder.domain.money import EXACT, Currency
from bidder.domain.view import Holding

_DAY = Decimal(86400)
_LONGEST = timedelta(days=36500)


def spending_per_day(holdings: Iterable[Holding]) -> Mapping[Currency, Decimal]:
    """Return what all orders that may run cost per day in each currency, with the exchange's fee."""
    found: dict[Currency, Decimal] = {}
    for holding in holdings:
        order = holding.order
        if holding.active is False:
            continue
        percent = USUAL_FEE_PERCENT if order.fee_percent is None else Decimal(str(order.fee_percent))
        cost = EXACT.multiply(order.price.amount, 1 + percent.scaleb(-2))
        found[order.price.currency] = found.get(order.price.currency, Decimal(0)) + cost
    return found


def lasting(
    wallets: Iterable[Wallet], spending: Mapping[Currency, Decimal]
) -> Mapping[Currency, timedelta]:
    """Return how long each wallet carries this ``spending`` per day, a hundred years at most.

    Those from which nothing is spent, or whose balance is not known, are left out.
    """
    found = {}
    for wallet in wallets:
        per_day = spending.get(wallet.currency, Decimal(0))
        if wallet.balance is not None and per_day > 0:
            seconds = EXACT.divide(wallet.balance.amount, per_day) * _DAY
            found[wallet.currency] = timedelta(seconds=float(min(seconds, _seconds(_LONGEST))))
    return found


def _seconds(span: timedelta) -> Decimal:
    return Decimal(int(span.total_seconds()))
