"""Prometheus metrics: counters that every pass moves on, and the figures of the latest moment."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from decimal import Decimal

from prometheus_client import CollectorRegistry, Counter, Histogram, ProcessCollector
from prometheus_client.core import Metric

from bidder.app.report import PassReport
from bidder.domain.actions import Decision, Reason, Reprice
from bidder.domain.ids import OrderId
from bidder.domain.intents import kind_of
from bidder.web.figures import figures, prefix
from bidder.web.source import Source

_PASS_SECONDS = (0.01, 0.05, 0.1, 0.25, 0.5, 1, 2, 5, 10, 20, 40, 80)
_STORE_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 5, 15)
_LAG_SECONDS = (0.1, 0.25, 0.5, 1, 1.5, 2, 3, 5, 10, 30, 60)
# Between two passes that are further apart nobody knows what ran.
_LONGEST_STEP = timedelta(minutes=5)
_DAY = Decimal(86400)


@dataclass(slots=True)
class Lowerings:
    """Which lowerings wait for their clock, so that it can be said how late each was sent."""

    opens_at: dict[OrderId, datetime] = field(default_factory=dict)

    def passed(self, report: PassReport) -> Iterator[float]:
        """Yield the seconds after its clock's opening at which this pass sent a lowering."""
        acted = report.acted
        if acted is not None and isinstance(acted.action, Reprice) and acted.action.lowers:
            opened = self.opens_at.pop(acted.action.order, None)
            if opened is not None and acted.intent is not None:
                yield max(0.0, (_sent_at(report, acted.intent.opened_at) - opened).total_seconds())
        self.opens_at = dict(self._still_waiting(report.decisions))

    def _still_waiting(self, decisions: Iterable[Decision]) -> Iterator[tuple[OrderId, datetime]]:
        for decision in decisions:
            if decision.order is None:
                continue
            if decision.reason is Reason.CLOCK and decision.due is not None:
                yield decision.order, decision.due
            elif decision.order in self.opens_at and (
                # Its clock is open, and it waits for a fresh look or for the slot.
                decision.reason is Reason.STALE or isinstance(decision.action, Reprice)
            ):
                yield decision.order, self.opens_at[decision.order]


class Metrics:
    """One daemon's metrics, in a registry of their own."""

    def __init__(self, source: Source) -> None:
        """Count from zero, as every start does."""
        self.registry = CollectorRegistry()
        self._source = source
        self._lowerings = Lowerings()
        self._last: tuple[datetime, Decimal] | None = None
        ProcessCollector(registry=self.registry)
        self._passes = Counter("bidder_passes", "Passes ended.", registry=self.registry)
        self._requests = Counter(
            "bidder_requests",
            "Requests to the exchange, by how they ended.",
            ["endpoint", "outcome"],
            registry=self.registry,
        )
        self._actions = Counter(
            "bidder_actions",
            "Actions sent, by reason and result.",
            ["action", "reason", "result"],
            registry=self.registry,
        )
        self._alarms = Counter("bidder_alarms_raised", "Alarms raised.", registry=self.registry)
        # Who traded on paper until now starts anew to trade for real: the mode takes a restart.
        named = prefix(paper=source.summary().paper)
        self._saved = Counter(
            f"{named}_saved_usd", "Saved against on-demand since the start.", registry=self.registry
        )
        self._pass_seconds = self._histogram("bidder_pass_seconds", "Time of a pass.", _PASS_SECONDS)
        self._commit_seconds = self._histogram(
            "bidder_store_commit_seconds", "Time of a writing transaction.", _STORE_SECONDS
        )
        self._round_trips = self._histogram(
            "bidder_request_seconds", "Time of a request, from sending to the answer.", _PASS_SECONDS
        )
        self._lags = self._histogram(
            "bidder_lowering_lag_seconds", "From a clock's opening to the lowering sent.", _LAG_SECONDS
        )
        self.registry.register(_Figures(source))

    def passed(self, report: PassReport) -> None:
        """Count what a pass did."""
        self._passes.inc()
        self._pass_seconds.observe(report.seconds)
        for seconds in report.commits:
            self._commit_seconds.observe(seconds)
        for call in report.calls:
            self._requests.labels(call.endpoint, call.outcome).inc()
            self._round_trips.observe(call.round_trip_seconds)
        if report.acted is not None:
            acted = report.acted
            self._actions.labels(
                kind_of(acted.action).value, acted.decision.reason.value, acted.result.value
            ).inc()
        self._alarms.inc(len(report.alarms))
        for lag in self._lowerings.passed(report):
            self._lags.observe(lag)
        self._count_savings(report.at)

    def _count_savings(self, now: datetime) -> None:
        if self._last is not None:
            then, rate = self._last
            step = min(max(now - then, timedelta(0)), _LONGEST_STEP)
            # A bid above the on-demand price costs more than it saves; a counter cannot go down.
            self._saved.inc(float(max(rate, Decimal(0)) * Decimal(step.total_seconds()) / _DAY))
        self._last = (now, self._source.summary().saving_usd)

    def _histogram(self, name: str, text: str, buckets: tuple[float, ...]) -> Histogram:
        return Histogram(name, text, buckets=buckets, registry=self.registry)


class _Figures:
    """The figures of the latest moment, drawn when somebody looks."""

    def __init__(self, source: Source) -> None:
        self._source = source

    def describe(self) -> list[Metric]:
        """Return nothing: what there is depends on the moment."""
        return []

    def collect(self) -> Iterator[Metric]:
        """Yield every figure."""
        yield from figures(self._source)


def _sent_at(report: PassReport, otherwise: datetime) -> datetime:
    return next(
        (call.sent_at for call in reversed(report.calls) if call.endpoint == "set_spot_price"), otherwise
    )
