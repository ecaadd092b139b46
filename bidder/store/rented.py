"""What was rented on demand, of which no book tells: what it cost and how long it was held."""

from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any, cast

from sqlalchemy import Connection, Row, select

from bidder.domain.digest import Held, cost
from bidder.domain.market import OrderKind
from bidder.domain.policy import Mode
from bidder.store import rows, tables
from bidder.store.valuing import RatesOverTime, in_usd, valued

_MICROSECOND = timedelta(microseconds=1)
_DAY = timedelta(days=1) // _MICROSECOND
# While our orders cannot be read nobody knows whether one on demand goes on: so long that is waited for.
_MISSED_FOR = timedelta(days=1)


def held_on_demand(
    connection: Connection, account: str, begin: datetime, end: datetime
) -> dict[tuple[Mode, str], Held]:
    """Return what each target held on demand in a period, live and on paper each for itself."""
    orders = tables.orders
    found = connection.execute(
        select(orders).where(
            orders.c.account == account,
            orders.c.kind == OrderKind.ON_DEMAND.value,
            orders.c.target.is_not(None),
            orders.c.first_seen_at < end,
            orders.c.ended_at.is_(None) | (orders.c.ended_at > begin),
        )
    ).all()
    rates = RatesOverTime(connection, account, begin, end) if found else None
    targets: dict[tuple[Mode, str], Held] = {}
    for row in found:
        assert rates is not None
        since = max(row.created_at, begin)
        until = min(_rented_until(row), end)
        if since >= until:
            continue
        price, times = rows.price_of(row.price, row.currency), valued(rates, since, until, ours=True)
        parts = [(in_usd(price, known), to - at) for at, to, known in times]
        if all(usd is None for usd, _ in parts):
            continue
        spend = cost((usd, span // _MICROSECOND) for usd, span in parts)
        held = Held(
            spend=spend,
            held=until - since,
            restarts=int(row.created_at >= begin),
            on_demand=spend,
            compared=until - since,
        )
        key = (Mode(row.mode), row.target)
        targets[key] = targets.get(key, Held()).plus(held)
    return targets


def missed(connection: Connection, account: str, end: datetime, now: datetime) -> bool:
    """Return whether an order on demand was not seen since a period ended, but may be again soon."""
    orders = tables.orders
    statement = select(orders.c.order_id).where(
        orders.c.account == account,
        orders.c.kind == OrderKind.ON_DEMAND.value,
        orders.c.target.is_not(None),
        orders.c.ended_at.is_(None),
        orders.c.first_seen_at < end,
        orders.c.last_seen_at < end,
        orders.c.last_seen_at > now - _MISSED_FOR,
    )
    return connection.execute(statement.limit(1)).first() is not None


def _rented_until(row: Row[Any]) -> datetime:
    """Return until when an order on demand was paid for, as far as is known.

    One that ended while nobody looked is found ended later; its bill says for how long it ran.
    """
    if row.ended_at is None:
        return cast(datetime, row.last_seen_at)
    ended, created = cast(datetime, row.ended_at), cast(datetime, row.created_at)
    if row.currency != row.spend_currency or row.price <= 0:
        return ended
    billed = Decimal(row.spend) * _DAY / row.price
    if billed >= (ended - created) // _MICROSECOND:
        return ended
    return created + int(billed) * _MICROSECOND
