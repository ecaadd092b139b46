"""One lane over the grid: what each of its moments lost against the best, and the best way itself."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import TYPE_CHECKING

from bidder.backtest.blame import in_words
from bidder.backtest.fleet import Fleet, State, ticked
from bidder.backtest.watched import Grid
from bidder.domain.ids import ServerId
from bidder.domain.regret import Tally

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Taken = NDArray[np.bool_]

_ROUNDING = 1e-9


@dataclass(slots=True, kw_only=True)
class Walk:
    """One lane: where it stood at the beginning of each moment, and what each moment earned.

    ``tally`` is what the best way came to, once all losses were asked for.
    """

    fleet: Fleet
    servers: Sequence[ServerId]
    grid: Grid
    states: Sequence[State]
    earned: Sequence[float]
    tally: Tally = Tally()
    _where: list[int] = field(default_factory=list)

    def losses(self) -> Iterator[tuple[int, float, str]]:
        """Yield what each moment lost, and what the best was; no words where nothing was lost."""
        best = self.states[0]
        worth = held = paid = 0.0
        starts = creations = 0
        for look in self.fleet.looks():
            moment = look.moment
            if moment == 0:
                worth = look.before.of(best)
            ours = self.states[moment]
            lost = look.before.of(ours) - self.earned[moment] - look.after.of(self.states[moment + 1])
            better = ""
            if abs(lost) > _ROUNDING:
                better = in_words(look.best(ours), ours, self.fleet.ladders, self.servers)
            yield moment, lost, better
            move = look.best(best)
            if move.to.server >= 0:
                ladder = self.fleet.ladders[move.to.server]
                if move.to.level >= ladder.runs_from[moment]:
                    share = 1.0 if ladder.watched is None else float(ladder.watched[moment])
                    held += share
                    paid += float(ladder.levels[move.to.level]) * share * self.grid.days
                    starts += move.creates or best.level < ladder.ran_from(moment)
                creations += move.creates
            self._where.append(move.to.server)
            best = ticked(move.to)
        self.tally = Tally(
            held=held * self.grid.length,
            paid=round(Decimal(repr(paid)), 9),
            starts=starts,
            creations=creations,
            worth=round(Decimal(repr(worth)), 9),
        )

    def stands(self) -> "Iterator[Taken]":
        """Yield, for each server, the moments in which the best would have had an offer there."""
        import numpy as np

        where = np.array(self._where)
        for number in range(len(self.servers)):
            yield where == number
