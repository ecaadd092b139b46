"""What a daemon has learnt by watching outlives it: the recorded history teaches it again."""

from dataclasses import replace
from datetime import timedelta
from decimal import Decimal

import pytest
from jobs import NAME, Run, begin, job, server

from bidder.demo.virtual import build_virtual
from bidder.domain.policy import AdaptiveParams
from bidder.wiring import App

AT_ONCE = AdaptiveParams(raise_wait=timedelta(0), head_start=timedelta(0))
# USD per day, the hour it begins and how many it lasts; the value is 2.
RIVALS = (
    *(("1.4", 0.15, 0.15), ("1.9", 0.4, 0.1), ("1.05", 0.6, 0.2)),
    *(("3", 0.9, 0.1), ("1.85", 1.05, 0.5)),
)


def killed_and_begun_again(run: Run) -> App:
    """Return the daemon that takes over a minute and a half after this one died, as it was."""
    run.clock.advance(90)
    return build_virtual(run.app.trader.policy, run.exchange, run.engine, run.clock)


def with_rivals(run: Run) -> Run:
    """Return the run with the day's rivals."""
    for price, begins, lasting in RIVALS:
        run.at(begins, lambda r, p=price, n=lasting: r.rival(p, lasting=n))  # type: ignore[misc]  # bound now
    return run


def test_what_adaptive_has_learnt_outlives_a_kill() -> None:
    """Each rule's earnings come out to half a minute of value; the same rule is best."""
    run = with_rivals(begin(replace(job(1, 9), params=AT_ONCE)))
    run.run(0.1)
    # From here on the creation fee is known: at first the daemon took it for nothing.
    run.app = killed_and_begun_again(run)
    run.run(1.2)
    before = run.app.trader.view.schools[NAME]

    after = killed_and_begun_again(run).trader.view.schools[NAME]

    assert max(before.earned) - min(before.earned) > 0.003, "the rules can be told apart"
    assert after.earned == pytest.approx(before.earned, abs=30 / 86400)
    assert after.best(head_start=timedelta(0)) == before.best(head_start=timedelta(0))
    (one,) = before.servers
    assert after.servers[one].rival == before.servers[one].rival
    assert after.servers[one].dip.gain == pytest.approx(before.servers[one].dip.gain)


def test_a_changed_value_is_learnt_from_the_same_history() -> None:
    """Another value is another measure: what was earned by the old one is not carried over."""
    run = with_rivals(begin(replace(job(1, 9), params=AT_ONCE)))
    run.run(0.35)
    trader = run.app.trader
    target = trader.policy.targets[0]
    more = replace(target.ceiling, price=target.ceiling.price.times(Decimal(2)))
    trader.policy = replace(trader.policy, targets=(replace(target, value=more, ceiling=more),))
    before = trader.view.schools[NAME]

    after = killed_and_begun_again(run).trader.view.schools[NAME]

    assert max(after.earned) > max(before.earned)


def test_what_a_job_has_seen_of_spells_outlives_a_kill() -> None:
    """As many spells as before, of the same length to a few minutes each."""
    run = begin(job(9, 40), server(), server(2, floor="2.5"))
    for begins in (0.2, 0.5, 0.8):
        run.at(begins, lambda r: r.rival("2.5", lasting=0.15))
    run.run(0.1)
    # Its first looks of all, before it had read anything, it took for a spell without servers.
    run.app = killed_and_begun_again(run)
    run.run(1)
    before = run.app.trader.view.outlooks[NAME].spells

    after = killed_and_begun_again(run).trader.view.outlooks[NAME].spells

    assert before.ups > 4.9, "the prior's two and three of its own"
    assert (after.ups, after.downs) == pytest.approx((before.ups, before.downs), abs=0.1)
    assert (after.mean_up, after.mean_down) == pytest.approx((before.mean_up, before.mean_down), abs=300)


@pytest.mark.parametrize("hours", [-1, 6])
def test_what_adaptive_has_learnt_outlives_a_jump_of_the_calendar(hours: int) -> None:
    """It has no date: what each rule has earned counts on from now."""
    run = with_rivals(begin(replace(job(1, 9), params=AT_ONCE)))
    run.run(1.2)
    before = run.app.trader.view.schools[NAME]
    run.clock.shift_wall(timedelta(hours=hours))
    run.run(0.02)
    assert run.app.trader.view.recalled_at is not None, "the jump was seen"
    after = run.app.trader.view.schools[NAME]
    (watched,) = before.servers.values()
    start = watched.dip.restart + watched.dip.fee
    assert max(before.earned) > 0.001
    for earned, known in zip(after.earned, before.earned, strict=True):
        # Where the server is looked at anew, a rule that runs there has paid for one more start.
        assert min(abs(earned - known), abs(earned - known + start)) < 0.0001


@pytest.mark.parametrize("hours", [-1, 6])
def test_what_a_job_has_seen_of_spells_outlives_a_jump_of_the_calendar(hours: int) -> None:
    """Only of the spell under way it is not known how long it lasts."""
    run = begin(job(9, 40), server(), server(2, floor="2.5"))
    for begins in (0.2, 0.5, 0.8):
        run.at(begins, lambda r: r.rival("2.5", lasting=0.15))
    run.run(1.1)
    before = run.app.trader.view.outlooks[NAME].spells
    run.clock.shift_wall(timedelta(hours=hours))
    run.run(0.02)
    assert run.app.trader.view.recalled_at is not None, "the jump was seen"
    after = run.app.trader.view.outlooks[NAME].spells
    assert before.ups > 4.9
    assert (after.ups, after.downs) == pytest.approx((before.ups, before.downs), abs=0.1)
    assert (after.mean_up, after.mean_down) == pytest.approx((before.mean_up, before.mean_down), abs=300)
