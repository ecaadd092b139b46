"""The one pass, top to bottom: observe, settle, decide, act, record, tell.

A pass looks, decides, does the most urgent thing that the request budget allows and forgets the
rest. When the last look already shows something to do, the pass does that and looks again next time.
"""

from collections import Counter
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

import structlog

from bidder.app import alarms, commands, recording
from bidder.app.executor import Executor
from bidder.app.observe import observe
from bidder.app.paper import PaperClient
from bidder.app.recalling import read_again, recalled
from bidder.app.relearning import with_lessons
from bidder.app.report import Acted, Observed, PassReport, Result
from bidder.clock import Clock
from bidder.domain import agenda, budgets, fold, planning, price_rules, workloads
from bidder.domain.actions import Decision, PlaceBid, Reason, RentOnDemand, Withdraw
from bidder.domain.agenda import ReadBook
from bidder.domain.ids import OrderId
from bidder.domain.policy import Policy
from bidder.domain.probe import Sign
from bidder.domain.view import View
from bidder.errors import InvalidToken, RateLimited, StoreBusy, StoreFailed
from bidder.exchange.client import ExchangeClient
from bidder.store.records import Request
from bidder.store.store import Store

# After failures in a row the pace slows: the exchange is down, and hammering does not mend it.
_BACK_OFF = (0.0, 1.0, 2.0, 5.0, 10.0, 20.0, 30.0, 60.0)
_COMMANDS_EVERY = 2.0
_LEFT_MINUTES = 60
_CANCEL_AGAIN = timedelta(seconds=60)
# One that was not even looked at comes again sooner, but lets reads in between.
_UNHEARD_AGAIN = timedelta(seconds=10)
_LONGEST_SLEEP = timedelta(seconds=2)
# A budget runs low by the clock alone, between two reads: what it leaves is looked at again.
_BUDGETS_EVERY = 30.0
# The calendar may differ from the count of seconds by this much before it has been set, or the
# machine has slept.
_STEADY = timedelta(seconds=5)
# A clock that is corrected little by little runs fast by less than this within one pass.
_SLEWED = timedelta(seconds=0.1)

log = structlog.get_logger("bidder")


@dataclass(frozen=True, slots=True, kw_only=True)
class Refusal:
    """How the exchange refused the cancellation that the owner asked for.

    ``error`` is None where it was too busy to look at it; ``heard`` is the newest command that was
    known at that time, so that one of a later number asks anew, whoever's clock dates it.
    """

    at: datetime
    error: str | None
    heard: int

    @property
    def again_at(self) -> datetime:
        """Return when the same command may be tried again."""
        return self.at + (_UNHEARD_AGAIN if self.error is None else _CANCEL_AGAIN)


@dataclass(slots=True, kw_only=True)
class Trader:
    """One account's trading: the parts, what is known, and what the last pass decided."""

    client: ExchangeClient
    store: Store
    clock: Clock
    policy: Policy
    plan: planning.Plan = planning.plan
    view: View = field(default_factory=View)
    decisions: tuple[Decision, ...] = ()
    pass_id: int = 0
    failures: int = 0
    # Creations in a row that never left, or were not even looked at, by target.
    undone: Counter[str | None] = field(default_factory=Counter)
    last_answer_at: datetime | None = None
    watch: alarms.Watch = field(default_factory=alarms.Watch)
    recorder: recording.Recorder = field(default_factory=recording.Recorder)
    errands: tuple[Request, ...] = ()
    next_policy: Policy | None = None  # goes into force between two passes, never within one
    next_lessons: View | None = None  # what the next policy's targets have yet to learn
    refused: dict[OrderId, Refusal] = field(default_factory=dict)
    signs: list[Sign] = field(default_factory=list)  # what probes found since the last pass
    told_dead: workloads.Told = field(default_factory=dict)
    _commands_at: float = -1e9
    _heard: int = 0  # the number of the newest command
    _began_at: float = 0.0
    _decided_on: View | None = None
    _decided_at: float = 0.0
    _times: tuple[datetime, float] | None = None  # calendar and monotonic, when last compared
    _creates_from: float = -1e9
    _doubted: bool = False  # what is on disk may be another thing than what we know

    async def run_pass(self) -> PassReport:
        """Run one pass and return what it did.

        Raises:
            InvalidToken: the exchange refused the token; trading ends.
            LeaseLost: another daemon trades this account now.
            StoreFailed: the database failed; the next pass begins with what is on disk.
        """
        try:
            return await self._one_pass()
        except StoreBusy:
            raise  # nothing was written, for certain
        except StoreFailed:
            self._doubted = True
            raise
        except InvalidToken:
            # Whoever starts next must not come too soon after this request; but a database that fails
            # now must not hide that trading is over.
            try:
                self.note_requests()
            except StoreFailed as exc:
                log.warning("requests.unnoted", error=str(exc))
            raise

    async def _one_pass(self) -> PassReport:
        self._mind_the_calendar()
        self._mind_the_database()
        self.pass_id += 1
        self._began_at = self.clock.monotonic()
        self._go_by_next_policy()
        died = self._take_signs()
        before = self.view
        observed: Observed | None = None
        self._hear()
        decisions = self._decisions()
        chosen = self._ready(decisions)
        wake_at = self.clock.now()
        if wait := self._wait():
            # Heard, decided and told is all the same.
            wake_at += timedelta(seconds=wait)
        elif chosen is None and self.errands:
            await self._run_errand(self.errands[0])
        elif chosen is None:
            plan = agenda.next_read(self.view, decisions, self.policy, self.clock.now())
            wake_at = plan.wake_at
            if plan.read is not None:
                observed = await self._observe(plan.read)
                decisions = self._decide()
                chosen = self._ready(decisions)
        acted = None if chosen is None else await self._act(chosen)
        self.decisions = decisions
        return self._record(before, observed, acted, wake_at, died)

    def _go_by_next_policy(self) -> None:
        if self.next_policy is None:
            return
        before, self.policy, self.next_policy = self.policy, self.next_policy.in_force, None
        self.view = fold.policy_changed(self.view, before, self.policy)
        if self.next_lessons is not None:
            self.view, self.next_lessons = with_lessons(self.view, self.next_lessons), None
        if isinstance(self.client, PaperClient):
            self.client.go_by(self.view.rates)
        # Decided anew also where the view is the same: the wish is another one.
        self._decided_on = None

    def _take_signs(self) -> tuple[workloads.Told, tuple[workloads.News, ...]]:
        """Fold what probes found, and return what of it is news: before anything is cancelled for it."""
        now, signs = self.clock.now(), tuple(self.signs)
        self.signs.clear()
        self.view = fold.probed(self.view, signs, self.policy, now)
        return workloads.news(self.told_dead, self.view, self.policy, now)

    def _mind_the_calendar(self) -> None:
        """Start anew where the calendar has jumped: what we know is dated by another clock.

        A suspended machine looks the same, and all that it knows is old. Raises StoreFailed.
        """
        now, seconds = self.clock.now(), self.clock.monotonic()
        if self._times is not None:
            at, counted = self._times
            jump = now - at - timedelta(seconds=seconds - counted)
            if abs(jump) > _STEADY:
                log.warning("clock.jumped", seconds=round(jump.total_seconds(), 1))
                restarted = recalled(self.store.load(now), self.policy, now)
                clocks = {
                    order: replace(h, clock=replace(h.clock, opens_at=now + price_rules.LOWERING_PAUSE))
                    for order, h in restarted.holdings.items()
                }
                # How long a workload is dead was counted by another calendar.
                self.view = replace(restarted, holdings=clocks, pulses={})
                self.watch = alarms.Watch()
                self.decisions, self.refused = (), {}
                self.signs.clear()
                self.recorder.vitals.jumped(now, jump.total_seconds())
                self._record_all_anew()
            elif jump > _SLEWED:
                # By the exchange's clock as much is missing of each pause that is under way.
                self.view = fold.clocks_put_off(self.view, jump, since=at)
        self._times = (now, seconds)

    def _mind_the_database(self) -> None:
        """Start anew where the database has failed: a commit may be kept although it was called failed.

        With a server that happens where the connection ends before the answer does. Raises StoreFailed.
        """
        if not self._doubted:
            return
        now = self.clock.now()
        self.view = read_again(self.store.load(now), self.view, self.policy, now)
        self.decisions = ()
        self._record_all_anew()
        self._doubted = False
        log.info("store.read_again", orders=len(self.view.holdings), intents=len(self.view.intents))

    def _record_all_anew(self) -> None:
        self.recorder = recording.Recorder(pictures=self.recorder.pictures, vitals=self.recorder.vitals)

    def note_requests(self) -> None:
        """Keep when we sent last, for whoever talks to the exchange next; raises StoreFailed."""
        limiter = self.client.limiter
        self.store.note_requests(
            last_request_at=limiter.last_request_at, last_creation_at=limiter.last_creation_at
        )

    def _hear(self) -> None:
        """Take the owner's commands; the wish to cancel stays posted until it is carried out."""
        if self.clock.monotonic() - self._commands_at < _COMMANDS_EVERY:
            return
        self._commands_at = self.clock.monotonic()
        now = self.clock.now()
        waiting = self.store.open_requests()
        self._forget_refusals(waiting, now)
        waiting = self._give_up(waiting, now)
        heard = commands.hear(waiting, self.view, self.policy.mode, now)
        if heard.paused is not None and heard.paused != self.view.paused:
            self.store.set_paused(paused=heard.paused, at=now, note="command")
            self.view = replace(self.view, paused=heard.paused)
        for request, outcome in heard.finished:
            self.store.finish_request(request.id, outcome=outcome, at=now)
        self.recorder.ordered = heard.withdrawals
        self.errands = heard.errands

    async def _run_errand(self, request: Request) -> None:
        self.errands = tuple(each for each in self.errands if each is not request)
        outcome = f"{commands.FAILED}interrupted"
        try:
            outcome = await commands.run_errand(request, self.client)
        except InvalidToken as exc:
            outcome = f"{commands.FAILED}{exc}"
            raise
        finally:
            self.store.finish_request(request.id, outcome=outcome, at=self.clock.now())

    def _note_ordered(self, acted: Acted, *, limited: bool) -> None:
        """Remember how a cancellation that the owner asked for went."""
        order, server = acted.decision.order, acted.decision.server
        if acted.decision.reason is not Reason.ORDERED or order is None or server is None:
            return
        now = self.clock.now()
        if acted.result is Result.REFUSED:
            error = None if limited else acted.error
            self.refused[order] = Refusal(at=now, error=error, heard=self._heard)
        elif acted.result is Result.OK:
            # Whoever cancels by hand has had enough of that server at present.
            self.view = fold.set_back(
                self.view, "cancelled by the owner", now=now, minutes=_LEFT_MINUTES, server=server
            )

    def _note_replaced(self, acted: Acted) -> None:
        """Count an order that went because its workload was dead, also where its end is in doubt."""
        action = acted.action
        sent = acted.result in {Result.OK, Result.IN_DOUBT}
        if sent and acted.decision.reason is Reason.WORKLOAD_DEAD and isinstance(action, Withdraw):
            self.view = fold.replaced(self.view, action, self.clock.now())

    def _give_up(self, requests: tuple[Request, ...], now: datetime) -> tuple[Request, ...]:
        """Answer the cancellations that were refused although the order lives; return the others."""
        left = []
        for request in requests:
            order = commands.order_of(request) if request.kind == "cancel" else None
            refusal = self.refused.get(order) if order is not None else None
            holding = self.view.holdings.get(order) if order is not None else None
            read_at = self.view.orders_at
            if refusal is None or refusal.error is None or holding is None:
                left.append(request)
            elif read_at is not None and read_at > refusal.at and not holding.missing_reads:
                outcome = f"{commands.FAILED}{refusal.error}"
                self.store.finish_request(request.id, outcome=outcome, at=now)
            else:
                left.append(request)
        return tuple(left)

    def _forget_refusals(self, requests: tuple[Request, ...], now: datetime) -> None:
        """Forget what holds nothing back: the owner asked anew since, or the order is over."""
        for order, refusal in tuple(self.refused.items()):
            meant = [r.id for r in requests if r.kind == "cancel_all" or commands.order_of(r) == order]
            anew = any(number > refusal.heard for number in meant)
            over = not meant and refusal.again_at <= now
            if anew or over or order not in self.view.holdings:
                del self.refused[order]
        self._heard = max((self._heard, *(request.id for request in requests)))

    def _decisions(self) -> tuple[Decision, ...]:
        """Return the last pass's decisions where nothing can have changed since, else new ones."""
        now = self.clock.now()
        same = (
            self.view is self._decided_on
            and not self.recorder.ordered
            and all(d.action is None for d in self.decisions)
            and not any(d.due is not None and d.due <= now for d in self.decisions)
            and not self._budgets_are_old()
        )
        return self.decisions if same else self._decide()

    def _budgets_are_old(self) -> bool:
        aged = self.clock.monotonic() - self._decided_at >= _BUDGETS_EVERY
        return aged and bool(budgets.limits(self.policy))

    def _decide(self) -> tuple[Decision, ...]:
        self._decided_on, self._decided_at = self.view, self.clock.monotonic()
        planned = self.plan(self.view, self.policy, self.clock.now())
        now = self.clock.now()
        # Also the owner's cancellations wait after a refusal: asking each second mends nothing.
        waiting = {order for order, refusal in self.refused.items() if now < refusal.again_at}
        ordered = tuple(
            d
            for d in self.recorder.ordered
            if d.order in self.view.holdings
            and d.order not in waiting
            and d.server is not None
            and self.view.intent_on(d.server) is None
        )
        taken = {d.order for d in ordered}
        return (*ordered, *(d for d in planned if d.order is None or d.order not in taken))

    def _ready(self, decisions: tuple[Decision, ...]) -> Decision | None:
        """Return the most urgent action that may be sent now.

        A target whose creations come to nothing lets all others go first.
        """
        if self.view.completed_at is None or self._wait() > 0:
            return None
        creation_wait = self.client.limiter.ready_in(creation=True)
        plain_wait = self.client.limiter.ready_in()
        may_create = creation_wait <= plain_wait + 1.0 and self.clock.monotonic() >= self._creates_from
        ready = (d for d in decisions if d.action is not None and (may_create or not _creates(d)))
        return min(ready, key=lambda d: self.undone[d.target] if _creates(d) else 0, default=None)

    async def _observe(self, read: agenda.Read) -> Observed:
        before = self.view
        self.view, observed = await observe(
            read, self.view, self.policy, client=self.client, clock=self.clock
        )
        self._note_health(ok=observed.result is Result.OK)
        if observed.result is not Result.OK and isinstance(read, ReadBook):
            # A candidate whose book cannot be read must not be asked for again and again.
            self.view = replace(self.view, candidate_read_at=self.clock.now())
        if observed.verdicts or observed.changed or observed.ended or observed.booked:
            try:
                recording.settle(self.store, observed, at=self.clock.now())
            except StoreFailed:
                # What is not on disk has not been seen: the next read of our orders shows it again.
                self.view = before
                raise
        return observed

    async def _act(self, decision: Decision) -> Acted:
        if decision.reason is Reason.WORKLOAD_DEAD:
            # The breaker counts it by what is written down, also where the process dies right after.
            recording.note(self.store, decision, pass_id=self.pass_id, at=self.clock.now())
        executor = Executor(client=self.client, store=self.store, clock=self.clock)
        self.view, acted = await executor.carry_out(decision, self.view)
        self._doubted = self._doubted or acted.unstored
        # Refused for too many requests, it was not even looked at: that is no answer to anybody.
        call = self.client.last_call
        limited = call is not None and call.outcome == RateLimited.__name__
        self._note_ordered(acted, limited=limited)
        self._note_replaced(acted)
        self._note_health(ok=acted.result in {Result.OK, Result.REFUSED} and not limited)
        if isinstance(acted.action, PlaceBid | RentOnDemand):
            self._note_creation(
                acted.action.target, done=acted.result is not Result.NOT_SENT and not limited
            )
        return acted

    def _note_creation(self, target: str, *, done: bool) -> None:
        """Slow down creations that come to nothing, also while everything else is answered.

        They count for no breaker, and neither does a request that never left for the limiter.
        """
        if done:
            self.undone.clear()
            return
        self.undone[target] += 1
        # A step more than after any failure: something else has a turn before the next one.
        pause = _BACK_OFF[min(self.undone.total() + 1, len(_BACK_OFF) - 1)]
        self._creates_from = self.clock.monotonic() + pause

    def cut_off(self, most: int) -> bool:
        """Return whether ``most`` requests in a row have failed, or reads of our orders at the start.

        Before those are read nothing can be done, whatever else is answered.
        """
        unread = self.view.unread.reads.get(agenda.subject(agenda.ReadOrders(completed=True)))
        blind = self.view.completed_at is None and unread is not None and unread.count >= most
        return blind or self.failures >= most

    def _note_health(self, *, ok: bool) -> None:
        if ok:
            self.failures = 0
            self.last_answer_at = self.clock.now()
        else:
            self.failures += 1

    def _record(
        self,
        before: View,
        observed: Observed | None,
        acted: Acted | None,
        wake_at: datetime,
        died: tuple[workloads.Told, tuple[workloads.News, ...]],
    ) -> PassReport:
        now = self.clock.now()
        present = alarms.causes(self.view, self.decisions, self.policy, unreachable=self.failures > 0)
        watch, tell = alarms.watch(self.watch, present, self.policy, now)
        report = PassReport(
            pass_id=self.pass_id,
            at=now,
            observed=observed,
            decisions=self.decisions,
            acted=acted,
            alarms=tuple(alarm.text for alarm in tell),
            alarms_raised=tell,
            standing=tuple(alarm.text for alarm in present if alarm.key in watch.told),
            workloads=died[1],
            sleep=self._sleep(observed, acted, wake_at, now),
            idle_until=wake_at if observed is None and acted is None else None,
            calls=self.client.take_calls(),
            seconds=self.clock.monotonic() - self._began_at,
            commits=self.store.take_commits(),
        )
        self.recorder.record(
            report,
            before,
            self.view,
            self.policy,
            store=self.store,
            limiter=self.client.limiter,
            told=died[0],
        )
        # Only now: an alarm that a failing database kept back has not been told.
        self.watch, self.told_dead = watch, died[0]
        return report

    def _sleep(
        self, observed: Observed | None, acted: Acted | None, wake_at: datetime, now: datetime
    ) -> timedelta:
        """Return how long until the next pass: the limiter names the slot, the agenda the need."""
        slot = timedelta(seconds=self.client.limiter.ready_in())
        if slot > 2 * _LONGEST_SLEEP:
            return _LONGEST_SLEEP
        if observed is not None or acted is not None:
            return max(slot, timedelta(seconds=self._pause()))
        return max(slot, min(wake_at - now, _LONGEST_SLEEP), timedelta(0))

    def _wait(self) -> float:
        """Return for how long the limiter lets nothing leave, where a pass must not wait for it; or 0.

        Waiting within a request it would hear no command, tell no alarm and show no sign of life, and
        what it sent at last would have been decided long ago.
        """
        wait = self.client.limiter.ready_in()
        return wait if wait > _LONGEST_SLEEP.total_seconds() else 0.0

    def _pause(self) -> float:
        """Return how many seconds to leave the exchange alone after failures.

        While nothing but one endpoint has failed, the others may well answer: what fails there is
        put off by itself.
        """
        if len(self.view.unread.silent()) > 1:
            return _BACK_OFF[min(self.failures, len(_BACK_OFF) - 1)]
        return _BACK_OFF[min(self.failures, 1)]


def _creates(decision: Decision) -> bool:
    return isinstance(decision.action, PlaceBid | RentOnDemand)
