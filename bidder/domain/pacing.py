"""Spreading a budget: the multiplier that says what a dollar is worth while money is short.

Adaptive pacing after Balseiro and Gur, "Learning in Repeated Auctions with Budgets: Regret Minimization
and Equilibrium", Management Science 65(9), 2019. It is stochastic gradient descent on the dual of the
budget: the multiplier mu goes up while more is spent than the target rate and down while less is, never
below zero, and what a server may cost is divided by 1 + mu. So the same money goes to the cheapest
hours and servers, and while the budget does not bind mu is 0 and nothing changes.

Three things differ here, because a server is held for hours and bids are read every second. The target
rate is what is left over the time left, so that errors do not add up. The step is a share of 1 + mu (the
mirror descent of Balseiro, Lu and Mirrokni, Operations Research 71(1), 2023), so that it is as quick at
any level of prices. And as long as mu is too low to make any order cease that runs, it rises faster:
nothing is learnt on the way there.

Multipliers are estimates, and therefore floats.
"""

import math
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal

from bidder.domain.costs import Period

# How long spending twice the target rate takes to lift 1 + mu by a factor of e.
_LEARNING = {Period.DAY: timedelta(hours=4), Period.MONTH: timedelta(days=1)}
# Spending none of the target rate, and three times it: beyond that it goes no faster.
_SLOWEST, _FASTEST = -1.0, 2.0
_IDLE_CLIMB = 8.0
_MOST = 999.0
# Our orders are read every half minute; what happened in a longer gap is not known.
_LONGEST_STEP = timedelta(minutes=5)
# A share of the ceiling is handed on in steps of a hundredth, or a price would follow each breath of mu.
_STEP = 1.01


@dataclass(frozen=True, slots=True, kw_only=True)
class Multiplier:
    """Mu of one budget, and when it was last brought up to date; None: not since the start."""

    value: float = 0.0
    at: datetime | None = None

    def after(
        self, spending: float, target: float, period: Period, now: datetime, *, idle_below: float = 0.0
    ) -> "Multiplier":
        """Return the multiplier once money has gone at a rate of ``spending`` until now.

        ``target`` is the rate at which it should go, in the same unit; ``idle_below`` the multiplier
        below which nothing that runs would cease to.
        """
        span = timedelta(0) if self.at is None else min(max(now - self.at, timedelta(0)), _LONGEST_STEP)
        time = span / _LEARNING[period]
        if spending <= 0 and target <= 0:
            return Multiplier(value=self.value, at=now)
        excess = _FASTEST if target <= 0 else min(max(spending / target - 1, _SLOWEST), _FASTEST)
        value = self.value
        if excess > 0 and value < idle_below:
            value = min((1 + value) * math.exp(_IDLE_CLIMB * excess * time) - 1, idle_below)
        else:
            value = (1 + value) * math.exp(excess * time) - 1
        return Multiplier(value=min(max(value, 0.0), _MOST), at=now)


def share(multiplier: float) -> Decimal:
    """Return 1 / (1 + mu), which ceiling and value are multiplied with, in steps of a hundredth."""
    steps = math.floor(math.log1p(max(multiplier, 0.0)) / math.log(_STEP) + 1e-9)
    return Decimal(1) if steps == 0 else round(Decimal(_STEP**-steps), 6)
