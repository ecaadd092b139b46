"""Reading back what a daemon must know again when it starts."""

from collections.abc import Iterable
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import BigInteger, ColumnElement, Connection, Row, cast, func, select

from bidder.domain import budgets
from bidder.domain.actions import Reason
from bidder.domain.costs import Period, Spent
from bidder.domain.fold import bills, bygone
from bidder.domain.ids import OrderId, ServerId
from bidder.domain.intents import LOST_REMEMBERED, IntentKind, IntentState
from bidder.domain.money import Rates
from bidder.domain.policy import Mode
from bidder.domain.price_rules import ClockRules
from bidder.domain.probe import Replaced
from bidder.domain.view import Cancelled, Created, Raised
from bidder.errors import RateLimited
from bidder.store import pulses, recording, rows, tables
from bidder.store.records import Memory

_CREATING = (IntentKind.PLACE.value, IntentKind.RENT.value)
# What is noted of a creation that was not even looked at: it is no attempt.
_OVER_LIMIT = str(RateLimited(endpoint="create_order"))
_BREAKERS_LOOK_BACK = timedelta(hours=24)
_STEPS_LOOK_BACK = timedelta(days=14)
_STEPS_KEPT = 500


def load(connection: Connection, account: str, now: datetime, mode: Mode = Mode.LIVE) -> Memory:
    """Return everything that is remembered of the account, of orders and requests those of ``mode``.

    Whoever trades for real must not take an order on paper for one of his own, nor the reverse.
    """
    state = _first(connection, tables.account_state, account)
    rules = _first(connection, tables.clock_rules, account)
    intents, steps = tables.intents, tables.step_samples
    samples = _all(connection, steps, account, steps.c.at > now - _STEPS_LOOK_BACK)
    ours = _of(mode, tables.orders)
    live = _all(connection, tables.orders, account, ours, tables.orders.c.ended_at.is_(None))
    looks_back_to = now - bygone.FORGOTTEN_AFTER
    over = _all(connection, tables.orders, account, ours, tables.orders.c.ended_at > looks_back_to)
    unfinished = _all(
        connection,
        intents,
        account,
        intents.c.mode == mode.value,
        intents.c.state.in_(tables.UNFINISHED),
    )
    known = {} if state is None else dict(state._mapping)  # noqa: SLF001 - public, named so that no column hides it
    lost = _all(
        connection,
        intents,
        account,
        intents.c.mode == mode.value,
        intents.c.kind.in_(_CREATING),
        intents.c.state == IntentState.LOST.value,
        intents.c.opened_at > now - LOST_REMEMBERED,
    )
    return Memory(
        holdings=tuple(rows.holding_of(row) for row in live),
        intents=tuple(rows.intent_of(row) for row in unfinished),
        ended={OrderId(row.order_id): ServerId(row.server_id) for row in over},
        unbooked=frozenset(OrderId(row.order_id) for row in over if not row.expired),
        computed=_computed(connection, account, mode),
        closing={OrderId(row.order_id): rows.holding_of(row) for row in over if not row.expired},
        spent=_spent(connection, account, now, mode),
        multipliers=dict((known.get("multipliers") or {}).get(mode.value, {})),
        rules=ClockRules()
        if rules is None
        else ClockRules(creation=rules.creation, raised=rules.raised),
        steps=tuple(rows.step_of(row) for row in samples[-_STEPS_KEPT:]),
        creations=_creations(connection, account, mode, since=now - _BREAKERS_LOOK_BACK),
        raises=_raises(connection, account, mode, since=now - _BREAKERS_LOOK_BACK),
        replaced=_given_up(connection, account, mode, since=now - _BREAKERS_LOOK_BACK),
        # On paper there is no workload.
        pulses=pulses.load(connection, account) if mode is Mode.LIVE else (),
        wallets=recording.stored_wallets(connection, account),
        rates=Rates(recording.stored_rates(connection, account)),
        creation_fee_usd=known.get("creation_fee_usd"),
        paused=bool(known.get("paused")),
        order_limit=known.get("order_limit"),
        last_request_at=known.get("last_request_at"),
        last_creation_at=known.get("last_creation_at"),
        last_pass_at=known.get("last_pass_at"),
        last_pass_id=known.get("last_pass_id") or 0,
        recalled_at=known.get("recalled_at"),
        lost=tuple(rows.intent_of(row) for row in lost),
        cancelled=_cancelled(
            connection, account, mode, (*live, *over), since=now - bygone.FORGOTTEN_AFTER
        ),
    )


def _computed(connection: Connection, account: str, mode: Mode) -> dict[str, timedelta]:
    """Return the GPU-time of each target's ended orders; however old, a job counts all of it."""
    orders = tables.orders
    gpu_time = func.sum(cast(orders.c.computed, BigInteger) * orders.c.gpus)
    found = connection.execute(
        select(orders.c.target, gpu_time)
        .where(
            orders.c.account == account,
            _of(mode, orders),
            orders.c.ended_at.is_not(None),
            orders.c.target.is_not(None),
            orders.c.computed > timedelta(0),
        )
        .group_by(orders.c.target)
    )
    return {target: timedelta(microseconds=int(total)) for target, total in found}


def _spent(connection: Connection, account: str, now: datetime, mode: Mode) -> dict[str, Spent]:
    """Return what ended orders have cost in this day and month, but for those that are closing."""
    orders = tables.orders
    over = _all(
        connection,
        orders,
        account,
        _of(mode, orders),
        orders.c.cost_at >= Period.MONTH.began(now),
        orders.c.ended_at.is_not(None),
        orders.c.expired | (orders.c.ended_at <= now - bygone.FORGOTTEN_AFTER),
    )
    rates = Rates(recording.stored_rates(connection, account))
    ended = map(rows.holding_of, over)
    # Dated ahead by another calendar, what an order has cost would be that of a month to come.
    dated = (replace(each, cost=bills.cost_brought_back(each, rates, now)) for each in ended)
    return dict(budgets.spent_by_target(dated, now))


def _creations(
    connection: Connection, account: str, mode: Mode, *, since: datetime
) -> tuple[Created, ...]:
    # An attempt is an intent: a table of its own could only disagree with it.
    intents = tables.intents
    found = _all(
        connection,
        intents,
        account,
        intents.c.mode == mode.value,
        intents.c.kind.in_(_CREATING),
        intents.c.state != IntentState.NOT_SENT.value,
        (intents.c.state != IntentState.REFUSED.value) | (intents.c.note != _OVER_LIMIT),
        intents.c.opened_at > since,
    )
    return tuple(Created(server=ServerId(row.server_id), at=row.opened_at) for row in found)


def _cancelled(
    connection: Connection, account: str, mode: Mode, orders: Iterable[Row[Any]], *, since: datetime
) -> dict[OrderId, Cancelled]:
    """Return how often each of these orders was cancelled whose end is not certain."""
    intents = tables.intents
    found = connection.execute(
        select(intents.c.order_id, func.count(), func.max(intents.c.closed_at))
        .where(
            intents.c.account == account,
            intents.c.mode == mode.value,
            intents.c.kind == IntentKind.WITHDRAW.value,
            intents.c.state == IntentState.DONE.value,
            intents.c.accepted,
            intents.c.opened_at > since,
        )
        .group_by(intents.c.order_id)
    )
    uncertain = {row.order_id for row in orders if not row.expired}
    return {
        OrderId(order): Cancelled(at=at, times=times)
        for order, times, at in found
        if order in uncertain and at is not None
    }


def _raises(connection: Connection, account: str, mode: Mode, *, since: datetime) -> tuple[Raised, ...]:
    raises = tables.raises
    found = _all(connection, raises, account, _of(mode, raises), raises.c.at > since)
    return tuple(
        Raised(
            server=ServerId(row.server_id),
            order=OrderId(row.order_id),
            rival=None if row.rival_id is None else OrderId(row.rival_id),
            at=row.at,
        )
        for row in found
    )


def _given_up(
    connection: Connection, account: str, mode: Mode, *, since: datetime
) -> tuple[Replaced, ...]:
    """Return the orders that were cancelled, or were about to be, because their workload was dead."""
    table = tables.decisions
    found = _all(
        connection,
        table,
        account,
        table.c.mode == mode.value,
        table.c.reason == Reason.WORKLOAD_DEAD.value,
        table.c.action == IntentKind.WITHDRAW.value,
        table.c.at > since,
    )
    # The latest of each order: a cancellation that was refused is decided once more.
    latest = {
        OrderId(row.order_id): Replaced(
            target=row.target, server=ServerId(row.server_id), order=OrderId(row.order_id), at=row.at
        )
        for row in found
    }
    return tuple(latest.values())


def _of(mode: Mode, table: Any) -> ColumnElement[bool]:
    # Only the exchange's own numbers are not negative.
    number: ColumnElement[int] = table.c.order_id
    return number < 0 if mode is Mode.PAPER else number >= 0


def _first(connection: Connection, table: Any, account: str) -> Row[Any] | None:
    return next(iter(_all(connection, table, account)), None)


def _all(connection: Connection, table: Any, account: str, *conditions: Any) -> list[Row[Any]]:
    statement = select(table).where(table.c.account == account, *conditions)
    return list(connection.execute(statement.order_by(*table.primary_key.columns)))
