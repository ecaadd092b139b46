"""Regrets add up, and say what they are."""

from dataclasses import replace
from datetime import timedelta
from decimal import Decimal

import pytest
from builders import NOW
from hypothesis import given
from hypothesis import strategies as st

from bidder.domain.policy import Mode
from bidder.domain.regret import TOLD, Costly, Regret, Tally, headline, together

DAY = timedelta(days=1)
AMOUNTS = st.decimals(min_value=0, max_value=1000, places=6)
HOURS = st.integers(0, 24).map(lambda hours: timedelta(hours=hours))


def tallies() -> st.SearchStrategy[Tally]:
    """Return any tally."""
    return st.builds(Tally, held=HOURS, paid=AMOUNTS, starts=st.integers(0, 9), worth=AMOUNTS)


@st.composite
def regrets(draw: st.DrawFn) -> Regret:
    """Return a regret of some day with some costly decisions."""
    begin = NOW + draw(st.integers(0, 5)) * DAY
    costs = draw(st.lists(AMOUNTS, max_size=TOLD))
    return Regret(
        begin=begin,
        end=begin + DAY,
        mode=draw(st.sampled_from(Mode)),
        target=draw(st.sampled_from(("a", "b"))),
        wanted=draw(HOURS),
        unwatched=draw(HOURS),
        ours=draw(tallies()),
        best=draw(tallies()),
        costly=tuple(
            Costly(at=begin, target="a", sentence="", better="", usd=usd)
            for usd in sorted(costs, reverse=True)
        ),
    )


@given(st.lists(regrets(), max_size=8))
def test_sums_lose_nothing_and_never_mix_paper_with_money(found: list[Regret]) -> None:
    """Whatever the order, each mode's sum is that of its parts, and the worst decisions are told."""
    for mode in Mode:
        parts = [regret for regret in found if regret.mode is mode]
        whole = [regret for regret in together(found, target="all") if regret.mode is mode]
        assert len(whole) == bool(parts)
        for each in whole:
            assert each.usd == sum(part.usd for part in parts)
            assert each.ours.paid == sum(part.ours.paid for part in parts)
            assert each.wanted == sum((part.wanted for part in parts), timedelta(0))
            costs = sorted((c.usd for part in parts for c in part.costly), reverse=True)
            assert [c.usd for c in each.costly] == costs[:TOLD]
        again = [r for r in together(reversed(found), target="all") if r.mode is mode]
        assert [each.ours for each in again] == [each.ours for each in whole]


def regret(ours: Tally, best: Tally, wanted: timedelta = DAY) -> Regret:
    """Return the regret of a day."""
    return Regret(
        begin=NOW, end=NOW + DAY, mode=Mode.LIVE, target="a", wanted=wanted, ours=ours, best=best
    )


@pytest.mark.parametrize(
    ("found", "said"),
    [
        (
            regret(
                Tally(held=DAY / 2, paid=Decimal(3)), Tally(held=DAY, paid=Decimal(4), worth=Decimal(1))
            ),
            "paid 1.500 times the optimum at 50.0% of the time held (100.0% would have been best)",
        ),
        (
            regret(Tally(), Tally(held=DAY, paid=Decimal(4), worth=Decimal(1))),
            "nothing ran; the best would have held 100.0% of the time",
        ),
        (
            regret(Tally(held=DAY, paid=Decimal(3), worth=Decimal(-1)), Tally()),
            "what ran was not worth its starts at 100.0% of the time held (0.0% would have been best)",
        ),
        (
            regret(Tally(), Tally(), timedelta(0)),
            "nothing was watched, so nothing can be said",
        ),
    ],
)
def test_each_outcome_has_its_sentence(found: Regret, said: str) -> None:
    """Also where there is no ratio."""
    lost = ": 1.0000 USD of worth were lost" if found.wanted else ""
    assert headline(found) == said + lost


def test_a_sum_compares_each_strategy_with_its_own_best_price() -> None:
    """Two that paid exactly the optimum's prices did so together, however much of each was held."""
    dear = regret(Tally(held=DAY / 2, paid=Decimal(5)), Tally(held=DAY, paid=Decimal(10)))
    cheap = regret(Tally(held=DAY, paid=Decimal(1)), Tally(held=DAY, paid=Decimal(1)))
    twice = replace(cheap, ours=Tally(held=DAY, paid=Decimal(2)))
    idle = regret(Tally(), Tally(held=DAY, paid=Decimal(4)))

    assert [each.paid_ratio for each in together((dear, cheap), target="all")] == [1.0]
    (whole,) = together((idle, dear, twice, idle), target="all")
    assert whole.paid_ratio == pytest.approx(7 / 6)
    assert together((idle, idle), target="all")[0].paid_ratio is None
