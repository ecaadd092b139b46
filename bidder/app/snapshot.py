"""The state of trading as one JSON-ready object: what ``status`` and the live view show.

Money is a string with its currency beside it, ratios and counts are numbers, times are ISO 8601 in
UTC, and there is null where there is nothing.
"""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from bidder.app import budgets_told
from bidder.app.report import PassReport
from bidder.domain import exposure, guard, price_rules, workloads
from bidder.domain.actions import Decision
from bidder.domain.apart import apart
from bidder.domain.ids import on_paper
from bidder.domain.market import HostedServer, Wallet
from bidder.domain.money import Money, Price, plain, to_places
from bidder.domain.policy import DeadlineParams, Mode, Policy, Target
from bidder.domain.positions import position
from bidder.domain.strategies import deadline
from bidder.domain.view import Holding, View
from bidder.errors import NoRate
from bidder.exchange.limiter import Limiter
from bidder.store.records import DecisionRecord


def take(report: PassReport, view: View, policy: Policy, limiter: Limiter) -> dict[str, Any]:
    """Return the snapshot of one moment."""
    now = report.at
    halves, paper = apart(view, policy.mode), policy.mode is Mode.PAPER
    return {
        "at": moment(now),
        "mode": policy.mode.value,
        "paused": view.paused,
        "pass_id": report.pass_id,
        "targets": _targets(report, view, policy, now),
        "strangers": [
            order(h)
            for h in view.holdings.values()
            # Nobody looks after the order of a strategy that is gone or disabled, so it is shown here.
            if not policy.looks_after(h.target)
        ],
        "open_intents": [
            {
                "id": intent.id,
                "kind": intent.kind.value,
                "server": intent.server,
                "target": intent.target,
                "state": intent.state.value,
                "opened_at": moment(intent.opened_at),
            }
            for intent in view.intents
        ],
        "wallets": [
            {"currency": seen.currency.short, "balance": money(seen.balance)}
            for seen in view.wallets.values()
        ],
        "requests": {
            "sent": limiter.sent,
            "last_minute": limiter.sent_last_minute(),
            "budget_use": round(limiter.sent_last_minute() / 60, 4),
        },
        "rules": {
            "creation_starts_clock": view.rules.creation,
            "raise_starts_clock": view.rules.raised,
            "steps_learnt": len(view.steps),
        },
        "committed_usd_per_day": _committed(halves.live),
        "if_unattended": unattended(halves.live, policy, now),
        "budgets": budgets_told.shown(view, policy, now, report.decisions),
        "paper_committed_usd_per_day": _committed(halves.paper) if paper else None,
        "paper_if_unattended": unattended(halves.paper, policy, now) if paper else None,
        "last_orders_read": moment(view.orders_at),
        "last_marketplace_read": moment(view.marketplace_at),
        "servers_known": len(view.marketplace.listings),
        "alarms": list(report.standing),
    }


def moment(at: datetime | None) -> str | None:
    """Return a time as ISO 8601 in UTC with whole milliseconds; None stays None."""
    if at is None:
        return None
    return at.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def money(value: Price | Money | None) -> dict[str, Any] | None:
    """Return an amount with its currency beside it."""
    if value is None:
        return None
    return {"amount": plain(value.amount), "currency": value.currency.short}


def order(holding: Holding) -> dict[str, Any]:
    """Return one order: what it costs, how to reach it, when it ends."""
    own = holding.order
    return {
        "order": own.order,
        "paper": on_paper(own.order),
        "assumed": own.assumed,
        "server": own.server,
        "target": holding.target,
        "kind": own.kind.value,
        "bid": money(own.price),
        "active": holding.active,
        "spend": money(own.spend),
        "fee_percent": own.fee_percent,
        "creation_fee": money(own.creation_fee),
        "created_at": moment(own.created_at),
        "ends_at": moment(own.ends_at),
        "ended_at": moment(holding.ended_at),
        "pub_cluster": list(own.access.pub_cluster),
        "tcp_ports": list(own.access.tcp_ports),
        "http_port": own.access.http_port,
    }


def decision(taken: DecisionRecord) -> dict[str, Any]:
    """Return one decision with its reason and facts."""
    return {
        "at": moment(taken.at),
        "target": taken.target,
        "server": taken.server,
        "order": taken.order,
        "reason": taken.reason,
        "action": None if taken.action is None else taken.action.value,
        "price": money(taken.price),
        "previous_price": money(taken.previous_price),
        "due": moment(taken.due),
        "facts": dict(taken.facts),
    }


def hosted(server: HostedServer) -> dict[str, Any]:
    """Return one server that the account itself offers for rent."""
    specs = server.specs
    return {
        "name": server.name,
        "server": server.server,
        "connected": server.connected,
        "online": server.online,
        "visibility": server.visibility,
        "rental": server.rental,
        "on_demand": [money(price) for price in server.on_demand.values()],
        "spot_floor": [money(price) for price in server.spot_floor.values()],
        "mrl_hours": None if server.mrl is None else server.mrl / timedelta(hours=1),
        "gpu": None if specs is None else specs.gpu,
    }


def wallet(seen: Wallet) -> dict[str, Any]:
    """Return one wallet."""
    return {
        "currency": seen.currency.short,
        "balance": money(seen.balance),
        "deposit": seen.deposit or None,
        "withdrawal_fee": money(seen.withdrawal_fee),
    }


def _targets(report: PassReport, view: View, policy: Policy, now: datetime) -> list[dict[str, Any]]:
    held = view.by_target()
    taken: dict[str | None, list[Decision]] = {}
    for each in report.decisions:
        taken.setdefault(each.target, []).append(each)
    return [
        _target(target, held.get(target.name, ()), taken.get(target.name, ()), view, policy, now)
        for target in policy.targets
    ]


def _target(
    target: Target,
    held: tuple[Holding, ...],
    decisions: Sequence[Decision],
    view: View,
    policy: Policy,
    now: datetime,
) -> dict[str, Any]:
    return {
        "name": target.name,
        "want": target.want,
        "enabled": target.enabled,
        "held": sum(1 for h in held if h.runs),
        "orders": [_position(h, target, view, policy, now) for h in held if target.enabled],
        "candidates": len(view.shortlists.get(target.name, ())),
        "ceiling": {**(money(target.ceiling.price) or {}), "per": target.ceiling.per.value},
        "job": _job(target, view, now),
        "decisions": [decision(DecisionRecord.of(d, at=now)) for d in decisions],
    }


def _job(target: Target, view: View, now: datetime) -> dict[str, Any] | None:
    """Return how far a target's job has come; None where it has none."""
    params = target.params
    if not isinstance(params, DeadlineParams):
        return None
    course = deadline.course(target, params, view, now)
    return {
        "gpu_hours": float(params.gpu_hours),
        "computed_gpu_hours": round(deadline.computed(target, view) / timedelta(hours=1), 3),
        "by": moment(params.by),
        "slack_minutes": round(course.slack / timedelta(minutes=1), 1),
        "late": deadline.is_late(course),
    }


def _position(
    holding: Holding, target: Target, view: View, policy: Policy, now: datetime
) -> dict[str, Any]:
    here = position(holding, target, view, policy, now)
    opens_at = price_rules.next_lowering_at(holding.clock, view.rules)
    wait = 0.0 if opens_at is None else max(0.0, (opens_at - now).total_seconds())
    listing = here.listing
    return {
        **order(holding),
        "gpu": None if listing is None else listing.specs.gpu,
        "gpus": None if listing is None else listing.specs.gpu_count,
        "rival": None if here.rival is None else money(here.rival.price),
        "floor": money(here.floor),
        "ceiling": money(here.ceiling),
        "lowering_opens_at": moment(opens_at),
        "seconds_to_lowering": round(wait, 1),
        "workload": _workload(holding, view, policy),
    }


def _workload(holding: Holding, view: View, policy: Policy) -> dict[str, Any] | None:
    """Return what the probes of a running order show; None where it is not probed."""
    pulse, probe = view.pulses.get(holding.order.order), workloads.probe_of(holding, policy)
    if pulse is None or probe is None:
        return None
    return {
        "state": pulse.state(probe).value,
        "since": moment(pulse.dead_since or pulse.began_at),
        "alive_at": moment(pulse.alive_at),
        "probed_at": moment(pulse.probed_at),
        "found": pulse.detail or None,
    }


def _committed(view: View) -> Mapping[str, str] | None:
    try:
        return {"amount": plain(to_places(guard.committed_usd(view), 6)), "currency": "USD"}
    except NoRate:
        return None


def unattended(view: View, policy: Policy, now: datetime) -> dict[str, Any]:
    """Return the most that can be spent if the daemon dies now; ``usd`` is null without a rate."""
    bound = exposure.if_unattended(view, now)
    limit = policy.rails.max_usd_if_unattended
    try:
        usd = {"amount": plain(to_places(exposure.worth(bound, view), 6)), "currency": "USD"}
    except NoRate:
        usd = None
    return {
        "usd": usd,
        "limit": None if limit is None else {"amount": plain(limit), "currency": "USD"},
        "by_currency": [money(each) for each in bound.values()],
    }
