"""One strategy on one trace: the daemon's own planning, rails and price rules, event by event.

Each change of the rival's price is one read of the book; what ``planning.plan`` decides is carried
out at once by the ``auction``, and folded into the view as the daemon does. Between two events time
jumps to the next moment that a decision names. Nothing about deciding is written a second time here.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from decimal import ROUND_CEILING, Decimal

from bidder.backtest.auction import Auction, Period, RuleBroken
from bidder.backtest.terms import Terms
from bidder.domain import fold, planning
from bidder.domain.actions import Decision, PlaceBid, Reason, Reprice, Withdraw
from bidder.domain.fold import market_reads
from bidder.domain.ids import AccountName, OrderId, ServerId
from bidder.domain.market import Book, Listing, Marketplace, Offer, OrderKind, OwnOrder, Specs
from bidder.domain.money import Currency, Money, Price, Rates, quantum
from bidder.domain.policy import (
    Ceiling,
    Launch,
    Mode,
    Policy,
    Rails,
    Requirements,
    StrategyParams,
    Target,
)
from bidder.domain.price_rules import ClockRules, LoweringClock, StepSample
from bidder.domain.view import Holding, View
from bidder.errors import StrategyFailed

TRACE = Currency("trace")  # the trace's own currency, worth one dollar here
SERVER = ServerId(1)
_RIVAL = OrderId(1)
_TARGET = "backtest"
_FOREVER = timedelta(days=36500)
_HOURS = Decimal(24)
# A trace has none. Its lowest price would tell a strategy of prices that are still to come.
_FLOOR = Price(quantum(TRACE), TRACE)
# At one moment a strategy may cancel, create and reprice; more than this would be a loop.
_MOST_AT_ONCE = 8
# A daemon reads on while a price stands still, and learns from that.
_READ_EVERY = timedelta(minutes=10)


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """What one strategy came to; money in the trace's currency, ``mean_price`` per hour running.

    ``paid`` are the bids while running, without fees.
    """

    strategy: str
    utility: float
    held_share: float
    mean_price: float | None
    restarts: int
    creations: int
    requests: int
    paid: float = 0.0
    periods: tuple[Period, ...] = ()


def play(
    name: str,
    params: StrategyParams,
    points: Sequence[Decimal],
    start: datetime,
    terms: Terms,
    *,
    keep_periods: bool = False,
    past: Sequence[Decimal] = (),
    ceiling: Decimal | None = None,
) -> Run:
    """Run a strategy over rival prices per hour on the grid, the first at ``start``.

    ``past`` are the prices on the grid before it: what the daemon's history would have shown.
    ``ceiling`` per hour is the value where none is named.

    Raises:
        RuleBroken: the exchange would have refused.
        StrategyFailed: a strategy of the owner's gave no answer that can be used.
    """
    policy = policy_for(params, terms, ceiling)
    return _Play(name, policy, points, start, terms, past, keep_periods=keep_periods).run()


def summed(name: str, done: Auction, start: datetime) -> Run:
    """Return what an auction's account came to between ``start`` and its present moment."""
    hours = done.held.total_seconds() / 3600
    return Run(
        strategy=name,
        utility=done.utility,
        held_share=done.held / (done.now - start),
        mean_price=done.paid / hours if hours else None,
        restarts=done.starts,
        creations=done.creations,
        requests=done.requests,
        paid=done.paid,
        periods=tuple(done.periods),
    )


class _Play:
    def __init__(
        self,
        name: str,
        policy: Policy,
        points: Sequence[Decimal],
        start: datetime,
        terms: Terms,
        past: Sequence[Decimal],
        *,
        keep_periods: bool,
    ) -> None:
        self.name, self.points, self.start, self.terms = name, points, start, terms
        self.end = start + len(points) * terms.grid
        self.policy = policy
        self.auction = Auction(terms=terms, now=start, rival=points[0], keep_periods=keep_periods)
        self.next_order = 2
        self.view = self._opening_view()
        for number, point in enumerate(past):
            if number and point == past[number - 1]:
                continue
            at = start - (len(past) - number) * terms.grid
            self.view = self._seen(self.view, at, rival=point)
        self.view = replace(self.view, books={})

    def _opening_view(self) -> View:
        on_demand = self.terms.on_demand
        listing = Listing(
            server=SERVER,
            on_demand={} if on_demand is None else {TRACE: _per_day(on_demand)},
            spot_floor={TRACE: _FLOOR},
            rented=False,
            mrl=_FOREVER,
            specs=Specs(gpu="trace", gpu_model="TRACE", gpu_count=1),
            reliability=1.0,
        )
        view = View(
            orders_at=self.start,
            completed_at=self.start,
            rates=Rates({TRACE: Decimal(1)}),
            rules=ClockRules(
                creation=self.terms.creation_starts_clock, raised=self.terms.raise_starts_clock
            ),
            steps=self._steps(),
            creation_fee_usd=self.terms.creation_fee,
        )
        market = Marketplace(listings={SERVER: listing})
        return fold.marketplace(view, market, self.policy, at=self.start)

    def _steps(self) -> tuple[StepSample, ...]:
        """Return what the refusals would have taught: one fixed step at every price."""
        drop = self.terms.step * _HOURS
        return tuple(
            StepSample(
                currency=TRACE, price=drop * times, drop=drop, floor=None, exact=True, at=self.end
            )
            for times in (2, 2000)
        )

    def run(self) -> Run:
        moments = self._events()
        wake: datetime | None = None
        for number, (at, rival) in enumerate(moments):
            self.auction.advance(at, rival)
            until = moments[number + 1][0] if number + 1 < len(moments) else self.end
            wake = self._settle(at)
            while wake is not None and wake < until:
                self.auction.advance(wake)
                wake = self._settle(wake)
        self.auction.advance(self.end)
        return summed(self.name, self.auction, self.start)

    def _events(self) -> list[tuple[datetime, Decimal]]:
        """Return when the book is read: at each change, and now and then while nothing does."""
        found: list[tuple[datetime, Decimal]] = []
        for number, point in enumerate(self.points):
            at = self.start + number * self.terms.grid
            if not found or point != found[-1][1] or at - found[-1][0] >= _READ_EVERY:
                found.append((at, point))
        return found

    def _settle(self, now: datetime) -> datetime | None:
        """Decide and act until nothing is left to do at this moment; return when to look again."""
        decisions: tuple[Decision, ...] = ()
        for _ in range(_MOST_AT_ONCE):
            self.view = self._seen(self.view, now, rival=self.auction.rival)
            decisions = planning.plan(self.view, self.policy, now)
            self._hold_to_account(decisions)
            chosen = next((d for d in decisions if d.action is not None), None)
            if chosen is None:
                break
            self._act(chosen, now)
        return min((d.due for d in decisions if d.due is not None and d.due > now), default=None)

    def _hold_to_account(self, decisions: tuple[Decision, ...]) -> None:
        """Refuse to compare a strategy of the owner's that fails; raises StrategyFailed."""
        failed = next((d for d in decisions if d.reason is Reason.STRATEGY_FAILED), None)
        if failed is not None:
            raise StrategyFailed(f"{self.name} failed: {failed.facts.get('problem')}")

    def _seen(self, view: View, now: datetime, *, rival: Decimal) -> View:
        """Return the view after two reads of the book that agree."""
        wins = self.auction.wins()
        offers = [Offer(order=_RIVAL, price=_per_day(rival), active=not wins, mine=False)]
        for holding in view.holdings.values():
            order = holding.order
            offers.append(Offer(order=order.order, price=order.price, active=wins, mine=True))
        book = Book(server=SERVER, offers=tuple(offers), floor={TRACE: _FLOOR}, mrl=_FOREVER)
        once, _ = market_reads.book(view, book, self.policy, at=now)
        return market_reads.book(once, book, self.policy, at=now)[0] if not wins else once

    def _act(self, decision: Decision, now: datetime) -> None:
        match decision.action:
            case PlaceBid(price=price):
                self.auction.create(_per_hour(price))
                self.view = self.view.with_holding(self._holding(price, now))
            case Reprice() as action:
                self.auction.reprice(_per_hour(action.price))
                self.view = fold.repriced(self.view, action, sent_at=now, now=now)
            case Withdraw(order=order):
                self.auction.cancel()
                # What is over leaves no trace in a backtest: nothing is ever settled late.
                over = fold.withdrawn(self.view, order)
                self.view = replace(over, ended={}, unbooked=frozenset(), closing={})
            case action:
                raise RuleBroken(f"a trace has no market for {action}")

    def _holding(self, price: Price, now: datetime) -> Holding:
        order = OwnOrder(
            order=OrderId(self.next_order),
            server=SERVER,
            kind=OrderKind.SPOT,
            price=price,
            spend=Money.zero(TRACE),
            created_at=now,
            mrl=_FOREVER,
        )
        self.next_order += 1
        return Holding(
            order=order,
            target=_TARGET,
            first_seen_at=now,
            last_seen_at=now,
            clock=LoweringClock(created_at=now),
        )


def policy_for(params: StrategyParams, terms: Terms, ceiling: Decimal | None = None) -> Policy:
    """Return the policy of a backtest: one server, bids up to its ceiling, no rail in the way."""
    ticks = max(1, int((terms.tick * _HOURS / quantum(TRACE)).to_integral_value(ROUND_CEILING)))
    worth = _per_day(terms.value)
    target = Target(
        name=_TARGET,
        want=1,
        ceiling=Ceiling(price=worth if ceiling is None else _per_day(ceiling)),
        value=Ceiling(price=worth),
        launch=Launch(image="backtest"),
        requirements=Requirements(),
        params=params,
        currencies=(TRACE,),
        increment=ticks,
        restart=timedelta(hours=1) * float(terms.restart_hours),
    )
    most = 10**9
    rails = Rails(max_creations_per_hour=most, max_creations_per_server_hour=most)
    return Policy(account=AccountName("backtest"), mode=Mode.LIVE, targets=(target,), rails=rails)


def _per_day(per_hour: Decimal) -> Price:
    return Price(per_hour * _HOURS, TRACE)


def _per_hour(price: Price) -> Decimal:
    return price.amount / _HOURS
