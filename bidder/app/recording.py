"""What a pass leaves behind: rows in the store and lines in the log, both from the one report."""

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any, TypeVar

import structlog

from bidder.app import snapshot
from bidder.app.pulses import Written
from bidder.app.report import Acted, Observed, PassReport, Result
from bidder.app.vitals import Vitals
from bidder.domain import evidence, workloads
from bidder.domain.actions import Decision, PlaceBid, Reason, RentOnDemand, Reprice, Withdraw
from bidder.domain.agenda import ReadMarketplace, ReadOrders, ReadWallets
from bidder.domain.ids import ServerId
from bidder.domain.intents import Settled
from bidder.domain.money import Rates
from bidder.domain.policy import Mode, Policy
from bidder.domain.view import Holding, View
from bidder.exchange.limiter import Limiter
from bidder.repeats import Repeats
from bidder.store.records import BookRecord, DecisionRecord, Over, PassRecord, ServerRecord
from bidder.store.store import Store

log = structlog.get_logger("bidder")

_SNAPSHOT_EVERY = timedelta(seconds=5)

# How often a book that stays as it is gets noted all the same: so long it is known to have stood.
_CONFIRM_EVERY = timedelta(minutes=5)
# A marketplace's servers come and go for months; so many are read within five minutes at one a second.
_MANY_BOOKS = 300

_T = TypeVar("_T")
Subject = tuple[str | None, int | None, int | None]


@dataclass(slots=True)
class Recorder:
    """Writes what changed, and remembers what was said last so that nothing is said twice.

    Without ``pictures`` the snapshot that ``status`` shows is left as the last daemon wrote it.
    """

    pictures: bool = True
    ordered: tuple[Decision, ...] = ()
    said: dict[Subject, tuple[str, str]] = field(default_factory=dict)
    books: dict[ServerId, BookRecord] = field(default_factory=dict)
    drawn_at: datetime | None = None
    unread: Repeats = field(default_factory=Repeats)
    kept: View | None = None  # what was known when a pass was last written down
    vitals: Vitals = field(default_factory=Vitals)
    pulses: Written = field(default_factory=Written)
    policy_text: tuple[Policy, str] | None = None  # the policy last written out, as text
    budgets: dict[tuple[str | None, str], str] = field(default_factory=dict)  # their states

    def record(
        self,
        report: PassReport,
        before: View,
        after: View,
        policy: Policy,
        *,
        store: Store,
        limiter: Limiter,
        told: workloads.Told,
    ) -> None:
        """Store and log one pass; ``told`` are the dead workloads of which the owner knows by now."""
        self.vitals.note(report.calls)
        before = self.kept or before
        news, said = self._news(report)
        due = self._due(report)
        book = self._new_book(report, after)
        written = self.pulses.after(after, told, policy)
        changed = written is not self.pulses or self._changed(report, before, after)
        if due or news or book is not None or changed:
            record = self._pass_record(report, news, book, before, after, limiter)
            if written is not self.pulses:
                changes, every = written.changes_from(self.pulses), frozenset(written.records)
                record = replace(record, pulses=changes, pulses_of=every)
            if news:
                record = replace(record, configuration=self._configuration(policy))
            if due and self.pictures:
                picture = snapshot.take(report, after, policy, limiter)
                self._log_budgets(picture["budgets"])
                vitals = self.vitals.picture(report.at)
                record = replace(record, snapshot={**picture, "vitals": vitals})
            store.record_pass(record)
            # Only now: what the database refused is news again in the next pass.
            self.said, self.kept, self.pulses = said, after, written
            self.drawn_at = report.at if due else self.drawn_at
            if book is not None:
                self._remember(book)
        _log(report, news, policy, self.unread)

    def _remember(self, book: BookRecord) -> None:
        """Keep a book to compare the next one with; one that is due anyhow is compared with nothing."""
        if len(self.books) >= _MANY_BOOKS:
            self.books = {s: b for s, b in self.books.items() if book.at - b.at < _CONFIRM_EVERY}
        self.books[book.server] = book

    def _log_budgets(self, shown: list[dict[str, Any]]) -> None:
        """Log each budget that is free, paced or spent since now."""
        for each in shown:
            key = each["target"], each["period"]
            if self.budgets.get(key, "free") != each["state"]:
                say = log.warning if each["state"] == "spent" else log.info
                names = ("limit", "spent", "per_day", "target_per_day")
                amounts = {name: (each[name] or {}).get("amount") for name in names}
                say(
                    f"budget.{each['state']}",
                    target=each["target"],
                    period=each["period"],
                    multiplier=each["multiplier"],
                    **amounts,
                )
        self.budgets = {(each["target"], each["period"]): each["state"] for each in shown}

    def _due(self, report: PassReport) -> bool:
        """Return whether ``status`` needs a new picture: after a deed at once, else now and then."""
        if self.drawn_at is None or report.acted is not None:
            return True
        return report.at - self.drawn_at >= _SNAPSHOT_EVERY

    def _news(self, report: PassReport) -> tuple[tuple[Decision, ...], dict[Subject, tuple[str, str]]]:
        """Return the decisions that say something new about their subject, and all that is said."""
        fresh: list[Decision] = []
        current: dict[Subject, tuple[str, str]] = {}
        for decision in report.decisions:
            subject = (decision.target, decision.server, decision.order)
            said = (decision.reason.value, _deed(decision))
            if decision.reason is Reason.STALE and subject in self.said:
                # With many bids each book grows old before its turn: that the next look is awaited
                # says nothing about the bid, and said so it would be nearly all of the history.
                said = self.said[subject]
            current[subject] = said
            if self.said.get(subject) != said:
                fresh.append(decision)
        return tuple(fresh), current

    def _configuration(self, policy: Policy) -> str:
        if self.policy_text is None or self.policy_text[0] is not policy:
            self.policy_text = policy, evidence.configuration(policy)
        return self.policy_text[1]

    def _new_book(self, report: PassReport, after: View) -> BookRecord | None:
        """Return what is kept of the book that was read, where it differs from the last one."""
        seen = report.observed
        # What stands for a book that may not be read is no history.
        if seen is None or seen.book is None or seen.book.presumed:
            return None
        rates = seen.book.rates.over(after.rates)
        book = BookRecord.of(
            seen.book,
            report.at,
            rates=rates,
            own=after.own_ids(),
            listing=after.marketplace.listings.get(seen.book.server),
        )
        last = self.books.get(book.server)
        same = last is not None and book.shows_the_same(last) and report.at - last.at < _CONFIRM_EVERY
        return None if same else book

    def _changed(self, report: PassReport, before: View, after: View) -> bool:
        return (
            report.acted is not None
            or bool(report.workloads)
            or before.rules != after.rules
            or before.steps != after.steps
            or before.holdings != after.holdings
        )

    def _changed_holdings(self, after: View) -> tuple[Holding, ...]:
        """Return the holdings that are not as in the last pass on record, which were written with it.

        At first all: what a start makes of its memory must outlive the next crash.
        """
        if self.kept is None:
            return tuple(after.holdings.values())
        written = self.kept.holdings
        return tuple(h for order, h in after.holdings.items() if written.get(order) is not h)

    def _pass_record(
        self,
        report: PassReport,
        news: tuple[Decision, ...],
        book: BookRecord | None,
        before: View,
        after: View,
        limiter: Limiter,
    ) -> PassRecord:
        seen = report.observed
        listing = None if book is None else after.marketplace.listings.get(book.server)
        # Also where the pass that read them left nothing else to write down.
        fresh_wallets = (
            seen is not None and isinstance(seen.read, ReadWallets)
        ) or before.wallets != after.wallets
        return PassRecord(
            pass_id=report.pass_id,
            at=report.at,
            decisions=tuple(map(_written, (*_said(report), *news))),
            holdings=self._changed_holdings(after),
            books=() if book is None else (book,),
            servers=() if listing is None else (ServerRecord.of(listing),),
            wallets=after.wallets if fresh_wallets else None,
            rates=_trusted_rates(before, after),
            rules=after.rules if before.rules != after.rules else None,
            evidence=_evidence(report.acted),
            steps=_added(before.steps, after.steps),
            raises=_added(before.raises, after.raises),
            recalled_at=after.recalled_at,
            last_request_at=limiter.last_request_at,
            last_creation_at=limiter.last_creation_at,
            order_limit=after.order_limit,
            creation_fee_usd=after.creation_fee_usd,
            multipliers={key: each.value for key, each in after.multipliers.items()},
        )


def _trusted_rates(before: View, after: View) -> Rates | None:
    """Return the rates where they are news; none in doubt is kept, a restart would believe it."""
    news = before.rates != after.rates or bool(before.doubted)
    return after.rates if news and not after.doubted else None


def settle(store: Store, observed: Observed, *, at: datetime) -> None:
    """Store at once what a read of our orders settled: the next request rests on it."""
    over = (
        Over(
            order=holding.order.order,
            at=holding.ended_at or at,
            cause="expired" if holding.order.expired else "vanished",
        )
        for holding in observed.ended
    )
    store.settle(
        observed.verdicts,
        (*observed.changed, *observed.ended),
        at=at,
        over=tuple(over),
        finals=observed.booked,
        costs=observed.costs,
    )


def note(store: Store, decision: Decision, *, pass_id: int, at: datetime) -> None:
    """Store a decision ahead of its pass, which then adds nothing to it; raises StoreFailed."""
    store.record_pass(PassRecord(pass_id=pass_id, at=at, decisions=(DecisionRecord.of(decision),)))


def _said(report: PassReport) -> Iterator[Decision]:
    """Yield what is written down of workloads that died or live again.

    An order that goes for it says so by its own decision.
    """
    for each in report.workloads:
        if not each.dead or each.kept is not None:
            yield each.decision


def _deed(decision: Decision) -> str:
    match decision.action:
        case PlaceBid(server=server, price=price):
            return f"place {server} {price}"
        case RentOnDemand(server=server, price=price):
            return f"rent {server} {price}"
        case Reprice(order=order, price=price):
            return f"reprice {order} {price}"
        case Withdraw(order=order):
            return f"withdraw {order}"
        case None:
            return "hold"


def _added(before: tuple[_T, ...], after: tuple[_T, ...]) -> tuple[_T, ...]:
    # Most passes add nothing, and what is remembered grows with the months.
    return () if after is before else tuple(one for one in after if one not in before)


def _written(decision: Decision) -> DecisionRecord:
    return replace(DecisionRecord.of(decision), evidence=evidence.written(decision.asked))


def _evidence(acted: Acted | None) -> str:
    if acted is None:
        return ""
    return f"{_deed(acted.decision)}: {acted.error or acted.result.value}"


def _log(report: PassReport, news: tuple[Decision, ...], policy: Policy, unread: Repeats) -> None:
    paper = {"paper": True} if policy.mode is Mode.PAPER else {}
    pass_log = log.bind(pass_id=report.pass_id, **paper)
    for alarm in report.alarms:
        pass_log.warning("daemon.blocked", what=alarm)
    for workload in report.workloads:
        say = pass_log.warning if workload.dead else pass_log.info
        decision = workload.decision
        fields = {name: fact for name, fact in decision.facts.items() if fact is not None}
        say("workload.died" if workload.dead else "workload.revived", **_subject(decision), **fields)
    if report.observed is not None:
        _log_observed(pass_log, report.observed, unread, report.at)
    acted = report.acted
    for decision in news:
        if acted is None or decision is not acted.decision:
            pass_log.debug("decision.taken", deed=_deed(decision), **_subject(decision))
    if acted is not None:
        _log_acted(pass_log, acted)


def _log_observed(
    pass_log: structlog.BoundLogger, observed: Observed, unread: Repeats, now: datetime
) -> None:
    name = type(observed.read).__name__
    if observed.result is not Result.OK:
        if unread.again(now):
            result, unsaid = observed.result.value, unread.said()
            pass_log.warning(
                "read.failed", read=name, result=result, error=observed.error, unsaid=unsaid
            )
        return
    over = unread.over(now)
    if over is not None:
        seconds = round(over[1].total_seconds())
        pass_log.info("reads.recovered", failures=over[0], seconds=seconds)
    if isinstance(observed.read, ReadMarketplace | ReadOrders | ReadWallets):
        pass_log.debug("read.done", read=name)
    for verdict in observed.verdicts:
        if verdict.settled is Settled.UNKNOWN:
            continue
        level = "error" if verdict.settled is Settled.AMBIGUOUS else "info"
        getattr(pass_log, level)(
            f"intent.{verdict.settled.value}",
            intent=verdict.intent.id,
            kind=verdict.intent.kind.value,
            server=verdict.intent.server,
            orders=list(verdict.orders),
        )
    for holding in observed.ended:
        pass_log.info(
            "order.ended",
            order=holding.order.order,
            server=holding.order.server,
            target=holding.target,
            spend=str(holding.order.spend),
        )


def _log_acted(pass_log: structlog.BoundLogger, acted: Acted) -> None:
    event = {
        PlaceBid: "bid.placed",
        RentOnDemand: "server.rented",
        Reprice: "bid.repriced",
        Withdraw: "order.withdrawn",
    }[type(acted.action)]
    fields = {**_subject(acted.decision), "deed": _deed(acted.decision)}
    if acted.intent is not None:
        fields["intent"] = acted.intent.id
    if acted.result is Result.OK:
        pass_log.info(event, **fields)
    else:
        pass_log.warning(f"{event}.failed", result=acted.result.value, error=acted.error, **fields)


def _subject(decision: Decision) -> dict[str, object]:
    fields: dict[str, object] = {"target": decision.target, "reason": decision.reason.value}
    if decision.server is not None:
        fields["server"] = decision.server
    if decision.order is not None:
        fields["order"] = decision.order
    return fields
