"""How late each lowering is sent, as the daemon's own decisions tell that it was due."""

from dataclasses import dataclass, field
from datetime import datetime

from bidder.app.report import PassReport, Result
from bidder.domain.actions import Decision, Reason, Reprice
from bidder.domain.ids import OrderId

# One that was due for so long and then not wanted any more was missed: it counts as late.
_MISSED_AFTER = 60.0


@dataclass(frozen=True, slots=True, kw_only=True)
class _Due:
    """A lowering that is wanted since ``wanted_at`` and may be sent from ``opens_at`` on."""

    wanted_at: datetime
    opens_at: datetime

    def lag(self, now: datetime) -> float:
        return (now - max(self.wanted_at, self.opens_at)).total_seconds()


@dataclass(slots=True)
class Lags:
    """The seconds from the moment when each lowering was due until it was sent.

    It is due when its clock has opened and the daemon wants it: whichever comes last.
    """

    sent: list[float] = field(default_factory=list)
    missed: list[float] = field(default_factory=list)
    _due: dict[OrderId, _Due] = field(default_factory=dict)

    def passed(self, report: PassReport) -> None:
        """Note what a pass wanted and sent."""
        acted = report.acted
        lowered = None
        if acted is not None and isinstance(acted.action, Reprice) and acted.action.lowers:
            order = acted.action.order
            decided_at, sent_at = _moments(report)
            due = self._due.get(order, _Due(wanted_at=decided_at, opens_at=decided_at))
            if acted.result is Result.OK:
                self.sent.append(max(0.0, due.lag(sent_at)))
                self._due.pop(order, None)
                lowered = order
        wanted = {}
        for decision in report.decisions:
            if decision.order is not None and decision.order != lowered:
                due_now = self._wanted(decision, report.at)
                if due_now is not None:
                    wanted[decision.order] = due_now
        for order, due in self._due.items():
            if order not in wanted:
                self._given_up(due, report.at)
        self._due = wanted

    def end(self, now: datetime) -> None:
        """Count what is still waiting."""
        for due in self._due.values():
            self._given_up(due, now)
        self._due = {}

    def _wanted(self, decision: Decision, now: datetime) -> _Due | None:
        assert decision.order is not None
        known = self._due.get(decision.order)
        since = now if known is None else known.wanted_at
        match decision.reason:
            case Reason.CLOCK if decision.due is not None:
                return _Due(wanted_at=since, opens_at=decision.due)
            case Reason.MARK_DOWN:
                return known or _Due(wanted_at=now, opens_at=now)
            case Reason.STALE:
                return known  # it waits for a fresh look
            case _:
                return None

    def _given_up(self, due: _Due, now: datetime) -> None:
        if due.lag(now) > _MISSED_AFTER:
            self.missed.append(due.lag(now))


def _moments(report: PassReport) -> tuple[datetime, datetime]:
    """Return when the pass had what it decided by, and when it sent the lowering."""
    decided_at = sent_at = report.at
    for before, call in zip((None, *report.calls), report.calls, strict=False):
        if call.endpoint == "set_spot_price":
            sent_at = call.sent_at
            decided_at = sent_at if before is None else before.answered_at
    return decided_at, sent_at
