"""One seed's days: the whole daemon, the simulated exchange, and trouble of every kind."""

import asyncio
import io
import os
import tempfile
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import timedelta
from decimal import Decimal
from random import Random
from typing import Any

from sqlalchemy import Engine, MetaData, select

from bidder.app.report import PassReport
from bidder.chaos.invariants import Watch
from bidder.chaos.machine import Killed, Machine
from bidder.chaos.wire import FaultyTransport, Weather
from bidder.clock import VirtualClock
from bidder.demo import world
from bidder.domain.money import Currency, Rates
from bidder.domain.policy import Launch, Pace, Policy
from bidder.errors import BidderError, InvalidToken, LeaseHeld, LeaseLost, StoreFailed
from bidder.exchange import wire
from bidder.sim.answers import Request
from bidder.sim.referee import Referee
from bidder.sim.rules import Fixed, Rules, ShareOfFloor, ShareOfPrice
from bidder.sim.server import build_exchange
from bidder.sim.targets import targets_from
from bidder.store.lease import Holder
from bidder.telemetry import configure_logging
from bidder.wiring import App, build_app, open_database

_SERVERS = 24
_RATES = Rates({Currency.BTC: Decimal(69000), Currency.CLORE: Decimal("0.11")})
# A day is a small world seen now and then: what matters happens between two reads anyhow.
_PACE = Pace(
    marketplace_every=timedelta(minutes=15),
    book_every=timedelta(minutes=4),
    orders_every=timedelta(minutes=4),
    wallets_every=timedelta(hours=1),
)
CANARIES = ("canary-token-8841", "canarypassword", "canary-environment", "canary-command")
# After the faults stop, so long until every target must be held again: the longest pause of ours
# after a refusal is half an hour.
_RECOVERY = timedelta(minutes=75)
_HEARTBEAT = 10.0


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


def _fastest_folder() -> str | None:
    """Return a folder in memory where there is one: durability is not what is tested here."""
    return "/dev/shm" if os.access("/dev/shm", os.W_OK) else None  # noqa: S108


def rules_of(chance: Random) -> Rules:
    """Return one of the many sets of rules that the exchange may have."""
    return Rules(
        outbid=chance.choice(("waits", "expires")),
        displaced=chance.choice(("waits", "expires")),
        creation_starts_clock=chance.random() < 0.6,
        raise_starts_clock=chance.random() < 0.5,
        clock_before_step=chance.random() < 0.5,
        step=chance.choice((Fixed(), ShareOfPrice(Decimal("0.05")), ShareOfFloor(Decimal("0.1")))),
        visibility_delay_seconds=chance.choice(((0.5, 4.0), (10.0, 60.0))),
        refusal_status=chance.choice((200, 429)),
        database_error_status=chance.choice((200, 500)),
        billing=chance.choice(("full_minutes", "begun_minutes")),
    )


class ChaosDay:
    """Everything that one seed decides."""

    def __init__(self, seed: int, days: float, *, tell: Callable[[str], None] | None = None) -> None:
        """Prepare; ``tell`` gets a line for everything that happens, for a replay."""
        self.seed, self.days = seed, days
        self._tell = tell
        self.chance = Random(f"chaos/{seed}")
        self.rules = rules_of(self.chance)
        self.exchange = build_exchange(seed=seed, servers=_SERVERS, rules=self.rules, token=CANARIES[0])
        self.clock = VirtualClock(self.exchange.start)
        self.machine = Machine(self.clock, self.chance)
        self.weather = Weather()
        self.transport = FaultyTransport(
            self.exchange, self.clock, self.chance, self.weather, self.machine.point
        )
        self.policy, self.referee = self._policy()
        # A file, because a killed connection takes a database in memory with it.
        self._folder = tempfile.TemporaryDirectory(prefix="bidder-chaos-", dir=_fastest_folder())
        self.engine: Engine = open_database(f"sqlite:///{self._folder.name}/chaos.db")
        self.machine.watch(self.engine)
        self.log = io.StringIO()
        self.outcome = Outcome(seed=seed, days=days)
        self.watch = Watch(self)
        self.app: App | None = None
        self.extra: Counter[str] = Counter()
        self._lives = 0
        self._beat_at = 0.0

    def _policy(self) -> tuple[Policy, Referee]:
        other = build_exchange(seed=self.seed, servers=_SERVERS, token=CANARIES[0])
        look = Request(method="GET", path="/v1/marketplace", headers={"auth": CANARIES[0]})
        market = wire.marketplace(other.handle(look, other.start).body)
        policy = world.demo_policy(market, _RATES)
        launch = Launch(
            image="nvidia/cuda",
            ssh_password=CANARIES[1],
            env=(("SECRET", CANARIES[2]),),
            command=CANARIES[3],
        )
        targets = tuple(replace(target, launch=launch) for target in policy.targets[:2])
        rails = replace(policy.rails, allow_above_on_demand=True)
        policy = replace(policy, targets=targets, pace=_PACE, rails=rails)
        return policy, Referee(self.exchange, targets_from(world.for_referee(policy, market)))

    # The story

    def run(self) -> Outcome:
        """Play the days, then let things calm down and look at what is left."""
        configure_logging("info", "json", stream=self.log, secrets=CANARIES)
        end = self.clock.monotonic() + self.days * 86400
        asyncio.run(self._live_until(end, troubled=True))
        self._calm_down()
        calm_until = self.clock.monotonic() + _RECOVERY.total_seconds()
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
        self.engine.dispose()
        self._folder.cleanup()

    def say(self, what: str) -> None:
        """Add a line to the timeline."""
        if self._tell is not None:
            self._tell(f"{self.transport.now():%d %H:%M:%S.%f}"[:-3] + f"  {what}")

    async def _live_until(self, end: float, *, troubled: bool) -> None:
        next_trouble = self.clock.monotonic()
        while self.clock.monotonic() < end:
            try:
                if troubled and self.clock.monotonic() >= next_trouble:
                    next_trouble = self.clock.monotonic() + self.chance.expovariate(1 / 900)
                    self._make_trouble()
                await self._step()
            except Killed:
                # An answer that was being read when the process died has reached nobody.
                self.exchange.lose_answer()
                self._die(f"killed at {self.machine.killed_at}")
            except (LeaseLost, InvalidToken) as exc:
                self._die(f"ended: {type(exc).__name__}")
                self.clock.advance(30)
            except StoreFailed as exc:
                self.say(f"database: {exc}")
                self.clock.advance(1)

    async def _step(self) -> None:
        if self.app is None:
            self._start()
        app = self.app
        assert app is not None
        report = await app.trader.run_pass()
        self._note(report)
        self.watch.after(report)
        wait = report.sleep.total_seconds()
        if report.idle_until is not None:
            # Nothing can happen before then but what the world does by itself.
            wait = max(wait, (report.idle_until - report.at).total_seconds())
        if wait > 0:
            self.clock.advance(max(wait, 0.001))
        # Of the heartbeats of an idle moment the last one stands for all.
        if self.clock.monotonic() - self._beat_at >= _HEARTBEAT:
            app.lease.renew(app.lease_clock.now())
            self._beat_at = self.clock.monotonic()

    def _start(self) -> None:
        self._lives += 1
        # A process takes a moment to start; a dead one is known to be dead on the same machine.
        self.clock.advance(self.chance.uniform(0.5, 8))
        here = Holder.here()
        self.app = build_app(
            policy=self.policy,
            base_url="http://sim.invalid/v1",
            token=self.exchange.token if self.chance.random() > 0.002 else "revoked",
            engine=self.engine,
            clock=self.clock,
            transport=self.transport,
            holder=replace(here, pid=-self._lives, started=f"life {self._lives}"),
        )
        self._beat_at = self.clock.monotonic()
        self.watch.started()
        self.say(f"started, {len(self.app.trader.view.intents)} intents open")

    def _die(self, why: str) -> None:
        self.say(why)
        self.app = None

    def _note(self, report: PassReport) -> None:
        if self._tell is None:
            return
        if report.acted is not None:
            acted = report.acted
            self.say(f"{acted.action} ({acted.decision.reason}): {acted.result} {acted.error}")
        if report.observed is not None:
            seen = report.observed
            for verdict in seen.verdicts:
                self.say(f"intent {verdict.intent.id} {verdict.settled} {verdict.orders}")
            for holding in seen.ended:
                self.say(f"order {holding.order.order} on {holding.order.server} is over")

    # Trouble

    def _make_trouble(self) -> None:
        """Change what goes wrong: the weather of the wire, a kill ahead, the database, time."""
        chance = self.chance
        self.weather.chance = chance.choice((0.0, 0.02, 0.05, 0.1, 0.3))
        self.weather.only = None
        self.machine.kill_in(chance.randint(1, 120)) if chance.random() < 0.2 else None
        draw = chance.random()
        if draw < 0.06:
            self.machine.trouble("database locked", 30)
        elif draw < 0.12:
            self.machine.trouble("disk full", chance.uniform(5, 60))
        elif draw < 0.15:
            self._suspend(chance.choice((20.0, 120.0, 6 * 3600.0)))
        elif draw < 0.17:
            self.weather.chance, self.weather.only = 1.0, chance.choice(("code 5", "html 503"))
        elif draw < 0.21:
            self._second_daemon()
        elif draw < 0.24:
            self._revoke()

    def _suspend(self, seconds: float) -> None:
        self.extra["starved" if seconds < 60 else "suspended"] += 1
        self.say(f"asleep for {seconds:.0f} s")
        self.clock.advance(seconds)

    def _second_daemon(self) -> None:
        if self.app is None:
            return
        self.extra["second daemon"] += 1
        here = Holder.here()
        self.app.lease.renew(self.clock.now())
        try:
            build_app(
                policy=self.policy,
                base_url="http://sim.invalid/v1",
                token=self.exchange.token,
                engine=self.engine,
                clock=self.clock,
                transport=self.transport,
                # A living process, as far as anybody can tell: another machine's.
                holder=replace(here, host="elsewhere", boot="another", pid=1),
            )
        except LeaseHeld:
            return
        except (Killed, BidderError):
            raise
        self.watch.violated("one writer", "a second daemon got the lease of a living one")

    def _revoke(self) -> None:
        self.extra["token revoked"] += 1
        self.say("token revoked for a minute")
        token = self.exchange.token
        self.exchange.token = "another"  # noqa: S105 - the simulator's

        def restore(_: int) -> None:
            self.exchange.token = token

        self.exchange.market.schedule(self.exchange.market.at + 60_000_000, restore)

    def _calm_down(self) -> None:
        self.weather.chance, self.weather.only = 0.0, None
        self.machine.at_peace()
        self.exchange.token = CANARIES[0]
        self.say("calm from here on")

    # Looking from outside

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


def play(seed: int, days: float) -> Outcome:
    """Run one seed."""
    return ChaosDay(seed, days).run()
