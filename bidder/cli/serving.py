"""``bidder sim``: the simulated exchange alone."""

from pathlib import Path
from typing import Annotated

import typer

from bidder.cli.amounts import read_moment

sim = typer.Typer(
    help="The simulated exchange, for any client.", no_args_is_help=True, rich_markup_mode=None
)


@sim.callback()
def _sim() -> None:
    pass


@sim.command()
def serve(
    port: Annotated[
        int, typer.Option(min=0, max=65_535, help="Port on loopback; 0 takes a free one.")
    ] = 0,
    speed: Annotated[
        float, typer.Option(min=0.001, max=999_999, help="Seconds of exchange time in one second.")
    ] = 1.0,
    seed: Annotated[int, typer.Option(help="The world and its rivals come from this number.")] = 1,
    marketplace: Annotated[
        Path | None, typer.Option(metavar="FILE", help="A recorded `marketplace` answer as the world.")
    ] = None,
    servers: Annotated[
        int, typer.Option(min=1, max=100_000, help="Servers in a generated world.")
    ] = 300,
    token: Annotated[str, typer.Option(help="The API token that is accepted.")] = "sim-token",  # noqa: S107 - the simulator's own
    no_rivals: Annotated[bool, typer.Option("--no-rivals", help="Nobody else bids.")] = False,
    start: Annotated[
        str | None,
        typer.Option(metavar="TIME", help="Where its calendar starts, in UTC; default: now."),
    ] = None,
    workload: Annotated[
        str | None,
        typer.Option(
            metavar="HOST:PORT", help="Where the ports of every order lead, for trying a probe."
        ),
    ] = None,
    faults: Annotated[
        Path | None, typer.Option(metavar="FILE", help="A script of faults, as JSON.")
    ] = None,
) -> int:
    """Serve the simulated exchange until SIGTERM or SIGINT.

    The first line printed is `listening on HOST:PORT token TOKEN`; the API stands under /v1.
    """
    from bidder.sim.server import sim_serve_main
    from bidder.telemetry import configure_logging

    configure_logging("error", "console")
    return sim_serve_main(
        port=port,
        speed=speed,
        seed=seed,
        marketplace=marketplace,
        token=token,
        rivals=not no_rivals,
        servers=servers,
        faults_file=faults,
        workload=workload,
        start=None if start is None else read_moment("--start", start),
    )
