"""The advice for the eye."""

from collections.abc import Sequence
from datetime import timedelta
from decimal import Decimal
from typing import Any

_MOST_ROWS = 15


def show(document: dict[str, Any]) -> None:
    """Print the document."""
    from bidder.cli import output

    keep = timedelta(seconds=document["keep_seconds"])
    output.say(
        f"{document['gpu']}: {document['servers_watched']} servers, {document['watched_days']:.1f} days"
        f" watched together, {output.when(document['from'])} to {output.when(document['to'])} UTC"
    )
    if document["bid"] is None:
        output.say(f"No bid: {document['why']}.")
        if document["most"] is not None:
            most = document["most"]
            output.say(
                f"The most that can be promised is {most['promised_share']:.0%},"
                f" at {_bid(most)} per GPU and day."
            )
    else:
        bid = document["bid"]
        output.say(
            f"Bid {_bid(bid)} per GPU and day to keep a server for {_spelled(keep)} with"
            f" {document['probability']:.0%}: {bid['expected_usd']} USD expected,"
            f" {bid['most_usd']} USD if it stays all the time, without fees."
        )
    if document["on_demand"] is not None:
        asked = document["on_demand"]
        output.say(
            f"On demand: {asked['usd_per_gpu_day']} USD per GPU and day on server {asked['server']},"
            f" {asked['usd']} USD in all."
            f"{' That is less than the bid.' if _cheaper(asked, document['bid']) else ''}"
        )
    output.table(_PROBABILITIES, map(_probability_row, document["probabilities"]), title="Other odds")
    rows = [row for row in document["servers"] if row["server"] is not None]
    output.table(_SERVERS, map(_server_row, rows[:_MOST_ROWS]), title="How that bid held, by server")
    output.table(_CLASSES, map(_class_row, document["classes"]), title="Other GPUs")
    output.table(
        _CALIBRATION,
        map(_calibration_row, document["calibration"]),
        title="Promises of the past, and what became of them",
    )


def _cheaper(asked: dict[str, Any], bid: dict[str, Any] | None) -> bool:
    return bid is not None and Decimal(asked["usd_per_gpu_day"]) <= Decimal(bid["usd_per_gpu_day"])


_PROBABILITIES = ("stays with", "bid per GPU and day", "expected USD", "at most USD", "observed")
_SERVERS = ("server", "GPUs", "takes now", "on demand", "held", "observations", "days watched")
_CLASSES = ("GPU", "bid per GPU and day", "expected USD", "on demand", "servers", "days watched")
_CALIBRATION = ("for", "promised", "kept", "of", "observed", "agrees", "nothing promised")


def _probability_row(each: dict[str, Any]) -> Sequence[str]:
    from bidder.cli import output

    bid = each["bid"]
    if bid is None:
        return (f"{each['probability']:.1%}", "-", "-", "-", "-")
    observed = f"{bid['observed_share']:.1%} of {bid['observations']}"
    costs = (output.text(bid["expected_usd"]), output.text(bid["most_usd"]))
    return (f"{each['probability']:.1%}", _bid(bid), *costs, observed)


def _server_row(row: dict[str, Any]) -> Sequence[str]:
    from bidder.cli import output

    return (
        str(row["server"]),
        str(row["gpus"]),
        output.text(row["takes_usd_per_gpu_day"]),
        output.text(row["on_demand_usd_per_gpu_day"]),
        "-" if row["observed_share"] is None else f"{row['observed_share']:.1%}",
        output.text(row["observations"]),
        f"{row['watched_days']:.2f}",
    )


def _class_row(row: dict[str, Any]) -> Sequence[str]:
    from bidder.cli import output

    bid, asked = row["bid"], row["on_demand"]
    return (
        row["gpu"],
        "-" if bid is None else _bid(bid),
        "-" if bid is None else output.text(bid["expected_usd"]),
        "-" if asked is None else output.text(asked["usd_per_gpu_day"]),
        str(row["servers_watched"]),
        f"{row['watched_days']:.2f}",
    )


def _calibration_row(row: dict[str, Any]) -> Sequence[str]:
    share = row["kept_share"]
    return (
        _spelled(timedelta(seconds=row["keep_seconds"])),
        f"{row['probability']:.1%}",
        str(row["kept"]),
        str(row["promises"]),
        "-" if share is None else f"{share:.1%}",
        "-" if row["agrees"] is None else ("yes" if row["agrees"] else "no"),
        str(row["refused"]),
    )


def _bid(bid: dict[str, Any]) -> str:
    coins = [f"{each['amount']} {each['currency']}" for each in bid["bids"] if each["currency"] != "USD"]
    return " or ".join([f"{bid['usd_per_gpu_day']} USD", *coins])


def _spelled(span: timedelta) -> str:
    from bidder.config.values import spelled

    return spelled(span)
