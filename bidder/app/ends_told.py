"""What is worth telling of orders that are over: why, and whose doing it was."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime

from bidder.app.report import PassReport
from bidder.domain import cut_off
from bidder.domain.actions import Fact
from bidder.domain.ids import OrderId, spelled
from bidder.domain.market import OwnOrder
from bidder.domain.notices import Event, Level, Notice
from bidder.domain.policy import Policy
from bidder.domain.view import Holding, View


@dataclass(slots=True)
class EndsTold:
    """Remembers the orders that ended before their time, until it is known whose doing that was."""

    _early: dict[OrderId, Holding] = field(default_factory=dict)

    def notices(self, report: PassReport, view: View, policy: Policy) -> Iterator[Notice]:
        """Return what a pass showed to be over, and what is known by now of those before."""
        for holding in () if report.observed is None else report.observed.ended:
            if not holding.ours:
                continue
            if holding.order.expired and cut_off.early(holding, view, report.at):
                self._early[holding.order.order] = holding
            else:
                yield _over(holding, report.at)
        for order in [o for o in self._early if o not in view.cut_off]:
            holding = self._early.pop(order)
            if order not in view.holdings:
                yield _over_early(holding, view, policy, report.at)


def order_facts(order: OwnOrder, target: str | None) -> dict[str, Fact]:
    """Return what a notice says of an order beside its text."""
    return {
        "order": order.order,
        "server": order.server,
        "target": target,
        "bid": str(order.price),
        "spend": str(order.spend),
    }


def _over(holding: Holding, now: datetime) -> Notice:
    expired = holding.order.expired
    cause = "its time is over" if expired else "the exchange lists it no more"
    return _end(holding, cause, now, level=Level.INFO if expired else Level.WARNING)


def _over_early(holding: Holding, view: View, policy: Policy, now: datetime) -> Notice:
    server = holding.order.server
    left = next((s for s in view.setbacks if s.server == server and s.reason == cut_off.REASON), None)
    if left is None or now >= left.until:
        cause = "it is over before its time: outbid, displaced or given up"
        return _end(holding, cause, now, level=Level.INFO)
    target = policy.target(holding.target or "")
    sought = target is not None and target.enabled and not view.paused
    cause = (
        "it ended before its time, and not by the daemon: somebody cancelled it, or the exchange did."
        f" Until {left.until:%H:%M} UTC nothing is ordered on that server;"
        f" {'another one is sought' if sought else 'no other one is sought'}"
    )
    return _end(holding, cause, now, level=Level.WARNING)


def _end(holding: Holding, cause: str, now: datetime, *, level: Level) -> Notice:
    order, target = holding.order, holding.target
    return Notice(
        event=Event.ENDED,
        level=level,
        at=now,
        title=f"order {spelled(order.order)} on server {order.server} has ended",
        text=f"{target}: {cause}; it cost {order.spend} without fees",
        key=str(order.order),
        facts=order_facts(order, target),
    )
