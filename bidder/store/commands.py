"""Commands that one process leaves for the daemon which holds the lease."""

from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Engine, bindparam, insert, select, update

from bidder.domain.ids import AccountName
from bidder.store import rows, tables
from bidder.store.engine import transaction
from bidder.store.records import Request

# Built once: the daemon asks every other second.
_WAITING = (
    select(tables.requests)
    .where(tables.requests.c.account == bindparam("whose"), tables.requests.c.done_at.is_(None))
    .order_by(tables.requests.c.id)
)


def post_request(
    engine: Engine, account: AccountName, kind: str, argument: Any = None, *, at: datetime
) -> int:
    """Leave a command for the daemon that holds the account's lease; return its number."""
    values = {"account": account, "kind": kind, "argument": argument, "posted_at": at}
    with transaction(engine, writing=True) as connection:
        key = connection.execute(insert(tables.requests).values(values)).inserted_primary_key
        assert key is not None
    return int(key[0])


def withdraw_request(engine: Engine, account: AccountName, request: int, *, at: datetime) -> bool:
    """Take a command back; return False where it was carried out already."""
    with transaction(engine, writing=True) as connection:
        return finish(connection, account, request, outcome="withdrawn", at=at)


def forget_outcome(engine: Engine, account: AccountName, request: int) -> None:
    """Drop what a command brought: whoever posted it has it, and it is long."""
    table = tables.requests
    mine = (table.c.account == account) & (table.c.id == request)
    with transaction(engine, writing=True) as connection:
        connection.execute(update(table).where(mine).values(outcome="fetched"))


def waiting(connection: Connection, account: AccountName) -> tuple[Request, ...]:
    """Return the commands that nobody has carried out yet, oldest first."""
    found = connection.execute(_WAITING, {"whose": account}).all()
    return tuple(rows.request_of(row) for row in found)


def finish(
    connection: Connection, account: AccountName, request: int, *, outcome: str, at: datetime
) -> bool:
    """Note how a command ended; return False where it had ended before."""
    table = tables.requests
    mine = (table.c.account == account) & (table.c.id == request) & table.c.done_at.is_(None)
    return (
        connection.execute(update(table).where(mine).values(done_at=at, outcome=outcome)).rowcount == 1
    )


def note(
    engine: Engine, account: AccountName, kind: str, argument: Any, *, outcome: str, at: datetime
) -> None:
    """Keep what a command did by itself, as one that was posted and carried out at once."""
    values = {"account": account, "kind": kind, "argument": argument, "posted_at": at}
    with transaction(engine, writing=True) as connection:
        done = {**values, "done_at": at, "outcome": outcome}
        connection.execute(insert(tables.requests).values(done))
