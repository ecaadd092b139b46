"""The ladder of one recorded server: levels of bids that grow by a share, and which of them ran."""

from dataclasses import dataclass
from decimal import Decimal
from typing import TYPE_CHECKING

from bidder.backtest.ladder import Ladder
from bidder.backtest.lanes import Costs
from bidder.backtest.watched import Grid, Watched
from bidder.domain import selection
from bidder.domain.money import Currency, Price, Rates
from bidder.domain.policy import Target
from bidder.domain.price_rules import LOWERING_PAUSE, ClockRules, StepSample, usual_drop

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Array = NDArray[np.float64]
    Taken = NDArray[np.bool_]

# Levels of bids lie this share of the price apart, and closer where a lowering goes less far.
_SPACING = 0.002
# All ladders of a lane together have at most so many levels: their values over a day, as many as are
# kept at once, then take some 60 MB.
_MOST_LEVELS = 10_000
_FEWEST_LEVELS = 200
# A bid above the value loses money while it stands; up to this multiple one may be worth it.
_HEADROOM = 1.6
_UNKNOWN = -1


@dataclass(frozen=True, slots=True, kw_only=True)
class Rungs:
    """What every server's ladder in a span has in common: the exchange's rules, as far as learnt."""

    grid: Grid
    rates: Rates
    rules: ClockRules
    steps: tuple[StepSample, ...]

    def ladder(
        self, seen: Watched, gpus: int, target: Target, cost: Costs, free: "Taken", *, among: int = 1
    ) -> Ladder | None:
        """Return the ladder of a server, one ``among`` so many; None where no bid could have won it.

        Raises NoRate.
        """
        import numpy as np

        ceiling = float(target.ceiling.for_server(gpus, Currency.USD, self.rates).amount)
        top = min(ceiling, cost.value * _HEADROOM)
        known = np.isfinite(seen.prices)
        bids = [piece.bid for piece in seen.pieces if piece.bid is not None]
        open_ = known & (seen.prices < top)
        if not open_.any() and not bids:
            return None
        lowest = float(seen.prices[open_].min()) if open_.any() else min(bids)
        lowest = max(lowest, top * 1e-3)
        levels, spacing, lower = self._levels(
            lowest, top, target, max(_FEWEST_LEVELS, _MOST_LEVELS // among)
        )
        runs = np.full(self.grid.moments, len(levels), dtype=np.int64)
        steps = np.log(np.maximum(seen.prices[open_], lowest) / lowest) / np.log1p(spacing)
        runs[open_] = np.minimum(np.floor(steps + 1e-9).astype(np.int64) + 1, len(levels))
        runs = _carried(runs, ~np.isnan(seen.prices), len(levels))
        runs[~free] = len(levels)
        return Ladder(
            levels=levels,
            lower=lower,
            runs_from=runs,
            gain=(cost.value - levels) * self.grid.days,
            start_cost=cost.start,
            fee=cost.fee,
            pause=LOWERING_PAUSE // self.grid.length,
            creation_starts_clock=bool(self.rules.creation),
            raise_starts_clock=bool(self.rules.raised),
            watched=seen.seen,
        )

    def _levels(
        self, lowest: float, top: float, target: Target, most: int
    ) -> "tuple[Array, float, NDArray[np.int64]]":
        """Return levels that grow by a share, that share, and where one lowering leads from each."""
        import numpy as np

        top = max(top, lowest * 1.02)
        marks = np.geomspace(lowest, top, 12)
        drops = np.array([self._drop(float(mark), lowest, target) for mark in marks])
        spacing = min(_SPACING, float((drops / marks).min()) / 2)
        spacing = max(spacing, (top / lowest) ** (1 / most) - 1)
        count = int(np.log(top / lowest) / np.log1p(spacing)) + 2
        levels = lowest * np.power(1 + spacing, np.arange(count))
        reached = levels - np.interp(levels, marks, drops)
        lower = np.searchsorted(levels, reached * (1 - 1e-9), side="left")
        lower = np.maximum.accumulate(np.minimum(lower, np.maximum(np.arange(count) - 1, 0)))
        return levels, spacing, lower

    def _drop(self, usd: float, floor: float, target: Target) -> float:
        """Return how far one lowering may go, in USD, from a price of so many."""
        currencies = sorted(c for c in selection.payable(target, {}) if self.rates.knows(c))
        currency = currencies[0] if currencies else Currency.USD
        price = self.rates.from_usd(Decimal(repr(usd)), currency)
        least = self.rates.from_usd(Decimal(repr(floor)), currency)
        drop = usual_drop(price, least, self.steps, self.grid.end)
        return float(self.rates.to_usd(Price(drop, currency)))


def level_of(ladder: Ladder, bid: float, moment: int, *, held: bool) -> int:
    """Return the least level that is not below a bid; one that was seen to run is one that runs."""
    import numpy as np

    level = int(np.searchsorted(ladder.levels, bid * (1 - 1e-9), side="left"))
    runs = int(ladder.runs_from[moment])
    if held and level < runs <= level + 2:
        level = runs
    return min(level, ladder.count - 1)


def _carried(runs: "NDArray[np.int64]", known: "Taken", none: int) -> "NDArray[np.int64]":
    """Return the level of the last look where nobody looked: what ran then is taken to go on."""
    import numpy as np

    last = np.where(known, np.arange(len(runs)), _UNKNOWN)
    last = np.maximum.accumulate(last)
    carried: NDArray[np.int64] = np.where(last == _UNKNOWN, none, runs[np.maximum(last, 0)])
    return carried
