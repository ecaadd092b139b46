"""Commands that only look: check, plan, status, orders, history, explain."""

import asyncio
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

import typer

from bidder.cli.failures import CommandFailed, ExitCode, complain, exit_code
from bidder.cli.options import DEFAULT_CONFIG, AsJson, ConfigFile, OrderNumber, order_number

_ALL = 100_000
Limit = Annotated[int, typer.Option(min=1, max=100_000, help="The most rows to show.")]


def check(config: ConfigFile = DEFAULT_CONFIG, as_json: AsJson = False) -> int:
    """Validate a configuration: every mistake at once, with line, key, value and remedy."""
    from bidder.cli import output, shapes
    from bidder.cli.opening import read_checked, warnings_of
    from bidder.config.needs import EVERYTHING, TO_CHECK
    from bidder.domain import budgets
    from bidder.domain.policy import DeadlineParams
    from bidder.errors import BadInput

    try:
        settings = read_checked(config, needs=TO_CHECK)
    except BadInput as exc:
        if as_json:
            output.say_json(shapes.check_failed(str(config), tuple(str(exc).splitlines())))
        complain(str(exc))
        return exit_code(exc)
    warnings = warnings_of(settings, left_out=EVERYTHING)
    if settings.token is None:
        paper = settings.policy.mode.value == "paper"
        without = "; on paper only the marketplace will be read" if paper else ""
        warnings += (f"{settings.path}: no API token yet: {settings.token_missing}{without}",)
    for warning in warnings:
        complain(warning, kind="warning")
    if as_json:
        output.say_json(shapes.check(settings, warnings))
        return ExitCode.DONE
    policy = settings.policy
    output.say(f"{settings.path} is good: {len(policy.targets)} strategies, mode {policy.mode.value}.")
    for target in policy.targets:
        off = "" if target.enabled else " (disabled)"
        ceiling = f"{target.ceiling.price} per day and {target.ceiling.per.value}"
        job = ""
        if isinstance(target.params, DeadlineParams):
            most = target.params.on_demand_ceiling
            job = f", on demand at most {most.price} per day and {most.per.value}"
        output.say(f"  {target.name}: {target.want} servers, each bid at most {ceiling}{job}{off}")
    for limit in budgets.limits(policy):
        output.say(f"  {limit.spelled}: {limit.usd} USD, fees included, spread over its time")
    return ExitCode.DONE


def plan(
    config: ConfigFile = DEFAULT_CONFIG,
    against: Annotated[
        Path | None,
        typer.Option(metavar="NEW", help="A new configuration: what would it do otherwise?"),
    ] = None,
    as_json: AsJson = False,
) -> int:
    """Read the market once and print what would be done now; sends nothing that changes anything.

    Beside a running daemon the answer is the daemon's own latest decisions. With --against it is what
    NEW would do otherwise than the present configuration, from what the daemon saw last.
    """
    if against is not None:
        return _plan_against(config, against, as_json)
    from bidder.cli import output, pictures, shapes
    from bidder.cli.opening import read_settings, say_warnings
    from bidder.errors import LeaseHeld
    from bidder.wiring import open_queries, preview_now

    settings = read_settings(config)
    say_warnings(settings)
    try:
        document = shapes.planned(settings, asyncio.run(preview_now(settings)))
    except LeaseHeld:
        with open_queries(settings) as queries:
            document = shapes.planned_by_daemon(settings, queries.snapshot())
    if as_json:
        output.say_json(document)
        return ExitCode.DONE
    if document["source"] == "daemon":
        output.say(f"A daemon is running; these are its decisions of {output.when(document['at'])} UTC.")
    else:
        output.say(f"{document['servers_known']} servers seen with {document['requests']} requests.")
    pictures.say_budgets(document)
    if not document["actions"]:
        output.say("Nothing would be sent now.")
    output.table(
        pictures.DECISION_COLUMNS,
        map(pictures.decision_row, document["actions"]),
        title="Would be sent",
        note=output.PER_DAY,
    )
    output.table(
        pictures.DECISION_COLUMNS,
        map(pictures.decision_row, document["holds"]),
        title="Left as it is",
        note=output.PER_DAY,
    )
    return ExitCode.DONE


def _plan_against(config: Path, new: Path, as_json: bool) -> int:
    from bidder.cli import against, against_shown, output

    document = against.compare(config, new)
    if as_json:
        output.say_json(document)
    else:
        against_shown.show(document)
    return ExitCode.DONE


def status(config: ConfigFile = DEFAULT_CONFIG, as_json: AsJson = False) -> int:
    """Show what is held, at what price, and what the daemon is waiting for."""
    from bidder.cli import output, pictures, shapes
    from bidder.cli.opening import read_settings
    from bidder.wiring import open_queries

    settings = read_settings(config, outlives=True)
    now = datetime.now(UTC)
    with open_queries(settings) as queries:
        document = shapes.status(
            settings,
            queries.snapshot(),
            queries.lease(now),
            queries.spend_totals(),
            live={record.holding.order.order for record in queries.orders(limit=_ALL)},
            paused=queries.paused(),
            now=now,
        )
    if as_json:
        output.say_json(document)
    else:
        pictures.show_status(document)
    return ExitCode.DONE


def health(config: ConfigFile = DEFAULT_CONFIG, as_json: AsJson = False) -> int:
    """Say whether the daemon is alive: it holds the lease and its passes get on. Exit code 1 if not."""
    from bidder.cli import output, shapes
    from bidder.cli.opening import read_settings
    from bidder.errors import StoreAbsent
    from bidder.wiring import open_queries

    settings = read_settings(config, outlives=True)
    now = datetime.now(UTC)
    try:
        with open_queries(settings) as queries:
            document = shapes.health(settings, queries.snapshot(), queries.lease(now), now=now)
    except StoreAbsent as exc:
        # Docker keeps code 2 for itself.
        document = shapes.unhealthy(settings, str(exc))
    if as_json:
        output.say_json(document)
    elif document["healthy"]:
        output.say(f"healthy: the latest pass is {document['age_seconds']:.0f} seconds old")
    if not document["healthy"]:
        raise CommandFailed(f"not healthy: {document['problem']}")
    return ExitCode.DONE


def orders(
    config: ConfigFile = DEFAULT_CONFIG,
    ended: Annotated[bool, typer.Option("--ended", help="Those that are over, newest first.")] = False,
    limit: Limit = 1000,
    as_json: AsJson = False,
) -> int:
    """List the account's orders: what they cost, how to reach them, when they end."""
    from bidder.cli import output, pictures, shapes
    from bidder.cli.opening import read_settings
    from bidder.wiring import open_queries

    with open_queries(read_settings(config, outlives=True)) as queries:
        found = [shapes.order(record) for record in queries.orders(ended=ended, limit=limit)]
    if as_json:
        output.say_json({"ended": ended, "orders": found})
        return ExitCode.DONE
    if not found:
        output.say("No order has ended." if ended else "There are no orders.")
    output.table(pictures.ORDER_COLUMNS, map(pictures.order_row, found))
    return ExitCode.DONE


def history(
    config: ConfigFile = DEFAULT_CONFIG,
    server: Annotated[int | None, typer.Option(help="Only this server.")] = None,
    hourly: Annotated[bool, typer.Option("--hourly", help="One summary per hour.")] = False,
    daily: Annotated[bool, typer.Option("--daily", help="One summary per day.")] = False,
    limit: Limit = 200,
    as_json: AsJson = False,
) -> int:
    """Show how the books that were read changed, and what died; or their hours, or their days."""
    from bidder.cli import output, shapes
    from bidder.cli.opening import read_settings
    from bidder.domain.digest import Span
    from bidder.domain.ids import ServerId
    from bidder.errors import BadInput
    from bidder.wiring import open_queries

    if hourly and daily:
        raise BadInput("--hourly and --daily exclude each other; give one of them")
    span = Span.HOUR if hourly else Span.DAY if daily else None
    wanted = None if server is None else ServerId(server)
    with open_queries(read_settings(config)) as queries:
        document: dict[str, Any] = {
            "server": server,
            "span": span,
            "books": [],
            "workloads": [],
            "summaries": [],
            "targets": [],
        }
        if span is None:
            document["books"] = [
                shapes.book(each) for each in queries.market.history(wanted, limit=limit)
            ]
            died = queries.workloads(wanted, limit=limit)
            document["workloads"] = [shapes.workload(each) for each in died]
        else:
            periods = queries.market.server_periods(span, wanted, limit=limit)
            document["summaries"] = [shapes.server_period(each) for each in periods]
            if server is None:
                targets = queries.target_periods(span, limit=limit)
                document["targets"] = [shapes.target_period(each) for each in targets]
    if as_json:
        output.say_json(document)
    elif span is None:
        _show_books(document["books"], server)
        _show_workloads(document["workloads"])
    else:
        _show_periods(document, span)
    return ExitCode.DONE


def _show_books(books: list[dict[str, Any]], server: int | None) -> None:
    from bidder.cli import output, pictures

    if not books:
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
                pictures.who_runs(row),
            )
            for row in books
        ),
        note=output.PER_DAY,
    )


def _show_workloads(workloads: list[dict[str, Any]]) -> None:
    from bidder.cli import output

    output.table(
        ("at (UTC)", "server", "order", "strategy", "workload", "dead since", "found", "order kept"),
        (
            (
                output.when(row["at"]),
                str(row["server"]),
                str(row["order"]),
                output.text(row["target"]),
                row["happened"],
                output.text(row["dead_since"]),
                output.text(row["found"]),
                output.text(row["kept"]),
            )
            for row in workloads
        ),
        title="Workloads",
    )


def _show_periods(document: dict[str, Any], span: str) -> None:
    from bidder.cli import output, pictures

    if not document["summaries"] and not document["targets"]:
        output.say(f"No {span} has been summarised yet; the daemon does so soon after its end.")
    output.table(
        pictures.SERVER_PERIOD_COLUMNS,
        map(pictures.server_period_row, document["summaries"]),
        note=output.PER_DAY,
    )
    output.table(pictures.TARGET_PERIOD_COLUMNS, map(pictures.target_period_row, document["targets"]))


def explain(order: OrderNumber, config: ConfigFile = DEFAULT_CONFIG, as_json: AsJson = False) -> int:
    """Show the decisions that led to an order and its price, with the facts they rested on."""
    from bidder.cli import explaining, output, pictures
    from bidder.cli.opening import read_settings
    from bidder.wiring import open_queries

    number = order_number(order)
    settings = read_settings(config)
    with open_queries(settings) as queries:
        record = queries.order(number)
        if record is None:
            raise CommandFailed(f"order {order} is not known; `bidder orders` lists those that are")
        decisions = queries.decisions_for_order(number)
        kept = settings.policy.retention.raw
        document = explaining.explained(
            record,
            queries.prices_of(number),
            queries.intents_of(number),
            decisions,
            queries.attempts_before(number),
            gone=explaining.deleted(record, decisions, kept, datetime.now(UTC)),
        )
    if as_json:
        output.say_json(document)
        return ExitCode.DONE
    output.table(pictures.ORDER_COLUMNS, [pictures.order_row(document["order"])])
    output.table(
        ("at (UTC)", "bid per day"),
        [(output.when(each["at"]), output.amount(each["bid"])) for each in document["prices"]],
        title="Its prices",
    )
    output.table(
        ("at (UTC)", "what was decided", "reason"),
        [(output.when(each["at"]), each["sentence"], each["reason"]) for each in document["decisions"]],
        title="Why",
    )
    if document["gone"] is not None:
        output.say(document["gone"])
    return ExitCode.DONE
