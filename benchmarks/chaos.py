"""How many days of trouble a core plays in a minute, and what the time goes into."""

import cProfile
import pstats
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from benchmarks.figures import Figure
from bidder.chaos.day import ChaosDay
from bidder.chaos.kinds import Scripted
from bidder.chaos.outcome import Outcome
from bidder.chaos.workers import prepare

_SEED = 40_001
_PARTS = ("store", "sim", "exchange", "domain", "app", "chaos")


def run(*, quick: bool) -> Iterator[Figure]:
    """Yield days per minute and core at the campaign's density, beside days without any trouble."""
    days = 1.0 if quick else 6.0
    prepare()
    troubled, seconds = _played(days, calm=False)
    calm, calm_seconds = _played(days, calm=True)
    density = f"{troubled.requests / days:.0f} requests, {troubled.faults.total() / days:.0f} faults,"
    density += f" {troubled.crashes / days:.0f} crashes a day"
    yield Figure(
        name="simulated days of trouble",
        measured=days / seconds * 60,
        unit="days per minute and core",
        goal=20.0,
        better="more",
        baseline=days / calm_seconds * 60,
        baseline_is=f"days without trouble ({calm.requests / days:.0f} requests a day)",
        note=f"{density}; {_dominant()}",
    )


def _played(days: float, *, calm: bool) -> tuple[Outcome, float]:
    script: tuple[Scripted, ...] | None = () if calm else None
    whole = Outcome(seed=_SEED, days=0.0)
    spent = 0.0
    for number in range(max(1, int(days))):
        day = ChaosDay(_SEED + number, 1.0, script=script)
        before = time.process_time()
        outcome = day.run()
        spent += time.process_time() - before
        whole.days += outcome.days
        whole.requests += outcome.requests
        whole.crashes += outcome.crashes
        whole.faults += outcome.faults
    return whole, spent


def _dominant() -> str:
    """Return the shares of our own rooms and of the largest libraries, by their own time."""
    profile = cProfile.Profile()
    day = ChaosDay(_SEED, 0.25)
    profile.enable()
    day.run()
    profile.disable()
    parts: Counter[str] = Counter()
    whole = 0.0
    statistics = pstats.Stats(profile).stats  # type: ignore[attr-defined]  # absent in the stubs
    for (file, _, _), (_, _, own, _, _) in statistics.items():
        whole += own
        parts[_part(file)] += own
    return ", ".join(f"{name} {own / whole:.0%}" for name, own in parts.most_common(6))


def _part(file: str) -> str:
    parts = Path(file).parts
    for library in ("sqlalchemy", "httpx", "structlog"):
        if library in parts:
            return library
    if "bidder" not in parts:
        return "python"
    room = parts[len(parts) - parts[::-1].index("bidder")]
    return f"our {room}" if room in _PARTS else "our others"
