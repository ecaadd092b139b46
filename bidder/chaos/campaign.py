"""Many seeds side by side on the cores, and one account of them all, also of a part of them."""

import json
import os
import shlex
import signal
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from typing import Any, NoReturn

from rich.console import Console
from rich.table import Table
from rich.text import Text

from bidder.chaos.day import ChaosDay, fastest_folder
from bidder.chaos.invariants import INVARIANTS
from bidder.chaos.kinds import Scripted
from bidder.chaos.outcome import WAYS_OUT_OF_DOUBT, Outcome
from bidder.chaos.workers import side_by_side

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
    interrupted: bool = False

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
        """Return the account as one JSON-ready object; what is judged is named, also at zero."""
        return {
            "simulated_days": round(self.days, 3),
            "seeds": self.seeds,
            "interrupted": self.interrupted,
            "requests": self.requests,
            "crashes": self.crashes,
            "orders_created": self.orders_created,
            "faults": dict(sorted(self.faults.items())),
            "in_doubt": {how: self.in_doubt[how] for how in WAYS_OUT_OF_DOUBT},
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

    Raises:
        KeyboardInterrupt: SIGINT or SIGTERM came; what was played until then is printed first.
    """
    console = Console(highlight=False, stderr=as_json)
    before = time.perf_counter()
    campaign = Campaign(script_file=script_file, days_each=days)
    try:
        with _ended_by_sigterm(), _folder() as folder:
            outcomes = (
                _one_by_one(first, last, days, script, console.out, folder)
                if timeline
                else side_by_side(first, last, days, script, folder)
            )
            with closing(outcomes):
                for outcome in outcomes:
                    campaign.add(outcome)
                    if not timeline:
                        _progress(console, campaign, last - first + 1, outcome)
    except KeyboardInterrupt:
        campaign.interrupted = True
        console.print(Text(f"interrupted after {campaign.seeds} of {last - first + 1} seeds"))
    campaign.seconds = time.perf_counter() - before
    if as_json:
        print(json.dumps({"schema": 1, **campaign.document()}, indent=2))  # noqa: T201 - the answer
    else:
        _show(console, campaign, days)
    if campaign.interrupted:
        raise KeyboardInterrupt
    return campaign


def _folder() -> tempfile.TemporaryDirectory[str]:
    # One for all seeds: a process that is killed leaves its own behind.
    return tempfile.TemporaryDirectory(prefix=f"bidder-chaos-{os.getpid()}-", dir=fastest_folder())


@contextmanager
def _ended_by_sigterm() -> Iterator[None]:
    """Let SIGTERM end the campaign just as SIGINT does."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def end(*_: object) -> NoReturn:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, end)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _one_by_one(
    first: int,
    last: int,
    days: float,
    script: Sequence[Scripted] | None,
    tell: Callable[[str], None],
    folder: str,
) -> Generator[Outcome]:
    for seed in range(first, last + 1):
        yield ChaosDay(seed, days, script=script, tell=tell, folder=folder).run()


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
    how_far = ", interrupted" if campaign.interrupted else ""
    table = Table(title=f"{campaign.days:g} simulated days in {campaign.seconds:.0f} s{how_far}")
    for column in ("what", "how many"):
        table.add_column(column, justify="left" if column == "what" else "right")
    table.add_row("requests", str(campaign.requests))
    table.add_row("orders created", str(campaign.orders_created))
    table.add_row("crashes", str(campaign.crashes))
    for kind, count in sorted(campaign.faults.items()):
        table.add_row(f"fault: {kind}", str(count))
    for how in WAYS_OUT_OF_DOUBT:
        table.add_row(f"creation in doubt: {how}", str(campaign.in_doubt[how]))
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
