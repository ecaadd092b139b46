"""Options that several commands share."""

from pathlib import Path
from typing import Annotated

import typer

ConfigFile = Annotated[
    Path,
    typer.Option(
        "-c", "--config", envvar="BIDDER_CONFIG", help="The configuration file.", metavar="FILE"
    ),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON object.")]
Wait = Annotated[
    float,
    typer.Option("--wait", min=0, help="Seconds to wait for the command to be carried out."),
]

DEFAULT_CONFIG = Path("config.yaml")
SCHEMA = 1
