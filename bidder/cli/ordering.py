"""Commands that need the exchange: cancel, pause, resume, wallets, servers.

Beside a running daemon they never talk past it: the command is left in the database, and the daemon
carries it out in one of its next passes.
"""

import json
from typing import Annotated, Any

import typer

from bidder.cli.failures import CommandFailed, ExitCode, complain
from bidder.cli.options import (
    DEFAULT_CONFIG,
    ORDER_HELP,
    AsJson,
    ConfigFile,
    Wait,
    WaitOrAll,
    order_number,
)
from bidder.errors import BadInput, Unreachable

_WAIT = 60.0
# An order that was just asked for may take minutes to show; all of them must be found and cancelled.
_WAIT_FOR_ALL = 300.0

ServerName = Annotated[str, typer.Argument(metavar="NAME", help="The server's name.")]
servers = typer.Typer(
    help="The account's own hosted servers: list, config, set.",
    no_args_is_help=True,
    rich_markup_mode=None,
)


def cancel(
    order: Annotated[str | None, typer.Argument(metavar="ORDER", help=ORDER_HELP)] = None,
    config: ConfigFile = DEFAULT_CONFIG,
    every: Annotated[
        bool, typer.Option("--all", help="Every order of this daemon, and pause trading.")
    ] = False,
    wait: WaitOrAll = None,
    as_json: AsJson = False,
) -> int:
    """Cancel one order, or with --all every order of this daemon, and pause trading.

    A strategy whose order is cancelled seeks another server at once, unless trading is paused.
    """
    if every == (order is not None):
        raise BadInput("name one ORDER, or --all for every order of this daemon")
    if every:
        seconds = _WAIT_FOR_ALL if wait is None else wait
        return _carried_out(config, "cancel_all", None, seconds, as_json=as_json, keep_posted=True)
    seconds = _WAIT if wait is None else wait
    number = None if order is None else order_number(order)
    return _carried_out(config, "cancel", {"order": number}, seconds, as_json=as_json)


def pause(config: ConfigFile = DEFAULT_CONFIG, wait: Wait = _WAIT, as_json: AsJson = False) -> int:
    """Stop bidding; orders stay as they are. Only a bid above its ceiling is still taken back."""
    return _carried_out(config, "pause", None, wait, as_json=as_json)


def resume(config: ConfigFile = DEFAULT_CONFIG, wait: Wait = _WAIT, as_json: AsJson = False) -> int:
    """Go on after a pause."""
    return _carried_out(config, "resume", None, wait, as_json=as_json)


def wallets(config: ConfigFile = DEFAULT_CONFIG, wait: Wait = _WAIT, as_json: AsJson = False) -> int:
    """Show the wallets; beside a running daemon as it saw them last."""
    from datetime import UTC, datetime

    from bidder.app import snapshot
    from bidder.cli import output
    from bidder.cli.opening import read_settings
    from bidder.wiring import open_queries

    settings = read_settings(config)
    seen: list[dict[str, Any]] | None = None
    source = "daemon"
    try:
        with open_queries(settings) as queries:
            if queries.lease(datetime.now(UTC)) is not None:
                seen = [snapshot.wallet(wallet) for wallet in queries.wallets()]
    except BadInput:
        pass  # no database yet, so no daemon either; what is wrong with it shows below
    if not seen:
        source, answer = _ask(config, "wallets", None, wait)
        seen = answer
    if as_json:
        output.say_json({"source": source, "wallets": seen})
        return ExitCode.DONE
    output.table(
        ("currency", "balance", "withdrawal fee", "deposit address"),
        (
            (
                wallet["currency"],
                output.amount(wallet["balance"]),
                output.amount(wallet["withdrawal_fee"]),
                output.text(wallet["deposit"]),
            )
            for wallet in seen
        ),
    )
    return ExitCode.DONE


@servers.command("list")
def list_servers(
    config: ConfigFile = DEFAULT_CONFIG, wait: Wait = _WAIT, as_json: AsJson = False
) -> int:
    """List the servers that this account offers for rent."""
    from bidder.cli import output

    source, found = _ask(config, "my_servers", None, wait)
    if as_json:
        output.say_json({"source": source, "servers": found})
        return ExitCode.DONE
    if not found:
        output.say("This account offers no servers.")
    _show_servers(found)
    return ExitCode.DONE


@servers.command("config")
def server_config(
    name: ServerName,
    config: ConfigFile = DEFAULT_CONFIG,
    wait: Wait = _WAIT,
    as_json: AsJson = False,
) -> int:
    """Show the settings of one server that this account offers."""
    from bidder.cli import output

    source, found = _ask(config, "server_config", {"name": name}, wait)
    if as_json:
        output.say_json({"source": source, "server": found[0]})
        return ExitCode.DONE
    _show_servers(found)
    return ExitCode.DONE


@servers.command("set")
def set_server(
    name: ServerName,
    mrl: Annotated[int, typer.Option(min=1, max=100_000, help="The longest rental, in hours.")],
    on_demand: Annotated[str, typer.Option(help="The on-demand price per day, in bitcoin.")],
    spot: Annotated[str, typer.Option(help="The lowest spot price per day, in bitcoin.")],
    available: Annotated[
        bool, typer.Option("--available/--unavailable", help="Whether it may be rented.")
    ],
    config: ConfigFile = DEFAULT_CONFIG,
    wait: Wait = _WAIT,
    as_json: AsJson = False,
) -> int:
    """Set availability, longest rental and prices of one server that this account offers."""
    from bidder.cli import output

    argument = {
        "name": name,
        "availability": available,
        "mrl_hours": mrl,
        "on_demand": _price("--on-demand", on_demand),
        "spot": _price("--spot", spot),
    }
    source, _ = _ask(config, "set_server_settings", argument, wait)
    if as_json:
        output.say_json({"source": source, "name": name})
    else:
        prices = f"on demand {argument['on_demand']} BTC, spot from {argument['spot']} BTC per day"
        output.say(f"Server {name} is set: {prices}.")
    return ExitCode.DONE


def _price(option: str, text: str) -> str:
    from bidder.domain.money import parse_amount, plain
    from bidder.errors import InvalidAmount

    try:
        return plain(parse_amount(text))
    except InvalidAmount as exc:
        raise BadInput(
            f"{option}: {exc} (got {text!r}); write a price per day in bitcoin, such as 0.0001"
        ) from exc


def _carried_out(
    config: Any, kind: str, argument: Any, wait: float, *, as_json: bool, keep_posted: bool = False
) -> int:
    from bidder.cli import asking, output
    from bidder.cli.opening import read_settings
    from bidder.wiring import database_is_absent

    settings = read_settings(config, outlives=True)
    if database_is_absent(settings):
        complain(
            f"{settings.database_shown}: there was no database yet, so no daemon trades by it;"
            " a service's is found with STATE_DIRECTORY=/var/lib/bidder",
            kind="warning",
        )
    answer = asking.ask(settings, kind, argument, wait, keep_posted=keep_posted)
    if as_json:
        output.say_json(
            {
                "command": kind,
                "carried_out_by": answer.source,
                "ok": answer.ok,
                "outcome": answer.text,
            }
        )
    if not answer.ok:
        raise CommandFailed(answer.text)
    if not as_json:
        output.say(answer.text[:1].upper() + answer.text[1:] + ".")
    return ExitCode.DONE


def _ask(config: Any, kind: str, argument: Any, wait: float) -> tuple[str, Any]:
    """Have one request to the exchange made; return by whom, and its answer."""
    from bidder.cli import asking
    from bidder.cli.opening import read_settings

    answer = asking.ask(read_settings(config), kind, argument, wait)
    if not answer.ok:
        raise Unreachable(answer.text) if answer.unreached else CommandFailed(answer.text)
    return answer.source, json.loads(answer.text)


def _show_servers(found: list[dict[str, Any]]) -> None:
    from bidder.cli import output

    output.table(
        (
            "name",
            "server",
            "GPU",
            "online",
            "visibility",
            "rental",
            "on demand",
            "spot floor",
            "mrl (h)",
        ),
        (
            (
                server["name"],
                output.text(server["server"]),
                output.text(server["gpu"]),
                "yes" if server["online"] else "no",
                output.text(server["visibility"]),
                output.text(server["rental"]),
                " / ".join(output.amount(price) for price in server["on_demand"]) or "-",
                " / ".join(output.amount(price) for price in server["spot_floor"]) or "-",
                output.text(server["mrl_hours"]),
            )
            for server in found
        ),
        note=output.PER_DAY,
    )
