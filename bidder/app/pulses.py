"""What the probes of workloads showed, across a restart: how it is kept, and what of it still holds.

Without it a daemon that restarts often would count anew each time, and never call a workload dead.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from functools import lru_cache

from bidder.domain import canonical, workloads
from bidder.domain.ids import OrderId
from bidder.domain.policy import Policy
from bidder.domain.probe import Probe, Pulse
from bidder.domain.view import View
from bidder.store.records import Memory, PulseRecord


@dataclass(slots=True)
class Written:
    """What was last written down, so that only what changed is written again."""

    records: Mapping[OrderId, PulseRecord] = field(default_factory=dict)
    _of: tuple[Mapping[OrderId, Pulse], workloads.Told, Policy] | None = None

    def after(self, view: View, told: workloads.Told, policy: Policy) -> "Written":
        """Return what is to stand written now; itself where nothing changed, but never at first."""
        if self._of is not None:
            pulses, told_before, policy_before = self._of
            if pulses is view.pulses and told_before == told and policy_before is policy:
                return self
        return Written(_kept(view, told, policy), (view.pulses, told, policy))

    def changes_from(self, before: "Written") -> tuple[PulseRecord, ...]:
        """Return the records that are not as they were."""
        return tuple(r for order, r in self.records.items() if before.records.get(order) != r)


def _kept(view: View, told: workloads.Told, policy: Policy) -> dict[OrderId, PulseRecord]:
    found = {}
    for order, pulse in view.pulses.items():
        probe = _probe_of(view.holdings[order].target, policy) if order in view.holdings else None
        if probe is not None:
            found[order] = PulseRecord(
                order=order, pulse=pulse, probe=_digest(probe), told=told.get(order)
            )
    return found


def taken_up(memory: Memory, policy: Policy, now: datetime) -> Mapping[OrderId, PulseRecord]:
    """Return what still holds: found by the same probe, and so lately that no turn was missed.

    After a longer silence of ours an order may have lost its server and won it back: that is another
    workload, which has a grace of its own.
    """
    targets = {holding.order.order: holding.target for holding in memory.holdings}
    found = {}
    for record in memory.pulses:
        probe = _probe_of(targets.get(record.order), policy)
        same = probe is not None and _digest(probe) == record.probe
        if probe is not None and same and not record.pulse.missed(now, probe):
            found[record.order] = record
    return found


def _probe_of(target: str | None, policy: Policy) -> Probe | None:
    found = None if target is None else policy.target(target)
    return None if found is None else found.probe


@lru_cache(maxsize=64)  # asked for each order at each news of any, of a handful of probes
def _digest(probe: Probe) -> str:
    return canonical.digest(canonical.dump(probe))
