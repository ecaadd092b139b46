"""What the pages show: the latest pass and what was known when it ended.

Views are values, so keeping the one of the latest pass costs nothing, and a reader who comes in the
middle of the next pass sees one moment whole.
"""

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from bidder.app import snapshot
from bidder.app.daemon import Daemon
from bidder.app.pace import HUNG_AFTER
from bidder.app.report import PassReport
from bidder.app.summary import Summary, summarise
from bidder.domain.policy import Policy
from bidder.domain.regret import Regret
from bidder.domain.view import View
from bidder.errors import BidderError
from bidder.store.lease import LEASE_TTL
from bidder.store.records import SpendTotal

# The exchange may be silent for so long before trading is called interrupted; for longer where our own
# orders are all that is read, and seldom.
_LATELY = timedelta(minutes=5)
_SPEND_EVERY = timedelta(seconds=60)


@dataclass(frozen=True, slots=True, kw_only=True)
class Moment:
    """The end of one pass."""

    report: PassReport
    view: View
    policy: Policy


@dataclass(slots=True, kw_only=True)
class Source:
    """Keeps the latest moment, and answers questions about it."""

    daemon: Daemon
    spend_totals: Callable[[], tuple[SpendTotal, ...]]
    regrets: Callable[[], tuple[Regret, ...]] = tuple
    moment: Moment | None = None
    _spend: tuple[SpendTotal, ...] = ()
    _spend_at: float | None = None
    _regretted: tuple[Regret, ...] = ()
    _regretted_at: float | None = None

    def passed(self, report: PassReport) -> None:
        """Keep what a pass came to."""
        trader = self.daemon.trader
        self.moment = Moment(report=report, view=trader.view, policy=trader.policy)

    def summary(self) -> Summary:
        """Return the figures of the latest moment."""
        if self.moment is None:
            return summarise(self.daemon.trader.view, self.daemon.trader.policy)
        return summarise(self.moment.view, self.moment.policy)

    def picture(self) -> dict[str, Any] | None:
        """Return the snapshot of the latest moment, as ``bidder status`` shows it."""
        if self.moment is None:
            return None
        limiter = self.daemon.trader.client.limiter
        return snapshot.take(self.moment.report, self.moment.view, self.moment.policy, limiter)

    def spend(self) -> tuple[SpendTotal, ...]:
        """Return what the orders of each target have cost, at most a minute old."""
        now = self.daemon.lease_clock.monotonic()
        if (
            not self._spend
            or self._spend_at is None
            or now - self._spend_at >= _SPEND_EVERY.total_seconds()
        ):
            try:
                self._spend = self.spend_totals()
            except BidderError:
                # An older answer is better than none; the passes say what is wrong with the database.
                return self._spend
            self._spend_at = now
        return self._spend

    def regretted(self) -> tuple[Regret, ...]:
        """Return what the latest day that was measured cost, asked for at most once a minute."""
        now = self.daemon.lease_clock.monotonic()
        if self._regretted_at is None or now - self._regretted_at >= _SPEND_EVERY.total_seconds():
            with suppress(BidderError):
                self._regretted = self.regrets()
            self._regretted_at = now
        return self._regretted

    def wedged(self) -> str:
        """Return why the daemon is not alive, or an empty text."""
        stalled = self.daemon.stalled_seconds()
        return "" if stalled <= HUNG_AFTER.total_seconds() else f"no pass for {stalled:.0f} seconds"

    def not_trading(self) -> tuple[str, ...]:
        """Return what keeps the daemon from trading; nothing where it trades."""
        reasons = []
        trader = self.daemon.trader
        if self.daemon.stop.is_set():
            reasons.append("the daemon is stopping")
        if self.wedged():
            reasons.append(self.wedged())
        if not self.summary().settled:
            reasons.append("our orders are not read yet")
        if self.daemon.lease_seconds() > LEASE_TTL.total_seconds():
            reasons.append("the lease is not renewed")
        answered = trader.pace.last_answer_at
        lately = max(_LATELY, 2 * trader.policy.pace.orders_every)
        if answered is None or trader.clock.now() - answered > lately:
            reasons.append("the exchange gives no answer")
        return tuple(reasons)
