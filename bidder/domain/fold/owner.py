"""What a change of the owner's mind means for what is known."""

from dataclasses import replace

from bidder.domain.fold.market_reads import relist
from bidder.domain.money import Rates
from bidder.domain.policy import Policy
from bidder.domain.view import View


def policy_changed(view: View, before: Policy, after: Policy) -> View:
    """Return the view under a new policy: its own fallback rates, every shortlist made anew.

    A rate that is still the old fallback was never told by the exchange, and gives way.
    """
    old = before.static_rates.usd_per_unit
    told = {c: rate for c, rate in view.rates.usd_per_unit.items() if old.get(c) != rate}
    return relist(replace(view, rates=Rates(told).over(after.static_rates)), after)
