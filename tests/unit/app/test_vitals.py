"""What a daemon notes of its calls and clocks, for whoever must not ask the exchange beside it."""

from datetime import UTC, datetime, timedelta

from bidder.app.vitals import Vitals
from bidder.exchange.client import CallReport

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)


def later(seconds: float) -> datetime:
    """Return the moment so many seconds after NOW."""
    return NOW + timedelta(seconds=seconds)


def call(
    endpoint: str, outcome: str = "ok", *, at: datetime = NOW, lead: float | None = None
) -> CallReport:
    """Return a call that went like this."""
    return CallReport(
        endpoint=endpoint,
        outcome=outcome,
        sent_at=at,
        answered_at=at,
        round_trip_seconds=0.1,
        lead_seconds=lead,
    )


def test_the_latest_good_and_bad_answer_of_each_endpoint() -> None:
    """Also the kind of the bad one."""
    vitals = Vitals()
    vitals.note([call("wallets"), call("wallets", "InDoubt", at=NOW + timedelta(seconds=5))])

    seen = vitals.picture(NOW)["endpoints"]["wallets"]

    assert seen == {
        "good_at": "2026-03-01T12:00:00.000Z",
        "bad_at": "2026-03-01T12:00:05.000Z",
        "bad": "InDoubt",
    }


def test_refusals_for_too_many_requests_count_for_a_day() -> None:
    """What is older is history."""
    vitals = Vitals()
    old, new = NOW - timedelta(hours=25), NOW - timedelta(hours=1)
    vitals.note([call("my_orders", "RateLimited", at=each) for each in (old, new)])

    picture = vitals.picture(NOW)

    assert picture["rate_limited_last_day"] == 1
    assert picture["rate_limited_at"] == "2026-03-01T11:00:00.000Z"


def test_the_clocks() -> None:
    """How far the exchange's lies ahead, and when ours jumped; ever more of it stays bounded."""
    vitals = Vitals()
    vitals.note([call("wallets", lead=-2.5), call("my_orders")])
    for number in range(50):
        vitals.jumped(NOW, float(number))

    picture = vitals.picture(NOW)

    assert picture["clock_lead_seconds"] == -2.5
    assert len(picture["clock_jumps"]) == 10
    assert picture["clock_jumps"][-1]["seconds"] == 49


def test_a_calendar_is_mistrusted_while_the_exchange_lately_named_another_day() -> None:
    """In both directions, by minutes not, and not for what was said hours ago or by another clock."""
    for lead, said, expected in (
        (None, 0, False),
        (300, -60, False),
        (700, -60, True),
        (-86400, -60, True),
        (-86400, -4000, False),
        (-86400, 4000, False),
    ):
        vitals = Vitals()
        vitals.note([call("wallets", at=later(said), lead=lead)])
        assert vitals.mistrusts_calendar(NOW) is expected, (lead, said)


def test_a_calendar_that_was_set_is_mistrusted_until_an_answer_was_compared_with_it() -> None:
    """What an answer said before counted by the other clock, also where that was ahead."""
    for before in (-5, 90000):
        vitals = Vitals()
        vitals.note([call("wallets", at=later(before), lead=0)])
        vitals.jumped(NOW, 86400)
        assert vitals.mistrusts_calendar(later(1))
        assert not vitals.mistrusts_calendar(later(4000))
        vitals.note([call("wallets", at=later(2), lead=0)])
        assert not vitals.mistrusts_calendar(later(3))
    slipped = Vitals()
    slipped.jumped(NOW, 60)
    assert not slipped.mistrusts_calendar(later(1))
