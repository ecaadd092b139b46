"""One seed's days: the whole daemon, the simulated exchange, and trouble of every kind."""

import asyncio
import os
import tempfile
import traceback
from collections import Counter
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from pathlib import Path
from random import Random
from typing import Any

from sqlalchemy import Engine, MetaData, select

from bidder.chaos.canaries import TOKEN, Carriers, settings_of
from bidder.chaos.clock import MachineClock
from bidder.chaos.growth import Growth
from bidder.chaos.invariants import Watch
from bidder.chaos.kinds import Script, Scripted
from bidder.chaos.life import URL, Life
from bidder.chaos.looking import Log, Looking
from bidder.chaos.machine import Killed, Machine
from bidder.chaos.outcome import Outcome
from bidder.chaos.person import Person
from bidder.chaos.stage import set_up
from bidder.chaos.timeline import Timeline
from bidder.chaos.trouble import Troubles
from bidder.chaos.watchman import Watchman
from bidder.chaos.wire import FaultyTransport, Weather
from bidder.errors import (
    InvalidToken,
    LeaseHeld,
    LeaseLost,
    StoreFailed,
    StoreUnusable,
)
from bidder.sim.moments import micros, span
from bidder.telemetry import configure_logging
from bidder.wiring import App, open_database

# After the faults stop, so long until every target must be held again: the longest pause of ours
# after a refusal is half an hour.
_RECOVERY = timedelta(minutes=75)


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
        self.timeline = Timeline(tell, self._now)
        self.chance = Random(f"chaos/{seed}")
        by_chance = script is None
        self.stage = set_up(seed, days, by_script, self.chance, by_chance=by_chance)
        self.exchange, self.referee = self.stage.exchange, self.stage.referee
        self.policy = self.stage.policy  # an owner may change it in the course of the day
        self.extra = Counter(self.stage.oddities)
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
        self.carriers = Carriers(settings=settings_of(self.policy, URL))
        self.outcome = Outcome(seed=seed, days=days)
        self.person = Person(self, by_chance=by_chance)
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
        self.restored_at: float | None = None
        self.sleeps_until = 0.0
        self.life = Life(self)

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
        self.timeline.fold()
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
        self.timeline.say(what)

    async def _live_until(self, end: float, *, troubled: bool) -> None:
        while self.clock.true < end:
            refused = self.machine.refused
            try:
                await self._go_on(troubled=troubled)
            except Killed:
                # An answer that was being read when the process died has reached nobody.
                self.exchange.lose_answer()
                self.die(f"The daemon is killed, at a point of kind {self.machine.killed_at}.")
                if self.kills_ahead > 1:
                    self.kills_ahead -= 1
                    self.machine.kill_in(self.chance.randint(1, 40))
            except LeaseHeld as exc:
                self.say(f"A daemon waits: {exc}.")
                self.clock.advance(15)
            except (LeaseLost, InvalidToken) as exc:
                self.watch.ended(exc)
                self.die(f"The daemon ends: {exc}.")
                self.clock.advance(30)
            except StoreUnusable as exc:
                self._refused(exc)
            except StoreFailed as exc:
                self._failed(exc, by_the_machine=self.machine.refused != refused)
            except Exception as exc:  # noqa: BLE001 - whatever it is, it is a finding
                self.watch.escaped(exc)
                self.say(traceback.format_exc())
                self.die(f"The daemon has crashed: {type(exc).__name__}.")
                if self.damaged:
                    self._repaired()
            if self.calm:
                self.watch.look_for_life()

    async def _go_on(self, *, troubled: bool) -> None:
        if troubled and not self.watchman.left_dead:
            self.troubles.strike()
            self.person.comes_by()
        if not await self.watchman.minds():
            await self.life.step()

    async def live_for(self, seconds: float) -> None:
        """Let the daemon live for so long while another process waits."""
        self.life.waits_until = until = self.clock.true + seconds
        try:
            await self._live_until(until, troubled=False)
        finally:
            self.life.waits_until = None

    def _refused(self, exc: StoreUnusable) -> None:
        """Take note that a database was refused at the start: rightly so, where it is damaged."""
        self.watch.ended(exc)
        self.say(f"The database fails: {exc}.")
        if not self.damaged:
            self.watch.escaped(exc)
        self._repaired()

    def _failed(self, exc: StoreFailed, *, by_the_machine: bool) -> None:
        """Take note that the database failed in a pass: rightly so, where the machine lets it."""
        self.watch.ended(exc)
        self.say(f"The database fails: {exc}.")
        if self.damaged:
            self.die("The daemon stops: its database is damaged.")
            self._repaired()
        elif not by_the_machine:
            self.watch.escaped(exc)
        self.clock.advance(1)

    def _repaired(self) -> None:
        self.damaged = False
        self.troubles.restore_after_damage()

    def die(self, why: str) -> None:
        """End the process, as a kill or its own refusal does."""
        self.say(why)
        self.app = None
        self.looking.life_ended()

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
        self.person.leave()
        self.troubles.set_right()
        self.exchange.token = TOKEN
        self.calm = True
        self.say("Nothing goes wrong from here on.")

    # Looking from outside

    def _now(self) -> datetime:
        return self.transport.now()

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
