"""Whether the daemon trades, as /readyz says it."""

from dataclasses import replace
from datetime import timedelta

import pytest
from virtual import begin

from bidder.app.daemon import Daemon
from bidder.domain.policy import Pace
from bidder.web.source import Source

SILENT = "the exchange gives no answer"


@pytest.mark.parametrize(
    ("orders_every", "minutes", "is_silent"),
    [(0.5, 4, False), (0.5, 6, True), (10, 19, False), (10, 21, True)],
)
def test_who_reads_seldom_hears_seldom(orders_every: float, minutes: float, is_silent: bool) -> None:
    """Two reads of our orders may be further apart than the five minutes after which we wonder."""
    app = begin(rivals=False).app
    trader = app.trader
    trader.policy = replace(trader.policy, pace=Pace(orders_every=timedelta(minutes=orders_every)))
    trader.pace.last_answer_at = app.clock.now() - timedelta(minutes=minutes)
    daemon = Daemon(trader=trader, lease=app.lease, clock=app.clock, lease_clock=app.lease_clock)

    assert (SILENT in Source(daemon=daemon, spend_totals=tuple).not_trading()) is is_silent
    app.engine.dispose()
