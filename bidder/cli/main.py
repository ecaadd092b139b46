"""The program's entry: every command, and how each ends.

What a command needs is imported when it runs: ``bidder --help`` loads neither the database nor the
HTTP client.
"""

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer
from typer.exceptions import TyperException

from bidder.cli import (
    advising,
    backtesting,
    doctoring,
    early,
    guarding,
    keeping,
    looking,
    ordering,
    replaying,
    reporting,
    serving,
    telling,
    tuning,
)
from bidder.cli.failures import ExitCode, complain, guarded, harmless
from bidder.cli.options import DEFAULT_CONFIG, AsJson, ConfigFile

app = typer.Typer(
    name="bidder",
    help="Holds the GPU servers you want on the CLORE.AI spot market, at the lowest price.",
    epilog="Exit codes: 0 done, 1 failed, 2 bad input, 3 token refused, 4 held by another daemon,"
    " 5 the exchange is unreachable.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)

# Each takes some seconds and, while it waits, some memory.
_MOST_SEEDS = 100_000
_LONGEST_SEED = 18  # digits; Python neither reads nor prints numbers of some thousands of them


def _version(asked: bool) -> None:
    if asked:
        from importlib.metadata import version

        print(f"bidder {version('bidder')}")  # noqa: T201 - the command's answer
        raise typer.Exit


@app.callback()
def _program(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    pass


@app.command()
def run(
    config: ConfigFile = DEFAULT_CONFIG,
    cancel_on_exit: Annotated[
        bool, typer.Option("--cancel-on-exit", help="Cancel every order of this daemon when it stops.")
    ] = False,
) -> int:
    """Run the daemon until SIGTERM or SIGINT; orders stay as they are. SIGHUP reads FILE again."""
    with early.heard() as asked:  # before anything else, which takes a while
        from bidder.cli.running import run_service

        run_service(config, cancel_on_exit=cancel_on_exit, asked=asked)
    return ExitCode.DONE


@app.command()
def demo(
    hours: Annotated[
        float | None,
        typer.Option(
            min=0.01, max=1000, help="Hours of exchange time; default: about a minute's worth."
        ),
    ] = None,
    seed: Annotated[int, typer.Option(help="The world and its rivals come from this number.")] = 1,
    marketplace: Annotated[
        Path | None, typer.Option(metavar="FILE", help="A recorded `marketplace` answer as the world.")
    ] = None,
    save: Annotated[
        Path | None,
        typer.Option(metavar="FOLDER", help="Keep its database there, and a configuration to read it."),
    ] = None,
    as_json: AsJson = False,
) -> int:
    """Watch the daemon trade on the simulated exchange; needs no account."""
    from bidder.demo.scaled import main as play
    from bidder.telemetry import configure_logging

    configure_logging("error", "console")
    return play(hours, seed, marketplace, as_json, save)


@app.command()
def chaos(
    seeds: Annotated[str, typer.Option(metavar="A-B", help="The first and the last seed.")] = "1-4",
    days: Annotated[float, typer.Option(min=0.01, max=366, help="Simulated days of each seed.")] = 1.0,
    timeline: Annotated[
        bool, typer.Option("--timeline", help="One seed after the other, with all that happens.")
    ] = False,
    script: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="JSON list of faults; nothing else goes wrong."),
    ] = None,
    as_json: AsJson = False,
) -> int:
    """Let everything go wrong for days of simulated time, and check what must hold all the same.

    Exit code 1 when an invariant was violated.
    """
    from bidder.chaos import campaign, kinds
    from bidder.errors import BadInput

    first, dash, last = seeds.partition("-")
    if not (first.isascii() and first.isdigit() and ((last.isascii() and last.isdigit()) or not dash)):
        raise BadInput(f"--seeds is not a range of numbers (got {seeds!r}); write it like 1-20")
    if max(len(first), len(last)) > _LONGEST_SEED:
        shown = f"{seeds[:_LONGEST_SEED]}..."
        raise BadInput(
            f"--seeds: a seed has at most {_LONGEST_SEED} digits (got {shown!r}); write it like 1-20"
        )
    span = (int(first), int(last) if dash else int(first))
    if span[1] < span[0]:
        raise BadInput(f"--seeds ends before it begins (got {seeds!r}); write it like 1-20")
    if span[1] - span[0] >= _MOST_SEEDS:
        raise BadInput(
            f"--seeds names {span[1] - span[0] + 1} seeds, at most {_MOST_SEEDS} are played at once;"
            " write a shorter range"
        )
    asked = None if script is None else kinds.load_script(script, days)
    found = campaign.run(
        *span,
        days,
        script=asked,
        script_file=None if script is None else str(script),
        as_json=as_json,
        timeline=timeline,
    )
    return ExitCode.FAILED if found.violations.total() else ExitCode.DONE


app.command()(backtesting.backtest)
app.command()(tuning.tune)
app.command()(looking.check)
app.command()(looking.health)
app.command()(guarding.guard)
app.command()(doctoring.doctor)
app.command()(looking.plan)
app.command()(looking.status)
app.command()(looking.orders)
app.command()(looking.history)
app.command()(looking.explain)
app.command()(replaying.replay)
app.command()(reporting.report)
app.command()(advising.advise)
app.command()(ordering.cancel)
app.command()(ordering.pause)
app.command()(ordering.resume)
app.command()(ordering.wallets)
app.add_typer(keeping.db, name="db")
app.add_typer(ordering.servers, name="servers")
app.add_typer(telling.notify, name="notify")
app.add_typer(serving.sim, name="sim")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code; errors are lines on standard error."""
    return guarded(lambda: _dispatch(arguments))


def _dispatch(arguments: Sequence[str] | None) -> int:
    command = typer.main.get_command(app)
    try:
        code = command.main(
            None if arguments is None else list(arguments), prog_name="bidder", standalone_mode=False
        )
    except TyperException as exc:
        text = exc.format_message()
        # Without a subcommand the help itself is thrown. By the name: the class is private to typer.
        if type(exc).__name__ == "NoArgsIsHelpError":
            print(harmless(text), file=sys.stderr)  # noqa: T201 - the command's answer
        else:
            complain(f"{' '.join(text.split()).rstrip('.')}; see `bidder --help`")
        return ExitCode.BAD_INPUT
    except typer.Abort:
        complain("interrupted")
        return ExitCode.FAILED
    return int(code or 0)


if __name__ == "__main__":
    sys.exit(main())
