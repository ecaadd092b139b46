"""Fleets in generated worlds: price paid and share held, ours beside other bidders' rules.

Each seed draws a world of 20 to 200 servers and 5 to 50 rivals of every kind; each strategy holds three
targets in it, with the whole daemon in virtual time. 95 % confidence intervals over the seeds; what is
compared is compared seed by seed. Run `python -m benchmarks.worlds`.
"""

import argparse
import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict
from decimal import Decimal
from pathlib import Path
from typing import Any

from benchmarks.figures import Figure
from bidder.backtest import worlds
from bidder.backtest.confidence import Interval, interval, paired
from bidder.backtest.worlds import OURS, STRATEGIES, VALUE, Played, World
from bidder.telemetry import configure_logging

SEEDS, HOURS = 20, 1.5
QUICK_SEEDS, QUICK_HOURS = 2, 0.5
# What is counted of each run, its unit, and which way is good.
MEASURES: Mapping[str, tuple[str, str]] = {
    "price": ("USD per GPU-day", "less"),
    "price_share": ("of the on-demand price", "less"),
    "held": ("of the wanted time", "more"),
    "utility": ("of the wanted value", "more"),
    "starts": ("per server-day", "less"),
}
By = Mapping[str, Sequence[Played]]


def run(*, quick: bool = False) -> Iterator[Figure]:
    """Measure, and tell each figure of ours beside the baseline that does best by it."""
    seeds, hours = (QUICK_SEEDS, QUICK_HOURS) if quick else (SEEDS, HOURS)
    yield from figures(measured(range(1, seeds + 1), hours))


def measured(seeds: Sequence[int], hours: float, value: Decimal = VALUE) -> dict[str, list[Played]]:
    """Return what each strategy came to in each world, in the order of the seeds."""
    drawn = [worlds.drawn(seed) for seed in seeds]
    jobs = [(world, name, hours, value) for world in drawn for name in STRATEGIES]
    found: dict[str, list[Played]] = {name: [] for name in STRATEGIES}
    with ProcessPoolExecutor() as pool:
        for played in pool.map(_play, jobs):
            found[played.strategy].append(played)
    return found


def _play(job: tuple[World, str, float, Decimal]) -> Played:
    # Each process has a log of its own.
    configure_logging("critical", "console")
    return worlds.play(*job)


def figures(found: By) -> Iterator[Figure]:
    """Return ours beside the best baseline, by each measure."""
    for measure, (unit, better) in MEASURES.items():
        ours = interval(_known(found[OURS], measure))
        if ours is None:
            continue
        others = {name: interval(_known(found[name], measure)) for name in found if name != OURS}
        means = {name: other.mean for name, other in others.items() if other is not None}
        best = (min if better == "less" else max)(means, key=means.__getitem__)
        less = paired(_column(found[OURS], measure), _column(found[best], measure))
        yield Figure(
            name=f"worlds: {measure}, {OURS}",
            measured=round(ours.mean, 6),
            unit=unit,
            goal=None,
            better=better,
            baseline=round(means[best], 6),
            baseline_is=f"{best}, the best of the others",
            note=f"{ours.shown()}; less {best}'s: {'-' if less is None else less.shown()}",
        )


def table(found: By) -> list[str]:
    """Return the lines of both tables: each strategy's means, and ours less each other one's."""
    head = "".join(f"{measure:>34}" for measure in MEASURES)
    lines = [f"{'mean [95 %]':16}{head}"]
    for name, runs in found.items():
        cells = (_cell(interval(_known(runs, measure))) for measure in MEASURES)
        lines.append(f"{name:16}{''.join(cells)}")
    lines += ["", f"{f'{OURS} less':16}{head}"]
    for name, runs in found.items():
        if name != OURS:
            pairs = (paired(_column(found[OURS], each), _column(runs, each)) for each in MEASURES)
            lines.append(f"{name:16}{''.join(map(_cell, pairs))}")
    return lines


def document(found: By, hours: float, value: Decimal) -> dict[str, Any]:
    """Return everything as one JSON-ready object; an interval that has no end has None there."""
    return {
        "schema": 1,
        "hours": hours,
        "value_over_on_demand": float(value),
        "worlds": [asdict(played.world) for played in found[OURS]],
        "runs": [_as_dict(played) for runs in found.values() for played in runs],
        "means": {
            name: {each: _bounds(interval(_known(runs, each))) for each in MEASURES}
            for name, runs in found.items()
        },
        f"{OURS}_less": {
            name: {
                each: _bounds(paired(_column(found[OURS], each), _column(runs, each)))
                for each in MEASURES
            }
            for name, runs in found.items()
            if name != OURS
        },
    }


def _as_dict(played: Played) -> dict[str, Any]:
    return {"strategy": played.strategy, "seed": played.world.seed} | {
        measure: getattr(played, measure) for measure in MEASURES
    }


def _bounds(found: Interval | None) -> dict[str, Any] | None:
    if found is None:
        return None
    ends = (found.low, found.high) if found.count > 1 else (None, None)
    return {"mean": found.mean, "low": ends[0], "high": ends[1], "count": found.count}


def _column(runs: Sequence[Played], measure: str) -> list[float | None]:
    return [getattr(played, measure) for played in runs]


def _known(runs: Sequence[Played], measure: str) -> list[float]:
    return [value for value in _column(runs, measure) if value is not None]


def _cell(found: Interval | None) -> str:
    if found is None:
        return f"{'-':>34}"
    return f"{f'{found.mean:.3f} [{found.low:.3f}, {found.high:.3f}]':>34}"


def main(arguments: list[str]) -> int:
    """Play every world, print the tables and write JSON."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.worlds", description=__doc__)
    parser.add_argument("--seeds", type=int, default=SEEDS, help=f"worlds ({SEEDS})")
    parser.add_argument("--hours", type=float, default=HOURS, help=f"simulated, of each ({HOURS})")
    parser.add_argument("--value", type=Decimal, default=VALUE, help=f"over on-demand prices ({VALUE})")
    parser.add_argument("--quick", action="store_true", help="few and short ones")
    parser.add_argument("--json", type=Path, help="also write everything here")
    chosen = parser.parse_args(arguments)
    seeds, hours = (QUICK_SEEDS, QUICK_HOURS) if chosen.quick else (max(1, chosen.seeds), chosen.hours)
    found = measured(range(1, seeds + 1), hours, chosen.value)
    print("\n".join(table(found)))
    if chosen.json:
        text = json.dumps(document(found, hours, chosen.value), indent=2)
        chosen.json.write_text(text + "\n", encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
