"""How late a lowering is: from when it was both wanted and allowed until it was sent."""

from datetime import datetime

from builders import ORDER, SERVER, TARGET, at, btc

from benchmarks.lags import Lags
from bidder.app.report import Acted, PassReport, Result
from bidder.domain.actions import Decision, Reason, Reprice
from bidder.exchange.client import CallReport

LOW, HIGH = btc("0.0001"), btc("0.0002")


def wish(reason: Reason, due: datetime | None = None) -> Decision:
    """Return a decision about the order that sends nothing."""
    return Decision(target=TARGET, reason=reason, server=SERVER, order=ORDER, due=due)


def call(endpoint: str, sent: float, answered: float) -> CallReport:
    """Return a request, by its seconds."""
    return CallReport(
        endpoint=endpoint,
        outcome="ok",
        sent_at=at(sent),
        answered_at=at(answered),
        round_trip_seconds=answered - sent,
    )


def thought(seconds: float, *decisions: Decision) -> PassReport:
    """Return a pass that sent nothing."""
    return PassReport(pass_id=1, at=at(seconds), decisions=decisions)


def repriced(
    seconds: float, *calls: CallReport, lower: bool = True, result: Result = Result.OK
) -> PassReport:
    """Return a pass that moved the bid; what it decided is still among its decisions."""
    current, price = (HIGH, LOW) if lower else (LOW, HIGH)
    action = Reprice(order=ORDER, server=SERVER, current=current, price=price, target=TARGET)
    decision = Decision(
        target=TARGET, reason=Reason.MARK_DOWN, action=action, server=SERVER, order=ORDER
    )
    acted = Acted(decision=decision, action=action, result=result)
    return PassReport(pass_id=1, at=at(seconds), decisions=(decision,), acted=acted, calls=calls)


def measured(*reports: PassReport, until: float | None = None) -> Lags:
    """Return what a run of passes came to."""
    lags = Lags()
    for report in reports:
        lags.passed(report)
    if until is not None:
        lags.end(at(until))
    return lags


def test_it_is_late_from_the_moment_its_clock_opens() -> None:
    """It was wanted long before, which the rules did not allow."""
    lags = measured(
        thought(0, wish(Reason.CLOCK, at(100))),
        thought(50, wish(Reason.CLOCK, at(100))),
        repriced(104, call("set_spot_price", 103, 104)),
        until=1000,
    )
    assert (lags.sent, lags.missed) == ([3.0], [])


def test_it_is_late_from_the_moment_it_is_wanted() -> None:
    """Its clock had been open for long, and nobody wanted to go lower."""
    lags = measured(
        thought(200, wish(Reason.MARK_DOWN)), repriced(206, call("set_spot_price", 205, 206))
    )
    assert lags.sent == [5.0]


def test_one_that_a_read_brings_about_is_late_from_its_answer() -> None:
    """Decided and sent within one pass: the read's own time is not counted."""
    read, write = call("spot_marketplace", 9, 10), call("set_spot_price", 10.5, 11)
    assert measured(repriced(11, read, write)).sent == [0.5]


def test_waiting_for_a_fresh_look_takes_nothing_back_and_begins_nothing() -> None:
    """A book that has grown old is no change of mind."""
    late = measured(
        thought(0, wish(Reason.MARK_DOWN)),
        thought(10, wish(Reason.STALE)),
        repriced(30, call("set_spot_price", 30, 31)),
    )
    assert late.sent == [30.0]
    assert measured(thought(0, wish(Reason.STALE)), until=1000).missed == []


def test_raises_and_refusals_are_no_lowerings() -> None:
    """A refused one is still wanted: it counts once it is sent."""
    assert measured(repriced(10, call("set_spot_price", 9, 10), lower=False)).sent == []
    refused = repriced(10, call("set_spot_price", 9, 10), result=Result.REFUSED)
    again = repriced(21, call("set_spot_price", 20, 21))
    lags = measured(thought(5, wish(Reason.MARK_DOWN)), refused, again)
    assert lags.sent == [15.0]


def test_one_that_was_due_for_a_minute_and_is_given_up_was_missed() -> None:
    """So is one that is still waiting at the end; a wish of a moment is not."""
    wanted = thought(0, wish(Reason.CLOCK, at(100)))
    assert measured(wanted, thought(161, wish(Reason.WINNING))).missed == [61.0]
    assert measured(wanted, thought(160, wish(Reason.WINNING))).missed == []
    assert measured(wanted, until=200).missed == [100.0]
    assert measured(wanted, until=99).missed == []
