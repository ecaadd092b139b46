"""Keeping the database small: summarise, delete what is past its time, give pages back.

All of it in slices of some milliseconds, each a transaction of its own that leaves a whole database
behind: the daemon does one between two passes, and a death in the middle costs nothing. Nothing is
deleted before the summaries have it.

Orders and what they cost are kept for good: they are few, and they are the accounts.
"""

from datetime import datetime, timedelta
from itertools import product
from typing import Any

from sqlalchemy import Connection, Select, delete, exists, func, select

from bidder.domain.digest import Span
from bidder.domain.fold import bygone
from bidder.domain.intents import IntentKind
from bidder.domain.policy import Mode, Retention
from bidder.store import rows, summaries, tables

# The breakers look back a day and learnt steps two weeks, whatever the owner keeps of the rest.
_INTENTS_AT_LEAST = timedelta(days=2)
# How often an order was cancelled is counted for as long as it may turn out to run on.
_WITHDRAWALS_AT_LEAST = bygone.FORGOTTEN_AFTER + timedelta(days=1)
_STEPS_AT_LEAST = timedelta(days=30)
# Inputs are larger than decisions, and a busy account must not fill a disk with them.
MOST_INPUTS = 20_000
_ROWS_PER_SLICE = 500
_PAGES_PER_SLICE = 200
_SPARE_PAGES = 20


def tidy(connection: Connection, account: str, now: datetime, keep: Retention) -> bool:
    """Do one slice of what is due; return whether there may be more."""
    for span in Span:
        if summaries.advance(connection, account, span, now):
            return True
    if prune(connection, account, now, keep, most=_ROWS_PER_SLICE):
        return True
    return _give_pages_back(connection)


def prune(connection: Connection, account: str, now: datetime, keep: Retention, *, most: int) -> int:
    """Delete about ``most`` rows that are past their time; return how many. Nothing live goes."""
    deleted = 0
    for table, past in _past(connection, account, now, keep):
        if deleted >= most:
            break
        keys = list(table.primary_key.columns)
        found = connection.execute(past.limit(most - deleted)).all()
        if not found:
            continue
        if len(keys) == 1:
            doomed = delete(table).where(keys[0].in_([row[0] for row in found]))
            deleted += connection.execute(doomed).rowcount
            continue
        # A summary's key is long; all of one moment go together.
        moments = sorted({row.at for row in found})
        mine = (table.c.account == account) & (table.c.span == found[0].span)
        deleted += connection.execute(delete(table).where(mine, table.c.at.in_(moments))).rowcount
    return deleted


def _past(
    connection: Connection, account: str, now: datetime, keep: Retention
) -> list[tuple[Any, Select[Any]]]:
    done = summaries.done_until(connection, account)
    cutoff = now - keep.raw
    # What is not summarised yet stays, and so do the rates that it will be valued by.
    seen_until = None if done is None else min(cutoff, done)
    live = select(tables.orders.c.order_id).where(
        tables.orders.c.account == account, tables.orders.c.ended_at.is_(None)
    )
    decisions, prices, intents = tables.decisions, tables.order_prices, tables.intents
    requests, raises, steps = tables.requests, tables.raises, tables.step_samples
    intents_before = now - max(keep.raw, _INTENTS_AT_LEAST)
    withdrawals_before = now - max(keep.raw, _WITHDRAWALS_AT_LEAST)
    finished = intents.c.state.not_in(tables.UNFINISHED)
    withdrawal = intents.c.kind == IntentKind.WITHDRAW.value
    past: list[tuple[Any, Any]] = [
        (
            decisions,
            (decisions.c.at < cutoff)
            & (decisions.c.order_id.is_(None) | decisions.c.order_id.not_in(live)),
        ),
        (prices, (prices.c.at < cutoff) & prices.c.order_id.not_in(live)),
        (intents, finished & (intents.c.closed_at < intents_before) & ~withdrawal),
        (intents, finished & (intents.c.closed_at < withdrawals_before) & withdrawal),
        (requests, requests.c.done_at < cutoff),
        (raises, raises.c.at < intents_before),
        (steps, steps.c.at < now - max(keep.raw, _STEPS_AT_LEAST)),
        (tables.wallets, (tables.wallets.c.at < cutoff) & _replaced(tables.wallets, "currency", cutoff)),
    ]
    if seen_until is not None:
        books, rates = tables.books, tables.rates
        past += [
            # The newest row of each server is what it is known for, however old it is.
            (books, (books.c.until < seen_until) & _replaced(books, "server_id", now)),
            (rates, (rates.c.at < seen_until) & _replaced(rates, "currency", seen_until)),
        ]
    found = [(table, select(table.c.id).where(table.c.account == account, old)) for table, old in past]
    inputs = tables.decision_inputs
    spent = (inputs.c.at < now - keep.inputs) | (inputs.c.decision_id <= _crowded_out(account))
    found.append((inputs, select(inputs.c.decision_id).where(inputs.c.account == account, spent)))
    if keep.daily is not None:
        days = tables.regrets
        old_days = (days.c.account == account) & (days.c.at < now - keep.daily)
        found.append((days, select(days.c.id).where(old_days)))
    for span, kept in ((Span.HOUR, keep.hourly), (Span.DAY, keep.daily)):
        if kept is None:
            continue
        for table, mode in product((tables.server_summaries, tables.target_summaries), Mode):
            text = rows.span_text(span, mode)
            old = select(table.c.at, table.c.span).where(
                table.c.account == account, table.c.span == text, table.c.at < now - kept
            )
            found.append((table, old))
    return found


def _crowded_out(account: str) -> Any:
    """Return the newest decision whose inputs are too many."""
    inputs = tables.decision_inputs
    newest = select(inputs.c.decision_id).where(inputs.c.account == account)
    beyond = newest.order_by(inputs.c.decision_id.desc()).offset(MOST_INPUTS).limit(1)
    return func.coalesce(beyond.scalar_subquery(), -1)


def _replaced(table: Any, subject: str, by: datetime) -> Any:
    """Return the condition that a newer row of the same subject held by then."""
    later = table.alias("later")
    return exists().where(
        later.c.account == table.c.account,
        later.c[subject] == table.c[subject],
        later.c.at > table.c.at,
        later.c.at <= by,
    )


def _give_pages_back(connection: Connection) -> bool:
    """Shorten an SQLite file by some of its free pages; return whether there are more."""
    if connection.dialect.name != "sqlite":
        return False  # PostgreSQL has its own vacuum
    if connection.exec_driver_sql("PRAGMA auto_vacuum").scalar() != 2:
        return False  # an older file: its free pages are used again, and `bidder db vacuum` turns it
    free = int(connection.exec_driver_sql("PRAGMA freelist_count").scalar_one())
    if free <= _SPARE_PAGES:
        return False  # soon in use again
    cursor = connection.connection.cursor()
    # Each step gives one page back; only fetching takes every step.
    cursor.execute(f"PRAGMA incremental_vacuum({_PAGES_PER_SLICE})").fetchall()
    cursor.close()
    return True
