"""What a long outage leaves in the log, with the whole daemon in virtual time."""

from datetime import timedelta

import structlog
from virtual import begin

from bidder.sim.answers import Answer


def test_a_week_without_the_exchange_writes_few_lines() -> None:
    """The first failures, then fewer and fewer, and one line when it is over."""
    day = begin(seed=3, rivals=False)
    day.run(timedelta(minutes=2))
    real = day.exchange.handle
    day.exchange.handle = lambda *_: Answer(status=502, body=b"<html>")  # type: ignore[method-assign]
    with structlog.testing.capture_logs() as during:
        day.run(timedelta(days=7))
    day.exchange.handle = real  # type: ignore[method-assign]
    with structlog.testing.capture_logs() as after:
        day.run(timedelta(minutes=5))
    loud = [line for line in during if line["log_level"] != "debug"]
    failed = [line for line in loud if line["event"] == "read.failed"]
    assert 3 <= len(failed) < 60
    assert len(loud) < 400
    recovered = [line for line in after if line["event"] == "reads.recovered"]
    assert len(recovered) == 1
    assert recovered[0]["failures"] > 5000
