"""That each invariant can fail: every one is broken on purpose, and seen to be caught.

A check that has never failed proves nothing. A mutation is a mistake in the daemon, played on the seeds
that show it until the first violation; each invariant needs one at least.
"""

from collections.abc import Callable, Iterable, Sequence
from contextlib import nullcontext, suppress
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
import structlog
from mutants import caught
from sqlalchemy import delete, select

from bidder.app import recording
from bidder.app.executor import Executor
from bidder.app.trading import Trader
from bidder.chaos.day import ChaosDay
from bidder.chaos.invariants import INVARIANTS
from bidder.chaos.kinds import Scripted
from bidder.domain import evidence, fold, guard, intents, planning, positions, price_rules, selection
from bidder.domain.actions import Decision, Reason, RentOnDemand, Reprice
from bidder.domain.fold import orders_read
from bidder.domain.intents import Intent, OrdersRead, Settled, Verdict
from bidder.domain.money import Price
from bidder.domain.policy import Ceiling, Policy, Retention
from bidder.domain.price_rules import ClockRules, LoweringClock
from bidder.errors import InDoubt, LeaseHeld, StoreFailed
from bidder.exchange import answers, limiter
from bidder.store import housekeeping, rows, tables
from bidder.store.lease import Lease
from bidder.store.store import Store
from bidder.telemetry import Redactor

Patch = pytest.MonkeyPatch
TWICE = (Scripted(kind="delivered twice", endpoint="create_order"),)


@dataclass(frozen=True, kw_only=True)
class Mutation:
    """A mistake, and the days on which it shows."""

    breaks: str
    how: Callable[[Patch], None]
    seeds: Sequence[int] = (3,)
    days: float = 0.05
    script: tuple[Scripted, ...] | None = None


def hurry(patch: Patch) -> None:
    """Half a second between requests instead of a whole one."""
    patch.setattr(limiter, "SPACING", 0.5)


def dear_by_a_twentieth(patch: Patch) -> None:
    """A ceiling that is off by 5 %, for the strategy and for the rail alike."""
    original = Ceiling.for_server

    def lax(self: Ceiling, gpus: int, currency: Any, rates: Any) -> Price:
        return original(self, gpus, currency, rates).times(Decimal("1.05"))

    patch.setattr(Ceiling, "for_server", lax)


def raise_whatever_it_takes(patch: Patch) -> None:
    """New bids keep to the ceiling, raises do not."""
    original = positions._limits

    def unlimited(*arguments: Any) -> Any:
        ceiling, cap = original(*arguments)
        return ceiling, None if cap is None else cap.times(Decimal(100))

    patch.setattr(positions, "_limits", unlimited)
    stopped = guard._repricing

    def lax(action: Reprice, *others: Any) -> Any:
        return stopped(action, *others) if action.lowers else None

    patch.setattr(guard, "_repricing", lax)


def lower_half_a_minute_early(patch: Patch) -> None:
    """The 600 seconds taken for 570."""
    original = price_rules.next_lowering_at

    def early(*arguments: Any) -> Any:
        opens_at = original(*arguments)
        return None if opens_at is None else opens_at - timedelta(seconds=30)

    patch.setattr(price_rules, "next_lowering_at", early)


def count_from_the_raise(patch: Patch) -> None:
    """The 600 seconds counted from the last raise, whatever was lowered since."""

    def from_the_raise(clock: LoweringClock, rules: ClockRules) -> datetime | None:
        return None if clock.raised_at is None else clock.raised_at + price_rules.LOWERING_PAUSE

    patch.setattr(price_rules, "next_lowering_at", from_the_raise)


def forget_intents(patch: Patch) -> None:
    """What was sent counts as not sent as soon as there is any doubt."""

    def forgetful(intents: Iterable[Intent], *_: Any, **__: Any) -> tuple[Verdict, ...]:
        return ()

    patch.setattr(fold, "opened", lambda view, intent, now: view)
    patch.setattr(fold, "answered", lambda view, intent: view)
    patch.setattr("bidder.domain.intents.settle", forgetful)
    patch.setattr(guard, "_too_many", lambda view, policy: None)
    # Nor is an order that looks like one of its own anything to it.
    patch.setattr(planning, "unexplained", lambda *_: ())
    patch.setattr(guard, "unexplained", lambda *_: ())


def round_the_spend(patch: Patch) -> None:
    """What was spent, to six places instead of all of them."""
    original = rows.order_values

    def rounding(*arguments: Any) -> dict[str, Any]:
        values = original(*arguments)
        return {**values, "spend": round(values["spend"], 6)}

    patch.setattr(rows, "order_values", rounding)


def tidy_orders_away(patch: Patch) -> None:
    """Orders that ended go with the rest of the history, and with them what they cost."""
    original = housekeeping.tidy

    def thorough(connection: Any, account: str, now: datetime, keep: Retention) -> bool:
        orders, prices = tables.orders, tables.order_prices
        ended = orders.c.ended_at < now
        past = select(orders.c.order_id).where(ended)
        connection.execute(delete(prices).where(prices.c.order_id.in_(past)))
        connection.execute(delete(orders).where(ended))
        return original(connection, account, now, keep)

    patch.setattr(housekeeping, "tidy", thorough)


def log_the_launch(patch: Patch) -> None:
    """A careless line in the log, and nothing that blacks it out."""
    original = Executor._write_down

    def careless(self: Executor, action: Any, view: Any) -> Intent:
        launch = getattr(action, "launch", None)
        if launch is not None:
            structlog.get_logger("bidder").debug("launching", what=launch.command)
        return original(self, action, view)

    patch.setattr(Executor, "_write_down", careless)
    patch.setattr(Redactor, "__call__", lambda self, logger, method, event: event)


def keep_the_launch(patch: Patch) -> None:
    """The configuration of a decision with what is secret, in a database that is restored later."""
    original = evidence.configuration

    def careless(policy: Policy) -> str:
        if policy.adopt:  # as it is after the restore
            return original(policy)
        return original(policy) + str(policy.targets[0].launch.command)

    patch.setattr(evidence, "configuration", careless)


def adopt_every_order(patch: Patch) -> None:
    """Whatever is on the list is the daemon's, whoever made it and wherever it runs."""
    original = fold.orders

    def greedy(view: Any, read: Any, verdicts: Any, policy: Policy, now: datetime) -> Any:
        return original(view, read, verdicts, replace(policy, adopt=True), now)

    patch.setattr(fold, "orders", greedy)
    patch.setattr(orders_read, "_adopting_target", lambda *others: others[-1].targets[0].name)


def stay_paused(patch: Patch) -> None:
    """Nothing is ever bid for."""
    patch.setattr(guard, "_paused", lambda view: (Reason.PAUSED, {}))


def say_that_nothing_fits(patch: Patch) -> None:
    """The exchange knows better: what the targets want can be had."""

    def idle(target: Any, *_: Any, **__: Any) -> Decision:
        return Decision(target=target.name, reason=Reason.NO_CANDIDATE)

    patch.setattr(planning, "_fill", idle)


def keep_quiet(patch: Patch) -> None:
    """It stops, and nobody is told that a person is needed."""
    patch.setattr("bidder.app.alarms.causes", lambda *_, **__: ())


def decide_wrongly(patch: Patch) -> None:
    """A mistake of ours in the middle of deciding."""

    def mistaken(*_: Any) -> Any:
        raise KeyError("no such thing")

    patch.setattr(planning, "_for_target", mistaken)


def forget_the_dollar_rail(patch: Patch) -> None:
    """The owner allows less than the ceilings would; seeds divisible by three have such a rail."""
    patch.setattr(guard, "_over_budget", lambda *_: None)


def count_no_orders(patch: Patch) -> None:
    """One order fewer is allowed than the targets want."""
    patch.setattr(guard, "_too_many", lambda *_: None)


def rent_without_rails(patch: Patch) -> None:
    """A job rents on demand beyond what the owner allows in all."""
    original = guard.apply

    def lax(decision: Decision, *others: Any) -> Decision:
        if isinstance(decision.action, RentOnDemand):
            return decision
        return original(decision, *others)

    patch.setattr(guard, "apply", lax)


def log_nothing(patch: Patch) -> None:
    """The alarm is raised, and its line is not written."""
    patch.setattr("bidder.app.recording._log", lambda *_: None)


def tell_nobody(patch: Patch) -> None:
    """The line is written, and no notice goes out."""
    patch.setattr("bidder.app.telling._alarms", lambda *_: ())


def give_up_too_soon(patch: Patch) -> None:
    """One empty read, and it counts as never made; the order runs and is paid all the same."""
    settle = intents.settle

    def hasty(found: Iterable[Intent], read: OrdersRead, *, grace: timedelta) -> tuple[Verdict, ...]:
        return settle(found, read, grace=min(grace, timedelta(0)))

    patch.setattr(intents, "EMPTY_READS", 0)
    patch.setattr(intents.Intent, "lost_at", lambda intent, _: intent.over_since())
    patch.setattr(intents, "settle", hasty)


def share_the_lease(patch: Patch) -> None:
    """A second daemon starts beside a living one."""
    patch.setattr("bidder.store.lease.held_until", lambda *_, **__: None)
    patch.setattr(Lease, "renew", lambda self, now: None)


def write_without_the_lease(patch: Patch) -> None:
    """Whoever slept in the middle of a pass writes on although another one trades."""
    patch.setattr("bidder.store.store.require_lease", lambda *_: None)


def never_tidy(patch: Patch) -> None:
    """The database grows for ever."""
    patch.setattr(Store, "tidy", lambda *_: False)


def tidy_all_but_prices(patch: Patch) -> None:
    """One table is forgotten."""
    original = housekeeping._past

    def partly(*arguments: Any) -> Any:
        return [(table, past) for table, past in original(*arguments) if table.name != "order_prices"]

    patch.setattr(housekeeping, "_past", partly)


def hoard_in_a_module(patch: Patch) -> None:
    """Every report that was ever made is kept, beyond the daemon's own end."""
    original = recording.Recorder.record
    hoard: list[Any] = []

    def hoarding(self: recording.Recorder, report: Any, *others: Any, **named: Any) -> None:
        hoard.append(report)
        original(self, report, *others, **named)

    patch.setattr(recording.Recorder, "record", hoarding)
    patch.setattr(recording, "_hoard", hoard, raising=False)


def hoard_in_the_daemon(patch: Patch) -> None:
    """What was said last is remembered for each pass there ever was."""
    original = recording.Recorder.record

    def hoarding(self: recording.Recorder, report: Any, *others: Any, **named: Any) -> None:
        original(self, report, *others, **named)
        vars(named["store"]).setdefault("hoard", []).append(report)

    patch.setattr(recording.Recorder, "record", hoarding)


def take_doubt_for_an_order(patch: Patch) -> None:
    """A 502 to a creation is a yes, and after a yes the order is waited for however long it takes."""
    check, settle = answers.check, intents.settle

    def gullible(endpoint: str, *others: Any) -> None:
        with suppress(InDoubt) if endpoint == "create_order" else nullcontext():
            check(endpoint, *others)

    def trusting(found: Iterable[Intent], read: OrdersRead, *, grace: timedelta) -> tuple[Verdict, ...]:
        return tuple(
            replace(verdict, settled=Settled.UNKNOWN)
            if verdict.intent.accepted and verdict.settled is Settled.LOST
            else verdict
            for verdict in settle(found, read, grace=grace)
        )

    patch.setattr(answers, "check", gullible)
    patch.setattr(intents, "settle", trusting)


def never_slow_down(patch: Patch) -> None:
    """A refusal that names no pause asks for one all the same."""
    patch.setattr(limiter, "_FIRST_MARGIN", 0.0)


def never_get_the_lease(patch: Patch) -> None:
    """Each pass waits for a daemon that there is not."""

    async def waiting(_: Trader) -> Any:
        raise LeaseHeld("another daemon trades")

    patch.setattr(Trader, "run_pass", waiting)


def fail_to_record(patch: Patch) -> None:
    """The database refuses each pass, and nothing ails it."""

    def failing(*_: Any, **__: Any) -> None:
        raise StoreFailed("the database refused")

    patch.setattr(recording.Recorder, "record", failing)


def pass_and_never_sleep(patch: Patch) -> None:
    """What is left to wait is too short for any sleep, for ever."""
    patch.setattr(Trader, "_wait", lambda _: 1e-12)


def count_by_the_calendar(patch: Patch) -> None:
    """A calendar that is put forward a little opens the lowering clocks too early."""
    patch.setattr("bidder.app.trading._SLEWED", timedelta(days=1))


def trust_what_was_called_failed(patch: Patch) -> None:
    """A commit that is kept and called failed is taken for undone."""
    patch.setattr(Trader, "_mind_the_database", lambda _: None)


def never_raise(patch: Patch) -> None:
    """What is outbid stays so."""
    original = guard.apply

    def lowering_only(decision: Decision, *others: Any) -> Decision:
        if isinstance(decision.action, Reprice) and not decision.action.lowers:
            return replace(decision, action=None)
        return original(decision, *others)

    patch.setattr(guard, "apply", lowering_only)


def hold_the_dead(patch: Patch) -> None:
    """An order that is over, or out of the list, still counts as held."""
    original = Trader._decide
    kept: dict[Any, Any] = {}

    def deluded(self: Trader, *arguments: Any, **named: Any) -> Any:
        kept.update(self.view.holdings)
        self.view = replace(self.view, holdings={**kept, **self.view.holdings})
        return original(self, *arguments, **named)

    patch.setattr(Trader, "_decide", deluded)


def order_anywhere(patch: Patch) -> None:
    """Whatever the owner asks of a server."""
    patch.setattr(selection, "qualifies", lambda *_: True)
    patch.setattr(selection, "_model_matches", lambda *_, **__: True)


LOST = Scripted(kind="time-out, executed", endpoint="create_order", times=6)
RESTORED = (Scripted(kind="database restored", at_seconds=2000),)
SECOND = (Scripted(kind="second daemon", at_seconds=600),)
OVERTAKEN = tuple(
    Scripted(kind="second daemon takes over in mid-pass", at_seconds=60 + 300 * turn)
    for turn in range(4)
)
OVER_LIMIT = (Scripted(kind="code 5", times=12),)
SPIKES = tuple(Scripted(kind="rivals spike", at_seconds=300 + 900 * turn) for turn in range(5))
NOT_MADE = (Scripted(kind="html 502", endpoint="create_order", executed=False),)

SLIPS = (
    *(Scripted(kind="rivals spike", at_seconds=at) for at in (300, 600)),
    *(Scripted(kind="clock slips", at_seconds=at) for at in range(1500, 8000, 610)),
)
UNANSWERED = tuple(Scripted(kind="commit unanswered", at_seconds=120 * turn) for turn in range(1, 20))

MUTATIONS = (
    Mutation(breaks="pace", how=hurry, days=0.1),
    Mutation(breaks="back-off", how=never_slow_down, days=0.01, script=OVER_LIMIT),
    Mutation(breaks="ceiling", how=dear_by_a_twentieth, seeds=(3, 5, 8), script=SPIKES),
    Mutation(breaks="ceiling", how=raise_whatever_it_takes, script=SPIKES),
    Mutation(breaks="lowering clock", how=lower_half_a_minute_early, script=SPIKES),
    Mutation(breaks="lowering clock", how=count_from_the_raise, script=SPIKES),
    Mutation(breaks="lowering clock", how=count_by_the_calendar, days=0.1, script=SLIPS),
    Mutation(breaks="one order for a slot", how=forget_intents, seeds=(5,), days=0.1),
    Mutation(breaks="no lost order", how=give_up_too_soon, seeds=(5, 8, 11), script=(LOST,)),
    Mutation(breaks="one writer", how=share_the_lease, script=SECOND),
    Mutation(breaks="one writer", how=write_without_the_lease, days=0.02, script=OVERTAKEN),
    Mutation(breaks="money", how=round_the_spend, seeds=(7,), days=0.2),
    Mutation(breaks="money", how=tidy_orders_away, seeds=(7, 3, 12), days=0.15),
    Mutation(breaks="no secret", how=log_the_launch),
    Mutation(breaks="no secret", how=keep_the_launch, script=RESTORED),
    Mutation(breaks="a person's orders", how=adopt_every_order, seeds=(8,)),
    Mutation(breaks="liveness", how=stay_paused),
    Mutation(breaks="liveness", how=take_doubt_for_an_order, days=0.01, script=NOT_MADE),
    Mutation(breaks="liveness", how=say_that_nothing_fits, seeds=(5, 8, 11)),
    Mutation(breaks="liveness", how=never_get_the_lease, script=()),
    Mutation(breaks="liveness", how=never_raise, seeds=(5, 8, 11, 14), script=()),
    Mutation(breaks="liveness", how=hold_the_dead, seeds=(20,), days=0.01, script=()),
    Mutation(breaks="nothing escapes", how=fail_to_record, days=0.02, script=()),
    Mutation(breaks="nothing escapes", how=pass_and_never_sleep, days=0.001, script=()),
    Mutation(
        breaks="nothing escapes", how=trust_what_was_called_failed, seeds=(8, 11), script=UNANSWERED
    ),
    Mutation(breaks="wanted servers only", how=order_anywhere, seeds=(5, 8)),
    Mutation(breaks="doubles are found", how=keep_quiet, days=0.1, script=TWICE),
    Mutation(breaks="nothing escapes", how=decide_wrongly, days=0.01),
    Mutation(breaks="rails", how=forget_the_dollar_rail, seeds=(3, 6, 9, 12), days=0.1),
    Mutation(breaks="rails", how=count_no_orders, seeds=(1, 4, 7, 10, 13), days=0.1),
    Mutation(breaks="rails", how=rent_without_rails, seeds=(7, 12, 22, 27), days=0.25),
    Mutation(breaks="a person is told", how=log_nothing, days=0.1, script=TWICE),
    Mutation(breaks="a person is told", how=tell_nobody, days=0.1, script=TWICE),
    Mutation(breaks="size", how=never_tidy, days=0.15),
    Mutation(breaks="size", how=tidy_all_but_prices, seeds=(1, 4), days=0.15),
    Mutation(breaks="size", how=hoard_in_a_module, days=0.1, script=()),
    Mutation(breaks="size", how=hoard_in_the_daemon, days=0.1, script=()),
)


@pytest.mark.parametrize("mutation", MUTATIONS, ids=lambda m: f"{m.breaks}, {m.how.__name__}")
def test_a_mistake_breaks_the_invariant(monkeypatch: pytest.MonkeyPatch, mutation: Mutation) -> None:
    """On one of its days at least."""
    mutation.how(monkeypatch)
    days = (ChaosDay(seed, mutation.days, script=mutation.script) for seed in mutation.seeds)
    assert any(caught(day, mutation.breaks) for day in days)


# Broken by the mutations in test_guard_days.py, which need a daemon that is left dead.
OF_THE_GUARD = {"the guard waits", "the guard only ends", "the guard ends"}
# By those in test_budgets.py, which need one that is nearly spent.
OF_BUDGETS = {"budget"}


def test_every_invariant_has_its_mutation() -> None:
    """And no mutation is of an invariant that there is none of."""
    of_others = OF_THE_GUARD | OF_BUDGETS
    assert {mutation.breaks for mutation in MUTATIONS} | of_others == set(INVARIANTS)


def test_a_store_that_forgets_what_runs_breaks_the_money() -> None:
    """Of a running order an older spend is on disk than the exchange last named."""
    day = ChaosDay(3, 0.05, script=())
    day.transport.last_orders = b'{"orders": [{"id": 7, "spend": 0.25}]}'
    day.looking.money_of_live_orders({7: {"ended_at": None, "spend": "0.125"}})
    day.close()
    assert {invariant for invariant, _, _ in day.outcome.violations} == {"money"}


def test_half_a_character_in_our_orders_hides_nothing_from_the_judge() -> None:
    """The daemon reads such an answer: nobody needs the text that it stands in."""
    day = ChaosDay(3, 0.05, script=())
    specs = rb'"specs": {"cpu": "x\ud83d"}'
    day.transport.last_orders = b'{"orders": [{"id": 7, "spend": 0.1000000000000000055, %b}]}' % specs
    day.looking.listed()
    day.looking.money_of_live_orders({7: {"ended_at": None, "spend": "0.1"}})
    day.close()
    assert {invariant for invariant, _, _ in day.outcome.violations} == {"money"}
