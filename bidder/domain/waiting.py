"""What an unfinished intent waits for, by the very rules that ``intents.settle`` judges it by."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from bidder.domain.ids import OrderId
from bidder.domain.intents import (
    EMPTY_READS,
    LEFT_OUT,
    STALENESS,
    Intent,
    IntentKind,
    IntentState,
    candidates,
)
from bidder.domain.market import OwnOrder


class Awaited(StrEnum):
    """What would settle it."""

    PERSON = "person"  # several orders could be its result; somebody must cancel all but one
    ORDER = "order"  # a creation: its order turns up among ours
    PRICE = "price"  # a change: the order shows the new price
    END = "end"  # a withdrawal: the order is gone, or shown as ended


@dataclass(frozen=True, slots=True, kw_only=True)
class Wait:
    """What is awaited, and when it is given up.

    ``reads`` reads of our orders that show nothing of it prove that it did not happen, the last of
    which must start at ``given_up_at`` or later; None where it is never given up. ``orders`` are
    those that it may be, or the one that it changes.
    """

    awaited: Awaited
    given_up_at: datetime | None
    reads: int
    orders: tuple[OrderId, ...] = ()


def waits_for(intent: Intent, live: Iterable[OwnOrder], *, grace: timedelta) -> Wait:
    """Return what an unfinished intent waits for, given our live orders; ``grace`` as in ``settle``."""
    if intent.state is IntentState.AMBIGUOUS:
        fitting = candidates(intent, live)
        return Wait(awaited=Awaited.PERSON, given_up_at=None, reads=0, orders=fitting)
    if intent.creates:
        left = max(0, EMPTY_READS - intent.empty_reads)
        earliest = intent.lost_at(grace) or intent.grace_ends(grace)
        return Wait(awaited=Awaited.ORDER, given_up_at=earliest, reads=left + 1)
    # One that the list leaves out may be back within the minute.
    listed = any(order.order == intent.order for order in live)
    return Wait(
        awaited=Awaited.END if intent.kind is IntentKind.WITHDRAW else Awaited.PRICE,
        given_up_at=intent.over_since() + (STALENESS if listed else LEFT_OUT),
        reads=1,
        orders=() if intent.order is None else (intent.order,),
    )
