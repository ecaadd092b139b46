"""The ``budget`` sections."""

from decimal import Decimal
from pathlib import Path

import pytest

from bidder.config import load_settings
from bidder.config.problems import ConfigProblems
from bidder.domain.policy import Budget

ONE = """
mode: paper
{top}
strategies:
  - name: render
    ceiling: {{usd: 5}}
    launch: {{image: renderer}}
{own}
"""
JOB = """    strategy: deadline
    deadline: {{gpu_hours: 1, by: 2030-01-01T00:00Z, on_demand_ceiling: {{usd: 9}}}}
    budget: {{usd_per_day: 3}}
""".format()


def written(folder: Path, *, top: str = "", own: str = "") -> Path:
    """Return a file with a budget of all and one of the strategy."""
    file = folder / "config.yaml"
    file.write_text(ONE.format(top=top, own=own), encoding="utf-8")
    return file


def test_both_budgets_are_read_exactly(tmp_path: Path) -> None:
    """Each a day's, a month's, or both; none where nothing is written."""
    top, own = "budget: {usd_per_day: 20.10, usd_per_month: 450}", "    budget: {usd_per_month: 1e2}"

    policy = load_settings(written(tmp_path, top=top, own=own), {}).policy
    bare = load_settings(written(tmp_path), {}).policy

    assert policy.budget == Budget(usd_per_day=Decimal("20.10"), usd_per_month=Decimal(450))
    assert policy.targets[0].budget == Budget(usd_per_month=Decimal(100))
    assert (bare.budget, bare.targets[0].budget) == (Budget(), Budget())


@pytest.mark.parametrize(
    ("top", "own", "said"),
    [
        ("budget: {}", "", "budget: names no amount"),
        ("budget: {usd: 5}", "", "budget.usd: unknown key"),
        ("budget: {usd_per_day: 0}", "", "budget.usd_per_day: must be more than zero (got '0')"),
        ("budget: {usd_per_day: 1e9}", "", "budget.usd_per_day: is absurd"),
        ("budget: 20", "", "budget: "),
        ("", "    budget: {usd_per_month: many}", "strategies[0].budget.usd_per_month: "),
        ("", JOB, "strategies[0].budget: does not belong to strategy: deadline"),
    ],
)
def test_what_cannot_be_meant_is_refused(tmp_path: Path, top: str, own: str, said: str) -> None:
    """With key, value and remedy."""
    with pytest.raises(ConfigProblems) as refused:
        load_settings(written(tmp_path, top=top, own=own), {})

    (line,) = str(refused.value).splitlines()
    assert said in line
    assert "; " in line


@pytest.mark.parametrize(
    ("top", "own", "said"),
    [
        ("budget: {usd_per_day: 5, usd_per_month: 4}", "", "the daily one bounds nothing"),
        ("budget: {usd_per_day: 5, usd_per_month: 200}", "", "the monthly one bounds nothing"),
        (
            "budget: {usd_per_day: 5}",
            "    budget: {usd_per_day: 7}",
            "of 'render' bounds nothing",
        ),
    ],
)
def test_what_bounds_nothing_is_warned_of(tmp_path: Path, top: str, own: str, said: str) -> None:
    """It is no error: both hold."""
    warnings = load_settings(written(tmp_path, top=top, own=own), {}).warnings

    assert [warning for warning in warnings if said in warning]
