"""The orders on paper, as the exchange would know them if it had them."""

from collections.abc import Iterable
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Row, func, select

from bidder.domain.ids import OrderId, ServerId
from bidder.domain.market import OrderKind
from bidder.domain.money import Currency, Money, Price
from bidder.domain.paper import LISTED_AFTER, Account, PaperOrder
from bidder.domain.price_rules import LoweringClock
from bidder.store import rows, tables


def load(connection: Connection, account: str, now: datetime) -> Account:
    """Return the account on paper: what stands, what ended lately, and the last number given out."""
    table = tables.paper_orders
    mine = table.c.account == account
    lately = table.c.ended_at.is_(None) | (table.c.ended_at > now - LISTED_AFTER)
    found = connection.execute(select(table).where(mine, lately).order_by(table.c.order_id.desc()))
    lowest = connection.execute(select(func.min(table.c.order_id)).where(mine)).scalar()
    orders = [_order_of(row) for row in found]
    return Account(orders={order.order: order for order in orders}, lowest_number=lowest or 0)


def save(connection: Connection, account: str, orders: Iterable[PaperOrder]) -> None:
    """Write these orders as they stand."""
    rows.upsert(connection, tables.paper_orders, *(_values(account, order) for order in orders))


def _values(account: str, order: PaperOrder) -> dict[str, Any]:
    fee = order.creation_fee
    return {
        "account": account,
        "order_id": order.order,
        "server_id": order.server,
        "kind": order.kind.value,
        "price": order.price.amount,
        "currency": order.price.currency,
        "created_at": order.created_at,
        "mrl": order.mrl,
        "billed_until": order.billed_until,
        "charged": order.charged,
        "active": order.active,
        "assumed": order.assumed,
        "clock_created_at": order.clock.created_at,
        "clock_raised_at": order.clock.raised_at,
        "clock_lowered_at": order.clock.lowered_at,
        "fee_percent": order.fee_percent,
        "creation_fee": None if fee is None else fee.amount,
        "creation_fee_currency": None if fee is None else fee.currency,
        "image": order.image,
        "ended_at": order.ended_at,
    }


def _order_of(row: Row[Any]) -> PaperOrder:
    fee = row.creation_fee
    return PaperOrder(
        order=OrderId(row.order_id),
        server=ServerId(row.server_id),
        kind=OrderKind(row.kind),
        price=Price(row.price, Currency(row.currency)),
        created_at=row.created_at,
        mrl=row.mrl,
        billed_until=row.billed_until,
        charged=row.charged,
        active=row.active,
        assumed=row.assumed,
        clock=LoweringClock(
            created_at=row.clock_created_at,
            raised_at=row.clock_raised_at,
            lowered_at=row.clock_lowered_at,
        ),
        fee_percent=row.fee_percent,
        creation_fee=None if fee is None else Money(fee, Currency(row.creation_fee_currency)),
        image=row.image,
        ended_at=row.ended_at,
    )
