"""The figures of one moment: they say what the status says, of the same moment."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal

import pytest
from builders import NOW, at, make_policy, make_target, make_view, usd
from virtual import begin

from bidder.app import alarms
from bidder.app.daemon import Daemon
from bidder.app.report import PassReport
from bidder.domain.policy import Ceiling, DeadlineParams, Policy
from bidder.domain.view import View
from bidder.web.figures import figures
from bidder.web.source import Moment, Source

CEILING = Ceiling(price=usd("4"))
REPORT = PassReport(pass_id=1, at=NOW)


@pytest.fixture
def source() -> Iterator[Source]:
    """Yield a source about a daemon that has done nothing."""
    app = begin(rivals=False).app
    daemon = Daemon(trader=app.trader, lease=app.lease, clock=app.clock, lease_clock=app.lease_clock)
    yield Source(daemon=daemon, spend_totals=tuple)
    app.engine.dispose()


def told(source: Source, report: PassReport, view: View, policy: Policy, name: str) -> list[float]:
    """Return what a metric says of a moment."""
    source.moment = Moment(report=report, view=view, policy=policy)
    return [s.value for family in figures(source) if family.name == name for s in family.samples]


def test_an_alarm_counts_as_long_as_its_cause_lasts(source: Source) -> None:
    """That it may have to be kept from being told again for hours is no alarm."""
    policy = make_policy()
    source.daemon.trader.watch = alarms.Watch(told={"runway/BTC": NOW})
    stands = replace(REPORT, standing=("wallet BTC lasts 3 hours",))
    for report, count in ((stands, 1), (REPORT, 0)):
        assert told(source, report, make_view(policy), policy, "bidder_alarms") == [count]


def test_a_job_that_is_done_wants_no_servers(source: Source) -> None:
    """Neither in the metrics nor in the summary: an alert for servers wanted would never end."""
    params = DeadlineParams(gpu_hours=Decimal(9), by=at(36000), on_demand_ceiling=CEILING)
    policy = make_policy(make_target(want=2), make_target("job", want=3, params=params))
    for computed, wants in ((8, 3), (9, 0)):
        view = make_view(policy, computed={"job": timedelta(hours=computed)})
        assert told(source, REPORT, view, policy, "bidder_servers_wanted") == [2, wants]
        assert source.summary().want == 2 + wants
