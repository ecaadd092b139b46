"""What must hold at every step, whatever goes wrong; judged by what the exchange itself knows."""

import re
from collections import Counter
from datetime import timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from bidder.app.report import PassReport, Result
from bidder.chaos import judging
from bidder.domain import moving
from bidder.domain.actions import Reason
from bidder.domain.agenda import ReadOrders
from bidder.domain.intents import Settled
from bidder.domain.policy import Target, TrackParams
from bidder.sim import answers
from bidder.sim.moments import HOUR

if TYPE_CHECKING:
    from bidder.chaos.day import ChaosDay
    from bidder.wiring import App

# Reads of our orders that may pass before a live order that they list must be known.
_READS = 2
_FROZEN = re.compile(r"on server (\d+): frozen")
# A server that is lost gets a successor within this: no wait of ours after a refusal is longer.
_LONGEST_LACK = 2700.0
_FINAL_WORD = timedelta(minutes=45)
_FOULS = {
    "pace": "rate_limit_refusals",
    "lowering clock": "early_lowerings",
    "ceiling": "ceiling_breaches",
    "one order for a slot": "double_orders",
}

INVARIANTS = (
    *_FOULS,
    "rails",
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
        self._telling = judging.Telling(day)
        self._lacking: dict[str, tuple[float, str]] = {}  # since when, and why

    def violated(self, invariant: str, what: str) -> None:
        """Note a violation."""
        moment = f"{self._day.transport.now():%d %H:%M:%S}"
        self._day.outcome.violations.append((invariant, moment, what))
        self._day.say(f"VIOLATED {invariant}: {what}")

    def escaped(self, exc: BaseException) -> None:
        """Note that a pass or a start ended in a way that nobody has provided for."""
        self.violated("nothing escapes", f"{type(exc).__name__}: {str(exc)[:200]}")

    def started(self) -> None:
        """Begin anew with a new process: it may need two reads of its own."""
        self._unknown.clear()
        self._doubled.clear()
        self._alarmed.clear()
        self._telling.started()

    def after(self, report: PassReport) -> None:
        """Check what a pass may have broken."""
        for verdict in report.observed.verdicts if report.observed else ():
            intent = verdict.intent
            if verdict.settled is Settled.UNKNOWN or not intent.creates or intent.accepted:
                continue
            if (intent.id, verdict.settled) not in self._settled:
                self._settled.add((intent.id, verdict.settled))
                self._day.outcome.in_doubt[verdict.settled.value] += 1
        self._alarmed |= {int(n) for text in report.alarms for n in _FROZEN.findall(text)}
        if self._day.calm and self._day.app is not None:
            self._look_for_life(self._day.app)
        if report.acted is not None:
            self.fouls()
        for invariant, found in (
            ("rails", judging.rails_passed(self._day, report)),
            ("a person is told", self._telling.missing(report)),
            ("no lost order", judging.false_verdict(self._day, report)),
        ):
            if found:
                self.violated(invariant, found)
        seen = report.observed
        if seen is not None and isinstance(seen.read, ReadOrders) and seen.result is Result.OK:
            self._lost_orders()
            self._doubles()

    def fouls(self) -> None:
        """Check what the referee has counted."""
        counts = self._day.referee.fouls()
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
            known = order.order_id in view.holdings or order.server_id in waiting
            if known or order.listed_from > now or order.order_id not in day.transport.shown:
                self._unknown.pop(order.order_id, None)
                continue
            reads = self._unknown.get(order.order_id, 0) + 1
            self._unknown[order.order_id] = reads
            if reads == _READS + 1:
                self.violated("no lost order", f"order {order.order_id} on server {order.server_id}")

    def _doubles(self) -> None:
        """Two orders on one server, by whoever's doing: known, frozen and told within two reads."""
        day = self._day
        shown = [o for o in day.exchange.market.live.values() if o.order_id in day.transport.shown]
        counts = Counter(order.server_id for order in shown)
        doubled = {server for server, count in counts.items() if count > 1}
        self._doubled = {server: self._doubled.get(server, 0) + 1 for server in doubled}
        for server, reads in self._doubled.items():
            if reads == _READS + 1 and server not in self._alarmed:
                self.violated("doubles are found", f"two orders on server {server}, and no alarm")

    def at_the_end(self) -> None:
        """Check what must be so once things have been calm for a while."""
        self.fouls()
        self._liveness()
        stored = self._day.stored()
        self._money(stored)
        self._secrets(stored)
        self._size(stored)

    def _look_for_life(self, app: "App") -> None:
        """Note since when a target lacks a server that nothing outside the daemon keeps from it."""
        day = self._day
        for target in day.policy.targets:
            held = len(app.trader.view.holdings_of(target.name))
            idle = (d for d in app.trader.decisions if d.target == target.name and d.order is None)
            reasons = frozenset(decision.reason for decision in idle)
            if held >= target.want or self._excused(target, reasons, app):
                self._lacking.pop(target.name, None)
                continue
            since, _ = self._lacking.get(target.name, (day.clock.true, ""))
            why = f"{held} of {target.want}: {', '.join(sorted(reasons)) or 'no decision'}"
            self._lacking[target.name] = (since, why)

    def _excused(self, target: Target, reasons: frozenset[Reason], app: "App") -> bool:
        """Return whether a lack is the world's doing, by what the exchange knows of it."""
        day = self._day
        if Reason.JOB_DONE in reasons or self._in_reach(target, app) < target.want:
            return True
        if Reason.FROZEN in reasons and (day.wires_own or day.forgotten_to):
            return True  # a person is needed, and none comes
        return Reason.RAIL in reasons and judging.rail_is_full(day, target.name)

    def _in_reach(self, target: Target, app: "App") -> int:
        """Return how many servers the target can have; those at war or worn out are left alone."""
        day, view = self._day, app.trader.view
        lately = Counter(
            order.server_id
            for order in day.exchange.market.own.values()
            if day.exchange.market.at - order.created_at < HOUR
        )
        most = day.policy.rails.max_creations_per_server_hour - 1
        alone = {server for server, created in lately.items() if created >= most}
        if isinstance(target.bidding, TrackParams):
            alone |= moving.at_war(target.bidding, view, day.clock.now())
        held = {int(holding.order.server) for holding in view.holdings_of(target.name)}
        return len((day.referee.attainable_now(target.name) - alone) | held)

    def _liveness(self) -> None:
        """Every target is held, or what keeps it from being held is the market's doing, or young."""
        day = self._day
        if day.app is None:
            self.violated("liveness", "no daemon runs")
        for name, (since, why) in self._lacking.items():
            if day.clock.true - since >= _LONGEST_LACK:
                self.violated("liveness", f"{name}: {why}")

    def _money(self, stored: dict[str, list[dict[str, Any]]]) -> None:
        """The spend of every order that is over is the exchange's own, to the last digit."""
        rows = {row["order_id"]: row for row in stored["orders"]}
        # What ended just now has not been read for the last time yet.
        settled_by = (self._day.transport.now() - _FINAL_WORD).isoformat()
        for order in self._day.exchange.ground_truth():
            row = rows.get(order["id"])
            if row is None or order["ended_at"] is None or order["ended_at"] > settled_by:
                continue
            if Decimal(str(row["spend"])) != Decimal(order["spend"]):
                self.violated(
                    "money", f"order {order['id']}: stored {row['spend']}, true {order['spend']}"
                )

        self._money_of_live_orders(rows)

    def _money_of_live_orders(self, rows: dict[int, dict[str, Any]]) -> None:
        """The spend of every order that runs is what the last list of ours said, to the last digit."""
        listed = answers.decoded(self._day.transport.last_orders or b"{}").get("orders", ())
        for order in listed:
            row = rows.get(order["id"])
            if row is None or row["ended_at"] is not None or order.get("expired"):
                continue
            if Decimal(str(row["spend"])) != Decimal(str(order["spend"])):
                said = f"order {order['id']}: stored {row['spend']}, told {order['spend']}"
                self.violated("money", said)

    def _secrets(self, stored: dict[str, list[dict[str, Any]]]) -> None:
        from bidder.chaos.day import CANARIES

        log, database = self._day.log.getvalue(), repr(stored)
        for canary in CANARIES:
            if canary in log:
                self.violated("no secret", f"{canary[:6]}... in the log")
            if canary in database:
                self.violated("no secret", f"{canary[:6]}... in the database")

    def _size(self, stored: dict[str, list[dict[str, Any]]]) -> None:
        """What is kept follows what happened, not how long it took."""
        rows = sum(map(len, stored.values()))
        most = 3000 + 4000 * self._day.days
        if rows > most:
            self.violated("size", f"{rows} rows after {self._day.days} days")
        app = self._day.app
        if app is None:
            return
        view = app.trader.view
        kept = (view.books, view.ended, view.creations, view.raises, view.steps, view.setbacks)
        held = sum(len(each) for each in kept)
        if held > most:
            self.violated("size", f"{held} things remembered after {self._day.days} days")
