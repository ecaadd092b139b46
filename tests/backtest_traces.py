"""Made-up prices for the tests of backtests."""

from datetime import UTC, datetime
from decimal import Decimal
from random import Random

START = datetime(2026, 1, 1, tzinfo=UTC)


def wandering(seed: int, cells: int) -> list[Decimal]:
    """A price that keeps for some minutes, wanders, and now and then jumps up for a while."""
    chance = Random(seed)
    points, base, spike, left = [], 0.1, 0.0, 0
    for cell in range(cells):
        if cell % chance.randint(3, 9) == 0:
            base = min(max(base * (1 + chance.gauss(0, 0.01)), 0.05), 0.18)
        if left <= 0 and chance.random() < 0.004:
            spike, left = chance.choice((0.01, 0.05, 0.5)), chance.randint(2, 90)
        left -= 1
        points.append(Decimal(str(round(base + (spike if left > 0 else 0.0), 4))))
    return points
