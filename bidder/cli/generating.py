"""``bidder backtest --generated``: strategies with the whole daemon on a simulated exchange."""

from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bidder.cli import output
from bidder.cli.amounts import read_number
from bidder.cli.failures import ExitCode
from bidder.errors import BadInput

if TYPE_CHECKING:
    from bidder.domain.policy import Target

# Python neither reads nor prints numbers of some thousands of digits.
_MOST_SEED = 10**18


def generated(
    seed: int,
    hours: float,
    value: str | None,
    restart_hours: str | None,
    strategies: tuple[str, ...] | None,
    configured: "tuple[Target, ...]",
    folder: Path | None,
    as_json: bool,
) -> int:
    """Compare strategies, each with a whole daemon on the same generated market."""
    from bidder.backtest.generated import Scenario, compare
    from bidder.telemetry import configure_logging

    if abs(seed) >= _MOST_SEED:
        raise BadInput("--generated: the seed has more than 18 digits; write one such as 7")
    configure_logging("critical", "console")
    scenario = Scenario(
        seed=seed,
        hours=hours,
        value=None if value is None else read_number("--value", value, least=Decimal("1e-9")),
        restart_hours=read_number("--restart-hours", restart_hours or "0.1"),
        strategies=strategies,
        configured=configured,
        folder=folder,
    )
    found = compare(scenario)
    if as_json:
        output.say_json(found)
        return ExitCode.DONE
    output.say(
        f"server {found['server']} of the market of seed {seed}, {hours:g} hours;"
        f" value {found['value']:g} USD an hour"
    )
    columns = ("strategy", "utility", "held", "mean price", "restarts", "creations", "requests")
    rows = [_row(run) for run in found["runs"]]
    output.table(columns, rows)
    return ExitCode.DONE


def _row(run: dict[str, Any]) -> list[str]:
    price = run["mean_price"]
    return [
        run["strategy"],
        f"{run['utility']:.4f}",
        f"{run['held_share']:.2%}",
        "-" if price is None else f"{price:.6g}",
        str(run["restarts"]),
        str(run["creations"]),
        str(run["requests"]),
    ]
