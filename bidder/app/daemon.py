"""The long-running daemon: a timetable of passes, the lease's heartbeat and housekeeping.

The next pass is armed after each pass for the moment that the limiter and the agenda name: a fixed
timer would waste the budget whenever a pass takes longer than its period. Stopping waits at most
three seconds for the request in flight; what is still under way then stays an open intent, which the
next start settles. There is no other shutdown path that matters.
"""

import asyncio
import signal
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import timedelta

import structlog

from bidder.app import leaving
from bidder.app.keeping import Keeper
from bidder.app.metering import Meter
from bidder.app.probing import Prober
from bidder.app.report import PassReport
from bidder.app.timetable import Timetable
from bidder.app.trading import Trader
from bidder.clock import Clock
from bidder.domain.market import OwnOrder
from bidder.errors import BidderError, LeaseLost, StoreFailed
from bidder.repeats import Repeats
from bidder.store.lease import LEASE_HEARTBEAT, Lease

log = structlog.get_logger("bidder")

_DRAIN_SECONDS = 3.0
_HOUSEKEEPING_EVERY = timedelta(hours=1)
# Well before the hour: a daemon that is restarted more often than that tidies up all the same.
_HOUSEKEEPING_FIRST = timedelta(minutes=5)
# Slices of some milliseconds each: what is left over is the next hour's.
_MOST_SLICES = 300
_BETWEEN_SLICES = 0.02
# A pass that the database refused is tried again this much later, in real seconds.
_STORE_PAUSE = 1.0


@dataclass(slots=True, kw_only=True)
class Daemon:
    """One account's trading, kept going until it is told to stop or may not go on."""

    trader: Trader
    lease: Lease
    clock: Clock
    lease_clock: Clock
    prober: Prober | None = None
    meter: Meter | None = None
    on_pass: Callable[[PassReport], None] | None = None
    on_store_failure: Callable[[StoreFailed], None] | None = None
    stop: asyncio.Event = field(default_factory=asyncio.Event)
    failure: BaseException | None = None
    left: tuple[OwnOrder, ...] = ()  # which orders were to be cancelled on exit, and could not be
    _timetable: Timetable = field(default_factory=Timetable)
    _passing: asyncio.Task[None] | None = None
    _probing: asyncio.Task[None] | None = None
    _metering: asyncio.Task[None] | None = None
    _keeper: Keeper = field(init=False)
    _moved_at: float = 0.0  # when a pass last began or ended, in the machine's own seconds
    _due_at: float = 0.0  # when the next one was armed for
    _delay: timedelta = timedelta(0)
    _unstored: Repeats = field(default_factory=Repeats)
    _mistrusting: bool = False  # whether the calendar was wrong at the latest housekeeping

    def __post_init__(self) -> None:
        """Count the lease as just taken."""
        self._keeper = Keeper(lease=self.lease, clock=self.lease_clock)

    async def run(self) -> None:
        """Trade until ``stop`` is set or a signal comes; then drain and give the lease back.

        Raises:
            InvalidToken: the exchange refused the token.
            LeaseLost: another daemon trades this account now.
        """
        self._moved_at = self._due_at = self.lease_clock.monotonic()
        self._timetable.start()
        self._timetable.repeat(self._pass, "trading", first=0.0, pause=self._until_next_pass)
        if self.prober is not None:
            self._probing = asyncio.create_task(self.prober.run(), name="probing")
        beats = _seconds(LEASE_HEARTBEAT, self.lease_clock)
        self._timetable.repeat(self._heartbeat, "heartbeat", first=beats, pause=lambda: beats)
        tidies = _seconds(_HOUSEKEEPING_EVERY, self.clock)
        first = _seconds(_HOUSEKEEPING_FIRST, self.clock)
        self._timetable.repeat(self._housekeeping, "housekeeping", first=first, pause=lambda: tidies)
        log.info(
            "daemon.started",
            account=self.trader.policy.account,
            mode=self.trader.policy.mode.value,
            targets=len(self.trader.policy.targets),
            orders=len(self.trader.view.holdings),
            open_intents=len(self.trader.view.intents),
        )
        try:
            with _signals(self.stop):
                await self.stop.wait()
        finally:
            await self._shut_down()
        if self.failure is not None:
            raise self.failure

    def stalled_seconds(self) -> float:
        """Return for how long trading has made no progress although it should have.

        While the exchange lets nothing be sent, passes go on all the same, every few seconds; one that
        hangs, or that was due and did not come, is stalled.
        """
        return max(0.0, self.lease_clock.monotonic() - max(self._moved_at, self._due_at))

    def lease_seconds(self) -> float:
        """Return how long ago the lease was last renewed for certain."""
        return self._keeper.seconds_since_renewed()

    def _until_next_pass(self) -> float | None:
        if self.stop.is_set():
            return None
        seconds = self.clock.real_seconds(self._delay.total_seconds())
        self._delay = timedelta(0)
        self._due_at = self.lease_clock.monotonic() + seconds
        return seconds

    async def _pass(self) -> None:
        self._moved_at = self.lease_clock.monotonic()
        self._passing = asyncio.ensure_future(self._one_pass())
        self._passing.add_done_callback(self._passed)
        # Shielded: the scheduler's own shutdown would cancel a request in flight.
        try:
            await asyncio.shield(self._passing)
        except asyncio.CancelledError:
            if not self.stop.is_set():
                raise

    def _passed(self, _: asyncio.Task[None]) -> None:
        self._moved_at = self.lease_clock.monotonic()

    async def _one_pass(self) -> None:
        try:
            self._keeper.before_pass()
            report = await self.trader.run_pass()
        except StoreFailed as exc:
            # Nothing is sent without its intent on disk; try again, and say so while it lasts.
            if self._unstored.again(self.clock.now()):
                log.error("store.failed", error=str(exc), unsaid=self._unstored.said())
            self._delay = timedelta(seconds=_STORE_PAUSE)
            if self.on_store_failure is not None:
                self.on_store_failure(exc)
            return
        except BidderError as exc:
            self._fail(exc)
            return
        except Exception as exc:
            log.exception("pass.crashed")
            self._fail(exc)
            return
        over = self._unstored.over(self.clock.now())
        if over is not None:
            seconds = round(over[1].total_seconds())
            log.info("store.recovered", failures=over[0], seconds=seconds)
        self._delay = report.sleep
        if self.on_pass is not None:
            self.on_pass(report)

    def _fail(self, exc: BaseException) -> None:
        self.failure = exc
        self.stop.set()

    async def _heartbeat(self) -> None:
        try:
            self._keeper.heartbeat()
        except LeaseLost as exc:
            log.error("lease.lost", error=str(exc))
            self._fail(exc)

    async def _housekeeping(self) -> None:
        if self._mistrusts_calendar():
            return
        slices, more = 0, True
        try:
            while more and slices < _MOST_SLICES and not self.stop.is_set():
                more = self.trader.store.tidy(self.clock.now(), self.trader.policy.retention)
                slices += 1
                # A pass that is due comes first.
                await asyncio.sleep(_BETWEEN_SLICES)
        except StoreFailed as exc:
            log.warning("housekeeping.failed", error=str(exc))
        except LeaseLost as exc:
            self._fail(exc)
        else:
            log.debug("housekeeping.done", slices=slices, more=more)
            self._begin_metering()

    def _mistrusts_calendar(self) -> bool:
        """Return whether what is old cannot be told at present: what is deleted is gone for good."""
        vitals = self.trader.recorder.vitals
        before, self._mistrusting = self._mistrusting, vitals.mistrusts_calendar(self.clock.now())
        if self._mistrusting and not before:
            lead = None if vitals.lead is None else round(vitals.lead[1])
            log.warning("housekeeping.skipped", reason="the clock is not right", lead_seconds=lead)
        return self._mistrusting

    def _begin_metering(self) -> None:
        over = self._metering is None or self._metering.done()
        if self.meter is not None and over and not self.stop.is_set():
            self._metering = asyncio.create_task(self._run_meter(self.meter), name="metering")

    async def _run_meter(self, meter: Meter) -> None:
        try:
            await meter.run_due(self.trader.policy)
        except LeaseLost as exc:
            self._fail(exc)
        except Exception:
            # Whatever is wrong with a figure, trading goes on.
            log.exception("regret.crashed")

    async def _shut_down(self) -> None:
        self.stop.set()
        drained = True
        for task in (self._probing, self._metering):
            if task is not None:
                task.cancel()
                await asyncio.gather(task, return_exceptions=True)
        if self._passing is not None and not self._passing.done():
            _, pending = await asyncio.wait({self._passing}, timeout=_DRAIN_SECONDS)
            drained = not pending
            for task in pending:
                task.cancel()
            with suppress(asyncio.CancelledError):
                await asyncio.gather(*pending, return_exceptions=True)
        await self._timetable.close()
        if self.failure is None and self.trader.policy.cancel_on_exit:
            await self._leave_nothing(drained=drained)
        with suppress(BidderError):
            self.trader.note_requests()
            self.lease.release()
        await self.trader.client.close()
        log.info("daemon.stopped", drained=drained, open_intents=len(self.trader.view.intents))

    async def _leave_nothing(self, *, drained: bool) -> None:
        """Cancel what this daemon holds, and say what of it is left."""
        trader = self.trader
        if drained:
            self.left = await leaving.cancel_all(trader, self._keeper, self.lease_clock)
        else:
            # What the request under way came to is not known to the view.
            self.left = leaving.standing(trader.view)
        if self.left:
            log.error("exit.left_running", orders=[order.order for order in self.left])


def _seconds(period: timedelta, clock: Clock) -> float:
    """Return the machine's seconds in a period of a clock, which may run as fast as it likes."""
    return max(0.05, clock.real_seconds(period.total_seconds()))


class _signals:  # noqa: N801 - reads as a phrase where it is used
    """SIGTERM and SIGINT set ``stop`` while the block lasts."""

    def __init__(self, stop: asyncio.Event) -> None:
        self._stop = stop
        self._taken: list[signal.Signals] = []

    def __enter__(self) -> None:
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            # Not in the main thread, or not on this platform: whoever runs us sets ``stop``.
            with suppress(NotImplementedError, RuntimeError, ValueError):
                loop.add_signal_handler(number, self._stop.set)
                self._taken.append(number)

    def __exit__(self, *_: object) -> None:
        loop = asyncio.get_running_loop()
        for number in self._taken:
            loop.remove_signal_handler(number)
