"""What the database remembers of one account, read once, before anything is judged."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import Engine

from bidder.config import Settings
from bidder.doctor.findings import Finding, State, parted
from bidder.domain.market import Wallet
from bidder.errors import BidderError, OlderDaemon, StoreAbsent, StoreBusy, StoreOutdated
from bidder.store import checkup, upkeep
from bidder.store.engine import open_engine
from bidder.store.queries import Queries
from bidder.store.records import LeaseRecord, Memory, Snapshot
from bidder.store.schema import require_current
from bidder.store.store import Store

_IN_MEMORY = "sqlite://"
_WRITES = 200
_LATELY = timedelta(days=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Records:
    """What is remembered. ``lease`` is whoever took it last and did not give it back.

    ``held`` is whether that keeps others out at this moment. ``writes`` are the newest requests that
    were to change something, newest first; ``lately`` those of the last day.
    """

    health: checkup.Health
    info: upkeep.Info
    memory: Memory
    wallets: tuple[Wallet, ...]
    snapshot: Snapshot | None
    lease: LeaseRecord | None
    held: bool
    writes: tuple[checkup.Write, ...]
    unfinished: tuple[checkup.Write, ...]  # however old
    lately: tuple[checkup.Write, ...]
    lessons: checkup.Lessons


@contextmanager
def opened(settings: Settings) -> Iterator[Engine | Finding]:
    """Yield the database, or what keeps it from being read; it is neither created nor upgraded."""
    if settings.database_url == _IN_MEMORY:
        yield Finding(
            name="database",
            state=State.WARNING,
            finding="The database is in memory, so nothing is remembered once the program ends.",
            remedy="name a file as `database` in the configuration",
        )
        return
    try:
        engine = open_engine(settings.database_url)
    except BidderError as exc:
        yield _trouble(exc)
        return
    try:
        try:
            require_current(engine)
        except BidderError as exc:
            yield _trouble(exc)
            return
        yield engine
    finally:
        engine.dispose()


def _trouble(exc: BidderError) -> Finding:
    finding, remedy = parted(str(exc))
    mild = isinstance(exc, StoreAbsent | StoreOutdated | StoreBusy | OlderDaemon)
    if isinstance(exc, StoreBusy):
        remedy = "ask again in a moment; if it stays so, see what else has the file open"
    return Finding(
        name="database",
        state=State.WARNING if mild else State.WRONG,
        finding=f"{finding}.",
        remedy=remedy,
        facts={"absent": isinstance(exc, StoreAbsent)},
    )


def read_records(engine: Engine, settings: Settings, now: datetime) -> Records | Finding:
    """Return what the database remembers, or why it cannot be read."""
    queries = Queries(engine, settings.account)
    account = settings.account
    problems: tuple[str, ...] = ()
    try:
        health = checkup.health(engine)
        problems = health.problems
        return Records(
            health=health,
            info=upkeep.info(engine),
            memory=Store(engine, account, mode=settings.policy.mode).load(now),
            wallets=queries.wallets(),
            snapshot=queries.snapshot(),
            lease=queries.lease(),
            held=queries.lease(now) is not None,
            writes=checkup.writes(engine, account, limit=_WRITES),
            unfinished=checkup.writes(engine, account, limit=_WRITES, unfinished=True),
            lately=checkup.writes(engine, account, limit=10_000, since=now - _LATELY),
            lessons=checkup.lessons(engine, account),
        )
    except BidderError as exc:
        return _unreadable(str(exc), problems)
    except (OSError, ValueError, TypeError, KeyError, AttributeError, ArithmeticError) as exc:
        # Somebody else may have written the file; a value that is none is a finding like any other.
        return _unreadable(f"a stored value cannot be read ({type(exc).__name__})", problems)


def _unreadable(problem: str, details: tuple[str, ...]) -> Finding:
    return Finding(
        name="database",
        state=State.WRONG,
        finding=f"{problem[:1].upper()}{problem[1:]}.",
        remedy="stop the daemon, keep a copy of the file, and restore a backup (docs/operations.md)",
        details=details,
    )
