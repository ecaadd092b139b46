"""What one receiver is told, in virtual seconds."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from bidder.domain.notices import Event, Level, Notice, Receiver
from bidder.notify.outbox import (
    BURST,
    MOST_TRIES,
    MOST_WAITING,
    REPEAT_SECONDS,
    WINDOW_SECONDS,
    Outbox,
    digest,
)

ANYBODY = Receiver(place="notices[0].to", line=1, address="json://127.0.0.1")


def notice(key: str = "1", *, event: Event = Event.WON, level: Level = Level.INFO) -> Notice:
    """Return a notice about something."""
    return Notice(
        event=event,
        level=level,
        at=datetime(2026, 1, 5, tzinfo=UTC),
        title=f"about {key}",
        text="",
        key=key,
    )


def drain(outbox: Outbox, until: float, *, start: float = 0.0) -> list[tuple[float, Notice]]:
    """Send whatever may go, as its moment comes; return moments and messages."""
    now, sent = start, []
    while True:
        message, wait = outbox.next(now)
        if message is not None:
            outbox.sent(now)
            sent.append((now, message))
        elif wait is None or now + wait > until:
            return sent
        else:
            now += wait


def test_a_receiver_gets_its_level_and_its_events_only() -> None:
    """Nothing below its level, nothing that it did not ask for; a test always."""
    outbox = Outbox(replace(ANYBODY, level=Level.WARNING, events=frozenset({Event.OUTBID, Event.WON})))
    assert not outbox.put(notice("a"), 0)
    assert not outbox.put(notice("b", event=Event.BLOCKED, level=Level.URGENT), 0)
    assert outbox.put(notice("c", event=Event.OUTBID, level=Level.WARNING), 0)
    assert outbox.put(notice("d", event=Event.TEST), 0)


def test_the_same_thing_is_told_once_in_ten_minutes() -> None:
    """A repetition is left out and counted; later it is news again."""
    outbox = Outbox(ANYBODY)
    assert outbox.put(notice(), 0)
    assert not outbox.put(notice(), REPEAT_SECONDS - 1)
    assert outbox.put(notice(event=Event.BUDGET), 1), "another event about the same"
    assert outbox.put(notice(), REPEAT_SECONDS)
    assert outbox.repeated == 1


WON, DISPLACED = notice(), notice(event=Event.DISPLACED, level=Level.WARNING)


def told(*changes: tuple[float, Notice]) -> list[tuple[float, Event]]:
    """Return what a receiver is told of these changes within a day, and when."""
    outbox, sent = Outbox(ANYBODY), list[tuple[float, Notice]]()
    for now, change in changes:
        sent += drain(outbox, now, start=sent[-1][0] if sent else 0.0)
        outbox.put(change, now)
        sent += drain(outbox, now, start=now)
    sent += drain(outbox, 86_400, start=changes[-1][0])
    assert outbox.waiting == 0
    return [(at, message.event) for at, message in sent]


def test_a_change_back_is_told_late_rather_than_never() -> None:
    """Lost, won and lost again within minutes: the last word says lost."""
    assert told((0, DISPLACED), (120, WON), (400, DISPLACED)) == [
        (0, Event.DISPLACED),
        (120, Event.WON),
        (REPEAT_SECONDS, Event.DISPLACED),
    ]


def test_a_change_back_that_is_overtaken_is_not_told() -> None:
    """While it waits the matter comes to stand as was said last, and that is left out as well."""
    assert told((0, DISPLACED), (120, WON), (400, DISPLACED), (500, WON)) == [
        (0, Event.DISPLACED),
        (120, Event.WON),
    ]


def test_what_works_again_and_then_does_not_is_told() -> None:
    """The same event with another level is another word of the matter."""
    down = notice("exchange", event=Event.UNREACHABLE, level=Level.URGENT)
    up = notice("exchange", event=Event.UNREACHABLE)
    assert [at for at, _ in told((0, down), (120, up), (400, down))] == [0, 120, REPEAT_SECONDS]


@given(
    st.lists(st.tuples(st.floats(1, 900), st.sampled_from([WON, DISPLACED])), min_size=1, max_size=40)
)
def test_the_last_word_is_right_and_no_word_comes_too_often(steps: list[tuple[float, Notice]]) -> None:
    """To and fro: each word at most once in ten minutes, and the last one holds."""
    changes, now = [], 0.0
    for pause, change in steps:
        now += pause
        changes.append((now, change))
    said = told(*changes)
    assert said[-1][1] is changes[-1][1].event
    for event in (Event.WON, Event.DISPLACED):
        times = [at for at, each in said if each is event]
        assert all(late - early >= REPEAT_SECONDS - 1e-6 for early, late in pairwise(times))


def test_at_the_end_what_was_held_back_goes_too() -> None:
    """The last word does not wait for its turn when there is none any more."""
    outbox = Outbox(ANYBODY)
    for now, change in ((0, DISPLACED), (120, WON), (400, DISPLACED)):
        outbox.put(change, now)
        drain(outbox, now, start=now)
    assert outbox.waiting == 1
    assert outbox.next(401, ending=True)[0] == DISPLACED


def test_a_flood_becomes_one_digest() -> None:
    """Of forty at once none is lost, and the receiver gets one message that names them."""
    outbox = Outbox(ANYBODY)
    for number in range(40):
        outbox.put(notice(str(number)), 0)
    sent = drain(outbox, 3600)
    assert len(sent) == 1
    assert sent[0][1].event is Event.DIGEST
    assert sent[0][1].facts["notices"] == 40


@given(st.lists(st.floats(0, 600), min_size=1, max_size=120))
def test_never_more_messages_in_a_minute_than_allowed(moments: list[float]) -> None:
    """However notices come, a minute sees no more than a burst, and every notice is told or counted."""
    outbox, sent = Outbox(ANYBODY), []
    for number, now in enumerate(sorted(moments)):
        outbox.put(notice(str(number)), now)
        sent += drain(outbox, now, start=now)
    sent += drain(outbox, 10_000, start=max(moments))
    times = [at for at, _ in sent]
    assert all(late - early >= WINDOW_SECONDS for early, late in zip(times, times[BURST:], strict=False))
    told = sum(int(m.facts["notices"] or 0) if m.event is Event.DIGEST else 1 for _, m in sent)
    assert told + outbox.lost == len(moments)


def test_a_failure_is_tried_again_after_growing_pauses_and_then_given_up() -> None:
    """Eight tries, each pause at least as long as the last, then the notice counts as lost."""
    outbox, now, pauses = Outbox(ANYBODY), 0.0, []
    outbox.put(notice(), now)
    for _ in range(MOST_TRIES):
        message, wait = outbox.next(now)
        assert message is not None
        assert wait == 0
        pause = outbox.failed(now)
        assert outbox.next(now)[0] is None
        if pause is not None:
            pauses.append(pause)
            now += pause
    assert pauses == sorted(pauses)
    assert len(pauses) == MOST_TRIES - 1
    assert (outbox.lost, outbox.waiting) == (1, 0)


def test_a_stuck_receiver_loses_old_notices_and_is_told_so() -> None:
    """The queue is bounded; what was lost is counted, and the next message says how many."""
    outbox = Outbox(ANYBODY)
    outbox.put(notice("first"), 0)
    assert outbox.next(0)[0] is not None
    for number in range(MOST_WAITING + 7):
        outbox.put(notice(str(number)), 1)
    assert outbox.waiting == MOST_WAITING + 1
    assert outbox.lost == 7
    outbox.sent(2)
    message, _ = outbox.next(2)
    assert message is not None
    assert message.facts["lost"] == 7
    assert "7 older notices could not be sent" in message.text


def test_at_the_end_everything_goes_in_one_message() -> None:
    """What the rate held back is sent at once when the daemon stops, the one being tried included."""
    outbox = Outbox(ANYBODY)
    outbox.put(notice("a"), 0)
    outbox.next(0)
    outbox.failed(0)
    outbox.put(notice("b", level=Level.URGENT), 1)
    message, _ = outbox.next(1, ending=True)
    assert message is not None
    assert message.facts["notices"] == 2
    assert message.level is Level.URGENT


def test_at_the_end_what_failed_is_tried_once_more_at_once() -> None:
    """Its pause would outlast us; after that try there is nothing left to wait for."""
    outbox = Outbox(ANYBODY)
    stopped = notice(event=Event.STOPPED, level=Level.URGENT)
    outbox.put(stopped, 0)
    outbox.next(0)
    assert outbox.failed(0) == 5
    assert outbox.next(1, ending=True) == (stopped, 0.0)
    outbox.failed(1)
    assert outbox.next(1, ending=True) == (None, None)
    assert outbox.waiting == 1, "and it counts as not sent"


def test_a_digest_tells_the_date_of_what_is_of_another_day() -> None:
    """A receiver that was away for a night must not take yesterday's for today's."""
    today = notice("2")
    found = digest((replace(notice("1"), at=today.at - timedelta(minutes=5)), today))
    assert found.text.splitlines() == ["2026-01-04 23:55 about 1", "00:00 about 2"]


def test_of_a_digest_each_notice_counts_as_told() -> None:
    """Whoever asks what got there hears of notices, not of messages."""
    outbox = Outbox(ANYBODY)
    both = (notice("a"), notice("b", level=Level.URGENT))
    for each in both:
        outbox.put(each, 0)
    assert outbox.waiting == 2
    outbox.next(0, ending=True)
    assert outbox.sent(0) == both
