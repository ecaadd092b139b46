"""The market of a trace: the recorded price plays the best rival, and the rules are enforced.

It knows nothing of how bids are decided. A bid above the recorded price runs; an outbid offer waits
for nothing and resumes without a creation fee. What breaks a rule is an error of the program.
"""

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from decimal import Decimal

from bidder.backtest.terms import Terms

# Bids are kept to this much: a step that is exact in hours has an endless number of digits a day.
_TOLERANCE = Decimal("1e-7")


class RuleBroken(RuntimeError):
    """A strategy got something past the rails that the exchange forbids. This is a bug."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Period:
    """One stretch at one bid, per hour; ``rival`` is the recorded price then.

    ``utility`` is what all came to by its end, starts and fees included.
    """

    start: datetime
    end: datetime
    bid: Decimal | None
    rival: Decimal
    running: bool
    utility: float


@dataclass(slots=True, kw_only=True)
class Auction:
    """One server under the trace's prices, per hour, from ``now`` on; it adds up the utility."""

    terms: Terms
    now: datetime
    rival: Decimal
    bid: Decimal | None = None
    opens_at: datetime | None = None
    running: bool = False
    utility: float = 0.0
    paid: float = 0.0
    held: timedelta = timedelta(0)
    starts: int = 0
    creations: int = 0
    requests: int = 0
    periods: list[Period] = field(default_factory=list)
    keep_periods: bool = False

    def advance(self, to: datetime, rival: Decimal | None = None) -> None:
        """Let time pass; from ``to`` on the best rival bids ``rival`` (None: as before)."""
        span = to - self.now
        if span < timedelta(0):
            raise RuleBroken(f"time went backwards, from {self.now} to {to}")
        if span:
            # Whoever runs at all runs from the stretch's beginning: bids are settled at its ends.
            self._settle()
        if self.running and self.bid is not None:
            hours = span.total_seconds() / 3600
            self.utility += float(self.terms.value - self.bid) * hours
            self.paid += float(self.bid) * hours
            self.held += span
        if self.keep_periods and span:
            stretch = Period(
                start=self.now,
                end=to,
                bid=self.bid,
                rival=self.rival,
                running=self.running,
                utility=self.utility,
            )
            self.periods.append(stretch)
        self.now = to
        if rival is not None:
            self.rival = rival

    def wins(self) -> bool:
        """Return whether our offer runs at this moment, as the book would show it."""
        return self.bid is not None and self.bid > self.rival

    def create(self, bid: Decimal) -> None:
        """Place an offer; the creation fee is due."""
        if self.bid is not None:
            raise RuleBroken("a second offer on one server")
        self.bid, self.running = bid, False
        self.opens_at = self.now + self.terms.pause if self.terms.creation_starts_clock else None
        self.creations += 1
        self.requests += 1
        self.utility -= float(self.terms.creation_fee)

    def reprice(self, bid: Decimal) -> None:
        """Raise or lower the offer, as the rules allow."""
        if self.bid is None:
            raise RuleBroken("no offer to reprice")
        self.requests += 1
        if bid < self.bid:
            if self.opens_at is not None and self.now < self.opens_at:
                raise RuleBroken(f"lowered at {self.now}, before the clock opens at {self.opens_at}")
            if self.bid - bid > self.terms.step + _TOLERANCE:
                raise RuleBroken(f"lowered from {self.bid} to {bid}, more than a step")
            self.opens_at = self.now + self.terms.pause
        elif self.terms.raise_starts_clock:
            self.opens_at = self.now + self.terms.pause
        self.bid = bid

    def cancel(self) -> None:
        """End the offer; that is free."""
        if self.bid is None:
            raise RuleBroken("no offer to cancel")
        self.requests += 1
        self.bid, self.opens_at, self.running = None, None, False

    def _settle(self) -> None:
        wins = self.wins()
        if wins and not self.running:
            self.starts += 1
            self.utility -= float(self.terms.restart_cost)
        self.running = wins
