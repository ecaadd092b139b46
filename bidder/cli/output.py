"""Printing: one JSON object, or text and tables for the eye."""

import json
from collections.abc import Iterable, Sequence
from decimal import Decimal
from typing import Any

from bidder.cli.failures import harmless
from bidder.cli.options import SCHEMA
from bidder.domain.money import plain


def say(line: str = "") -> None:
    """Print one line; what could steer a terminal is shown as an escape."""
    print(harmless(line))  # noqa: T201 - the command's answer


def say_json(document: dict[str, Any]) -> None:
    """Print one JSON object; ``schema`` tells the version of its keys."""
    print(harmless(json.dumps({"schema": SCHEMA, **document}, indent=2, ensure_ascii=False)))  # noqa: T201


# Under every table of prices, or a bid is taken for one per hour or per GPU.
PER_DAY = "Prices are per day and server, without fees."


def table(
    columns: Sequence[str], rows: Iterable[Sequence[str]], *, title: str = "", note: str = ""
) -> None:
    """Print a table with a note below it; without rows nothing."""
    from rich.box import SIMPLE
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    console = Console(highlight=False)
    found = list(rows)
    if not found:
        return
    # Text, not str: a server's name may hold what rich would take for markup.
    drawn = Table(*columns, box=SIMPLE, title=title or None, title_justify="left", pad_edge=False)
    for row in found:
        drawn.add_row(*(Text(harmless(cell), overflow="fold") for cell in row))
    if not console.is_terminal:
        # A pipe has no width to fit into.
        console.width = 250
    console.print(drawn)
    if note:
        console.print(Text(note))


def amount(value: dict[str, Any] | None) -> str:
    """Return an amount for the eye, at most eight places."""
    if value is None:
        return "-"
    return f"{plain(round(Decimal(value['amount']), 8))} {value['currency']}"


def when(value: str | None) -> str:
    """Return a moment for the eye, in UTC."""
    return "-" if value is None else value[:19].replace("T", " ")


def text(value: object) -> str:
    """Return anything for the eye; a dash where there is nothing."""
    return "-" if value is None or value == "" else str(value)


def facts(values: dict[str, Any]) -> str:
    """Return the facts of a decision for the eye."""
    return ", ".join(f"{key} {value}" for key, value in values.items() if value is not None)
