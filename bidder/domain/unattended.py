"""What happens to the orders when the daemon is silent: how that is told, and what is done then.

A daemon shows that it is alive by the picture that its passes leave, every few seconds. The lease alone
proves nothing: whoever holds it may hang. Silence is acted upon only where nobody holds the lease, and
only after a second look one heartbeat later: a machine that wakes from its sleep, or whose calendar is
set, finds every picture old, and its daemon has not had the time to make a new one.

Rejected: the moment of the latest pass. Commands and the guard itself run passes too, and would pass for
the daemon.
"""

from collections import Counter
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from decimal import Decimal
from enum import StrEnum

from bidder.domain import guard, price_rules
from bidder.domain.actions import Decision, Fact, Reason, Withdraw
from bidder.domain.ids import ServerId
from bidder.domain.intents import Intent, IntentState
from bidder.domain.market import OrderKind
from bidder.domain.money import Price
from bidder.domain.policy import Ceiling, Policy
from bidder.domain.positions import Position, position
from bidder.domain.strategies import common
from bidder.domain.view import Holding, View
from bidder.errors import NoRate

# How long a silence is let pass where the owner does not say.
USUAL_AFTER = timedelta(minutes=30)
# A sign of life from so far ahead was dated by a clock that has been set back since.
_SKEW = timedelta(minutes=5)
# A waiting decision whose cause goes away by itself, at the latest with a few reads.
_UNFINISHED = frozenset({Reason.IN_DOUBT, Reason.PENDING, Reason.REFUSED})
# What keeps an order from being looked after at all.
_IN_THE_WAY = frozenset({*_UNFINISHED, Reason.FROZEN, Reason.STALE, Reason.NO_RATE, Reason.RAIL})


class Then(StrEnum):
    """What the guard does about the daemon's orders."""

    NOTICE = "notice"  # nothing but telling the owner
    LOWER = "lower"  # one legal step down for each order, in each run
    CANCEL = "cancel"


@dataclass(frozen=True, slots=True, kw_only=True)
class WhenSilent:
    """The owner's wish: after how long a silence, and what then.

    ``lower_to`` is the price to come down to, None: the least that each server takes.
    """

    then: Then
    after: timedelta = USUAL_AFTER
    lower_to: Ceiling | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Signs:
    """The signs of life in the database at one moment.

    ``seen_at`` is the daemon's latest picture. ``holder`` and ``taken_at`` are of the process whose
    lease keeps others out at that moment. ``lease`` is whatever the lease's row says, to be compared.
    """

    seen_at: datetime | None = None
    holder: str | None = None
    taken_at: datetime | None = None
    lease: tuple[object, ...] = field(default=())


class Finding(StrEnum):
    """What the signs come to. The texts are part of the interface."""

    NEVER_RAN = "never_ran"  # no daemon has made a pass on this database
    ALIVE = "alive"  # a daemon trades the account
    HELD = "held"  # another process has just taken the lease: a daemon that starts, or a command
    QUIET = "quiet"  # nobody trades the account, but not for long enough yet
    WEDGED = "wedged"  # a process holds on to the lease and makes no passes: nothing can be done
    MISDATED = "misdated"  # the latest sign of life is dated in the future
    SILENT = "silent"  # nobody has looked after the orders for too long


# How long after the first look the second one follows: more than a heartbeat of the lease, more than a
# slow pass of a process that holds it. A daemon which lives has shown it in between.
SECOND_LOOK = {
    Finding.SILENT: timedelta(seconds=15),
    Finding.WEDGED: timedelta(seconds=90),
}


def judge(signs: Signs, when: WhenSilent, now: datetime) -> Finding:
    """Return what the signs of life come to at ``now``."""
    if signs.holder is not None:
        return _of_holder(signs, when, now)
    if signs.seen_at is None:
        return Finding.NEVER_RAN
    if signs.seen_at > now + _SKEW:
        return Finding.MISDATED
    return Finding.SILENT if now - signs.seen_at >= when.after else Finding.QUIET


def _of_holder(signs: Signs, when: WhenSilent, now: datetime) -> Finding:
    if signs.seen_at is not None and now - signs.seen_at < when.after:
        return Finding.ALIVE
    if signs.taken_at is not None and now - signs.taken_at < when.after:
        return Finding.HELD
    return Finding.WEDGED


def judge_again(before: Signs, signs: Signs, when: WhenSilent, now: datetime) -> Finding:
    """Return what two looks come to: silence is believed only where nothing has moved in between."""
    found = judge(signs, when, now)
    if found is Finding.SILENT and (before.seen_at, before.lease) != (signs.seen_at, signs.lease):
        return Finding.HELD
    return found


@dataclass(frozen=True, slots=True, kw_only=True)
class Planner:
    """Plans in the place of the strategies while nobody looks after the orders; ``since`` when."""

    when: WhenSilent
    since: datetime

    def plan(self, view: View, policy: Policy, now: datetime) -> tuple[Decision, ...]:
        """Return a decision for every order of the daemon and for every open request, dearest first.

        An order that no intent of ours explains is a person's and gets none.
        """
        ours = [holding for holding in view.holdings.values() if holding.ours]
        counts = Counter(holding.order.server for holding in view.holdings.values())
        held = {holding.order.server for holding in ours}
        found = [_waiting(intent) for intent in view.intents if intent.server not in held]
        for holding in sorted(ours, key=lambda each: _dearest_first(each, view)):
            crowded = counts[holding.order.server] > 1
            decision = self._for(holding, view, policy, now, crowded=crowded)
            found.append(guard.apply(decision, view, policy, now))
        return tuple(sorted(found, key=lambda each: each.action is None))

    def _for(
        self, holding: Holding, view: View, policy: Policy, now: datetime, *, crowded: bool
    ) -> Decision:
        order = holding.order
        since = self.since.isoformat(timespec="seconds")
        facts: dict[str, Fact] = {"bid": str(order.price), "silent_since": since}
        base = Decision(
            target=holding.target,
            reason=Reason.UNATTENDED,
            server=order.server,
            order=order.order,
            facts=facts,
        )
        intent = view.intent_on(order.server)
        if intent is not None:
            return replace(base, reason=_waiting(intent).reason)
        if holding.missing_reads:
            return replace(base, reason=Reason.STALE, wants_orders=True)
        if crowded:
            # One of the two may be a person's, and nobody can say which.
            return replace(base, reason=Reason.FROZEN)
        setback = next((s for s in view.setbacks if s.order == order.order and now < s.until), None)
        if setback is not None:
            refusal: dict[str, Fact] = {**facts, "refusal": setback.reason}
            return replace(base, reason=Reason.REFUSED, due=setback.until, facts=refusal)
        if self.when.then is Then.CANCEL:
            action = Withdraw(order=order.order, server=order.server, target=holding.target)
            return replace(base, action=action, urgency=common.URGENT_LEAVE)
        if self.when.then is Then.LOWER:
            return self._lowered(base, holding, view, policy, now)
        return base

    def _lowered(
        self, base: Decision, holding: Holding, view: View, policy: Policy, now: datetime
    ) -> Decision:
        """Return the next legal step down, or why there is none now."""
        target = None if holding.target is None else policy.target(holding.target)
        if holding.order.kind is OrderKind.ON_DEMAND:
            return replace(base, facts={**base.facts, "kind": "on-demand"})
        if target is None:
            return replace(base, reason=Reason.RAIL, facts={**base.facts, "rail": "unknown_target"})
        opens_at = price_rules.next_lowering_at(holding.clock, view.rules)
        if opens_at is not None and now < opens_at:
            return replace(base, reason=Reason.CLOCK, due=opens_at)
        here = position(holding, target, view, policy, now)
        if not here.fresh(now, policy.pace.book_stale_after) or view.marketplace_at is None:
            return replace(
                base,
                reason=Reason.STALE,
                wants_book=holding.order.server,
                urgency=common.URGENT_LOWER,
            )
        try:
            aim = self._aim(here)
        except NoRate:
            return replace(base, reason=Reason.NO_RATE)
        if aim is None:
            return replace(base, reason=Reason.STALE, facts={**base.facts, "floor": None})
        facts: dict[str, Fact] = {**base.facts, "aim": str(aim)}
        if aim >= here.price:
            return replace(base, facts=facts)
        # A price above the ceiling is no step of ours: such a bid goes, as in the daemon's hands.
        step = common.above_ceiling(here, aim, now) or common.walk_down(
            here, aim, Reason.UNATTENDED, now
        )
        return replace(step, facts={**step.facts, **facts})

    def _aim(self, here: Position) -> Price | None:
        """Return the price to come down to, never below the server's floor; raises NoRate."""
        floor = here.floor
        wish = self.when.lower_to
        if wish is None or floor is None:
            return floor
        return max(floor, wish.for_server(here.gpus, here.price.currency, here.rates))


def _dearest_first(holding: Holding, view: View) -> tuple[Decimal, int]:
    price = holding.order.price
    usd = view.rates.to_usd(price) if view.rates.knows(price.currency) else price.amount
    return -usd, holding.order.order


def _waiting(intent: Intent) -> Decision:
    """Return the decision about a request whose outcome is not known yet."""
    frozen = intent.state is IntentState.AMBIGUOUS
    reason = Reason.FROZEN if frozen else Reason.PENDING if intent.accepted else Reason.IN_DOUBT
    return Decision(target=intent.target, reason=reason, server=ServerId(intent.server))


def unfinished(decision: Decision) -> bool:
    """Return whether a further look, within minutes, lets this be decided or carried out."""
    wants = decision.wants_book is not None or decision.wants_orders
    return decision.action is not None or wants or decision.reason in _UNFINISHED


def left_undone(decision: Decision) -> bool:
    """Return whether something keeps an order from being looked after as the owner wished."""
    return decision.action is not None or decision.reason in _IN_THE_WAY
