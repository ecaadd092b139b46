"""What waits while a rate may be wrong: one that has just jumped, or one of long ago.

A false rate in one answer makes each ceiling in that coin many times too high, and a bid that was
raised to it comes down one step in ten minutes. A coin in which nothing is priced that a decision
rests on keeps nobody waiting, or one whose rate flickers would for ever.
"""

from dataclasses import replace
from datetime import datetime, timedelta
from itertools import chain

from bidder.domain.actions import Action, Decision, Reason, Withdraw
from bidder.domain.market import Wallet
from bidder.domain.money import Currency
from bidder.domain.policy import Policy
from bidder.domain.view import RateDoubt, View

# Within it a rate that jumped by mistake is named rightly again.
_BUDGET_WAITS = timedelta(seconds=90)


def waits(decision: Decision, view: View, policy: Policy, now: datetime) -> Decision | None:
    """Return the hold until what an action rests on is known to be right; None where it is."""
    action = decision.action
    if action is None or not view.doubted:
        return None
    doubt = view.rates_in_doubt(now, _rests_on(action, view, policy))
    if doubt is None or _waited_enough(decision, doubt, now):
        return None
    name = "rates_recalled_at" if doubt.recalled else "rates_jumped_at"
    return replace(
        decision,
        action=None,
        reason=Reason.STALE,
        urgency=0,
        wants_book=action.server,
        due=doubt.settles_at,
        facts={
            **decision.facts,
            name: doubt.since.isoformat(timespec="seconds"),
            "wanted_to": decision.reason.value,
        },
    )


def _waited_enough(decision: Decision, doubt: RateDoubt, now: datetime) -> bool:
    """Return whether a budget that seems to be spent has waited: it must not be overspent for long.

    By a false rate each of them would seem to be, and all that runs would go.
    """
    return decision.reason is Reason.BUDGET_SPENT and now - doubt.since >= _BUDGET_WAITS


def _rests_on(action: Action, view: View, policy: Policy) -> set[Currency]:
    """Return the coins of all that is compared: on its server, in the account and by the owner."""
    found = {
        limit.price.currency
        for target in policy.targets
        for limit in (target.ceiling, target.worth, target.limit(on_demand=True))
    }
    orders = chain(view.holdings.values(), view.closing.values())
    found.update(holding.order.price.currency for holding in orders)
    found.update(intent.price.currency for intent in view.intents if intent.price is not None)
    found.update(wallet.currency for wallet in view.wallets.values() if _holds_money(wallet))
    if not isinstance(action, Withdraw):
        found.add(action.price.currency)
    seen, listing = view.books.get(action.server), view.marketplace.listings.get(action.server)
    if seen is not None:
        found.update(offer.price.currency for offer in seen.book.offers)
        found.update(seen.book.floor)
    if listing is not None:
        found.update(listing.on_demand, listing.spot_floor)
    return found


def _holds_money(wallet: Wallet) -> bool:
    return wallet.balance is None or wallet.balance.amount > 0
