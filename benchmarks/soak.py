"""Weeks unattended: memory, database, what is leaked and the lag of lowerings, in virtual time.

What the machine's time does not suffice for is extrapolated, and its figures say so.
"""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

from benchmarks.figures import Figure, percentile
from benchmarks.growth import at_day
from benchmarks.soaking import TARGETS, WORKER

_MB = 1024 * 1024
_FLAT_FROM_DAY = 5
# Until then pools and caches fill.
_WARM_FROM_DAY = 0.25
_LATE_SECONDS = 1.5
_EXTRAPOLATED_TO = (30.0, 90.0)


def run(*, quick: bool, days: float = 30.0, most_seconds: float = 3600.0) -> Iterator[Figure]:
    """Yield the figures of as many days as the given machine time allows."""
    work = {"days": min(days, 0.25) if quick else days, "most_seconds": most_seconds}
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.soaking"],
        env={**os.environ, WORKER: json.dumps(work)},
        check=True,
        stdout=subprocess.PIPE,
        text=True,
    )
    found = json.loads(done.stdout.splitlines()[-1])
    yield from _memory(found)
    yield from _database(found)
    yield from _leaks(found["samples"])
    yield _lowerings(found["lags"], found["missed"])


def _memory(found: dict[str, Any]) -> Iterator[Figure]:
    samples, days = found["samples"], found["days"]
    held = [s["held"] for s in samples if "held" in s]
    yield _figure(
        "peak memory",
        found["peak_mb"],
        "MB",
        120.0,
        note=f"{days:.2f} days in {found['seconds']:.0f} s, {found['passes']} passes, {min(held)} to"
        f" {max(held)} of {TARGETS} servers held; without pages, HTTP connections, notices' processes",
    )
    late = [s for s in samples if s["day"] >= _FLAT_FROM_DAY] or samples[len(samples) // 2 :]
    slope = _slope([(s["day"], s["rss_mb"]) for s in late])
    flat = late[0]["day"] >= _FLAT_FROM_DAY and len(late) > 2
    yield _figure(
        "memory's slope",
        slope,
        "MB a day",
        0.1 if flat else None,
        note=f"over {len(late)} samples from day {late[0]['day']:.2f} on",
    )
    for day in _EXTRAPOLATED_TO:
        # The slope of the first hours is that of the start.
        if day > days and late[-1]["day"] - late[0]["day"] >= 1:
            yield _figure(
                f"memory on day {day:.0f}, extrapolated",
                found["peak_mb"] + max(0.0, slope) * (day - days),
                "MB",
                120.0 if flat else None,
                note="the peak, and the slope for the days that are missing",
            )


def _database(found: dict[str, Any]) -> Iterator[Figure]:
    samples, days = found["samples"], found["days"]
    first, last = _warm(samples)[0], samples[-1]
    yield _figure(
        "database", last["database_mb"], "MB", 60.0, note=f"after {days:.2f} days, default retention"
    )
    if not last["tables"] or last["day"] <= first["day"]:
        return
    # The write-ahead log and free pages: they do not grow with the days.
    beside = last["database_mb"] - sum(last["tables"].values()) / _MB
    for day in _EXTRAPOLATED_TO:
        if day <= days:
            continue
        begun, ended = (first["day"], first["tables"]), (last["day"], last["tables"])
        tables = at_day(day, begun=begun, ended=ended)
        largest = sorted(tables.items(), key=lambda each: -each[1])[:6]
        yield _figure(
            f"database on day {day:.0f}, extrapolated",
            sum(tables.values()) / _MB + beside,
            "MB",
            60.0,
            note=f"by each table's growth and retention, and {beside:.1f} of log and free pages: "
            + ", ".join(f"{name} {size / _MB:.1f}" for name, size in largest),
        )


def _leaks(samples: list[dict[str, Any]]) -> Iterator[Figure]:
    warm = _warm(samples)
    for what in ("descriptors", "connections", "tasks"):
        leaked = max(s[what] for s in warm) - warm[0][what]
        note = f"{warm[0][what]} on day {warm[0]['day']:.2f}, {warm[-1][what]} at the end"
        yield _figure(f"{what} leaked", leaked, "", 0.0, note=note)


def _lowerings(lags: list[float], missed: list[float]) -> Figure:
    due = [*lags, *missed]
    share = sum(lag <= _LATE_SECONDS for lag in lags) / len(due) if due else 0.0
    note = "none was due: nothing is shown"
    if due:
        note = (
            f"{len(due)} were due, {len(missed)} of them never sent, 99 % below"
            f" {percentile(due, 0.99):.2f} s, the latest {max(due):.2f} s"
        )
    return _figure(
        f"lowerings within {_LATE_SECONDS:g} s", share * 100, "%", 99.0, note=note, better="more"
    )


def _figure(
    name: str, measured: float, unit: str, goal: float | None, *, note: str, better: str = "less"
) -> Figure:
    return Figure(
        name=f"soak: {name}",
        measured=measured,
        unit=unit,
        goal=goal,
        better=better,
        note=note,
        baseline=None,
        baseline_is="",
    )


def _warm(samples: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return the samples after the start; of a run that is hardly longer than it, all but the first."""
    if samples[-1]["day"] < 2 * _WARM_FROM_DAY:
        return samples[1:]
    return [s for s in samples if s["day"] >= _WARM_FROM_DAY]


def _slope(points: list[tuple[float, float]]) -> float:
    """Return the least-squares slope; 0 where there is nothing to fit."""
    if len(points) < 2:
        return 0.0
    mean_x = sum(x for x, _ in points) / len(points)
    mean_y = sum(y for _, y in points) / len(points)
    spread = sum((x - mean_x) ** 2 for x, _ in points)
    return sum((x - mean_x) * (y - mean_y) for x, y in points) / spread if spread else 0.0
