"""What a long outage leaves in the log, with the whole daemon in virtual time."""

from datetime import datetime, timedelta
from itertools import cycle

import structlog
from virtual import begin

from bidder.sim.answers import Answer, Request


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
        day.run(timedelta(minutes=6))
    loud = [line for line in during if line["log_level"] != "debug"]
    failed = [line for line in loud if line["event"] == "read.failed"]
    assert 3 <= len(failed) < 60
    assert len(loud) < 400
    recovered = [line for line in after if line["event"] == "reads.recovered"]
    assert len(recovered) == 1
    assert recovered[0]["failures"] > 5000


def test_an_exchange_that_fails_every_second_read_writes_few_lines() -> None:
    """It comes and goes all the time, which is one trouble: no line for each failure, none of an end."""
    day = begin(seed=3, rivals=False)
    day.run(timedelta(minutes=2))
    real, turns = day.exchange.handle, cycle((True, False))
    failures = 0

    def flapping(request: Request, now: datetime) -> Answer:
        nonlocal failures
        if request.method != "GET" or next(turns):
            return real(request, now)
        failures += 1
        return Answer(status=502, body=b"<html>")

    day.exchange.handle = flapping  # type: ignore[method-assign]
    with structlog.testing.capture_logs() as during:
        day.run(timedelta(minutes=30))
    day.exchange.handle = real  # type: ignore[method-assign]
    with structlog.testing.capture_logs() as after:
        day.run(timedelta(minutes=6))
    failed = [line for line in during if line["event"] == "read.failed"]
    assert failures > 100
    assert 3 <= len(failed) < 15
    assert not [line for line in during if line["event"] == "reads.recovered"]
    assert sum(1 + line["unsaid"] for line in failed) <= failures
    (recovered,) = [line for line in after if line["event"] == "reads.recovered"]
    assert recovered["failures"] == failures
