"""Writing orders: only those that changed, and each accepted price with its moment."""

from collections.abc import Iterable, Mapping
from dataclasses import replace
from datetime import datetime, timedelta

from sqlalchemy import Connection, insert, select, update

from bidder.domain.costs import Cost
from bidder.domain.ids import OrderId
from bidder.domain.market import OwnOrder
from bidder.domain.view import Holding
from bidder.store import rows, tables
from bidder.store.records import Over

# "Seen just now" alone is not worth a write at every read of our orders.
_SEEN_AGAIN_AFTER = timedelta(seconds=60)


def changed(holdings: Iterable[Holding], stored: Mapping[OrderId, Holding]) -> tuple[Holding, ...]:
    """Return the holdings that differ from what is stored."""
    return tuple(h for h in holdings if _differs(h, stored.get(h.order.order)))


def write(
    connection: Connection,
    account: str,
    holdings: Iterable[Holding],
    stored: Mapping[OrderId, Holding],
    *,
    at: datetime,
) -> None:
    """Write these holdings, and a price-history row for each whose price is new."""
    found = tuple(holdings)
    news = []
    for holding in found:
        order = holding.order
        known = stored.get(order.order)
        before = _stored_price(connection, account, order.order) if known is None else known.order.price
        if before != order.price:
            news.append(
                {
                    "account": account,
                    "order_id": order.order,
                    "at": at,
                    "price": order.price.amount,
                    "currency": order.price.currency,
                }
            )
    for live in (True, False):
        values = [
            rows.order_values(account, holding)
            for holding in found
            if (holding.ended_at is None) is live
        ]
        rows.upsert(connection, tables.orders, *values, keep=frozenset({"mode"}))
    if news:
        connection.execute(insert(tables.order_prices), news)


def end(connection: Connection, account: str, over: Over) -> None:
    """Note that an order is over, and why."""
    orders = tables.orders
    mine = (orders.c.account == account) & (orders.c.order_id == over.order)
    connection.execute(update(orders).where(mine).values(ended_at=over.at, end_cause=over.cause))


def book(connection: Connection, account: str, final: OwnOrder, cost: Cost | None) -> None:
    """Keep the final spend of an order that is over, as last named, and what it has cost."""
    orders = tables.orders
    mine = (orders.c.account == account) & (orders.c.order_id == final.order)
    connection.execute(
        update(orders)
        .where(mine)
        .values(
            spend=final.spend.amount,
            spend_currency=final.spend.currency,
            expired=True,
            **({} if final.fee_percent is None else {"fee_percent": final.fee_percent}),
            **({} if cost is None else rows.cost_values(cost)),
        )
    )


def _differs(holding: Holding, stored: Holding | None) -> bool:
    if stored is None:
        return True
    if abs(holding.last_seen_at - stored.last_seen_at) >= _SEEN_AGAIN_AFTER:
        return True
    return replace(holding, last_seen_at=stored.last_seen_at) != stored


def _stored_price(connection: Connection, account: str, order: OrderId) -> object:
    orders = tables.orders
    row = connection.execute(
        select(orders.c.price, orders.c.currency).where(
            orders.c.account == account, orders.c.order_id == order
        )
    ).first()
    return None if row is None else rows.price_of(row.price, row.currency)
