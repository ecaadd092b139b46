"""One round of the guard: is the daemon silent, and if so, look after its orders as the owner wished.

The round takes the daemon's own lease and goes the daemon's own way: it reads our orders, settles what
was under way, and sends through the same executor, so that it may die after any line and the next round,
or the daemon, finds out what happened. It ends when nothing is left that it could do within minutes;
whatever else there is, a later round does.
"""

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

import httpx
import structlog
from sqlalchemy import Engine

from bidder.app import snapshot
from bidder.app.handing_back import hand_back
from bidder.app.preview import preview
from bidder.app.report import Acted, PassReport, Result
from bidder.app.trading import Trader
from bidder.clock import Clock
from bidder.domain import fold, unattended
from bidder.domain.actions import Decision
from bidder.domain.agenda import ReadBook
from bidder.domain.policy import Policy
from bidder.domain.unattended import Finding, Planner, Signs, Then, WhenSilent
from bidder.errors import BidderError, LeaseHeld, Unreachable
from bidder.store.lease import Holder
from bidder.store.queries import Queries
from bidder.wiring import App, build_app

log = structlog.get_logger("bidder")

# How long a round waits without getting on: an order that was asked for just before the daemon died may
# take minutes to show.
_PATIENCE = timedelta(minutes=5)
# So many requests in a row without a usable answer, and the next round tries again.
_MOST_FAILURES = 3
_ALL = 1_000_000
# The guard's clocks are the daemon's last ones, however long ago: nobody else lowers these orders.
_EVER = timedelta(days=3650)


@dataclass(frozen=True, slots=True, kw_only=True)
class Round:
    """What a round found and did.

    ``acted`` is what was sent; ``planned`` is what would be, where only that was asked; ``left`` are
    the decisions about the orders that stay as they are. ``exposed`` is what may still be spent, as
    ``status`` shows it; None where our orders were not read. ``error`` is what cut the round short.
    """

    finding: Finding
    signs: Signs
    when: WhenSilent
    at: datetime
    dry_run: bool = False
    acted: tuple[Acted, ...] = ()
    planned: tuple[Decision, ...] = ()
    left: tuple[Decision, ...] = ()
    exposed: dict[str, Any] | None = None
    error: BidderError | None = None

    @property
    def undone(self) -> tuple[Decision, ...]:
        """Return the decisions about orders that something keeps from being looked after."""
        return tuple(decision for decision in self.left if unattended.left_undone(decision))


async def stand_guard(
    policy: Policy,
    when: WhenSilent,
    *,
    engine: Engine,
    base_url: str,
    token: str | None,
    clock: Clock,
    transport: httpx.AsyncBaseTransport | None = None,
    holder: Holder | None = None,
    dry_run: bool = False,
) -> Round:
    """Make one round and return what came of it; with ``dry_run`` nothing is sent that changes anything.

    What goes wrong on the way is in the round, beside what was done before it. ``holder`` is who makes
    it: this process, unless a simulation plays it.

    Raises:
        StoreFailed: the database could not be read.
    """
    queries = Queries(engine, policy.account)
    signs = signs_of_life(queries, clock.now(), holder)
    finding = unattended.judge(signs, when, clock.now())
    pause = unattended.SECOND_LOOK.get(finding)
    if pause is not None:
        await clock.sleep(pause.total_seconds())
        before, signs = signs, signs_of_life(queries, clock.now(), holder)
        finding = unattended.judge_again(before, signs, when, clock.now())
    found = Round(finding=finding, signs=signs, when=when, at=clock.now(), dry_run=dry_run)
    if finding is not Finding.SILENT:
        return found
    ours = _anything_of_ours(queries, policy)
    if ours:
        since = snapshot.moment(signs.seen_at)
        log.warning("guard.silent", since=since, then=when.then.value, dry_run=dry_run)
    if when.then is Then.NOTICE or not ours:
        return found
    assert signs.seen_at is not None
    planner = Planner(when=when, since=signs.seen_at)
    try:
        app = build_app(
            # Whose order a stranger's is, the daemon decides; the guard touches what is known as ours.
            policy=replace(policy, adopt=False),
            base_url=base_url,
            token=token,
            engine=engine,
            clock=clock,
            transport=transport,
            holder=holder,
            read_only=dry_run,
            unbroken_for=_EVER,
            learnt=False,  # it follows no strategy, and is not to wait for one
        )
    except LeaseHeld:
        return replace(found, finding=Finding.HELD)
    app.trader.plan = planner.plan
    # The picture is the daemon's sign of life.
    app.trader.recorder.pictures = False
    try:
        return await (_looked(app, planner, found) if dry_run else _looked_after(app, found))
    finally:
        await hand_back(app.lease, store=app.trader.store, client=app.trader.client)


def signs_of_life(queries: Queries, now: datetime, seen_from: Holder | None = None) -> Signs:
    """Return the signs of life that the database shows to ``seen_from`` (default: this process)."""
    seen, row, holder = queries.snapshot(), queries.lease(), queries.lease(now, seen_from=seen_from)
    return Signs(
        seen_at=None if seen is None else seen.at,
        holder=None if holder is None else holder.holder,
        taken_at=None if holder is None else holder.taken_at,
        lease=() if row is None else (row.fencing, row.holder, row.taken_at, row.expires_at),
    )


def _anything_of_ours(queries: Queries, policy: Policy) -> bool:
    """Return whether there is an order to look after, or a request that may have made one."""
    mine = (each for each in queries.orders(limit=_ALL) if each.mode is policy.mode)
    return any(each.holding.ours for each in mine) or bool(queries.open_intents())


async def _looked(app: App, planner: Planner, found: Round) -> Round:
    trader = app.trader
    try:
        seen = await preview(
            trader.view,
            trader.policy,
            client=trader.client,
            clock=app.clock,
            keeper=app.keeper,
            decide=planner.plan,
        )
    except BidderError as exc:
        return replace(found, error=exc, at=app.clock.now())
    exposed = snapshot.unattended(seen.view, trader.policy, seen.at)
    return replace(found, planned=seen.actions, left=seen.holds, exposed=exposed, at=seen.at)


async def _looked_after(app: App, found: Round) -> Round:
    acted: list[Acted] = []
    error: BidderError | None = None
    try:
        await _pass_after_pass(app, acted)
    except BidderError as exc:
        error = exc
    trader, now = app.trader, app.clock.now()
    left: tuple[Decision, ...] = ()
    exposed = None
    if trader.view.completed_at is not None:
        left = trader.plan(trader.view, trader.policy, now)
        exposed = snapshot.unattended(trader.view, trader.policy, now)
    done = replace(found, acted=tuple(acted), left=left, exposed=exposed, error=error, at=now)
    log.warning(
        "guard.done",
        sent=len(done.acted),
        left=len(done.left),
        undone=len(done.undone),
        error=None if error is None else str(error),
    )
    return done


async def _pass_after_pass(app: App, acted: list[Acted]) -> None:
    """Run passes until nothing is left to do now; whatever was sent is added to ``acted``.

    Raises:
        Unreachable: the exchange gave no usable answer.
        InvalidToken: the exchange refused the token.
        LeaseLost: the daemon is back.
        StoreFailed: the database failed; whatever could not be written down was not sent.
    """
    trader, clock = app.trader, app.clock
    until = clock.monotonic() + _PATIENCE.total_seconds()
    while True:
        app.keeper.before_pass()
        report = await trader.run_pass()
        _pass_over(trader, report)
        if report.acted is not None:
            acted.append(report.acted)
            if report.acted.result is Result.OK:
                until = clock.monotonic() + _PATIENCE.total_seconds()
        elif trader.view.completed_at is not None and not _pending(report.decisions):
            return
        if trader.cut_off(_MOST_FAILURES):
            seen = report.observed or report.acted
            raise Unreachable("" if seen is None else seen.error)
        if clock.monotonic() >= until:
            return
        await clock.sleep(report.sleep.total_seconds())


def _pass_over(trader: Trader, report: PassReport) -> None:
    """Set a server aside whose book cannot be read, so that the others get their turn."""
    seen = report.observed
    if seen is None or not isinstance(seen.read, ReadBook) or seen.result is Result.OK:
        return
    for holding in trader.view.holdings.values():
        if holding.order.server == seen.read.server:
            order, minutes = holding.order.order, _PATIENCE / timedelta(minutes=1)
            trader.view = fold.set_back(
                trader.view, seen.error, now=report.at, minutes=minutes, order=order
            )


def _pending(decisions: tuple[Decision, ...]) -> bool:
    return any(unattended.unfinished(decision) for decision in decisions)
