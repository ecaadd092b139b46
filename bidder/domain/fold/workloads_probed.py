"""What probes teach: signs of life, or none, from the workloads of the orders that run."""

from collections.abc import Iterable
from dataclasses import replace
from datetime import datetime

from bidder.domain import workloads
from bidder.domain.actions import Withdraw
from bidder.domain.ids import OrderId
from bidder.domain.policy import Policy
from bidder.domain.probe import Pulse, Replaced, Sign
from bidder.domain.view import View


def probed(view: View, signs: Iterable[Sign], policy: Policy, now: datetime) -> View:
    """Fold what probes found; the view itself where nothing is new.

    An order that has begun to run gets a pulse, and with it its grace; one that does not run any more
    loses it: whoever wins the server back starts anew. One of which a restart does not know yet whether
    it runs keeps what is remembered of it; what a probe found of that one meanwhile is left out.
    """
    if not view.pulses and all(target.probe is None for target in policy.targets):
        return view
    probes = {
        order: probe
        for order, holding in view.holdings.items()
        if (probe := workloads.probe_of(holding, policy)) is not None
    }
    pulses: dict[OrderId, Pulse] = {
        order: pulse
        for order, pulse in view.pulses.items()
        if (held := view.holdings.get(order)) is not None and held.active is None
    }
    pulses |= {order: view.pulses.get(order) or Pulse(began_at=now) for order in probes}
    for sign in signs:
        pulse, probe = pulses.get(sign.order), probes.get(sign.order)
        # A sign from before belongs to an earlier run.
        if pulse is not None and probe is not None and sign.at >= pulse.began_at:
            pulses[sign.order] = pulse.after(sign, probe)
    return view if pulses == view.pulses else replace(view, pulses=pulses)


def replaced(view: View, action: Withdraw, now: datetime) -> View:
    """Fold a cancellation for a dead workload: counted by the breaker, and its server left alone."""
    assert action.target is not None
    gone = Replaced(target=action.target, server=action.server, order=action.order, at=now)
    recent = tuple(
        r for r in view.replaced if now - r.at < workloads.REPLACED_WITHIN and r.order != action.order
    )
    return replace(view, replaced=(*recent, gone))
