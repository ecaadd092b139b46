"""What ``bidder explain`` says of an order: what was decided, in sentences, and what became of it."""

from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any, Final

from bidder.app import snapshot
from bidder.cli import shapes
from bidder.config.values import spelled
from bidder.domain import sentences
from bidder.domain.intents import Intent, IntentState
from bidder.store.records import DecisionRecord, OrderRecord

_NOT_DONE: Final = {
    IntentState.OPEN: "Whether that happened is not known yet",
    IntentState.AMBIGUOUS: "What came of it is for a person to see",
    IntentState.REFUSED: "The exchange refused it",
    IntentState.NOT_SENT: "It was not sent",
    IntentState.LOST: "It did not happen",
}


def explained(
    record: OrderRecord,
    prices: tuple[tuple[datetime, Any], ...],
    intents: tuple[Intent, ...],
    decisions: tuple[DecisionRecord, ...],
    before: tuple[Intent, ...] = (),
    *,
    gone: str | None = None,
) -> dict[str, Any]:
    """Return an order, its prices, what was sent for it, and the decisions that led there.

    ``before`` is what was tried on its server and came to nothing; of that, too, there are decisions.
    ``gone`` is what is said of those that are deleted.
    """
    return {
        "order": shapes.order(record),
        "prices": [{"at": snapshot.moment(at), "bid": snapshot.money(bid)} for at, bid in prices],
        "sent": [
            {
                "kind": intent.kind.value,
                "state": intent.state.value,
                "opened_at": snapshot.moment(intent.opened_at),
                "ended_at": snapshot.moment(intent.ended_at),
                "price": snapshot.money(intent.price),
                "previous_price": snapshot.money(intent.previous_price),
            }
            for intent in intents
        ],
        "decisions": [
            {**snapshot.decision(decision), "sentence": _sentence(decision, states)}
            for decision, states in _carried_out(decisions, (*before, *intents))
        ],
        "gone": gone,
    }


def deleted(
    record: OrderRecord, decisions: tuple[DecisionRecord, ...], kept: timedelta, now: datetime
) -> str | None:
    """Return that decisions on an order are deleted, as a sentence; None where they are not."""
    begun = record.holding.first_seen_at
    if record.holding.target is None or begun >= now - kept:
        return None
    if any(decision.at is not None and decision.at <= begun for decision in decisions):
        return None
    return f"Older decisions are gone: they are kept for {spelled(kept)} (`retention.raw`)."


def _carried_out(
    decisions: tuple[DecisionRecord, ...], intents: tuple[Intent, ...]
) -> Iterator[tuple[DecisionRecord, list[IntentState]]]:
    """Yield each decision with how its requests ended: what is tried again is decided only once."""
    for decision in decisions:
        alike = [other for other in decisions if _same_deed(other, decision)]
        yield (
            decision,
            [
                intent.state
                for intent in intents
                if intent.kind is decision.action
                and intent.price == decision.price
                and min(alike, key=lambda other: _apart(other, intent)) is decision
            ],
        )


def _same_deed(one: DecisionRecord, other: DecisionRecord) -> bool:
    return one.action is other.action and one.price == other.price


def _apart(decision: DecisionRecord, intent: Intent) -> timedelta:
    return timedelta.max if decision.at is None else abs(decision.at - intent.opened_at)


def _sentence(decision: DecisionRecord, states: list[IntentState]) -> str:
    # Requests are forgotten some day; until then they tell what became of the decision.
    done = not states or IntentState.DONE in states
    text = _told(decision, done=done)
    return text if done else f"{text} {_NOT_DONE[states[-1]]}."


def _told(decision: DecisionRecord, *, done: bool) -> str:
    return sentences.tell(
        decision.reason,
        decision.facts,
        action=None if decision.action is None else decision.action.value,
        price=None if decision.price is None else str(decision.price),
        previous=None if decision.previous_price is None else str(decision.previous_price),
        due=decision.due,
        done=done,
    )
