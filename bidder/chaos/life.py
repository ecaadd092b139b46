"""The daemon's process on a chaotic day: it starts, makes its passes, is kept house for, and dies."""

from dataclasses import replace
from typing import TYPE_CHECKING

from bidder.app.report import PassReport
from bidder.chaos.canaries import TOKEN
from bidder.domain.budgets import limits
from bidder.domain.unexplained import unexplained
from bidder.store.lease import Holder
from bidder.wiring import App, build_app

if TYPE_CHECKING:
    from bidder.chaos.day import ChaosDay

URL = "http://sim.invalid/v1"
_HEARTBEAT = 10.0
_HOUSEKEEPING = 3600.0
_MOST_SLICES = 300
_COUNTED_EVERY = 3600.0
_VISITED_EVERY = 8 * 3600.0  # drawing a page takes as long as a dozen passes
_MOST_AT_ONE_MOMENT = 500
# A budget runs low by the clock alone, and two minutes are kept for cancelling.
_BUDGETS_EVERY = 60.0
# So long the owner waits after a restore: reads of our orders, and what they do not show at once.
_TAKEN_UP_SECONDS = 1800.0


class Life:
    """Lets one daemon after another live, pass by pass."""

    def __init__(self, day: "ChaosDay") -> None:
        """Let the daemon of this day live, from its first start on."""
        self._day = day
        self._lives = 0
        self._beat_at = 0.0
        self._swept_at = 0.0
        self._counted_at = 0.0
        self._visited_at = -_VISITED_EVERY
        self._owners = day.policy  # as the owner has it, where nothing has been forgotten
        self._passed_at = -1.0
        self._standing = 0
        self.waits_until: float | None = None  # another process waits for this moment

    async def step(self) -> None:
        """Start a daemon where there is none, let it make a pass, and let time go on to the next one."""
        day = self._day
        if day.app is None:
            self.start()
        app = day.app
        assert app is not None
        app.keeper.before_pass()
        report = await app.trader.run_pass()
        self._mind_that_time_passes()
        day.timeline.passed(report)
        day.watch.after(report)
        day.watchman.daemon_passed()
        wait = self._pause(report)
        if wait > 0:
            day.clock.advance(max(wait, 0.001))
        # Of the heartbeats of an idle moment the last one stands for all.
        if day.clock.monotonic() - self._beat_at >= _HEARTBEAT:
            app.keeper.beat()
            self._beat_at = day.clock.monotonic()
        if day.clock.monotonic() - self._swept_at >= _HOUSEKEEPING:
            self._swept_at = day.clock.monotonic()
            self._tidy(app)
        self._take_adopt_back(app)
        await self._look_around(app, report)

    def _mind_that_time_passes(self) -> None:
        """Fail where passes follow each other at one moment, or the day would never end."""
        now = self._day.clock.monotonic()
        self._standing = self._standing + 1 if now == self._passed_at else 0
        self._passed_at = now
        if self._standing >= _MOST_AT_ONE_MOMENT:
            self._standing = 0
            raise AssertionError(f"{_MOST_AT_ONE_MOMENT} passes in a row, and no time went by")

    def _pause(self, report: PassReport) -> float:
        """Return the seconds until the next pass."""
        day = self._day
        wait = report.sleep.total_seconds()
        if report.idle_until is not None:
            # Nothing can happen before then but what the world does by itself.
            idle = (report.idle_until - report.at).total_seconds()
            wait = max(wait, min(idle, _BUDGETS_EVERY) if limits(day.policy) else idle)
        if self.waits_until is not None:
            wait = min(wait, self.waits_until - day.clock.true)
        return wait

    async def _look_around(self, app: App, report: PassReport) -> None:
        """Let come about what happens beside the daemon once in a while."""
        day = self._day
        if day.clock.true - self._counted_at >= _COUNTED_EVERY:
            self._counted_at = day.clock.true
            day.growth.hourly()
        if day.clock.true - self._visited_at >= _VISITED_EVERY:
            self._visited_at = day.clock.true
            day.looking.text("a page", await day.carriers.pages(app, report))
        if day.sleeping is not None and day.clock.true >= day.sleeps_until:
            await day.troubles.wake_the_first()

    def _tidy(self, app: App) -> None:
        """Do what is due of housekeeping, in slices, as the daemon does."""
        for _ in range(_MOST_SLICES):
            if not app.trader.store.tidy(self._day.clock.now(), self._day.policy.retention):
                return

    def _take_adopt_back(self, app: App) -> None:
        """Let the owner take ``adopt`` back once all that a restored database forgot is taken up."""
        day = self._day
        if day.restored_at is None or day.clock.true - day.restored_at < _TAKEN_UP_SECONDS:
            return
        trader, mode = app.trader, day.policy.mode
        unread = trader.view.completed_at is None
        if unread or any(unexplained(t, trader.view, mode) for t in day.policy.targets):
            return
        day.restored_at = None
        day.policy = trader.next_policy = replace(day.policy, adopt=self._owners.adopt)
        day.say("The owner takes `adopt` back.")

    def start(self) -> None:
        """Start a process; raises what a start may raise."""
        day = self._day
        self._lives += 1
        # A process takes a moment to start; a dead one is known to be dead on the same machine.
        day.clock.advance(day.chance.uniform(0.5, 8))
        if day.damaged:
            day.open_database()
        here = Holder.here()
        app = self.build(replace(here, pid=-self._lives, started=f"life {self._lives}"))
        day.app = app
        self._beat_at = day.clock.monotonic()
        day.watch.started()
        left = len(app.trader.view.intents)
        doubt = f", and does not know what came of {left} requests" if left else ""
        day.say(f"A daemon starts{doubt}.")

    def build(self, holder: Holder) -> App:
        """Return a daemon of this account in the name of ``holder``; raises what a start may raise."""
        day = self._day
        app = build_app(
            policy=day.policy,
            base_url=URL,
            token=TOKEN if day.chance.random() > 0.002 else "revoked",
            engine=day.engine,
            clock=day.clock,
            transport=day.transport,
            holder=holder,
        )
        app.trader.recorder.pictures = day.guarded
        return app
