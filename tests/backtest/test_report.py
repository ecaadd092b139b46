"""The report as HTML: the same figures as the table, and curves that end with them."""

import re
from datetime import timedelta
from decimal import Decimal
from pathlib import Path

import pytest
from backtest_traces import START, wandering

from bidder.backtest import report
from bidder.backtest.compare import Question, compare_on
from bidder.backtest.traces import Trace

_FRAME = r'viewBox="0 0 960\.0 240\.0">\s*<polyline points="([^"]*)"'


def written(folder: Path, prices: list[Decimal], fee: str = "0.01") -> tuple[str, float]:
    """Return the report on one strategy, and what that earned."""
    moments = tuple(START + n * timedelta(minutes=1) for n in range(len(prices)))
    trace = Trace(market="a", moments=moments, prices=tuple(prices), end=moments[-1])
    question = Question(
        value=Decimal("0.2"),
        step=(Decimal("0.001"), False),
        creation_fee=Decimal(fee),
        strategies=("top_plus_tick",),
    )
    found = compare_on(trace, question, keep_periods=True)
    file = folder / "report.html"
    report.write(file, found)
    return file.read_text(), found.runs[0].utility


@pytest.mark.parametrize("fee", ["0.01", "9"])
def test_the_curve_ends_with_what_the_table_says(fee: str, tmp_path: Path) -> None:
    """Restarts and fees included, and below nothing where they are more than what was earned."""
    page, utility = written(tmp_path, wandering(1, 1500), fee)
    (curve,) = re.findall(_FRAME, page)
    ends = re.search(r"restarts and fees, from (\S+) to (\S+)\.<", page)
    assert ends is not None
    lowest, highest = float(ends[1]), float(ends[2])
    x, y = map(float, curve.split()[-1].split(","))
    assert x == 960.0
    assert lowest + (1 - y / 240) * (highest - lowest) == pytest.approx(utility, rel=1e-2)
    assert (utility < 0) == (fee == "9")


def test_the_table_has_the_columns_of_the_command(tmp_path: Path) -> None:
    """Also what the exchange is asked."""
    page, _ = written(tmp_path, wandering(1, 300))
    for name in ("restarts", "creations", "requests"):
        assert f"<th>{name}</th>" in page
    rows = re.findall(r"<tr>(.*?)</tr>", page)
    assert [row.count("<t") for row in rows] == [8, 8]


def test_a_market_that_costs_nothing_is_drawn_as_well(tmp_path: Path) -> None:
    """Without any height to scale by."""
    page, _ = written(tmp_path, [Decimal(0)] * 60)
    assert "<svg" in page
