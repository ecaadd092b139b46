"""The JSON documents of the commands, without their ``schema``. Every key is always there.

Money is an object of ``amount`` (text) and ``currency``; times are ISO 8601 in UTC; null where there
is nothing. ``docs/commands.md`` lists every key, and a test holds the two together.
"""

from collections.abc import Collection, Mapping
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

from bidder.app import budgets_told, snapshot
from bidder.app.pace import HUNG_AFTER
from bidder.app.preview import Preview
from bidder.config import Settings
from bidder.domain.actions import Reason
from bidder.domain.digest import Spread
from bidder.domain.ids import on_paper
from bidder.domain.money import plain
from bidder.domain.policy import Mode
from bidder.store.records import (
    BookRecord,
    DecisionRecord,
    LeaseRecord,
    OrderRecord,
    ServerPeriod,
    Snapshot,
    SpendTotal,
    TargetPeriod,
)

# Known of less of the held time than this, a price is that of other servers than those paid for.
_NEARLY_ALL = 0.95

# What ``status`` shows of the latest pass; null for all of them before the first one.
_PASS = (
    "at",
    "mode",
    "paused",
    "pass_id",
    "targets",
    "strangers",
    "open_intents",
    "wallets",
    "requests",
    "rules",
    "committed_usd_per_day",
    "if_unattended",
    "budgets",
    "paper_committed_usd_per_day",
    "paper_if_unattended",
    "last_orders_read",
    "last_marketplace_read",
    "servers_known",
    "alarms",
)


def check(settings: Settings, warnings: tuple[str, ...]) -> dict[str, Any]:
    """Return what a good configuration comes to."""
    return {
        "ok": True,
        "config": str(settings.path),
        "account": settings.account,
        "mode": settings.policy.mode.value,
        "exchange": settings.exchange_url,
        "database": settings.database_shown,
        "token_found": settings.token is not None,
        "targets": [
            {
                "name": target.name,
                "enabled": target.enabled,
                "want": target.want,
                "ceiling": {
                    **(snapshot.money(target.ceiling.price) or {}),
                    "per": target.ceiling.per.value,
                },
                "pay_with": [currency.short for currency in target.currencies],
            }
            for target in settings.policy.targets
        ],
        "warnings": list(warnings),
        "errors": [],
    }


def check_failed(config: str, errors: tuple[str, ...]) -> dict[str, Any]:
    """Return the same keys for a configuration that cannot be used."""
    nothing = ("account", "mode", "exchange", "database", "token_found")
    return {
        "ok": False,
        "config": config,
        **dict.fromkeys(nothing),
        "targets": [],
        "warnings": [],
        "errors": list(errors),
    }


def unhealthy(settings: Settings, problem: str) -> dict[str, Any]:
    """Return the keys of ``health`` where there is nothing to go by."""
    return {
        "account": settings.account,
        "healthy": False,
        "problem": problem,
        "holder": None,
        "age_seconds": None,
    }


def health(
    settings: Settings, seen: Snapshot | None, trader: LeaseRecord | None, *, now: datetime
) -> dict[str, Any]:
    """Return whether a daemon is at work: it holds the lease, and its passes leave pictures."""
    age = None if seen is None else round((now - seen.at).total_seconds(), 1)
    problem = None
    if trader is None:
        problem = "no daemon holds the lease"
    elif age is None:
        problem = "no pass has ended yet"
    elif age > HUNG_AFTER.total_seconds():
        problem = f"the latest pass is {age:.0f} seconds old"
    return {
        "account": settings.account,
        "healthy": problem is None,
        "problem": problem,
        "holder": None if trader is None else trader.holder,
        "age_seconds": age,
    }


def status(
    settings: Settings,
    seen: Snapshot | None,
    trader: LeaseRecord | None,
    spend: tuple[SpendTotal, ...],
    *,
    live: Collection[int],
    paused: bool,
    now: datetime,
) -> dict[str, Any]:
    """Return the state of trading; of the orders in the latest picture those that are ``live``."""
    latest: dict[str, Any] = {} if seen is None else _without_ended(seen.values, live)
    return {
        "account": settings.account,
        "running": trader is not None,
        "holder": None if trader is None else trader.holder,
        "age_seconds": None if seen is None else round((now - seen.at).total_seconds(), 1),
        **{key: latest.get(key) for key in _PASS},
        "paused": paused,
        "spend": [
            {
                "mode": total.mode.value,
                "target": total.target,
                "orders": total.orders,
                "spend": snapshot.money(total.spend),
                "fees": snapshot.money(total.fees),
                "creation_fees": snapshot.money(total.creation_fees),
            }
            for total in spend
        ],
    }


def _without_ended(latest: Mapping[str, Any], live: Collection[int]) -> dict[str, Any]:
    """Return the picture without what a command or the guard has ended since it was drawn.

    On paper the account's real orders are not stored, so that of them ``live`` says nothing.
    """
    paper = latest.get("mode") == Mode.PAPER.value
    strangers, targets = latest.get("strangers", ()), latest.get("targets", ())
    shown = [*strangers, *(each for target in targets for each in target["orders"])]
    stored = [each for each in shown if each["paper"] is paper]
    ended = {each["order"] for each in stored if each["order"] not in live}
    if not ended:
        return dict(latest)
    changed = dict(latest)
    changed["strangers"] = [each for each in strangers if each["order"] not in ended]
    changed["targets"] = [
        {
            **target,
            "orders": [each for each in target["orders"] if each["order"] not in ended],
            "decisions": [each for each in target["decisions"] if each["order"] not in ended],
            "held": target["held"]
            - sum(each["order"] in ended and each["active"] is not False for each in target["orders"]),
        }
        for target in targets
    ]
    nothing, half = {"amount": "0", "currency": "USD"}, "paper_" if paper else ""
    bound = latest.get(f"{half}if_unattended")
    if bound is not None:
        # What is left of it only the next pass can say, unless nothing is left.
        over = len(ended) == len(stored) and not latest.get("open_intents")
        changed[f"{half}committed_usd_per_day"] = nothing if over else None
        changed[f"{half}if_unattended"] = {**bound, "usd": nothing, "by_currency": []} if over else None
    return changed


def order(record: OrderRecord) -> dict[str, Any]:
    """Return one order, live or ended."""
    return {
        **snapshot.order(record.holding),
        "image": record.holding.order.image or None,
        "mode": record.mode.value,
        "end_cause": record.end_cause,
    }


def book(record: BookRecord) -> dict[str, Any]:
    """Return one change of a server's book."""
    return {
        "at": snapshot.moment(record.at),
        "server": record.server,
        "exists": record.exists,
        "public": record.public,
        "online": record.online,
        "floor": [snapshot.money(price) for price in record.floor.values()],
        "rivals": record.rivals,
        "best_rival": snapshot.money(record.best_rival),
        "active_order": record.active_order,
        "our_order": record.our_order,
        "paper": record.our_order is not None and on_paper(record.our_order),
        "our_price": snapshot.money(record.our_price),
    }


def workload(record: DecisionRecord) -> dict[str, Any]:
    """Return one workload's death, or its return."""
    happened = "alive" if record.reason == Reason.WORKLOAD_ALIVE else "dead"
    return {
        "at": snapshot.moment(record.at),
        "server": record.server,
        "order": record.order,
        "target": record.target,
        "happened": happened if record.action is None else "given up",
        "dead_since": record.facts.get("dead_since"),
        "found": record.facts.get("found"),
        "kept": record.facts.get("kept"),
    }


def server_period(period: ServerPeriod) -> dict[str, Any]:
    """Return one server's hour or day."""
    seen = period.summary
    return {
        "at": snapshot.moment(period.at),
        "mode": period.mode.value,
        "server": period.server,
        "known_seconds": seen.known.total_seconds(),
        "online_share": _share(seen.online, seen.known),
        "rented_share": _share(seen.rented, seen.known),
        "held_share": _share(seen.held, seen.known),
        "rival_usd": _spread(seen.rival),
        "floor_usd": _spread(seen.floor),
        "bid_usd": _spread(seen.bid),
        "spend_usd": plain(seen.spend),
    }


def target_period(period: TargetPeriod) -> dict[str, Any]:
    """Return one strategy's hour or day."""
    held = period.held
    return {
        "at": snapshot.moment(period.at),
        "mode": period.mode.value,
        "target": period.target,
        "held_seconds": held.held.total_seconds(),
        "restarts": held.restarts,
        "spend_usd": plain(held.spend),
        "paid_usd_per_day": _per_day(held.spend, held.held),
        # It stands beside what was paid: a mean over other servers than those would be no comparison.
        "on_demand_usd_per_day": _per_day(held.on_demand, held.compared)
        if held.compared >= held.held * _NEARLY_ALL
        else None,
    }


def _share(part: timedelta, whole: timedelta) -> float | None:
    return round(part / whole, 4) if whole else None


def _per_day(amount: Decimal, span: timedelta) -> str | None:
    if not span:
        return None
    return plain(round(amount * 86400 / Decimal(str(span.total_seconds())), 6))


def _spread(seen: Spread | None) -> dict[str, str] | None:
    if seen is None:
        return None
    return {"low": plain(seen.low), "median": plain(seen.median), "high": plain(seen.high)}


def planned(settings: Settings, seen: Preview) -> dict[str, Any]:
    """Return what would be done now."""
    return {
        "account": settings.account,
        "mode": settings.policy.mode.value,
        "source": "exchange",
        "at": snapshot.moment(seen.at),
        "servers_known": len(seen.view.marketplace.listings),
        "requests": seen.requests,
        "budgets": budgets_told.shown(seen.view, settings.policy, seen.at, (*seen.actions, *seen.holds)),
        "actions": [snapshot.decision(DecisionRecord.of(d)) for d in seen.actions],
        "holds": [snapshot.decision(DecisionRecord.of(d)) for d in seen.holds],
    }


def planned_by_daemon(settings: Settings, seen: Snapshot | None) -> dict[str, Any]:
    """Return the running daemon's latest decisions in the same shape."""
    values: dict[str, Any] = {} if seen is None else dict(seen.values)
    decisions = [d for target in values.get("targets", ()) for d in target["decisions"]]
    return {
        "account": settings.account,
        "mode": values.get("mode", settings.policy.mode.value),
        "source": "daemon",
        "at": values.get("at"),
        "servers_known": values.get("servers_known"),
        "requests": 0,
        "budgets": values.get("budgets", []),
        "actions": [d for d in decisions if d["action"] is not None],
        "holds": [d for d in decisions if d["action"] is None],
    }
