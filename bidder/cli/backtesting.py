"""``bidder backtest``: what strategies would have paid on a recorded market, and the best."""

from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from bidder.cli import generating, output
from bidder.cli.amounts import (
    LEAST_TICK,
    read_foresight,
    read_moment,
    read_number,
    read_step,
    refuse,
    refuse_others,
)
from bidder.cli.failures import ExitCode, complain
from bidder.cli.options import DEFAULT_CONFIG, AsJson, ConfigFile
from bidder.errors import BadInput

if TYPE_CHECKING:
    from datetime import datetime

    from bidder.backtest.compare import Comparison
    from bidder.backtest.traces import Trace
    from bidder.domain.policy import Target

_MOST_DAYS, _MOST_HOURS = 3660, 100_000

# Which options each kind of market takes, and which it has no use for: to ignore one would mislead.
_OF_ALL = frozenset({"config", "restart_hours", "strategies", "as_json"})
_OF_GENERATED = _OF_ALL | {"generated", "hours", "value"}
_OF_AVAILABILITY = _OF_ALL | {"availability", "job_hours", "deadline_hours", "on_demand_ratio"}
_NOT_OF_PRICES = frozenset({"hours", "job_hours", "deadline_hours", "on_demand_ratio"})
_NOT_OF_TRACE = _NOT_OF_PRICES | {"server", "days"}
_NOT_OF_HISTORY = _NOT_OF_PRICES | {"trace", "market"}


def backtest(
    context: typer.Context,
    trace: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Recorded prices: CSV, gzip or not, per hour."),
    ] = None,
    market: Annotated[
        str | None, typer.Option(help="Which of the file's markets; a part of its name will do.")
    ] = None,
    from_history: Annotated[
        bool, typer.Option("--from-history", help="The market is a server as this daemon recorded it.")
    ] = False,
    config: ConfigFile = DEFAULT_CONFIG,
    server: Annotated[
        int | None, typer.Option(help="With --from-history: the server; default: best recorded.")
    ] = None,
    days: Annotated[
        int, typer.Option(min=1, max=_MOST_DAYS, help="With --from-history: how far back to look.")
    ] = 14,
    availability: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Instead: when a spot server could be had, for a job."),
    ] = None,
    job_hours: Annotated[
        float | None, typer.Option(min=0.01, max=_MOST_HOURS, help="With --availability: hours of work.")
    ] = None,
    deadline_hours: Annotated[
        float | None,
        typer.Option(
            min=0.01, max=_MOST_HOURS, help="With --availability: hours until it must be done."
        ),
    ] = None,
    on_demand_ratio: Annotated[
        float, typer.Option(min=1, max=1000, help="With --availability: on-demand over spot price.")
    ] = 3.0,
    generated: Annotated[
        int | None,
        typer.Option(metavar="SEED", help="Instead: the whole daemon on a simulated exchange, in USD."),
    ] = None,
    hours: Annotated[
        float, typer.Option(min=0.1, max=720, help="With --generated: how long to bid.")
    ] = 6.0,
    value: Annotated[str | None, typer.Option(help="What an hour of running is worth.")] = None,
    step: Annotated[
        str, typer.Option(help="How far one lowering may go, per hour, or a share of the median price.")
    ] = "1%",
    strategies: Annotated[
        str | None,
        typer.Option(
            metavar="A,B,C", help="Which to compare, also targets of -c FILE; default: all of ours."
        ),
    ] = None,
    foresight: Annotated[
        str | None,
        typer.Option(metavar="10m,..", help="Also play a bidder who sees so far ahead; 0m: nothing."),
    ] = None,
    first: Annotated[
        str | None, typer.Option("--from", metavar="TIME", help="Where the cut starts, UTC.")
    ] = None,
    last: Annotated[
        str | None, typer.Option("--to", metavar="TIME", help="Where the cut ends, UTC.")
    ] = None,
    restart_hours: Annotated[
        str | None,
        typer.Option(help="Hours that a start costs; default: 0.1, with --availability 0.2."),
    ] = None,
    creation_fee: Annotated[str, typer.Option(help="What a creation costs.")] = "0.01",
    tick: Annotated[
        str | None, typer.Option(help="How far above a rival suffices; default: a tenth of the step.")
    ] = None,
    on_demand: Annotated[
        str | None, typer.Option(help="On-demand price per hour: no bid goes above it; default: none.")
    ] = None,
    pause_seconds: Annotated[
        int, typer.Option(min=1, max=600, help="Seconds between two lowerings; the daemon waits 600.")
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
    strategy may have learnt from; it is not scored. Every reaction is immediate, and `track` by its
    name has no `dead_band`; the daemon's is 0.2%.
    """
    from bidder.backtest import compare

    chosen = None if strategies is None else tuple(strategies.split(","))
    if generated is not None:
        refuse_others(context, "--generated", _OF_GENERATED)
        targets = _configured(config, chosen)
        return generating.generated(
            generated, hours, value, restart_hours, chosen, targets, _folder(config), as_json
        )
    if availability is not None:
        if foresight is not None:
            raise BadInput(
                "--foresight goes with recorded prices, not with --availability; leave it out"
            )
        refuse_others(context, "--availability", _OF_AVAILABILITY)
        restart = read_number("--restart-hours", restart_hours or "0.2")
        return _job(availability, job_hours, deadline_hours, on_demand_ratio, restart, chosen, as_json)
    if trace is None and not from_history:
        raise BadInput(
            "name the market: either --trace FILE, --from-history with -c FILE, or --generated SEED"
        )
    refuse(
        context, *(("--from-history", _NOT_OF_HISTORY) if from_history else ("--trace", _NOT_OF_TRACE))
    )
    if value is None:
        raise BadInput("--value is missing; say what an hour of running is worth, such as 0.13")
    question = compare.Question(
        file=trace,
        market=market,
        value=read_number("--value", value, least=Decimal("1e-9")),
        step=read_step(step),
        start=None if first is None else read_moment("--from", first),
        end=None if last is None else read_moment("--to", last),
        restart_hours=read_number("--restart-hours", restart_hours or "0.1"),
        creation_fee=read_number("--creation-fee", creation_fee),
        tick=None if tick is None else read_number("--tick", tick, least=LEAST_TICK),
        on_demand=None if on_demand is None else read_number("--on-demand", on_demand),
        pause_seconds=pause_seconds,
        grid_seconds=grid_seconds,
        creation_starts_clock=creation_starts_clock,
        raise_starts_clock=raise_starts_clock,
        strategies=chosen,
        configured=_configured(config, chosen),
        folder=_folder(config),
        foresight=() if foresight is None else tuple(map(read_foresight, foresight.split(","))),
    )
    keep = html is not None
    if from_history:
        recorded = _recorded(config, server, days)
        found = compare.compare_on(recorded, question, keep_periods=keep, tell=_note)
    else:
        found = compare.compare(question, keep_periods=keep, tell=_note)
    for each in found.warnings:
        complain(each, kind="warning")
    if html is not None:
        from bidder.backtest import report

        report.write(html, found)
    if as_json:
        output.say_json(found.document())
    else:
        _show(found)
    return ExitCode.DONE


def _note(text: str) -> None:
    complain(text, kind="note")


def _configured(config: Path, chosen: tuple[str, ...] | None) -> "tuple[Target, ...]":
    """Return the configuration's targets, where a strategy is asked for that is none of ours."""
    from bidder.backtest import lineup
    from bidder.cli.opening import read_settings

    absent = config == DEFAULT_CONFIG and not _is_there(config)
    if absent or not lineup.needs_targets(chosen):
        return ()
    return read_settings(config).policy.targets


def _folder(config: Path) -> Path | None:
    """Return where the configuration's own modules are, if there is one."""
    return config.absolute().parent if _is_there(config) else None


def _is_there(config: Path) -> bool:
    try:
        return config.exists()
    except OSError:  # a folder that this user may not look into, or no possible name
        return False


def _job(
    file: Path,
    job_hours: float | None,
    deadline_hours: float | None,
    ratio: float,
    restart: Decimal,
    names: tuple[str, ...] | None,
    as_json: bool,
) -> int:
    """Compare the policies for a job with a deadline."""
    from bidder.backtest import availability_compare
    from bidder.backtest.availability import Job

    if job_hours is None or deadline_hours is None:
        raise BadInput("--availability needs --job-hours and --deadline-hours")
    job = Job(
        work=round(job_hours * 3600),
        time=round(deadline_hours * 3600),
        restart=int(restart * 3600),
        ratio=ratio,
    )
    chosen = names or availability_compare.NAMES
    found = availability_compare.compare(file, job, chosen, tell=_note).document()
    if as_json:
        output.say_json(found)
        return ExitCode.DONE
    columns = ("strategy", "cost", "over the optimum", "missed", "starts", "spot h", "on-demand h")
    rows = [
        (
            run["strategy"],
            f"{run['cost']:.2f}",
            f"{run['cost_ratio']:.4f}",
            "yes" if run["missed"] else "no",
            str(run["starts"]),
            f"{run['spot_hours']:.2f}",
            f"{run['on_demand_hours']:.2f}",
        )
        for run in found["runs"]
    ]
    output.table(columns, rows)
    output.say(
        f"the optimum, which knows the future: {found['optimum_cost']:.2f} hours of the spot price"
    )
    return ExitCode.DONE


def _recorded(config: Path, server: int | None, days: int) -> "Trace":
    """Return the recorded history of a server; of the one watched longest where none is named."""
    from datetime import UTC, datetime, timedelta

    from bidder.backtest import recorded
    from bidder.cli.opening import read_settings
    from bidder.domain.ids import ServerId
    from bidder.wiring import open_queries

    end = datetime.now(UTC)
    start = end - timedelta(days=days)
    with open_queries(read_settings(config)) as queries:
        if server is None:
            looked = queries.market.looked_at(start)
            if not looked:
                raise BadInput(_unrecorded(queries.market.read_span(), end, days))
            server = looked[0].server
        chosen = ServerId(server)
        records = queries.market.changes(chosen, since=start, until=end)
        return recorded.trace_of(chosen, records, queries.rates(), start=start, end=end)


def _unrecorded(span: "tuple[datetime, datetime] | None", now: "datetime", days: int) -> str:
    """Return what to say where no book was recorded of late."""
    if span is None:
        return "--from-history: no book is recorded yet; run the daemon first"
    needed = (now - span[1]).days + days
    latest = f"{span[1]:%Y-%m-%d %H:%M} UTC"
    if needed > _MOST_DAYS:
        return f"--from-history: the latest book is of {latest}, out of reach; run the daemon again"
    return (
        f"--from-history: no book was recorded in the last {days} days, the latest is of {latest};"
        f" --days {needed} reaches it"
    )


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
    if any(run.strategy == "min_bid" for run in found.runs):
        output.say("min_bid: a trace has no floor to bid, so it bids next to nothing and never runs")
    output.say(f"the optimum, which knows the future: {found.optimum_utility:.6g}")


def _row(run: dict[str, Any]) -> list[str]:
    ratio, price = run["utility_ratio"], run["mean_price"]
    return [
        run["strategy"],
        f"{run['utility']:.6g}",
        "-" if ratio is None else f"{ratio:.4f}",
        f"{run['held_share']:.2%}",
        "-" if price is None else f"{price:.6g}",
        str(run["restarts"]),
        str(run["creations"]),
        str(run["requests"]),
    ]
