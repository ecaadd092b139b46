"""Notices from single passes: budget, outages, alarms, and what a loss is called."""

from dataclasses import replace
from decimal import Decimal

import pytest
from builders import (
    NOW,
    at,
    make_book,
    make_holding,
    make_listing,
    make_policy,
    make_view,
    mine,
    rival,
    seen,
    usd,
)

from bidder.app.alarms import Alarm, causes
from bidder.app.report import PassReport
from bidder.app.telling import Teller
from bidder.domain.actions import Decision, Reason
from bidder.domain.ids import ServerId
from bidder.domain.notices import Event, Level, Notice
from bidder.domain.policy import Mode, Policy, Rails
from bidder.domain.view import View

EMPTY = View()


def passed(
    teller: Teller,
    view: View = EMPTY,
    policy: Policy | None = None,
    *,
    seconds: float = 0,
    unreachable: bool = False,
    alarms: tuple[Alarm, ...] = (),
    commits: tuple[float, ...] = (),
) -> list[Notice]:
    """Return what one pass tells, so many seconds after NOW."""
    report = PassReport(pass_id=1, at=at(seconds), alarms_raised=alarms, commits=commits)
    return list(teller.notices(report, view, policy or make_policy(), unreachable=unreachable))


def test_an_outage_is_told_once_when_it_lasts_and_once_when_it_is_over() -> None:
    """A hiccup is no news; ten minutes are, and so is the end."""
    teller = Teller()
    assert passed(teller, seconds=0, unreachable=True) == []
    assert passed(teller, seconds=599, unreachable=True) == []
    (told,) = passed(teller, seconds=600, unreachable=True)
    assert (told.event, told.level) == (Event.UNREACHABLE, Level.WARNING)
    assert passed(teller, seconds=700, unreachable=True) == []
    (over,) = passed(teller, seconds=800)
    assert (over.event, over.level) == (Event.UNREACHABLE, Level.INFO)
    assert passed(teller, seconds=801) == []


def test_a_database_that_fails_for_long_is_told_and_so_is_its_end() -> None:
    """A lock of some seconds is no news; ten minutes without a pass on disk need a person."""
    teller, policy = Teller(), make_policy()

    def failed(seconds: float) -> list[Notice]:
        return list(teller.database.failed("the disk is full", at(seconds), policy))

    assert failed(0) == failed(599) == []
    assert passed(teller, seconds=599, commits=(0.01,)) == [], "it had not failed for long"
    assert failed(700) == passed(teller, seconds=1000) == failed(1299) == []
    (told,) = failed(1300)
    assert (told.event, told.level) == (Event.DATABASE, Level.URGENT)
    assert "the disk is full" in told.text
    assert failed(1400) == []
    assert passed(teller, seconds=1450) == [], "nothing was written"
    (over,) = passed(teller, seconds=1500, commits=(0.01,))
    assert (over.event, over.level) == (Event.DATABASE, Level.INFO)
    assert passed(teller, seconds=1501) == []


def test_an_outage_is_told_also_where_the_calendar_was_set_back() -> None:
    """Ten minutes after that, not an hour later."""
    teller = Teller()
    assert passed(teller, seconds=3600, unreachable=True) == []
    assert passed(teller, seconds=0, unreachable=True) == []
    assert passed(teller, seconds=599, unreachable=True) == []
    (told,) = passed(teller, seconds=600, unreachable=True)
    assert told.event is Event.UNREACHABLE


def test_a_daily_limit_is_told_near_its_end_and_again_only_after_relief() -> None:
    """At nine tenths once; not again while the bids stay there."""
    policy = make_policy(rails=Rails(max_usd_per_day=Decimal(10)))
    teller = Teller()

    def bids(price: str) -> View:
        return make_view(policy, make_listing(), holdings=[make_holding(price=usd(price))])

    assert not _budget(passed(teller, bids("8.9"), policy))
    assert len(_budget(passed(teller, bids("9"), policy))) == 1
    assert not _budget(passed(teller, bids("8.5"), policy))
    assert not _budget(passed(teller, bids("9.5"), policy))
    assert not _budget(passed(teller, bids("7"), policy))
    assert len(_budget(passed(teller, bids("9.5"), policy))) == 1


def _budget(notices: list[Notice]) -> list[Notice]:
    return [notice for notice in notices if notice.event is Event.BUDGET]


def test_alarms_are_told_by_what_they_mean() -> None:
    """A freeze is urgent, a runway is the budget's, an outage has its own notice."""
    found = passed(
        Teller(),
        alarms=(
            Alarm(key="one:frozen:5", text="frozen", frozen=("one", ServerId(5))),
            Alarm(key="runway/bitcoin", text="lasts 2 hours"),
            Alarm(key="unreachable", text="no answer"),
            Alarm(key="one:no_candidate", text="nothing fits"),
        ),
    )
    assert [(n.event, n.level) for n in found] == [
        (Event.AMBIGUOUS, Level.URGENT),
        (Event.BUDGET, Level.WARNING),
        (Event.BLOCKED, Level.WARNING),
    ]


def test_a_loss_to_a_rival_and_a_loss_of_the_server_have_different_names() -> None:
    """Outbid where a rival runs; displaced where nobody does."""
    policy = make_policy()
    for offers, event in (
        ((rival(usd("3"), active=True), mine(usd("2"))), Event.OUTBID),
        ((mine(usd("2")),), Event.DISPLACED),
    ):
        teller = Teller()
        held = make_holding(active=True)
        passed(teller, make_view(policy, make_listing(), holdings=[held]), policy)
        lost = make_holding(active=False, outbid_since=NOW)
        view = make_view(policy, make_listing(), holdings=[lost], books=[seen(make_book(*offers))])
        (told,) = passed(teller, view, policy, seconds=1)
        assert told.event is event


def test_a_win_waits_for_the_way_in_but_not_for_ever() -> None:
    """The exchange may take a moment to name hosts; after two minutes the win is told without."""
    policy, teller = make_policy(), Teller()
    passed(teller, EMPTY, policy)
    view = make_view(policy, make_listing(), holdings=[make_holding(active=True)])
    assert passed(teller, view, policy, seconds=1) == []
    assert passed(teller, view, policy, seconds=120) == []
    told = passed(teller, view, policy, seconds=121)
    assert [n.event for n in told if n.event is Event.WON] == [Event.WON]


def test_a_frozen_server_is_an_urgent_alarm_of_its_own() -> None:
    """As deciding names it: two frozen servers of one target are two things to tell."""
    decisions = [
        Decision(target="one", reason=Reason.FROZEN, server=ServerId(number)) for number in (5, 6)
    ]
    alarms = causes(EMPTY, decisions, make_policy(), unreachable=False)
    told = passed(Teller(), alarms=alarms)
    assert [(notice.event, notice.level) for notice in told] == [(Event.AMBIGUOUS, Level.URGENT)] * 2
    assert len({notice.key for notice in told}) == 2


def test_on_paper_the_daily_summary_is_of_paper_orders_alone() -> None:
    """Real ones of the account are not paid by its strategies."""
    policy = replace(make_policy(), mode=Mode.PAPER)
    holdings = [make_holding(9, price=usd("3")), make_holding(-1, price=usd("2"))]
    view = make_view(policy, make_listing(), holdings=holdings)
    teller, found = Teller(), list[Notice]()
    for minutes in range(12 * 60 + 1):
        found += passed(teller, view, policy, seconds=60 * minutes)
    (last,) = found
    assert last.event is Event.SUMMARY
    assert float(str(last.facts["paid_usd"])) == pytest.approx(1.0, abs=0.01), "half a day at 2"
