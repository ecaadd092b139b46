"""The exchange's side: does it answer, what may the token do, how do the clocks and limits stand."""

import urllib.parse
from datetime import datetime, timedelta
from typing import Any

from bidder.config.secrets import BESIDE_THE_SERVICE
from bidder.doctor.case import NO_RECORDS, OFFLINE, Case, unread
from bidder.doctor.findings import Fact, Finding, State, ago, clock_time, counted, listed, span
from bidder.doctor.probing import READS, Reading
from bidder.doctor.writes import code_of
from bidder.domain.policy import Mode
from bidder.errors import InDoubt, InvalidToken, NotSent

# A record older than this says how it was, not how it is.
_FRESH = timedelta(minutes=10)
_NO_ANSWER = frozenset((NotSent.__name__, InDoubt.__name__, "Unreachable"))
# Beyond this, `ct` and other times of the exchange are told apart wrongly.
_CLOCK_WRONG = timedelta(minutes=10)
_CLOCK_OFF = timedelta(seconds=30)
_LATELY = timedelta(days=1)


def reach(case: Case) -> Finding:
    """Judge whether the exchange gives usable answers."""
    # Without its path, which may hold somebody's key.
    url = urllib.parse.urlsplit(case.settings.exchange_url).netloc
    readings = case.readings
    good = readings.latest_good
    facts: dict[str, Fact] = {"asked": readings.asked, "answers": len(readings.found)}
    if readings.asked:
        silent = [each for each in readings.found if each.failure in _NO_ANSWER]
        details = tuple(each.text for each in silent)
        if silent and len(silent) == len(readings.found):
            return Finding(
                name="exchange",
                state=State.WRONG,
                finding=f"{url} gives no usable answer.",
                remedy="check the network and `exchange.url`; the daemon goes on by itself after that",
                details=details,
                facts=facts,
            )
        state = State.WARNING if silent else State.OK
        return Finding(
            name="exchange",
            state=state,
            finding=f"{url} answered {len(readings.found) - len(silent)} of"
            f" {counted(len(readings.found), 'request')}.",
            remedy="ask again in a while" if silent else "",
            details=details,
            facts=facts,
        )
    if good is None or not case.held or case.now - good > _FRESH:
        return _not_asked(case, "exchange", good, facts)
    return Finding(
        name="exchange",
        state=State.OK,
        finding=f"{url} last gave the daemon a good answer {ago(good, case.now)}.",
        facts=facts,
    )


def _not_asked(case: Case, name: str, at: datetime | None, facts: dict[str, Fact]) -> Finding:
    seen = "and nothing is recorded" if at is None else f"and what is recorded is of {ago(at, case.now)}"
    if case.held and at is not None:
        return Finding(
            name=name,
            state=State.WRONG,
            finding=f"The daemon had its last good answer from the exchange {ago(at, case.now)}.",
            remedy="check the network, and the daemon's log",
            facts=facts,
        )
    return Finding(
        name=name,
        state=State.UNKNOWN,
        finding=f"The exchange was not asked ({case.unasked or 'no answer'}), {seen}.",
        remedy=_to_ask(case),
        facts=facts,
    )


def _to_ask(case: Case) -> str:
    if case.unasked == OFFLINE:
        return f"ask again without {OFFLINE}"
    if case.unasked == NO_RECORDS:
        return "see the finding about the database"
    return "ask again in a minute"


def token(case: Case) -> Finding:
    """Judge what the token may read."""
    if case.settings.token is None:
        paper = not case.live
        if case.held and case.live:
            return Finding(
                name="token",
                state=State.UNKNOWN,
                finding="The running daemon has a token that this command cannot look at:"
                f" {case.settings.token_missing}.",
                remedy=f"run this {BESIDE_THE_SERVICE}",
            )
        return Finding(
            name="token",
            state=State.WARNING if paper else State.WRONG,
            finding=f"There is no API token: {case.settings.token_missing}"
            + (", so on paper only the marketplace is read." if paper else "."),
            remedy=case.settings.token_remedy,
        )
    found = case.readings.found
    told = [each for each in found if each.failure not in _NO_ANSWER]
    details = tuple(_line(each, case) for each in found)
    facts: dict[str, Fact] = {each.endpoint: each.failure or "ok" for each in found}
    facts["asked"] = case.readings.asked
    refused = [each.endpoint for each in told if each.failure == InvalidToken.__name__]
    if refused:
        everywhere = len(refused) == len(told)
        return Finding(
            name="token",
            state=State.WRONG,
            finding="The exchange refuses the token."
            if everywhere
            else f"The exchange refuses the token for {listed(refused)}.",
            remedy="copy the token again from the exchange's account page, with the right to"
            " the marketplace, orders and wallets",
            details=details,
            facts=facts,
        )
    readable = [each for each in told if not each.failure]
    if not readable:
        return _not_asked_token(details, facts)
    if not case.readings.asked and all(case.now - each.at > _LATELY for each in readable):
        return Finding(
            name="token",
            state=State.UNKNOWN,
            finding=f"The token was last used {_age(readable, case)}.",
            remedy=f"ask again without {OFFLINE}",
            details=details,
            facts=facts,
        )
    others = [each.endpoint for each in told if each.failure and each.endpoint in READS]
    source = "" if case.readings.asked else f", as the daemon saw {_age(readable, case)}"
    return Finding(
        name="token",
        state=State.WARNING if others else State.OK,
        finding=f"The token may read {listed(_reads(readable))}{source}.",
        remedy=f"see what was answered to {listed(others)}" if others else "",
        details=details,
        facts=facts,
    )


def _not_asked_token(details: tuple[str, ...], facts: dict[str, Fact]) -> Finding:
    return Finding(
        name="token",
        state=State.UNKNOWN,
        finding="There is a token, and no answer tells what it may read.",
        remedy="see the finding about the exchange",
        details=details,
        facts=facts,
    )


def _reads(readable: list[Reading]) -> list[str]:
    return [each.endpoint for each in readable if each.endpoint in READS]


def _age(readings: list[Reading], case: Case) -> str:
    return ago(max(each.at for each in readings), case.now)


def _line(reading: Reading, case: Case) -> str:
    how = f"{reading.text or reading.failure}" if reading.failure else "good answer"
    if how.startswith(f"{reading.endpoint}: "):
        how = how.removeprefix(f"{reading.endpoint}: ")
    return f"{reading.endpoint}, {ago(reading.at, case.now)}: {how}"


def clock(case: Case) -> Finding:
    """Judge this machine's clock against the exchange's."""
    readings = case.readings
    jumps = _jumps(case)
    facts: dict[str, Fact] = {"lead_seconds": readings.lead_seconds, "jumps": len(jumps)}
    details = tuple(f"{clock_time(at)}: the calendar jumped by {by:+g} s" for at, by in jumps)
    lead = readings.lead_seconds
    stale = readings.lead_at is None or case.now - readings.lead_at > _LATELY
    if lead is None or stale:
        if jumps:
            return _jumped(case, jumps, details, facts)
        good = readings.latest_good
        dateless = good is not None and case.now - good <= _LATELY
        return Finding(
            name="clock",
            state=State.UNKNOWN,
            finding="No answer of the exchange has told the time lately.",
            remedy="its answers carry no `Date`, by which it would be told; make sure that the network"
            " sets this machine's clock: `timedatectl`"
            if dateless
            else "see the finding about the exchange; the `Date` of its answers is what tells",
            details=details,
            facts=facts,
        )
    off = timedelta(seconds=abs(lead))
    side = "behind" if lead > 0 else "ahead of"
    if off > _CLOCK_OFF:
        return Finding(
            name="clock",
            state=State.WRONG if off > _CLOCK_WRONG else State.WARNING,
            finding=f"This machine's clock is {span(off)} {side} the exchange's.",
            remedy="set it by the network: `timedatectl set-ntp true`",
            details=details,
            facts=facts,
        )
    if jumps:
        return _jumped(case, jumps, details, facts)
    return Finding(
        name="clock",
        state=State.OK,
        finding="This machine's clock and the exchange's agree to within"
        f" {max(2, round(off.total_seconds()) + 1)} seconds.",
        facts=facts,
    )


def _jumped(
    case: Case, jumps: list[tuple[datetime, float]], details: tuple[str, ...], facts: dict[str, Fact]
) -> Finding:
    at, by = jumps[-1]
    return Finding(
        name="clock",
        state=State.WARNING,
        finding=f"The calendar jumped by {by:+g} seconds {ago(at, case.now)}: the machine slept, or its"
        " clock was set.",
        remedy="keep it from sleeping; set its clock in small steps (chrony, systemd-timesyncd)",
        details=details,
        facts=facts,
    )


def _vitals(case: Case) -> dict[str, Any]:
    snapshot = None if case.records is None else case.records.snapshot
    found = None if snapshot is None else snapshot.values.get("vitals")
    return dict(found) if isinstance(found, dict) else {}


def _jumps(case: Case) -> list[tuple[datetime, float]]:
    found = [
        (datetime.fromisoformat(each["at"]), float(each["seconds"]))
        for each in _vitals(case).get("clock_jumps", ())
    ]
    return [(at, by) for at, by in found if abs(case.now - at) < _LATELY]


def limits(case: Case) -> Finding:
    """Judge how the request budget and the exchange's other limits were kept."""
    records = case.records
    if records is None:
        return unread("limits")
    vitals = _vitals(case)
    written = [each for each in records.lately if each.mode is Mode.LIVE and code_of(each) == 5]
    refusals = max(int(vitals.get("rate_limited_last_day") or 0), len(written))
    refusals += sum(each.failure == "RateLimited" for each in case.readings.found if case.readings.asked)
    hour = case.now - timedelta(hours=1)
    created = sum(each.at > hour for each in records.memory.creations)
    most = case.settings.policy.rails.max_creations_per_hour
    requests = {} if records.snapshot is None else records.snapshot.values.get("requests") or {}
    use = requests.get("budget_use") if case.held else None
    orders = sum(h.order.order > 0 for h in records.memory.holdings)
    limit = records.memory.order_limit
    details = [
        f"{created} of {most} creations in the last hour",
        f"{orders} live orders" + ("" if limit is None else f", and the exchange allows {limit}"),
    ]
    if use is not None:
        details.insert(0, f"{use:.0%} of one request per second in the last minute")
    facts: dict[str, Fact] = {
        "rate_limited_last_day": refusals,
        "rate_limited_at": vitals.get("rate_limited_at"),
        "since": vitals.get("since"),
        "budget_use": use,
        "creations_last_hour": created,
        "order_limit": limit,
    }
    if refusals:
        return Finding(
            name="limits",
            state=State.WARNING,
            finding=f"The exchange refused {counted(refusals, 'request')} of the last day as too many.",
            remedy="let nothing else use this token: each program needs one of its own",
            details=tuple(details),
            facts=facts,
        )
    full = (limit is not None and orders >= limit) or created >= most
    return Finding(
        name="limits",
        state=State.WARNING if full else State.OK,
        finding="A limit on orders is reached." if full else "No request of the last day was too many.",
        remedy="see which below; until then nothing new is ordered" if full else "",
        details=tuple(details),
        facts=facts,
    )
