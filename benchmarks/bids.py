"""Bids on recorded auctions, beside the clairvoyant optimum and every baseline.

Three zones of one GPU instance type, weeks that nothing was fitted on, at three values and two steps:
18 cells. Earlier weeks are what `adaptive` may have learnt from. Run `python -m benchmarks.bids`.

With `--foresight 0m,10m` each cell also has a bidder who sees so far ahead, and no further: how much of
what is missing to the optimum can be won at all. The columns take longer than all others together.
"""

import argparse
import json
import sys
from concurrent.futures import ProcessPoolExecutor
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from functools import partial
from pathlib import Path
from typing import Any

from bidder.backtest.compare import Question, compare

DATA = Path(__file__).parents[2] / "shared" / "data" / "aws_g2.2xlarge_useast1_2015_auction.csv.gz"
ZONES = ("us-east-1a", "us-east-1b", "us-east-1e")
VALUES = ("0.13", "0.325", "0.65")
STEPS = ("0.01", "0.05")
FIRST, LAST = datetime(2015, 6, 13, tzinfo=UTC), datetime(2015, 8, 25, tzinfo=UTC)
OURS = "adaptive"
SEES = "foresight"


def cell(
    zone: str,
    value: str,
    step: str,
    *,
    data: Path = DATA,
    strategies: tuple[str, ...] | None = None,
    foresight: tuple[timedelta, ...] = (),
) -> dict[str, Any]:
    """Return one cell's document."""
    question = Question(
        file=data,
        market=zone,
        value=Decimal(value),
        step=(Decimal(step), True),
        start=FIRST,
        end=LAST,
        strategies=strategies,
        foresight=foresight,
    )
    return {"zone": zone, "share": step, **compare(question).document()}


def table(cells: list[dict[str, Any]]) -> list[str]:
    """Return the lines of the table: utility as a share of the optimum."""
    names = sorted({run["strategy"] for found in cells for run in found["runs"]})
    names.sort(key=lambda name: (name != OURS, not name.startswith(SEES), name))
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
    """Return regrets (1 less the share of the optimum): ours, the best baseline's, and their ratio.

    Where bidders with foresight were played, also theirs, and which share of what lies between the best
    baseline and such a bidder is ours.
    """
    ours: list[float] = []
    best: list[float] = []
    seeing: dict[str, list[float]] = {}
    worst = 0.0
    for found in cells:
        ratio = {run["strategy"]: run["utility_ratio"] for run in found["runs"]}
        for name in [each for each in ratio if each.startswith(SEES)]:
            seeing.setdefault(name, []).append(1 - ratio.pop(name))
        mine = ratio.pop(OURS)
        baseline = max(ratio.values())
        ours.append(1 - mine)
        best.append(1 - baseline)
        worst = max(worst, baseline - mine)
    found = {
        "mean_regret": sum(ours) / len(ours),
        "mean_regret_of_best_baseline": sum(best) / len(best),
        "ratio": sum(ours) / sum(best),
        "worst_cell_below_best_baseline": worst,
    }
    for name, regrets in sorted(seeing.items()):
        key = name.replace(" ", "_")
        found[f"mean_regret_of_{key}"] = sum(regrets) / len(regrets)
        found[f"won_of_what_{key}_wins"] = (sum(best) - sum(ours)) / (sum(best) - sum(regrets))
    return found


def main(arguments: list[str]) -> int:
    """Run all cells on the cores, print the table and write JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", type=Path, help="also write everything here")
    parser.add_argument("--zones", default=",".join(ZONES))
    parser.add_argument("--values", default=",".join(VALUES))
    parser.add_argument("--steps", default=",".join(STEPS))
    parser.add_argument("--data", type=Path, default=DATA, help="where the recorded auctions are")
    parser.add_argument("--strategies", help=f"{OURS} and at least one baseline; all by default")
    parser.add_argument("--foresight", default="", metavar="0m,10m", help="whole minutes ahead")
    chosen = parser.parse_args(arguments)
    if not chosen.data.exists():
        print(f"skipped: {chosen.data.name} is not in shared/data beside the project")
        return 0
    one = partial(
        cell,
        data=chosen.data,
        strategies=None if chosen.strategies is None else tuple(chosen.strategies.split(",")),
        foresight=tuple(
            timedelta(minutes=int(each.removesuffix("m")))
            for each in chosen.foresight.split(",")
            if each
        ),
    )
    values, steps = chosen.values.split(","), chosen.steps.split(",")
    wanted = [(z, v, s) for z in chosen.zones.split(",") for v in values for s in steps]
    with ProcessPoolExecutor() as pool:
        cells = list(pool.map(one, *zip(*wanted, strict=True)))
    print("\n".join(table(cells)))
    found = verdict(cells)
    for name, figure in found.items():
        print(f"{name}: {figure:.4f}")
    if chosen.json:
        chosen.json.write_text(json.dumps({"cells": cells, **found}, indent=2) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
