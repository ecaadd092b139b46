"""The rules on recorded availability, where the recordings are at hand."""

from pathlib import Path
from statistics import mean

import pytest

from bidder.backtest.availability import Job, run
from bidder.backtest.availability_compare import NAMES, chooser, read
from bidder.backtest.availability_optimum import optimum

DATA = Path(__file__).resolve().parents[3] / "shared" / "data" / "spot-availability"
TRACES = ("aws-10-26-2022__us-west-2a_v100_1", "aws-10-26-2022__us-west-2b_v100_1")


def test_ours_misses_nothing_and_costs_less_than_uniform_progress() -> None:
    """Two traces, jobs of a day and of two, a quarter and a half more time than they need."""
    if not DATA.is_dir():
        pytest.skip("the recorded availability (shared/data/spot-availability) is not here")
    jobs = [Job(work=h * 3600, time=round(h * 3600 * f)) for h in (24, 48) for f in (1.25, 1.5)]
    cells = [
        (read(DATA / f"{name}.json.gz").after(begin), job)
        for name in TRACES
        for job in jobs
        for begin in (0, 1500)
    ]
    ratios: dict[str, list[float]] = {name: [] for name in NAMES}
    for trace, job in cells:
        best = optimum(trace, job)
        for name in NAMES:
            outcome = run(trace, job, chooser(name))
            assert not outcome.missed
            ratios[name].append(outcome.cost / best)
    assert 1 <= mean(ratios["deadline"]) < mean(ratios["uniform_progress"])
