"""What a read of our orders says of the requests whose outcome was open: adopted, confirmed, or lost."""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime

from bidder.domain.fold import bills
from bidder.domain.ids import OrderId
from bidder.domain.intents import (
    LOST_REMEMBERED,
    Intent,
    IntentKind,
    IntentState,
    OrdersRead,
    Settled,
    Verdict,
)
from bidder.domain.market import OwnOrder
from bidder.domain.policy import Policy
from bidder.domain.price_rules import LOWERING_PAUSE, ClockEvent, LoweringClock
from bidder.domain.view import Holding, View


@dataclass(slots=True, kw_only=True)
class Settling:
    """What is being worked out from one read."""

    held: dict[OrderId, Holding]
    intents: list[Intent]
    adopted: list[Holding]
    ended: list[Holding]
    returned: list[Holding]  # as they were when they were taken for ended
    touched: set[OrderId]


def settle(
    so_far: Settling,
    verdicts: Iterable[Verdict],
    listed: dict[OrderId, OwnOrder],
    view: View,
    policy: Policy,
    read: OrdersRead,
    now: datetime,
) -> None:
    """Add to ``so_far`` what became of the open intents by a read's verdicts."""
    held = so_far.held
    for verdict in verdicts:
        kept = _unsettled(verdict, read)
        if kept is not None:
            so_far.intents.append(kept)
        if verdict.settled is Settled.ADOPTED:
            made = listed[verdict.orders[0]]
            if made.expired and made.order in view.ended:
                # The owner had it cancelled before it was known whose it is: it does not end once more.
                continue
            holding = _adopt(verdict, listed, held, view, read, now)
            holding = replace(holding, work=bills.first_work(holding, view, policy))
            held[holding.order.order] = holding
            so_far.adopted.append(holding)
            so_far.touched.add(holding.order.order)
        elif verdict.settled is Settled.CONFIRMED and verdict.intent.order in held:
            confirmed = held[verdict.intent.order]
            held[verdict.intent.order] = _confirmed(confirmed, verdict.intent, now)
            so_far.touched.add(verdict.intent.order)


def lost(view: View, verdicts: Iterable[Verdict], now: datetime) -> tuple[Intent, ...]:
    """Return the creations that have come to nothing, as it seems, for as long as that may change."""
    recent = {i.id: i for i in view.lost if now - i.over_since() < LOST_REMEMBERED}
    for verdict in verdicts:
        intent = verdict.intent
        if verdict.settled is Settled.ADOPTED:
            recent.pop(intent.id, None)
        elif verdict.settled is Settled.LOST:
            recent[intent.id] = replace(intent, state=IntentState.LOST)
    return tuple(recent.values())


def _unsettled(verdict: Verdict, read: OrdersRead) -> Intent | None:
    intent = verdict.intent
    match verdict.settled:
        case Settled.UNKNOWN:
            return intent.shown_nothing(read.started_at) if verdict.counts_as_empty else intent
        case Settled.AMBIGUOUS:
            return replace(verdict.intent, state=IntentState.AMBIGUOUS)
        case _:
            return None


def _adopt(
    verdict: Verdict,
    listed: dict[OrderId, OwnOrder],
    held: dict[OrderId, Holding],
    view: View,
    read: OrdersRead,
    now: datetime,
) -> Holding:
    intent = verdict.intent
    order = listed[verdict.orders[0]]
    born = intent.ended_at if intent.accepted and intent.ended_at is not None else now
    known = held.get(order.order)
    clock = LoweringClock(created_at=born) if known is None else known.clock
    if view.recalled_at is not None and intent.opened_at <= view.recalled_at:
        # Another life of ours, before a backup was restored, may have lowered it since.
        clock = replace(clock, opens_at=now + LOWERING_PAUSE)
    return Holding(
        order=order,
        target=intent.target,
        first_seen_at=read.started_at if known is None else known.first_seen_at,
        last_seen_at=read.started_at,
        clock=replace(clock, created_at=born),
    )


def _confirmed(holding: Holding, intent: Intent, now: datetime) -> Holding:
    if intent.kind is not IntentKind.REPRICE or intent.price is None:
        return holding
    lowered = intent.previous_price is not None and intent.price < intent.previous_price
    event = ClockEvent.LOWERING if lowered else ClockEvent.RAISE
    return replace(
        holding,
        order=replace(holding.order, price=intent.price),
        # Nobody saw when it was carried out, only that it was by now.
        clock=holding.clock.after(event, now),
        outbid_since=holding.outbid_since if lowered else None,
    )
