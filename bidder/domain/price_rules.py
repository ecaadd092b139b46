"""The rules of lowering: how far, and when (API document, section 4). Nothing else.

A raise is always allowed. A lowering is allowed once per 600 seconds and only down to ``max_step``,
which the exchange reveals in a refusal. What the documents leave open is learnt from the answers:
whether a creation or a raise starts the 600 seconds too (``ClockRules``), and how far one lowering
may go (``StepSample``).

While it is unknown whether an event starts the clock, we assume that it does not and let one
refusal correct us: a refusal costs one request, a needless wait costs ten minutes of overpaying.
For the same reason an unlearnt step is tried at its full width: the refusal names the exact limit,
and the next request uses it. Rejected: starting from the vendor's sample step, which would be
accepted for ever and never reveal that the real one is larger.
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from decimal import ROUND_CEILING, Decimal
from enum import StrEnum

from bidder.domain.money import EXACT, Currency, Price, quantum

LOWERING_PAUSE = timedelta(seconds=600)

# The seed's one sample says "at most 0.00000100 BTC". It is used where an exchange names no limit.
PRIOR_STEP = {Currency.BTC: Decimal("0.000001")}
PRIOR_SHARE = Decimal("0.05")

# How far a refusal's moment may lie from the event that explains it: round trips, rounding.
_ATTRIBUTION = timedelta(seconds=15)
# An event in doubt is dated by the read that settled it, which may come this much later.
_SEEN_LATE = timedelta(seconds=150)
# A rule may be changed by the exchange: after this long, ask for the full width once more.
_RELEARN_AFTER = timedelta(days=7)
# A guess at the step is soon tried again: for longer it would keep every lowering too narrow.
_GUESS_LASTS = timedelta(minutes=20)
# The exchange's limits are rounded: factors that differ by no more than this may be one and the same.
_TOLERANCE = Decimal("0.02")
# Below this, a difference says nothing about which of two shapes fits better.
_CLEAR = Decimal("0.001")


class ClockEvent(StrEnum):
    """What may start an order's 600 seconds."""

    CREATION = "creation"
    RAISE = "raise"
    LOWERING = "lowering"


@dataclass(frozen=True, slots=True, kw_only=True)
class ClockRules:
    """Whether a creation or a raise starts the clock: None until an answer has told."""

    creation: bool | None = None
    raised: bool | None = None

    def starts(self, event: ClockEvent) -> bool | None:
        """Return whether this kind of event starts the clock, as far as is known."""
        match event:
            case ClockEvent.CREATION:
                return self.creation
            case ClockEvent.RAISE:
                return self.raised
            case ClockEvent.LOWERING:
                return True

    def learnt(self, event: ClockEvent, *, starts: bool) -> "ClockRules":
        """Return the rules with this answered."""
        match event:
            case ClockEvent.CREATION:
                return replace(self, creation=starts)
            case ClockEvent.RAISE:
                return replace(self, raised=starts)
            case ClockEvent.LOWERING:
                return self


@dataclass(frozen=True, slots=True, kw_only=True)
class LoweringClock:
    """What is known of one order's clock: its events, and the exchange's own word if it gave one.

    Events carry the moment when their answer reached us, which is never before the exchange
    counted them. ``opens_at`` stands until a later event replaces it.
    """

    created_at: datetime | None = None
    raised_at: datetime | None = None
    lowered_at: datetime | None = None
    opens_at: datetime | None = None

    def after(self, event: ClockEvent, at: datetime) -> "LoweringClock":
        """Return the clock after an event of ours was accepted."""
        match event:
            case ClockEvent.CREATION:
                return replace(self, created_at=at)
            case ClockEvent.RAISE:
                return replace(self, raised_at=at)
            case ClockEvent.LOWERING:
                return replace(self, lowered_at=at, opens_at=None)

    def put_off(self, by: timedelta, *, since: datetime) -> "LoweringClock":
        """Return the clock by a calendar that was put forward by so much soon after ``since``.

        The exchange counts the pause by its own. Events that may have started one move as well: which
        of them do so may be learnt only later.
        """

        def moved(at: datetime | None, until: timedelta) -> datetime | None:
            return at if at is None or at + until <= since else at + by

        return LoweringClock(
            created_at=moved(self.created_at, LOWERING_PAUSE),
            raised_at=moved(self.raised_at, LOWERING_PAUSE),
            lowered_at=moved(self.lowered_at, LOWERING_PAUSE),
            opens_at=moved(self.opens_at, timedelta(0)),
        )

    def events(self) -> tuple[tuple[ClockEvent, datetime], ...]:
        """Return the known events, latest first."""
        known = (
            (ClockEvent.CREATION, self.created_at),
            (ClockEvent.RAISE, self.raised_at),
            (ClockEvent.LOWERING, self.lowered_at),
        )
        present = [(event, at) for event, at in known if at is not None]
        return tuple(sorted(present, key=lambda pair: pair[1], reverse=True))


def next_lowering_at(clock: LoweringClock, rules: ClockRules) -> datetime | None:
    """Return when the price may next go down; None when nothing is known to forbid it now."""
    waits = [at + LOWERING_PAUSE for event, at in clock.events() if rules.starts(event)]
    if clock.opens_at is not None:
        waits.append(clock.opens_at)
    return max(waits, default=None)


def refused_too_soon(
    clock: LoweringClock,
    rules: ClockRules,
    *,
    wait_seconds: float | None,
    now: datetime,
    listed_at: datetime | None = None,
) -> tuple[LoweringClock, ClockRules]:
    """Return clock and rules as a ``can_lower_every_600_seconds`` answer corrects them.

    ``wait_seconds`` is the answer's ``time_to_lowering``; without it, or where it makes no sense, a
    whole pause is assumed. The event that lies 600 seconds before the opening is the one that started
    the clock; where the wait makes no sense, it is the one that may have, if there is but one: a rule
    once learnt from a wrong suspect would stand for ever. ``listed_at`` is the order's creation by the
    exchange's word (``ct``): of an order found after a crash we know no other.
    """
    pause = LOWERING_PAUSE.total_seconds()
    sensible = wait_seconds is not None and wait_seconds <= 2 * pause
    wait = max(0.0, wait_seconds) if wait_seconds is not None and sensible else pause
    opens_at = now + timedelta(seconds=wait)
    started_at = opens_at - LOWERING_PAUSE
    events = list(clock.events())
    if listed_at is not None:
        events.append((ClockEvent.CREATION, listed_at))
    near = [
        (abs(at - started_at), event)
        for event, at in events
        if -_ATTRIBUTION <= at - started_at <= _SEEN_LATE
    ]
    # A refusal that says "now" would be asked again at once, for ever; give it a moment.
    opened = replace(clock, opens_at=max(opens_at, now + timedelta(seconds=1)))
    if near:
        return opened, rules.learnt(min(near)[1], starts=True)
    if wait_seconds is not None and 0 < wait_seconds <= pause:
        return opened, rules  # somebody else started that clock
    suspects = [
        event
        for event, at in clock.events()
        if now - at < LOWERING_PAUSE and rules.starts(event) is not False
    ]
    return opened, rules.learnt(suspects[0], starts=True) if len(suspects) == 1 else rules


def lowering_accepted(clock: LoweringClock, rules: ClockRules, *, at: datetime) -> ClockRules:
    """Return the rules as an accepted lowering teaches them: recent events did not start a clock."""
    learnt = rules
    for event, happened in clock.events():
        # Well inside the pause only: near its end an acceptance would prove nothing.
        if event is not ClockEvent.LOWERING and at - happened < LOWERING_PAUSE - _ATTRIBUTION:
            learnt = learnt.learnt(event, starts=False)
    return learnt


@dataclass(frozen=True, slots=True, kw_only=True)
class StepSample:
    """One answer about how far a lowering may go.

    ``drop`` is the price before it less the lowest price allowed, per day. ``exact`` samples come
    from a refusal's ``max_step``; the others are guesses after a refusal that named none, and soon
    forgotten. ``floor`` is the server's lowest allowed bid then, if known.
    """

    currency: Currency
    price: Decimal
    drop: Decimal
    floor: Decimal | None
    exact: bool
    at: datetime

    def stands(self, now: datetime) -> bool:
        """Return whether it is still to be believed."""
        return now - self.at < (_RELEARN_AFTER if self.exact else _GUESS_LASTS)


def sample_from_refusal(
    current: Price, max_step: Decimal, *, floor: Price | None, at: datetime, exact: bool = True
) -> StepSample | None:
    """Return what ``max_step`` teaches; None where it is not below the current price.

    It is not ``exact`` where it is our guess, because the refusal named none.
    """
    if not Decimal(0) < max_step < current.amount:
        return None
    return StepSample(
        currency=current.currency,
        price=current.amount,
        drop=current.amount - max_step,
        floor=None if floor is None else floor.amount,
        exact=exact,
        at=at,
    )


def largest_drop(
    current: Price, floor: Price | None, samples: Iterable[StepSample], now: datetime
) -> Decimal | None:
    """Return the widest lowering that the samples allow from ``current``; None while unlearnt.

    Three shapes of the rule are weighed against the samples: a fixed amount, a share of the
    price, a share of the floor. Those that fit all of them as well as any are believed, and of these
    the widest prediction is used: too wide costs a request, too narrow costs ten minutes.
    """
    known = [s for s in samples if s.currency == current.currency and s.stands(now)]
    if not known:
        return None
    shapes = [
        _shape([s.drop for s in known], Decimal(1)),
        _shape([s.drop / s.price for s in known], current.amount),
    ]
    if floor is not None:
        with_floor = [s.drop / s.floor for s in known if s.floor]
        if len(with_floor) == len(known):
            shapes.append(_shape(with_floor, floor.amount))
    closest = min(spread for spread, _ in shapes)
    if closest <= _TOLERANCE:
        believed = min(_TOLERANCE, max(_CLEAR, 2 * closest))
        return max(drop for spread, drop in shapes if spread <= believed)
    # No shape fits all (the rule differs by price level, or it changed): the nearest level decides.
    nearest = min(known, key=lambda s: (abs(s.price - current.amount), now - s.at))
    return nearest.drop


def _shape(factors: list[Decimal], scale: Decimal) -> tuple[Decimal, Decimal]:
    """Return how far the samples disagree about a shape's factor, and the drop that it predicts."""
    low, high = min(factors), max(factors)
    return (high - low) / high, low * scale


def lowest_allowed(
    current: Price, floor: Price | None, samples: Iterable[StepSample], now: datetime
) -> Price | None:
    """Return the lowest price that one lowering may reach, rounded up; None while unlearnt.

    It is ``current`` itself where no lowering is left.
    """
    drop = largest_drop(current, floor, samples, now)
    if drop is None:
        return None
    limit = Price(max(current.amount - drop, Decimal(0)), current.currency)
    lowest = limit.rounded_up()
    if lowest < current:
        return lowest
    # A step smaller than our quantum: then the price goes down in finer parts of it.
    finer = limit.amount.quantize(quantum(current.currency).scaleb(-6), ROUND_CEILING, EXACT)
    return min(Price(finer, current.currency), current)


def usual_drop(
    current: Price, floor: Price | None, samples: Iterable[StepSample], now: datetime
) -> Decimal:
    """Return the drop to plan with: the learnt one, else the vendor's sample, else a small share."""
    learnt = largest_drop(current, floor, samples, now)
    if learnt is not None:
        return learnt
    prior = PRIOR_STEP.get(current.currency, current.amount * PRIOR_SHARE)
    return max(min(prior, current.amount), quantum(current.currency))
