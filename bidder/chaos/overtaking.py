"""A daemon that sleeps past its lease in the middle of a pass, while another one trades.

It falls asleep when an answer has arrived and before it has read it: no request of its own is under
way then. What it does next, once it is awake, the fence in the store has to refuse: before the next
pass it would ask for its lease anyhow.
"""

from typing import TYPE_CHECKING, Any

from bidder.app.report import PassReport
from bidder.errors import BidderError, InvalidToken, LeaseLost, StoreFailed
from bidder.store.lease import LEASE_TTL

if TYPE_CHECKING:
    from collections.abc import Callable

    from bidder.chaos.day import ChaosDay
    from bidder.wiring import App

# A calm daemon makes a request every few minutes; the day has other plans than to wait for many.
_MOST_ANSWERS = 6
_LONGEST_SECONDS = 1200.0


class Overtaking:
    """Lets the daemon of a day be overtaken once, at one of its next answers."""

    def __init__(self, day: "ChaosDay", other: "Callable[[], App]") -> None:
        """Have it overtaken by the daemon that ``other`` starts; it raises what a start may raise."""
        self._day = day
        self._other = other
        self._answers = day.chance.randint(1, _MOST_ANSWERS)
        self._over = False
        self._requests = 0
        self._rows: dict[str, list[dict[str, Any]]] = {}

    async def run(self, first: "App") -> None:
        """Let ``first`` go on until it falls asleep, and look at what it does afterwards."""
        day = self._day
        day.transport.on_answer = self._answered
        try:
            await self._until_asleep(first)
        except (LeaseLost, InvalidToken) as exc:
            if not self._over:
                raise
            day.say(f"The first daemon ends in the middle of its pass: {exc}.")
        except StoreFailed as exc:
            if not self._over:
                raise
            day.say(f"The first daemon fails: {exc}.")
        finally:
            day.transport.on_answer = None
        if self._over:
            self._judge()

    async def _until_asleep(self, first: "App") -> None:
        day = self._day
        until = day.clock.true + _LONGEST_SECONDS
        while day.clock.true < until:
            first.keeper.before_pass()
            report = await first.trader.run_pass()
            if self._over:
                day.watch.violated("one writer", "a daemon that lost its lease ended its pass")
                return
            self._passed(report)

    def _judge(self) -> None:
        day = self._day
        if day.referee.requests != self._requests:
            day.watch.violated("one writer", "a daemon that lost its lease in mid-pass sent a request")
        if not day.damaged and day.stored() != self._rows:
            day.watch.violated("one writer", "a daemon that lost its lease in mid-pass wrote something")

    async def _answered(self) -> None:
        """Count an answer; at the one that was drawn, sleep while another daemon trades."""
        day = self._day
        self._answers -= 1
        if self._answers > 0 or day.machine.failing:
            return
        day.transport.on_answer = None
        day.clock.suspend(LEASE_TTL.total_seconds() + 1)
        try:
            day.app = self._other()
        except BidderError as exc:
            day.say(f"The second daemon fails: {exc}.")
            return
        self._over = True
        # Who trades from here on was not told what this answer says.
        day.exchange.lose_answer()
        day.say("Another daemon takes over while the first one sleeps in the middle of a pass.")
        day.watch.started()
        await self._trade(day.app)
        self._requests, self._rows = day.referee.requests, day.stored()

    async def _trade(self, other: "App") -> None:
        day = self._day
        for _ in range(day.chance.randint(1, 4)):
            try:
                other.keeper.before_pass()
                report = await other.trader.run_pass()
            except (InvalidToken, LeaseLost, StoreFailed) as exc:
                day.watch.ended(exc)
                day.die(f"The daemon ends: {exc}.")
                return
            except Exception as exc:  # noqa: BLE001 - not through the other one's hands
                day.watch.escaped(exc)
                day.die(f"The daemon has crashed: {type(exc).__name__}.")
                return
            self._passed(report)

    def _passed(self, report: PassReport) -> None:
        """Look at a pass of whoever has the lease, and let time pass until its next one."""
        day = self._day
        day.timeline.passed(report)
        day.watch.after(report)
        day.watchman.daemon_passed()
        wait = report.sleep
        if report.idle_until is not None:
            wait = max(wait, report.idle_until - report.at)
        day.clock.advance(max(wait.total_seconds(), 0.001))
