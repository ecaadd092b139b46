"""What a rule is said to have earned is what it does earn, by the daemon's own decisions."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from bidder.backtest import runner
from bidder.backtest.terms import Terms
from bidder.domain.ids import ServerId
from bidder.domain.policy import AdaptiveParams
from bidder.domain.stances import School, Stakes, learn

START = datetime(2026, 1, 1, tzinfo=UTC)
TERMS = Terms(value=Decimal("0.1"), step=Decimal("0.001"), tick=Decimal("0.0001"))
LONG = timedelta(days=10**8)
# Nobody enters at ten times the value: a trace that ends there ends all earning.
OVER = Decimal(1)
STRETCHES = st.lists(
    st.tuples(st.integers(1, 90), st.integers(10, 140)), min_size=1, max_size=25
)  # minutes, and per mille of 1 USD


@settings(max_examples=40, deadline=None)
@given(STRETCHES)
# A way down of whole steps, which in floats is a little longer.
@example([(1, 10), (1, 84), (1, 53)])
def test_the_usual_rule_earns_what_its_shadow_does(stretches: list[tuple[int, int]]) -> None:
    """Entering, waiting, raising, walking down and creating anew, on any market."""
    points = [Decimal(price) / 1000 for minutes, price in stretches for _ in range(minutes)]
    params = AdaptiveParams(raise_wait=timedelta(0), confirm=False, head_start=LONG)
    run = runner.play("usual", params, [*points, OVER], START, TERMS)
    school = School()
    for number, point in enumerate([*points, OVER]):
        at = START + number * TERMS.grid
        school = learn(school, ServerId(1), float(point) * 24, _stakes(), at, half_life=LONG)
    worth = float(TERMS.value) * 24
    assert run.utility == pytest.approx(school.earned[0] * worth, abs=2e-6)


def _stakes() -> Stakes:
    return Stakes(
        value=float(TERMS.value) * 24,
        step=float(TERMS.step) * 24,
        tick=float(TERMS.tick) * 24,
        fee=float(TERMS.creation_fee),
        restart=float(TERMS.restart_hours) / 24,
    )
