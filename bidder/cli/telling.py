"""``bidder notify test``: whether notices get there."""

from datetime import UTC, datetime

import typer

from bidder.cli.failures import ExitCode
from bidder.cli.options import DEFAULT_CONFIG, AsJson, ConfigFile

notify = typer.Typer(help="Notices to the owner.", no_args_is_help=True)


@notify.callback()
def _notify() -> None:
    pass


@notify.command("test")
def send_test(config: ConfigFile = DEFAULT_CONFIG, as_json: AsJson = False) -> int:
    """Send one test notice to each receiver and say how it went; code 1 when one did not get it."""
    from bidder.cli import output
    from bidder.cli.opening import read_settings
    from bidder.config.needs import FOR_NOTICES
    from bidder.domain.notices import Event, Level, Notice
    from bidder.errors import BadInput
    from bidder.notify.sending import Undelivered
    from bidder.telemetry import Redactor
    from bidder.wiring import build_notifiers

    settings = read_settings(config, needs=FOR_NOTICES)
    ways = build_notifiers(settings)
    if not ways:
        raise BadInput(f"{config}: notices: there is no receiver; add one, see docs/notices.md")
    notice = Notice(
        event=Event.TEST,
        level=Level.INFO,
        at=datetime.now(UTC),
        title="test",
        text=f"Notices of the account {settings.account} get here.",
    )
    found, redactor = [], Redactor(settings.secret_values)
    for receiver, notifier in ways:
        error = None
        try:
            notifier.send(notice)
        except Undelivered as exc:
            # A program of the owner's may say anything, also what it found in the configuration.
            error = redactor.text(str(exc))
        found.append({"receiver": receiver.place, "ok": error is None, "error": error})
    ok = all(each["ok"] for each in found)
    if as_json:
        output.say_json({"ok": ok, "receivers": found})
    else:
        for each in found:
            output.say(f"{each['receiver']}: {'sent' if each['ok'] else each['error']}")
    return ExitCode.DONE if ok else ExitCode.FAILED
