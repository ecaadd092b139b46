"""Keeping the lease: the heartbeat, and a look before each pass whether one was slept through.

A process that was suspended or starved wakes in the middle of its work, and the heartbeat need not
be the first of its jobs to run. So whoever is about to trade asks first, where the last heartbeat
lies too far back by either clock: the monotonic one stands still while a machine is suspended, the
calendar may be set back.
"""

from dataclasses import dataclass, field
from datetime import datetime, timedelta

import structlog

from bidder.clock import Clock
from bidder.errors import LeaseLost, StoreFailed
from bidder.repeats import Repeats
from bidder.store.lease import LEASE_TTL, Lease

_OVERDUE = LEASE_TTL / 2

log = structlog.get_logger("bidder")


@dataclass(slots=True, kw_only=True)
class Keeper:
    """Renews one process's lease, and knows when it may be another's by now."""

    lease: Lease
    clock: Clock
    _renewed_at: float = field(init=False)
    _renewed_on: datetime = field(init=False)
    _failing: Repeats = field(default_factory=Repeats)

    def __post_init__(self) -> None:
        """Begin with a lease that has just been taken."""
        self._note()

    def beat(self) -> None:
        """Hold on to the lease for another term.

        Raises:
            LeaseLost: it passed to another process, or may have: stop trading at once.
            StoreFailed: the database failed; the lease still holds for a while.
        """
        try:
            self.lease.renew(self.clock.now())
        except StoreFailed as exc:
            held = self.seconds_since_renewed()
            if held > LEASE_TTL.total_seconds():
                # Somebody else may hold it by now; going on would be a second writer.
                raise LeaseLost(f"the lease could not be renewed for {held:.0f} seconds: {exc}") from exc
            raise
        self._note()

    def heartbeat(self) -> None:
        """Hold on to the lease; a database that fails is said, ever less often while it keeps failing.

        Raises:
            LeaseLost: as ``beat`` says.
        """
        try:
            self.beat()
        except StoreFailed as exc:
            if self._failing.again(self.clock.now()):
                log.warning(
                    "lease.renewal_failed",
                    error=str(exc),
                    seconds_since_renewed=round(self.seconds_since_renewed(), 1),
                    unsaid=self._failing.said(),
                )
            return
        # A database that fails now and then for days is one trouble, not a new one each time.
        over = self._failing.over(self.clock.now())
        if over is not None:
            seconds = round(over[1].total_seconds())
            log.info("lease.renewal_recovered", failures=over[0], seconds=seconds)

    def before_pass(self) -> None:
        """Make sure of the lease where a heartbeat was missed; raises what ``beat`` raises."""
        slept = self.clock.now() - self._renewed_on
        late = self.seconds_since_renewed() > _OVERDUE.total_seconds()
        if late or not timedelta(0) <= slept <= _OVERDUE:
            self.beat()

    def seconds_since_renewed(self) -> float:
        """Return how long ago, by the monotonic clock, the lease was last certain."""
        return self.clock.monotonic() - self._renewed_at

    def _note(self) -> None:
        self._renewed_at, self._renewed_on = self.clock.monotonic(), self.clock.now()
