"""What was sent that changes something, and how it was answered."""

import re

from bidder.doctor.case import Case, unread
from bidder.doctor.findings import Finding, State, ago, clock_time
from bidder.domain.ids import spelled
from bidder.domain.intents import IntentKind, IntentState
from bidder.domain.policy import Mode
from bidder.store.checkup import Write

_ENDPOINTS = {
    IntentKind.PLACE: "create_order",
    IntentKind.RENT: "create_order",
    IntentKind.REPRICE: "set_spot_price",
    IntentKind.WITHDRAW: "cancel_order",
}
_NAMED_CODE = re.compile(r"\bcode (\d{1,4})\b")


def code_of(write: Write) -> int | None:
    """Return the code of the answer to a request; None where no readable answer came.

    The codes 2 to 5 stand in the refusal's text; every other refusal has code 6.
    """
    if write.intent.accepted or (write.intent.state is IntentState.DONE and not write.note):
        return 0
    if write.intent.state is not IntentState.REFUSED:
        return None
    named = _NAMED_CODE.search(write.note)
    return int(named[1]) if named else 6


def last_write(case: Case) -> Finding:
    """Judge how the last request that was to change something was answered."""
    if case.records is None:
        return unread("last write")
    sent = [
        each
        for each in case.records.writes
        if each.mode is Mode.LIVE and each.intent.state is not IntentState.NOT_SENT
    ]
    if not sent:
        if not case.live:
            return Finding(
                name="last write",
                state=State.OK,
                finding="Mode is paper, and nothing that changes anything has been sent.",
            )
        return Finding(
            name="last write",
            state=State.UNKNOWN,
            finding="Nothing that changes anything has been sent yet, so it is not known whether"
            " the token may.",
            remedy="wait until the daemon has something to do; `bidder plan` shows what",
        )
    last = sent[0]
    code = code_of(last)
    state, remedy = _judged(code, last)
    return Finding(
        name="last write",
        state=state,
        finding=f"The last request that changes something, {told(last)},"
        f" {ago(last.intent.opened_at, case.now)}: {answered(last)}.",
        remedy=remedy,
        details=tuple(f"{clock_time(e.intent.opened_at)} {told(e)}: {answered(e)}" for e in sent[:5]),
        facts={
            "endpoint": _ENDPOINTS[last.intent.kind],
            "state": last.intent.state.value,
            "code": code,
        },
    )


def told(write: Write) -> str:
    """Return which request it was, in few words."""
    intent = write.intent
    order = "" if intent.order is None else f" order {spelled(intent.order)}"
    price = "" if intent.price is None else f" at {intent.price} per day"
    return f"{_ENDPOINTS[intent.kind]} ({intent.kind.value}{order} on server {intent.server}{price})"


def answered(write: Write) -> str:
    """Return what came of a request, in few words."""
    intent = write.intent
    note = write.note.removeprefix(f"{_ENDPOINTS[intent.kind]}: ")
    match intent.state:
        case IntentState.REFUSED:
            return f"refused with code {code_of(write)}" + (f": {note}" if note else "")
        case IntentState.NOT_SENT:
            return f"not sent: {note}"
        case IntentState.LOST if intent.creates:
            return "its answer was lost, and no order came of it"
        case IntentState.LOST:
            return "its answer was lost, and our orders showed that it was not done"
        case IntentState.DONE if not intent.accepted and note:
            return f"its answer was lost, and our orders showed that it was done ({note})"
        case IntentState.DONE:
            return "accepted with code 0"
    return "accepted with code 0, not settled yet" if intent.accepted else "no readable answer yet"


def _judged(code: int | None, write: Write) -> tuple[State, str]:
    if code == 3:
        return State.WRONG, "the token may not do this: make one with the right to create orders"
    if code in {2, 4}:
        return State.WARNING, "check `launch` and `exchange.url`: this is refused whatever the price"
    if code is None and write.intent.state in {IntentState.OPEN, IntentState.AMBIGUOUS}:
        return State.WARNING, "see the open intents: our orders will show whether it happened"
    return State.OK, ""
