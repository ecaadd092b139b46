"""``bidder backtest``: what strategies would have paid on a recorded market, and the best."""

from datetime import datetime
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from bidder.cli import output
from bidder.cli.failures import ExitCode
from bidder.cli.options import AsJson
from bidder.errors import BadInput

if TYPE_CHECKING:
    from bidder.backtest.compare import Comparison

_TIME_FORMATS = ["%Y-%m-%d", "%Y-%m-%dT%H:%M:%SZ", "%Y-%m-%dT%H:%M:%S"]


def backtest(
    trace: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Recorded prices: CSV, gzip or not, per hour."),
    ] = None,
    market: Annotated[
        str | None, typer.Option(help="Which of the file's markets; a part of its name will do.")
    ] = None,
    value: Annotated[str | None, typer.Option(help="What an hour of running is worth.")] = None,
    step: Annotated[
        str, typer.Option(help="How far one lowering may go, per hour, or a share of the median price.")
    ] = "1%",
    strategies: Annotated[
        str | None, typer.Option(metavar="A,B,C", help="Which to compare; default: all.")
    ] = None,
    first: Annotated[
        datetime | None, typer.Option("--from", formats=_TIME_FORMATS, help="Where the cut starts, UTC.")
    ] = None,
    last: Annotated[
        datetime | None, typer.Option("--to", formats=_TIME_FORMATS, help="Where the cut ends, UTC.")
    ] = None,
    restart_hours: Annotated[str, typer.Option(help="Hours of value that a start costs.")] = "0.1",
    creation_fee: Annotated[str, typer.Option(help="What a creation costs.")] = "0.01",
    tick: Annotated[
        str | None, typer.Option(help="How far above a rival suffices; default: a tenth of the step.")
    ] = None,
    on_demand: Annotated[
        str | None, typer.Option(help="On-demand price per hour: no bid goes above it; default: none.")
    ] = None,
    pause_seconds: Annotated[
        int, typer.Option(min=1, max=86400, help="Seconds between two lowerings.")
    ] = 600,
    grid_seconds: Annotated[
        int, typer.Option(min=1, max=86400, help="The trace is read at this spacing.")
    ] = 60,
    creation_starts_clock: Annotated[
        bool, typer.Option("--creation-starts-clock", help="A creation starts the lowering clock.")
    ] = False,
    raise_starts_clock: Annotated[
        bool, typer.Option("--raise-starts-clock", help="A raise starts the lowering clock.")
    ] = False,
    html: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Also write a report with plots.")
    ] = None,
    as_json: AsJson = False,
) -> int:
    """Replay a recorded market through the daemon's own decisions, and compare with the optimum.

    Everything is per hour in the trace's currency. What lies before --from is the history that a
    strategy may have learnt from; it is not scored.
    """
    from bidder.backtest import compare

    if trace is None:
        raise BadInput("--trace is missing; name a CSV file with recorded prices")
    if value is None:
        raise BadInput("--value is missing; say what an hour of running is worth, such as 0.13")
    question = compare.Question(
        file=trace,
        market=market,
        value=_number("--value", value, least=Decimal("1e-9")),
        step=_step(step),
        start=first,
        end=last,
        restart_hours=_number("--restart-hours", restart_hours),
        creation_fee=_number("--creation-fee", creation_fee),
        tick=None if tick is None else _number("--tick", tick, least=Decimal("1e-9")),
        on_demand=None if on_demand is None else _number("--on-demand", on_demand),
        pause_seconds=pause_seconds,
        grid_seconds=grid_seconds,
        creation_starts_clock=creation_starts_clock,
        raise_starts_clock=raise_starts_clock,
        strategies=None if strategies is None else tuple(strategies.split(",")),
    )
    found = compare.compare(question, keep_periods=html is not None)
    if html is not None:
        from bidder.backtest import report

        report.write(html, found)
    if as_json:
        output.say_json(found.document())
    else:
        _show(found)
    return ExitCode.DONE


def _number(option: str, text: str, *, least: Decimal = Decimal(0)) -> Decimal:
    try:
        number = Decimal(text)
    except InvalidOperation:
        number = Decimal(-1)
    if not (number.is_finite() and least <= number < Decimal("1e9")):
        raise BadInput(f"{option} is not a usable number (got {text!r}); write one such as 0.13")
    return number


def _step(text: str) -> tuple[Decimal, bool]:
    """Return the step, and whether it is a share of the median price."""
    if not text.endswith("%"):
        return _number("--step", text, least=Decimal("1e-9")), False
    return _number("--step", text[:-1], least=Decimal("1e-6")) / 100, True


def _show(found: "Comparison") -> None:
    terms, trace = found.terms, found.trace
    output.say(
        f"{trace.market}, {trace.start:%Y-%m-%d %H:%M} to {trace.end:%Y-%m-%d %H:%M} UTC;"
        f" value {terms.value:f} an hour, step {float(terms.step):.6g}, tick {float(terms.tick):.6g}"
    )
    columns = (
        "strategy",
        "utility",
        "of the optimum",
        "held",
        "mean price",
        "restarts",
        "creations",
        "requests",
    )
    output.table(columns, [_row(run) for run in found.ordered()])
    output.say(f"the optimum, which knows the future: {found.optimum_utility:.4f}")


def _row(run: dict[str, Any]) -> list[str]:
    ratio, price = run["utility_ratio"], run["mean_price"]
    return [
        run["strategy"],
        f"{run['utility']:.4f}",
        "-" if ratio is None else f"{ratio:.4f}",
        f"{run['held_share']:.2%}",
        "-" if price is None else f"{price:.6g}",
        str(run["restarts"]),
        str(run["creations"]),
        str(run["requests"]),
    ]
