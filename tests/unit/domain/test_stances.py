"""What each rule of ``adaptive`` would have earned, by sums that can be done by hand."""

from collections.abc import Iterable
from datetime import timedelta
from itertools import pairwise
from math import inf
from random import Random

import pytest
from builders import NOW, SERVER
from hypothesis import given
from hypothesis import strategies as st

from bidder.domain.ids import ServerId
from bidder.domain.stances import STANCES, USUAL, School, Stakes, Stance, learn

# A day is worth 1 USD, so that earnings are USD; a start loses a tenth of an hour.
STAKES = Stakes(value=1.0, step=0.01, tick=0.001, fee=0.0, restart=0.1 / 24)
LONG = timedelta(days=36500)
HOUR = 3600.0


def watched(prices: Iterable[tuple[float, float]], stakes: Stakes = STAKES) -> School:
    """Return the school after each price, read so many seconds from NOW."""
    school = School()
    for seconds, price in prices:
        now = NOW + timedelta(seconds=seconds)
        school = learn(school, ServerId(SERVER), price, stakes, now, half_life=LONG)
    return school


def earned(stance: Stance, school: School) -> float:
    """Return what a rule has earned, in days of value."""
    return school.earned[STANCES.index(stance)]


def usual(school: School, seconds: float, *, standing: bool = False) -> Stance:
    """Return the usual stance as it is on the server at a moment."""
    now = NOW + timedelta(seconds=seconds)
    return school.stance(ServerId(SERVER), now, head_start=LONG, standing=standing)


def test_the_starts_on_many_servers_alone_speak_for_no_other_rule() -> None:
    """Each costs its start before it can earn anything; a rule that stays out has lost nothing yet."""
    school, head_start = School(), timedelta(minutes=20)
    for server in range(1, 31):
        school = learn(school, ServerId(server), 0.5, STAKES, NOW, half_life=LONG)
    assert earned(USUAL, school) == pytest.approx(-30 * 0.1 / 24)
    assert school.best(head_start=head_start) == USUAL
    # On one of them it has had its chance, and lost by it what the head start allows.
    for hour in range(6):
        for part, price in ((0.25, 5.0), (0.5, 0.5)):
            now = NOW + timedelta(hours=hour + part)
            school = learn(school, ServerId(1), price, STAKES, now, half_life=LONG)
    alone = School(
        earned=school.earned, at=school.at, servers={ServerId(1): school.servers[ServerId(1)]}
    )
    assert alone.best(head_start=head_start) != USUAL


def test_a_low_price_is_entered_at_once() -> None:
    """At half the value a day earns half of it, less the start."""
    school = watched([(0, 0.5), (24 * HOUR, 5.0)])
    assert earned(USUAL, school) == pytest.approx(1 - 0.501 - 0.1 / 24)


def test_a_price_near_the_value_is_entered_once_a_start_has_been_missed() -> None:
    """At 0.9 a start's 6 minutes of value are missed after an hour and a minute; the rest is earned."""
    gain = 1 - 0.901
    school = watched([(0, 0.9), (24 * HOUR, 5.0)])
    # What is missed while it waits is one start, and then one is paid.
    assert earned(USUAL, school) == pytest.approx(gain - 2 * 0.1 / 24)
    assert earned(Stance(0.75, 1.0, 2.0), school) == 0


def test_short_dips_near_the_value_lure_nobody_who_waits() -> None:
    """Fifty of them, half an hour each: who enters at once loses a start each time."""
    dips = [(n * HOUR + part, price) for n in range(50) for part, price in ((0, 0.9), (1800, 5.0))]
    school = watched(dips)
    assert earned(USUAL, school) == 0
    assert earned(Stance(0.0, 0.0, 1.0), school) == 0
    assert earned(Stance(0.95, 1.0, 2.0), school) < -0.05


def test_the_wait_is_over_when_it_was_said_to_be() -> None:
    """A creation to be paid makes it longer; a price above the value begins it anew."""
    school = watched([(0, 0.9)], Stakes(value=1.0, step=0.01, tick=0.001, fee=0.002, restart=0.1 / 24))
    until, longer = (0.1 / 24 / 0.099 * 86400, (0.1 / 24 + 0.002) / 0.099 * 86400)
    early = usual(school, until - 1, standing=True)
    assert not early.ripe
    assert early.ripe_at is not None
    assert early.ripe_at - NOW == pytest.approx(timedelta(seconds=until), abs=timedelta(milliseconds=1))
    assert usual(school, until + 1, standing=True).ripe
    assert not usual(school, longer - 1).ripe
    assert usual(school, longer + 1).ripe
    assert usual(watched([(0, 0.9), (9 * HOUR, 2.0)]), 10 * HOUR) == USUAL


def test_an_offer_that_would_run_again_on_bad_terms_is_given_up() -> None:
    """Raised to 0.9, outbid, and the rival back at 0.89 for a moment: no start is paid for that."""
    prices = [(0, 0.3), (HOUR, 0.9), (2 * HOUR, 3.0), (3 * HOUR, 0.89), (3 * HOUR + 60, 3.0)]
    stayer = Stance(0.5, 1.0, 2.0)
    assert earned(stayer, watched(prices)) == pytest.approx(
        earned(stayer, watched(prices[:3])), abs=1e-6
    )


def test_who_stays_out_is_followed_no_longer_once_a_low_price_stands_still() -> None:
    """Dips of any length taught it that; what others earn by the calm counts before the calm is over."""
    chance, seconds = Random(1), 0.0
    dips = []
    while seconds < 48 * HOUR:
        dips += [(seconds, 0.3), (begin := seconds + chance.expovariate(1 / 400), 9.0)]
        seconds = begin + 600
    head_start = timedelta(minutes=20)
    assert watched(dips).best(head_start=head_start) == Stance(0.0, 0.0, 1.0)
    calm = [(seconds + minute * 60, 0.3) for minute in range(24 * 60)]
    assert watched([*dips, *calm]).best(head_start=head_start) != Stance(0.0, 0.0, 1.0)


def test_a_walk_down_costs_a_rule_what_it_pays_meanwhile_though_the_price_stands_still() -> None:
    """Who creates anew pays at once, who walks pays for hours: that shows before the price moves on."""
    stakes = Stakes(value=1.0, step=0.01, tick=0.001, fee=0.08 / 24, restart=0.1 / 24)
    fall = [(0, 0.9), (4 * HOUR, 0.1), *((4 * HOUR + n * 60, 0.1) for n in range(1, 61))]
    walking, anew = Stance(1.0, 1.0, 1e9), Stance(1.0, 1.0, 1.0)
    first, later = watched(fall[:2], stakes), watched(fall, stakes)
    assert earned(walking, first) > earned(anew, first)
    assert earned(walking, later) < earned(anew, later)


def test_how_often_a_price_is_read_that_stands_still_changes_nothing_that_was_earned() -> None:
    """Reckoned with in between or at its end, it comes to the same."""
    changes = [(0, 0.9), (3 * HOUR, 0.2), (7 * HOUR, 0.95), (20 * HOUR, 0.4), (30 * HOUR, 5.0)]
    often = [
        (moment, price)
        for (begin, price), (end, _) in pairwise(changes)
        for moment in range(int(begin), int(end), 60)
    ]
    assert watched([*often, changes[-1]]).earned == pytest.approx(watched(changes).earned, abs=1e-4)


def test_rules_that_wait_stay_up_to_their_value() -> None:
    """What they left below it they would enter again at once: the dip goes on."""
    assert all(stance.stay == 1.0 for stance in STANCES if stance.wait != inf)
    assert len(set(STANCES)) == len(STANCES)


@given(st.lists(st.tuples(st.integers(1, 5000), st.floats(0.01, 3.0)), max_size=30))
def test_staying_out_is_never_worse_than_nothing(changes: list[tuple[int, float]]) -> None:
    """One rule earns nothing on any market: no market can drive the record of the best below that."""
    seconds, prices = 0, []
    for span, price in changes:
        prices.append((float(seconds), price))
        seconds += span
    school = watched(prices)
    assert earned(Stance(0.0, 0.0, 1.0), school) == 0
    assert max(school.earned) >= 0
