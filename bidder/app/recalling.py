"""What a daemon knows when it starts, or when the calendar has jumped under it: what is on disk.

What is on disk may be older than it looks (a restored backup) and its times may be another clock's.
So nothing is concluded from how long ago something was: each request whose outcome is open counts as
sent just now, and after a gap each lowering clock counts as started just now, and our orders are read
for a while before any is added to them.
"""

from dataclasses import replace
from datetime import datetime, timedelta
from decimal import Decimal

from bidder.app import pulses
from bidder.domain import price_rules, workloads
from bidder.domain.fold import bills
from bidder.domain.intents import Intent
from bidder.domain.money import Currency, Rates
from bidder.domain.pacing import Multiplier
from bidder.domain.policy import Mode, Policy
from bidder.domain.price_rules import ClockRules, LoweringClock
from bidder.domain.stances import School
from bidder.domain.view import Holding, RateDoubt, View
from bidder.store.records import Memory

# By less than this the calendar may have been corrected while nobody looked: more is a jump.
_SLIPPED = timedelta(seconds=5)
# A daemon that ran until just now has written down within this time what it did.
_UNBROKEN = timedelta(minutes=2)


def recalled(
    memory: Memory, policy: Policy, now: datetime, *, unbroken_for: timedelta = _UNBROKEN
) -> View:
    """Return the view with which a daemon starts: what it remembers, and nothing it must look up.

    Every unfinished intent counts as in doubt: start-up is recovery. Where the latest pass is older
    than ``unbroken_for``, each lowering clock counts as started just now.
    """
    last = memory.last_pass_at
    unbroken = last is not None and timedelta(0) <= now - last <= unbroken_for
    rates = memory.rates.over(policy.static_rates)
    held = (_holding(each, memory.rules, rates, now, unbroken=unbroken) for each in memory.holdings)
    closing = {
        order: replace(each, cost=bills.cost_brought_back(each, rates, now))
        for order, each in memory.closing.items()
    }
    return View(
        holdings={holding.order.order: holding for holding in held},
        intents=tuple(_intent(intent, now) for intent in memory.intents),
        ended=memory.ended,
        unbooked=memory.unbooked,
        computed=memory.computed,
        closing=closing,
        spent=memory.spent,
        multipliers={key: Multiplier(value=value) for key, value in memory.multipliers.items()},
        rules=memory.rules,
        steps=memory.steps,
        creations=tuple(replace(each, at=min(each.at, now)) for each in memory.creations),
        raises=tuple(replace(each, at=min(each.at, now)) for each in memory.raises),
        replaced=tuple(replace(each, at=min(each.at, now)) for each in memory.replaced),
        pulses={order: each.pulse for order, each in pulses.taken_up(memory, policy, now).items()},
        wallets={},
        rates=rates,
        doubted={
            currency: RateDoubt(since=now, recalled=True)
            for currency in memory.rates.usd_per_unit
            if currency != Currency.USD
        },
        creation_fee_usd=memory.creation_fee_usd or Decimal(0),
        order_limit=memory.order_limit,
        recalled_at=_recalled_at(memory, policy, now, unbroken=unbroken),
        begun_anew=last is None,
        lost=memory.lost,
        cancelled={o: replace(each, at=min(each.at, now)) for o, each in memory.cancelled.items()},
        paused=memory.paused,
    )


def read_again(memory: Memory, known: View, policy: Policy, now: datetime) -> View:
    """Return the view after the database has failed: what is on disk, and what this process knows.

    Which requests are open and which orders there are is the disk's word: a commit may be kept although
    it was called failed. What was learnt from watching or from a refusal, and is nowhere to be read
    again, stays. So does what was seen of the orders' clocks: this process has never stopped counting,
    and each failure would put them off once more.
    """
    restarted = recalled(memory, policy, now)
    stored = {holding.order.order: holding.clock for holding in memory.holdings}
    lacking = known.holdings.keys() - stored.keys() - memory.ended.keys()
    holdings = {
        order: replace(holding, clock=_latest(known.holdings[order].clock, stored[order], now))
        if order in known.holdings
        else holding
        for order, holding in restarted.holdings.items()
    }
    return replace(
        restarted,
        holdings=holdings,
        # A database that lacks an order may have been put back to an older one meanwhile.
        recalled_at=now if lacking else known.recalled_at,
        rates=known.rates,
        doubted=known.doubted,
        schools=known.schools,
        outlooks=known.outlooks,
        setbacks=known.setbacks,
        in_vain=known.in_vain,
        unread=known.unread,
    )


def after_jump(memory: Memory, known: View, policy: Policy, now: datetime) -> View:
    """Return the view after the calendar has jumped: what is on disk, and what has no date.

    Each lowering clock counts as started just now, and how long a workload is dead, or a rival stood,
    was counted by another calendar. What was learnt from all that was watched stays.
    """
    restarted = recalled(memory, policy, now)
    clocks = {
        order: replace(h, clock=replace(h.clock, opens_at=now + price_rules.LOWERING_PAUSE))
        for order, h in restarted.holdings.items()
    }
    schools = {
        target: School(earned=each.earned, at=now.timestamp()) for target, each in known.schools.items()
    }
    outlooks = {
        target: replace(each, looked_at=now, spells=replace(each.spells, last=None))
        for target, each in known.outlooks.items()
    }
    return replace(restarted, holdings=clocks, pulses={}, schools=schools, outlooks=outlooks)


def told_dead(memory: Memory, policy: Policy, now: datetime) -> workloads.Told:
    """Return the dead workloads of which the owner was told, so that he is not told by each restart."""
    found = pulses.taken_up(memory, policy, now)
    return {order: each.told for order, each in found.items() if each.told is not None}


def _recalled_at(memory: Memory, policy: Policy, now: datetime, *, unbroken: bool) -> datetime | None:
    """Return since when the memory in use may be out of date; a crash within the wait ends no wait."""
    if policy.mode is Mode.PAPER:
        return None  # orders on paper are in this database or nowhere
    if not unbroken:
        return now
    return None if memory.recalled_at is None else min(memory.recalled_at, now)


def _holding(
    holding: Holding, rules: ClockRules, rates: Rates, now: datetime, *, unbroken: bool
) -> Holding:
    clock = holding.clock
    # Dated ahead by another calendar, an event would keep a price from moving until that moment comes.
    clock = replace(
        clock,
        created_at=_come(clock.created_at, now),
        raised_at=_come(clock.raised_at, now),
        lowered_at=_come(clock.lowered_at, now),
    )
    opens_at = price_rules.next_lowering_at(clock, rules)
    if opens_at is not None and opens_at > now:
        clock = replace(clock, opens_at=opens_at + _SLIPPED)
    if not unbroken:
        # Somebody may have lowered it since: another life of ours, before a backup was restored.
        clock = replace(clock, opens_at=now + price_rules.LOWERING_PAUSE)
    return replace(
        holding,
        active=None,
        clock=clock,
        first_seen_at=min(holding.first_seen_at, now),
        last_seen_at=min(holding.last_seen_at, now),
        outbid_since=_come(holding.outbid_since, now),
        missing_since=None,
        missing_reads=0,
        cost=bills.cost_brought_back(holding, rates, now),
    )


def _latest(known: LoweringClock, stored: LoweringClock, now: datetime) -> LoweringClock:
    """Return the clock with the later of each moment: what is on disk may be the newer word."""

    def later(one: datetime | None, other: datetime | None) -> datetime | None:
        return max((at for at in (one, other) if at is not None), default=None)

    return LoweringClock(
        created_at=later(known.created_at, _come(stored.created_at, now)),
        raised_at=later(known.raised_at, _come(stored.raised_at, now)),
        lowered_at=later(known.lowered_at, _come(stored.lowered_at, now)),
        opens_at=later(known.opens_at, stored.opens_at),
    )


def _come(at: datetime | None, now: datetime) -> datetime | None:
    """Return a moment that was, and now for one that is still to come."""
    return None if at is None else min(at, now)


def _intent(intent: Intent, now: datetime) -> Intent:
    return replace(intent, opened_at=min(intent.opened_at, now), ended_at=now)
