"""What every strategy is held to, whoever wrote it.

Each generated situation, and each that a simulated span on the exchange brings, is put to the function
more than once. It must answer each time, with a decision that explains itself; the same each time, bit
for bit, whatever it was asked in between; and without touching what it was given. What it proposes
must be a bid that the exchange and the rails would take: they would stop it anyway, but a strategy
that leans on them holds where it meant to act.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime

import hypothesis
from hypothesis import HealthCheck, Phase, Verbosity

from bidder.domain import canonical, guard, quotes
from bidder.domain.actions import Decision, Reprice
from bidder.domain.money import Price
from bidder.domain.policy import OwnParams, Setting
from bidder.domain.positions import Position
from bidder.domain.quotes import Quote
from bidder.domain.strategies import common, own
from bidder.errors import StrategyFailed
from bidder.testing import day
from bidder.testing.worlds import Situation, situations

_ASKED = 5
# So often a simpler situation is sought in which the strategy fails in the same way.
_SIMPLER = 15

Decide = Callable[[Position, Mapping[str, Setting], datetime], Decision]
OpeningBid = Callable[[Quote, Mapping[str, Setting]], Price | None]


class StrategyBroken(AssertionError):
    """A strategy breaks one of the invariants; ``check`` names it.

    ``answers``: it raised, or what it returned is no decision about this bid. ``explains``: it gave no
    facts. ``pure``: another answer to the same question, or a change to what it was given.
    ``proposes``: a bid that a rail or the exchange would refuse. ``day``: a foul on the exchange.
    """

    def __init__(self, check: str, problem: str) -> None:
        """Say which invariant, and how it was broken."""
        self.check, self.problem = check, problem
        super().__init__(f"{check}: {problem}")


class _SimpleEnough(BaseException):
    """Ends the search; no Exception, which hypothesis would take for one more failure."""


def check_strategy(
    decide: Decide,
    params: Mapping[str, Setting] | None = None,
    *,
    opening_bid: OpeningBid | None = None,
    seeds: Iterable[int] = (1,),
    examples: int = 200,
    hours: float = 0.5,
) -> None:
    """Put a strategy to ``examples`` situations and ``hours`` on the simulated exchange, for each seed.

    ``params`` are what the configuration would hand on. ``hours=0`` leaves the exchange out.

    Raises:
        StrategyBroken: an invariant does not hold; told of the simplest situation that was found.
    """
    name = f"{decide.__module__}:{getattr(decide, '__name__', type(decide).__name__)}"
    settings = tuple((params or {}).items())
    judge = _Judge(OwnParams(function=name, decide=decide, opening_bid=opening_bid, settings=settings))
    for seed in seeds:
        _generate(judge, seed, examples)
        if hours > 0:
            _trade(judge, seed, hours)


def _generate(judge: "_Judge", seed: int, examples: int) -> None:
    found: list[StrategyBroken] = []

    @hypothesis.seed(seed)
    @hypothesis.settings(
        max_examples=examples,
        deadline=None,
        database=None,
        phases=(Phase.generate, Phase.shrink),
        report_multiple_bugs=False,
        suppress_health_check=list(HealthCheck),
        verbosity=Verbosity.quiet,
    )
    @hypothesis.given(situations(judge.params))
    def put(situation: Situation) -> None:
        try:
            judge.situation(situation)
        except StrategyBroken as exc:
            found.append(exc)
            if len(found) > _SIMPLER:
                raise _SimpleEnough from exc
            raise

    try:
        put()
    except BaseException:
        if not found:
            raise
        # The last one is the simplest; what hypothesis says around it is of no use to the owner.
        raise found[-1] from found[-1].__cause__


def _trade(judge: "_Judge", seed: int, hours: float) -> None:
    found: list[StrategyBroken] = []
    said: dict[int, tuple[object, ...]] = {}
    ask = judge.params.decide

    def decide(position: Position, settings: Mapping[str, Setting], now: datetime) -> object:
        answer = ask(position, settings, now)
        what = (getattr(answer, "reason", None), getattr(answer, "action", None))
        if said.get(position.holding.order.order) == what:
            return answer
        # Whenever something new is said; a day asks the same a thousand times.
        said[position.holding.order.order] = what
        try:
            return judge.bid(position, now)
        except StrategyBroken as exc:
            found.append(exc)
            raise

    problems = day.play(replace(judge.params, decide=decide), seed, hours)
    if found:
        raise found[0] from found[0].__cause__
    if problems:
        raise StrategyBroken("day", f"on the exchange of seed {seed}: {'; '.join(problems)}")


@dataclass(slots=True)
class _Judge:
    """Asks one strategy, and holds what it says against the invariants."""

    params: OwnParams
    _before: tuple[Position, datetime] | None = None

    def situation(self, found: Situation) -> None:
        """Judge what is made of a situation, as a standing bid and as a new one."""
        self._opening(found)
        here, now = own.shown(found.position), found.now
        if common.unseen(here, found.policy, now) or common.above_ceiling(here, here.needed, now):
            return  # decided before any strategy is asked
        decision = self.bid(here, now)
        stopped = guard.apply(decision, found.view, found.policy, now)
        if decision.action is not None and stopped.action is None:
            _broken("proposes", f"a rail stops it: {stopped.reason.value} {dict(stopped.facts)}", here)

    def bid(self, here: Position, now: datetime) -> Decision:
        """Return the decision about a standing bid; raises StrategyBroken."""
        before = canonical.dump(here)
        answer, decision = self._ask(here, now)
        if not answer.facts:
            _broken("explains", "its decision has no facts; common.hold and common.act give them", here)
        if canonical.dump(here) != before:
            _broken("pure", "it changes the position that it was given", here)
        if self._before is not None:
            self._ask(*self._before)
        self._before = here, now
        twin, said = own.shown(canonical.load(before)), canonical.dump(decision)
        for _ in range(_ASKED - 1):
            _, again = self._ask(twin, now)
            if canonical.dump(again) != said:
                told = f"it says {_told(decision)}, then {_told(again)}"
                _broken("pure", f"asked the same twice, {told}", here)
        _proposal(decision, here, now)
        return decision

    def _ask(self, here: Position, now: datetime) -> tuple[Decision, Decision]:
        """Return the answer as it came, and as the daemon would take it."""
        try:
            answer = self.params.decide(here, own.settings_of(self.params), now)
        except KeyboardInterrupt:
            raise
        except BaseException as exc:
            raise _as_broken("answers", f"it raised {type(exc).__name__}: {exc}", here) from exc
        try:
            decision = own.checked(answer, here, now)
        except StrategyFailed as exc:
            raise _as_broken("answers", str(exc), here) from exc
        assert isinstance(answer, Decision)
        return answer, decision

    def _opening(self, found: Situation) -> None:
        asked = _quote_of(found)
        if asked is None:
            return
        try:
            # More than twice: hypothesis begins chance anew for each situation, so that a coin thrown
            # twice may fall alike in all of them.
            said = dict.fromkeys(own.opening_bid(asked, self.params) for _ in range(_ASKED))
        except StrategyFailed as exc:
            raise StrategyBroken("answers", f"opening_bid: {exc}; asked for {asked}") from exc
        if len(said) > 1:
            told = ", then ".join(map(str, said))
            raise StrategyBroken("pure", f"opening_bid says {told}; asked for {asked}")


def _quote_of(found: Situation) -> Quote | None:
    """Return what it would take to win the server anew; None where a bid cannot win within the cap."""
    here, view = found.position, found.view
    assert here.book is not None
    assert here.listing is not None
    gpus = here.listing.specs.gpu_count
    takes = here.target.currencies
    quote = quotes.quote(here.listing, here.book, here.target, view.rates, takes, gpus=gpus)
    if quote is None:
        return None
    cap = quotes.on_demand_cap(here.listing, quote.ceiling, view.rates, frozenset(takes))
    return replace(quote, cap=cap) if quote.needed <= cap else None


def _proposal(decision: Decision, here: Position, now: datetime) -> None:
    """Hold a new price against what may be bid here; what is below the floor is no answer at all."""
    action = decision.action
    if not isinstance(action, Reprice):
        return
    price = action.price
    if here.ceiling is not None and price > here.ceiling:
        _broken("proposes", f"it bids {price}, above its ceiling of {here.ceiling}", here)
    if not action.lowers:
        if here.cap is not None and price > here.cap:
            _broken("proposes", f"it bids {price}, above its cap of {here.cap}", here)
        return
    if here.opens_at is not None and now < here.opens_at:
        _broken("proposes", f"it lowers before its clock opens, {here.opens_at - now} too soon", here)
    if here.offer is not None and not here.offer.active:
        _broken("proposes", "it lowers a bid that does not run, which wins nothing", here)


def _told(decision: Decision) -> str:
    action = decision.action
    deed = "hold" if action is None else type(action).__name__.lower()
    return f"{deed} {action.price if isinstance(action, Reprice) else ''}".strip() + (
        f" ({decision.reason.value}, facts {dict(decision.facts)}, due {decision.due})"
    )


def _as_broken(check: str, problem: str, here: Position) -> StrategyBroken:
    known = ", ".join(f"{name} {fact}" for name, fact in common.facts_of(here).items())
    return StrategyBroken(check, f"{problem}; the bid: {known}")


def _broken(check: str, problem: str, here: Position) -> None:
    raise _as_broken(check, problem, here)
