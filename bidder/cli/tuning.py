"""``bidder tune``: search a strategy's settings by backtests."""

import os
from decimal import Decimal
from pathlib import Path
from typing import Annotated

import typer

from bidder.cli import output
from bidder.cli.amounts import LEAST_TICK, read_moment, read_number, read_step
from bidder.cli.failures import ExitCode, complain
from bidder.cli.options import AsJson


def tune(
    trace: Annotated[Path, typer.Option(metavar="FILE", help="Recorded prices: CSV, per hour.")],
    value: Annotated[str, typer.Option(help="What an hour of running is worth.")],
    market: Annotated[str | None, typer.Option(help="Which of the file's markets.")] = None,
    strategy: Annotated[str, typer.Option(help="Whose settings to search.")] = "adaptive",
    step: Annotated[
        str, typer.Option(help="How far one lowering may go, per hour, or a share of the median.")
    ] = "1%",
    first: Annotated[
        str | None, typer.Option("--from", metavar="TIME", help="Where the cut starts, UTC.")
    ] = None,
    last: Annotated[
        str | None, typer.Option("--to", metavar="TIME", help="Where the cut ends, UTC.")
    ] = None,
    restart_hours: Annotated[str, typer.Option(help="Hours that a start costs.")] = "0.1",
    creation_fee: Annotated[str, typer.Option(help="What a creation costs.")] = "0.01",
    tick: Annotated[
        str | None, typer.Option(help="How far above a rival suffices; default: a tenth of the step.")
    ] = None,
    trials: Annotated[int, typer.Option(min=1, max=100_000, help="Backtests to run.")] = 40,
    workers: Annotated[
        int | None, typer.Option(min=1, max=256, help="Processes; default: one for each core.")
    ] = None,
    config: Annotated[
        Path | None,
        typer.Option(
            "-c", "--config", metavar="FILE", help="Keep the study beside this one's database."
        ),
    ] = None,
    as_json: AsJson = False,
) -> int:
    """Search the settings on the first two thirds of the time, and check them on the last.

    Prints the YAML to paste, and whether it earned more on the time that it was not chosen by. Every
    reaction is immediate there, and the usual `dead_band` of `track` is 0; the daemon's is 0.2%.
    """
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    from bidder.backtest import compare, studies, tuning

    tuning.knobs_of(strategy)
    question = compare.Question(
        file=trace,
        market=market,
        value=read_number("--value", value, least=Decimal("1e-9")),
        step=read_step(step),
        start=None if first is None else read_moment("--from", first),
        end=None if last is None else read_moment("--to", last),
        restart_hours=read_number("--restart-hours", restart_hours),
        creation_fee=read_number("--creation-fee", creation_fee),
        tick=None if tick is None else read_number("--tick", tick, least=LEAST_TICK),
    )
    cut = compare.cut_of(question)
    played = tuning.with_settings(strategy, {})
    terms = compare.playable(compare.terms_of(question, cut.points), (played,))
    whole = tuning.Stretch(points=cut.points, start=cut.trace.start, past=cut.past)
    warnings = (*cut.warnings, *tuning.doubts(trace, whole, terms.grid))
    for each in warnings:
        complain(each, kind="warning")
    url = None
    if config is not None:
        from bidder.cli.opening import read_settings

        url = studies.url_beside(read_settings(config).database_url)
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=Console(stderr=True)) as bar:
        task = bar.add_task("backtests", total=trials)
        found = tuning.search(
            strategy,
            whole,
            terms,
            trials=trials,
            workers=workers or os.cpu_count() or 1,
            url=url,
            name=tuning.question(cut.trace.market, whole, terms),
            progress=lambda done: bar.update(task, completed=done),
        )
    if as_json:
        output.say_json(
            {
                "strategy": found.strategy,
                "trials": found.trials,
                "settings": dict(found.best),
                "searched_usual": found.searched[0],
                "searched_best": found.searched[1],
                "checked_usual": found.checked[0],
                "checked_best": found.checked[1],
                "holds": found.holds,
                "warnings": list(warnings),
            }
        )
        return ExitCode.DONE
    for name, (usual, best) in (("searched", found.searched), ("checked", found.checked)):
        output.say(f"{name} on: {usual:.6g} with the usual settings, {best:.6g} with the best")
    if found.searched[1] <= found.searched[0]:
        output.say(f"none of {found.trials} trials earned more: keep the usual settings, or try more")
    elif not found.holds:
        output.say("on the time they were not chosen by they earn no more: keep the usual settings")
    output.say(found.yaml())
    return ExitCode.DONE
