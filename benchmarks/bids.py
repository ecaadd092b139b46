"""Bids on recorded auctions, beside the clairvoyant optimum and every baseline.

Three zones of one GPU instance type, weeks that nothing was fitted on, at three values and two steps:
18 cells. Earlier weeks are what `adaptive` may have learnt from. Run `python -m benchmarks.bids`.
"""

import argparse
import json
import sys
from concurrent.futures import ProcessPoolExecutor
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

from bidder.backtest.compare import Question, compare

DATA = Path(__file__).parents[2] / "shared" / "data" / "aws_g2.2xlarge_useast1_2015_auction.csv.gz"
ZONES = ("us-east-1a", "us-east-1b", "us-east-1e")
VALUES = ("0.13", "0.325", "0.65")
STEPS = ("0.01", "0.05")
FIRST, LAST = datetime(2015, 6, 13), datetime(2015, 8, 25)  # noqa: DTZ001 - read as UTC
OURS = "adaptive"


def cell(zone: str, value: str, step: str) -> dict[str, Any]:
    """Return one cell's document."""
    question = Question(
        file=DATA,
        market=zone,
        value=Decimal(value),
        step=(Decimal(step), True),
        start=FIRST,
        end=LAST,
    )
    return {"zone": zone, "share": step, **compare(question).document()}


def table(cells: list[dict[str, Any]]) -> list[str]:
    """Return the lines of the table: utility as a share of the optimum."""
    names = sorted({run["strategy"] for found in cells for run in found["runs"]})
    names.sort(key=lambda name: (name != OURS, name))
    lines = ["zone        value step optimum  " + "  ".join(f"{name[:14]:>14}" for name in names)]
    for found in cells:
        ratio = {run["strategy"]: run["utility_ratio"] for run in found["runs"]}
        shown = "  ".join(f"{ratio[name]:14.4f}" for name in names)
        head = (
            f"{found['zone']:11} {found['value']:5} {found['share']:4} {found['optimum_utility']:8.2f}"
        )
        lines.append(f"{head} {shown}")
    return lines


def verdict(cells: list[dict[str, Any]]) -> dict[str, float]:
    """Return regrets (1 less the share of the optimum): ours, the best baseline's, and their ratio."""
    ours, best, worst = [], [], 0.0
    for found in cells:
        ratio = {run["strategy"]: run["utility_ratio"] for run in found["runs"]}
        mine = ratio.pop(OURS)
        baseline = max(ratio.values())
        ours.append(1 - mine)
        best.append(1 - baseline)
        worst = max(worst, baseline - mine)
    return {
        "mean_regret": sum(ours) / len(ours),
        "mean_regret_of_best_baseline": sum(best) / len(best),
        "ratio": sum(ours) / sum(best),
        "worst_cell_below_best_baseline": worst,
    }


def main(arguments: list[str]) -> int:
    """Run all cells on the cores, print the table and write JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", type=Path, help="also write everything here")
    parser.add_argument("--zones", default=",".join(ZONES))
    chosen = parser.parse_args(arguments)
    if not DATA.exists():
        print(f"skipped: {DATA.name} is not in shared/data beside the project")
        return 0
    wanted = [(z, v, s) for z in chosen.zones.split(",") for v in VALUES for s in STEPS]
    with ProcessPoolExecutor() as pool:
        cells = list(pool.map(cell, *zip(*wanted, strict=True)))
    print("\n".join(table(cells)))
    found = verdict(cells)
    for name, figure in found.items():
        print(f"{name}: {figure:.4f}")
    if chosen.json:
        chosen.json.write_text(json.dumps({"cells": cells, **found}, indent=2) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
