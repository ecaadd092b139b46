"""The documents of the looking commands, drawn for the eye."""

from decimal import Decimal
from typing import Any

from bidder.cli import output
from bidder.domain.ids import spelled

DECISION_COLUMNS = ("strategy", "server", "action", "price", "was", "reason", "facts")
ORDER_COLUMNS = (
    "order",
    "server",
    "strategy",
    "bid per day",
    "state",
    "spent",
    "ends (UTC)",
    "reach it at",
)


def decision_row(decision: dict[str, Any]) -> tuple[str, ...]:
    """Return one decision as a row."""
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


def order_row(order: dict[str, Any]) -> tuple[str, ...]:
    """Return one order as a row."""
    return (
        spelled(order["order"]),
        str(order["server"]),
        output.text(order["target"]),
        output.amount(order["bid"]),
        _state(order),
        output.amount(order["spend"]),
        output.when(order["ended_at"] or order["ends_at"]),
        _reach(order),
    )


def _state(order: dict[str, Any]) -> str:
    state = f"{_standing(order)}{_workload(order.get('workload'))}"
    if not order["paper"]:
        return state
    return f"{state} (paper, book not seen)" if order["assumed"] else f"{state} (paper)"


def _workload(seen: dict[str, Any] | None) -> str:
    """Return what the probes show; nothing of an order that is not probed."""
    if seen is None:
        return ""
    if seen["state"] in {"alive", "starting"}:
        return f", {seen['state']}"
    return f", {seen['state']} since {output.when(seen['since'])[11:]}: {seen['found']}"


def _standing(order: dict[str, Any]) -> str:
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


def who_runs(row: dict[str, Any]) -> str:
    """Return who had the server when its book was read."""
    if not row["exists"]:
        return "gone"
    if not row["online"]:
        return "offline"
    if row["active_order"] is None:
        return "nobody"
    if row["active_order"] != row["our_order"]:
        return "a rival"
    return "we (paper)" if row["paper"] else "we"


SERVER_PERIOD_COLUMNS = (
    "from (UTC)",
    "server",
    "best rival, USD per day",
    "floor",
    "our bid",
    "online",
    "rented",
    "ours",
    "spent, USD",
)
TARGET_PERIOD_COLUMNS = (
    "from (UTC)",
    "strategy",
    "hours held",
    "restarts",
    "spent, USD",
    "paid, USD per day",
    "on demand, USD per day",
)


def server_period_row(period: dict[str, Any]) -> tuple[str, ...]:
    """Return one server's hour or day as a row; prices as lowest, median, highest."""
    return (
        output.when(period["at"]),
        str(period["server"]) + _marked(period),
        *(_spread(period[which]) for which in ("rival_usd", "floor_usd", "bid_usd")),
        *(_percent(period[which]) for which in ("online_share", "rented_share", "held_share")),
        period["spend_usd"],
    )


def target_period_row(period: dict[str, Any]) -> tuple[str, ...]:
    """Return one strategy's hour or day as a row."""
    return (
        output.when(period["at"]),
        period["target"] + _marked(period),
        f"{period['held_seconds'] / 3600:.2f}",
        str(period["restarts"]),
        period["spend_usd"],
        output.text(period["paid_usd_per_day"]),
        output.text(period["on_demand_usd_per_day"]),
    )


def _marked(period: dict[str, Any]) -> str:
    return " (paper)" if period["mode"] == "paper" else ""


def _spread(prices: dict[str, str] | None) -> str:
    if prices is None:
        return "-"
    return " / ".join(f"{float(prices[which]):.4f}" for which in ("low", "median", "high"))


def _percent(share: float | None) -> str:
    return "-" if share is None else f"{share:.0%}"


def _most(unattended: dict[str, Any]) -> str:
    parts = ", ".join(output.amount(each) for each in unattended["by_currency"]) or "nothing"
    return f"{parts} (worth {output.amount(unattended['usd'])})" if unattended["by_currency"] else parts


def _limit(unattended: dict[str, Any]) -> str:
    """Return the owner's limit for it, and whether it is exceeded."""
    limit, usd = unattended["limit"], unattended["usd"]
    if limit is None:
        return ""
    over = usd is not None and Decimal(usd["amount"]) > Decimal(limit["amount"])
    return f"; your limit is {output.amount(limit)}{': IT IS EXCEEDED' if over else ''}"


def _job(name: str, job: dict[str, Any]) -> str:
    """Return how far a job has come, as a line."""
    done = f"{job['computed_gpu_hours']:.2f} of {job['gpu_hours']:g} GPU-hours are computed"
    late = "; IT WILL BE LATE" if job["late"] else f"; {job['slack_minutes']:.0f} minutes to spare"
    late = "" if job["computed_gpu_hours"] >= job["gpu_hours"] else late
    return f"Job {name}: {done}, due {output.when(job['by'])} UTC{late}."


def _say_alarms_and_jobs(document: dict[str, Any]) -> None:
    for alarm in document["alarms"]:
        output.say(f"! {alarm}")
    for target in document["targets"]:
        # Not there: the database was written by an earlier version.
        if target.get("job") is not None:
            output.say(_job(target["name"], target["job"]))


def say_budgets(document: dict[str, Any]) -> None:
    """Print how each budget stands."""
    # Not there: the database was written by an earlier version.
    for each in document.get("budgets") or ():
        whose = "all strategies" if each["target"] is None else each["target"]
        until = output.when(each["ends_at"])
        said = f"Budget of {whose} for this {each['period']}: "
        if each["spent"] is None:
            spent = "; SPENT without it: nothing is begun" if each["state"] == "spent" else ""
            output.say(
                f"{said}{_usd(each['limit'])} USD; a rate is missing to say what is spent{spent}."
            )
            continue
        line = f"{said}{_usd(each['spent'])} of {_usd(each['limit'])} USD spent until {until} UTC"
        lasting = _usd(each["target_per_day"])
        line += f", now {_usd(each['per_day'])} USD per day where {lasting} would last"
        if each["state"] == "spent":
            line += "; SPENT: nothing is begun"
        elif each["multiplier"]:
            line += f"; ceilings are divided by 1 + {each['multiplier']:.2f}"
        output.say(f"{line}.")


def _usd(shown: dict[str, Any]) -> str:
    return f"{float(shown['amount']):.2f}"


def show_status(document: dict[str, Any]) -> None:
    """Print the state of trading."""
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
    if document["mode"] == "paper":
        output.say("PAPER: orders P1, P2, ... exist here only; nothing is sent that changes anything.")
        committed = output.amount(document["paper_committed_usd_per_day"])
        output.say(f"ON PAPER: committed {committed} per day.")
    # None: the database was written by an earlier version, or nobody has passed since.
    if document["if_unattended"] is not None:
        most, limit = _most(document["if_unattended"]), _limit(document["if_unattended"])
        output.say(f"If the daemon died now, at most {most} could still be spent{limit}.")
    if document["paper_if_unattended"] is not None:
        most = _most(document["paper_if_unattended"])
        output.say(f"ON PAPER: if the daemon died now, at most {most}.")
    say_budgets(document)
    _say_alarms_and_jobs(document)
    rows: list[tuple[str, ...]] = []
    for target in document["targets"]:
        label = f"{target['name']} {target['held']}/{target['want']}"
        for order in target["orders"]:
            rows.append(
                (
                    label,
                    str(order["server"]),
                    spelled(order["order"]),
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
        note=output.PER_DAY,
    )
    for stranger in document["strangers"]:
        whose, target = "Not ours", stranger["target"]
        if target is not None:
            whose = f"Of {output.text(target)}, which is not traded any more"
        output.say(
            f"{whose}: order {spelled(stranger['order'])} on server {stranger['server']},"
            f" {output.amount(stranger['bid'])} per day."
        )
    for total in document["spend"]:
        paid = "Spent so far" if total["mode"] == "live" else "Spent so far ON PAPER"
        output.say(
            f"{paid} on {output.text(total['target'])}: {output.amount(total['spend'])}"
            f" and {output.amount(total['fees'])} in fees, {total['orders']} orders;"
            f" {output.amount(total['creation_fees'])} for creating orders."
        )
