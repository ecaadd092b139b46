"""The dead man's bound: the most that can still be spent if the daemon dies this very moment.

Every live order, a person's included, is taken to run from now until its end at its bid, with its
fee, whether it runs now or not: nobody would be there to stop it. What was sent and not yet answered
is taken to have happened. A wallet's balance bounds what can be paid in its currency. Money that is
paid in later is no part of it.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal

from bidder.domain.costs import USUAL_FEE_PERCENT
from bidder.domain.ids import ServerId
from bidder.domain.intents import Intent, IntentKind
from bidder.domain.market import OrderKind
from bidder.domain.money import EXACT, Currency, Money, Price
from bidder.domain.policy import Policy
from bidder.domain.view import View
from bidder.errors import NoRate

# Where nothing says how long a server may be rented.
_LONGEST = timedelta(days=3650)
_DAY = Decimal(86400)
_QUANTUM = Decimal("1e-18")


@dataclass(frozen=True, slots=True, kw_only=True)
class Planned:
    """An order that does not exist yet: its price per day, where it would run, and its kind."""

    server: ServerId
    price: Price
    kind: OrderKind = OrderKind.SPOT


def if_unattended(view: View, now: datetime) -> Mapping[Currency, Money]:
    """Return the most that can be spent in each currency."""
    return _payable(owed_if_unattended(view, now), view)


def owed_if_unattended(
    view: View, now: datetime, planned: Planned | None = None
) -> Mapping[Currency, Money]:
    """Return what the orders would come to in each currency, ``planned`` with them, if all was paid."""
    percent = {kind: usual_fee_percent(view, kind) for kind in OrderKind}
    owed: dict[Currency, Decimal] = {}
    raised = _raises(view)
    for holding in view.holdings.values():
        order = holding.order
        price = max(order.price, raised.get(order.order, order.price))
        fee = percent[order.kind] if order.fee_percent is None else Decimal(str(order.fee_percent))
        _add(owed, price, order.ends_at - now, fee)
    opening = [
        Planned(server=intent.server, price=intent.price, kind=_kind_of(intent))
        for intent in view.intents
        if intent.creates and intent.price is not None
    ]
    for each in (*opening, *([planned] if planned is not None else [])):
        _add(owed, each.price, _longest_on(view, each.server), percent[each.kind])
        owed[each.price.currency] += _creation_fee(view, each.price.currency)
    # Upwards: a bound that is a trifle too high is still a bound.
    return {
        currency: Money(amount.quantize(_QUANTUM, "ROUND_CEILING", context=EXACT), currency)
        for currency, amount in owed.items()
    }


def worth(bound: Mapping[Currency, Money], view: View) -> Decimal:
    """Return a bound in USD; raises NoRate where one of its currencies cannot be valued."""
    return sum((view.rates.to_usd(each) for each in bound.values() if each.amount), Decimal(0))


def beyond_limit(
    owed: Mapping[Currency, Money], before: Mapping[Currency, Money], view: View, policy: Policy
) -> Decimal | None:
    """Return by how much the bound is above the owner's limit; None where there is nothing to stop.

    What makes nothing dearer is let through, however high the bound is already. What would be ``owed``
    is compared, not what can be paid: beside a person's order that alone would empty the wallet a raise
    adds nothing to the bound, and is there when hers is gone.

    Raises:
        NoRate: there is a limit, and a currency cannot be valued.
    """
    limit = policy.rails.max_usd_if_unattended
    if limit is None:
        return None
    total = worth(_payable(owed, view), view)
    if total <= limit or worth(owed, view) <= worth(before, view):
        return None
    return total - limit


def _raises(view: View) -> dict[int, Price]:
    """Return the prices of changes whose answer is missing, by order."""
    found: dict[int, Price] = {}
    for intent in view.intents:
        held = None if intent.order is None else view.holdings.get(intent.order)
        same = held is not None and intent.price is not None
        if same and held.order.price.currency == intent.price.currency:  # type: ignore[union-attr]  # both are there
            found[intent.order] = intent.price  # type: ignore[index, assignment]  # both are there
    return found


def _add(owed: dict[Currency, Decimal], price: Price, left: timedelta, percent: Decimal) -> None:
    seconds = Decimal(max(left, timedelta(0)) // timedelta(microseconds=1)).scaleb(-6)
    spend = EXACT.divide(EXACT.multiply(price.amount, seconds), _DAY)
    fees = EXACT.multiply(spend, percent.scaleb(-2))
    owed[price.currency] = EXACT.add(owed.get(price.currency, Decimal(0)), EXACT.add(spend, fees))


def _longest_on(view: View, server: ServerId) -> timedelta:
    listing = view.marketplace.listings.get(server)
    if listing is None or not listing.mrl:
        return _LONGEST
    return listing.mrl


def _kind_of(intent: Intent) -> OrderKind:
    return OrderKind.ON_DEMAND if intent.kind is IntentKind.RENT else OrderKind.SPOT


def usual_fee_percent(view: View, kind: OrderKind = OrderKind.SPOT) -> Decimal:
    """Return the highest fee that a live order shows; a spot bid's says nothing of a rental's."""
    shown = [
        Decimal(str(holding.order.fee_percent))
        for holding in view.holdings.values()
        if holding.order.fee_percent is not None
        and (kind is OrderKind.SPOT or holding.order.kind is kind)
    ]
    return max(shown, default=USUAL_FEE_PERCENT)


def _creation_fee(view: View, currency: Currency) -> Decimal:
    try:
        return view.rates.from_usd(view.creation_fee_usd, currency).amount
    except NoRate:
        return Decimal(0)  # the order itself cannot be valued either, which stops it


def _payable(owed: Mapping[Currency, Money], view: View) -> Mapping[Currency, Money]:
    balances = {c: wallet.balance for c, wallet in view.wallets.items() if wallet.balance is not None}
    return {currency: min(due, balances.get(currency, due)) for currency, due in owed.items()}
