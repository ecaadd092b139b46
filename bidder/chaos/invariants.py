"""What must hold at every step, whatever goes wrong; judged by what the exchange itself knows."""

import re
from collections import Counter
from typing import TYPE_CHECKING

from bidder.app.report import PassReport, Result
from bidder.chaos import judging
from bidder.chaos.budgets import BudgetJudge
from bidder.chaos.outcome import OPEN
from bidder.chaos.person import StrangersJudge
from bidder.chaos.rails import RailsJudge
from bidder.chaos.timeline import VIOLATED
from bidder.chaos.told import Telling
from bidder.domain.actions import Reason
from bidder.domain.agenda import ReadOrders
from bidder.domain.intents import Settled
from bidder.domain.policy import Target, TrackParams

if TYPE_CHECKING:
    from bidder.chaos.day import ChaosDay

# Reads of our orders that may pass before a live order that they list must be known.
_READS = 2
_FROZEN = re.compile(r"on server (\d+): frozen")
# A server that is lost gets a successor within this: no wait of ours after a refusal is longer.
_LONGEST_LACK = 2700.0
# A book is read about so often on a day that jumps over idle moments; only then is an answer seen.
_JUST_RAN = 900.0
# Reasons that name a rail of the owner's.
_BY_A_RAIL = frozenset({Reason.RAIL, Reason.CHURN, Reason.NO_BALANCE})
# An order whose server is lost stays there while a rail or a budget would stop the next one.
_STAYS = frozenset(
    {Reason.TOO_EXPENSIVE, Reason.ON_DEMAND_CHEAPER, Reason.SERVER_LOST, Reason.WAR_PAUSE}
)
# Reasons that name a budget.
_BY_A_BUDGET = frozenset({Reason.PACED, Reason.BUDGET_SPENT})
_FOULS = {
    "pace": "rate_limit_refusals",
    "lowering clock": "early_lowerings",
    "ceiling": "ceiling_breaches",
    "one order for a slot": "double_orders",
    "wanted servers only": "unmatched_orders",
}

INVARIANTS = (
    *_FOULS,
    "back-off",
    "rails",
    "budget",
    "a person's orders",
    "a person is told",
    "one writer",
    "the guard waits",
    "the guard only ends",
    "the guard ends",
    "nothing escapes",
    "no lost order",
    "doubles are found",
    "liveness",
    "money",
    "no secret",
    "size",
)


class Watch:
    """Looks at everything after each pass, and once more at the end."""

    def __init__(self, day: "ChaosDay") -> None:
        """Watch one day."""
        self._day = day
        self._known: dict[str, int] = dict.fromkeys(_FOULS, 0)
        self._unknown: dict[int, int] = {}
        self._doubled: dict[int, int] = {}
        self._alarmed: set[int] = set()
        self._settled: set[tuple[int, Settled]] = set()
        self._rails = RailsJudge(day, lambda what: self.violated("rails", what))
        self._budgets = BudgetJudge(day, lambda what: self.violated("budget", what))
        self._strangers = StrangersJudge(day, lambda what: self.violated("a person's orders", what))
        self._telling = Telling(day)
        self._lacking: dict[str, tuple[float, str]] = {}  # since when, and why
        self._ran_at: dict[int, float] = {}  # when each live order was last seen to run

    def violated(self, invariant: str, what: str) -> None:
        """Note a violation."""
        moment = f"{self._day.transport.now():%d %H:%M:%S}"
        self._day.outcome.violations.append((invariant, moment, what))
        self._day.say(f"{VIOLATED}{invariant}: {what}")

    def escaped(self, exc: BaseException) -> None:
        """Note that a pass or a start ended in a way that nobody has provided for."""
        self.violated("nothing escapes", f"{type(exc).__name__}: {str(exc)[:200]}")

    def started(self) -> None:
        """Begin anew with a new process: it may need two reads of its own."""
        self._unknown.clear()
        self._doubled.clear()
        self._alarmed.clear()
        self._day.transport.ledger.started()
        self._rails.started()
        self._budgets.started()
        self._telling.started()

    def ended(self, exc: Exception) -> None:
        """Look at what a person learns when a process or a pass ends with an error that is foreseen."""
        self._found("a person is told", self._telling.of_end(exc))

    def after(self, report: PassReport) -> None:
        """Check what a pass may have broken."""
        for verdict in report.observed.verdicts if report.observed else ():
            intent = verdict.intent
            if verdict.settled is Settled.UNKNOWN or not intent.creates or intent.accepted:
                continue
            if (intent.id, verdict.settled) not in self._settled:
                self._settled.add((intent.id, verdict.settled))
                self._day.outcome.in_doubt[verdict.settled.value] += 1
        self._budgets.passed(report)
        self._strangers.passed()
        self._alarmed |= {int(n) for text in report.alarms for n in _FROZEN.findall(text)}
        self.fouls()
        self._of_the_wire()
        self._found("a person is told", self._telling.missing(report))
        self._found("no lost order", judging.false_verdict(self._day, report))
        seen = report.observed
        if seen is not None and isinstance(seen.read, ReadOrders) and seen.result is Result.OK:
            self._rails.listed(self._day.transport.shown)
            self._day.looking.listed()
            self._lost_orders()
            self._doubles()

    def _found(self, invariant: str, what: str) -> None:
        if what:
            self.violated(invariant, what)

    def _of_the_wire(self) -> None:
        """Look at what was sent although the answers before it forbade it."""
        for early in self._day.transport.ledger.take_too_early():
            self.violated("back-off", early)
        self._found("a person is told", self._telling.of_token())

    def guard_was_refused(self, times: int) -> None:
        """Take note of how often the database has failed the guard, of which the daemon says nothing."""
        self._telling.failed_another(times)

    def fouls(self) -> None:
        """Check what the referee has counted."""
        counts = self._day.referee.fouls()
        # What a person orders is no order of the daemon's.
        counts["unmatched_orders"] -= len(self._day.person.by_hand)
        for invariant, key in _FOULS.items():
            if counts[key] > self._known[invariant]:
                self._known[invariant] = counts[key]
                self.violated(invariant, f"{key} is {counts[key]}")

    def _lost_orders(self) -> None:
        """Count, for each live order that nobody accounts for, the reads that listed it."""
        day = self._day
        app = day.app
        if app is None:
            return
        view = app.trader.view
        waiting = {intent.server for intent in view.intents}
        now = day.exchange.market.at
        for order in day.exchange.market.live.values():
            if order.order_id in view.holdings or order.server_id in waiting:
                self._unknown.pop(order.order_id, None)
                continue
            if order.listed_from > now or order.order_id not in day.transport.shown:
                continue
            reads = self._unknown.get(order.order_id, 0) + 1
            self._unknown[order.order_id] = reads
            if reads == _READS:
                self.violated("no lost order", f"order {order.order_id} on server {order.server_id}")

    def _doubles(self) -> None:
        """Two orders on one server, by whoever's doing: known, frozen and told within two reads."""
        day = self._day
        shown = [o for o in day.exchange.market.live.values() if o.order_id in day.transport.shown]
        counts = Counter(order.server_id for order in shown)
        doubled = {server for server, count in counts.items() if count > 1}
        self._doubled = {server: self._doubled.get(server, 0) + 1 for server in doubled}
        for server, reads in self._doubled.items():
            if reads == _READS and server not in self._alarmed:
                self.violated("doubles are found", f"two orders on server {server}, and no alarm")

    def at_the_end(self) -> None:
        """Check what must be so once things have been calm for a while."""
        self.fouls()
        self._of_the_wire()
        self._liveness()
        self._day.looking.at_the_end()
        self._day.outcome.in_doubt[OPEN] += self._still_open()

    def look_for_life(self) -> None:
        """Note since when a target lacks a server that nothing outside the daemon keeps from it.

        Held is what the exchange lets run, or has let run until a moment ago: where a rival answers each
        raise within the minute, two orders of one target need not run at once for that, and it is the
        market's doing. Whether a pass came to its end meanwhile does not matter.
        """
        day = self._day
        now = day.clock.true
        live = day.exchange.market.live
        self._ran_at = {o: at for o, at in self._ran_at.items() if o in live and now - at < _JUST_RAN}
        self._ran_at.update({order.order_id: now for order in live.values() if order.active})
        for target in day.policy.targets:
            decisions = () if day.app is None else day.app.trader.decisions
            reasons = frozenset(d.reason for d in decisions if d.target == target.name)
            orders = [day.exchange.market.own[order] for order in day.referee.live_of(target.name)]
            running = {order.server_id for order in orders if order.order_id in self._ran_at}
            can_be_had = len(self._to_be_had(target) | running) >= target.want
            if len(running) >= target.want or not can_be_had or self._excused(target, reasons):
                self._lacking.pop(target.name, None)
                continue
            since, _ = self._lacking.get(target.name, (day.clock.true, ""))
            what = ", ".join(sorted(reasons)) or "no decision"
            why = f"{len(running)} of {target.want} run, {len(orders)} are ordered: {what}"
            self._lacking[target.name] = (since, why)

    def _excused(self, target: Target, reasons: frozenset[Reason]) -> bool:
        """Return whether a lack is wanted, or a person's to end."""
        day = self._day
        if Reason.JOB_DONE in reasons:
            return True
        if Reason.FROZEN in reasons and (day.wires_own or day.forgotten_to):
            return True  # a person is needed, and none comes
        # Whether one really leaves no room, the exchange's book says.
        if (_BY_A_BUDGET | _STAYS) & reasons and self._budgets.leaves_no_room(target):
            return True
        return bool((_BY_A_RAIL | _STAYS) & reasons) and self._rails.leaves_no_room(target)

    def _to_be_had(self, target: Target) -> set[int]:
        """Return the servers that the target may order now, by the exchange's own book."""
        found = set(self._day.referee.attainable_now(target.name))
        found -= self._rails.worn_out(target) | self._rails.unpaid(target)
        params = target.bidding
        if not isinstance(params, TrackParams):
            return found
        at, rails = self._day.exchange.market.at, self._rails
        raised = {server: rails.raised_at(server) for server in rails.servers_raised & found}
        return found - {s for s, times in raised.items() if judging.at_war(params, times, at)}

    def lacks_by_the_book(self, target: Target) -> bool:
        """Return whether the target has fewer orders than it wants, and could have them all."""
        day = self._day
        live = day.referee.live_of(target.name)
        if len(live) >= target.want or day.app is None:
            return False
        if self._budgets.leaves_no_room(target, for_a_new_order=True):
            return False
        decisions = (d for d in day.app.trader.decisions if d.target == target.name)
        done = any(decision.reason is Reason.JOB_DONE for decision in decisions)
        servers = {day.exchange.market.own[order].server_id for order in live}
        return not done and len(self._to_be_had(target) | servers) >= target.want

    def _liveness(self) -> None:
        """Every target is held, or what keeps it from being held is the market's doing, or young."""
        day = self._day
        if day.app is None:
            self.violated("liveness", "no daemon runs")
        for name, (since, why) in self._lacking.items():
            if day.clock.true - since >= _LONGEST_LACK:
                self.violated("liveness", f"{name}: {why}")

    def _still_open(self) -> int:
        """Return how many creations are in doubt at the end."""
        app = self._day.app
        open_ones = () if app is None else app.trader.view.intents
        return sum(1 for intent in open_ones if intent.creates and not intent.accepted)
