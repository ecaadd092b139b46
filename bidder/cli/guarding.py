"""``bidder guard``: the dead man's one-shot, for a timer."""

import asyncio
import sys
from collections.abc import Iterable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Annotated, Any

import typer

from bidder.cli.failures import CommandFailed, ExitCode, complain
from bidder.cli.options import DEFAULT_CONFIG, AsJson, ConfigFile
from bidder.errors import BidderError

if TYPE_CHECKING:
    from bidder.config import Settings
    from bidder.config.needs import Unresolved
    from bidder.domain.actions import Decision
    from bidder.domain.notices import Notice
    from bidder.guarding import Round

# While the same silence lasts, the owner is told at most so often: of further steps, of nothing new, of
# an exchange that comes and goes.
_TOLD_EVERY, _REMINDED_EVERY = timedelta(hours=1), timedelta(hours=6)
_BETWEEN = timedelta(minutes=10)
# The last thing that this process does: a slow receiver keeps nobody waiting.
_DELIVER_SECONDS = 60.0
_KIND = "guard"


def guard(
    config: ConfigFile = DEFAULT_CONFIG,
    dry_run: Annotated[
        bool,
        typer.Option("--dry-run", help="Say what would be done; send nothing that changes anything."),
    ] = False,
    as_json: AsJson = False,
) -> int:
    """Look once whether the daemon is silent; if so, cancel or lower its orders as `guard:` says."""
    from bidder.cli.opening import read_settings
    from bidder.clock import SystemClock
    from bidder.domain.unattended import Then
    from bidder.errors import ConfigError
    from bidder.guarding import stand_guard
    from bidder.wiring import open_current

    # What servers are launched with is no business of the guard's, and its unit need not have it.
    settings = read_settings(config, for_daemon=True, outlives=True)
    when = settings.guard
    if when is None:
        raise ConfigError(
            "there is no such section, so nothing would be done",
            file=str(config),
            key="guard",
            remedy="add guard: {then: cancel}, or lower, or notice; see docs/guard.md",
        )
    for each in _untold(settings):
        complain(str(each), kind="warning")
    token = None if when.then is Then.NOTICE else settings.trading_token()
    with open_current(settings) as engine:
        found = asyncio.run(
            stand_guard(
                settings.policy,
                when,
                engine=engine,
                base_url=settings.exchange_url,
                token=token,
                clock=SystemClock(),
                dry_run=dry_run,
            )
        )
        return conclude(settings, engine, found, as_json=as_json)


def conclude(
    settings: "Settings",
    engine: Any,
    found: "Round",
    *,
    as_json: bool,
    patience_seconds: float = _DELIVER_SECONDS,
) -> int:
    """Tell the owner of a round and print it; raises what kept it from doing all that was asked.

    ``patience_seconds`` is what a notice gets to be delivered.
    """
    try:
        told = _tell(settings, engine, found, patience_seconds)
    except BidderError as exc:
        # What was done is shown all the same.
        complain(f"the notice failed: {exc}")
        told = False
    problem = _problem(found)
    _show(_document(settings, found, told=told, problem=problem), as_json=as_json)
    if problem is not None:
        raise problem
    return ExitCode.DONE


def _problem(found: "Round") -> Exception | None:
    """Return why the round did not do all that the owner asked for; None where it did."""
    from bidder.domain.unattended import Finding
    from bidder.errors import LeaseHeld

    if found.error is not None:
        return found.error
    since = f"{found.signs.seen_at:%Y-%m-%d %H:%M:%S} UTC" if found.signs.seen_at else "ever"
    if found.finding is Finding.WEDGED:
        return LeaseHeld(
            f"{found.signs.holder} holds the lease and has made no pass since {since}; nothing can be"
            " sent beside it: end it, and the next round looks after its orders"
        )
    if found.finding is Finding.MISDATED:
        return CommandFailed(
            f"the daemon's latest sign of life is dated {since}, in the future; set the machine's clock"
        )
    if found.undone and not found.dry_run:
        return CommandFailed(f"could not be looked after: {_names(found.undone)}; tried again next time")
    return None


def _names(decisions: Iterable["Decision"]) -> str:
    from bidder.domain.ids import spelled

    return ", ".join(
        (f"server {each.server}" if each.order is None else f"order {spelled(each.order)}")
        + f" ({each.reason.value})"
        for each in decisions
    )


def _document(
    settings: "Settings", found: "Round", *, told: bool, problem: Exception | None
) -> dict[str, Any]:
    from bidder.app import snapshot

    since = found.signs.seen_at
    return {
        "account": settings.account,
        "mode": settings.policy.mode.value,
        "finding": found.finding.value,
        "holder": found.signs.holder,
        "silent_since": snapshot.moment(since),
        "silent_seconds": None if since is None else round((found.at - since).total_seconds(), 1),
        "then": found.when.then.value,
        "after_seconds": found.when.after.total_seconds(),
        "dry_run": found.dry_run,
        "sent": [
            {
                **_decided(deed.decision, found.at),
                "result": deed.result.value,
                "error": deed.error or None,
            }
            for deed in found.acted
        ],
        "planned": [_decided(each, found.at) for each in found.planned],
        "left": [_decided(each, found.at) for each in found.left],
        "if_unattended": found.exposed,
        "told": told,
        "problem": None if problem is None else str(problem),
    }


def _decided(decision: "Decision", at: datetime) -> dict[str, Any]:
    from bidder.app import snapshot
    from bidder.store.records import DecisionRecord

    return snapshot.decision(replace(DecisionRecord.of(decision), at=at))


def _show(document: dict[str, Any], *, as_json: bool) -> None:
    from bidder.cli import output, pictures

    if as_json:
        output.say_json(document)
        return
    if not _is_worth_a_mail(document) and not _is_read():
        return
    output.say(_said(document))
    for each in document["sent"]:
        each["facts"] |= {"result": each["result"], "error": each["error"]}
    for key, title in (("sent", "Sent"), ("planned", "Would be sent"), ("left", "Left as it is")):
        output.table(pictures.DECISION_COLUMNS, map(pictures.decision_row, document[key]), title=title)


def _is_worth_a_mail(document: dict[str, Any]) -> bool:
    """Return whether cron should send it: not every two minutes that all is well."""
    from bidder.domain.unattended import Finding

    well = {Finding.ALIVE.value, Finding.QUIET.value}
    return bool(document["dry_run"]) or document["finding"] not in well


def _is_read() -> bool:
    return sys.stdout is not None and sys.stdout.isatty()


def _said(document: dict[str, Any]) -> str:
    from bidder.cli import output
    from bidder.domain.unattended import Finding

    since, minutes = output.when(document["silent_since"]), (document["silent_seconds"] or 0) / 60
    match Finding(document["finding"]):
        case Finding.NEVER_RAN:
            return "No daemon has run on this database yet: there is nothing to guard."
        case Finding.ALIVE:
            return f"The daemon is alive ({document['holder']}): nothing to do."
        case Finding.HELD:
            holder = document["holder"] or "just now"
            return f"Another process has taken the account ({holder}): nothing to do."
        case Finding.QUIET:
            after = document["after_seconds"] / 60
            return (
                f"Nobody has traded the account since {since} UTC, {minutes:.0f} minutes ago;"
                f" something is done after {after:.0f}."
            )
        case _:
            nothing = "" if document["sent"] or document["planned"] else " Nothing is sent."
            return f"The daemon has been silent since {since} UTC, {minutes:.0f} minutes ago.{nothing}"


def _tell(settings: "Settings", engine: Any, found: "Round", patience_seconds: float) -> bool:
    """Tell the owner where there is news, and note that it was told; return whether it was."""
    from bidder.domain.notices import marked
    from bidder.domain.unattended import Finding
    from bidder.notify.courier import Courier
    from bidder.store.commands import note
    from bidder.store.queries import Queries
    from bidder.wiring import build_notifiers

    loud = {Finding.SILENT, Finding.WEDGED, Finding.MISDATED}
    if found.dry_run or found.finding not in loud:
        return False
    now = datetime.now(UTC)
    subject = _subject(found)
    last = Queries(engine, settings.account).latest_request(_KIND)
    known = last is not None and last.argument == subject
    # One that is dated ahead, by a clock that was set back since, was told nobody knows when.
    if (
        last is not None
        and last.posted_at <= now
        and now - last.posted_at < _kept_quiet(found, last.argument, subject)
    ):
        return False
    ways = build_notifiers(settings)
    if _untold(settings) and not ways:
        # Noted as told it would not be tried again once the address is there.
        return False
    message = marked(_notice(found, now, again=known), settings.policy.mode)
    wanting = sum(receiver.wants(message) for receiver, _ in ways)
    courier = Courier(ways)
    courier.tell(message)
    lost = courier.close(patience_seconds)
    if wanting and lost >= wanting:
        # The next round tries again.
        return False
    note(engine, settings.account, _KIND, subject, outcome=f"done: {message.title}", at=now)
    return wanting > 0


def _untold(settings: "Settings") -> list["Unresolved"]:
    """Return the receivers of notices whose address is not to be had here."""
    from bidder.config.needs import Part

    return [each for each in settings.unresolved if each.part is Part.NOTICES]


def _kept_quiet(found: "Round", last: Any, subject: dict[str, Any]) -> timedelta:
    """Return for how long after the last notice this one is kept back."""
    if last == subject:
        return _TOLD_EVERY if found.acted else _REMINDED_EVERY
    same_silence = isinstance(last, dict) and last.get("silent_since") == subject["silent_since"]
    return _BETWEEN if same_silence and not found.acted else timedelta(0)


def _subject(found: "Round") -> dict[str, Any]:
    """Return what a notice is about: the same again is no news."""
    from bidder.app import snapshot

    return {
        "finding": found.finding.value,
        "silent_since": snapshot.moment(found.signs.seen_at),
        "error": None if found.error is None else type(found.error).__name__,
        "undone": bool(found.undone),
    }


def _notice(found: "Round", now: datetime, *, again: bool) -> "Notice":
    from bidder.app.report import Result
    from bidder.domain.actions import Withdraw
    from bidder.domain.notices import Event, Level, Notice

    done = [deed for deed in found.acted if deed.result is Result.OK]
    cancelled = sum(isinstance(deed.action, Withdraw) for deed in done)
    lowered = len(done) - cancelled
    problem = _problem(found)
    lines = [_did(cancelled, lowered, found)]
    if problem is not None:
        lines.append(str(problem))
    since = found.signs.seen_at
    return Notice(
        event=Event.SILENT,
        level=Level.INFO if again and done and problem is None else Level.URGENT,
        at=now,
        title=f"the daemon was last seen at {since:%Y-%m-%d %H:%M} UTC"
        if since
        else "no daemon was seen",
        text="\n".join(lines),
        facts={
            "silent_since": None if since is None else since.isoformat(),
            "then": found.when.then.value,
            "cancelled": cancelled,
            "lowered": lowered,
            "undone": len(found.undone),
            "error": None if problem is None else str(problem),
        },
    )


def _did(cancelled: int, lowered: int, found: "Round") -> str:
    from bidder.domain.unattended import Then

    if found.when.then is Then.NOTICE:
        return "Its orders stay as they are (then: notice)."
    deeds = [f"{cancelled} orders were cancelled"] * bool(cancelled)
    deeds += [f"{lowered} bids were lowered"] * bool(lowered)
    done = " and ".join(deeds) or "nothing was sent"
    left = f"; {len(found.left)} orders stay as they are" if found.left else ""
    return f"{done[0].upper()}{done[1:]}{left} (then: {found.when.then.value})."
