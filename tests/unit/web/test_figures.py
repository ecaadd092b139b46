"""The figures of one moment: they say what the status says, of the same moment."""

from collections.abc import Iterator
from dataclasses import replace

import pytest
from builders import NOW, make_policy, make_view
from virtual import begin

from bidder.app import alarms
from bidder.app.daemon import Daemon
from bidder.app.report import PassReport
from bidder.domain.policy import Policy
from bidder.domain.view import View
from bidder.web.figures import figures
from bidder.web.source import Moment, Source

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
