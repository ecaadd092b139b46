"""Small amounts in a larger unit: played times a power of ten, and what came of it divided again.

Bids have eight decimal places a day in whatever unit a trace's prices are, so that in a small one they
could not tell two prices apart. Rejected: to play every market in the same unit, which would change the
last digits of figures that are known.
"""

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from decimal import Decimal

from bidder.backtest import runner
from bidder.backtest.runner import Run
from bidder.backtest.terms import Terms
from bidder.domain.money import EXACT, Price, quantum
from bidder.domain.policy import FixedParams, OwnParams, StrategyParams

# The decimal exponent of a value an hour below which amounts are played larger.
_USUAL = -1


def places(value: Decimal, params: StrategyParams | None = None) -> int:
    """Return by how many powers of ten a strategy plays amounts larger, given what an hour is worth.

    By none for a strategy of the owner's: that may know of prices by itself.
    """
    return 0 if isinstance(params, OwnParams) else max(0, _USUAL - value.adjusted())


def finest(value: Decimal, params: StrategyParams | None = None) -> Decimal:
    """Return by how little two bids of a strategy differ at least, per hour."""
    return larger(quantum(runner.TRACE) / 24, -places(value, params))


def play(
    name: str,
    params: StrategyParams,
    points: Sequence[Decimal],
    start: datetime,
    terms: Terms,
    *,
    keep_periods: bool = False,
    past: Sequence[Decimal] = (),
) -> Run:
    """Return what ``runner.play`` does, with amounts in a unit in which bids can tell them apart."""
    by = places(terms.value, params)
    run = runner.play(
        name,
        _enlarged(params, by),
        all_larger(points, by),
        start,
        terms_larger(terms, by),
        keep_periods=keep_periods,
        past=all_larger(past, by),
    )
    return smaller(run, by)


def larger(amount: Decimal, by: int) -> Decimal:
    """Return an amount times so many powers of ten."""
    return amount.scaleb(by, context=EXACT)


def all_larger(amounts: Sequence[Decimal], by: int) -> Sequence[Decimal]:
    """Return amounts times so many powers of ten."""
    return tuple(larger(amount, by) for amount in amounts) if by else amounts


def terms_larger(terms: Terms, by: int) -> Terms:
    """Return the same terms with every amount times so many powers of ten."""
    return replace(
        terms,
        value=larger(terms.value, by),
        step=larger(terms.step, by),
        tick=larger(terms.tick, by),
        creation_fee=larger(terms.creation_fee, by),
        on_demand=None if terms.on_demand is None else larger(terms.on_demand, by),
    )


def smaller(run: Run, by: int) -> Run:
    """Return what a run came to with every amount divided by so many powers of ten."""
    if not by:
        return run
    unit = 10.0**by
    return replace(
        run,
        utility=run.utility / unit,
        mean_price=None if run.mean_price is None else run.mean_price / unit,
        paid=run.paid / unit,
        periods=tuple(
            replace(
                period,
                bid=None if period.bid is None else larger(period.bid, -by),
                rival=larger(period.rival, -by),
                utility=period.utility / unit,
            )
            for period in run.periods
        ),
    )


def _enlarged(params: StrategyParams, by: int) -> StrategyParams:
    if isinstance(params, FixedParams) and params.price is not None:
        price = params.price
        return replace(params, price=Price(larger(price.amount, by), price.currency))
    return params
