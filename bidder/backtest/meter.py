"""The regret meter: what a target's bids cost against an all-knowing bidder's, on what was recorded.

Each wanted server is a lane. Lane after lane, the best way through the recorded prices is reckoned over
every server that fits the target, from where the lane stood when the span began, while the other
lanes' orders stay where they are (those already reckoned: where the best would have put them). So all
the best ways together could have been gone, and each lane's loss is exactly the sum of what its
moments lost: the worth of the best from where it stood, less what the moment earned and the worth of
the best from where it stood then. That sum is laid, moment by moment, on the decision in force.

The best for all lanes at once may be better still; nobody could tell which decision to blame for that.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING

from bidder.backtest.blame import Blame, latest
from bidder.backtest.fleet import NOTHING, Fleet, State
from bidder.backtest.ladder import Ladder
from bidder.backtest.lanes import Costs, Placed, Way, lanes, way_of
from bidder.backtest.left_out import GONE, JOB
from bidder.backtest.recorded import fits
from bidder.backtest.rungs import Rungs, level_of
from bidder.backtest.walk import Walk
from bidder.backtest.watched import Grid, Watched, watched
from bidder.domain.ids import OrderId, ServerId
from bidder.domain.market import OrderKind
from bidder.domain.money import EXACT, Currency, Rates
from bidder.domain.policy import Mode, Policy, Target
from bidder.domain.price_rules import LOWERING_PAUSE, ClockRules
from bidder.domain.regret import Regret, Tally
from bidder.errors import NoRate
from bidder.store.queries import Queries
from bidder.store.records import DecisionRecord, OrderRecord, ServerRecord

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Array = NDArray[np.float64]
    Taken = NDArray[np.bool_]

# Of more servers than this, those that were looked at longest are reckoned with.
MOST_SERVERS = 40
_DECISIONS_BEFORE = timedelta(days=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """What a span came to, and the targets of which nothing can be said, with the reason."""

    regrets: tuple[Regret, ...] = ()
    unmeasured: Mapping[str, str] = field(default_factory=dict)


def measure(queries: Queries, policy: Policy, begin: datetime, end: datetime) -> Measured:
    """Return the regret of every target that bids, for each mode that had orders in the span."""
    grid = Grid(begin=begin, end=end)
    if not grid.moments:
        return Measured()
    orders = queries.orders_between(begin, end)
    modes = [mode for mode in Mode if mode is policy.mode or any(o.mode is mode for o in orders)]
    regrets: list[Regret] = []
    unmeasured: dict[str, str] = {}
    for mode in modes:
        span = _Span(queries=queries, policy=policy, grid=grid, mode=mode, orders=orders)
        for target in policy.targets:
            if target.rents:
                unmeasured[target.name] = JOB
                continue
            if not target.enabled and target.name not in span.placed:
                continue
            try:
                found = span.regret(target)
            except NoRate as exc:
                unmeasured[target.name] = str(exc)
                continue
            if found is None:
                unmeasured[target.name] = "no book of a server that fits it was read"
            else:
                regrets.append(found)
        for name in span.placed.keys() - {target.name for target in policy.targets}:
            unmeasured[name] = GONE
    return Measured(regrets=tuple(regrets), unmeasured=unmeasured)


@dataclass(slots=True, kw_only=True)
class _Span:
    """One span of one mode: what was recorded in it, read once."""

    queries: Queries
    policy: Policy
    grid: Grid
    mode: Mode
    orders: Sequence[OrderRecord]
    seen: dict[ServerId, Watched] = field(init=False)
    servers: dict[ServerId, ServerRecord] = field(init=False)
    rates: Rates = field(init=False)
    rules: ClockRules = field(init=False)
    fee: float = field(init=False)
    rungs: Rungs = field(init=False)
    decisions: dict[str, list[DecisionRecord]] = field(init=False)
    placed: dict[str, list[Placed]] = field(init=False)
    taken: "dict[ServerId, Taken]" = field(init=False)

    def __post_init__(self) -> None:
        """Read it."""
        import numpy as np

        grid, queries = self.grid, self.queries
        over_time = queries.market.rates_over(grid.begin, grid.end)
        self.rates = over_time.at(grid.end).over(self.policy.static_rates)
        self.servers = {record.server: record for record in queries.market.servers()}
        self.rules, fee = queries.learnt()
        self.fee = float(fee)
        self.rungs = Rungs(grid=grid, rates=self.rates, rules=self.rules, steps=queries.market.steps())
        self.seen = {}
        for server in queries.market.servers_read(grid.begin, grid.end):
            books = queries.market.changes(server, since=grid.begin, until=grid.end)
            self.seen[server] = watched(server, books, over_time, grid, self.mode)
        since = grid.begin - _DECISIONS_BEFORE
        self.decisions = {}
        for decision in queries.decisions_between(since, grid.end, self.mode):
            if decision.target is not None:
                self.decisions.setdefault(decision.target, []).append(decision)
        self.placed = {}
        self.taken = {server: np.zeros(grid.moments, dtype=bool) for server in self.seen}
        for record in self.orders:
            held = record.holding
            if record.mode is not self.mode or held.order.kind is not OrderKind.SPOT:
                continue
            order = self._placed(record)
            if held.target is not None:
                self.placed.setdefault(held.target, []).append(order)
            if order.server in self.taken:
                self.taken[order.server] |= self._stands(order)

    def _placed(self, record: OrderRecord) -> Placed:
        held = record.holding
        return Placed(
            order=held.order.order,
            server=held.order.server,
            begin=min(held.order.created_at, held.first_seen_at),
            end=held.ended_at,
            prices=self.queries.prices_of(held.order.order),
        )

    def _stands(self, order: Placed) -> "Taken":
        import numpy as np

        stands = np.zeros(self.grid.moments, dtype=bool)
        for moment, _ in self.grid.shares(order.begin, order.end or self.grid.end):
            stands[moment] = True
        return stands

    def regret(self, target: Target) -> Regret | None:
        """Return one target's regret; None where nothing that fits it was read. Raises NoRate."""
        import numpy as np

        mine = self.placed.get(target.name, [])
        fitting = self._fitting(target, mine)
        if not any(self.seen[server].pieces for server in fitting):
            return None
        costs = {server: self._costs(server, target) for server in {*fitting, *(o.server for o in mine)}}
        any_seen = np.zeros(self.grid.moments)
        for server in fitting:
            any_seen = np.maximum(any_seen, self.seen[server].seen)
        whole = (self.grid.end - self.grid.begin) * target.want
        wanted = min(float(any_seen.sum()) * target.want * self.grid.length, whole)
        blame = Blame(target=target.name, decisions=self.decisions.get(target.name, []))
        ours = best = Tally()
        coins: dict[Currency, Decimal] = {}
        for number, lane in enumerate(lanes(mine, target.want)):
            way = way_of(lane, self.seen, costs, self.grid)
            did = _tally(way, self.grid)
            ours = ours.plus(did)
            # What was held beside all that was wanted is the same on both sides.
            surplus = number >= target.want
            best = best.plus(did if surplus else self._lane(target, lane, way, fitting, costs, blame))
            for currency, amount in way.coins.items():
                coins[currency] = EXACT.add(coins.get(currency, Decimal(0)), amount)
        return Regret(
            begin=self.grid.begin,
            end=self.grid.end,
            mode=self.mode,
            target=target.name,
            wanted=wanted,
            unwatched=whole - wanted,
            ours=ours,
            best=best,
            coins=coins,
            costly=blame.costly(),
        )

    def _fitting(self, target: Target, mine: Sequence[Placed]) -> list[ServerId]:
        """Return the servers to reckon with: those we had an order on, then the longest watched."""
        had = {order.server for order in mine}
        found = []
        for server, each in self.seen.items():
            record = self.servers.get(server)
            if server in had or (record is not None and fits(record, target.requirements)):
                found.append((server not in had, -float(each.seen.sum()), server))
        return [server for _, _, server in sorted(found)[:MOST_SERVERS]]

    def _costs(self, server: ServerId, target: Target) -> Costs:
        value = target.worth.for_server(self._gpus(server), Currency.USD, self.rates)
        return Costs(
            value=float(value.amount),
            start=float(value.amount) * (target.restart / timedelta(days=1)),
            fee=self.fee,
        )

    def _gpus(self, server: ServerId) -> int:
        return self.servers[server].gpus if server in self.servers else 1

    def _lane(
        self,
        target: Target,
        lane: Sequence[Placed],
        way: Way,
        fitting: Sequence[ServerId],
        costs: Mapping[ServerId, Costs],
        blame: Blame,
    ) -> Tally:
        """Return the best that the lane could have done, and blame what was done instead."""
        own: dict[ServerId, Taken] = {}
        for order in lane:
            if order.server in self.taken:
                stands = self._stands(order)
                own[order.server] = own[order.server] | stands if order.server in own else stands
        servers, ladders = [], []
        for server in fitting:
            free = ~self.taken[server]
            if server in own:
                free |= own[server]
            ladder = self.rungs.ladder(
                self.seen[server], self._gpus(server), target, costs[server], free, among=len(fitting)
            )
            if ladder is not None:
                servers.append(server)
                ladders.append(ladder)
        walk = Walk(
            fleet=Fleet(ladders, self.grid.moments),
            servers=servers,
            grid=self.grid,
            states=self._states(lane, servers, ladders),
            earned=way.earned,
        )
        standing = [_standing(lane, self.grid.at(n)) for n in range(self.grid.moments + 1)]
        for moment, lost, better in walk.losses():
            blame.add(
                lost,
                better,
                begin=self.grid.at(moment),
                end=self.grid.at(moment + 1),
                before=standing[moment],
                after=standing[moment + 1],
                ran=way.ran[moment],
                starts=way.started[moment],
            )
        # Where the best would have stood, none of the lanes to come may stand.
        for server, stands in own.items():
            self.taken[server] &= ~stands
        for server, stands in zip(servers, walk.stands(), strict=True):
            self.taken[server] |= stands
        return walk.tally

    def _states(
        self, lane: Sequence[Placed], servers: Sequence[ServerId], ladders: Sequence[Ladder]
    ) -> list[State]:
        """Return where the lane stood at the beginning of each moment, and at the end of the last."""
        number_of = {server: number for number, server in enumerate(servers)}
        states = [NOTHING] * (self.grid.moments + 1)
        for order in lane:
            number = number_of.get(order.server)
            if number is None:
                continue
            bids = self._bids(order)
            ladder = ladders[number]
            for moment in range(self.grid.moments + 1):
                at = self.grid.at(moment)
                # The earlier order of two in a handover, as `_standing` has it.
                if not order.stands(at) or states[moment] != NOTHING:
                    continue
                bid, held = bids(at)
                level = level_of(ladder, bid, min(moment, self.grid.moments - 1), held=held)
                states[moment] = State(number, level, self._clock(order, at, ladder))
        return states

    def _bids(self, order: Placed) -> "_Bids":
        pieces = [piece for piece in self.seen[order.server].pieces if piece.order == order.order]
        known = [(piece.begin, piece.bid, piece.held) for piece in pieces if piece.bid is not None]
        if not known and order.prices and self.rates.knows(order.prices[-1][1].currency):
            known = [(order.begin, float(self.rates.to_usd(order.prices[-1][1])), False)]
        return _Bids(known)

    def _clock(self, order: Placed, at: datetime, ladder: Ladder) -> int:
        began = [latest(order.lowered(), at)]
        if self.rules.raised:
            began.append(latest(order.raised(), at))
        if self.rules.creation:
            began.append(order.begin)
        opens = max((when + LOWERING_PAUSE for when in began if when is not None), default=at)
        left = -((at - opens) // self.grid.length)
        return min(max(left, 0), ladder.pause - 1)


@dataclass(slots=True)
class _Bids:
    """An order's bid in USD and whether it ran, at moments that only go forward."""

    known: Sequence[tuple[datetime, float, bool]]
    _next: int = 0

    def __call__(self, at: datetime) -> tuple[float, bool]:
        while self._next < len(self.known) and self.known[self._next][0] <= at:
            self._next += 1
        if not self.known:
            return 0.0, False
        _, bid, held = self.known[max(self._next - 1, 0)]
        return bid, held


def _tally(way: Way, grid: Grid) -> Tally:
    return Tally(
        held=way.held * grid.length,
        paid=round(Decimal(repr(way.paid)), 9),
        starts=way.starts,
        creations=way.creations,
        worth=round(Decimal(repr(sum(way.earned))), 9),
    )


def _standing(lane: Sequence[Placed], at: datetime) -> tuple[OrderId, ServerId] | None:
    return next(((o.order, o.server) for o in lane if o.stands(at)), None)
