"""The daemon's memory of one account: domain values in, domain values out.

Each method is one short transaction: all of it is kept, or nothing. A method that writes checks in
that same transaction that the lease is still ours, so that a daemon which was replaced while it
slept can no longer change anything.

Rejected: an ORM session. It keeps objects alive between transactions, and what they show then is
neither what was stored nor what is true.
"""

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from datetime import datetime
from types import MappingProxyType
from typing import Any

from sqlalchemy import Connection, Engine, insert, select, update
from sqlalchemy.exc import IntegrityError

from bidder.domain import paper
from bidder.domain.costs import Cost
from bidder.domain.ids import AccountName, OrderId, ServerId, on_paper
from bidder.domain.intents import Intent, IntentKind, IntentState, Settled, Verdict
from bidder.domain.market import OwnOrder
from bidder.domain.money import Price
from bidder.domain.policy import Mode, Retention
from bidder.domain.price_rules import ClockRules
from bidder.domain.regret import Regret
from bidder.domain.view import Holding
from bidder.errors import IntentOpen, StoreFailed
from bidder.store import commands, housekeeping, loading, recording, regrets, tables
from bidder.store import holdings as holding_rows
from bidder.store import paper as paper_rows
from bidder.store.engine import transaction
from bidder.store.lease import require_lease
from bidder.store.records import Memory, Over, PassRecord, Request

_NONE: Mapping[OrderId, Cost] = MappingProxyType({})
_CLOSED_AS = {
    Settled.ADOPTED: IntentState.DONE,
    Settled.CONFIRMED: IntentState.DONE,
    Settled.NOT_DONE: IntentState.LOST,
    Settled.LOST: IntentState.LOST,
}


class Store:
    """What one account's daemon writes down and reads back."""

    def __init__(
        self,
        engine: Engine,
        account: AccountName,
        *,
        fencing: int | None = None,
        mode: Mode = Mode.LIVE,
        stopwatch: Callable[[], float] | None = None,
    ) -> None:
        """Write for ``account``; with ``fencing`` only while the lease still has that number.

        ``stopwatch`` tells seconds, by which each writing transaction is timed.
        A store of one ``mode`` leaves the orders and requests of the other as they are.
        """
        self._engine = engine
        self._account = account
        self._fencing = fencing
        self._mode = mode
        # What is known to be stored, so that unchanged values cost nothing. One writer: see the lease.
        self._stored: dict[OrderId, Holding] = {}
        self._latest = recording.Latest()
        self._stopwatch = stopwatch
        self._commits: deque[float] = deque(maxlen=100)

    def take_commits(self) -> tuple[float, ...]:
        """Return the seconds of each writing transaction since this was last asked."""
        commits = tuple(self._commits)
        self._commits.clear()
        return commits

    def load(self, now: datetime) -> Memory:
        """Return everything that a daemon must know again when it starts."""
        with transaction(self._engine, writing=False) as connection:
            memory = loading.load(connection, self._account, now, self._mode)
        self._stored = {holding.order.order: holding for holding in memory.holdings}
        self._latest = recording.Latest(rules=memory.rules)
        return memory

    def open_intent(
        self,
        *,
        kind: IntentKind,
        server: ServerId,
        target: str | None,
        order: OrderId | None,
        price: Price | None,
        previous_price: Price | None,
        known_orders: frozenset[OrderId],
        at: datetime,
    ) -> Intent:
        """Write down what is about to be sent; committed when this returns.

        Counts as a request, and as an attempt to create an order where it is one. On a server that
        waits for a person only a withdrawal may be sent.

        Raises:
            IntentOpen: the server has an unfinished intent; nothing may be sent.
            LeaseLost: another daemon trades this account now.
        """
        values = {
            "account": self._account,
            "kind": kind.value,
            "server_id": server,
            "target": target,
            "order_id": order,
            "price": None if price is None else price.amount,
            "currency": None if price is None else price.currency,
            "previous_price": None if previous_price is None else previous_price.amount,
            "previous_currency": None if previous_price is None else previous_price.currency,
            "known_orders": sorted(known_orders),
            "opened_at": at,
            "accepted": False,
            "state": IntentState.OPEN.value,
            "empty_reads": 0,
            "note": "",
            "mode": self._mode.value,
        }
        taken = f"server {server} has an unfinished intent already"
        with self._writing() as connection:
            if kind is not IntentKind.WITHDRAW and self._waits_for_a_person(connection, server):
                raise IntentOpen(taken)
            try:
                inserted = connection.execute(insert(tables.intents), values)
            except IntegrityError as exc:
                raise IntentOpen(taken) from exc
            key = inserted.inserted_primary_key
            assert key is not None
            sent = {"last_request_at": at}
            if kind in {IntentKind.PLACE, IntentKind.RENT}:
                sent["last_creation_at"] = at
            recording.write_state(connection, self._account, sent)
        return Intent(
            id=key[0],
            kind=kind,
            server=server,
            target=target,
            order=order,
            price=price,
            previous_price=previous_price,
            known_orders=known_orders,
            opened_at=at,
        )

    def answer_intent(
        self,
        intent: Intent,
        *,
        accepted: bool,
        at: datetime,
        note: str = "",
        holdings: Iterable[Holding] = (),
    ) -> Intent:
        """Note when the request ended; it stays open until a read of our orders settles it."""
        answered = replace(intent, ended_at=at, accepted=accepted)
        with self._saving(holdings, at) as connection:
            self._update_intent(connection, answered, at=at, note=note)
        return answered

    def end_intent(
        self,
        intent: Intent,
        state: IntentState,
        *,
        at: datetime,
        note: str = "",
        holdings: Iterable[Holding] = (),
        over: Iterable[Over] = (),
        rules: ClockRules | None = None,
    ) -> Intent:
        """Close the intent, and keep what its answer changed and taught in the same transaction."""
        accepted = intent.accepted or state is IntentState.DONE
        ended = replace(intent, state=state, accepted=accepted, ended_at=intent.ended_at or at)
        with self._saving(holdings, at, over=over) as connection:
            self._update_intent(connection, ended, at=at, note=note)
            if rules is not None and rules != self._latest.rules and self._mode is Mode.LIVE:
                recording.write_rules(connection, self._account, rules, evidence=note, at=at)
        return ended

    def settle(
        self,
        verdicts: Iterable[Verdict],
        holdings: Iterable[Holding],
        *,
        at: datetime,
        over: Iterable[Over] = (),
        finals: Iterable[OwnOrder] = (),
        costs: Mapping[OrderId, Cost] = _NONE,
    ) -> tuple[Intent, ...]:
        """Keep all that one read of our orders showed, at once; return the intents still unfinished.

        ``over`` are the orders that it showed to be over, ``finals`` those whose spend is final now,
        as last named, with what they have cost.
        """
        unfinished = []
        with self._saving(holdings, at, over=over) as connection:
            for verdict in verdicts:
                intent, note = _settled(verdict)
                # The order of one that was given up for lost may turn up after all.
                lost = verdict.intent.state is IntentState.LOST
                before = (IntentState.LOST.value,) if lost else tables.UNFINISHED
                self._update_intent(connection, intent, at=at, note=note, before=before)
                if intent.state.value in tables.UNFINISHED:
                    unfinished.append(intent)
            for final in finals:
                if self._writes(final.order):
                    holding_rows.book(connection, self._account, final, costs.get(final.order))
        return tuple(unfinished)

    def record_pass(self, record: PassRecord) -> None:
        """Write what a pass found and did, in one transaction; what did not change is not written."""
        with self._saving(record.holdings, record.at) as connection:
            latest = recording.write(connection, self._account, record, self._latest, mode=self._mode)
        self._latest = latest

    def note_requests(
        self, *, last_request_at: datetime | None, last_creation_at: datetime | None
    ) -> None:
        """Keep when something was sent last, for the pace of whoever talks to the exchange next."""
        sent = {"last_request_at": last_request_at, "last_creation_at": last_creation_at}
        known = {name: at for name, at in sent.items() if at is not None}
        if known:
            with self._writing() as connection:
                recording.write_state(connection, self._account, known)

    def set_paused(self, *, paused: bool, at: datetime, note: str = "") -> None:
        """Pause or resume trading; it stays so over a restart."""
        with self._writing() as connection:
            values = {"paused": paused, "paused_at": at if paused else None, "pause_note": note}
            recording.write_state(connection, self._account, values)

    def open_requests(self) -> tuple[Request, ...]:
        """Return the commands that nobody has carried out yet, oldest first."""
        with transaction(self._engine, writing=False) as connection:
            return commands.waiting(connection, self._account)

    def finish_request(self, request: int, *, outcome: str, at: datetime) -> bool:
        """Note how a command ended, for whoever posted it; False where it was taken back before."""
        with self._writing() as connection:
            return commands.finish(connection, self._account, request, outcome=outcome, at=at)

    def tidy(self, now: datetime, keep: Retention) -> bool:
        """Summarise, or delete what is past its time, a little; return whether there may be more.

        Nothing live or open goes, and nothing that the summaries do not have yet.
        """
        with self._writing() as connection:
            return housekeeping.tidy(connection, self._account, now, keep)

    def save_regrets(self, day: datetime, found: Iterable[Regret]) -> None:
        """Keep what a day cost against the best that was possible."""
        with self._writing() as connection:
            regrets.write(connection, self._account, day, found)

    def paper_account(self, now: datetime) -> paper.Account:
        """Return the account on paper, as it was when it was last saved."""
        with transaction(self._engine, writing=False) as connection:
            return paper_rows.load(connection, self._account, now)

    def save_paper_orders(self, orders: Iterable[paper.PaperOrder]) -> None:
        """Save these orders on paper; committed when this returns."""
        with self._writing() as connection:
            paper_rows.save(connection, self._account, orders)

    def _writes(self, order: OrderId) -> bool:
        """Return whether an order is of this mode: the other mode's own rows are left as they are."""
        return on_paper(order) is (self._mode is Mode.PAPER)

    def _waits_for_a_person(self, connection: Connection, server: ServerId) -> bool:
        table = tables.intents
        frozen = select(table.c.id).where(
            table.c.account == self._account,
            table.c.mode == self._mode.value,
            table.c.server_id == server,
            table.c.state == IntentState.AMBIGUOUS.value,
        )
        return connection.execute(frozen).first() is not None

    @contextmanager
    def _writing(self) -> Iterator[Connection]:
        began = None if self._stopwatch is None else self._stopwatch()
        with transaction(self._engine, writing=True) as connection:
            if self._fencing is not None:
                require_lease(connection, self._account, self._fencing)
            yield connection
        if began is not None and self._stopwatch is not None:
            self._commits.append(self._stopwatch() - began)

    @contextmanager
    def _saving(
        self, holdings: Iterable[Holding], at: datetime, *, over: Iterable[Over] = ()
    ) -> Iterator[Connection]:
        own = (holding for holding in holdings if self._writes(holding.order.order))
        changed = holding_rows.changed(own, self._stored)
        ended = [each for each in over if self._writes(each.order)]
        with self._writing() as connection:
            holding_rows.write(connection, self._account, changed, self._stored, at=at)
            for each in ended:
                holding_rows.end(connection, self._account, each)
            # Only then the rest: the final spend of an order is the last word about it.
            yield connection
        for holding in changed:
            self._stored[holding.order.order] = holding
        for each in ended:
            self._stored.pop(each.order, None)

    def _update_intent(
        self,
        connection: Connection,
        intent: Intent,
        *,
        at: datetime,
        note: str,
        before: tuple[str, ...] = tables.UNFINISHED,
    ) -> None:
        table = tables.intents
        open_still = intent.state.value in tables.UNFINISHED
        values: dict[str, Any] = {
            "state": intent.state.value,
            "order_id": intent.order,
            "ended_at": intent.ended_at,
            "accepted": intent.accepted,
            "empty_reads": intent.empty_reads,
            "closed_at": None if open_still else at,
        }
        if note:
            values["note"] = note
        done = connection.execute(
            update(table)
            .where(
                table.c.id == intent.id,
                table.c.account == self._account,
                table.c.state.in_(before),
            )
            .values(values)
        )
        if done.rowcount != 1:
            raise StoreFailed(f"intent {intent.id} is not open any more")


def _settled(verdict: Verdict) -> tuple[Intent, str]:
    intent = verdict.intent
    match verdict.settled:
        case Settled.UNKNOWN:
            return replace(intent, empty_reads=intent.empty_reads + int(verdict.counts_as_empty)), ""
        case Settled.AMBIGUOUS:
            candidates = ", ".join(str(order) for order in verdict.orders)
            return replace(intent, state=IntentState.AMBIGUOUS), f"ambiguous: orders {candidates}"
        case settled:
            order = intent.order
            if settled is Settled.ADOPTED and verdict.orders:
                order = verdict.orders[0]
            return replace(intent, state=_CLOSED_AS[settled], order=order), settled.value
