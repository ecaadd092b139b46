"""The one pass, top to bottom: observe, settle, decide, act, record, tell.

A pass looks, decides, does the most urgent thing that the request budget allows and forgets the
rest. When the last look already shows something to do, the pass does that and looks again next time.
"""

from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

import structlog

from bidder.app import alarms, commands, recording
from bidder.app.executor import Executor
from bidder.app.observe import observe
from bidder.app.pace import Pace
from bidder.app.paper import PaperClient
from bidder.app.recalling import after_jump, read_again
from bidder.app.refusals import Refusals
from bidder.app.relearning import with_lessons
from bidder.app.report import Acted, Observed, PassReport, Result
from bidder.app.token_doubt import TokenDoubt
from bidder.clock import Clock
from bidder.domain import agenda, budgets, fold, planning, turns, workloads
from bidder.domain.actions import Decision, PlaceBid, Reason, RentOnDemand, Withdraw
from bidder.domain.agenda import ReadBook, ReadOrders, ReadWallets
from bidder.domain.policy import Policy
from bidder.domain.probe import Sign
from bidder.domain.view import View
from bidder.errors import InvalidToken, RateLimited, StoreBusy, StoreFailed
from bidder.exchange.client import ExchangeClient
from bidder.store.records import Request
from bidder.store.store import Store

_COMMANDS_EVERY = 2.0
_LEFT_MINUTES = 60
_LONGEST_SLEEP = timedelta(seconds=2)
# A budget runs low by the clock alone, between two reads: what it leaves is looked at again.
_BUDGETS_EVERY = 30.0
# The calendar may differ from the count of seconds by this much before it has been set, or the
# machine has slept.
_STEADY = timedelta(seconds=5)
# A clock that is corrected little by little runs fast by less than this within one pass.
_SLEWED = timedelta(seconds=0.1)

log = structlog.get_logger("bidder")


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
    pace: Pace = field(default_factory=Pace)
    watch: alarms.Watch = field(default_factory=alarms.Watch)
    recorder: recording.Recorder = field(default_factory=recording.Recorder)
    errands: tuple[Request, ...] = ()
    next_policy: Policy | None = None  # goes into force between two passes, never within one
    next_lessons: View | None = None  # what the next policy's targets have yet to learn
    refusals: Refusals = field(default_factory=Refusals)
    signs: list[Sign] = field(default_factory=list)  # what probes found since the last pass
    told_dead: workloads.Told = field(default_factory=dict)
    token_doubt: TokenDoubt = field(default_factory=TokenDoubt)
    _commands_at: float = -1e9
    _began_at: float = 0.0
    _decided_on: View | None = None
    _decided_at: float = 0.0
    _times: tuple[datetime, float] | None = None  # calendar and monotonic, when last compared
    _doubted: bool = False  # what is on disk may be another thing than what we know

    @property
    def failures(self) -> int:
        """Return how many requests in a row have failed."""
        return self.pace.failures

    async def run_pass(self) -> PassReport:
        """Run one pass and return what it did.

        Raises:
            InvalidToken: the exchange refused the token, also when it was asked again; trading ends.
            LeaseLost: another daemon trades this account now.
            StoreFailed: the database failed; the next pass begins with what is on disk.
        """
        try:
            return await self._pass_or_doubt()
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

    async def _pass_or_doubt(self) -> PassReport:
        try:
            return await self._one_pass()
        except InvalidToken as exc:
            if self.token_doubt.refused(self.clock.monotonic()):
                raise
            log.warning("token.doubted", error=str(exc))
            self.pace.note(ok=False, at=self.clock.now())
            return self._record(self.view, None, None, self.clock.now(), (self.told_dead, ()))

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
        chosen = None if self.pace.reads_first else self._ready(decisions)
        wake_at = self.clock.now()
        if wait := self._wait():
            # Heard, decided and told is all the same.
            wake_at += timedelta(seconds=wait)
        elif self.token_doubt.standing:
            observed = await self._observe(ReadOrders(completed=self.view.completed_at is None))
            if observed.result is not Result.OK:
                self.token_doubt.unanswered(self.clock.monotonic())
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
                self.view = after_jump(self.store.load(now), self.view, self.policy, now)
                self.watch = alarms.Watch()
                self.decisions = ()
                self.refusals.by_order.clear()
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
        self.signs.clear()
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
        self.refusals.forget(waiting, self.view.holdings, now)
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
            self.refusals.note(order, error=None if limited else acted.error, at=now)
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
            outcome = self.refusals.final(request, self.view)
            if outcome is None:
                left.append(request)
            else:
                self.store.finish_request(request.id, outcome=outcome, at=now)
        return tuple(left)

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
        resting = self.refusals.resting(now)
        ordered = tuple(
            d
            for d in self.recorder.ordered
            if d.order in self.view.holdings and d.order not in resting and commands.may_go(d, self.view)
        )
        taken = {d.order for d in ordered}
        return (*ordered, *(d for d in planned if d.order is None or d.order not in taken))

    def _ready(self, decisions: tuple[Decision, ...]) -> Decision | None:
        """Return the most urgent action that may be sent now."""
        if self.view.completed_at is None or self._wait() > 0 or self.token_doubt.standing:
            return None
        seconds = self.clock.monotonic()
        return self.pace.most_urgent(decisions, self.client.limiter, seconds=seconds)

    async def _observe(self, read: agenda.Read) -> Observed:
        before = self.view
        self.view, observed = await observe(
            read, self.view, self.policy, client=self.client, clock=self.clock
        )
        self.pace.note(ok=observed.result is Result.OK, at=self.clock.now())
        self.pace.note_read()
        if observed.result is Result.OK and isinstance(read, ReadOrders | ReadWallets):
            self.token_doubt.accepted()
        if observed.result is not Result.OK and isinstance(read, ReadBook):
            # A candidate whose book cannot be read must not be asked for again and again.
            self.view = replace(self.view, candidate_read_at=self.clock.now())
        if isinstance(read, ReadBook) and read.target is not None:
            had = turns.taken(self.view.turns, read.target, self.clock.now())
            self.view = replace(self.view, turns=had)
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
        answered = acted.result in {Result.OK, Result.REFUSED} and not limited
        self.pace.note(ok=answered, at=self.clock.now())
        self.pace.note_action(done=acted.result in {Result.OK, Result.IN_DOUBT})
        if isinstance(acted.action, PlaceBid | RentOnDemand):
            done = acted.result is not Result.NOT_SENT and not limited
            self.pace.note_creation(acted.action.target, done=done, seconds=self.clock.monotonic())
        return acted

    def cut_off(self, most: int) -> bool:
        """Return whether ``most`` requests in a row have failed, or reads of our orders at the start.

        Before those are read nothing can be done, whatever else is answered.
        """
        unread = self.view.unread.reads.get(agenda.subject(agenda.ReadOrders(completed=True)))
        blind = self.view.completed_at is None and unread is not None and unread.count >= most
        return blind or self.failures >= most

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
            return max(slot, timedelta(seconds=self.pace.pause(self.view.unread)))
        return max(slot, min(wake_at - now, _LONGEST_SLEEP), timedelta(0))

    def _wait(self) -> float:
        """Return for how long the limiter lets nothing leave, where a pass must not wait for it; or 0.

        Waiting within a request it would hear no command, tell no alarm and show no sign of life, and
        what it sent at last would have been decided long ago.
        """
        wait = self.client.limiter.ready_in()
        wait = wait if wait > _LONGEST_SLEEP.total_seconds() else 0.0
        return max(wait, self.token_doubt.rests(self.clock.monotonic()))
