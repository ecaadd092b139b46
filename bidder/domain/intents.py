"""The life of a write-ahead intent, and what our orders prove about it.

An intent is committed before its request is sent. ``settle`` compares the open ones with a read of
our orders; it is a pure function, and start-up, time-outs and the normal run all go through it.

The exchange returns no order id from a creation and shows new orders late (API document, trap 1),
so a creation stays open until its order is seen. A read proves nothing about a request unless it
*started* after the request ended, because an answer may be older than it looks.
"""

from collections.abc import Container, Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum
from typing import assert_never

from bidder.domain.actions import Action, PlaceBid, RentOnDemand, Reprice, Withdraw
from bidder.domain.ids import OrderId, ServerId
from bidder.domain.market import OrderKind, OrdersAnswer, OwnOrder
from bidder.domain.money import Price

# Answers were seen to lag by up to half a minute; the margin covers the request's own execution.
STALENESS = timedelta(seconds=45)
# Orders were seen to be left out for a minute, and the answer that leaves one out may be half a minute
# old: one that is away for longer is gone.
LEFT_OUT = timedelta(seconds=100)
# So many reads that could have shown a creation's order must come before the one that ends the wait.
EMPTY_READS = 2
# A creation that the exchange accepted most likely made an order, however late that is listed: given up
# too early, a second one would be ordered beside it. But one that never comes must not keep its slot
# empty for hours, and an order that comes later still is known by what was asked for.
ACCEPTED_GRACE = timedelta(minutes=10)
# So long a creation that came to nothing is remembered, in case its order is listed after all.
LOST_REMEMBERED = timedelta(days=1)
# How far the exchange's clock may lie from ours before ``ct`` tells one order from another.
_CLOCK_SKEW = timedelta(minutes=10)


class IntentKind(StrEnum):
    """What was about to be sent."""

    PLACE = "place"
    RENT = "rent"
    REPRICE = "reprice"
    WITHDRAW = "withdraw"


def kind_of(action: Action) -> IntentKind:
    """Return the kind of intent that an action is written down as."""
    match action:
        case PlaceBid():
            return IntentKind.PLACE
        case RentOnDemand():
            return IntentKind.RENT
        case Reprice():
            return IntentKind.REPRICE
        case Withdraw():
            return IntentKind.WITHDRAW
        case _:
            assert_never(action)


class IntentState(StrEnum):
    """Where an intent stands. ``OPEN`` blocks its server, ``AMBIGUOUS`` all but ``bidder cancel``."""

    OPEN = "open"  # may or may not have happened, or a creation whose order is not seen yet
    AMBIGUOUS = "ambiguous"  # several orders could be its result; a person must look
    DONE = "done"  # carried out and seen
    REFUSED = "refused"  # the exchange said no
    NOT_SENT = "not_sent"  # never reached the exchange
    LOST = "lost"  # no trace of it after the grace: it did not happen


@dataclass(frozen=True, slots=True, kw_only=True)
class Intent:
    """One request that changes something, as written down before it was sent.

    ``known_orders`` are the ids of ours on that server that existed before. ``ended_at`` is when the
    answer came or we gave up waiting; None while it is in flight or after a crash. ``accepted`` is
    True after a code 0. ``empty_reads`` counts reads that could have shown a result and did not;
    ``empty_since`` is when the first of them started that this process made.
    """

    id: int
    kind: IntentKind
    server: ServerId
    target: str | None
    order: OrderId | None
    price: Price | None
    previous_price: Price | None
    known_orders: frozenset[OrderId]
    opened_at: datetime
    ended_at: datetime | None = None
    accepted: bool = False
    state: IntentState = IntentState.OPEN
    empty_reads: int = 0
    empty_since: datetime | None = None

    @property
    def creates(self) -> bool:
        """Return whether a new order may come of it."""
        return self.kind in {IntentKind.PLACE, IntentKind.RENT}

    @property
    def order_kind(self) -> OrderKind:
        """Return which kind of order a creation makes."""
        return OrderKind.ON_DEMAND if self.kind is IntentKind.RENT else OrderKind.SPOT

    def shown_nothing(self, read_started_at: datetime) -> "Intent":
        """Return the intent with one more read counted that could have shown a result and did not."""
        since = self.empty_since or read_started_at
        return replace(self, empty_reads=self.empty_reads + 1, empty_since=since)

    def lost_at(self, grace: timedelta) -> datetime | None:
        """Return from when on a read that shows nothing of it proves that no order came of it.

        After the grace, and not before reads have shown nothing for longer than an order may be left
        out of them. None before the first such read.
        """
        if self.empty_since is None:
            return None
        return max(self.grace_ends(grace), self.empty_since + LEFT_OUT)

    def grace_ends(self, grace: timedelta) -> datetime:
        """Return until when a creation's order may still turn up; later where it was accepted."""
        return self.over_since() + (max(grace, ACCEPTED_GRACE) if self.accepted else grace)

    def over_since(self) -> datetime:
        """Return since when it can no longer be on its way, as far as we know."""
        return self.ended_at or self.opened_at


class Settled(StrEnum):
    """What a read of our orders says about an open intent."""

    ADOPTED = "adopted"  # exactly one new order fits: it is ours
    CONFIRMED = "confirmed"  # the order shows what we asked for
    NOT_DONE = "not_done"  # the order shows that it did not happen
    LOST = "lost"  # no order came of it within the grace
    AMBIGUOUS = "ambiguous"  # more than one order fits
    UNKNOWN = "unknown"  # too early to say


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """One intent's settlement; ``orders`` are the orders it rests on."""

    intent: Intent
    settled: Settled
    orders: tuple[OrderId, ...] = ()
    counts_as_empty: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class OrdersRead:
    """One read of our orders and when it was under way; ``completed`` includes the ended ones."""

    answer: OrdersAnswer
    started_at: datetime
    completed: bool


def settle(intents: Iterable[Intent], read: OrdersRead, *, grace: timedelta) -> tuple[Verdict, ...]:
    """Return a verdict on each open or ambiguous intent from one read of our orders.

    ``grace`` is how long after its end a creation in doubt may still turn up: it covers the request's
    own execution, the exchange's lateness in listing an order, and the staleness of an answer. One that
    was accepted is given ``ACCEPTED_GRACE`` at least.
    """
    by_id = {order.order: order for order in read.answer.orders}
    claimed: set[OrderId] = set()
    verdicts = []
    for intent in intents:
        if intent.creates:
            verdict = _settle_creation(intent, read, grace, claimed)
            claimed.update(verdict.orders)
        elif intent.kind is IntentKind.WITHDRAW:
            verdict = _settle_withdrawal(intent, read, by_id)
        else:
            verdict = _settle_repricing(intent, read, by_id)
        verdicts.append(verdict)
    return tuple(verdicts)


def fits(intent: Intent, order: OwnOrder) -> bool:
    """Return whether ``order`` can be the result of this creation.

    Its ``ct`` is no proof against it: where our clock is wrong, every order of ours would be taken
    for a person's, and bid for again.
    """
    return (
        order.server == intent.server
        and order.order not in intent.known_orders
        and order.kind is intent.order_kind
        and (intent.price is None or order.price.currency == intent.price.currency)
    )


def candidates(intent: Intent, orders: Iterable[OwnOrder]) -> tuple[OrderId, ...]:
    """Return the live ones among our orders that may have come of a creation."""
    running = [order for order in orders if not order.expired and fits(intent, order)]
    # All where the time of none agrees: our clock may be wrong.
    return tuple(order.order for order in _in_time(intent, running) or running)


def late(
    lost: Iterable[Intent],
    read: OrdersRead,
    *,
    explained: Container[OrderId],
    images: Mapping[str | None, str],
) -> tuple[Verdict, ...]:
    """Return which lost creations have made an order after all, by a read of our orders.

    ``explained`` are the orders of which it is known what they are, ``images`` what each target
    launches. A person may have ordered on that very server, so it must be all that was asked for: the
    image, the kind, the price, and the time of the request. Where several orders are, none is ours for
    certain.
    """
    asked = tuple(lost)
    free = [o for o in read.answer.orders if not o.expired and o.order not in explained]
    verdicts = []
    for order in free if asked else ():
        makers = [intent for intent in asked if _just_so(intent, order, images)]
        twins = [o for o in free if o is not order and any(_just_so(i, o, images) for i in makers)]
        if makers and not twins and len({intent.target for intent in makers}) == 1:
            maker = max(makers, key=lambda intent: intent.opened_at)
            verdicts.append(Verdict(intent=maker, settled=Settled.ADOPTED, orders=(order.order,)))
    return tuple(verdicts)


def _just_so(intent: Intent, order: OwnOrder, images: Mapping[str | None, str]) -> bool:
    """Return whether an order is what a creation asked for, to the image, the price and the time."""
    if intent.price is None or not fits(intent, order) or order.image != images.get(intent.target):
        return False
    # On demand the price asked for is a limit.
    rents = intent.kind is IntentKind.RENT
    priced = order.price <= intent.price if rents else order.price == intent.price
    began, over = intent.opened_at - _CLOCK_SKEW, intent.over_since() + _CLOCK_SKEW
    return priced and began <= order.created_at <= over


def _in_time(intent: Intent, orders: list[OwnOrder]) -> list[OwnOrder]:
    """Return the orders whose ``ct`` agrees with the creation."""
    return [order for order in orders if order.created_at >= intent.opened_at - _CLOCK_SKEW]


def _settle_creation(
    intent: Intent, read: OrdersRead, grace: timedelta, claimed: set[OrderId]
) -> Verdict:
    fitting = [o for o in read.answer.orders if o.order not in claimed and fits(intent, o)]
    live = candidates(intent, fitting)
    if len(live) > 1:
        return Verdict(intent=intent, settled=Settled.AMBIGUOUS, orders=live)
    if live:
        return Verdict(intent=intent, settled=Settled.ADOPTED, orders=live)
    # An older one had ended before the request was made, and adopted it would hide the one that is to
    # come. Where several may have come of it, one alone that has ended proves nothing either: a read may
    # leave out the one that runs on.
    over = _in_time(intent, [order for order in fitting if order.expired])
    if len(over) > (1 if intent.state is IntentState.AMBIGUOUS else 0):
        # It came to life and has ended again; the newest is as good as any, none costs money now.
        newest = max(over, key=lambda order: order.created_at)
        return Verdict(intent=intent, settled=Settled.ADOPTED, orders=(newest.order,))
    if read.started_at < intent.over_since():
        return Verdict(intent=intent, settled=Settled.UNKNOWN)
    lost_at = intent.lost_at(grace)
    late_enough = lost_at is not None and read.started_at >= lost_at
    # Only a read that lists ended orders too can show that nothing came of it at all.
    enough = intent.empty_reads >= EMPTY_READS and read.completed and late_enough
    settled = Settled.LOST if enough else Settled.UNKNOWN
    return Verdict(intent=intent, settled=settled, counts_as_empty=True)


def _settle_withdrawal(intent: Intent, read: OrdersRead, by_id: dict[OrderId, OwnOrder]) -> Verdict:
    if read.started_at < intent.over_since():
        return Verdict(intent=intent, settled=Settled.UNKNOWN)
    order = by_id.get(intent.order) if intent.order is not None else None
    if order is not None and order.expired:
        return Verdict(intent=intent, settled=Settled.CONFIRMED)
    if order is None:
        # It may only be left out: taken for cancelled too early, it would get a successor beside it.
        over = intent.accepted or read.started_at - intent.over_since() >= LEFT_OUT
        return Verdict(intent=intent, settled=Settled.CONFIRMED if over else Settled.UNKNOWN)
    if read.started_at - intent.over_since() < STALENESS:
        return Verdict(intent=intent, settled=Settled.UNKNOWN)
    return Verdict(intent=intent, settled=Settled.NOT_DONE, orders=(order.order,))


def _settle_repricing(intent: Intent, read: OrdersRead, by_id: dict[OrderId, OwnOrder]) -> Verdict:
    if read.started_at < intent.over_since():
        return Verdict(intent=intent, settled=Settled.UNKNOWN)
    order = by_id.get(intent.order) if intent.order is not None else None
    waited = read.started_at - intent.over_since()
    if order is None or order.expired:
        # Ended: there is no price left to be in doubt about, once staleness is excluded. One that is
        # only left out may be back within the minute, at either price.
        needed = LEFT_OUT if order is None else STALENESS
        return Verdict(intent=intent, settled=Settled.NOT_DONE if waited >= needed else Settled.UNKNOWN)
    if order.price == intent.price:
        return Verdict(intent=intent, settled=Settled.CONFIRMED, orders=(order.order,))
    settled = Settled.NOT_DONE if waited >= STALENESS else Settled.UNKNOWN
    return Verdict(intent=intent, settled=settled, orders=(order.order,))
