"""What the judges make of the exchange's own book by themselves."""

from bidder.chaos.judging import at_war
from bidder.domain.policy import TrackParams
from bidder.sim.moments import MINUTE

PARAMS = TrackParams()  # six raises within twenty minutes, then half an hour of peace
QUICK = [n * 3 * MINUTE for n in range(6)]


def test_so_many_raises_within_the_window_are_a_war_until_the_pause_is_over() -> None:
    """The sixth came after fifteen minutes; half an hour later it is over."""
    assert at_war(PARAMS, QUICK, 15 * MINUTE)
    assert at_war(PARAMS, QUICK, 45 * MINUTE - 1)
    assert not at_war(PARAMS, QUICK, 45 * MINUTE)


def test_fewer_or_slower_raises_are_none() -> None:
    """Five of them, or six in exactly the window."""
    assert not at_war(PARAMS, QUICK[:5], 15 * MINUTE)
    assert not at_war(PARAMS, [n * 4 * MINUTE for n in range(6)], 20 * MINUTE)
