"""``python -m benchmarks [NAME...]``: measure, print one table, write one JSON file."""

import argparse
import json
import platform
import sys
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path

import structlog
from rich.console import Console
from rich.table import Table

from benchmarks import (
    awake,
    chaos,
    deadline,
    decode,
    memory,
    passes,
    rate,
    reaction,
    soak,
    startup,
    worlds,
)
from benchmarks.figures import Figure
from bidder.telemetry import configure_logging

_RESULTS = Path(__file__).parent / "results.json"
_ALL: dict[str, Callable[..., Iterator[Figure]]] = {
    "decode": decode.run,
    "passes": passes.run,
    "startup": startup.run,
    "memory": memory.run,
    "reaction": reaction.run,
    "rate": rate.run,
    "chaos": chaos.run,
    "soak": soak.run,
    "awake": awake.run,
    "deadline": deadline.run,
    "worlds": worlds.run,
}


def main() -> int:
    """Run the named benchmarks, or all of them."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of {', '.join(_ALL)}; all by default")
    parser.add_argument("--quick", action="store_true", help="fewer repetitions, shorter spans")
    parser.add_argument("--json", type=Path, default=_RESULTS, metavar="FILE", help="where to write")
    parser.add_argument("--days", type=float, help="simulated days of the soak, at most")
    parser.add_argument("--hours", type=float, help="hours of machine time for the soak, at most")
    parser.add_argument("--real-minutes", type=float, help="how long the daemon is kept awake")
    given = parser.parse_args()
    more: dict[str, dict[str, float | None]] = {
        "soak": {"days": given.days, "most_seconds": given.hours and given.hours * 3600},
        "awake": {"real_minutes": given.real_minutes},
    }
    unknown = sorted(set(given.names) - set(_ALL))
    if unknown:
        parser.error(f"no such benchmark: {', '.join(unknown)}; there are {', '.join(_ALL)}")
    configure_logging("error", "console")
    structlog.contextvars.clear_contextvars()
    figures: list[Figure] = []
    for name in given.names or _ALL:
        before = time.perf_counter()
        chosen = {key: value for key, value in more.get(name, {}).items() if value is not None}
        found = list(_ALL[name](quick=given.quick, **chosen))
        figures += found
        print(f"{name}: {time.perf_counter() - before:.0f} s", file=sys.stderr)
    _show(figures)
    _write(figures, given.json, quick=given.quick)
    return 0


def _show(figures: list[Figure]) -> None:
    table = Table()
    for column in ("figure", "measured", "goal", "met", "baseline", "which is", "note"):
        table.add_column(column, overflow="fold")
    for figure in figures:
        sign = "<=" if figure.better == "less" else ">="
        table.add_row(
            figure.name,
            f"{figure.measured:.3g} {figure.unit}",
            "" if figure.goal is None else f"{sign} {figure.goal:.3g}",
            {None: "", True: "yes", False: "NO"}[figure.met],
            "" if figure.baseline is None else f"{figure.baseline:.3g}",
            figure.baseline_is,
            figure.note,
        )
    console = Console()
    if not console.is_terminal:
        console.width = 200
    console.print(table)


def _write(figures: list[Figure], file: Path, *, quick: bool) -> None:
    document = {
        "schema": 1,
        "at": datetime.now(UTC).isoformat(timespec="seconds").replace("+00:00", "Z"),
        "python": platform.python_version(),
        "quick": quick,
        "figures": [figure.as_dict() for figure in figures],
    }
    file.write_text(json.dumps(document, indent=2) + "\n", encoding="utf-8")
    print(f"written to {file.name}", file=sys.stderr)


if __name__ == "__main__":
    sys.exit(main())
