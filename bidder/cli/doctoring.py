"""``bidder doctor``: what is wrong, and what to do about it."""

import asyncio
import os
from pathlib import Path
from typing import Annotated, Any

import typer

from bidder.cli.failures import ExitCode, complain
from bidder.cli.options import DEFAULT_CONFIG, AsJson, ConfigFile

_ENDINGS = (".tar.gz", ".tgz")


def doctor(
    config: ConfigFile = DEFAULT_CONFIG,
    offline: Annotated[
        bool, typer.Option("--offline", help="Do not ask the exchange; go by what is recorded.")
    ] = False,
    bundle: Annotated[
        Path | None,
        typer.Option(
            "--bundle", metavar="FILE", help="Write a .tar.gz without secrets, for a bug report."
        ),
    ] = None,
    as_json: AsJson = False,
) -> int:
    """Look at everything that trading rests on; say what is wrong and what to do. Exit code 1 if so.

    Beside a running daemon nothing is asked of the exchange: the answer is what the daemon recorded.
    """
    from bidder.cli import output
    from bidder.clock import SystemClock
    from bidder.doctor.bundle import write_bundle
    from bidder.doctor.examine import examine
    from bidder.doctor.findings import State
    from bidder.errors import BadInput
    from bidder.store.upkeep import require_absent
    from bidder.telemetry import configure_logging

    configure_logging("error", "console")
    if bundle is not None and not bundle.name.endswith(_ENDINGS):
        raise BadInput(
            f"--bundle: it is a gzipped tar, which the file's name does not say (got {str(bundle)!r});"
            f" end it in {_ENDINGS[0]}"
        )
    if bundle is not None:
        require_absent(bundle)  # before anything is asked
    report = asyncio.run(examine(config, os.environ, SystemClock(), offline=offline))
    written = None if bundle is None else write_bundle(report, bundle)
    document = report.document()
    document["bundle"] = (
        None
        if written is None
        else {
            "file": str(written.file),
            "bytes": written.bytes,
            "entries": list(written.entries),
            "redacted": report.knows_secrets,
            "missing": [report.redactor.text(each) for each in written.missing],
        }
    )
    if as_json:
        output.say_json(document)
    else:
        _show(document)
    if report.bad_input:
        complain(report.bad_input)
        return ExitCode.BAD_INPUT
    return ExitCode.FAILED if report.state is State.WRONG else ExitCode.DONE


def _show(document: dict[str, Any]) -> None:
    from bidder.cli import output

    counts: dict[str, int] = {}
    for check in document["checks"]:
        state = check["state"]
        counts[state] = counts.get(state, 0) + 1
        shown = state.upper() if state == "wrong" else state
        output.say(f"{shown:<8} {check['name']:<14} {check['finding']}")
        if check["remedy"] is not None:
            output.say(f"{'':<23} -> {check['remedy']}")
        for line in check["details"]:
            output.say(f"{'':<23}  - {line}")
    output.say(", ".join(f"{number} {state}" for state, number in counts.items()) + ".")
    bundle = document["bundle"]
    if bundle is None:
        return
    output.say(f"{bundle['file']} holds {', '.join(bundle['entries'])}.")
    for line in bundle["missing"]:
        output.say(f"  not in it: {line}")
    known = "It holds no secret that the configuration knows"
    unknown = "The configuration could not be read, so its secrets are not known: look through it first"
    output.say(f"{known if bundle['redacted'] else unknown}; its README.txt says what is in it.")
