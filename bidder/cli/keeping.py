"""Commands that look after the database: ``db info``, ``vacuum``, ``backup`` and ``export``."""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Annotated

import typer

from bidder.cli.failures import ExitCode
from bidder.cli.options import DEFAULT_CONFIG, AsJson, ConfigFile

_STANDARD_OUTPUT = Path("-")
db = typer.Typer(no_args_is_help=True, help="Look after the database.", rich_markup_mode=None)


@db.command("info")
def info(config: ConfigFile = DEFAULT_CONFIG, as_json: AsJson = False) -> int:
    """Show how large the database is, what is in it, and how far back it goes."""
    from bidder.app.snapshot import moment
    from bidder.cli import output
    from bidder.cli.opening import read_settings
    from bidder.store import upkeep
    from bidder.wiring import open_current

    with open_current(read_settings(config)) as engine:
        found = upkeep.info(engine)
    document = {
        "place": found.place,
        "kind": found.kind,
        "bytes": found.bytes,
        "free_bytes": found.free_bytes,
        "revision": found.revision,
        "rows": found.rows,
        "oldest": moment(found.oldest),
        "newest": moment(found.newest),
    }
    if as_json:
        output.say_json(document)
        return ExitCode.DONE
    free = "" if found.free_bytes is None else f", {found.free_bytes / 1e6:.1f} MB of it free"
    output.say(f"{found.place}: {found.bytes / 1e6:.1f} MB{free}, schema {found.revision}.")
    output.say(
        f"Raw history from {output.when(moment(found.oldest))} to"
        f" {output.when(moment(found.newest))} UTC."
    )
    output.table(("table", "rows"), [(name, str(count)) for name, count in found.rows.items()])
    return ExitCode.DONE


@db.command("vacuum")
def vacuum(config: ConfigFile = DEFAULT_CONFIG, as_json: AsJson = False) -> int:
    """Write the database anew without gaps; not while a daemon uses an SQLite file."""
    from bidder.cli import output
    from bidder.cli.opening import read_settings
    from bidder.store import upkeep
    from bidder.wiring import open_current

    with open_current(read_settings(config)) as engine:
        before = upkeep.info(engine).bytes
        upkeep.vacuum(engine, datetime.now(UTC))
        after = upkeep.info(engine).bytes
    if as_json:
        output.say_json({"bytes_before": before, "bytes_after": after})
    else:
        output.say(f"{before / 1e6:.1f} MB before, {after / 1e6:.1f} MB now.")
    return ExitCode.DONE


@db.command("backup")
def backup(
    target: Annotated[Path, typer.Argument(metavar="FILE", help="The copy; must not exist yet.")],
    config: ConfigFile = DEFAULT_CONFIG,
    as_json: AsJson = False,
) -> int:
    """Copy an SQLite database as it is now, also while the daemon runs."""
    from bidder.cli import output
    from bidder.cli.opening import read_settings
    from bidder.store import upkeep
    from bidder.wiring import open_current

    with open_current(read_settings(config)) as engine:
        size = upkeep.backup(engine, target)
    if as_json:
        output.say_json({"file": str(target), "bytes": size})
    else:
        output.say(f"{target}: {size / 1e6:.1f} MB.")
    return ExitCode.DONE


@db.command("export")
def export(
    table: Annotated[str, typer.Argument(metavar="TABLE", help="As `bidder db info` names them.")],
    target: Annotated[
        Path | None,
        typer.Option(
            "-o", "--output", metavar="FILE", help="Where to; default, and -: standard output."
        ),
    ] = None,
    kind: Annotated[
        str | None, typer.Option("--format", help="csv or parquet; default: by the file's name.")
    ] = None,
    since: Annotated[
        str | None,
        typer.Option(
            metavar="TIME",
            help="Only what still held then, or came later. A date, or how long ago: 2026-03-01, 7d.",
        ),
    ] = None,
    config: ConfigFile = DEFAULT_CONFIG,
    as_json: AsJson = False,
) -> int:
    """Write one table as CSV or Parquet."""
    from bidder.cli import output
    from bidder.cli.opening import read_settings
    from bidder.errors import BadInput
    from bidder.store import upkeep
    from bidder.wiring import open_current

    if target == _STANDARD_OUTPUT:
        target = None
    chosen = kind or ("csv" if target is None else target.suffix.removeprefix(".").lower())
    if chosen not in {"csv", "parquet"}:
        if kind is None:
            raise BadInput(
                f"--output: the file's name does not say in which format (got {str(target)!r});"
                " end it in .csv or .parquet, or add --format"
            )
        raise BadInput(f"--format is neither csv nor parquet (got {chosen!r}); write one of them")
    if as_json and target is None:
        raise BadInput("--json would mix with the table on standard output; add --output FILE")
    begin = None if since is None else moment_of(since, datetime.now(UTC))
    with open_current(read_settings(config)) as engine:
        rows = upkeep.export(engine, table, target, kind=chosen, since=begin)
    if as_json:
        output.say_json({"table": table, "file": str(target), "format": chosen, "rows": rows})
    elif target is not None:
        output.say(f"{target}: {rows} rows of {table}.")
    return ExitCode.DONE


def moment_of(text: str, now: datetime) -> datetime:
    """Return the moment that a date, a time or a length of time before now names; raises BadInput."""
    from bidder.config import values
    from bidder.config.tree import Scalar
    from bidder.errors import BadInput

    scalar = Scalar(text=text, kind="str", plain=False, line=0, path="--since")
    try:
        return now - values.duration(timedelta(0), timedelta(days=36500))(scalar)
    except values.Unusable:
        pass
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        raise BadInput(
            f"--since is no time (got {text!r}); write a date such as 2026-03-01, or 7d for a week ago"
        ) from None
    return found if found.tzinfo is not None else found.replace(tzinfo=UTC)
