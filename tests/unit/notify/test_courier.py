"""What the log says of a receiver that cannot be reached, in virtual time."""

from datetime import UTC, datetime, timedelta

import structlog

from bidder.domain.notices import Event, Level, Notice, Receiver
from bidder.notify.courier import Mishaps
from bidder.notify.outbox import MOST_TRIES, Outbox

START = datetime(2026, 1, 5, tzinfo=UTC)
WEEK = timedelta(days=7).total_seconds()


def notice(number: int) -> Notice:
    """Return a notice about something new."""
    return Notice(event=Event.WON, level=Level.INFO, at=START, title="won", text="", key=str(number))


def a_week_without(outbox: Outbox, mishaps: Mishaps) -> int:
    """Let every message fail for a week, one notice an hour; return how many did."""
    now, failures, told = 0.0, 0, 0
    while now < WEEK:
        while told * 3600 <= now:
            outbox.put(notice(told), now)
            told += 1
        message, wait = outbox.next(now)
        if message is None:
            now = min(told * 3600.0, now + (3600.0 if wait is None else wait))
            continue
        again = outbox.failed(now)
        mishaps.failed(message, "no route to host", again, START + timedelta(seconds=now))
        failures += 1
    return failures


def test_a_week_without_a_receiver_writes_few_lines_and_counts_all() -> None:
    """The first failures, then fewer and fewer, and one line when messages get there again."""
    outbox, mishaps = (
        Outbox(Receiver(place="notices[0].to", line=1, address="json://127.0.0.1")),
        Mishaps("notices[0].to"),
    )
    with structlog.testing.capture_logs() as lines:
        failures = a_week_without(outbox, mishaps)
        mishaps.sent(outbox.lost, START + timedelta(days=7))
        mishaps.sent(outbox.lost, START + timedelta(days=8))
    assert failures > 50 * MOST_TRIES
    (*failed, recovered) = lines
    assert 3 <= len(failed) < 60
    assert {line["event"] for line in failed} == {"notice.failed"}
    assert {line["receiver"] for line in failed} == {"notices[0].to"}
    assert sum(1 + line["unsaid"] for line in failed) <= failures
    assert recovered["event"] == "notices.recovered"
    assert (recovered["failures"], recovered["lost"]) == (failures, outbox.lost)
    assert outbox.lost > 0


def test_single_failures_are_said_one_by_one() -> None:
    """A hiccup now and then is news each time, and needs no word when it is over."""
    mishaps = Mishaps("notices[0].to")
    with structlog.testing.capture_logs() as lines:
        for hour in range(5):
            now = START + timedelta(hours=hour)
            mishaps.failed(notice(hour), "timed out", 5.0, now)
            mishaps.sent(0, now + timedelta(seconds=5))
    assert [line["event"] for line in lines] == ["notice.failed"] * 5
