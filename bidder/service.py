"""The daemon as a service: what it tells systemd, and the configuration read again on SIGHUP.

Trading knows nothing of this. Each pass is told here by its report; the new policy of a reload is
handed to the trader, which takes it up between two passes, so that there is no gap and no half of it.
"""

import asyncio
import faulthandler
import operator
import os
import signal
from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager, nullcontext, suppress
from dataclasses import dataclass, field, replace
from datetime import datetime
from functools import partial

import structlog

from bidder.app import telling
from bidder.app.daemon import Daemon
from bidder.app.metering import Measure, Meter
from bidder.app.pace import HUNG_AFTER
from bidder.app.relearning import new_lessons
from bidder.app.report import PassReport
from bidder.app.summary import Summary, line, summarise
from bidder.app.told_before import KIND, ToldBefore
from bidder.config import Settings
from bidder.config.reload import needs_restart
from bidder.config.web import WebSettings
from bidder.domain.notices import Event, Notice, marked
from bidder.domain.policy import Policy
from bidder.domain.view import View
from bidder.errors import BidderError, ConfigError, InvalidToken, StoreFailed
from bidder.notify.courier import Courier
from bidder.repeats import Repeats
from bidder.sd_notify import Notifier
from bidder.store.commands import note
from bidder.store.engine import in_memory
from bidder.store.queries import Queries
from bidder.telemetry import Redactor, configure_logging
from bidder.wiring import App, build_notifiers

log = structlog.get_logger("bidder")

# What a reload may change beside the strategies, by the key that stands for it in the file.
_TAKEN_UP = {
    "adopt": "policy.adopt",
    "cancel_on_exit": "policy.cancel_on_exit",
    "guard": "guard",
    "log": "log",
    "pace": "policy.pace",
    "rails": "policy.rails",
    "rates": "policy.static_rates",
    "retention": "policy.retention",
}
# Without a watchdog nobody else looks whether passes get on.
_BEAT_SECONDS = 10.0
# A read may take 40 seconds.
_PATIENCE_SECONDS = 45.0
# How long receivers get at the end: whoever stops us may wait for five seconds, of which a request may
# take three. Nobody waits where trading ends by itself, and then there is something to say.
_STOP_SECONDS, _LAST_WORD_SECONDS = 1.5, 4.0
# Where nobody starts it again there is no later occasion to tell the owner.
_FOR_GOOD_SECONDS = 60.0
# The watchdog is fed four times in its period.
_BEATS = 4


def _end_at_once() -> None:
    """End the process as the watchdog would: what hangs may also hang whoever waits for it."""
    with suppress(OSError, ValueError, RuntimeError):  # without a standard error
        faulthandler.dump_traceback(all_threads=True)
    os._exit(1)


@dataclass(slots=True, kw_only=True)
class Service:
    """One daemon as the service manager sees it.

    Where none watches over it, ``end`` ends the process of a pass that hangs for good.
    """

    daemon: Daemon
    settings: Settings
    reread: Callable[[], Settings]
    reload_wanted: asyncio.Event
    keep: Callable[[Settings], None]
    learn: Callable[[Policy], Awaitable[View]]
    notifier: Notifier
    told_before: ToldBefore
    secrets: list[str] = field(default_factory=list)  # of every configuration so far; only grows
    observers: tuple[Callable[[PassReport], None], ...] = ()
    pages: AbstractAsyncContextManager[None] = field(default_factory=nullcontext)
    courier: Courier | None = None
    teller: telling.Teller = field(default_factory=telling.Teller)
    end: Callable[[], None] = _end_at_once
    beat_seconds: float = _BEAT_SECONDS  # where no watchdog asks for another pace
    _stalls: Repeats = field(default_factory=Repeats)
    _stalled_first: float | None = None  # how long it had hung when that was first seen
    _ready: bool = False
    _said: str = "starting"
    _refused: str = ""

    async def run(self) -> None:
        """Run the daemon until it ends; raises what ended it."""
        self.daemon.on_pass = self.passed
        self.daemon.on_store_failure = self.unwritten
        tasks = [asyncio.create_task(self._beat()), asyncio.create_task(self._reload_when_asked())]
        loop = asyncio.get_running_loop()
        with suppress(NotImplementedError, RuntimeError, ValueError):
            loop.add_signal_handler(signal.SIGHUP, self.reload_wanted.set)
        try:
            async with self.pages:
                await self.daemon.run()
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            self.notifier.stopping(_end(self.daemon.failure))
            if self.courier is not None:
                if self.daemon.failure is not None:
                    self._hand_out(telling.ended_trading(self.daemon.failure, self.daemon.clock.now()))
                if self.daemon.left:
                    self._hand_out(telling.left_running(self.daemon.left, self.daemon.clock.now()))
                self.courier.close(self._last_word_seconds())
                self._note_arrived(self.daemon.clock.now())

    def _last_word_seconds(self) -> float:
        if isinstance(self.daemon.failure, InvalidToken):
            return _FOR_GOOD_SECONDS
        matters = self.daemon.failure is not None or bool(self.daemon.left)
        return _LAST_WORD_SECONDS if matters else _STOP_SECONDS

    def passed(self, report: PassReport) -> None:
        """Tell what a pass came to."""
        for observer in self.observers:
            observer(report)
        self._tell_owner(report)
        summary = summarise(self.daemon.trader.view, self.daemon.trader.policy)
        self._tell(summary, line(summary, report))

    def unwritten(self, failure: StoreFailed) -> None:
        """Tell of a pass that the database made fail, where that has lasted."""
        now, policy = self.daemon.clock.now(), self.daemon.trader.policy
        for notice in self.teller.database.failed(str(failure), now, policy):
            self._hand_out(notice)

    def _tell_owner(self, report: PassReport) -> None:
        if self.courier is None:
            return
        trader = self.daemon.trader
        try:
            found = self.teller.notices(
                report, trader.view, trader.policy, unreachable=trader.failures > 0
            )
        except Exception:
            # Whatever is wrong with a notice, trading goes on.
            log.exception("notices.failed")
            return
        for notice in found:
            self._hand_out(notice)
        self._note_arrived(report.at)

    def _note_arrived(self, now: datetime) -> None:
        for notice in () if self.courier is None else self.courier.arrived():
            self.told_before.delivered(notice, now)

    def _tell_refusal(self) -> None:
        self._hand_out(telling.reload_refused(self._refused, self.daemon.clock.now()))

    def _hand_out(self, notice: Notice) -> None:
        if self.courier is None or self.told_before.is_known(notice):
            return
        mode = self.daemon.trader.policy.mode
        self.courier.tell(marked(self._without_secrets(notice), mode))
        self.told_before.told(notice)

    def _without_secrets(self, notice: Notice) -> Notice:
        # It may quote the exchange, and the exchange what was sent. Only that one: elsewhere a port or a
        # host that happens to be spelled like a value of `env` is what the owner waits for.
        if notice.event is not Event.BLOCKED:
            return notice
        shown = Redactor(tuple(self.secrets)).text
        return replace(notice, title=shown(notice.title), text=shown(notice.text))

    def _tell(self, summary: Summary, said: str) -> None:
        said = f"{said}; reload refused: {self._refused}" if self._refused else said
        if summary.settled:
            self.told_before.trading(self.daemon.clock.now())
        if summary.settled and not self._ready:
            self._ready = self.notifier.ready(said)
            if self._ready:
                log.info("service.ready")
        elif said != self._said:
            self.notifier.status(said)
        self._said = said

    async def _beat(self) -> None:
        """Give a sign of life for as long as trading gets on."""
        watchdog = self.notifier.watchdog_seconds
        every = self.beat_seconds if watchdog is None else watchdog / _BEATS
        # Not longer: the manager counts its whole period from the last sign of life on.
        patience = _PATIENCE_SECONDS if watchdog is None else every
        stop = self.daemon.stop
        while not stop.is_set():
            stalled = self.daemon.stalled_seconds()
            if stalled <= patience:
                self.notifier.alive(starting_for_seconds=None if self._ready else every * _BEATS)
                self._gets_on()
            elif self._hangs(stalled) and watchdog is None:
                log.critical(
                    "pass.hung",
                    seconds=round(stalled, 1),
                    remedy="the process ends, to be started again by whatever runs it; if nothing does,"
                    " start it; its orders go on meanwhile",
                )
                self.end()
            with suppress(TimeoutError):
                await asyncio.wait_for(stop.wait(), every)
        self.notifier.stopping("stopping: waits for the request under way")

    def _gets_on(self) -> None:
        self._stalled_first = None
        over = self._stalls.over(self.daemon.clock.now())
        if over is not None:
            log.info("passes.recovered", stalls=over[0], seconds=round(over[1].total_seconds()))

    def _hangs(self, stalled: float) -> bool:
        """Say that no pass gets on; return whether that has been seen for so long that none will."""
        if self._stalls.again(self.daemon.clock.now()):
            log.error("pass.stalled", seconds=round(stalled, 1), unsaid=self._stalls.said())
        if self._stalled_first is None:
            self._stalled_first = stalled
        # By what was seen: who was frozen himself (`docker pause`) may get on in a moment.
        seen = stalled - self._stalled_first
        hung = HUNG_AFTER.total_seconds()
        return stalled >= hung and seen >= hung - _PATIENCE_SECONDS - 2 * _BEAT_SECONDS

    async def _reload_when_asked(self) -> None:
        while True:
            await self.reload_wanted.wait()
            self.reload_wanted.clear()
            # Who is still starting cannot be reloading as well.
            if self._ready:
                self.notifier.reloading()
            said = "configuration reloaded"
            try:
                # In a thread: the passes go on meanwhile, also where a disk is slow.
                settings = await asyncio.to_thread(self.reread)
                lessons = await self._lessons(settings.policy)
                if not self._take_up(settings):
                    said = f"configuration reloaded: {settings.path} has not changed"
                self.daemon.trader.next_lessons = lessons
                self._refused = ""
                await asyncio.to_thread(self.keep, self.settings)
            except BidderError as exc:
                self._refused = _first_line(str(exc))
                log.error("config.refused", reason=str(exc))
                self._tell_refusal()
            except Exception:
                self._refused = "it could not be read"
                log.exception("config.refused", reason=self._refused)
                self._tell_refusal()
            said = f"reload refused: {self._refused}" if self._refused else said
            if self._ready:
                self.notifier.ready(said)
            self._said = said

    async def _lessons(self, policy: Policy) -> View | None:
        """Return what the history teaches targets that are new; without it they begin as at first."""
        try:
            return await self.learn(policy)
        except StoreFailed as exc:
            log.warning("lessons.failed", reason=str(exc))
            return None

    def _take_up(self, settings: Settings) -> bool:
        """Take up what was read again; return whether it is anything new."""
        blocked = needs_restart(self.settings, settings)
        if blocked:
            raise ConfigError(
                f"a running daemon cannot change {', '.join(blocked)}",
                file=str(settings.path),
                remedy="restart the daemon for that, or take it back",
            )
        before, self.settings = self.settings, settings
        # An order may still run with a secret of long ago, and an error quote it.
        self.secrets.extend(each for each in settings.secret_values if each not in self.secrets)
        configure_logging(settings.log.level, settings.log.format, secrets=tuple(self.secrets))
        self.daemon.trader.next_policy = settings.policy
        for warning in settings.warnings:
            log.warning("config.warning", warning=warning)
        changes = _changes(before, settings)
        log.info("config.reloaded", **changes)
        fresh = before.secret_values != settings.secret_values or any(changes.values())
        if fresh or before.text != settings.text:
            return True
        log.warning(
            "config.unchanged",
            file=str(settings.path),
            remedy="if you have changed it, the daemon sees another file: a container shows the old one"
            " where the file itself is mounted; mount its folder",
        )
        return False


def build_service(
    app: App,
    settings: Settings,
    *,
    reread: Callable[[], Settings],
    reload_wanted: asyncio.Event,
    measure: Measure | None = None,
    keep: Callable[[Settings], None] = lambda _: None,
) -> Service:
    """Return the service around a daemon that is ready to run; it reloads when that is wanted.

    ``keep`` is given each configuration that a reload brings, in a thread; it must not raise.
    ``measure`` says what a day cost against the best that was possible; without it nobody asks.

    Raises:
        BadInput: the place where the pages should listen cannot be had.
    """
    secrets = list(settings.secret_values)
    ways = build_notifiers(settings, secrets=secrets)
    meter = None
    if measure is not None:
        queries = Queries(app.engine, settings.account)
        meter = Meter(measure=measure, store=app.trader.store, queries=queries, clock=app.clock)
    daemon = Daemon(
        trader=app.trader,
        lease=app.lease,
        clock=app.clock,
        lease_clock=app.lease_clock,
        prober=app.prober,
        meter=meter,
    )

    async def learn(policy: Policy) -> View:
        asked = (app.trader.view, policy, Queries(app.engine, settings.account), app.clock.now())
        if in_memory(app.engine):
            # It has one connection, which the passes use: they wait.
            return new_lessons(*asked)
        # In a thread: it takes some seconds of work, and the passes go on meanwhile.
        return await asyncio.to_thread(new_lessons, *asked)

    service = Service(
        daemon=daemon,
        settings=settings,
        reread=reread,
        keep=keep,
        learn=learn,
        notifier=Notifier.from_environ(os.environ),
        told_before=ToldBefore.of(
            Queries(app.engine, settings.account),
            partial(note, app.engine, settings.account, KIND),
            app.clock.now(),
        ),
        secrets=secrets,
        courier=Courier(ways) if ways else None,
        reload_wanted=reload_wanted,
    )
    if settings.web is not None:
        _add_pages(service, settings.web, app)
    return service


def _add_pages(service: Service, web: WebSettings, app: App) -> None:
    # Here, because a daemon without pages must not carry a web framework in its memory.
    from bidder.web.metrics import Metrics
    from bidder.web.pages import make_pages
    from bidder.web.server import listen, serving
    from bidder.web.source import Source

    queries = Queries(app.engine, service.settings.account)
    source = Source(
        daemon=service.daemon, spend_totals=queries.spend_totals, regrets=queries.latest_regrets
    )
    metrics = Metrics(source)
    pages = make_pages(source, metrics, web.token)
    service.pages = serving(pages, listen(web.host, web.port), app.lease_clock)
    service.observers = (*service.observers, source.passed, metrics.passed)


def _changes(before: Settings, after: Settings) -> dict[str, list[str]]:
    """Return the names of the targets that are new, gone or different, and of other keys that are."""
    old = {target.name: target for target in before.policy.targets}
    new = {target.name: target for target in after.policy.targets}
    others = [
        key
        for key, part in _TAKEN_UP.items()
        if operator.attrgetter(part)(before) != operator.attrgetter(part)(after)
    ]
    return {
        "added": sorted(new.keys() - old.keys()),
        "removed": sorted(old.keys() - new.keys()),
        "changed": sorted(name for name in new.keys() & old.keys() if new[name] != old[name]),
        "keys": sorted(others),
    }


def _end(failure: BaseException | None) -> str:
    if failure is None:
        return "stopped"
    # What a foreign error says may quote a secret.
    return f"stopped: {failure if isinstance(failure, BidderError) else type(failure).__name__}"


def _first_line(text: str) -> str:
    lines = text.splitlines()
    more = f" (and {len(lines) - 1} more, see the log)" if len(lines) > 1 else ""
    return (lines[0] if lines else "") + more
