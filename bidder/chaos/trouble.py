"""What befalls the machine, the market and the account in the course of a day."""

import random
import sqlite3
from contextlib import closing
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from bidder.chaos import kinds, world
from bidder.chaos.overtaking import Overtaking
from bidder.domain.budgets import limits
from bidder.errors import (
    BidderError,
    InvalidToken,
    LeaseHeld,
    LeaseLost,
    StoreFailed,
    StoreUnusable,
)
from bidder.store.lease import LEASE_TTL, Holder

if TYPE_CHECKING:
    from bidder.chaos.day import ChaosDay
    from bidder.wiring import App

_EVERY_SECONDS = 900.0
_BACKUP_EVERY = 4 * 3600.0
_DAY = 86400.0
_FIRST_BACKUP = "backup-1.db"
_ANEW_SECONDS = 120.0
_SUSPENDED_SECONDS = 6 * 3600.0
# How often each befalls, against each other; what is not named here has a chance of its own.
_WEIGHTS = {
    "database locked": 6.0,
    "disk full": 6.0,
    "database locked in mid-pass": 4.0,
    "disk full in mid-pass": 4.0,
    "commit unanswered": 8.0,
    "starved": 4.0,
    "starved in mid-pass": 6.0,
    "suspended": 1.0,
    "clock set back": 1.5,
    "clock set forward": 1.5,
    "clock slips": 3.0,
    "daylight saving": 1.5,
    "second daemon": 4.0,
    "second daemon takes over": 2.0,
    "second daemon takes over in mid-pass": 2.0,
    "database restored": 1.0,
    "database corrupt": 1.0,
    "floors jump": 6.0,
    "rates jump": 3.0,
    "rivals spike": 15.0,
    "500 offers": 0.4,
    "replica lags": 8.0,
    "token revoked": 3.0,
    "killed in a row": 2.0,
    "code 5 all day": 0.03,
}
_NOTHING = 30.0
# A server's database is restored and repaired by its own tools.
_OF_A_FILE = frozenset({"database restored", "database corrupt"})
# Of a day whose calendar is set nobody can say what it may cost.
_OF_A_CALENDAR = frozenset({"clock set back", "clock set forward", "clock slips", "daylight saving"})


class Troubles:
    """Draws what happens and when, and makes it happen."""

    def __init__(self, day: "ChaosDay", script: kinds.Script, *, by_chance: bool) -> None:
        """Trouble one day, by ``script`` and, if ``by_chance``, out of the blue."""
        self._day = day
        self._script = script
        self._by_chance = by_chance
        self._next = 0.0
        self._backup_at = 0.0
        self._backups: list[tuple[float, Path]] = []
        self._made = 0
        self._others = 0
        self._undone_at: list[tuple[float, timedelta]] = []
        self._overtaking: Overtaking | None = None

    def strike(self) -> None:
        """Let happen what is due."""
        day, true = self._day, self._day.clock.true
        self._back_up(true)
        for at, shift in [each for each in self._undone_at if each[0] <= true]:
            self._undone_at.remove((at, shift))
            day.say("The calendar is set right again.")
            day.clock.shift_wall(shift)
        while asked := self._script.for_moment(true):
            self.make(asked)
        if self._by_chance and true >= self._next:
            self._next = true + day.chance.expovariate(1 / _EVERY_SECONDS)
            self._draw()

    def set_right(self) -> None:
        """Undo what still stands of what was done to the clock."""
        for _, shift in self._undone_at:
            self._day.clock.shift_wall(shift)
        self._undone_at.clear()

    def _draw(self) -> None:
        day, chance = self._day, self._day.chance
        if day.weather.only is None or chance.random() < 0.7:
            day.weather.chance = chance.choice((0.0, 0.02, 0.05, 0.1, 0.3))
            day.weather.only = None
        if chance.random() < 0.25:
            day.machine.kill_in(chance.randint(1, 120))
        if chance.random() < 0.02:
            day.weather.chance, day.weather.only = 1.0, chance.choice(("code 5", "html 503"))
        kind = chance.choices(("", *_WEIGHTS), (_NOTHING, *_WEIGHTS.values()))[0]
        spared = _OF_A_FILE if day.on_a_server else frozenset()
        if limits(day.policy):
            spared |= _OF_A_CALENDAR
        if kind and kind not in spared:
            self.make(kind)

    def make(self, kind: str) -> None:
        """Make one kind of trouble at this moment."""
        day, chance = self._day, self._day.chance
        day.say(f"Trouble: {kind}.")
        match kind:
            case "database locked":
                day.machine.trouble(kind, 30)
                return
            case "disk full":
                day.machine.trouble(kind, chance.uniform(5, 60))
                return
            case "database locked in mid-pass":
                day.machine.fail_in(chance.randint(1, 60), "database locked", chance.choice((5, 30)))
                return
            case "disk full in mid-pass":
                day.machine.fail_in(chance.randint(1, 60), "disk full", chance.uniform(1, 60))
                return
            case "commit unanswered":
                day.machine.lose_commit_in(chance.randint(1, 12))
                return
            case "starved in mid-pass":
                day.machine.starve_in(chance.randint(1, 60))
                return
            case "killed" | "killed in a row":
                day.kills_ahead = 1 if kind == "killed" else chance.randint(2, 4)
                day.machine.kill_in(chance.randint(1, 60))
                return
        day.extra[kind] += 1
        if kind == "left dead":
            day.watchman.leave_dead()
        self._strike_time(kind)
        self._strike_database(kind)
        self._strike_account(kind)
        self._strike_market(kind)

    def _strike_time(self, kind: str) -> None:
        day, chance = self._day, self._day.chance
        match kind:
            case "starved":
                day.clock.advance(chance.choice((20.0, 120.0)))
            case "suspended":
                day.clock.suspend(chance.choice((1.0, 0.1)) * _SUSPENDED_SECONDS)
            case "clock set back":
                self._shift(timedelta(hours=-1))
            case "clock set forward":
                self._shift(timedelta(days=1))
            case "clock slips":
                # Corrected in one go, as a time service does with less than a few seconds.
                day.clock.shift_wall(timedelta(seconds=chance.uniform(0.2, 4.5)))
            case "daylight saving":
                # On a machine whose hardware clock keeps local time.
                self._shift(timedelta(hours=chance.choice((-1, 1))))

    def _shift(self, by: timedelta) -> None:
        self._day.clock.shift_wall(by)
        wait = self._day.chance.uniform(120, 4 * 3600)
        self._undone_at.append((self._day.clock.true + wait, -by))

    # The database

    def _back_up(self, true: float) -> None:
        if true < self._backup_at or self._day.on_a_server:
            return
        self._backup_at = true + _BACKUP_EVERY
        day = self._day
        self._made += 1
        copy = day.file.with_name(f"backup-{self._made}.db")
        with closing(sqlite3.connect(day.file)) as source, closing(sqlite3.connect(copy)) as target:
            source.backup(target)
        self._backups.append((true, copy))
        for old in [each for each in self._backups if each[0] < true - _DAY]:
            self._backups.remove(old)
            old[1].unlink()

    def _strike_database(self, kind: str) -> None:
        day = self._day
        if kind == "database restored":
            day.die("The daemon is stopped, to restore a backup.")
            day.looking.before_restore(readable=not day.damaged)
            self._restore()
        elif kind == "database corrupt":
            day.die("The daemon is stopped by a power cut that damages the disk.")
            day.looking.before_restore(readable=not day.damaged)
            day.close_database()
            _damage(day.file, day.chance)
            # Unless nothing of it can be seen, the next start refuses the file and says so.
            day.damaged = True

    def restore_after_damage(self) -> None:
        """Do what the error message told the owner to do."""
        self._day.looking.before_restore(readable=False)
        self._restore()

    def _restore(self) -> None:
        day = self._day
        day.close_database()
        day.watchman.stop_timer()
        oldest = day.clock.true - _DAY
        fresh = [(at, path) for at, path in self._backups if at >= oldest]
        taken_at, backup = day.chance.choice(fresh)
        if backup.name == _FIRST_BACKUP:
            # One of before the first pass: that is to begin anew, for which the message asks for time.
            day.clock.advance(_ANEW_SECONDS)
        for suffix in ("", "-wal", "-shm"):
            day.file.with_name(day.file.name + suffix).unlink(missing_ok=True)
        day.file.write_bytes(backup.read_bytes())
        day.open_database()
        # Whoever restores an old state has the daemon look after what it has forgotten.
        day.policy = replace(day.policy, adopt=True)
        day.restored_at = day.clock.true
        # What had been learnt since is forgotten too, and may be asked for once more.
        day.referee.forget_probes()
        day.forgotten_to = max(day.exchange.market.own, default=0)
        day.forgotten.append((day.moment_of(taken_at), day.moment_of(day.clock.true)))
        day.say(f"The database is restored from {backup.name}.")

    # The account

    def _strike_account(self, kind: str) -> None:
        match kind:
            case "token revoked":
                self._revoke()
            case "code 5 all day":
                self._day.weather.chance, self._day.weather.only = 1.0, "code 5"
                self._next = self._day.clock.true + _DAY
            case "second daemon":
                self._second_daemon()
            case "second daemon takes over":
                self._take_over()
            case "second daemon takes over in mid-pass":
                self._take_over_in_mid_pass()

    def _second_daemon(self) -> None:
        day = self._day
        if day.app is None:
            return
        try:
            day.app.lease.renew(day.clock.now())
            self._other()
        except LeaseHeld:
            return
        except BidderError as exc:
            self._failed("second", exc)
            return
        day.watch.violated("one writer", "a second daemon got the lease of a living one")

    def _failed(self, which: str, exc: BidderError) -> None:
        self._day.say(f"The {which} daemon fails: {exc}.")
        if isinstance(exc, StoreFailed | StoreUnusable):
            self._day.watch.ended(exc)  # what the machine did to it is told by its own end

    def _other(self) -> "App":
        # A living process, as far as anybody can tell: another machine's.
        self._others += 1
        here = replace(Holder.here(), host="elsewhere", boot=f"another {self._others}", pid=1)
        return self._day.life.build(here)

    def _take_over(self) -> None:
        """Let the daemon sleep past its lease, another one trade, and the first one wake up."""
        day, first = self._day, self._day.app
        if first is None or day.machine.failing:
            return
        day.clock.suspend(LEASE_TTL.total_seconds() + 1)
        try:
            day.app = self._other()
        except BidderError as exc:
            self._failed("second", exc)
            return
        day.watch.started()
        day.sleeping, day.sleeps_until = first, day.clock.true + day.chance.uniform(30, 600)

    def _take_over_in_mid_pass(self) -> None:
        """Let the daemon be overtaken in one of the passes that begin with its next one."""
        day = self._day
        if day.app is None or day.sleeping is not None:
            return
        self._overtaking = Overtaking(day, self._other)
        day.sleeping, day.sleeps_until = day.app, day.clock.true

    async def wake_the_first(self) -> None:
        """See that a daemon that lost its lease in its sleep sends nothing more."""
        day, first = self._day, self._day.sleeping
        day.sleeping = None
        overtaking, self._overtaking = self._overtaking, None
        if first is None:
            return
        if overtaking is not None:
            if first is day.app:
                await overtaking.run(first)
            return
        before = day.referee.requests
        try:
            first.keeper.before_pass()
            await first.trader.run_pass()
        except (LeaseLost, InvalidToken):
            pass
        except BidderError as exc:
            self._failed("first", exc)
        else:
            day.watch.violated("one writer", "a daemon without its lease made a pass")
        if day.referee.requests != before:
            day.watch.violated("one writer", "a daemon without its lease sent a request")

    def _revoke(self) -> None:
        day = self._day
        day.say("The token is revoked for two minutes.")
        exchange = day.exchange
        token, exchange.token = exchange.token, "another"
        exchange.advance(day.transport.now())

        def restore(_: int) -> None:
            exchange.token = token

        exchange.market.schedule(exchange.market.at + 120_000_000, restore)

    # The market

    def _strike_market(self, kind: str) -> None:
        day = self._day
        exchange = day.exchange
        match kind:
            case "floors jump":
                exchange.advance(day.transport.now())
                world.floors_jump(exchange, day.chance)
            case "rates jump":
                exchange.advance(day.transport.now())
                world.rates_jump(exchange, day.chance)
            case "rivals spike":
                exchange.advance(day.transport.now())
                if not world.rivals_spike(exchange, day.chance, day.stage.ceilings_usd()):
                    day.extra[kind] -= 1
            case "500 offers":
                exchange.advance(day.transport.now())
                world.crowd_in(exchange, day.chance, day.servers_of_interest())
            case "replica lags":
                day.weather.lagging_until = day.clock.true + day.chance.uniform(600, 3600)
                # Counted where an old state was shown.
                day.extra[kind] -= 1


def _damage(file: Path, chance: random.Random) -> None:
    content = bytearray(file.read_bytes())
    for _ in range(chance.choice((1, 3))):
        at = chance.randrange(0, max(1, len(content) - 4096))
        if chance.random() < 0.3:
            at = 0
        content[at : at + 4096] = chance.randbytes(4096)
    file.write_bytes(content)
