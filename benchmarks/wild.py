"""Bids on generated markets that are wilder than the recorded ones, beside every baseline.

Seven kinds of prices of one server, drawn from a seed: few levels with long stays, short dips, spikes,
a random walk, flapping, climbs with a crash, and regimes that take turns. None was used to choose
anything. What a strategy earned is given in hours of value, so that markets on which little can be won
weigh little. Doing nothing is one of the baselines. Run `python -m benchmarks.wild --seeds 1-8`.
"""

import argparse
import json
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from datetime import UTC, datetime
from decimal import Decimal
from functools import partial
from itertools import islice, product
from pathlib import Path
from random import Random
from typing import Any

from bidder.backtest import lineup, runner
from bidder.backtest.terms import Terms

Prices = Iterator[float]

START = datetime(2026, 1, 1, tzinfo=UTC)
VALUE = Decimal("0.13")  # USD per hour; the prices below lie around it
OURS = "adaptive"
BASELINES = ("track_recreate", "track", "top_plus_tick", "autospotting")
NOTHING = "nothing"
_DAY = 1440  # minutes


def _stay(chance: Random, mean: float) -> int:
    """Return for how many minutes a price stays: without memory."""
    return 1 + int(chance.expovariate(1 / mean))


def plateaus(chance: Random) -> Prices:
    """Jump between few levels, up to a hundredfold, and stay there for hours."""
    mean = chance.choice((120, 300, 720))
    while True:
        price = chance.choice((0.012, 0.03, 0.06, 0.09, 0.12, 0.2, 1.3))
        yield from [price] * _stay(chance, mean)


def dips(chance: Random) -> Prices:
    """Be too dear, and below the value for minutes."""
    high, low = chance.choice((0.2, 1.3)), chance.choice((0.03, 0.08, 0.11))
    below, above = chance.choice((5, 10, 30)), chance.choice((10, 60))
    while True:
        yield from [low] * _stay(chance, below)
        yield from [high] * _stay(chance, above)


def spikes(chance: Random) -> Prices:
    """Be below the value, and far above it for minutes."""
    low, high = chance.choice((0.03, 0.08, 0.11)), chance.choice((0.15, 0.5, 5.0))
    below, above = chance.choice((30, 120, 400)), chance.choice((2, 10, 30))
    while True:
        yield from [low * chance.uniform(0.97, 1.03)] * _stay(chance, below)
        yield from [high] * _stay(chance, above)


def walk(chance: Random) -> Prices:
    """Move by a few per cent, without any level to come back to."""
    price, spread, mean = 0.08, chance.choice((0.02, 0.06, 0.15)), chance.choice((3, 15, 60))
    while True:
        price = min(max(price * (1 + chance.gauss(0, spread)), 0.005), 2.0)
        yield from [price] * _stay(chance, mean)


def flapping(chance: Random) -> Prices:
    """Change between two prices every few minutes."""
    low, high = chance.choice(((0.05, 0.1), (0.05, 0.2), (0.1, 0.14)))
    mean = chance.choice((1, 3, 8))
    while True:
        yield from [low] * _stay(chance, mean)
        yield from [high] * _stay(chance, mean)


def climbs(chance: Random) -> Prices:
    """Climb in small steps, and crash."""
    price, step, mean = 0.02, chance.choice((1.005, 1.02)), chance.choice((5, 20))
    while True:
        price = price * step if price < chance.choice((0.12, 0.2, 0.5)) else 0.02
        yield from [price] * _stay(chance, mean)


def regimes(chance: Random) -> Prices:
    """Be each of the others in turn, for half a day to two."""
    while True:
        kind = chance.choice((plateaus, dips, spikes, walk, flapping))
        yield from islice(kind(chance), chance.choice((_DAY // 2, _DAY, 2 * _DAY)))


KINDS: dict[str, Callable[[Random], Prices]] = {
    kind.__name__: kind for kind in (plateaus, dips, spikes, walk, flapping, climbs, regimes)
}


def market(kind: str, seed: int, days: int) -> list[Decimal]:
    """Return a market's prices, USD per hour, one for each minute."""
    prices = islice(KINDS[kind](Random(f"{kind} {seed}")), days * _DAY)
    return [Decimal(repr(round(price, 5))) for price in prices]


def cell(kind: str, seed: int, *, days: int) -> dict[str, Any]:
    """Return what each strategy earned on one market, in hours of value."""
    points = market(kind, seed, days)
    step = (sorted(points)[len(points) // 2] / 100).quantize(Decimal("1e-6"))
    terms = Terms(value=VALUE, step=step, tick=step / 10)
    params = lineup.named((OURS, *BASELINES))
    earned = {
        name: runner.play(name, each, points, START, terms).utility / float(VALUE)
        for name, each in params.items()
    }
    return {"market": kind, "seed": seed, "earned": earned | {NOTHING: 0.0}}


def ahead(found: dict[str, Any]) -> float:
    """Return by how many hours of value ours is ahead of the best baseline."""
    ours: float = found["earned"][OURS]
    best: float = max(earned for name, earned in found["earned"].items() if name != OURS)
    return ours - best


def verdict(cells: list[dict[str, Any]]) -> dict[str, float]:
    """Return how far ours is ahead of the best baseline of each market, in hours of value."""
    leads = [ahead(each) for each in cells]
    return {
        "markets": len(leads),
        "mean_hours_ahead": sum(leads) / len(leads),
        "most_hours_behind": max(0.0, -min(leads)),
        "markets_more_than_half_an_hour_behind": sum(lead < -0.5 for lead in leads),
    }


def main(arguments: list[str]) -> int:
    """Play all markets on the cores, print the table and write JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", default="1-8", metavar="A-B")
    parser.add_argument("--days", type=int, default=5)
    parser.add_argument("--json", type=Path, help="also write everything here")
    chosen = parser.parse_args(arguments)
    first, _, last = chosen.seeds.partition("-")
    wanted = list(product(KINDS, range(int(first), int(last or first) + 1)))
    with ProcessPoolExecutor() as pool:
        cells = list(pool.map(partial(cell, days=chosen.days), *zip(*wanted, strict=True)))
    for found in cells:
        best = max(found["earned"], key=lambda name: (name != OURS, found["earned"][name]))
        print(
            f"{found['market']:10} {found['seed']:4} {OURS} {found['earned'][OURS]:8.2f} h"
            f"  {best:15} {found['earned'][best]:8.2f} h  ahead {ahead(found):7.2f} h"
        )
    result = verdict(cells)
    for name, figure in result.items():
        print(f"{name}: {figure:.4g}")
    if chosen.json:
        chosen.json.write_text(json.dumps({"cells": cells, **result}, indent=2) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
