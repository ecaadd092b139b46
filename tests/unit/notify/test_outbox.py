"""What one receiver is told, in virtual seconds."""

from dataclasses import replace
from datetime import UTC, datetime

from hypothesis import given
from hypothesis import strategies as st

from bidder.domain.notices import Event, Level, Notice, Receiver
from bidder.notify.outbox import BURST, MOST_TRIES, MOST_WAITING, REPEAT_SECONDS, WINDOW_SECONDS, Outbox

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
    assert outbox.put(notice(event=Event.OUTBID), 1), "another event about the same"
    assert outbox.put(notice(), REPEAT_SECONDS)
    assert outbox.repeated == 1


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
