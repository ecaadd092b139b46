"""What a comparison says of its runs, whatever the unit that prices are in."""

import json
import re
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal

import pytest
from backtest_traces import START
from builders import make_target
from hypothesis import given, settings
from hypothesis import strategies as st

from bidder.backtest.compare import Comparison, Question, compare_on
from bidder.backtest.lineup import LINEUP
from bidder.backtest.traces import Trace
from bidder.domain.money import Currency, Price
from bidder.domain.policy import FixedParams
from bidder.errors import BadInput


def compared(prices: list[str], question: Question, *, keep_periods: bool = False) -> Comparison:
    """Return a comparison on prices that hold for an hour each."""
    trace = Trace(
        market="a",
        moments=tuple(START + n * timedelta(hours=1) for n in range(len(prices))),
        prices=tuple(map(Decimal, prices)),
        end=START + len(prices) * timedelta(hours=1),
    )
    return compare_on(trace, question, keep_periods=keep_periods)


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


def scaled(
    unit: str, *, tick: str | None = None, strategies: tuple[str, ...] = ("track", "fixed")
) -> Comparison:
    """Return a comparison of the same market with amounts in another unit."""
    by = Decimal(unit)
    question = Question(
        value=Decimal("0.2") * by,
        creation_fee=Decimal("0.01") * by,
        tick=None if tick is None else Decimal(tick) * by,
        strategies=strategies,
    )
    return compared([str(Decimal(each) * by) for each in ("0.1", "0.13", "0.1", "0.11")], question)


@pytest.mark.parametrize("unit", ["0.001", "10000"])
def test_figures_are_as_precise_in_any_unit(unit: str) -> None:
    """A market in BTC, say, is not rounded to nothing."""
    usual, small = scaled("1").document(), scaled(unit).document()
    by = float(unit)
    assert small["optimum_utility"] == pytest.approx(usual["optimum_utility"] * by, rel=1e-6)
    for one, other in zip(usual["runs"], small["runs"], strict=True):
        assert other["utility_ratio"] == pytest.approx(one["utility_ratio"], rel=1e-3)
        assert other["utility"] == pytest.approx(
            other["utility_ratio"] * small["optimum_utility"], rel=1e-5
        )
        assert other["mean_price"] == pytest.approx(one["mean_price"] * by, rel=1e-3)


def test_prices_finer_than_any_bid_are_refused_with_the_remedy() -> None:
    """Strategies would bid in coarser steps than the optimum."""
    with pytest.raises(BadInput, match="multiply all prices, the value and the fees"):
        scaled("0.000001", tick="1e-10")


@given(
    prices=st.lists(
        st.sampled_from(("0.1", "0.13", "0.11", "0.09", "0.1237", "0.3")), min_size=1, max_size=8
    ),
    places=st.integers(1, 9),
    value=st.sampled_from(("0.12", "0.2", "0.9")),
    step=st.sampled_from(("0.0013", "0.01")) | st.none(),
    on_demand=st.sampled_from(("0.125", "0.4")) | st.none(),
    fixed=st.sampled_from(("0.1", "0.21")),
)
@settings(deadline=None, max_examples=25)
def test_a_market_in_a_smaller_unit_is_the_same_market(
    prices: list[str], places: int, value: str, step: str | None, on_demand: str | None, fixed: str
) -> None:
    """Every strategy, and who sees ahead, bids as ever; every amount is so much smaller."""

    def played(unit: Decimal) -> Comparison:
        price = Price(Decimal(fixed) * unit * 24, Currency.USD)
        question = Question(
            value=Decimal(value) * unit,
            step=(Decimal("0.01"), True) if step is None else (Decimal(step) * unit, False),
            creation_fee=Decimal("0.01") * unit,
            on_demand=None if on_demand is None else Decimal(on_demand) * unit,
            strategies=(*LINEUP, "mine"),
            configured=(make_target("mine", params=FixedParams(price=price)),),
            foresight=(timedelta(minutes=10),),
        )
        return compared([str(Decimal(each) * unit) for each in prices], question, keep_periods=True)

    unit = Decimal(10) ** -places
    usual, small = played(Decimal(1)), played(unit)
    assert small.optimum_utility == pytest.approx(usual.optimum_utility * float(unit), rel=1e-9)
    for one, other in zip(usual.runs, small.runs, strict=True):
        counted = (other.strategy, other.held_share, other.restarts, other.creations, other.requests)
        assert counted == (one.strategy, one.held_share, one.restarts, one.creations, one.requests)
        assert other.utility == pytest.approx(one.utility * float(unit), rel=1e-12)
        assert (other.mean_price is None) == (one.mean_price is None)
        ratio = usual.ratio(one)
        assert small.ratio(other) == (None if ratio is None else pytest.approx(ratio, rel=1e-9))
        bids = [period.bid for period in one.periods]
        assert [period.bid for period in other.periods] == [bid and bid * unit for bid in bids]


@pytest.mark.parametrize(("value", "told"), [("100", ["up to 1m"]), ("0.2", [])])
def test_who_waits_for_long_is_told_beforehand(value: str, told: list[str]) -> None:
    """For how long at most: one price that shoots up makes many levels."""
    trace = Trace(
        market="a",
        moments=tuple(START + timedelta(minutes=n) for n in (0, 1800, 1802)),
        prices=tuple(map(Decimal, ("0.1", "16", "0.1"))),
        end=START + timedelta(hours=70),
    )
    question = Question(value=Decimal(value), strategies=("min_bid",))
    said: list[str] = []
    compare_on(trace, question, tell=said.append)
    assert [each[-len("up to 1m") :] for each in said] == told


def test_nothing_is_never_written_as_less_than_nothing() -> None:
    """A regret of rounding alone is 0.0."""
    found = compared(["0.1"] * 3, Question(value=Decimal("0.2"), strategies=("track",)))
    beaten = replace(found, runs=tuple(replace(run, utility=run.utility + 1e-15) for run in found.runs))
    nearly = replace(found, runs=tuple(replace(run, utility=-1e-15) for run in found.runs))
    written = json.dumps([beaten.document(), nearly.document()])
    assert "-0.0" not in re.sub(r"-0\.0\d*[1-9]", "", written)
