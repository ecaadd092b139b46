"""``bidder plan --against NEW``: what a new configuration would do otherwise than the present one."""

import asyncio
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

from bidder.app import snapshot
from bidder.backtest import fortnight
from bidder.backtest.fortnight import Fortnight, Replayed
from bidder.cli import asking, opening
from bidder.config import Settings
from bidder.config.needs import EVERYTHING, NOTHING
from bidder.config.reload import needs_restart
from bidder.domain import comparing, worst_case
from bidder.domain.comparing import Change, Comparison, Fate
from bidder.domain.ids import on_paper
from bidder.domain.money import plain
from bidder.domain.policy import Mode
from bidder.domain.worst_case import WorstCase
from bidder.errors import BadInput, LeaseHeld, NoRate, StoreUnusable
from bidder.store.queries import Queries
from bidder.store.records import DecisionRecord
from bidder.telemetry import configure_logging
from bidder.wiring import compare_now, daemon_runs, open_queries

# The daemon looks for commands every other second, and its pass may wait for a slow answer.
_WAIT_SECONDS = 60.0


@dataclass(frozen=True, slots=True, kw_only=True)
class _Looked:
    comparison: Comparison
    requests: int
    source: str
    mode: Mode


def compare(config: Path, against: Path) -> dict[str, Any]:
    """Return the whole comparison as one JSON-ready object.

    Raises:
        BadInput: one of the files cannot be used; the message names it.
        CommandFailed: the running daemon did not say what it sees.
    """
    before, after = _both(config, against)
    looked = _look(before, after)
    seen = looked.comparison
    restart = needs_restart(before, after)
    if looked.mode is not after.policy.mode and "mode" not in restart:
        restart = (*restart, "mode")
    with _history(before) as queries:
        past = fortnight.replay(
            queries,
            before.policy,
            after.policy,
            listings=seen.before.marketplace.listings,
            now=seen.at,
        )
    now = datetime.now(UTC)
    return {
        "account": before.account,
        "config": str(config),
        "against": str(against),
        "source": looked.source,
        "at": snapshot.moment(seen.at),
        "age_seconds": round(max((now - seen.at).total_seconds(), 0.0), 1),
        "orders_read": snapshot.moment(seen.before.orders_at),
        "marketplace_read": snapshot.moment(seen.before.marketplace_at),
        "requests": looked.requests,
        "needs_restart": list(restart),
        "counts": {verdict.value: count for verdict, count in comparing.counts(seen.changes).items()},
        "changes": [_change(change) for change in seen.changes],
        "left_usd_per_day": _left(seen),
        "worst_case": {
            "before": _worst(worst_case.worst_case(before.policy, seen.before.rates)),
            "after": _worst(worst_case.worst_case(after.policy, seen.after.rates)),
        },
        "history": _past(past),
    }


def _both(config: Path, against: Path) -> tuple[Settings, Settings]:
    """Return both configurations, each checked whole; raises BadInput with the mistakes of both."""
    found: list[Settings] = []
    wrong: list[str] = []
    for option, path in (("-c", config), ("--against", against)):
        try:
            found.append(opening.read_checked(path, needs=NOTHING, option=option))
        except BadInput as exc:
            wrong.append(str(exc))
    if wrong:
        raise BadInput("\n".join(wrong))
    before, after = found
    # Reading the second one has set up the log for its own secrets only.
    secrets = (*before.secret_values, *after.secret_values)
    configure_logging("warning", "console", secrets=secrets)
    for settings in found:
        opening.say_warnings(settings, left_out=EVERYTHING)
    return before, after


def _look(before: Settings, after: Settings) -> _Looked:
    """Return what both make of the exchange, or of what the running daemon saw last."""
    while True:
        # Asked first: whoever may read the database may ask, with the token or without.
        known = asking.observation(before, _WAIT_SECONDS) if daemon_runs(before) else None
        if known is not None:
            # The file may have been changed since the daemon read it; its mode cannot have been.
            present = replace(before.policy, mode=known.mode)
            comparison = comparing.compare(known.view, present, after.policy, known.at)
            return _Looked(comparison=comparison, requests=0, source="daemon", mode=known.mode)
        with suppress(LeaseHeld):  # one that has started this very moment is asked
            compared = asyncio.run(compare_now(before, after.policy))
            return _Looked(
                comparison=compared.comparison,
                requests=compared.requests,
                source="exchange",
                mode=before.policy.mode,
            )


@contextmanager
def _history(settings: Settings) -> Iterator[Queries | None]:
    """Yield the recorded history; None where there is no database yet."""
    with ExitStack() as stack:
        try:
            queries = stack.enter_context(open_queries(settings))
        except StoreUnusable:
            # What is wrong with one that is there has been told when the file was checked.
            queries = None
        yield queries


def _change(change: Change) -> dict[str, Any]:
    return {
        "verdict": change.verdict.value,
        "target": change.target,
        "server": change.server,
        "order": change.order,
        "paper": change.order is not None and on_paper(change.order),
        "bid": snapshot.money(change.price),
        "ends_at": snapshot.moment(change.ends_at),
        "presumed": change.presumed,
        "after": _fate(change.fate),
        "before": _fate(change.instead),
    }


def _fate(fate: Fate | None) -> dict[str, Any] | None:
    if fate is None:
        return None
    told = None if fate.decision is None else DecisionRecord.of(fate.decision)
    return {
        "course": fate.course.value,
        "to": snapshot.money(fate.to),
        "first_step": snapshot.money(fate.step),
        "due": snapshot.moment(fate.due),
        "reason": None if told is None else told.reason,
        "facts": {} if told is None else dict(told.facts),
    }


def _left(seen: Comparison) -> dict[str, Any] | None:
    try:
        return usd(comparing.left_usd(seen))
    except NoRate:
        return None


def usd(amount: Decimal | None) -> dict[str, Any] | None:
    """Return an amount of dollars, to a millionth."""
    if amount is None:
        return None
    return {"amount": plain(round(amount, 6)), "currency": "USD"}


def _worst(worst: WorstCase) -> dict[str, Any]:
    return {
        "usd": usd(worst.usd),
        "bounded_by": worst.bounded_by,
        "problem": worst.problem or None,
        "targets": [
            {
                "target": each.target,
                "orders": each.orders,
                "usd": usd(each.usd),
                "problem": each.problem or None,
            }
            for each in worst.targets
        ],
    }


def _past(past: Fortnight) -> dict[str, Any]:
    return {
        "days_asked": fortnight.SPAN.days,
        "days_recorded": round(past.days, 4),
        "from": snapshot.moment(past.start),
        "to": snapshot.moment(past.end),
        "before": [_replayed(each) for each in past.before],
        "after": [_replayed(each) for each in past.after],
        "paid_before": _paid(past.before),
        "paid_after": _paid(past.after),
    }


def _paid(replayed: tuple[Replayed, ...]) -> dict[str, Any] | None:
    played = [each.paid for each in replayed if each.share is not None]
    return usd(sum(played, Decimal(0))) if played else None


def _replayed(each: Replayed) -> dict[str, Any]:
    played = each.share is not None
    return {
        "target": each.target,
        "want": each.want,
        "servers": list(each.servers),
        "days": round(each.days, 4),
        "paid": usd(each.paid) if played else None,
        "held_share": None if each.share is None else round(each.share, 6),
        "mean_price_per_day": usd(each.price),
        "restarts": each.restarts if played else None,
        "problem": each.problem or None,
    }
