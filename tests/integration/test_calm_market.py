"""How often the marketplace is read, by whether it is looked at for something."""

from datetime import datetime, timedelta
from itertools import pairwise

from virtual import begin

from bidder.app.report import PassReport


def test_the_marketplace_is_read_five_times_as_rarely_when_nothing_is_wanted_of_it() -> None:
    """While servers are missing each `marketplace_every`, afterwards each fifth time, as documented."""
    day = begin(seed=3, rivals=False)
    reads: list[datetime] = []

    def note(report: PassReport) -> None:
        reads.extend(call.sent_at for call in report.calls if call.endpoint == "marketplace")

    day.run(timedelta(minutes=10))
    every = day.policy.pace.marketplace_every
    day.run(timedelta(minutes=16), note)
    held = day.app.trader.view.holdings.values()
    assert len(held) == sum(target.want for target in day.policy.targets)
    gaps = [later - sooner for sooner, later in pairwise(reads)]
    assert len(gaps) >= 2
    assert all(5 * every <= gap < 5.5 * every for gap in gaps)
