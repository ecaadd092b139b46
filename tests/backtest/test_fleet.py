"""One place and several servers: never beaten by any schedule, and as good as one."""

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from random import Random

import pytest

from bidder.backtest.fleet import NOTHING, Fleet, State, ticked
from bidder.backtest.ladder import Ladder, uniform
from bidder.backtest.optimum import optimum
from bidder.backtest.terms import Terms

TERMS = Terms(
    value=Decimal(6),
    step=Decimal(2),
    tick=Decimal(1),
    restart_hours=Decimal("0.02"),
    creation_fee=Decimal("0.01"),
    pause=timedelta(seconds=120),
    grid=timedelta(seconds=60),
)


def markets(chance: Random, servers: int, moments: int) -> list[list[Decimal]]:
    """Return prices of some servers."""
    return [[Decimal(chance.randint(0, 6)) for _ in range(moments)] for _ in range(servers)]


def fleet(prices: Sequence[Sequence[Decimal]], terms: Terms = TERMS) -> Fleet:
    """Return the servers with these prices as one place."""
    return Fleet([uniform(each, terms) for each in prices], len(prices[0]))


def best_by_trying(ladders: Sequence[Ladder], state: State, moment: int, moments: int) -> float:
    """Return what the best of all choices earns from here, tried one by one."""
    if moment == moments:
        return 0.0
    found = [best_by_trying(ladders, NOTHING, moment + 1, moments)]
    for number, ladder in enumerate(ladders):
        for level in range(ladder.count):
            fresh = State(number, level, ladder.after_creation)
            found.append(_after(ladders, fresh, state, moment, moments, creates=True))
            if state.server == number and _allowed(ladder, state, level):
                raised = level > state.level and ladder.raise_starts
                clock = ladder.pause if level < state.level or raised else state.clock
                to = State(number, level, clock)
                found.append(_after(ladders, to, state, moment, moments, creates=False))
    return max(found)


def _allowed(ladder: Ladder, state: State, level: int) -> bool:
    return level >= state.level or (state.clock == 0 and level >= ladder.lower[state.level])


def _after(
    ladders: Sequence[Ladder], to: State, state: State, moment: int, moments: int, *, creates: bool
) -> float:
    ladder = ladders[to.server]
    runs = to.level >= ladder.runs_from[moment]
    ran = not creates and moment > 0 and state.level >= ladder.runs_from[moment - 1]
    cost = (ladder.fee if creates else 0.0) + (ladder.start_cost if runs and not ran else 0.0)
    gain = ladder.earned(moment, to.level)
    return gain - cost + best_by_trying(ladders, ticked(to), moment + 1, moments)


@pytest.mark.parametrize("clocks", [False, True])
@pytest.mark.parametrize("seed", range(4))
def test_no_schedule_over_two_servers_earns_more_and_one_earns_as_much(seed: int, clocks: bool) -> None:
    """Against every legal choice on three moments, moves between servers included."""
    prices = markets(Random(seed), servers=2, moments=3)
    several = fleet(prices, replace(TERMS, creation_starts_clock=clocks, raise_starts_clock=clocks))
    first = next(several.looks())
    tried = best_by_trying(several.ladders, NOTHING, 0, 3)
    assert first.before.none == pytest.approx(max(tried, 0.0), abs=1e-9)


@pytest.mark.parametrize("seed", range(6))
def test_a_single_server_is_the_optimum_of_its_own_ladder(seed: int) -> None:
    """And a second server only ever helps."""
    one, other = markets(Random(seed), servers=2, moments=60)
    alone = next(fleet([one]).looks()).before.none
    assert alone == pytest.approx(optimum(one, TERMS).utility, abs=1e-9)
    assert next(fleet([one, other]).looks()).before.none >= alone - 1e-9


def _losses(several: Fleet, states: Sequence[State], earned: Sequence[float]) -> Iterator[float]:
    for look in several.looks():
        now, then = states[look.moment], states[look.moment + 1]
        yield look.before.of(now) - earned[look.moment] - look.after.of(then)


@pytest.mark.parametrize("clocks", [False, True])
@pytest.mark.parametrize("seed", range(6))
def test_losses_add_up_to_the_regret_and_the_best_way_loses_nothing(seed: int, clocks: bool) -> None:
    """Moment by moment, for who does nothing and for who always chooses best."""
    terms = replace(TERMS, creation_starts_clock=clocks, raise_starts_clock=clocks)
    several = fleet(markets(Random(seed), servers=3, moments=50), terms)
    best = next(several.looks()).before.none
    idle = list(_losses(several, [NOTHING] * 51, [0.0] * 50))
    assert sum(idle) == pytest.approx(best, abs=1e-9)
    assert min(idle) >= -1e-9
    states, earned = [NOTHING], []
    for look in several.looks():
        move, before = look.best(states[-1]), states[-1]
        gain = 0.0
        if move.to.server >= 0:
            ladder = several.ladders[move.to.server]
            ran = not move.creates and before.level >= ladder.ran_from(look.moment)
            starts = move.to.level >= ladder.runs_from[look.moment] and not ran
            gain = ladder.earned(look.moment, move.to.level) - ladder.start_cost * starts
            gain -= ladder.fee * move.creates
        earned.append(gain)
        states.append(ticked(move.to))
    assert sum(earned) == pytest.approx(best, abs=1e-9)
    assert max(map(abs, _losses(several, states, earned))) < 1e-9


def test_without_a_server_nothing_is_earned() -> None:
    """A span in which no server fits is worth nothing, and lasts as long as any other."""
    looks = list(Fleet([], 40).looks())
    assert len(looks) == 40
    assert {look.before.of(NOTHING) for look in looks} == {0.0}
    assert all(look.best(NOTHING).to == NOTHING for look in itertools.islice(looks, 3))
