"""Every policy for a job with a deadline on one availability trace, beside the optimal offline one."""

import gzip
import json
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from math import ceil
from pathlib import Path
from typing import Any, Final

from bidder.backtest import availability_policies as policies
from bidder.backtest.availability import Chooser, Job, Outcome, Trace, run
from bidder.backtest.availability_optimum import optimum, seconds_needed
from bidder.backtest.lineup import each_once
from bidder.errors import BadInput

# More than this is refused, and whoever waits for longer than that is told so before.
_MOST_SECONDS, _LONG_SECONDS = 90, 30
NAMES: Final = ("deadline", "uniform_progress", "uniform_progress_stay", "greedy")


def chooser(name: str) -> Chooser:
    """Return a policy by name, with no memory yet; raises BadInput."""
    match name:
        case "deadline":
            return policies.deadline()
        case "uniform_progress":
            return policies.uniform_progress
        case "uniform_progress_stay":
            return policies.uniform_progress_stay
        case "greedy":
            return policies.greedy
        case _:
            known = ", ".join(NAMES)
            raise BadInput(f"--strategies names {name!r}, which is not known; choose from {known}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Compared:
    """What each policy paid, in hours of the spot price; ``optimum_cost`` knows the future."""

    trace: Trace
    job: Job
    optimum_cost: float
    outcomes: dict[str, Outcome]

    def document(self) -> dict[str, Any]:
        """Return everything as one JSON-ready object, cheapest first."""
        cheapest_first = sorted(self.outcomes.items(), key=lambda pair: pair[1].cost)
        return {
            "trace": self.trace.name,
            "job_hours": self.job.work / 3600,
            "deadline_hours": self.job.time / 3600,
            "optimum_cost": round(self.optimum_cost, 6),
            "runs": [
                {
                    "strategy": name,
                    "cost": round(outcome.cost, 6),
                    "cost_ratio": round(outcome.cost / self.optimum_cost, 6),
                    "missed": outcome.missed,
                    "starts": outcome.starts,
                    "spot_hours": round(outcome.spot_hours, 6),
                    "on_demand_hours": round(outcome.on_demand_hours, 6),
                }
                for name, outcome in cheapest_first
            ],
        }


def compare(
    file: Path,
    job: Job,
    names: tuple[str, ...] = NAMES,
    *,
    tell: Callable[[str], None] | None = None,
) -> Compared:
    """Run every policy named; raises BadInput for what cannot be used.

    ``tell`` is told beforehand, in a sentence, where that may take long.
    """
    choosers = {name: chooser(name) for name in each_once("--strategies", names)}
    trace = read(file)
    if job.time > trace.seconds:
        raise BadInput(
            f"--deadline-hours {job.time / 3600:g} is beyond the end of {file}, which lasts"
            f" {trace.seconds / 3600:g} hours; choose an earlier one"
        )
    if job.work + job.restart > job.time:
        raise BadInput(
            f"--job-hours {job.work / 3600:g} and a start do not fit into --deadline-hours"
            f" {job.time / 3600:g}; allow more time"
        )
    seconds = seconds_needed(trace, job)
    if seconds > _MOST_SECONDS:
        raise BadInput(
            f"{file}: to find the best schedule of {job.work / 3600:g} hours of work in"
            f" {job.time / 3600:g} takes too long with steps of {trace.gap} seconds and starts of"
            f" {job.restart}; name fewer --job-hours and --deadline-hours, or a file with longer steps"
        )
    if tell is not None and seconds > _LONG_SECONDS:
        tell(f"the search for the best schedule may take up to {ceil(seconds / 60)}m")
    return Compared(
        trace=trace,
        job=job,
        optimum_cost=optimum(trace, job),
        outcomes={name: run(trace, job, choose) for name, choose in choosers.items()},
    )


def read(file: Path) -> Trace:
    """Return a trace: JSON, gzip or not, ``{"metadata": {"gap_seconds": N}, "data": [0, 1, ...]}``."""
    remedy = 'it holds {"metadata": {"gap_seconds": 600}, "data": [0, 1, ...]}'
    try:
        raw = file.read_bytes()
        document = json.loads(gzip.decompress(raw) if raw[:2] == b"\x1f\x8b" else raw)
        gap, steps = document["metadata"]["gap_seconds"], document["data"]
    except OSError as exc:
        raise BadInput(f"{file}: cannot be read ({exc.strerror or exc}); name another file") from exc
    except (ValueError, KeyError, TypeError, EOFError, RecursionError, zlib.error) as exc:
        raise BadInput(f"{file}: is no availability trace; {remedy}") from exc
    number = isinstance(gap, int | float) and not isinstance(gap, bool)
    if not (number and 0 < gap <= 86_400 and gap == int(gap)):
        raise BadInput(
            f"{file}: metadata.gap_seconds is no whole number of seconds (got {gap!r}); {remedy}"
        )
    if not isinstance(steps, list) or not steps or any(step not in (0, 1) for step in steps):
        raise BadInput(f"{file}: data is no list of 0 and 1; {remedy}")
    return Trace(name=file.name.split(".json")[0], gap=int(gap), available=tuple(map(bool, steps)))
