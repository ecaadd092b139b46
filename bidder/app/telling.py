"""What of a pass is worth telling the owner: notices from its report and from what is known then.

It remembers what it saw running, so that a change is told and a state is not. What stood there when
the daemon started is no news: its first reading is taken in silence.
"""

from collections.abc import Collection, Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from decimal import Decimal

from bidder.app.alarms import Alarm
from bidder.app.budgets_told import BudgetsTold
from bidder.app.database_told import DatabaseTold
from bidder.app.day_told import DayTold
from bidder.app.ends_told import EndsTold, order_facts
from bidder.app.jobs_told import JobsTold
from bidder.app.report import PassReport, Result
from bidder.domain import guard
from bidder.domain.actions import Decision, Reason, Withdraw
from bidder.domain.ids import OrderId, ServerId, spelled
from bidder.domain.intents import Settled
from bidder.domain.market import OrderKind, OwnOrder
from bidder.domain.notices import Event, Level, Notice
from bidder.domain.policy import Policy
from bidder.domain.view import Holding, View
from bidder.errors import BidderError, InvalidToken, NoRate

# How long the exchange may take to say how a server that was won is reached.
_ACCESS_WITHIN = timedelta(minutes=2)
_NEARLY, _AGAIN_BELOW = Decimal("0.9"), Decimal("0.8")
_MOST_FORMER = 200
_MOVES = frozenset({Reason.MOVE, Reason.WAR, Reason.SERVER_LOST})


@dataclass(slots=True)
class Teller:
    """Turns passes into notices."""

    _running: dict[OrderId, bool | None] | None = None
    _won: dict[OrderId, datetime] = field(default_factory=dict)
    _holdings: object = None
    _over_budget: bool = False
    _unreachable_since: datetime | None = None
    _told_unreachable: bool = False
    database: DatabaseTold = field(default_factory=DatabaseTold)
    _day: DayTold = field(default_factory=DayTold)
    _jobs: JobsTold = field(default_factory=JobsTold)
    _budgets: BudgetsTold = field(default_factory=BudgetsTold)
    _ends: EndsTold = field(default_factory=EndsTold)

    def notices(
        self, report: PassReport, view: View, policy: Policy, *, unreachable: bool
    ) -> tuple[Notice, ...]:
        """Return what a pass brought that the owner should be told, before it is marked as of paper."""
        if self._running is None:
            # What we held before is known; what it does now is read first.
            self._running = dict.fromkeys(view.holdings)
        for holding in () if report.observed is None else report.observed.ended:
            self._running.pop(holding.order.order, None)
        return (
            *_settled(report),
            *_moved(report),
            *self._ends.notices(report, view, policy),
            *self._positions(report.at, view),
            *self._budget(report.at, view, policy),
            *self._budgets.notices(report.at, view, policy, _decided(report)),
            *_workloads(report),
            *self._jobs.notices(report.at, view, policy),
            *_alarms(report.alarms_raised, report.at),
            *self._reach(report.at, policy, unreachable=unreachable),
            *self.database.passed(report),
            *self._day.notices(report.at, view, policy),
        )

    def _positions(self, now: datetime, view: View) -> Iterator[Notice]:
        if view.holdings is not self._holdings:
            self._holdings = view.holdings
            self._forget(view)
            for holding in view.holdings.values():
                if holding.ours:
                    yield from self._position(holding, now, view)
        for order in list(self._won):
            won = view.holdings.get(order)
            if won is None:
                del self._won[order]
            elif _reachable(won.order) or now - self._won[order] >= _ACCESS_WITHIN:
                del self._won[order]
                yield _won(won, now, view)

    def _forget(self, view: View) -> None:
        """Forget orders that are long over: months bring thousands of them."""
        assert self._running is not None
        if len(self._running) > len(view.holdings) + _MOST_FORMER:
            self._running = {
                order: runs for order, runs in self._running.items() if order in view.holdings
            }

    def _position(self, holding: Holding, now: datetime, view: View) -> Iterator[Notice]:
        assert self._running is not None
        order = holding.order.order
        runs = True if holding.order.kind is OrderKind.ON_DEMAND else holding.active
        if runs is None:
            return
        new = order not in self._running
        before = self._running.get(order)
        self._running[order] = runs
        if runs and (new or before is False):
            self._won.setdefault(order, now)
        elif not runs and before:
            self._won.pop(order, None)
            yield _lost(holding, now, view)

    def _budget(self, now: datetime, view: View, policy: Policy) -> Iterator[Notice]:
        limit = policy.rails.max_usd_per_day
        if limit is None or limit <= 0:
            return
        try:
            share = guard.committed_usd(view) / limit
        except NoRate:
            return
        if share >= _NEARLY and not self._over_budget:
            self._over_budget = True
            yield Notice(
                event=Event.BUDGET,
                level=Level.WARNING,
                at=now,
                title=f"the bids use {share:.0%} of max_usd_per_day",
                text=f"All bids together come to {share * limit:.2f} of {limit} USD per day.",
                key="max_usd_per_day",
                facts={"share": float(round(share, 4)), "limit_usd": str(limit)},
            )
        elif share < _AGAIN_BELOW:
            self._over_budget = False

    def _reach(self, now: datetime, policy: Policy, *, unreachable: bool) -> Iterator[Notice]:
        if not unreachable:
            if self._told_unreachable:
                yield _reach_notice(now, "the exchange answers again", Level.INFO, "")
            self._unreachable_since, self._told_unreachable = None, False
            return
        # Where the calendar was set back, what lies ahead of now began now.
        self._unreachable_since = min(self._unreachable_since or now, now)
        lasted = now - self._unreachable_since
        if lasted >= policy.pace.alarm_after and not self._told_unreachable:
            self._told_unreachable = True
            minutes = int(lasted.total_seconds() // 60)
            text = "Bids stand as they are; nothing can be raised, lowered or cancelled meanwhile."
            title = f"the exchange has given no usable answer for {minutes} minutes"
            yield _reach_notice(now, title, Level.WARNING, text)


def sentence(text: str) -> str:
    """Return a text with a full stop at its end, unless it ends in a mark of its own."""
    return text if text.endswith((".", "!", "?")) else f"{text}."


def _decided(report: PassReport) -> Iterator[Decision]:
    yield from report.decisions
    if report.acted is not None:
        yield report.acted.decision


def ended_trading(failure: BaseException, at: datetime) -> Notice:
    """Return the notice of what ended trading."""
    refused = isinstance(failure, InvalidToken)
    # What a foreign error says may quote a secret.
    reason = str(failure) if isinstance(failure, BidderError) else type(failure).__name__
    return Notice(
        event=Event.TOKEN_REFUSED if refused else Event.STOPPED,
        level=Level.URGENT,
        at=at,
        title="the exchange refused the API token" if refused else "trading has stopped",
        text=f"{sentence(reason)} Orders stay as they are, and nobody looks after them.",
        key=type(failure).__name__,
    )


def left_running(orders: Collection[OwnOrder], at: datetime) -> Notice:
    """Return the notice of orders that were to be cancelled on exit and still run."""
    numbers = ", ".join(spelled(order.order) for order in orders)
    return Notice(
        event=Event.STOPPED,
        level=Level.URGENT,
        at=at,
        title=f"the daemon has stopped, and {len(orders)} of its orders may run on",
        text=f"Not cancelled: {numbers}. Nobody looks after them; `bidder cancel --all` ends them.",
        key="left_running",
        facts={"orders": len(orders)},
    )


def reload_refused(reason: str, at: datetime) -> Notice:
    """Return the notice of a configuration that was read again and cannot be used."""
    return Notice(
        event=Event.RELOAD_REFUSED,
        level=Level.WARNING,
        at=at,
        title="the new configuration is refused",
        text=f"{sentence(reason)} Trading goes on with the old one.",
        key=reason,
    )


def _reachable(order: OwnOrder) -> bool:
    return bool(order.access.pub_cluster)


def _won(holding: Holding, now: datetime, view: View) -> Notice:
    order, access = holding.order, holding.order.access
    host = access.pub_cluster[0] if access.pub_cluster else None
    lines = [f"{holding.target}: {order.price} per day, until {order.ends_at:%Y-%m-%d %H:%M} UTC"]
    if host is not None:
        for pair in access.tcp_ports:
            inside, _, outside = pair.partition(":")
            lines.append(f"port {inside}: {host}:{outside}")
        if access.http_port is not None:
            lines.append(f"port {access.http_port} by HTTPS: https://{host}")
    else:
        lines.append("the exchange has not said yet how to reach it; see `bidder orders`")
    listing = view.marketplace.listings.get(order.server)
    gpu = "" if listing is None or not listing.specs.gpu else f" ({listing.specs.gpu})"
    facts = {
        **order_facts(order, holding.target),
        "host": host,
        "hosts": " ".join(access.pub_cluster),
        "tcp_ports": " ".join(access.tcp_ports),
        "http_port": access.http_port,
    }
    return Notice(
        event=Event.WON,
        level=Level.INFO,
        at=now,
        title=f"server {order.server}{gpu} is yours",
        text="\n".join(lines),
        key=str(order.order),
        facts=facts,
    )


def _lost(holding: Holding, now: datetime, view: View) -> Notice:
    order = holding.order
    seen = view.books.get(order.server)
    running = None if seen is None else seen.book.active()
    facts = order_facts(order, holding.target)
    if running is not None and not running.mine:
        return Notice(
            event=Event.OUTBID,
            level=Level.INFO,
            at=now,
            title=f"outbid on server {order.server}",
            text=f"{holding.target}: a rival bids {running.price} per day, we bid {order.price}",
            key=str(order.order),
            facts={**facts, "rival": str(running.price)},
        )
    return Notice(
        event=Event.DISPLACED,
        level=Level.WARNING,
        at=now,
        title=f"server {order.server} is lost",
        text=f"{holding.target}: nobody's bid runs there: rented on demand, offline or withdrawn",
        key=str(order.order),
        facts=facts,
    )


def _settled(report: PassReport) -> Iterator[Notice]:
    if report.observed is None:
        return
    for verdict in report.observed.verdicts:
        if verdict.settled is not Settled.AMBIGUOUS:
            continue
        intent = verdict.intent
        orders = ", ".join(map(spelled, verdict.orders))
        yield Notice(
            event=Event.AMBIGUOUS,
            level=Level.URGENT,
            at=report.at,
            title=f"server {intent.server} is frozen: a person must look",
            text=f"{intent.target}: one request, several orders that may be its: {orders}. Cancel the"
            " ones that are too many, with `bidder cancel`.",
            key=_frozen_key(intent.target, intent.server),
            facts={"server": intent.server, "target": intent.target, "intent": intent.id},
        )


def _frozen_key(target: str | None, server: ServerId | None) -> str:
    # However it was found out, it is one thing to tell.
    return f"{target}:{server}"


def _moved(report: PassReport) -> Iterator[Notice]:
    acted = report.acted
    if acted is None or acted.result is not Result.OK or not isinstance(acted.action, Withdraw):
        return
    decision, action = acted.decision, acted.action
    moved = decision.reason in _MOVES
    to = decision.facts.get("to_server")
    reason = decision.reason.value
    where = f" for server {to}" if to is not None else ""
    yield Notice(
        event=Event.MOVED if moved else Event.ENDED,
        level=Level.INFO,
        at=report.at,
        title=f"order {spelled(action.order)} on server {action.server} was given up{where}",
        text=f"{action.target}: {reason}",
        key=str(action.order),
        facts={**decision.facts, "order": action.order, "server": action.server, "reason": reason},
    )


def _workloads(report: PassReport) -> Iterator[Notice]:
    for each in report.workloads:
        decision = each.decision
        since, found = decision.facts["dead_since"], decision.facts.get("found")
        whose = f"of order {decision.order} on server {decision.server}"
        kept = decision.facts.get("kept") or "the order is given up for another server"
        yield Notice(
            event=Event.WORKLOAD_DEAD if each.dead else Event.WORKLOAD_ALIVE,
            level=Level.WARNING if each.dead else Level.INFO,
            at=report.at,
            title=f"the workload {whose} is dead" if each.dead else f"the workload {whose} lives again",
            text=f"{decision.target}: no sign of life since {since} ({found}), and it is paid; {kept}"
            if each.dead
            else f"{decision.target}: it was silent since {since}",
            key=str(decision.order),
            facts={
                **decision.facts,
                "order": decision.order,
                "server": decision.server,
                "target": decision.target,
            },
        )


def _alarms(raised: tuple[Alarm, ...], at: datetime) -> Iterator[Notice]:
    for alarm in raised:
        if alarm.key == "unreachable":
            continue  # told by its own notice, with its end
        event, level = Event.BLOCKED, Level.WARNING
        key = alarm.key
        if alarm.of_money:
            event = Event.BUDGET
        elif alarm.frozen is not None:
            event, level, key = Event.AMBIGUOUS, Level.URGENT, _frozen_key(*alarm.frozen)
        yield Notice(event=event, level=level, at=at, title=alarm.text, text="", key=key)


def _reach_notice(at: datetime, title: str, level: Level, text: str) -> Notice:
    return Notice(event=Event.UNREACHABLE, level=level, at=at, title=title, text=text, key="exchange")
