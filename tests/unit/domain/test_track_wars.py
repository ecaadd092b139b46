"""``track`` against a rival that answers each raise: it is not fed."""

from collections.abc import Iterable
from datetime import datetime, timedelta
from itertools import pairwise

from builders import (
    NOW,
    ORDER,
    at,
    make_book,
    make_listing,
    make_policy,
    make_target,
    make_view,
    mine,
    outbid_holding,
    rival,
    seen,
    usd,
)
from hypothesis import given
from hypothesis import strategies as st
from unit.domain.bids import EAGER, decided, facing, raises

from bidder.domain import fold, planning
from bidder.domain.actions import Reason, Reprice, Withdraw
from bidder.domain.policy import Rails, TrackParams
from bidder.domain.strategies import track


def test_a_rival_that_answers_every_raise_is_not_fed() -> None:
    """After six raises in twenty minutes: no seventh, for half an hour from the last."""
    decision = facing(
        mine(usd("2")),
        rival(usd("3"), active=True),
        holding=outbid_holding(),
        raises=raises(-300, -240, -180, -120, -60, -30),
    )
    assert decision.reason is Reason.WAR_PAUSE
    assert decision.action is None
    assert decision.due == at(1770)


def test_the_pause_lasts_although_the_raises_leave_the_window() -> None:
    """Twenty-five minutes later the war is not forgotten; thirty-one minutes later it is."""
    offers = (mine(usd("2")), rival(usd("3"), active=True))
    ago = (-1800, -1740, -1680, -1620, -1560, -1500)
    assert facing(*offers, holding=outbid_holding(), raises=raises(*ago)).reason is Reason.WAR_PAUSE
    older = raises(*(second - 360 for second in ago))
    assert facing(*offers, holding=outbid_holding(), raises=older).reason is Reason.OUTBID


def test_raises_spread_over_a_long_time_are_no_war() -> None:
    """Six in two hours is a market that moves."""
    decision = facing(
        mine(usd("2")),
        rival(usd("3"), active=True),
        holding=outbid_holding(),
        raises=raises(-6000, -4800, -3600, -2400, -1200, -60),
    )
    assert decision.reason is Reason.OUTBID


def test_a_war_is_left_for_another_server() -> None:
    """Where there is somewhere else to go, the order is given up; the old server stays shunned."""
    policy = make_policy(make_target(params=EAGER))
    view = make_view(
        policy,
        make_listing(),
        make_listing(202, floor=usd("2")),
        holdings=[outbid_holding()],
        books=[
            seen(make_book(mine(usd("2")), rival(usd("3"), active=True)), outbid_reads=2),
            seen(make_book(server=202, floor=usd("2"))),
        ],
        raises=raises(-300, -240, -180, -120, -60, -30),
    )
    decision = decided(view, policy)
    assert decision.reason is Reason.WAR
    assert isinstance(decision.action, Withdraw)
    without = view.without_holding(ORDER)
    (filling,) = planning.plan(without, policy, NOW)
    assert filling.server == 202


_TIMES = st.lists(st.integers(-7200, 0), max_size=40)


@given(
    seconds=_TIMES,
    most=st.integers(2, 8),
    window=st.integers(60, 3600),
    pause=st.integers(1, 3600),
)
def test_a_pause_follows_exactly_the_runs_that_are_dense_enough(
    seconds: list[int], most: int, window: int, pause: int
) -> None:
    """The end is the pause after the last raise that has enough others in the window before it."""
    params = TrackParams(
        war_raises=most, war_window=timedelta(seconds=window), war_pause=timedelta(seconds=pause)
    )
    times = [at(second) for second in seconds]
    ends = track.peace_at(times, params)
    dense = [
        last
        for i, last in enumerate(sorted(times))
        if sum(1 for t in sorted(times)[: i + 1] if last - t < params.war_window) >= most
    ]
    assert ends == (max(dense) + params.war_pause if dense else None)


def bot_war(params: TrackParams, seconds: int) -> Iterable[datetime]:
    """Play against a bot that tops each of our bids at once; yield when we raise."""
    policy = make_policy(
        make_target(ceiling=usd("1000"), params=params), rails=Rails(allow_above_on_demand=True)
    )
    book = make_book(mine(usd("2")), rival(usd("2.01"), active=True))
    view = make_view(policy, make_listing(), holdings=[outbid_holding(since=0)], books=[])
    for second in range(seconds):
        now = at(second)
        view, _ = fold.book(view, book, policy, at=now)
        action = decided(view, policy, now).action
        if isinstance(action, Reprice):
            yield now
            view = fold.repriced(view, action, sent_at=now, now=now)
            top = action.price.one_tick_up()
            book = make_book(mine(action.price), rival(top, active=True))


def test_a_bot_that_answers_at_once_gets_six_raises_and_a_pause_not_an_auction() -> None:
    """Each raise has its own wait and its own two reads; after the sixth comes half an hour of peace."""
    times = [(t - NOW).total_seconds() for t in bot_war(TrackParams(), 2000)]
    assert len([t for t in times if t < 1800]) == 6
    assert all(later - earlier >= 10 for earlier, later in pairwise(times))
    assert times[6] >= times[5] + 1800
