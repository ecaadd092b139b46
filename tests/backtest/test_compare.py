"""What a comparison says of its runs, whatever the unit that prices are in."""

from datetime import timedelta
from decimal import Decimal

from backtest_traces import START

from bidder.backtest.compare import Comparison, Question, compare_on
from bidder.backtest.traces import Trace


def compared(prices: list[str], question: Question) -> Comparison:
    """Return a comparison on prices that hold for an hour each."""
    trace = Trace(
        market="a",
        moments=tuple(START + n * timedelta(hours=1) for n in range(len(prices))),
        prices=tuple(map(Decimal, prices)),
        end=START + len(prices) * timedelta(hours=1),
    )
    return compare_on(trace, question)


def test_what_floats_leave_over_is_no_gain_to_have_a_share_of() -> None:
    """At the value itself nothing is earned, and a ratio would be of rounding to rounding."""
    question = Question(
        value=Decimal("0.8"),
        tick=Decimal("0.1"),
        restart_hours=Decimal(0),
        creation_fee=Decimal(0),
        strategies=("track",),
    )
    found = compared(["0.7"] * 24, question)
    assert 0 < found.optimum_utility < 1e-9
    assert found.ordered()[0]["utility_ratio"] is None
