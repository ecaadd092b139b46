"""A machine that kills or starves the process anywhere, locks the database and fills the disk.

The hooks sit on the database engine and on the wire from outside: the product carries no trace of
them. Between two of these points the daemon computes in memory, and what dies there leaves nothing.
"""

import sqlite3
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from typing import NoReturn

from sqlalchemy import Connection, Engine, event
from sqlalchemy.exc import OperationalError

from bidder.clock import VirtualClock
from bidder.store.engine import WRITING

_STARVED_SECONDS = 20.0
IN_MID_PASS = " in mid-pass"  # noqa: S105 - the name of a kind


class Killed(BaseException):
    """The process is dead from here on."""


class Machine:
    """Kills at the n-th point from now, and lets the database fail for a while."""

    def __init__(self, clock: VirtualClock) -> None:
        """Do nothing until told to."""
        self._clock = clock
        self._kill_in: int | None = None
        self._starve_in: int | None = None
        self._fail_in: int | None = None
        self._fails_with = ("", 0.0)
        self._lose_in: int | None = None
        self._trouble = ""
        self._until = 0.0
        self._sleeping = False
        self.kills = 0
        self.faults: Counter[str] = Counter()
        self.killed_at = ""
        self.refused = 0  # how often the database has failed the process
        self.refusal = ""  # what it said of it last

    def kill_in(self, points: int) -> None:
        """Kill the process at this many points from now."""
        self._kill_in = points

    def starve_in(self, points: int) -> None:
        """Give the process no time for 20 seconds, this many points from now."""
        self._starve_in = points

    def fail_in(self, points: int, kind: str, seconds: float) -> None:
        """Let the database fail as ``trouble`` does, from this many points on: in mid-pass."""
        self._fail_in, self._fails_with = points, (kind, seconds)

    def lose_commit_in(self, commits: int) -> None:
        """Carry out the commit at this many writing ones from now, and lose the answer to it."""
        self._lose_in = commits

    def point(self, where: str = "wire") -> None:
        """Mark a point at which the process may die; raises Killed when its time has come."""
        if self._sleeping:
            return
        if self._starve_in is not None:
            self._starve_in -= 1
            if self._starve_in <= 0:
                self._starve_in = None
                self.faults["starved in mid-pass"] += 1
                self._clock.advance(_STARVED_SECONDS)
        if self._fail_in is not None:
            self._fail_in -= 1
            if self._fail_in <= 0:
                self._fail_in = None
                kind, seconds = self._fails_with
                self._fail(kind, seconds)
                self.faults[f"{kind}{IN_MID_PASS}"] += 1
        if self._kill_in is None:
            return
        self._kill_in -= 1
        if self._kill_in <= 0:
            self._kill_in = None
            self.kills += 1
            self.faults["killed"] += 1
            self.killed_at = where
            raise Killed

    def trouble(self, kind: str, seconds: float) -> None:
        """Let every use of the database fail for ``seconds`` of virtual time."""
        self.faults[kind] += 1
        self._fail(kind, seconds)

    def _fail(self, kind: str, seconds: float) -> None:
        self._trouble, self._until = kind, self._clock.monotonic() + seconds

    @property
    def failing(self) -> bool:
        """Return whether the database fails at present."""
        return self._clock.monotonic() < self._until

    def at_peace(self) -> None:
        """Stop everything."""
        self._kill_in, self._starve_in, self._until = None, None, 0.0
        self._fail_in, self._lose_in = None, None

    @contextmanager
    def asleep(self) -> Iterator[None]:
        """Leave the database alone while somebody looks into it from outside."""
        self._sleeping = True
        try:
            yield
        finally:
            self._sleeping = False

    def watch(self, engine: Engine) -> None:
        """Make each statement, each begin and each commit a point."""
        event.listen(engine, "begin", self._begins)
        event.listen(engine, "before_cursor_execute", self._executes)
        event.listen(engine, "commit", self._commits)

    def _begins(self, connection: Connection) -> None:
        if self._sleeping:
            return
        self._trouble_of("database locked", connection)
        self.point("begin")

    def _trouble_of(self, kind: str, connection: Connection) -> None:
        """Fail as this kind of database does, where it is in this trouble; raises OperationalError."""
        if self._clock.monotonic() >= self._until or self._trouble != kind:
            return
        server = connection.dialect.name == "postgresql"
        self._refuse(_as_postgresql_says(kind) if server else _as_sqlite_says(kind))

    def _refuse(self, failure: Exception) -> NoReturn:
        self.refused += 1
        self.refusal = str(failure)
        raise OperationalError("", {}, failure)

    def _executes(self, *_: object) -> None:
        self.point("statement")

    def _commits(self, connection: Connection) -> None:
        if self._sleeping:
            return
        self._trouble_of("disk full", connection)
        self.point("commit")
        if self._lose_in is not None and connection.get_execution_options().get(WRITING, False):
            self._lose_in -= 1
            if self._lose_in <= 0:
                self._lose_in = None
                self._lose(connection)

    def _lose(self, connection: Connection) -> None:
        """Carry out this commit, and say that it failed; raises OperationalError."""
        connection.connection.commit()
        self.faults["commit unanswered"] += 1
        if connection.dialect.name == "postgresql":
            self._refuse(_lost_by_postgresql())
        self._refuse(sqlite3.OperationalError("disk I/O error"))


def _lost_by_postgresql() -> Exception:
    # Only here: the driver is an extra.
    from psycopg import errors

    return errors.ConnectionException("server closed the connection unexpectedly")


def _as_sqlite_says(kind: str) -> Exception:
    full = kind == "disk full"
    return sqlite3.OperationalError("database or disk is full" if full else "database is locked")


def _as_postgresql_says(kind: str) -> Exception:
    # Only here: the driver is an extra.
    from psycopg import errors

    if kind == "disk full":
        return errors.DiskFull('could not extend file "base/16384/16397": No space left on device')
    return errors.LockNotAvailable("canceling statement due to lock timeout")
