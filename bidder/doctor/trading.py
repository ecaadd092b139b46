"""The daemon itself: who trades, what is unsettled, and what stands in the way."""

from datetime import timedelta
from typing import Any

from bidder.app.pace import HUNG_AFTER
from bidder.doctor.case import START, Case, unread
from bidder.doctor.findings import Finding, State, ago, clock_time, counted
from bidder.doctor.writes import told
from bidder.domain import sentences
from bidder.domain.actions import Reason
from bidder.domain.ids import on_paper, spelled
from bidder.domain.intents import Intent, IntentState
from bidder.domain.waiting import Awaited, waits_for
from bidder.store.checkup import Write

_LONG_OPEN = timedelta(minutes=30)
# Reasons not to act that need somebody, or that the owner may want to know of.
_NEEDS_PERSON = frozenset((Reason.FROZEN.value,))
_IN_THE_WAY = frozenset(
    each.value
    for each in (
        *(Reason.NO_RATE, Reason.NO_BALANCE, Reason.CHURN, Reason.RAIL),
        *(Reason.ORDER_LIMIT, Reason.REFUSED),
    )
)


def lease(case: Case) -> Finding:
    """Judge who has the right to trade the account."""
    records = case.records
    if records is None:
        return unread("lease")
    if records.lease is None:
        return Finding(name="lease", state=State.OK, finding="Nobody holds the lease on this account.")
    held = records.lease
    facts = {"fencing": held.fencing, "held": records.held}
    if records.held:
        return Finding(
            name="lease",
            state=State.OK,
            finding=f"{held.holder.capitalize()} holds the lease, taken {ago(held.taken_at, case.now)}.",
            facts=facts,
        )
    return Finding(
        name="lease",
        state=State.WARNING,
        finding=f"{held.holder.capitalize()} died {ago(held.expires_at, case.now)} at the latest,"
        " without giving the lease back.",
        remedy="see why it died (its log, `dmesg` for want of memory) and start it again",
        facts=facts,
    )


def daemon(case: Case) -> Finding:
    """Judge whether a daemon is at work, and what is left alone where none is."""
    records = case.records
    if records is None:
        return unread("daemon")
    seen = records.snapshot
    age = None if seen is None else case.now - seen.at
    paper = not case.live
    orders = [h for h in records.memory.holdings if h.ours and on_paper(h.order.order) is paper]
    facts = {
        "running": records.held,
        "latest_pass_seconds": None if age is None else round(age.total_seconds(), 1),
        "orders": len(orders),
        "paused": records.memory.paused,
    }
    if not records.held:
        last = "" if seen is None else f", the last one was at work {ago(seen.at, case.now)}"
        alone = "order is left to itself" if len(orders) == 1 else "orders are left to themselves"
        left = f", and {len(orders)} {alone}" if orders else ""
        return Finding(
            name="daemon",
            state=State.WRONG if orders and case.live else State.WARNING,
            finding=f"No daemon trades this account{left}{last}.",
            remedy=START + (", or end its orders: `bidder cancel --all`" if orders else ""),
            facts=facts,
        )
    if age is None or age > HUNG_AFTER:
        when = "No pass has ended yet" if age is None else f"Its latest pass is {ago(seen.at, case.now)}"  # type: ignore[union-attr]  # an age has a picture
        return Finding(
            name="daemon",
            state=State.WRONG if age is not None else State.UNKNOWN,
            finding=f"A daemon or a command holds the lease. {when}.",
            remedy="see its log; if it hangs, restart it: nothing is lost or done twice",
            facts=facts,
        )
    mode = seen.values.get("mode") if seen is not None else None
    if mode is not None and mode != case.settings.policy.mode.value:
        return Finding(
            name="daemon",
            state=State.WARNING,
            finding=f"The daemon that runs has mode {mode}, and the configuration says"
            f" {case.settings.policy.mode.value}.",
            remedy="restart the daemon; a mode is taken up at its start only",
            facts=facts,
        )
    assert seen is not None
    if records.memory.paused:
        return Finding(
            name="daemon",
            state=State.WARNING,
            finding="The daemon is at work, and trading is paused.",
            remedy="`bidder resume` goes on",
            facts=facts,
        )
    return Finding(
        name="daemon",
        state=State.OK,
        finding=f"A daemon is at work, its latest pass {ago(seen.at, case.now)}.",
        facts=facts,
    )


def intents(case: Case) -> Finding:
    """Judge what was sent, or may have been, and is not settled; and say what each waits for."""
    records = case.records
    if records is None:
        return unread("intents")
    unfinished = [each for each in records.unfinished if each.mode is case.settings.policy.mode]
    facts = {
        "open": sum(each.intent.state is IntentState.OPEN for each in unfinished),
        "ambiguous": sum(each.intent.state is IntentState.AMBIGUOUS for each in unfinished),
    }
    if not unfinished:
        return Finding(
            name="intents",
            state=State.OK,
            finding="Every request that was sent is settled.",
            facts=facts,
        )
    details = tuple(f"intent {each.intent.id}, {_waiting(each, case)}" for each in unfinished)
    if facts["ambiguous"]:
        return Finding(
            name="intents",
            state=State.WRONG,
            finding=f"{counted(facts['ambiguous'], 'request')} may have led to more than one order;"
            " nothing is sent for such a server until somebody has decided.",
            remedy="cancel all but one of the orders named below: `bidder cancel ORDER`",
            details=details,
            facts=facts,
        )
    oldest = min(each.intent.opened_at for each in unfinished)
    stuck = case.now - oldest > _LONG_OPEN or not case.held
    return Finding(
        name="intents",
        state=State.WARNING if stuck else State.OK,
        finding=f"Not settled yet: {counted(len(unfinished), 'request')}, the oldest of"
        f" {ago(oldest, case.now)}.",
        remedy="" if not stuck else "see the finding about the exchange" if case.held else START,
        details=details,
        facts=facts,
    )


def _waiting(write: Write, case: Case) -> str:
    assert case.records is not None
    intent = write.intent
    live = (holding.order for holding in case.records.memory.holdings)
    wait = waits_for(intent, live, grace=case.settings.policy.pace.settle_grace)
    said = "accepted" if intent.accepted else "without a readable answer"
    start = f"{told(write)}, sent {ago(intent.opened_at, case.now)}, {said}"
    if wait.given_up_at is None:
        found = ", ".join(spelled(order) for order in wait.orders) or write.note
        return f"{start}: waits for a person, because more than one order fits: {found}"
    when = clock_time(wait.given_up_at)
    given_up = f"a read of our orders that starts at {when} or later does not show it"
    if wait.reads > 1:
        given_up = (
            f"{wait.reads} reads of our orders do not show it, the last one started at {when} or later"
        )
    return f"{start}: waits for {_awaited(wait.awaited, intent)}; given up once {given_up}"


def _awaited(awaited: Awaited, intent: Intent) -> str:
    order = "it" if intent.order is None else f"order {spelled(intent.order)}"
    match awaited:
        case Awaited.PRICE:
            return f"our orders to show {order} at {intent.price}"
        case Awaited.END:
            return f"our orders to show {order} as ended"
    return f"a new order on server {intent.server} among ours"


def obstacles(case: Case) -> Finding:
    """Judge what keeps the daemon from acting, by its latest decisions."""
    records = case.records
    if records is None:
        return unread("obstacles")
    if records.snapshot is None:
        return Finding(
            name="obstacles",
            state=State.UNKNOWN,
            finding="No pass has been recorded yet.",
            remedy=START,
        )
    decisions = [
        each
        for target in records.snapshot.values.get("targets", ())
        for each in target.get("decisions", ())
        if each.get("action") is None
    ]
    frozen = [each for each in decisions if each["reason"] in _NEEDS_PERSON]
    blocked = [each for each in decisions if each["reason"] in _IN_THE_WAY]
    alarms = [str(each) for each in records.snapshot.values.get("alarms", ())]
    details = tuple(dict.fromkeys([*alarms, *map(_told, [*frozen, *blocked])]))
    facts = {"frozen": len(frozen), "blocked": len(blocked), "alarms": len(alarms)}
    age = f"as of {ago(records.snapshot.at, case.now)}"
    if frozen:
        return Finding(
            name="obstacles",
            state=State.WRONG,
            finding=f"Frozen until a person has decided: {counted(len(frozen), 'server')}, {age}.",
            remedy="cancel the orders that are too many, or set `adopt: true`",
            details=details,
            facts=facts,
        )
    if blocked or alarms:
        return Finding(
            name="obstacles",
            state=State.WARNING,
            finding=f"Something keeps the daemon from acting, {age}.",
            remedy="see what below; `bidder plan` shows every decision",
            details=details,
            facts=facts,
        )
    return Finding(
        name="obstacles",
        state=State.OK,
        finding=f"Nothing but the market keeps the daemon from acting, {age}.",
        facts=facts,
    )


def _told(decision: dict[str, Any]) -> str:
    where = "" if decision.get("server") is None else f" on server {decision['server']}"
    text = sentences.tell(
        decision["reason"], decision.get("facts") or {}, action=None, price=None, previous=None, due=None
    )
    return f"{decision.get('target')}{where}: {text}"
