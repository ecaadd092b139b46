"""What an order has computed, by what the exchange says that it has cost.

An order runs exactly when it is charged, and is charged its price: what it has spent over its price is
how long it ran, also while nobody looked. The first part of each start computes nothing. Rejected:
counting the time between reads of the book in which our offer stood as active; it misses what happens
while the daemon is down, and believes a book that is half a minute old.
"""

from dataclasses import dataclass, replace
from datetime import timedelta
from decimal import Decimal

from bidder.domain.money import EXACT, Money, Price

_DAY_MICROSECONDS = Decimal(86_400_000_000)
_LONGEST = timedelta(days=3650)


@dataclass(frozen=True, slots=True, kw_only=True)
class Work:
    """What one order has computed on its server's ``gpus`` GPUs.

    ``starting`` is how much of its latest start is still ahead. ``dearest`` is the highest price since
    its spend last grew, where it has been lowered meanwhile; it is not stored, and a restart of the
    daemon within that minute counts some seconds too many.
    """

    gpus: int = 1
    computed: timedelta = timedelta(0)
    starting: timedelta = timedelta(0)
    dearest: Price | None = None

    @property
    def gpu_time(self) -> timedelta:
        """Return the computation so far: the time on one GPU times the number of GPUs."""
        return self.computed * self.gpus

    def started(self, restart: timedelta) -> "Work":
        """Return the work of an order that begins to run, and computes after ``restart``."""
        return replace(self, starting=restart)

    def after(self, ran: timedelta) -> "Work":
        """Return the work after so much more of running."""
        lost = min(self.starting, ran)
        return replace(self, starting=self.starting - lost, computed=self.computed + ran - lost)

    def lowered_from(self, price: Price) -> "Work":
        """Return the work of an order whose price went down from ``price``."""
        return replace(self, dearest=_dearer(price, self.dearest))

    def charged(self, before: Money, after: Money, price: Price) -> "Work":
        """Return the work when the spend has grown; ``price`` is the order's, without fees."""
        if before.currency != after.currency or after <= before:
            return self
        ran = _running(after.minus(before), _dearer(price, self.dearest))
        return replace(self.after(ran), dearest=None)


def _dearer(price: Price, other: Price | None) -> Price:
    if other is None or other.currency != price.currency:
        return price
    return max(price, other)


def _running(spent: Money, price: Price) -> timedelta:
    """Return how long ``price`` per day takes to come to ``spent``, rounded down."""
    if price.currency != spent.currency or price.amount <= 0:
        return timedelta(0)
    share = EXACT.divide(spent.amount, price.amount)
    microseconds = int(EXACT.multiply(min(share, Decimal(_LONGEST.days)), _DAY_MICROSECONDS))
    return timedelta(microseconds=microseconds)
