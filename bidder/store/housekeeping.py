"""Deleting what nobody will ask for again, so that a database does not grow without bound.

Orders and what they cost are kept for good: they are few, and they are the accounts.
"""

from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import ColumnElement, Connection, delete, func, select

from bidder.store import tables

# The breakers look back a day and learnt steps two weeks, whatever the owner keeps of the rest.
_INTENTS_AT_LEAST = timedelta(days=2)
_STEPS_AT_LEAST = timedelta(days=30)


def prune(connection: Connection, account: str, now: datetime, keep: timedelta) -> int:
    """Delete history older than ``keep``; return the number of rows."""
    cutoff = now - keep
    books, rates, wallets = tables.books, tables.rates, tables.wallets
    live = select(tables.orders.c.order_id).where(
        tables.orders.c.account == account, tables.orders.c.ended_at.is_(None)
    )
    decisions, prices, intents = tables.decisions, tables.order_prices, tables.intents
    requests, raises, steps = tables.requests, tables.raises, tables.step_samples
    intents_before = now - max(keep, _INTENTS_AT_LEAST)
    conditions: list[tuple[Any, tuple[ColumnElement[bool], ...]]] = [
        # The newest row of each is what holds now, however old it is.
        (books, (books.c.at < cutoff, books.c.id.not_in(_newest(books, account, books.c.server_id)))),
        (rates, (rates.c.at < cutoff, rates.c.id.not_in(_newest(rates, account, rates.c.currency)))),
        (
            wallets,
            (wallets.c.at < cutoff, wallets.c.id.not_in(_newest(wallets, account, wallets.c.currency))),
        ),
        (
            decisions,
            (
                decisions.c.at < cutoff,
                decisions.c.order_id.is_(None) | decisions.c.order_id.not_in(live),
            ),
        ),
        (prices, (prices.c.at < cutoff, prices.c.order_id.not_in(live))),
        (intents, (intents.c.closed_at < intents_before, intents.c.state.not_in(tables.UNFINISHED))),
        (requests, (requests.c.done_at < cutoff,)),
        (raises, (raises.c.at < intents_before,)),
        (steps, (steps.c.at < now - max(keep, _STEPS_AT_LEAST),)),
    ]
    return sum(
        connection.execute(delete(table).where(table.c.account == account, *where)).rowcount
        for table, where in conditions
    )


def _newest(table: Any, account: str, subject: Any) -> Any:
    return select(func.max(table.c.id)).where(table.c.account == account).group_by(subject)
