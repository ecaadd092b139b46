"""Many seeds side by side on the cores, and one account of them all."""

import gc
import json
import multiprocessing
import os
import shlex
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass, field
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from bidder.chaos.day import ChaosDay, Outcome, play
from bidder.chaos.invariants import INVARIANTS
from bidder.chaos.kinds import Scripted

_MOST_SHOWN = 20


@dataclass(slots=True, kw_only=True)
class Campaign:
    """What all seeds together came to."""

    seeds: int = 0
    days: float = 0.0
    requests: int = 0
    crashes: int = 0
    orders_created: int = 0
    faults: Counter[str] = field(default_factory=Counter)
    in_doubt: Counter[str] = field(default_factory=Counter)
    violations: Counter[str] = field(default_factory=Counter)
    found: list[tuple[int, str, str, str]] = field(default_factory=list)
    seconds: float = 0.0
    script_file: str | None = None
    days_each: float = 1.0

    def add(self, outcome: Outcome) -> None:
        """Add one seed."""
        self.seeds += 1
        self.days += outcome.days
        self.requests += outcome.requests
        self.crashes += outcome.crashes
        self.orders_created += outcome.orders_created
        self.faults += outcome.faults
        self.in_doubt += outcome.in_doubt
        for invariant, moment, what in outcome.violations:
            self.violations[invariant] += 1
            self.found.append((outcome.seed, invariant, moment, what))

    def document(self) -> dict[str, Any]:
        """Return the account as one JSON-ready object; every invariant is named, also at zero."""
        return {
            "simulated_days": round(self.days, 3),
            "seeds": self.seeds,
            "requests": self.requests,
            "crashes": self.crashes,
            "orders_created": self.orders_created,
            "faults": dict(sorted(self.faults.items())),
            "in_doubt": dict(sorted(self.in_doubt.items())),
            "violations": {name: self.violations[name] for name in INVARIANTS},
            "found": [
                {
                    "seed": seed,
                    "invariant": invariant,
                    "at": moment,
                    "what": what,
                    "replay": replay(seed, self.days_each, self.script_file),
                }
                for seed, invariant, moment, what in sorted(self.found)
            ],
        }


def run(
    first: int,
    last: int,
    days: float,
    *,
    script: Sequence[Scripted] | None = None,
    script_file: str | None = None,
    as_json: bool = False,
    timeline: bool = False,
) -> Campaign:
    """Play the seeds from ``first`` to ``last``, each for ``days``, and print what came of it.

    With a ``script`` nothing goes wrong but what it asks for. With ``timeline`` one seed after the
    other, with a line for everything that happens.
    """
    console = Console(highlight=False, stderr=as_json)
    before = time.perf_counter()
    campaign = Campaign(script_file=script_file, days_each=days)
    outcomes = (
        _one_by_one(first, last, days, script, console.out)
        if timeline
        else _side_by_side(first, last, days, script)
    )
    for outcome in outcomes:
        campaign.add(outcome)
        if not timeline:
            _progress(console, campaign, last - first + 1, outcome)
    campaign.seconds = time.perf_counter() - before
    if as_json:
        print(json.dumps({"schema": 1, **campaign.document()}, indent=2))  # noqa: T201 - the answer
    else:
        _show(console, campaign, days)
    return campaign


def _one_by_one(
    first: int,
    last: int,
    days: float,
    script: Sequence[Scripted] | None,
    tell: Callable[[str], None],
) -> Iterator[Outcome]:
    for seed in range(first, last + 1):
        yield ChaosDay(seed, days, script=script, tell=tell).run()


def prepare() -> None:
    """Set Python up for playing many days."""
    # A day makes millions of short-lived values and keeps few: looking for cycles among those is a
    # tenth of its time at Python's own pace.
    gc.freeze()
    gc.set_threshold(200_000, 20, 50)


def _side_by_side(
    first: int, last: int, days: float, script: Sequence[Scripted] | None
) -> Iterator[Outcome]:
    # Spawned, not forked: a fork would carry over locks and open databases.
    spawning = multiprocessing.get_context("spawn")
    workers = min(os.cpu_count() or 1, last - first + 1)
    with ProcessPoolExecutor(workers, mp_context=spawning, initializer=prepare) as pool:
        waiting = {pool.submit(play, seed, days, script): seed for seed in range(first, last + 1)}
        for done in as_completed(waiting):
            try:
                yield done.result()
            except Exception as exc:  # noqa: BLE001 - one day that fails must not lose all the others
                what = f"{type(exc).__name__}: {str(exc)[:200]}"
                failed = Outcome(seed=waiting[done], days=0.0)
                failed.violations.append(("nothing escapes", "", what))
                yield failed


def _progress(console: Console, campaign: Campaign, seeds: int, outcome: Outcome) -> None:
    for invariant, moment, what in outcome.violations:
        console.print(Text(f"seed {outcome.seed}, day {moment}: VIOLATED {invariant}: {what}"))
    if campaign.seeds % max(1, seeds // 20) == 0 or campaign.seeds == seeds:
        console.print(
            Text(
                f"{campaign.seeds} of {seeds} seeds, {campaign.days:g} days,"
                f" {campaign.requests} requests, {campaign.faults.total()} faults,"
                f" {campaign.crashes} crashes, {campaign.violations.total()} violations"
            )
        )


def _show(console: Console, campaign: Campaign, days: float) -> None:
    table = Table(title=f"{campaign.days:g} simulated days in {campaign.seconds:.0f} s")
    for column in ("what", "how many"):
        table.add_column(column, justify="left" if column == "what" else "right")
    table.add_row("requests", str(campaign.requests))
    table.add_row("orders created", str(campaign.orders_created))
    table.add_row("crashes", str(campaign.crashes))
    for kind, count in sorted(campaign.faults.items()):
        table.add_row(f"fault: {kind}", str(count))
    for how, count in sorted(campaign.in_doubt.items()):
        table.add_row(f"creation in doubt: {how}", str(count))
    for invariant in INVARIANTS:
        table.add_row(f"violated: {invariant}", str(campaign.violations[invariant]))
    console.print(table)
    for seed, invariant, moment, what in sorted(campaign.found)[:_MOST_SHOWN]:
        console.print(Text(f"day {moment}: {invariant}: {what}"))
        console.print(Text(f"  replay: {replay(seed, days, campaign.script_file)}"))


def replay(seed: int, days: float, script_file: str | None) -> str:
    """Return the command that plays a seed's days again, with a line for all that happens."""
    # All digits: a day that ends a moment earlier is another day.
    asked = "" if script_file is None else f" --script {shlex.quote(script_file)}"
    return f"bidder chaos --seeds {seed}-{seed} --days {days!r}{asked} --timeline"
