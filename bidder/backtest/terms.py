"""What a backtest on a trace counts: value, costs and rules, all per hour in the trace's currency."""

from dataclasses import dataclass
from datetime import timedelta
from decimal import Decimal


@dataclass(frozen=True, slots=True, kw_only=True)
class Terms:
    """The owner's value and costs, and the exchange's rules.

    ``value`` is what an hour of running is worth, ``step`` how far one lowering may go, ``tick`` how
    far above a rival a sufficient bid stands. A start of running costs ``restart_hours`` of value, a
    creation ``creation_fee``. Between two lowerings lies ``pause``; a creation or a raise starts that
    clock only where said so. ``grid`` is the spacing at which the trace is read; ``pause`` is a
    multiple of it. Nobody bids above ``on_demand``, where that is known.
    """

    value: Decimal
    step: Decimal
    tick: Decimal
    restart_hours: Decimal = Decimal("0.1")
    creation_fee: Decimal = Decimal("0.01")
    pause: timedelta = timedelta(seconds=600)
    grid: timedelta = timedelta(seconds=60)
    creation_starts_clock: bool = False
    raise_starts_clock: bool = False
    on_demand: Decimal | None = None

    @property
    def restart_cost(self) -> Decimal:
        """Return what one start of running costs."""
        return self.value * self.restart_hours

    @property
    def grid_hours(self) -> Decimal:
        """Return the grid's spacing in hours."""
        return Decimal(int(self.grid.total_seconds())) / 3600

    @property
    def pause_cells(self) -> int:
        """Return how many grid spacings lie between two lowerings."""
        return self.pause // self.grid
