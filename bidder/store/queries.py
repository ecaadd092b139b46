"""What the commands show: reads only, each from one transaction, beside a running daemon or without."""

from collections.abc import Iterator
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

from sqlalchemy import Engine, Row, Select, func, select

from bidder.domain.actions import Reason
from bidder.domain.digest import Span
from bidder.domain.evidence import Evidence
from bidder.domain.ids import AccountName, OrderId, ServerId, on_paper
from bidder.domain.intents import Intent
from bidder.domain.market import Wallet
from bidder.domain.money import Currency, Price, Rates
from bidder.domain.policy import Mode
from bidder.domain.price_rules import ClockRules
from bidder.domain.regret import Regret
from bidder.store import keeping, recording, rows, tables
from bidder.store.engine import read_rows, transaction
from bidder.store.lease import Holder, held_until
from bidder.store.market_queries import MarketQueries
from bidder.store.records import (
    DecisionRecord,
    KeptDecision,
    LeaseRecord,
    OrderRecord,
    Request,
    Snapshot,
    SpendTotal,
    TargetPeriod,
)
from bidder.store.regrets import regret_of
from bidder.store.spending import Spending

# How long before its intent a creation's decision may have been written.
_LEADING_UP = timedelta(minutes=10)
# How much of what was decided and tried on a server before an order is told of it.
_LATEST = 20
_ROWS_AT_ONCE = 500


class Queries:
    """Questions about one account."""

    def __init__(self, engine: Engine, account: AccountName) -> None:
        """Ask about ``account``."""
        self._engine = engine
        self._account = account
        self._spending = Spending(engine, account)

    @property
    def market(self) -> MarketQueries:
        """Return the questions about what the market did."""
        return MarketQueries(self._engine, self._account)

    def orders(self, *, ended: bool = False, limit: int = 1000) -> tuple[OrderRecord, ...]:
        """Return the live orders, oldest first; with ``ended`` the ended ones, newest first."""
        table = tables.orders
        statement = select(table).where(table.c.account == self._account)
        if ended:
            statement = statement.where(table.c.ended_at.is_not(None)).order_by(table.c.ended_at.desc())
        else:
            statement = statement.where(table.c.ended_at.is_(None)).order_by(table.c.first_seen_at)
        return tuple(rows.order_record_of(row) for row in self._rows(statement.limit(limit)))

    def orders_between(self, since: datetime, until: datetime) -> tuple[OrderRecord, ...]:
        """Return the orders that stood at any time in a span, oldest first."""
        table = tables.orders
        statement = select(table).where(
            table.c.account == self._account,
            table.c.first_seen_at < until,
            table.c.ended_at.is_(None) | (table.c.ended_at > since),
        )
        found = self._rows(statement.order_by(table.c.first_seen_at, table.c.order_id))
        return tuple(rows.order_record_of(row) for row in found)

    def order(self, order: OrderId) -> OrderRecord | None:
        """Return one order, live or ended; None where it is not known."""
        table = tables.orders
        mine = (table.c.account == self._account) & (table.c.order_id == order)
        return next((rows.order_record_of(row) for row in self._rows(select(table).where(mine))), None)

    def prices_of(self, order: OrderId) -> tuple[tuple[datetime, Price], ...]:
        """Return each price that an order had, and from when, oldest first."""
        table = tables.order_prices
        mine = (table.c.account == self._account) & (table.c.order_id == order)
        found = self._rows(select(table).where(mine).order_by(table.c.id))
        return tuple((row.at, Price(row.price, Currency(row.currency))) for row in found)

    def intents_of(self, order: OrderId) -> tuple[Intent, ...]:
        """Return what was sent for an order, its creation first."""
        table = tables.intents
        mine = (table.c.account == self._account) & (table.c.order_id == order)
        return tuple(
            rows.intent_of(row) for row in self._rows(select(table).where(mine).order_by(table.c.id))
        )

    def attempts_before(self, order: OrderId) -> tuple[Intent, ...]:
        """Return the latest creations on an order's server that came to nothing before it."""
        creation = next((intent for intent in self.intents_of(order) if intent.creates), None)
        if creation is None:
            return ()
        table = tables.intents
        vain = (
            table.c.account == self._account,
            table.c.server_id == creation.server,
            table.c.mode == (Mode.PAPER if on_paper(order) else Mode.LIVE).value,
            table.c.order_id.is_(None),
            table.c.id < creation.id,
        )
        found = self._rows(select(table).where(*vain).order_by(table.c.id.desc()).limit(_LATEST))
        return tuple(rows.intent_of(row) for row in reversed(found))

    def open_intents(self) -> tuple[Intent, ...]:
        """Return what was sent, or may have been, and is not settled."""
        table = tables.intents
        mine = (table.c.account == self._account) & table.c.state.in_(tables.UNFINISHED)
        return tuple(
            rows.intent_of(row) for row in self._rows(select(table).where(mine).order_by(table.c.id))
        )

    def decisions_between(
        self, since: datetime, until: datetime, mode: Mode
    ) -> tuple[DecisionRecord, ...]:
        """Return the decisions of one mode in a span, oldest first."""
        table = tables.decisions
        statement = select(table).where(
            table.c.account == self._account,
            table.c.mode == mode.value,
            table.c.at >= since,
            table.c.at < until,
        )
        return tuple(
            rows.decision_of(row) for row in self._rows(statement.order_by(table.c.at, table.c.id))
        )

    def workloads(
        self, server: ServerId | None = None, *, limit: int = 200
    ) -> tuple[DecisionRecord, ...]:
        """Return when workloads died, were given up or lived again, oldest first, the latest ones."""
        table = tables.decisions
        statement = select(table).where(
            table.c.account == self._account,
            table.c.reason.in_((Reason.WORKLOAD_DEAD.value, Reason.WORKLOAD_ALIVE.value)),
        )
        if server is not None:
            statement = statement.where(table.c.server_id == server)
        found = self._rows(statement.order_by(table.c.id.desc()).limit(limit))
        return tuple(rows.decision_of(row) for row in reversed(found))

    def kept_decisions(self, *, since: datetime | None = None) -> Iterator[KeptDecision]:
        """Yield the decisions with what they rest on, oldest first.

        A body that cannot be unpacked comes as evidence that no hash fits.
        """
        table, inputs, configurations = tables.decisions, tables.decision_inputs, tables.configurations
        statement = (
            select(table, inputs.c.body, configurations.c.sha256, configurations.c.body.label("policy"))
            .outerjoin(inputs, inputs.c.decision_id == table.c.id)
            .outerjoin(configurations, configurations.c.id == table.c.configuration_id)
            .where(table.c.account == self._account)
            .order_by(table.c.id)
            .limit(_ROWS_AT_ONCE)
        )
        if since is not None:
            statement = statement.where(table.c.at >= since)
        last = -1
        while found := self._rows(statement.where(table.c.id > last)):
            yield from map(_kept_of, found)
            last = found[-1].id

    def decisions_for_order(self, order: OrderId, *, limit: int = 500) -> tuple[DecisionRecord, ...]:
        """Return the decisions that led to this order and its price, oldest first.

        A creation's decision was taken before the order had a number: it is found through the
        intent that the order settled.
        """
        table = tables.decisions
        account = table.c.account == self._account
        about = self._rows(
            select(table)
            .where(account, table.c.order_id == order)
            .order_by(table.c.id.desc())
            .limit(limit)
        )
        creation = next((intent for intent in self.intents_of(order) if intent.creates), None)
        before: list[Row[Any]] = []
        if creation is not None:
            before = self._rows(
                select(table)
                .where(
                    account,
                    table.c.server_id == creation.server,
                    table.c.mode == (Mode.PAPER if on_paper(order) else Mode.LIVE).value,
                    table.c.order_id.is_(None),
                    table.c.at <= creation.opened_at + _LEADING_UP,
                )
                .order_by(table.c.id.desc())
                .limit(_LATEST)
            )
        found = sorted([*before, *about], key=lambda row: row.id)
        return tuple(rows.decision_of(row) for row in found)

    def target_periods(self, span: Span, *, limit: int = 1000) -> tuple[TargetPeriod, ...]:
        """Return the latest summaries of targets, oldest first."""
        table = tables.target_summaries
        statement = select(table).where(table.c.account == self._account, rows.spans_of(span, table))
        newest = (table.c.at.desc(), table.c.target.desc(), table.c.span.desc())
        found = self._rows(statement.order_by(*newest).limit(limit))
        return tuple(rows.target_period_of(row) for row in reversed(found))

    def regrets(self, since: datetime, until: datetime) -> tuple[Regret, ...]:
        """Return what the whole days in a span cost, as far as they were reckoned, oldest first."""
        table = tables.regrets
        statement = select(table).where(
            table.c.account == self._account, table.c.at >= since, table.c.at < until
        )
        return tuple(map(regret_of, self._rows(statement.order_by(table.c.at, table.c.id))))

    def latest_regrets(self) -> tuple[Regret, ...]:
        """Return what the latest day that was reckoned cost."""
        table = tables.regrets
        newest = select(func.max(table.c.at)).where(table.c.account == self._account)
        statement = select(table).where(
            table.c.account == self._account, table.c.at == newest.scalar_subquery()
        )
        return tuple(map(regret_of, self._rows(statement.order_by(table.c.id))))

    def wallets(self) -> tuple[Wallet, ...]:
        """Return the wallets as last seen."""
        with transaction(self._engine, writing=False) as connection:
            found = recording.stored_wallets(connection, self._account)
        return tuple(found[currency] for currency in sorted(found))

    def rates(self) -> Rates:
        """Return the rates as last seen."""
        with transaction(self._engine, writing=False) as connection:
            return Rates(recording.stored_rates(connection, self._account))

    def learnt(self) -> tuple[ClockRules, Decimal]:
        """Return what was learnt of the lowering clock, and what a creation costs in USD; 0: unknown."""
        table = tables.clock_rules
        row = next(iter(self._rows(select(table).where(table.c.account == self._account))), None)
        state = self._state()
        fee = None if state is None else state.creation_fee_usd
        rules = ClockRules() if row is None else ClockRules(creation=row.creation, raised=row.raised)
        return rules, fee or Decimal(0)

    def spend_totals(self) -> tuple[SpendTotal, ...]:
        """Return what all orders have cost, per mode, target and currency, to the last digit."""
        return self._spending.totals()

    def snapshot(self) -> Snapshot | None:
        """Return the latest pass; None before the first one."""
        state = self._state()
        if state is None or state.snapshot is None or state.last_pass_at is None:
            return None
        # A command's passes leave the picture as it was: its age is its own.
        taken = state.snapshot.get("at")
        at = state.last_pass_at if taken is None else datetime.fromisoformat(taken)
        return Snapshot(pass_id=state.last_pass_id, at=at, values=state.snapshot)

    def paused(self) -> bool:
        """Return whether trading is paused by command."""
        state = self._state()
        return state is not None and bool(state.paused)

    def lease(
        self, now: datetime | None = None, *, seen_from: Holder | None = None
    ) -> LeaseRecord | None:
        """Return who holds the lease; None where it was given back.

        With ``now`` only a holder that still keeps others out then, without it also one whose lease
        ran out. ``seen_from`` is the process that asks (default: this one): whoever runs beside it on
        the same machine and is dead holds nothing.
        """
        table = tables.lease
        found = self._rows(
            select(table).where(table.c.account == self._account, table.c.host.is_not(None))
        )
        if now is not None:
            here = seen_from or Holder.here()
            found = [row for row in found if held_until(row, now, seen_from=here) is not None]
        return next((_lease_of(row) for row in found), None)

    def request(self, request: int) -> Request | None:
        """Return a command with its outcome, if it has one."""
        table = tables.requests
        found = self._rows(select(table).where(table.c.account == self._account, table.c.id == request))
        return next((rows.request_of(row) for row in found), None)

    def requests_done(self, kind: str, *, since: datetime) -> tuple[Request, ...]:
        """Return the commands of a kind that were carried out since then, the latest first."""
        table = tables.requests
        done = (table.c.account == self._account) & (table.c.kind == kind) & (table.c.done_at >= since)
        found = self._rows(select(table).where(done).order_by(table.c.id.desc()))
        return tuple(rows.request_of(row) for row in found)

    def latest_request(self, kind: str) -> Request | None:
        """Return the latest command of a kind that was carried out; None where there is none."""
        table = tables.requests
        done = (table.c.account == self._account) & (table.c.kind == kind) & table.c.done_at.is_not(None)
        found = self._rows(select(table).where(done).order_by(table.c.id.desc()).limit(1))
        return next((rows.request_of(row) for row in found), None)

    def _state(self) -> Row[Any] | None:
        table = tables.account_state
        return next(iter(self._rows(select(table).where(table.c.account == self._account))), None)

    def _rows(self, statement: Select[Any]) -> list[Row[Any]]:
        return read_rows(self._engine, statement)


def _kept_of(row: Row[Any]) -> KeptDecision:
    try:
        evidence = None if row.body is None else keeping.evidence_of(row.body)
    except keeping.Unpackable as exc:
        evidence = Evidence(inputs=f"not readable: {exc}", answer="")
    try:
        policy = None if row.policy is None else keeping.unpack(row.policy)
    except keeping.Unpackable as exc:
        policy = f"not readable: {exc}"
    return KeptDecision(
        id=row.id,
        record=rows.decision_of(row),
        inputs_sha256=row.inputs_sha256,
        configuration_sha256=row.sha256,
        configuration=policy,
        evidence=evidence,
    )


def _lease_of(row: Row[Any]) -> LeaseRecord:
    return LeaseRecord(
        holder=str(Holder(host=row.host, pid=row.pid)),
        host=row.host,
        pid=row.pid,
        fencing=row.fencing,
        taken_at=row.taken_at,
        expires_at=row.expires_at,
    )
