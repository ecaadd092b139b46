"""The comparison as one HTML file: a table, and plots drawn as SVG. Nothing is fetched from anywhere."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TypeVar

from bidder.backtest.compare import Comparison
from bidder.backtest.runner import Run
from bidder.errors import BadInput

_T = TypeVar("_T")

_WIDTH, _HEIGHT, _STRIP = 960.0, 240.0, 10.0
_MOST_POINTS = 4000
_COLOURS = ("#0b6e4f", "#a23b72", "#2e5eaa", "#c75000", "#5b5b5b", "#7a5195", "#8a6d00", "#c0392b")
_COLUMNS = (
    "strategy",
    "utility",
    "of the optimum",
    "held",
    "mean price",
    "restarts",
    "creations",
    "requests",
)

_PAGE = """<!DOCTYPE html>
<html lang="en"><head><meta charset="utf-8"><title>Backtest of {{ market }}</title>
<style>
body { font: 15px/1.5 system-ui, sans-serif; max-width: 1000px; margin: 2rem auto; padding: 0 1rem; }
table { border-collapse: collapse; } td, th { padding: .2rem .8rem; text-align: right; }
td:first-child, th:first-child { text-align: left; } tr:nth-child(even) { background: #f3f3f3; }
svg { width: 100%; height: auto; background: #fafafa; border: 1px solid #ddd; }
.rival { stroke: #bbb; } polyline { fill: none; stroke-width: 1.2; } figcaption { color: #555; }
</style></head><body>
<h1>Backtest of {{ market }}</h1>
<p>{{ start }} to {{ end }} UTC. An hour of running is worth {{ value }}, one lowering goes down
{{ step }}. The optimum, which knows the future, earns {{ optimum }}.</p>
{% for each in warnings %}<p><strong>Warning:</strong> {{ each }}.</p>{% endfor %}
<table><tr>{% for name in columns %}<th>{{ name }}</th>{% endfor %}</tr>
{% for row in rows %}<tr>{% for cell in row %}<td>{{ cell }}</td>{% endfor %}</tr>{% endfor %}</table>
<h2>Earnings over time</h2>
<figure><svg viewBox="0 0 {{ width }} {{ height }}">
{% for line in earnings %}<polyline points="{{ line.points }}" stroke="{{ line.colour }}"/>{% endfor %}
</svg><figcaption>{% for line in earnings %}<span style="color: {{ line.colour }}">{{ line.name }}</span>
{% endfor %}: value less bids, restarts and fees, from {{ lowest }} to {{ highest }}.</figcaption>
</figure>
<h2>Bid over rival price</h2>
{% for plot in plots %}<h3>{{ plot.name }}</h3>
<figure><svg viewBox="0 0 {{ width }} {{ height + strip }}">
<polyline class="rival" points="{{ plot.rival }}"/>
<polyline points="{{ plot.bid }}" stroke="{{ plot.colour }}"/>
{% for held in plot.held %}<rect x="{{ held[0] }}" y="{{ height }}" width="{{ held[1] }}"
height="{{ strip }}" fill="{{ plot.colour }}"/>{% endfor %}
</svg><figcaption>Grey: the rival's price, up to {{ plot.highest }}; coloured: the bid; the strip
below: when it ran.</figcaption></figure>
{% endfor %}</body></html>
"""


@dataclass(frozen=True, slots=True)
class _Line:
    name: str
    colour: str
    points: str


def write(file: Path, found: Comparison) -> None:
    """Write the report; raises BadInput when the file cannot be written."""
    from jinja2 import Environment

    environment = Environment(autoescape=True)
    best_first = sorted(found.runs, key=lambda run: -run.utility)
    reached = [period.utility for run in best_first for period in run.periods]
    # What costs more than it earns goes down from nothing, which is part of the picture.
    lowest, highest = min([0.0, *reached]), max([1e-9, *reached])
    page = environment.from_string(_PAGE).render(
        market=found.trace.market,
        start=f"{found.trace.start:%Y-%m-%d %H:%M}",
        end=f"{found.trace.end:%Y-%m-%d %H:%M}",
        value=f"{found.terms.value:f}",
        step=f"{float(found.terms.step):.6g}",
        optimum=f"{found.optimum_utility:.6g}",
        warnings=found.warnings,
        columns=_COLUMNS,
        rows=[_row(run, found) for run in best_first],
        earnings=[
            _Line(run.strategy, _colour(number), _earnings(run, found, lowest, highest))
            for number, run in enumerate(best_first)
        ],
        lowest=f"{lowest:.4g}",
        highest=f"{highest:.4g}",
        plots=[_plot(run, found, _colour(number)) for number, run in enumerate(best_first)],
        width=_WIDTH,
        height=_HEIGHT,
        strip=_STRIP,
    )
    try:
        file.write_text(page, encoding="utf-8")
    except OSError as exc:
        raise BadInput(f"--html {file}: cannot be written ({exc.strerror}); name another file") from exc


def _row(run: Run, found: Comparison) -> tuple[str, ...]:
    ratio = found.ratio(run)
    return (
        run.strategy,
        f"{run.utility:.6g}",
        "-" if ratio is None else f"{ratio:.4f}",
        f"{run.held_share:.2%}",
        "-" if run.mean_price is None else f"{run.mean_price:.6g}",
        str(run.restarts),
        str(run.creations),
        str(run.requests),
    )


def _colour(number: int) -> str:
    return _COLOURS[number % len(_COLOURS)]


def _earnings(run: Run, found: Comparison, lowest: float, highest: float) -> str:
    across, upwards = _scale_of(found, lowest, highest)
    sums = [(found.trace.start, 0.0), *((period.end, period.utility) for period in run.periods)]
    # Thinned or not, the line ends with what the table says.
    shown = [*_thinned(sums[:-1]), sums[-1]]
    return " ".join(f"{across(at)},{upwards(total)}" for at, total in shown)


def _plot(run: Run, found: Comparison, colour: str) -> dict[str, object]:
    # Placeholder prices and spikes would flatten all that matters.
    highest = max(1e-9, min(float(max(found.points)), 2 * float(found.terms.value)))
    across, upwards = _scale_of(found, 0.0, highest)
    periods = _thinned(run.periods)
    rival = " ".join(f"{across(p.start)},{upwards(float(p.rival))}" for p in periods)
    bids = " ".join(f"{across(p.start)},{upwards(float(p.bid or 0))}" for p in periods)
    held = [(across(p.start), round(across(p.end) - across(p.start), 2)) for p in periods if p.running]
    return {
        "name": run.strategy,
        "colour": colour,
        "rival": rival,
        "bid": bids,
        "held": held,
        "highest": f"{highest:.4g}",
    }


def _scale_of(
    found: Comparison, lowest: float, highest: float
) -> tuple[Callable[[datetime], float], Callable[[float], float]]:
    start, span = found.trace.start, (found.trace.end - found.trace.start).total_seconds()

    def across(at: datetime) -> float:
        return round((at - start).total_seconds() / span * _WIDTH, 2)

    def upwards(amount: float) -> float:
        share = (amount - lowest) / (highest - lowest)
        return round(_HEIGHT * (1 - min(max(share, 0.0), 1.0)), 2)

    return across, upwards


def _thinned(points: Sequence[_T]) -> list[_T]:
    every = max(1, len(points) // _MOST_POINTS)
    return list(points[::every])
