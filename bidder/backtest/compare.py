"""Several strategies on one recorded market, beside the clairvoyant optimum."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from itertools import pairwise
from math import ceil
from pathlib import Path
from typing import Any

from bidder.backtest import foresight, lineup, units
from bidder.backtest.doubts import doubts, unread
from bidder.backtest.ladder import Ladder, uniform
from bidder.backtest.optimum import Climb
from bidder.backtest.runner import Run
from bidder.backtest.terms import Terms
from bidder.backtest.traces import Trace, median_price, read_trace
from bidder.config.values import spelled
from bidder.domain.policy import OwnParams, StrategyParams, Target
from bidder.errors import BadInput, StrategyFailed

# What a strategy may have learnt from before the cut.
_PAST = timedelta(days=45)
_NOISE = 1e-12
# Behind the first of what is at stake.
_FIGURES = 8
# Two years of minutes: a minute for the optimum, where levels are few, and some for every strategy.
_MOST_POINTS = 1_100_000
# What a search takes at most for a state and for a moment, and a strategy for a change of the price.
_SECONDS_A_STATE, _SECONDS_A_MOMENT, _SECONDS_A_CHANGE = 5e-9, 4e-5, 3e-4
# Whoever waits for longer is told so before.
_LONG = timedelta(seconds=30)
_MINUTE = timedelta(minutes=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """What to compare; amounts per hour in the trace's currency, ``start`` and ``end`` aware.

    ``step`` is an amount, or a share of the cut's median price where its second part says so.
    ``strategies`` None means all; ``configured`` are targets whose owner's strategies may be named,
    ``folder`` is where else the modules of such strategies may be.
    For each ``foresight`` a bidder who sees so far ahead is played as well.
    """

    value: Decimal
    file: Path | None = None
    step: tuple[Decimal, bool] = (Decimal("0.01"), True)
    market: str | None = None
    start: datetime | None = None
    end: datetime | None = None
    restart_hours: Decimal = Decimal("0.1")
    creation_fee: Decimal = Decimal("0.01")
    tick: Decimal | None = None
    on_demand: Decimal | None = None
    pause_seconds: int = 600
    grid_seconds: int = 60
    creation_starts_clock: bool = False
    raise_starts_clock: bool = False
    strategies: tuple[str, ...] | None = None
    configured: tuple[Target, ...] = ()
    folder: Path | None = None
    foresight: tuple[timedelta, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """What came of it."""

    trace: Trace
    terms: Terms
    points: tuple[Decimal, ...]
    optimum_utility: float
    runs: tuple[Run, ...]
    warnings: tuple[str, ...] = ()

    def ratio(self, run: Run) -> float | None:
        """Return a run's share of the optimum; None where the optimum earns nothing."""
        # What sums of floats leave over is no gain.
        least = _NOISE * float(self._at_stake)
        return run.utility / self.optimum_utility if self.optimum_utility > least else None

    @property
    def _at_stake(self) -> Decimal:
        """Return what running all of the time is worth."""
        return self.terms.value * self.terms.grid_hours * len(self.points)

    @property
    def _places(self) -> tuple[int, int]:
        """Return the decimal places of sums and of prices: enough for any unit that prices are in."""
        sums, prices = self._at_stake.adjusted(), self.terms.value.adjusted()
        return max(6, _FIGURES - sums), max(8, _FIGURES - 1 - prices)

    def ordered(self) -> list[dict[str, Any]]:
        """Return the runs as JSON-ready objects, best first."""
        best_first = sorted(self.runs, key=lambda run: -run.utility)
        return [self._run(run) for run in best_first]

    def _run(self, run: Run) -> dict[str, Any]:
        ratio = self.ratio(run)
        money, price = self._places
        return {
            "strategy": run.strategy,
            "utility": _rounded(run.utility, money),
            "utility_ratio": None if ratio is None else _rounded(ratio, 6),
            "regret": _rounded(self.optimum_utility - run.utility, money),
            "held_share": round(run.held_share, 6),
            "mean_price": None if run.mean_price is None else round(run.mean_price, price),
            "restarts": run.restarts,
            "creations": run.creations,
            "requests": run.requests,
        }

    def document(self) -> dict[str, Any]:
        """Return everything as one JSON-ready object."""
        return {
            "market": self.trace.market,
            "from": _moment(self.trace.start),
            "to": _moment(self.trace.end),
            "value": float(self.terms.value),
            "step": float(self.terms.step),
            "tick": float(self.terms.tick),
            "optimum_utility": _rounded(self.optimum_utility, self._places[0]),
            "runs": self.ordered(),
            "warnings": list(self.warnings),
        }


def compare(
    question: Question, *, keep_periods: bool = False, tell: Callable[[str], None] | None = None
) -> Comparison:
    """Run every strategy asked for, as ``compare_on`` does; raises BadInput for what cannot be used."""
    if question.file is None:
        raise BadInput("--trace is missing; name a CSV file with recorded prices")
    whole = read_trace(question.file, question.market)
    return compare_on(whole, question, keep_periods=keep_periods, tell=tell)


def compare_on(
    whole: Trace,
    question: Question,
    *,
    keep_periods: bool = False,
    tell: Callable[[str], None] | None = None,
) -> Comparison:
    """Run every strategy asked for on a trace at hand; raises BadInput for what cannot be used.

    ``tell`` is told beforehand, in a sentence, where that may take long.
    """
    chosen = lineup.named(question.strategies, question.configured, question.folder)
    cut = cut_on(whole, question)
    trace, points = cut.trace, cut.points
    terms = playable(terms_of(question, points), chosen.values())
    seeing = _foresighted(question, terms)
    ladder = uniform(points, terms)
    if tell is not None and (span := _at_most(ladder, points, len(chosen))) > _LONG:
        what = f"{len(points)} moments and {ladder.count} levels of bids"
        tell(f"{what}: this may take up to {spelled(timedelta(minutes=ceil(span / _MINUTE)))}")
    best, _ = Climb(ladder).solve()
    runs = tuple(
        _played(name, params, cut, terms, keep_periods=keep_periods) for name, params in chosen.items()
    )
    by = units.places(terms.value)
    runs += tuple(
        units.smaller(
            foresight.play(
                name,
                units.all_larger(points, by),
                trace.start,
                units.terms_larger(terms, by),
                foresight=ahead,
                past=units.all_larger(cut.past, by),
                keep_periods=keep_periods,
            ),
            by,
        )
        for name, ahead in seeing.items()
    )
    return Comparison(
        trace=trace,
        terms=terms,
        points=points,
        optimum_utility=best,
        runs=runs,
        warnings=cut.warnings,
    )


def _at_most(ladder: Ladder, points: Sequence[Decimal], strategies: int) -> timedelta:
    """Return about how long the optimum and so many strategies take, if every level stays in play."""
    changes = sum(before != after for before, after in pairwise(points))
    search = ladder.states * _SECONDS_A_STATE + ladder.moments * _SECONDS_A_MOMENT
    return timedelta(seconds=search + changes * strategies * _SECONDS_A_CHANGE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Cut:
    """The part of a trace that is scored, and the prices on the grid before it."""

    trace: Trace
    points: tuple[Decimal, ...]
    past: tuple[Decimal, ...]
    grid: timedelta
    pause: timedelta

    @property
    def warnings(self) -> tuple[str, ...]:
        """Return what makes the scored part doubtful, as sentences."""
        return (
            *doubts(self.trace, "leave that time out with --from or --to"),
            *unread(self.trace, self.grid, self.pause),
        )


def cut_of(question: Question) -> Cut:
    """Return the part of the file's market that is asked for; raises BadInput."""
    if question.file is None:
        raise BadInput("--trace is missing; name a CSV file with recorded prices")
    return cut_on(read_trace(question.file, question.market), question)


def cut_on(whole: Trace, question: Question) -> Cut:
    """Return the part of a trace that is asked for; raises BadInput."""
    trace = whole.cut(question.start, question.end)
    grid = timedelta(seconds=question.grid_seconds)
    if question.pause_seconds % question.grid_seconds:
        raise BadInput(
            f"--pause-seconds {question.pause_seconds} is not a multiple of --grid-seconds"
            f" {question.grid_seconds}; choose a grid that divides it"
        )
    points = (trace.end - trace.start) // grid
    if points > _MOST_POINTS:
        raise BadInput(
            f"{_span(trace)}: that makes {points} moments {question.grid_seconds} seconds apart, at most"
            f" {_MOST_POINTS} are played; name a part with --from and --to, or, in a backtest, a larger"
            " --grid-seconds"
        )
    if points < 1:
        raise BadInput(
            f"{_span(trace)}, less than one spacing of the grid, {question.grid_seconds} seconds; widen"
            " --from and --to, or name a longer --trace"
        )
    return Cut(
        trace=trace,
        points=trace.sampled(grid),
        past=_past(whole, trace, grid),
        grid=grid,
        pause=timedelta(seconds=question.pause_seconds),
    )


def _played(name: str, params: StrategyParams, cut: Cut, terms: Terms, *, keep_periods: bool) -> Run:
    past = cut.past if lineup.learns(params) else ()
    try:
        return units.play(
            name, params, cut.points, cut.trace.start, terms, keep_periods=keep_periods, past=past
        )
    except StrategyFailed as exc:
        bare = isinstance(params, OwnParams) and not params.settings
        remedy = "it has no params here: name a target of -c FILE that sets them, or " if bare else ""
        raise BadInput(f"--strategies: {exc}; {remedy}see what check_strategy says") from exc


def terms_of(question: Question, points: Iterable[Decimal]) -> Terms:
    """Return value, costs and rules; a share is taken of the median over the cut's time."""
    amount, is_share = question.step
    step = amount * median_price(tuple(points)) if is_share else amount
    if step <= 0:
        where = "" if question.file is None else f"{question.file}: "
        # A server that was rented all of the time has no price at all.
        why = "that is 0" if question.file is not None else "that is 0, or no bid could have won"
        told = (
            f"{amount:%} of the median price comes to 0, as {why}" if is_share else f"{amount} is none"
        )
        raise BadInput(f"{where}a step of {told}; name one as an amount, such as --step 0.001")
    return Terms(
        value=question.value,
        step=step,
        tick=step / 10 if question.tick is None else question.tick,
        restart_hours=question.restart_hours,
        creation_fee=question.creation_fee,
        pause=timedelta(seconds=question.pause_seconds),
        grid=timedelta(seconds=question.grid_seconds),
        creation_starts_clock=question.creation_starts_clock,
        raise_starts_clock=question.raise_starts_clock,
        on_demand=question.on_demand,
    )


def playable(terms: Terms, strategies: Iterable[StrategyParams]) -> Terms:
    """Return the same terms; raises BadInput where the tick is finer than any bid of a strategy's."""
    finest = max((units.finest(terms.value, params) for params in strategies), default=Decimal(0))
    if terms.tick < finest:
        raise BadInput(
            f"a tick of {terms.tick:.3g} an hour is finer than a bid can be, {finest:.3g}; name a larger"
            " --tick or --step, or multiply all prices, the value and the fees by the same number"
        )
    return terms


def _foresighted(question: Question, terms: Terms) -> dict[str, timedelta]:
    """Return each foresight asked for by the name of its row; raises BadInput."""
    lineup.each_once("--foresight", map(spelled, question.foresight))
    for ahead in question.foresight:
        if ahead % terms.grid:
            raise BadInput(
                f"--foresight {spelled(ahead)} is not a multiple of --grid-seconds"
                f" {question.grid_seconds}; name one that is"
            )
    return {f"foresight {spelled(ahead)}": ahead for ahead in question.foresight}


def _past(whole: Trace, cut: Trace, grid: timedelta) -> tuple[Decimal, ...]:
    if whole.start >= cut.start:
        return ()
    before = whole.cut(max(whole.start, cut.start - _PAST), cut.start)
    return before.sampled(grid)


def _span(trace: Trace) -> str:
    """Return which market runs from when to when, and of which file."""
    where = "" if trace.file is None else f"{trace.file}: "
    return f"{where}{trace.market} runs from {trace.start.isoformat()} to {trace.end.isoformat()}"


def _rounded(amount: float, places: int) -> float:
    """Return an amount with so many places; nothing is never less than nothing."""
    return round(amount, places) + 0.0


def _moment(at: datetime) -> str:
    return at.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
