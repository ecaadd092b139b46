"""One seed's days: the whole daemon, the simulated exchange, and trouble of every kind."""

import asyncio
import os
import tempfile
import traceback
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from random import Random
from typing import Any

from sqlalchemy import Engine, MetaData, select

from bidder.app.report import PassReport
from bidder.chaos import world as odd_world
from bidder.chaos.canaries import TOKEN, Carriers, launch_of, settings_of
from bidder.chaos.clock import MachineClock
from bidder.chaos.growth import RETENTION, Growth
from bidder.chaos.invariants import Watch
from bidder.chaos.kinds import Script, Scripted
from bidder.chaos.looking import Log, Looking
from bidder.chaos.machine import Killed, Machine
from bidder.chaos.trouble import Troubles
from bidder.chaos.watchman import Watchman
from bidder.chaos.wire import FaultyTransport, Weather
from bidder.demo import world
from bidder.domain.money import Currency, Rates
from bidder.domain.policy import DeadlineParams, Pace, Policy, Target
from bidder.domain.unexplained import unexplained
from bidder.errors import (
    InvalidToken,
    LeaseHeld,
    LeaseLost,
    StoreFailed,
    StoreUnusable,
)
from bidder.exchange import wire
from bidder.sim.answers import Request
from bidder.sim.exchange import SimExchange
from bidder.sim.moments import micros, span
from bidder.sim.referee import Referee
from bidder.sim.server import DEFAULT_START
from bidder.sim.targets import targets_from
from bidder.store.lease import Holder
from bidder.telemetry import configure_logging
from bidder.wiring import App, build_app, open_database

_SERVERS = 24
_RATES = Rates({Currency.BTC: Decimal(69000), Currency.CLORE: Decimal("0.11")})
# A day is a small world seen now and then: what matters happens between two reads anyhow.
_PACE = Pace(
    marketplace_every=timedelta(minutes=15),
    book_every=timedelta(minutes=7),
    orders_every=timedelta(minutes=7),
    wallets_every=timedelta(hours=1),
)
# After the faults stop, so long until every target must be held again: the longest pause of ours
# after a refusal is half an hour.
_RECOVERY = timedelta(minutes=75)
_HEARTBEAT = 10.0
_HOUSEKEEPING = 3600.0
_MOST_SLICES = 300
_COUNTED_EVERY = 3600.0
_VISITED_EVERY = 8 * 3600.0  # drawing a page takes as long as a dozen passes
# So long the owner waits after a restore: reads of our orders, and what they do not show at once.
_TAKEN_UP_SECONDS = 1800.0
_URL = "http://sim.invalid/v1"


@dataclass(slots=True, kw_only=True)
class Outcome:
    """What one seed came to."""

    seed: int
    days: float
    requests: int = 0
    crashes: int = 0
    faults: Counter[str] = field(default_factory=Counter)
    in_doubt: Counter[str] = field(default_factory=Counter)
    orders_created: int = 0
    violations: list[tuple[str, str, str]] = field(default_factory=list)  # invariant, moment, what


def fastest_folder() -> str | None:
    """Return a folder in memory where there is one, for what is no test of durability."""
    return "/dev/shm" if os.access("/dev/shm", os.W_OK) else None  # noqa: S108


class ChaosDay:
    """Everything that one seed decides."""

    def __init__(
        self,
        seed: int,
        days: float,
        *,
        script: Sequence[Scripted] | None = None,
        tell: Callable[[str], None] | None = None,
        folder: str | None = None,
        database_url: str | None = None,
    ) -> None:
        """Prepare; with a ``script`` nothing goes wrong but what it asks for.

        ``tell`` gets a line for everything that happens, for a replay. ``folder`` is where the
        database lies, in one of its own. ``database_url`` is that of an empty database on a server,
        which is neither restored nor damaged; None: a file of the day's own.
        """
        self.seed, self.days = seed, days
        self._script = by_script = Script.of(script or ())
        self._tell = tell
        self.chance = Random(f"chaos/{seed}")
        self.rules = odd_world.rules_of(self.chance)
        by_chance = script is None
        self.extra: Counter[str] = Counter()
        self._build_exchange(by_script, by_chance=by_chance)
        self.clock = MachineClock(self.exchange.start)
        self.machine = Machine(self.clock)
        self.weather = Weather()
        self.transport = FaultyTransport(
            self.exchange,
            self.clock,
            self.chance,
            self.weather,
            self.machine.point,
            by_script,
            self.say,
        )
        self.troubles = Troubles(self, by_script, by_chance=by_chance)
        self.policy, self.referee = self._policy(by_chance=by_chance)
        # A file, because a killed connection takes a database in memory with it.
        self._folder = tempfile.TemporaryDirectory(
            prefix="bidder-chaos-", dir=folder or fastest_folder()
        )
        self.file = Path(self._folder.name) / "chaos.db"
        self.on_a_server = database_url is not None
        self.url = database_url or f"sqlite:///{self.file}"
        self.engine: Engine
        self.open_database()
        self.log = Log()
        self.carriers = Carriers(settings=settings_of(self.policy, _URL))
        self.outcome = Outcome(seed=seed, days=days)
        self.watch = Watch(self)
        self.looking = Looking(self)
        self.growth = Growth(self)
        # It goes by the picture for `status`, which takes as long as deciding: one day in four has both.
        self.guarded = seed % 4 == 0 or by_script.for_day("left dead")
        self.watchman = Watchman(self, on=self.guarded, by_chance=by_chance)
        self.app: App | None = None
        self.sleeping: App | None = None  # a daemon that sleeps while another one trades
        self.damaged = False
        self.calm = False
        self.forgotten_to = 0  # the newest order at the time when the database last lost its memory
        self.forgotten: list[tuple[int, int]] = []  # of what times, as the exchange counts them
        self.kills_ahead = 0
        self._lives = 0
        self._beat_at = 0.0
        self._swept_at = 0.0
        self._counted_at = 0.0
        self._visited_at = -_VISITED_EVERY
        self._owners = self.policy  # as the owner has it, where nothing has been forgotten
        self.restored_at: float | None = None
        self.sleeps_until = 0.0
        self._waits_until: float | None = None

    def _build_exchange(self, script: Script, *, by_chance: bool) -> None:
        odd = {
            kind: (by_chance and self.chance.random() < 0.3) or script.for_day(kind)
            for kind in ("ids beyond 2^53", "unicode everywhere")
        }
        self.extra.update(kind for kind, on in odd.items() if on)
        self._world = odd_world.world_of(
            self.seed,
            _SERVERS,
            beyond=odd["ids beyond 2^53"],
            odd_text=odd["unicode everywhere"],
        )
        self.exchange = self._exchange()

    def _exchange(self) -> SimExchange:
        return SimExchange(self._world, self.rules, seed=self.seed, start=DEFAULT_START, token=TOKEN)

    def _with_a_job(self, target: Target) -> Target:
        """Return the target with a job so tight, and spot so dear, that it comes to rent on demand."""
        ceiling = target.ceiling
        whole = timedelta(days=self.days)
        params = DeadlineParams(
            gpu_hours=round(Decimal(str(whole / timedelta(hours=1) * 0.8)), 2) * target.want,
            by=self.exchange.start + whole,
            on_demand_ceiling=replace(ceiling, price=ceiling.price.times(2)),
        )
        cheap = replace(ceiling, price=ceiling.price.times(Decimal("0.6")))
        return replace(target, params=params, ceiling=cheap)

    def _policy(self, *, by_chance: bool) -> tuple[Policy, Referee]:
        look = Request(method="GET", path="/v1/marketplace", headers={"auth": TOKEN})
        other = self._exchange()
        market = wire.marketplace(other.handle(look, other.start).body)
        policy = world.demo_policy(market, _RATES)
        launch = launch_of("nvidia/cuda")
        targets = tuple(replace(target, launch=launch) for target in policy.targets[:2])
        if by_chance and self.seed % 5 == 2:
            targets = (targets[0], self._with_a_job(targets[1]))
        rails = odd_world.rails_of(self.seed, targets, policy.rails, self._world)
        policy = replace(policy, targets=targets, pace=_PACE, rails=rails, retention=RETENTION)
        judged = targets_from(world.for_referee(policy, market))
        self.wanted = {server for target in judged for server in target.servers or ()}
        return policy, Referee(self.exchange, judged)

    def open_database(self) -> None:
        """Open the database file and let the machine trouble it; raises StoreUnusable."""
        with self.machine.asleep():
            self.engine = open_database(self.url)
        self.machine.watch(self.engine)

    def close_database(self) -> None:
        """Close the database, as the end of a process does."""
        self.engine.dispose()

    def open_log(self) -> None:
        """Send what is logged to the day's own log, as the daemon's configuration asks for."""
        settings = self.carriers.settings
        secrets = settings.secret_values
        configure_logging(settings.log.level, settings.log.format, stream=self.log, secrets=secrets)

    # The story

    def run(self) -> Outcome:
        """Play the days, then let things calm down and look at what is left."""
        self.open_log()
        self.looking.text("what a database that is gone says", self.carriers.refused_by_the_database())
        self.carriers.tell(self.clock.now())
        asyncio.run(self._live_until(self.days * 43200, troubled=True))
        self.growth.half_time()
        asyncio.run(self._live_until(self.days * 86400, troubled=True))
        self._calm_down()
        calm_until = self.clock.true + _RECOVERY.total_seconds()
        asyncio.run(self._live_until(calm_until, troubled=False))
        self.watch.at_the_end()
        outcome = self.outcome
        report = self.referee.report(self.transport.now())
        outcome.requests = report["requests"]
        outcome.orders_created = report["orders_created"]
        outcome.crashes = self.machine.kills
        outcome.faults = self.transport.faults + self.machine.faults + self.extra
        self.close()
        return outcome

    def close(self) -> None:
        """Give back what a day holds on disk; `run` does it by itself."""
        self.close_database()
        self._folder.cleanup()

    def say(self, what: str) -> None:
        """Add a line to the timeline."""
        if self._tell is not None:
            self._tell(f"{self.transport.now():%d %H:%M:%S.%f}"[:-3] + f"  {what}")

    async def _live_until(self, end: float, *, troubled: bool) -> None:
        while self.clock.true < end:
            refused = self.machine.refused
            try:
                await self._go_on(troubled=troubled)
            except Killed:
                # An answer that was being read when the process died has reached nobody.
                self.exchange.lose_answer()
                self.die(f"killed at {self.machine.killed_at}")
                if self.kills_ahead > 1:
                    self.kills_ahead -= 1
                    self.machine.kill_in(self.chance.randint(1, 40))
            except LeaseHeld as exc:
                self.say(f"waits: {exc}")
                self.clock.advance(15)
            except (LeaseLost, InvalidToken) as exc:
                self.watch.ended(exc)
                self.die(f"ended: {type(exc).__name__}")
                self.clock.advance(30)
            except StoreUnusable as exc:
                self._refused(exc)
            except StoreFailed as exc:
                self._failed(exc, by_the_machine=self.machine.refused != refused)
            except Exception as exc:  # noqa: BLE001 - whatever it is, it is a finding
                self.watch.escaped(exc)
                self.say(traceback.format_exc())
                self.die(f"crashed: {type(exc).__name__}")
                if self.damaged:
                    self._repaired()
            if self.calm:
                self.watch.look_for_life()

    async def _go_on(self, *, troubled: bool) -> None:
        if troubled and not self.watchman.left_dead:
            self.troubles.strike()
        if not await self.watchman.minds():
            await self._step()

    async def live_for(self, seconds: float) -> None:
        """Let the daemon live for so long while another process waits."""
        self._waits_until = self.clock.true + seconds
        try:
            await self._live_until(self._waits_until, troubled=False)
        finally:
            self._waits_until = None

    def _refused(self, exc: StoreUnusable) -> None:
        """Take note that a database was refused at the start: rightly so, where it is damaged."""
        self.watch.ended(exc)
        self.say(f"database: {exc}")
        if not self.damaged:
            self.watch.escaped(exc)
        self._repaired()

    def _failed(self, exc: StoreFailed, *, by_the_machine: bool) -> None:
        """Take note that the database failed in a pass: rightly so, where the machine lets it."""
        self.watch.ended(exc)
        self.say(f"database: {exc}")
        if self.damaged:
            self.die("stopped: the database is damaged")
            self._repaired()
        elif not by_the_machine:
            self.watch.escaped(exc)
        self.clock.advance(1)

    def _repaired(self) -> None:
        self.damaged = False
        self.troubles.restore_after_damage()

    async def _step(self) -> None:
        if self.app is None:
            self._start()
        app = self.app
        assert app is not None
        app.keeper.before_pass()
        report = await app.trader.run_pass()
        self.note(report)
        self.watch.after(report)
        self.watchman.daemon_passed()
        wait = report.sleep.total_seconds()
        if report.idle_until is not None:
            # Nothing can happen before then but what the world does by itself.
            wait = max(wait, (report.idle_until - report.at).total_seconds())
        if self._waits_until is not None:
            wait = min(wait, self._waits_until - self.clock.true)
        if wait > 0:
            self.clock.advance(max(wait, 0.001))
        # Of the heartbeats of an idle moment the last one stands for all.
        if self.clock.monotonic() - self._beat_at >= _HEARTBEAT:
            app.keeper.beat()
            self._beat_at = self.clock.monotonic()
        if self.clock.monotonic() - self._swept_at >= _HOUSEKEEPING:
            self._swept_at = self.clock.monotonic()
            self._tidy(app)
        self._take_adopt_back(app)
        if self.clock.true - self._counted_at >= _COUNTED_EVERY:
            self._counted_at = self.clock.true
            self.growth.hourly()
        if self.clock.true - self._visited_at >= _VISITED_EVERY:
            self._visited_at = self.clock.true
            self.looking.text("a page", await self.carriers.pages(app, report))
        if self.sleeping is not None and self.clock.true >= self.sleeps_until:
            await self.troubles.wake_the_first()

    def _tidy(self, app: App) -> None:
        """Do what is due of housekeeping, in slices, as the daemon does."""
        for _ in range(_MOST_SLICES):
            if not app.trader.store.tidy(self.clock.now(), self.policy.retention):
                return

    def _take_adopt_back(self, app: App) -> None:
        """Let the owner take ``adopt`` back once all that a restored database forgot is taken up."""
        if self.restored_at is None or self.clock.true - self.restored_at < _TAKEN_UP_SECONDS:
            return
        trader, mode = app.trader, self.policy.mode
        unread = trader.view.completed_at is None
        if unread or any(unexplained(t, trader.view, mode) for t in self.policy.targets):
            return
        self.restored_at = None
        self.policy = trader.next_policy = replace(self.policy, adopt=self._owners.adopt)
        self.say("adopt is set back")

    def _start(self) -> None:
        self._lives += 1
        # A process takes a moment to start; a dead one is known to be dead on the same machine.
        self.clock.advance(self.chance.uniform(0.5, 8))
        if self.damaged:
            self.open_database()
        here = Holder.here()
        app = self.build(replace(here, pid=-self._lives, started=f"life {self._lives}"))
        self.app = app
        self._beat_at = self.clock.monotonic()
        self.watch.started()
        self.say(f"started, {len(app.trader.view.intents)} intents open")

    def build(self, holder: Holder) -> App:
        """Return a daemon of this account in the name of ``holder``; raises what a start may raise."""
        app = build_app(
            policy=self.policy,
            base_url=_URL,
            token=TOKEN if self.chance.random() > 0.002 else "revoked",
            engine=self.engine,
            clock=self.clock,
            transport=self.transport,
            holder=holder,
        )
        app.trader.recorder.pictures = self.guarded
        return app

    def die(self, why: str) -> None:
        """End the process, as a kill or its own refusal does."""
        self.say(why)
        self.app = None
        self.looking.life_ended()

    def note(self, report: PassReport) -> None:
        """Add what a pass did to the timeline."""
        if self._tell is None:
            return
        if report.acted is not None:
            acted = report.acted
            self.say(f"{acted.action} ({acted.decision.reason}): {acted.result} {acted.error}")
        for alarm in report.alarms:
            self.say(f"alarm: {alarm}")
        if report.observed is not None:
            seen = report.observed
            for verdict in seen.verdicts:
                self.say(f"intent {verdict.intent.id} {verdict.settled} {verdict.orders}")
            for holding in seen.ended:
                self.say(f"order {holding.order.order} on {holding.order.server} is over")

    def calm_weather(self) -> None:
        """Let nothing go wrong by chance from here on, until somebody changes it."""
        self.weather.chance, self.weather.only, self.weather.lagging_until = 0.0, None, 0.0
        self.kills_ahead = 0
        self.machine.at_peace()

    def faults(self) -> int:
        """Return how much has gone wrong so far."""
        return (self.transport.faults + self.machine.faults + self.extra).total()

    def _calm_down(self) -> None:
        self.calm_weather()
        self._script.left.clear()
        self.watchman.revive()
        self.troubles.set_right()
        self.exchange.token = TOKEN
        self.calm = True
        self.say("calm from here on")

    # Looking from outside

    @property
    def wires_own(self) -> frozenset[int]:
        """Return the orders that the wire made by delivering one request twice."""
        return self.referee.made_by_wire

    def moment_of(self, true: float) -> int:
        """Return a moment in true seconds as the exchange counts it."""
        return micros(self.exchange.start) + span(true)

    def servers_of_interest(self) -> set[int]:
        """Return the servers that the daemon holds or considers at present."""
        if self.app is None:
            return set()
        view = self.app.trader.view
        found = {int(h.order.server) for h in view.holdings.values()}
        for candidates in view.shortlists.values():
            found |= {int(c.listing.server) for c in candidates}
        return found

    def stored(self) -> dict[str, list[dict[str, Any]]]:
        """Return every row of the database."""
        found: dict[str, list[dict[str, Any]]] = {}
        with self.machine.asleep():
            metadata = MetaData()
            metadata.reflect(self.engine)
            with self.engine.connect() as connection:
                for table in metadata.sorted_tables:
                    rows = connection.execute(select(table)).mappings()
                    found[table.name] = [dict(row) for row in rows]
        return found


def play(seed: int, days: float, script: Sequence[Scripted] | None, folder: str) -> Outcome:
    """Run one seed."""
    return ChaosDay(seed, days, script=script, folder=folder).run()
