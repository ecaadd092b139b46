"""One writer per account: a row that says who trades it, until when, under which number.

The number grows with every holder; whoever writes with an older one is refused in the same
transaction, however long it slept. Time comes in as an argument and may jump: a lease that reaches
further ahead than any lease lasts was written under another clock and is cut back to one lease from
now; a living holder renews it, a dead one loses it after that time.

A dead holder on this machine need not be waited for: where machine boot and process namespace are the
same as ours, its process id and the moment at which that process started tell for certain.
Rejected: the process id alone. It is given out again, and in containers everybody is number 1.
"""

import os
import socket
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Self

from sqlalchemy import Connection, Engine, Row, bindparam, select, update

from bidder.domain.ids import AccountName
from bidder.errors import LeaseHeld, LeaseLost
from bidder.store import rows
from bidder.store.engine import transaction
from bidder.store.tables import lease

LEASE_TTL = timedelta(seconds=30)
LEASE_HEARTBEAT = timedelta(seconds=10)

# Built once: these run in every transaction that writes. The lock keeps another process from taking
# the lease before the transaction ends.
_NUMBER_HELD = (
    select(lease.c.fencing)
    .where(lease.c.account == bindparam("whose"), lease.c.host.is_not(None))
    .with_for_update(read=True)
)
# Asked also of a database that is older than this program: the columns of its first revision.
_ALWAYS_THERE = ("account", "host", "pid", "boot", "namespace", "started", "expires_at")
_HOLDERS = select(*(lease.c[name] for name in _ALWAYS_THERE)).where(lease.c.host.is_not(None))
_PROLONG = (
    update(lease).where(lease.c.account == bindparam("whose")).values(expires_at=bindparam("until"))
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Holder:
    """A process, so described that another one can tell whether it still lives."""

    host: str
    pid: int
    boot: str = ""
    namespace: str = ""
    started: str = ""

    @classmethod
    def here(cls) -> Self:
        """Return this process."""
        pid = os.getpid()
        return cls(
            host=socket.gethostname(),
            pid=pid,
            boot=_read("/proc/sys/kernel/random/boot_id").strip(),
            namespace=_namespace(),
            started=_started(pid),
        )

    def is_gone(self, seen_from: "Holder") -> bool:
        """Return whether this process is certainly dead; False where that cannot be told."""
        if not self.boot or not self.namespace or not self.started:
            return False
        if (self.boot, self.namespace) != (seen_from.boot, seen_from.namespace):
            return False
        return _started(self.pid) != self.started

    def __str__(self) -> str:
        return f"process {self.pid} on {self.host}"


class Lease:
    """The right to trade one account."""

    def __init__(
        self,
        engine: Engine,
        account: AccountName,
        *,
        holder: Holder | None = None,
        ttl: timedelta = LEASE_TTL,
    ) -> None:
        """Ask in the name of ``holder`` (default: this process); a lease lasts ``ttl`` unrenewed."""
        self._engine = engine
        self._account = account
        self._holder = holder or Holder.here()
        self._ttl = ttl
        self._fencing: int | None = None
        self._took_over = False

    @property
    def took_over(self) -> bool:
        """Return whether the last holder went without giving the lease back: it died."""
        return self._took_over

    @property
    def fencing(self) -> int | None:
        """Return the number of the lease that we hold; None while we hold none."""
        return self._fencing

    def acquire(self, now: datetime) -> int:
        """Take the lease and return its number.

        Raises:
            LeaseHeld: another process holds it; the message says which and until when.
        """
        with transaction(self._engine, writing=True) as connection:
            row = self._row(connection)
            held_until = self._held_until(row, now)
            if held_until is None:
                self._took_over = row.host is not None
                self._write(
                    connection, fencing=row.fencing + 1, taken_at=now, expires_at=now + self._ttl
                )
            elif held_until != row.expires_at:
                self._cut_back(connection, held_until)
        # Only after the commit: until then nothing is ours.
        if held_until is None:
            self._fencing = fencing = int(row.fencing) + 1
            return fencing
        raise LeaseHeld(
            f"account {self._account!r} is traded by {_holder_of(row)},"
            f" for certain until {held_until.isoformat(timespec='seconds')};"
            " stop that daemon, or wait until then if it is dead"
        )

    def renew(self, now: datetime) -> None:
        """Hold on to the lease for another term.

        Raises:
            LeaseLost: another process took it; stop trading at once.
        """
        if self._fencing is None:
            raise LeaseLost(f"account {self._account!r}: no lease is held")
        with transaction(self._engine, writing=True) as connection:
            require_lease(connection, self._account, self._fencing)
            connection.execute(_PROLONG, {"whose": self._account, "until": now + self._ttl})

    def release(self) -> None:
        """Give the lease back; does nothing where it is not ours."""
        if self._fencing is None:
            return
        with transaction(self._engine, writing=True) as connection:
            mine = (lease.c.account == self._account) & (lease.c.fencing == self._fencing)
            connection.execute(update(lease).where(mine).values(host=None, expires_at=None))
        self._fencing = None

    def _row(self, connection: Connection) -> Row[Any]:
        rows.insert_if_absent(connection, lease, {"account": self._account, "fencing": 0})
        # Locked, so that of two processes that ask at once the second one sees what the first one took.
        statement = select(lease).where(lease.c.account == self._account).with_for_update()
        return connection.execute(statement).one()

    def _held_until(self, row: Row[Any], now: datetime) -> datetime | None:
        return held_until(row, now, seen_from=self._holder, ttl=self._ttl)

    def _cut_back(self, connection: Connection, until: datetime) -> None:
        mine = lease.c.account == self._account
        connection.execute(update(lease).where(mine).values(expires_at=until))

    def _write(self, connection: Connection, **values: Any) -> None:
        holder = self._holder
        who = {
            "host": holder.host,
            "pid": holder.pid,
            "boot": holder.boot,
            "namespace": holder.namespace,
            "started": holder.started,
        }
        mine = lease.c.account == self._account
        connection.execute(update(lease).where(mine).values(**who, **values))


def held_until(
    row: Row[Any], now: datetime, *, seen_from: Holder, ttl: timedelta = LEASE_TTL
) -> datetime | None:
    """Return until when a lease's row keeps others out; None where it does not."""
    if row.host is None or row.expires_at is None or row.expires_at <= now:
        return None
    if _holder_of(row).is_gone(seen_from=seen_from):
        return None
    expires_at: datetime = row.expires_at
    return min(expires_at, now + ttl)


def living_holder(connection: Connection, now: datetime, *, writing: bool) -> str | None:
    """Return who trades an account of this database, and which; None where nobody does.

    Works on every released schema. With ``writing`` no other process can take a lease that was held
    before until the transaction ends.
    """
    here = Holder.here()
    statement = _HOLDERS.with_for_update() if writing else _HOLDERS
    for row in connection.execute(statement.order_by(lease.c.account)):
        if held_until(row, now, seen_from=here) is not None:
            return f"account {row.account!r} is traded by {_holder_of(row)}"
    return None


def require_lease(connection: Connection, account: str, fencing: int) -> None:
    """Make sure, for the rest of this transaction, that the lease has this number.

    Raises:
        LeaseLost: it has another one.
    """
    held = connection.execute(_NUMBER_HELD, {"whose": account}).scalar_one_or_none()
    if held != fencing:
        raise LeaseLost(f"account {account!r}: the lease passed to another daemon; trading stops")


def _holder_of(row: Row[Any]) -> Holder:
    return Holder(
        host=row.host or "",
        pid=row.pid or 0,
        boot=row.boot or "",
        namespace=row.namespace or "",
        started=row.started or "",
    )


def _started(pid: int) -> str:
    # The 22nd field, in ticks since boot; the 2nd one is a name and may hold anything, brackets too.
    fields = _read(f"/proc/{pid}/stat").rpartition(")")[2].split()
    # A zombie has stopped running though its number is not free yet.
    return fields[19] if len(fields) > 19 and fields[0] != "Z" else ""


def _namespace() -> str:
    try:
        return str(Path("/proc/self/ns/pid").readlink())
    except OSError:
        return ""


def _read(path: str) -> str:
    try:
        return Path(path).read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""
