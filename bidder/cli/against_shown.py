"""The comparison of two configurations, drawn for the eye."""

from typing import Any

from bidder.cli import output
from bidder.domain.ids import spelled

_COLUMNS = ("what", "strategy", "server", "order", "bid now", "with the new one", "with the present one")
_PAST_COLUMNS = (
    "configuration",
    "strategy",
    "servers",
    "days",
    "paid",
    "held",
    "mean per day",
    "restarts",
    "",
)


def show(document: dict[str, Any]) -> None:
    """Print the whole comparison."""
    new, old = document["against"], document["config"]
    where = f"{document['requests']} requests"
    if document["source"] == "daemon":
        where = (
            f"what the running daemon knew {document['age_seconds']:.0f} s ago (orders read"
            f" {output.when(document['orders_read'])}, marketplace"
            f" {output.when(document['marketplace_read'])} UTC)"
        )
    output.say(f"What {new} would do otherwise than {old}, from {where}.")
    if document["needs_restart"]:
        keys = ", ".join(document["needs_restart"])
        output.say(f"! A reload would be refused: {keys} changed, which needs a restart of the daemon.")
    _show_changes(document)
    _show_worst(document["worst_case"])
    _show_past(document["history"])


def _show_changes(document: dict[str, Any]) -> None:
    counts = document["counts"]
    changed = {verdict: count for verdict, count in counts.items() if verdict != "unchanged"}
    same = counts.get("unchanged", 0)
    told = ", ".join(f"{count} {verdict}" for verdict, count in changed.items()) or "nothing changes"
    output.say(f"Orders and slots: {told}; {same} unchanged.")
    changes = sorted(document["changes"], key=lambda each: each["verdict"] == "unchanged")
    output.table(_COLUMNS, map(_change_row, changes), note=output.PER_DAY)
    if any(change["presumed"] for change in changes):
        output.say("(*) Its book was not read; it is taken to hold no rival, so the bid may be higher.")
    if changed.get("left"):
        left = output.amount(document["left_usd_per_day"])
        output.say(f"Orders that no strategy would look after cost {left} per day until they end.")


def _change_row(change: dict[str, Any]) -> tuple[str, ...]:
    return (
        change["verdict"],
        output.text(change["target"]),
        output.text(change["server"]) + (" (*)" if change["presumed"] else ""),
        "-" if change["order"] is None else spelled(change["order"]),
        output.amount(change["bid"]),
        _fate(change["after"], change),
        "the same" if change["verdict"] == "unchanged" else _fate(change["before"], change),
    )


def _fate(fate: dict[str, Any] | None, change: dict[str, Any]) -> str:
    if fate is None:
        return "no bid"
    when = "now" if fate["due"] is None else f"at {output.when(fate['due'])} UTC"
    to, why = output.amount(fate["to"]), output.text(fate["reason"])
    match fate["course"]:
        case "up":
            return f"raised to {to} {when} ({why})"
        case "down":
            return f"down toward {to}, first to {output.amount(fate['first_step'])} {when} ({why})"
        case "cancel":
            return f"cancelled {when} ({why})"
        case "leave":
            return f"not looked after; runs and is paid until {output.when(change['ends_at'])} UTC"
        case "place":
            return f"a bid of {to} ({why})"
        case "wait":
            return f"an empty slot waits ({why})"
        case _:
            return f"left as it is ({why})"


def _show_worst(worst: dict[str, Any]) -> None:
    output.say("At most all bids may come to, per day and without fees:")
    for name, which in (("present", "before"), ("new", "after")):
        case = worst[which]
        if case["usd"] is None:
            output.say(f"  {name}: no bound can be told. {case['problem']}")
        else:
            output.say(f"  {name}: {output.amount(case['usd'])}, bounded by {case['bounded_by']}")


def _show_past(past: dict[str, Any]) -> None:
    if past["from"] is None:
        output.say(
            f"Nothing is recorded of the last {past['days_asked']} days, so what each would have paid"
            " cannot be told; the daemon records while it runs."
        )
        return
    days = past["days_recorded"]
    what = f"The last {past['days_asked']} days"
    if days < past["days_asked"] - 0.5:
        span = _span(days)
        what = f"Of the last {past['days_asked']} days only {span} are recorded. These"
    output.say(f"{what}, replayed with each strategy as configured; USD, without fees:")
    rows = [
        _past_row(name, each)
        for name, which in (("present", "before"), ("new", "after"))
        for each in past[which]
    ]
    output.table(_PAST_COLUMNS, rows)
    paid = (output.amount(past["paid_before"]), output.amount(past["paid_after"]))
    output.say(f"Together: present {paid[0]}, new {paid[1]}.")


def _span(days: float) -> str:
    if days >= 1:
        return f"{days:.1f} days"
    minutes = days * 24 * 60
    return f"{minutes / 60:.1f} hours" if minutes >= 60 else f"{minutes:.0f} minutes"


def _past_row(name: str, each: dict[str, Any]) -> tuple[str, ...]:
    share = each["held_share"]
    return (
        name,
        each["target"],
        f"{len(each['servers'])} of {each['want']}",
        f"{each['days']:.2f}",
        _rounded(each["paid"]),
        "-" if share is None else f"{share:.1%}",
        _rounded(each["mean_price_per_day"]),
        output.text(each["restarts"]),
        each["problem"] or "",
    )


def _rounded(money: dict[str, Any] | None) -> str:
    return "-" if money is None else f"{float(money['amount']):.4f}"
