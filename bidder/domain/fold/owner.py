"""What a change of the owner's mind means for what is known."""

from dataclasses import replace

from bidder.domain.fold.market_reads import relist
from bidder.domain.money import Rates
from bidder.domain.policy import Policy
from bidder.domain.view import View


def policy_changed(view: View, before: Policy, after: Policy) -> View:
    """Return the view under a new policy: its own fallback rates, every shortlist made anew.

    What was seen by another probe than the new one is forgotten.

    A rate that is still the old fallback was never told by the exchange, and gives way.
    """
    old = before.static_rates.usd_per_unit
    told = {c: rate for c, rate in view.rates.usd_per_unit.items() if old.get(c) != rate}
    probes = [{target.name: target.probe for target in policy.targets} for policy in (before, after)]
    pulses = {
        order: pulse
        for order, pulse in view.pulses.items()
        if (held := view.holdings.get(order)) is not None
        and held.target is not None
        and probes[0].get(held.target) == probes[1].get(held.target)
    }
    rates = Rates(told).over(after.static_rates)
    return relist(replace(view, rates=rates, pulses=pulses), after)
