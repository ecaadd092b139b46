"""The guard's timer on a bad day: rounds beside the daemon, and a daemon that is left dead.

The guard is a process of its own, as the timer starts it: its own connection to the database, its
own client, a holder of the lease of whom nobody can tell whether it lives. It may be killed, and it
meets the same wire. Its chance is its own, so that a day without a guard stays what it was.
"""

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from decimal import Decimal
from random import Random
from typing import TYPE_CHECKING

from sqlalchemy import Engine, event

from bidder.chaos import timeline
from bidder.chaos.machine import Killed
from bidder.chaos.overhearing import Overhearing, left_alive
from bidder.domain.policy import Target
from bidder.domain.unattended import Then, WhenSilent
from bidder.errors import BidderError
from bidder.guarding import Round, stand_guard
from bidder.store.engine import open_engine
from bidder.store.lease import Holder
from bidder.store.queries import Queries
from bidder.store.schema import require_current

if TYPE_CHECKING:
    from bidder.chaos.day import ChaosDay

# Beside a living daemon a round has nothing to do: now and then is enough.
_BESIDE_SECONDS = 3600.0
_ALONE_SECONDS = (120.0, 480.0)
_DEATHS_EVERY_SECONDS = 8 * 3600.0
_TROUBLED_SECONDS = (60.0, 1500.0)
# Without any fault, so long after `after` every order must have been looked after.
CALM_SECONDS = 1500.0
# A daemon that has shown no life for longer than this was in trouble before it died.
_FRESH = timedelta(minutes=12)
_JUMP = timedelta(seconds=60)
# What may befall a round, or the market between two.
_TROUBLES = (
    *("killed", "killed", "killed in a row", "database locked", "disk full", "starved in mid-pass"),
    *("suspended", "floors jump", "rates jump", "replica lags", "token revoked"),
)


class Watchman:
    """Makes the guard's rounds, and leaves the daemon dead for a while."""

    def __init__(self, day: "ChaosDay", *, on: bool, by_chance: bool) -> None:
        """Stand guard on this day, if ``on``; ``by_chance`` lets the daemon be left dead of itself."""
        self.on = on
        self._day = day
        self._chance = Random(f"guard/{day.seed}")
        self._by_chance = by_chance
        self.when = _wish(self._chance, day.policy.targets)
        self.by_hand_chance = 0.5
        self.acted = 0
        self.kills = 0  # of which the round under way knows
        self._engine: Engine | None = None
        self.rounds = 0
        self._round_at = 0.0
        self._dies_at = self._chance.expovariate(1 / _DEATHS_EVERY_SECONDS)
        self._calm_at: float | None = None  # the daemon is dead, and from then on nothing goes wrong
        self._faults: int | None = None  # how many there had been when the calm began
        self._under_way = False
        self._stopped = False
        self._calendar = day.clock.now()
        self._counted = day.clock.monotonic()

    @property
    def left_dead(self) -> bool:
        """Return whether the daemon is dead and is to stay so for now."""
        return self._calm_at is not None

    def stop_timer(self) -> None:
        """Make no rounds until a pass has been made, as whoever restores a database is told to."""
        self._stopped = True

    def daemon_passed(self) -> None:
        """Let the timer run again."""
        self._stopped = False

    async def minds(self) -> bool:
        """Make the round that is due; return whether the daemon stays dead meanwhile."""
        day = self._day
        if self._under_way or not (self.on or self.left_dead):
            return False
        if self._by_chance and not day.calm and not self.left_dead and day.clock.true >= self._dies_at:
            self._dies_at = day.clock.true + self._chance.expovariate(1 / _DEATHS_EVERY_SECONDS)
            if self._fresh():
                day.troubles.make("left dead")
        if not self.left_dead:
            await self._beside()
            return False
        await self._alone()
        return True

    # The daemon lives

    async def _beside(self) -> None:
        day = self._day
        if self._jumped():
            # The moment at which every sign of life is old.
            self._round_at = day.clock.true
        if day.clock.true < self._round_at:
            return
        self._round_at = day.clock.true + self._chance.expovariate(1 / _BESIDE_SECONDS)
        await self._round()

    def _jumped(self) -> bool:
        now, seconds = self._day.clock.now(), self._day.clock.monotonic()
        jump = now - self._calendar - timedelta(seconds=seconds - self._counted)
        self._calendar, self._counted = now, seconds
        return abs(jump) > _JUMP

    # The daemon is left dead

    def leave_dead(self) -> None:
        """Kill the daemon and let it stay dead for longer than the owner lets a silence pass."""
        day = self._day
        day.die("The daemon is killed, and left dead.")
        rough = self._chance.uniform(*_TROUBLED_SECONDS) if self._by_chance else 0.0
        self._calm_at = day.clock.true + self.when.after.total_seconds() + rough
        self._round_at = day.clock.true
        self._faults = None
        if self._chance.random() < self.by_hand_chance:
            day.person.order()

    def revive(self) -> None:
        """Let the daemon be started again."""
        self._calm_at = None

    async def _alone(self) -> None:
        day = self._day
        assert self._calm_at is not None
        day.clock.advance(self._round_at - day.clock.true)
        self._round_at = day.clock.true + self._chance.uniform(*_ALONE_SECONDS)
        if day.clock.true < self._calm_at:
            if self._by_chance and self._chance.random() < 0.4:
                day.troubles.make(self._chance.choice(_TROUBLES))
        elif self._faults is None:
            # A machine that was suspended may come to it late.
            self._calm_at = day.clock.true
            day.calm_weather()
            self._faults = day.faults()
        await self._round()
        if self._faults is not None and day.clock.true >= self._calm_at + CALM_SECONDS:
            self._judge()
            self.revive()

    def _judge(self) -> None:
        day = self._day
        if self.when.then is not Then.CANCEL or self._stopped or day.faults() != self._faults:
            return
        if left := left_alive(day, day.policy.account):
            what = f"{', '.join(map(str, left))} live {CALM_SECONDS / 60:.0f} calm minutes later"
            day.watch.violated("the guard ends", what)

    def _fresh(self) -> bool:
        day = self._day
        with day.machine.asleep():
            seen = Queries(day.engine, day.policy.account).snapshot()
        return day.app is not None and seen is not None and abs(day.clock.now() - seen.at) < _FRESH

    # A round

    async def _round(self) -> None:
        day = self._day
        if self._stopped:
            return
        self.rounds += 1
        holder = replace(Holder.here(), host="guard", boot=f"guard {self.rounds}", pid=self.rounds)
        engine = self._opened()
        self.kills, refused = day.machine.kills, day.machine.refused
        self._under_way = True
        if day.app is None:
            # A process of its own, which has been told nothing. Beside a daemon it only looks.
            day.transport.ledger.started()
        try:
            require_current(engine)
            wire = Overhearing(day, engine, str(holder), self.when.then)
            found = await stand_guard(
                day.policy,
                self.when,
                engine=engine,
                base_url="http://sim.invalid/v1",
                token=day.exchange.token,
                clock=_GuardsClock(day, wire),
                transport=wire,
                holder=holder,
            )
            self._note(found)
        except Killed:
            day.exchange.lose_answer()
            day.say(f"The guard is killed, at a point of kind {day.machine.killed_at}.")
        except BidderError as exc:
            day.say(f"The guard fails: {exc}.")
        except Exception as exc:  # noqa: BLE001 - whatever it is, it is a finding
            day.watch.escaped(exc)
        finally:
            self._under_way = False
            day.watch.guard_was_refused(day.machine.refused - refused)
            day.watch.fouls()
            # The next round is another process, with a connection of its own.
            engine.dispose()

    def _opened(self) -> Engine:
        if self._engine is None:
            self._engine = open_engine(self._day.url)
            self._day.machine.watch(self._engine)
            event.listen(self._engine, "begin", self._refuse_the_dead)
        return self._engine

    def _refuse_the_dead(self, _connection: object) -> None:
        # What Python still runs on its way out of a round that was killed, a dead process does not.
        if self._under_way and self._day.machine.kills != self.kills:
            raise Killed

    def _note(self, found: Round) -> None:
        self.acted += len(found.acted)
        day = self._day
        said = f", and fails: {found.error}" if found.error else ""
        day.say(f"The guard finds: {found.finding}; it sends {len(found.acted)} requests{said}.")
        for deed in found.acted:
            day.say(f"The guard, {timeline.deed(deed)}")


class _GuardsClock:
    """The machine's clock; while the guard waits for its second look, the daemon lives on."""

    def __init__(self, day: "ChaosDay", wire: Overhearing) -> None:
        self._day = day
        self._wire = wire

    def now(self) -> datetime:
        return self._day.clock.now()

    def monotonic(self) -> float:
        return self._day.clock.monotonic()

    def real_seconds(self, seconds: float) -> float:
        return self._day.clock.real_seconds(seconds)

    async def sleep(self, seconds: float) -> None:
        # Beside a guard that trades there is nothing that a daemon could do.
        if self._day.watchman.left_dead or self._wire.holder() == self._wire.guard:
            self._day.clock.advance(seconds)
            return
        await self._day.live_for(seconds)
        # Whoever was killed meanwhile, it was not the guard.
        self._day.watchman.kills = self._day.machine.kills


def _wish(chance: Random, targets: Sequence[Target]) -> WhenSilent:
    """Return what the owner of this day wants to happen when the daemon is silent."""
    after = timedelta(minutes=chance.choice((15, 20, 30)))
    then = chance.choice((Then.CANCEL, Then.CANCEL, Then.LOWER, Then.LOWER, Then.NOTICE))
    if then is not Then.LOWER or chance.random() < 0.5:
        return WhenSilent(then=then, after=after)
    ceiling = targets[0].ceiling
    half = replace(ceiling, price=ceiling.price.times(Decimal("0.5")))
    return WhenSilent(then=then, after=after, lower_to=half)
