"""Writing down a pass: only what changed since it was last written.

``Latest`` is what the database is known to hold last, per subject. It is filled from the database
on first need and replaced only after a commit, so that a failed transaction leaves no false memory.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from decimal import Context, Decimal
from itertools import islice
from typing import Any, TypeVar

from sqlalchemy import ColumnElement, Connection, bindparam, func, insert, select, update

from bidder.domain.ids import ServerId
from bidder.domain.market import Wallet
from bidder.domain.money import Currency, Rates
from bidder.domain.policy import Mode
from bidder.domain.price_rules import ClockRules
from bidder.store import keeping, pulses, rows, tables
from bidder.store.records import BookRecord, DecisionRecord, PassRecord, ServerRecord

# Rates and steps are estimates, not money: of an absurdly long number the head is enough.
_ESTIMATE = Context(prec=30)

# An unchanged book is confirmed this often: each read would be a write per second.
CONFIRM_EVERY = timedelta(minutes=5)
# Between two reads further apart than this, nobody knows what the book was.
GAP = timedelta(minutes=10)

# Orders come and go for years; what is forgotten here, longest unchanged first, is looked up again in
# the database. Few enough to be full within days: from then on memory grows no more.
_REMEMBERED = 600
_SERVERS_REMEMBERED = 4_000

# Built once: making a statement costs as much as running it.
_INSERT_DECISION = insert(tables.decisions)
_INSERT_BOOK = insert(tables.books)
_HOLD_UNTIL = (
    update(tables.books)
    .where(
        tables.books.c.account == bindparam("whose"),
        tables.books.c.server_id == bindparam("where"),
        tables.books.c.at == bindparam("since"),
    )
    .values(until=bindparam("confirmed"))
)
_STATE = update(tables.account_state).where(tables.account_state.c.account == bindparam("whose"))

Subject = tuple[str | None, int | None, int | None]
Said = tuple[Any, ...]
_Key = TypeVar("_Key")
_Value = TypeVar("_Value")


@dataclass(slots=True)
class Latest:
    """What was last written of each subject."""

    said: dict[Subject, Said | None] = field(default_factory=dict)
    books: dict[ServerId, BookRecord | None] = field(default_factory=dict)
    servers: dict[ServerId, ServerRecord] = field(default_factory=dict)
    rates: Mapping[Currency, Decimal] | None = None
    wallets: Mapping[Currency, Wallet] | None = None
    rules: ClockRules | None = None
    configuration: tuple[str, int] | None = None  # its text and its number

    def copy(self) -> "Latest":
        """Return one that may be changed without changing this."""
        return replace(
            self,
            said=_youngest(self.said, _REMEMBERED),
            books=_youngest(self.books, _REMEMBERED),
            servers=_youngest(self.servers, _SERVERS_REMEMBERED),
        )


def _youngest(known: dict[_Key, _Value], most: int) -> dict[_Key, _Value]:
    """Return a copy; of too many entries the half that was put in last."""
    if len(known) <= most:
        return dict(known)
    return dict(islice(known.items(), len(known) - most // 2, None))


def _put(known: dict[_Key, _Value], key: _Key, value: _Value) -> None:
    known.pop(key, None)
    known[key] = value


def write(
    connection: Connection, account: str, record: PassRecord, known: Latest, *, mode: Mode = Mode.LIVE
) -> Latest:
    """Write what is new in ``record``; return what is then known to be stored.

    On paper nothing is learnt of the exchange's rules and fees: what is kept of them stays.
    """
    latest = known.copy()
    if record.decisions and record.configuration is not None:
        latest.configuration = keeping.configuration(
            connection, account, record.configuration, record.at, latest.configuration
        )
    for decision in record.decisions:
        _write_decision(connection, account, record, decision, latest, mode)
    for book in record.books:
        _write_book(connection, account, book, latest)
    _write_servers(connection, account, record, latest)
    if record.rates is not None:
        _write_rates(connection, account, record.rates, record.at, latest)
    if record.wallets is not None:
        _write_wallets(connection, account, record.wallets, record.at, latest)
    live = mode is Mode.LIVE
    if live and record.rules is not None and record.rules != latest.rules:
        write_rules(connection, account, record.rules, evidence=record.evidence, at=record.at)
        latest.rules = record.rules
    _write_lessons(connection, account, record, steps=live)
    if live:
        pulses.write(connection, account, record)
    _write_state(connection, account, record, mode)
    return latest


def newest(connection: Connection, table: Any, *conditions: ColumnElement[bool]) -> Any:
    """Return the row written last among those that meet the conditions."""
    statement = select(table).where(*conditions).order_by(table.c.id.desc()).limit(1)
    return connection.execute(statement).first()


def stored_rates(connection: Connection, account: str) -> dict[Currency, Decimal]:
    """Return each currency's latest rate."""
    return {
        Currency(row.currency): row.usd_per_unit
        for row in _newest_each(connection, tables.rates, account)
        if row.usd_per_unit is not None
    }


def stored_wallets(connection: Connection, account: str) -> dict[Currency, Wallet]:
    """Return each wallet as last written."""
    found = _newest_each(connection, tables.wallets, account)
    return {Currency(row.currency): rows.wallet_of(row) for row in found if not row.gone}


def _newest_each(connection: Connection, table: Any, account: str) -> list[Any]:
    last = select(func.max(table.c.id)).where(table.c.account == account).group_by(table.c.currency)
    return list(connection.execute(select(table).where(table.c.id.in_(last))))


def _write_decision(
    connection: Connection,
    account: str,
    record: PassRecord,
    decision: DecisionRecord,
    latest: Latest,
    mode: Mode,
) -> None:
    subject = (decision.target, decision.server, decision.order)
    said = (decision.action, decision.price, decision.reason)
    if subject not in latest.said:
        latest.said[subject] = _last_said(connection, account, subject, mode)
    if latest.said[subject] == said:
        return
    _put(latest.said, subject, said)
    price, previous = decision.price, decision.previous_price
    kept = decision.evidence
    inserted = connection.execute(
        _INSERT_DECISION,
        {
            "account": account,
            "pass_id": record.pass_id,
            "at": decision.at or record.at,
            "target": decision.target,
            "server_id": decision.server,
            "order_id": decision.order,
            "action": None if decision.action is None else decision.action.value,
            "price": None if price is None else price.amount,
            "currency": None if price is None else price.currency,
            "previous_price": None if previous is None else previous.amount,
            "reason": decision.reason,
            "due": decision.due,
            "facts": dict(decision.facts),
            "mode": mode.value,
            "inputs_sha256": None if kept is None else kept.digest,
            "configuration_id": None if latest.configuration is None else latest.configuration[1],
        },
    )
    if kept is not None:
        assert inserted.inserted_primary_key is not None
        number = inserted.inserted_primary_key[0]
        keeping.inputs(connection, account, number, kept, decision.at or record.at)


def _last_said(connection: Connection, account: str, subject: Subject, mode: Mode) -> Said | None:
    table = tables.decisions
    target, server, order = subject
    row = newest(
        connection,
        table,
        table.c.account == account,
        table.c.mode == mode.value,
        table.c.target.is_(None) if target is None else table.c.target == target,
        table.c.server_id.is_(None) if server is None else table.c.server_id == server,
        table.c.order_id.is_(None) if order is None else table.c.order_id == order,
    )
    if row is None:
        return None
    stored = rows.decision_of(row)
    return (stored.action, stored.price, stored.reason)


def _write_book(connection: Connection, account: str, book: BookRecord, latest: Latest) -> None:
    table = tables.books
    if book.server not in latest.books:
        row = newest(connection, table, table.c.account == account, table.c.server_id == book.server)
        latest.books[book.server] = None if row is None else rows.book_of(row)
    last, stored = latest.books[book.server], replace(book, until=book.at)
    seen_until = None if last is None else last.until or last.at
    # One that was read by a calendar that was ahead is left as it is: what comes now is no part of it,
    # and would else be left out until the calendar has caught up with it.
    if last is not None and seen_until is not None and seen_until <= book.at:
        same = book.shows_the_same(last)
        if same and book.at - seen_until < CONFIRM_EVERY:
            return
        if book.at - seen_until <= GAP:
            _hold_until(connection, account, last, book.at)
            stored = replace(last, until=book.at) if same else stored
        else:
            same = False  # nobody looked for so long that it may have been otherwise meanwhile
        if same:
            _put(latest.books, book.server, stored)
            return
    connection.execute(_INSERT_BOOK, rows.book_values(account, stored))
    _put(latest.books, book.server, stored)


def _hold_until(connection: Connection, account: str, book: BookRecord, until: datetime) -> None:
    one = {"whose": account, "where": book.server, "since": book.at, "confirmed": until}
    connection.execute(_HOLD_UNTIL, one)


def _write_servers(connection: Connection, account: str, record: PassRecord, latest: Latest) -> None:
    for server in record.servers:
        if latest.servers.get(server.server) == server:
            continue
        values = {
            "account": account,
            "server_id": server.server,
            "gpu_model": server.gpu_model,
            "gpus": server.gpus,
            "seen_at": record.at,
        }
        rows.upsert(connection, tables.servers, values)
        _put(latest.servers, server.server, server)


def _write_rates(
    connection: Connection, account: str, rates: Rates, at: datetime, latest: Latest
) -> None:
    now = {c: _ESTIMATE.plus(rate) for c, rate in rates.usd_per_unit.items() if c != Currency.USD}
    before = stored_rates(connection, account) if latest.rates is None else latest.rates
    for currency in sorted(now.keys() | before.keys()):
        if now.get(currency) == before.get(currency):
            continue
        values = {"account": account, "currency": currency, "at": at, "usd_per_unit": now.get(currency)}
        connection.execute(insert(tables.rates), values)
    latest.rates = now


def _write_wallets(
    connection: Connection, account: str, now: Mapping[Currency, Wallet], at: datetime, latest: Latest
) -> None:
    before = stored_wallets(connection, account) if latest.wallets is None else latest.wallets
    for currency in sorted(now.keys() | before.keys()):
        wallet = now.get(currency)
        if wallet == before.get(currency):
            continue
        connection.execute(insert(tables.wallets), _wallet_values(account, currency, wallet, at))
    latest.wallets = dict(now)


def _wallet_values(
    account: str, currency: Currency, wallet: Wallet | None, at: datetime
) -> dict[str, Any]:
    values: dict[str, Any] = {"account": account, "currency": currency, "at": at, "gone": wallet is None}
    if wallet is None:
        return {**values, "deposit": ""}
    balance, fee = wallet.balance, wallet.withdrawal_fee
    return {
        **values,
        "balance": None if balance is None else balance.amount,
        "deposit": wallet.deposit,
        "withdrawal_fee": None if fee is None else fee.amount,
    }


def write_rules(
    connection: Connection, account: str, rules: ClockRules, *, evidence: str, at: datetime
) -> None:
    """Keep what is known of the lowering clock, and what it was learnt from."""
    values = {
        "account": account,
        "creation": rules.creation,
        "raised": rules.raised,
        "evidence": evidence,
        "at": at,
    }
    rows.upsert(connection, tables.clock_rules, values)


def _write_lessons(connection: Connection, account: str, record: PassRecord, *, steps: bool) -> None:
    for step in record.steps if steps else ():
        connection.execute(
            insert(tables.step_samples).values(
                account=account,
                currency=step.currency,
                price=_ESTIMATE.plus(step.price),
                drop=_ESTIMATE.plus(step.drop),
                floor=None if step.floor is None else _ESTIMATE.plus(step.floor),
                exact=step.exact,
                at=step.at,
            )
        )
    for raised in record.raises:
        connection.execute(
            insert(tables.raises).values(
                account=account,
                server_id=raised.server,
                order_id=raised.order,
                rival_id=raised.rival,
                at=raised.at,
            )
        )


def _write_state(connection: Connection, account: str, record: PassRecord, mode: Mode) -> None:
    news = {
        "last_pass_at": record.at,
        "last_pass_id": record.pass_id,
        "recalled_at": record.recalled_at,
        "last_request_at": record.last_request_at,
        "last_creation_at": record.last_creation_at,
        "order_limit": record.order_limit,
        "creation_fee_usd": record.creation_fee_usd if mode is Mode.LIVE else None,
        "multipliers": {mode.value: dict(record.multipliers)} if record.multipliers else None,
        "snapshot": None if record.snapshot is None else dict(record.snapshot),
    }
    write_state(connection, account, {name: value for name, value in news.items() if value is not None})


def write_state(connection: Connection, account: str, values: dict[str, Any]) -> None:
    """Set these fields of the account's state."""
    done = connection.execute(_STATE, {"whose": account, **values})
    if done.rowcount == 0:
        state = tables.account_state
        rows.insert_if_absent(connection, state, {"account": account, "paused": False, **values})
