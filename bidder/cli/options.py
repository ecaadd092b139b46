"""Options that several commands share."""

from pathlib import Path
from typing import Annotated, Any

import typer

from bidder.domain.ids import OrderId, parse_order
from bidder.errors import BadInput

ConfigFile = Annotated[
    Path,
    typer.Option(
        "-c", "--config", envvar="BIDDER_CONFIG", help="The configuration file.", metavar="FILE"
    ),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON object.")]


def _wait(text: str) -> Any:
    return typer.Option("--wait", min=0, max=86_400, help=text)


_WAIT = "Seconds to wait for the command to be carried out"
Wait = Annotated[float, _wait(f"{_WAIT}.")]
WaitOrAll = Annotated[float | None, _wait(f"{_WAIT}; default: 60, with --all 300.")]

ORDER_HELP = "The order's number; P1, P2, ... for one on paper."
OrderNumber = Annotated[str, typer.Argument(metavar="ORDER", help=ORDER_HELP)]

DEFAULT_CONFIG = Path("config.yaml")
SCHEMA = 1


def order_number(text: str) -> OrderId:
    """Return the order that a person names; raises BadInput where the text names none."""
    number = parse_order(text)
    if not number:
        raise BadInput(f"ORDER is no order's number (got {text!r}); write it like 4711, or P3 on paper")
    return number
