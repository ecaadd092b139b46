"""Jobs with a deadline on recorded availability, beside the optimal offline schedule and other rules.

Jobs of 24 to 120 hours with deadlines of 1.1 to 2 times their length, begun at several moments of each
trace; an on-demand server costs three times a spot server, and a start 12 minutes, as in "Can't Be Late"
(Wu et al., NSDI 2024), whose Uniform Progress is among the rules. Nothing in ours was fitted on these
traces. Run `python -m benchmarks.deadline`.
"""

import argparse
import json
import sys
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from statistics import mean
from typing import Any

from benchmarks.figures import Figure
from bidder.backtest import availability
from bidder.backtest.availability import Job, Trace
from bidder.backtest.availability_compare import NAMES, chooser, read
from bidder.backtest.availability_optimum import optimum

DATA = Path(__file__).parents[2] / "shared" / "data" / "spot-availability"
HOURS = (24, 48, 72, 96, 120)
FACTORS = (1.1, 1.25, 1.5, 2.0)
BEGINNINGS = 4
RESTART, RATIO = 720, 3.0
MISSING = f"deadline: skipped: {DATA.name} is not in shared/data beside the project"
OURS, PAPERS = "deadline", "uniform_progress"


def cells(file: Path, beginnings: int) -> list[dict[str, Any]]:
    """Return what each rule pays for every job on one trace, over the optimum's cost."""
    trace = read(file)
    return [
        _cell(trace.after(begin), Job(work=work, time=time, restart=RESTART, ratio=RATIO))
        for work, time in _jobs()
        for begin in _beginnings(len(trace.available) - -(-time // trace.gap), beginnings)
    ]


def _jobs() -> Iterator[tuple[int, int]]:
    for hours in HOURS:
        for factor in FACTORS:
            yield hours * 3600, round(hours * 3600 * factor)


def _beginnings(last: int, count: int) -> list[int]:
    """Return from which steps of a trace jobs begin: evenly spread until the last one that fits."""
    if last < 0:
        return []
    return sorted({round(last * place / max(1, count - 1)) for place in range(count)})


def _cell(trace: Trace, job: Job) -> dict[str, Any]:
    best = optimum(trace, job)
    outcomes = {name: availability.run(trace, job, chooser(name)) for name in NAMES}
    return {
        "trace": trace.name,
        "job_hours": job.work / 3600,
        "deadline_hours": job.time / 3600,
        "optimum_cost": best,
        "ratios": {name: outcome.cost / best for name, outcome in outcomes.items()},
        "missed": {name: outcome.missed for name, outcome in outcomes.items()},
    }


def figures(found: list[dict[str, Any]]) -> Iterator[Figure]:
    """Return missed deadlines and mean gaps: cost over the optimum, less 1."""
    gaps = {name: mean(cell["ratios"][name] for cell in found) - 1 for name in NAMES}
    traces = {cell["trace"] for cell in found}
    note = f"{len(found)} jobs on {len(traces)} traces"
    yield Figure(
        name="deadlines missed by `deadline`",
        measured=sum(cell["missed"][OURS] for cell in found),
        unit="jobs",
        goal=0,
        better="less",
        baseline=sum(cell["missed"][name] for cell in found for name in NAMES if name != OURS),
        baseline_is="missed by the other rules together",
        note=note,
    )
    for name in NAMES:
        yield Figure(
            name=f"mean gap to the optimum, {name}",
            measured=round(gaps[name], 4),
            unit="of its cost",
            goal=round(gaps[PAPERS], 4) if name == OURS else None,
            better="less",
            baseline=round(gaps[PAPERS], 4),
            baseline_is="Uniform Progress",
        )
    for other in (PAPERS, f"{PAPERS}_stay"):
        by_trace = [mean_gaps(found, trace) for trace in traces]
        yield Figure(
            name=f"traces on which `deadline` costs more than {other}",
            measured=sum(each[OURS] > each[other] for each in by_trace),
            unit="traces",
            goal=0,
            better="less",
            baseline=len(traces),
            baseline_is="all of them",
        )


def run(*, quick: bool = False) -> Iterator[Figure]:
    """Measure; without the traces there is nothing to measure, which is said."""
    found = measured(DATA, quick=quick)
    if found is None:
        print(MISSING, file=sys.stderr)
        return
    yield from figures(found)


def measured(folder: Path, *, quick: bool = False) -> list[dict[str, Any]] | None:
    """Return every job on every trace of a folder; None where it holds none."""
    files = sorted(folder.glob("*.json.gz"))
    if not files:
        return None
    with ProcessPoolExecutor() as pool:
        parts = pool.map(cells, files, [1 if quick else BEGINNINGS] * len(files))
        return [cell for part in parts for cell in part]


def mean_gaps(found: list[dict[str, Any]], trace: str) -> dict[str, float]:
    """Return each rule's mean gap on one trace."""
    mine = [cell["ratios"] for cell in found if cell["trace"] == trace]
    return {name: mean(ratios[name] for ratios in mine) - 1 for name in NAMES}


def table(found: list[dict[str, Any]]) -> list[str]:
    """Return the lines of the table: mean gap to the optimum by trace."""
    head = f"{'trace':38} {'jobs':>5} " + " ".join(f"{name:>22}" for name in NAMES)
    lines = [head]
    for trace in sorted({cell["trace"] for cell in found}):
        gaps = mean_gaps(found, trace)
        count = sum(cell["trace"] == trace for cell in found)
        lines.append(f"{trace:38} {count:5} " + " ".join(f"{gaps[name]:22.4f}" for name in NAMES))
    return lines


_COLOURS = {
    "deadline": "#0b6e4f",
    "uniform_progress": "#a23b72",
    "uniform_progress_stay": "#2e5eaa",
    "greedy": "#888",
}


_LEFT, _TOP, _WIDTH, _HEIGHT, _MOST = 60, 20, 620, 240, 0.3


def picture(found: list[dict[str, Any]]) -> str:
    """Return the plot of the documents: each rule's mean gap over how long a deadline is."""
    box = f'viewBox="0 0 {_LEFT + _WIDTH + 190} {_TOP + _HEIGHT + 40}" font-family="sans-serif"'
    style = 'font-size="13"><style>polyline{fill:none;stroke-width:2.2}</style>'
    parts = [f'<svg xmlns="http://www.w3.org/2000/svg" {box} {style}', *_axes()]
    by_factor = {
        factor: [c["ratios"] for c in found if abs(c["deadline_hours"] / c["job_hours"] - factor) < 0.01]
        for factor in FACTORS
    }
    for place, name in enumerate(NAMES):
        gaps = [mean(ratios[name] for ratios in each) - 1 for each in by_factor.values()]
        points = " ".join(f"{_across(n)},{_above(gap)}" for n, gap in enumerate(gaps))
        label = f'<text x="{_LEFT + _WIDTH + 15}" y="{_TOP + 20 + 22 * place}" fill="{_COLOURS[name]}">'
        parts.append(f'<polyline points="{points}" stroke="{_COLOURS[name]}"/>{label}{name}</text>')
    return "".join(parts) + "</svg>\n"


def _axes() -> Iterator[str]:
    yield '<rect width="100%" height="100%" fill="#fff"/>'
    for tick in range(7):
        share = _MOST * tick / 6
        y = _above(share)
        yield f'<line x1="{_LEFT}" x2="{_LEFT + _WIDTH}" y1="{y}" y2="{y}" stroke="#ddd"/>'
        yield f'<text x="{_LEFT - 8}" y="{y + 4}" text-anchor="end">{share:.0%}</text>'
    for place, factor in enumerate(FACTORS):
        at = f'x="{_across(place)}" y="{_TOP + _HEIGHT + 22}"'
        yield f'<text {at} text-anchor="middle">{factor:g} times</text>'


def _across(place: int) -> int:
    return round(_LEFT + _WIDTH * place / (len(FACTORS) - 1))


def _above(gap: float) -> float:
    return round(_TOP + _HEIGHT * (1 - min(gap, _MOST) / _MOST), 1)


def main(arguments: list[str]) -> int:
    """Run every job on the cores, print the table and write JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, default=DATA, help="folder of the traces")
    parser.add_argument("--json", type=Path, help="also write everything here")
    parser.add_argument("--svg", type=Path, help="also draw the plot of the documents here")
    chosen = parser.parse_args(arguments)
    found = measured(chosen.data)
    if found is None:
        print(MISSING)
        return 0
    print("\n".join(table(found)))
    shown = [figure.as_dict() for figure in figures(found)]
    for figure in shown:
        print(f"{figure['name']}: {figure['measured']} {figure['unit']}")
    if chosen.svg:
        chosen.svg.write_text(picture(found))
    if chosen.json:
        chosen.json.write_text(json.dumps({"cells": found, "figures": shown}, indent=2) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
