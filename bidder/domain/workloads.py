"""Which workloads are dead, which of their orders go, and what of that is news.

A false alarm here costs running work, so an order goes only on evidence: it was knocked at and gave no
sign of life for long enough, the exchange answers us, some other workload does (where there are
others), and not too many went lately.
"""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from bidder.domain.actions import Decision, Fact, Reason, Withdraw
from bidder.domain.ids import OrderId, ServerId, on_paper
from bidder.domain.policy import Policy, Target
from bidder.domain.probe import Probe, Pulse, State, Then
from bidder.domain.strategies import common
from bidder.domain.view import Holding, View

# A launch that cannot live dies on every server: without this it would be moved for ever, a creation
# fee each time.
MOST_REPLACED = 2
REPLACED_WITHIN = timedelta(hours=24)
# How long a target leaves a server alone on which its workload died.
LEFT_ALONE = timedelta(hours=6)
# Our own network works where the exchange has answered within this.
_HEARD_WITHIN = timedelta(minutes=2)


class Kept(StrEnum):
    """Why an order stays although its workload is dead. The texts are stored and shown."""

    REPORT = "report"  # the owner wants to be told, and no more
    PAUSED = "paused"  # trading is paused by command
    BLIND = "blind"  # it could not be knocked at
    NETWORK = "network"  # nothing else answers either
    BREAKER = "breaker"  # too many were replaced lately


_KEPT_TEXTS: Mapping[Kept, str] = {
    Kept.REPORT: "only reported, as the probe's `then` says",
    Kept.PAUSED: "not replaced, because trading is paused",
    Kept.BLIND: "not replaced, because it cannot be probed",
    Kept.NETWORK: "not replaced, because nothing else answers: it may be our network, or the image",
    Kept.BREAKER: f"not replaced, because {MOST_REPLACED} were within a day",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Dead:
    """One order whose workload is dead; ``kept`` None: it goes."""

    holding: Holding
    target: Target
    pulse: Pulse
    kept: Kept | None

    def facts(self) -> dict[str, Fact]:
        """Return what the verdict rests on."""
        pulse = self.pulse
        assert pulse.dead_since is not None
        return {
            "dead_since": _moment(pulse.dead_since),
            "alive_at": None if pulse.alive_at is None else _moment(pulse.alive_at),
            "found": pulse.detail,
            "kept": None if self.kept is None else _KEPT_TEXTS[self.kept],
        }


def probe_of(holding: Holding, policy: Policy) -> Probe | None:
    """Return the probe of an order's workload; None where there is none to make.

    Only what runs is probed. An order on paper has no workload.
    """
    if holding.target is None or not holding.runs or on_paper(holding.order.order):
        return None
    target = policy.target(holding.target)
    return None if target is None or not target.enabled else target.probe


def dead(view: View, policy: Policy, now: datetime) -> Mapping[OrderId, Dead]:
    """Return the orders whose workload is dead, those dead for longest first."""
    known = list(_known(view, policy))
    found = [each for each in known if each[3] is State.DEAD]
    found.sort(key=lambda each: (each[2].dead_since or now, each[0].order.order))
    unheard = bool(found) and not _heard(view, policy, now)
    going: dict[str, int] = {}
    verdicts: dict[OrderId, Dead] = {}
    for holding, target, pulse, _ in found:
        gone = replaced_lately(target.name, view, now) + going.get(target.name, 0)
        kept = _kept(target, pulse, known, gone=gone, unheard=unheard)
        if kept is None and view.paused:
            kept = Kept.PAUSED
        if kept is None:
            going[target.name] = going.get(target.name, 0) + 1
        verdicts[holding.order.order] = Dead(holding=holding, target=target, pulse=pulse, kept=kept)
    return verdicts


def computing_nothing(view: View, policy: Policy, now: datetime) -> frozenset[OrderId]:
    """Return the orders that are paid and compute nothing: their workload was knocked at, and is dead.

    One that our orders have not shown for a while is none of them: we may have been cut off ourselves,
    and nobody knows what it has computed meanwhile.
    """
    longest = max(_HEARD_WITHIN, 2 * policy.pace.orders_every)
    return frozenset(
        holding.order.order
        for holding, _, pulse, state in _known(view, policy)
        if state is State.DEAD and not pulse.blind and now - holding.last_seen_at <= longest
    )


_Known = tuple[Holding, Target, Pulse, State]


def _known(view: View, policy: Policy) -> Iterable[_Known]:
    for order, pulse in view.pulses.items():
        holding = view.holdings.get(order)
        probe = None if holding is None else probe_of(holding, policy)
        if holding is None or holding.target is None or probe is None:
            continue
        target = policy.target(holding.target)
        assert target is not None
        yield holding, target, pulse, pulse.state(probe)


def _kept(
    target: Target, pulse: Pulse, known: Iterable[_Known], *, gone: int, unheard: bool
) -> Kept | None:
    assert target.probe is not None
    if target.probe.then is Then.REPORT:
        return Kept.REPORT
    if pulse.blind:
        return Kept.BLIND
    judged = [each for each in known if each[3] is not State.STARTING]
    here = [each for each in judged if each[1].name == target.name]
    if unheard or _without_witness(pulse, judged) or _without_witness(pulse, here):
        return Kept.NETWORK
    return Kept.BREAKER if gone >= MOST_REPLACED else None


def _without_witness(dead_one: Pulse, judged: Collection[_Known]) -> bool:
    """Return whether there are others, and none lives that has answered since this one died.

    One that answered before may be probed so rarely that nobody has noticed its silence yet.
    """
    since = dead_one.dead_since
    lives = any(
        state is State.ALIVE
        and since is not None
        and pulse.alive_at is not None
        and pulse.alive_at >= since
        for _, _, pulse, state in judged
    )
    return len(judged) > 1 and not lives


def _heard(view: View, policy: Policy, now: datetime) -> bool:
    """Return whether the exchange has answered lately: then our own network works."""
    reads = [view.orders_at, view.marketplace_at, view.wallets_at]
    reads += [seen.at for seen in view.books.values()]
    latest = max((at for at in reads if at is not None), default=None)
    return latest is not None and now - latest <= max(_HEARD_WITHIN, 2 * policy.pace.orders_every)


def replaced_lately(target: str, view: View, now: datetime) -> int:
    """Return how many orders of a target were given up for dead within the breaker's time."""
    return sum(1 for r in view.replaced if r.target == target and now - r.at < REPLACED_WITHIN)


def left_alone(target: str, view: View, now: datetime) -> frozenset[ServerId]:
    """Return the servers on which a target's workload died lately: its next one comes elsewhere."""
    return frozenset(r.server for r in view.replaced if r.target == target and now - r.at < LEFT_ALONE)


def given_up(found: Dead) -> Decision:
    """Return the decision to cancel an order whose workload is dead."""
    order = found.holding.order
    return Decision(
        target=found.target.name,
        reason=Reason.WORKLOAD_DEAD,
        action=Withdraw(order=order.order, server=order.server, target=found.target.name),
        server=order.server,
        order=order.order,
        urgency=common.URGENT_LEAVE,
        facts=found.facts(),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class News:
    """A workload that died or lives again, as a decision that says so and sends nothing."""

    decision: Decision
    dead: bool
    kept: Kept | None = None


Told = Mapping[OrderId, datetime]  # the dead ones that were told, and since when they are dead


def news(told: Told, view: View, policy: Policy, now: datetime) -> tuple[Told, tuple[News, ...]]:
    """Return who counts as told from now on, and what is to be told now."""
    if not told and not view.pulses:
        return told, ()
    verdicts = dead(view, policy, now)
    found = [_died(each) for order, each in verdicts.items() if order not in told]
    # Also of one that a restart has not seen running yet.
    still = {order: since for order, since in told.items() if order in view.pulses}
    for holding, _, pulse, state in _known(view, policy):
        order = holding.order.order
        if order in verdicts and pulse.dead_since is not None:
            still.setdefault(order, pulse.dead_since)
        elif order in told and state is State.ALIVE:
            found.append(_lives(holding, still.pop(order)))
    return still, tuple(found)


def _died(found: Dead) -> News:
    order = found.holding.order
    said = Decision(
        target=found.target.name,
        reason=Reason.WORKLOAD_DEAD,
        server=order.server,
        order=order.order,
        facts=found.facts(),
    )
    return News(decision=said, dead=True, kept=found.kept)


def _lives(holding: Holding, since: datetime) -> News:
    order = holding.order
    said = Decision(
        target=holding.target,
        reason=Reason.WORKLOAD_ALIVE,
        server=order.server,
        order=order.order,
        facts={"dead_since": _moment(since)},
    )
    return News(decision=said, dead=False)


def _moment(at: datetime) -> str:
    return at.isoformat(timespec="seconds").replace("+00:00", "Z")
