"""Commands that only look: check, plan, status, orders, history, explain."""

import asyncio
import sys
from datetime import UTC, datetime
from typing import Annotated, Any

import typer

from bidder.cli.failures import CommandFailed, ExitCode, complain
from bidder.cli.options import DEFAULT_CONFIG, AsJson, ConfigFile

OrderNumber = Annotated[int, typer.Argument(metavar="ORDER", help="The order's number.")]
Limit = Annotated[int, typer.Option(min=1, max=100_000, help="The most rows to show.")]


def check(config: ConfigFile = DEFAULT_CONFIG, as_json: AsJson = False) -> int:
    """Validate a configuration: every mistake at once, with line, key, value and remedy."""
    from bidder.cli import output, shapes
    from bidder.cli.opening import read_settings, say_warnings
    from bidder.errors import BadInput
    from bidder.wiring import inspect_database

    try:
        settings = read_settings(config)
        inspect_database(settings)
    except BadInput as exc:
        if as_json:
            output.say_json(shapes.check_failed(str(config), tuple(str(exc).splitlines())))
        complain(str(exc))
        return ExitCode.BAD_INPUT
    say_warnings(settings)
    if settings.token is None:
        print(f"warning: {settings.path}: no API token yet: {settings.token_missing}", file=sys.stderr)  # noqa: T201
    if as_json:
        output.say_json(shapes.check(settings))
        return ExitCode.DONE
    policy = settings.policy
    output.say(f"{settings.path} is good: {len(policy.targets)} strategies, mode {policy.mode.value}.")
    for target in policy.targets:
        off = "" if target.enabled else " (disabled)"
        ceiling = f"{target.ceiling.price} per day and {target.ceiling.per.value}"
        output.say(f"  {target.name}: {target.want} servers, each bid at most {ceiling}{off}")
    return ExitCode.DONE


def plan(config: ConfigFile = DEFAULT_CONFIG, as_json: AsJson = False) -> int:
    """Read the market once and print what would be done now; sends nothing that changes anything.

    Beside a running daemon the answer is the daemon's own latest decisions.
    """
    from bidder.cli import output, shapes
    from bidder.cli.opening import read_settings, say_warnings
    from bidder.errors import LeaseHeld
    from bidder.wiring import open_queries, preview_now

    settings = read_settings(config)
    say_warnings(settings)
    try:
        document = shapes.planned(settings, asyncio.run(preview_now(settings)))
    except LeaseHeld:
        document = shapes.planned_by_daemon(settings, open_queries(settings).snapshot())
    if as_json:
        output.say_json(document)
        return ExitCode.DONE
    if document["source"] == "daemon":
        output.say(f"A daemon is running; these are its decisions of {output.when(document['at'])} UTC.")
    else:
        output.say(f"{document['servers_known']} servers seen with {document['requests']} requests.")
    if not document["actions"]:
        output.say("Nothing would be sent now.")
    output.table(_DECISION_COLUMNS, map(_decision_row, document["actions"]), title="Would be sent")
    output.table(_DECISION_COLUMNS, map(_decision_row, document["holds"]), title="Left as it is")
    return ExitCode.DONE


def status(config: ConfigFile = DEFAULT_CONFIG, as_json: AsJson = False) -> int:
    """Show what is held, at what price, and what the daemon is waiting for."""
    from bidder.cli import output, shapes
    from bidder.cli.opening import read_settings
    from bidder.wiring import open_queries

    settings = read_settings(config)
    queries = open_queries(settings)
    now = datetime.now(UTC)
    document = shapes.status(
        settings,
        queries.snapshot(),
        queries.lease(now),
        queries.spend_totals(),
        paused=queries.paused(),
        now=now,
    )
    if as_json:
        output.say_json(document)
    else:
        _show_status(document)
    return ExitCode.DONE


def orders(
    config: ConfigFile = DEFAULT_CONFIG,
    ended: Annotated[bool, typer.Option("--ended", help="Those that are over, newest first.")] = False,
    limit: Limit = 1000,
    as_json: AsJson = False,
) -> int:
    """List the account's orders: what they cost, how to reach them, when they end."""
    from bidder.cli import output, shapes
    from bidder.cli.opening import read_settings
    from bidder.wiring import open_queries

    queries = open_queries(read_settings(config))
    found = [shapes.order(record) for record in queries.orders(ended=ended, limit=limit)]
    if as_json:
        output.say_json({"ended": ended, "orders": found})
        return ExitCode.DONE
    if not found:
        output.say("No order has ended." if ended else "There are no orders.")
    output.table(_ORDER_COLUMNS, map(_order_row, found))
    return ExitCode.DONE


def history(
    config: ConfigFile = DEFAULT_CONFIG,
    server: Annotated[int | None, typer.Option(help="Only this server.")] = None,
    limit: Limit = 200,
    as_json: AsJson = False,
) -> int:
    """Show how the books that were read changed, oldest first."""
    from bidder.cli import output, shapes
    from bidder.cli.opening import read_settings
    from bidder.domain.ids import ServerId
    from bidder.wiring import open_queries

    queries = open_queries(read_settings(config))
    wanted = None if server is None else ServerId(server)
    rows = [shapes.book(record) for record in queries.history(wanted, limit=limit)]
    if as_json:
        output.say_json({"server": server, "books": rows})
        return ExitCode.DONE
    if not rows:
        output.say(
            "Nothing has been read yet." if server is None else f"Server {server} was never read."
        )
    output.table(
        ("at (UTC)", "server", "floor", "rivals", "best rival", "our price", "runs"),
        (
            (
                output.when(row["at"]),
                str(row["server"]),
                " / ".join(output.amount(price) for price in row["floor"]),
                str(row["rivals"]),
                output.amount(row["best_rival"]),
                output.amount(row["our_price"]),
                _who_runs(row),
            )
            for row in rows
        ),
    )
    return ExitCode.DONE


def explain(order: OrderNumber, config: ConfigFile = DEFAULT_CONFIG, as_json: AsJson = False) -> int:
    """Show the decisions that led to an order and its price, with the facts they rested on."""
    from bidder.cli import output, shapes
    from bidder.cli.opening import read_settings
    from bidder.domain.ids import OrderId
    from bidder.wiring import open_queries

    queries = open_queries(read_settings(config))
    number = OrderId(order)
    record = queries.order(number)
    if record is None:
        raise CommandFailed(f"order {order} is not known; `bidder orders` lists those that are")
    document = shapes.explained(
        record,
        queries.prices_of(number),
        queries.intents_of(number),
        queries.decisions_for_order(number),
    )
    if as_json:
        output.say_json(document)
        return ExitCode.DONE
    output.table(_ORDER_COLUMNS, [_order_row(document["order"])])
    output.table(
        ("at (UTC)", "bid per day"),
        [(output.when(each["at"]), output.amount(each["bid"])) for each in document["prices"]],
        title="Its prices",
    )
    output.table(
        ("at (UTC)", *_DECISION_COLUMNS),
        [(output.when(each["at"]), *_decision_row(each)) for each in document["decisions"]],
        title="Why",
    )
    return ExitCode.DONE


_DECISION_COLUMNS = ("strategy", "server", "action", "price", "was", "reason", "facts")
_ORDER_COLUMNS = (
    "order",
    "server",
    "strategy",
    "bid per day",
    "state",
    "spent",
    "ends (UTC)",
    "reach it at",
)


def _decision_row(decision: dict[str, Any]) -> tuple[str, ...]:
    from bidder.cli import output

    facts = dict(decision["facts"])
    if decision["due"] is not None:
        facts["until"] = output.when(decision["due"])
    return (
        output.text(decision["target"]),
        output.text(decision["server"]),
        output.text(decision["action"] or "hold"),
        output.amount(decision["price"]),
        output.amount(decision["previous_price"]),
        decision["reason"],
        output.facts(facts),
    )


def _order_row(order: dict[str, Any]) -> tuple[str, ...]:
    from bidder.cli import output

    return (
        str(order["order"]),
        str(order["server"]),
        output.text(order["target"]),
        output.amount(order["bid"]),
        _state(order),
        output.amount(order["spend"]),
        output.when(order["ended_at"] or order["ends_at"]),
        _reach(order),
    )


def _state(order: dict[str, Any]) -> str:
    if order["ended_at"] is not None:
        return f"ended: {order['end_cause'] or 'over'}"
    if order["kind"] != "spot":
        return "rented"
    unknown = "-" if order["target"] is None else "not read yet"
    return {None: unknown, True: "running", False: "outbid"}[order["active"]]


def _reach(order: dict[str, Any]) -> str:
    hosts = " ".join(order["pub_cluster"])
    ports = " ".join(f"tcp {port}" for port in order["tcp_ports"])
    http = f"http {order['http_port']}" if order["http_port"] else ""
    return " ".join(part for part in (hosts, ports, http) if part) or "-"


def _who_runs(row: dict[str, Any]) -> str:
    if not row["exists"]:
        return "gone"
    if not row["online"]:
        return "offline"
    if row["active_order"] is None:
        return "nobody"
    return "we" if row["active_order"] == row["our_order"] else "a rival"


def _show_status(document: dict[str, Any]) -> None:
    from bidder.cli import output

    who = f"running ({document['holder']})" if document["running"] else "not running"
    paused = ", PAUSED: `bidder resume` goes on" if document["paused"] else ""
    output.say(f"Account {document['account']}: {who}{paused}.")
    if document["at"] is None:
        output.say("No pass has been recorded yet.")
        return
    requests = document["requests"]
    output.say(
        f"Mode {document['mode']}; as of {output.when(document['at'])} UTC,"
        f" {document['age_seconds']:.0f} s ago; request budget used {requests['budget_use']:.0%};"
        f" committed {output.amount(document['committed_usd_per_day'])} per day."
    )
    for alarm in document["alarms"]:
        output.say(f"! {alarm}")
    rows: list[tuple[str, ...]] = []
    for target in document["targets"]:
        label = f"{target['name']} {target['held']}/{target['want']}"
        for order in target["orders"]:
            rows.append(
                (
                    label,
                    str(order["server"]),
                    str(order["order"]),
                    _state(order),
                    output.amount(order["bid"]),
                    output.amount(order["rival"]),
                    output.amount(order["floor"]),
                    output.amount(order["ceiling"]),
                    output.when(order["lowering_opens_at"])[11:] or "-",
                    output.amount(order["spend"]),
                    _reach(order),
                )
            )
            label = ""
        if label:
            why = ", ".join(sorted({d["reason"] for d in target["decisions"]})) or "-"
            rows.append((label, "-", "-", why, *["-"] * 7))
    output.table(
        (
            "strategy",
            "server",
            "order",
            "state",
            "our bid",
            "best rival",
            "floor",
            "ceiling",
            "lowering at",
            "spent",
            "reach it at",
        ),
        rows,
    )
    for stranger in document["strangers"]:
        output.say(
            f"Not ours: order {stranger['order']} on server {stranger['server']},"
            f" {output.amount(stranger['bid'])} per day."
        )
    for total in document["spend"]:
        output.say(
            f"Spent so far on {output.text(total['target'])}: {output.amount(total['spend'])}"
            f" and {output.amount(total['fees'])} in fees, {total['orders']} orders."
        )
