"""``bidder replay``: every stored decision asked again, and compared bit for bit."""

from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING, Annotated, Any

import typer

from bidder.cli.failures import ExitCode
from bidder.cli.options import DEFAULT_CONFIG, AsJson, ConfigFile

if TYPE_CHECKING:
    from bidder.app.replaying import Replay


def replay(
    config: ConfigFile = DEFAULT_CONFIG,
    verify: Annotated[
        bool, typer.Option("--verify", help="Compare with what was decided; must be said.")
    ] = False,
    since: Annotated[
        str | None, typer.Option(metavar="TIME", help="A date, or how long ago: 2026-03-01, 7d.")
    ] = None,
    as_json: AsJson = False,
) -> int:
    """Ask every strategy again what it was asked, and compare bit for bit. Exit code 1 if it differs."""
    from bidder.app import replaying
    from bidder.cli import output
    from bidder.cli.keeping import moment_of
    from bidder.cli.opening import read_settings, say_warnings
    from bidder.config import own
    from bidder.errors import BadInput
    from bidder.wiring import open_queries

    if not verify:
        raise BadInput("replay does nothing by itself; write bidder replay --verify")
    begin = None if since is None else moment_of(since, datetime.now(UTC))
    settings = read_settings(config)
    say_warnings(settings)
    with open_queries(settings) as queries:
        found = replaying.replay(
            queries.kept_decisions(since=begin),
            settings.policy,
            partial(own.found_again, folder=settings.path.absolute().parent),
        )
    document = _document(found, begin)
    if as_json:
        output.say_json(document)
    else:
        _show(document)
    return ExitCode.FAILED if document["different"] else ExitCode.DONE


def _document(found: "Replay", since: datetime | None) -> dict[str, Any]:
    from bidder.app.replaying import Outcome
    from bidder.app.snapshot import moment

    return {
        "since": moment(since),
        "oldest": moment(found.oldest),
        "newest": moment(found.newest),
        **{outcome.value: found.counts[outcome] for outcome in Outcome},
        "other_configuration": found.other_configuration,
        "differences": [
            {
                "decision": each.decision,
                "at": moment(each.record.at),
                "target": each.record.target,
                "server": each.record.server,
                "order": each.record.order,
                "reason": each.record.reason,
                "problem": each.problem,
            }
            for each in found.differences
        ],
    }


def _show(document: dict[str, Any]) -> None:
    from bidder.cli import output

    total = sum(document[name] for name in _TOLD)
    if not total:
        output.say("No decision is stored for that time.")
        return
    output.say(
        f"{total} decisions from {output.when(document['oldest'])} to"
        f" {output.when(document['newest'])} UTC:"
    )
    for name, told in _TOLD.items():
        if document[name] or name in {"verified", "different"}:
            output.say(f"  {document[name]} {told}")
    if document["other_configuration"]:
        output.say(f"{document['other_configuration']} were taken under another configuration.")
    output.table(
        ("at (UTC)", "decision", "target", "server", "reason", "what differs"),
        [
            (
                output.when(each["at"]),
                str(each["decision"]),
                each["target"] or "",
                "" if each["server"] is None else str(each["server"]),
                each["reason"],
                each["problem"],
            )
            for each in document["differences"]
        ],
    )


_TOLD = {
    "verified": "verified: the same answer, bit for bit",
    "overruled": "verified, and a rail or a move had the last word",
    "different": "different",
    "not_kept": "whose inputs are kept no longer",
    "not_asked": "for which no strategy was asked",
    "code_changed": "of a strategy of your own whose code is another one now",
}
