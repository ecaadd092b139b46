"""Rows to domain values and back: the only place that knows both shapes."""

from decimal import Decimal
from functools import lru_cache
from typing import Any

from sqlalchemy import ColumnElement, Connection, Insert, Row, Table
from sqlalchemy.dialects import postgresql, sqlite

from bidder.domain.costs import Cost
from bidder.domain.digest import Held, ServerSummary, Span, Spread
from bidder.domain.ids import OrderId, ServerId, on_paper
from bidder.domain.intents import Intent, IntentKind, IntentState
from bidder.domain.market import Access, OrderKind, OwnOrder, Wallet
from bidder.domain.money import Currency, Money, Price, to_places
from bidder.domain.policy import Mode
from bidder.domain.price_rules import LoweringClock, StepSample
from bidder.domain.view import Holding
from bidder.domain.work import Work
from bidder.store.records import (
    BookRecord,
    DecisionRecord,
    OrderRecord,
    Request,
    ServerPeriod,
    TargetPeriod,
)


def upsert(
    connection: Connection,
    table: Table,
    *values: dict[str, Any],
    keep: frozenset[str] = frozenset(),
) -> None:
    """Insert these rows, or update all but their keys and ``keep`` where they exist.

    All of one call name the same columns, so that one statement serves them all.
    """
    if not values:
        return
    connection.execute(_upserting(connection.dialect.name, table, tuple(values[0]), keep), list(values))


@lru_cache
def _upserting(dialect: str, table: Table, names: tuple[str, ...], keep: frozenset[str]) -> Insert:
    keys = [column.name for column in table.primary_key.columns]
    insert = postgresql.insert if dialect == "postgresql" else sqlite.insert
    statement = insert(table)
    changed = {name: statement.excluded[name] for name in names if name not in keys and name not in keep}
    return statement.on_conflict_do_update(index_elements=keys, set_=changed)


def insert_if_absent(connection: Connection, table: Table, values: dict[str, Any]) -> None:
    """Insert the row unless its key exists."""
    insert = postgresql.insert if connection.dialect.name == "postgresql" else sqlite.insert
    connection.execute(insert(table).values(values).on_conflict_do_nothing())


def fitting(amount: Decimal) -> Decimal:
    """Return a computed amount in a form that can be stored, finer than any use of it."""
    return amount if amount.as_tuple().exponent >= -20 else to_places(amount, 20)  # type: ignore[operator]


def price_of(amount: Any, currency: Any) -> Price | None:
    """Return the price in two columns; None where they are empty."""
    return None if amount is None or currency is None else Price(amount, Currency(currency))


def order_values(account: str, holding: Holding) -> dict[str, Any]:
    """Return the row of an order."""
    order, clock = holding.order, holding.clock
    values = {
        "account": account,
        "order_id": order.order,
        "server_id": order.server,
        "kind": order.kind.value,
        "mode": (Mode.PAPER if on_paper(order.order) else Mode.LIVE).value,
        "target": holding.target,
        "price": order.price.amount,
        "currency": order.price.currency,
        "spend": order.spend.amount,
        "spend_currency": order.spend.currency,
        "fee_percent": order.fee_percent,
        "creation_fee": None if order.creation_fee is None else order.creation_fee.amount,
        "creation_fee_currency": None if order.creation_fee is None else order.creation_fee.currency,
        "created_at": order.created_at,
        "mrl": order.mrl,
        "expired": order.expired,
        "image": order.image,
        "access": {
            "pub_cluster": list(order.access.pub_cluster),
            "tcp_ports": list(order.access.tcp_ports),
            "http_port": order.access.http_port,
        },
        "first_seen_at": holding.first_seen_at,
        "last_seen_at": holding.last_seen_at,
        "clock_created_at": clock.created_at,
        "clock_raised_at": clock.raised_at,
        "clock_lowered_at": clock.lowered_at,
        "clock_opens_at": clock.opens_at,
        "active": holding.active,
        "outbid_since": holding.outbid_since,
        "missing_since": holding.missing_since,
        "missing_reads": holding.missing_reads,
        "ended_at": holding.ended_at,
        "assumed": order.assumed,
        "gpus": holding.work.gpus,
        "computed": holding.work.computed,
        "starting": holding.work.starting,
        **cost_values(holding.cost),
    }
    if holding.ended_at is None:
        values["end_cause"] = None  # it was believed to be over and is not
    return values


def cost_values(cost: Cost) -> dict[str, Any]:
    """Return the columns of what an order has cost."""
    return {
        "cost": cost.usd,
        "cost_counted": cost.counted,
        "cost_at": cost.at,
        "cost_before_day": cost.before_day,
        "cost_before_month": cost.before_month,
    }


def holding_of(row: Row[Any]) -> Holding:
    """Return the order in a row, and what is remembered of it."""
    fee = row.creation_fee
    order = OwnOrder(
        order=OrderId(row.order_id),
        server=ServerId(row.server_id),
        kind=OrderKind(row.kind),
        price=Price(row.price, Currency(row.currency)),
        spend=Money(row.spend, Currency(row.spend_currency)),
        created_at=row.created_at,
        mrl=row.mrl,
        expired=row.expired,
        fee_percent=row.fee_percent,
        creation_fee=None if fee is None else Money(fee, Currency(row.creation_fee_currency)),
        image=row.image,
        access=Access(
            pub_cluster=tuple(row.access["pub_cluster"]),
            tcp_ports=tuple(row.access["tcp_ports"]),
            http_port=row.access["http_port"],
        ),
        assumed=row.assumed,
    )
    return Holding(
        order=order,
        target=row.target,
        first_seen_at=row.first_seen_at,
        last_seen_at=row.last_seen_at,
        clock=LoweringClock(
            created_at=row.clock_created_at,
            raised_at=row.clock_raised_at,
            lowered_at=row.clock_lowered_at,
            opens_at=row.clock_opens_at,
        ),
        active=row.active,
        outbid_since=row.outbid_since,
        missing_since=row.missing_since,
        missing_reads=row.missing_reads,
        ended_at=row.ended_at,
        work=Work(gpus=row.gpus, computed=row.computed, starting=row.starting),
        cost=Cost(
            usd=row.cost,
            counted=row.cost_counted,
            at=row.cost_at,
            before_day=row.cost_before_day,
            before_month=row.cost_before_month,
        ),
    )


def order_record_of(row: Row[Any]) -> OrderRecord:
    """Return an order with how it ended."""
    return OrderRecord(holding=holding_of(row), mode=Mode(row.mode), end_cause=row.end_cause)


def intent_of(row: Row[Any]) -> Intent:
    """Return the intent in a row."""
    return Intent(
        id=row.id,
        kind=IntentKind(row.kind),
        server=ServerId(row.server_id),
        target=row.target,
        order=None if row.order_id is None else OrderId(row.order_id),
        price=price_of(row.price, row.currency),
        previous_price=price_of(row.previous_price, row.previous_currency),
        known_orders=frozenset(OrderId(number) for number in row.known_orders),
        opened_at=row.opened_at,
        ended_at=row.ended_at,
        accepted=row.accepted,
        state=IntentState(row.state),
        empty_reads=row.empty_reads,
    )


def decision_of(row: Row[Any]) -> DecisionRecord:
    """Return the decision in a row."""
    return DecisionRecord(
        target=row.target,
        reason=row.reason,
        action=None if row.action is None else IntentKind(row.action),
        server=None if row.server_id is None else ServerId(row.server_id),
        order=None if row.order_id is None else OrderId(row.order_id),
        price=price_of(row.price, row.currency),
        previous_price=price_of(row.previous_price, row.currency),
        due=row.due,
        facts=row.facts,
        at=row.at,
        pass_id=row.pass_id,
    )


def book_values(account: str, record: BookRecord) -> dict[str, Any]:
    """Return the row of a book."""
    rival, ours = record.best_rival, record.our_price
    return {
        "account": account,
        "server_id": record.server,
        "at": record.at,
        "exists": record.exists,
        "public": record.public,
        "online": record.online,
        "floor": {str(currency): format(price.amount, "f") for currency, price in record.floor.items()},
        "rivals": record.rivals,
        "rival_price": None if rival is None else rival.amount,
        "rival_currency": None if rival is None else rival.currency,
        "active_order_id": record.active_order,
        "our_order_id": record.our_order,
        "our_price": None if ours is None else ours.amount,
        "our_currency": None if ours is None else ours.currency,
        "until": record.until or record.at,
        "rented": record.rented,
        "on_demand_price": None if record.on_demand is None else record.on_demand.amount,
        "on_demand_currency": None if record.on_demand is None else record.on_demand.currency,
    }


def book_of(row: Row[Any]) -> BookRecord:
    """Return the book in a row."""
    return BookRecord(
        server=ServerId(row.server_id),
        at=row.at,
        exists=row.exists,
        public=row.public,
        online=row.online,
        floor={Currency(name): Price(Decimal(text), Currency(name)) for name, text in row.floor.items()},
        rivals=row.rivals,
        best_rival=price_of(row.rival_price, row.rival_currency),
        active_order=None if row.active_order_id is None else OrderId(row.active_order_id),
        our_order=None if row.our_order_id is None else OrderId(row.our_order_id),
        our_price=price_of(row.our_price, row.our_currency),
        rented=row.rented,
        on_demand=price_of(row.on_demand_price, row.on_demand_currency),
        until=row.until,
    )


def wallet_of(row: Row[Any]) -> Wallet:
    """Return the wallet in a row."""
    currency = Currency(row.currency)
    return Wallet(
        currency=currency,
        balance=None if row.balance is None else Money(row.balance, currency),
        deposit=row.deposit,
        withdrawal_fee=None if row.withdrawal_fee is None else Money(row.withdrawal_fee, currency),
    )


def step_of(row: Row[Any]) -> StepSample:
    """Return the step sample in a row."""
    return StepSample(
        currency=Currency(row.currency),
        price=row.price,
        drop=row.drop,
        floor=row.floor,
        exact=row.exact,
        at=row.at,
    )


def request_of(row: Row[Any]) -> Request:
    """Return the command in a row."""
    return Request(
        id=row.id,
        kind=row.kind,
        argument=row.argument,
        posted_at=row.posted_at,
        done_at=row.done_at,
        outcome=row.outcome,
    )


_ON_PAPER = "paper-"


def spans_of(span: Span, table: Any) -> ColumnElement[bool]:
    """Return the condition that a summary is of such a span, traded for real or on paper."""
    found: ColumnElement[bool] = table.c.span.in_([span_text(span, mode) for mode in Mode])
    return found


def span_text(span: Span, mode: Mode) -> str:
    """Return how the span of a summary is stored: what was on paper has rows of its own."""
    return f"{_ON_PAPER}{span.value}" if mode is Mode.PAPER else span.value


def _span_of(text: str) -> tuple[Span, Mode]:
    mode = Mode.PAPER if text.startswith(_ON_PAPER) else Mode.LIVE
    return Span(text.removeprefix(_ON_PAPER)), mode


def server_period_of(row: Row[Any]) -> ServerPeriod:
    """Return the server's hour or day in a row."""
    values = row._mapping  # noqa: SLF001 - public, named so that no column hides it

    def spread(what: str) -> Spread | None:
        low, median, high = (values[f"{what}_{which}"] for which in ("low", "median", "high"))
        return None if median is None else Spread(low=low, median=median, high=high)

    summary = ServerSummary(
        known=row.known,
        online=row.online,
        rented=row.rented,
        held=row.held,
        rival=spread("rival"),
        floor=spread("floor"),
        bid=spread("bid"),
        spend=row.spend,
    )
    span, mode = _span_of(row.span)
    return ServerPeriod(span=span, mode=mode, at=row.at, server=ServerId(row.server_id), summary=summary)


def held_of(row: Row[Any]) -> Held:
    """Return what a target's row says."""
    return Held(
        spend=row.spend,
        held=row.held,
        restarts=row.restarts,
        on_demand=row.on_demand,
        compared=row.compared,
    )


def target_period_of(row: Row[Any]) -> TargetPeriod:
    """Return the target's hour or day in a row."""
    span, mode = _span_of(row.span)
    return TargetPeriod(span=span, mode=mode, at=row.at, target=row.target, held=held_of(row))
