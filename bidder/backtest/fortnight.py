"""What a configuration would have paid lately: each strategy as configured, on the recorded history.

A strategy is replayed on as many recorded servers as it wants, those that fit it and were looked at
longest, no server for two strategies; each by itself, as ``bidder backtest`` does, with the strategy's
own settings and ceiling. Rails over the whole account and moves between servers are no part of it, nor
are jobs: a trace has no servers on demand.
"""

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from decimal import Decimal

from bidder.backtest import lineup, runner
from bidder.backtest.compare import Cut, Question, cut_on, terms_of
from bidder.backtest.left_out import JOB
from bidder.backtest.recorded import fits, trace_of
from bidder.backtest.traces import median_price
from bidder.domain import selection
from bidder.domain.ids import ServerId
from bidder.domain.market import Listing
from bidder.domain.money import Currency, Price, Rates, quantum
from bidder.domain.policy import (
    FixedParams,
    OwnParams,
    Policy,
    Requirements,
    StrategyParams,
    Target,
    TrackParams,
)
from bidder.domain.price_rules import ClockRules
from bidder.errors import BadInput, NoRate, StrategyFailed
from bidder.store.queries import Queries
from bidder.store.records import Looked, ServerRecord

SPAN = timedelta(days=14)
# What an adaptive strategy may have learnt from before the span, where so much is kept.
_PAST = timedelta(days=45)
# One lowering, as a share of the median price.
_STEP = (Decimal("0.01"), True)
_HOURS = Decimal(24)
_HOUR = timedelta(hours=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Replayed:
    """One target on the recorded servers; money in USD, without fees.

    ``share`` is of the time of all ``want`` servers that was replayed, ``price`` per server and day
    while running; both None where nothing could be replayed, and ``problem`` says why.
    """

    target: str
    want: int
    servers: tuple[ServerId, ...] = ()
    days: float = 0.0
    paid: Decimal = Decimal(0)
    share: float | None = None
    price: Decimal | None = None
    restarts: int = 0
    problem: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Fortnight:
    """Both configurations on the same history; ``start`` None: nothing is recorded."""

    start: datetime | None
    end: datetime
    before: tuple[Replayed, ...]
    after: tuple[Replayed, ...]

    @property
    def days(self) -> float:
        """Return how much of the span has been recorded."""
        return 0.0 if self.start is None else (self.end - self.start) / timedelta(days=1)


def replay(
    queries: Queries | None,
    before: Policy,
    after: Policy,
    *,
    listings: Mapping[ServerId, Listing],
    now: datetime,
) -> Fortnight:
    """Replay both policies on the last 14 days; without a database nothing is recorded."""
    looked = () if queries is None else queries.market.looked_at(now - SPAN)
    if queries is None or not looked:
        return Fortnight(start=None, end=now, before=_nothing(before), after=_nothing(after))
    history = _History(queries=queries, listings=listings, now=now, looked=looked)
    return Fortnight(
        start=min(each.begin for each in looked),
        end=now,
        before=history.replayed(before),
        after=history.replayed(after),
    )


def _nothing(policy: Policy) -> tuple[Replayed, ...]:
    problem = "nothing is recorded"
    return tuple(
        Replayed(target=t.name, want=t.want, problem=problem) for t in policy.targets if t.enabled
    )


# What a replay depends on, besides the history.
_Played = tuple[ServerId, StrategyParams, Decimal, Decimal, Decimal, timedelta, bool]


@dataclass(slots=True, kw_only=True)
class _History:
    queries: Queries
    listings: Mapping[ServerId, Listing]
    now: datetime
    looked: Sequence[Looked]
    servers: Mapping[ServerId, ServerRecord] = field(init=False)
    rules: ClockRules = field(init=False)
    fee: Decimal = field(init=False)
    cuts: dict[ServerId, tuple[Cut, Decimal | None] | None] = field(default_factory=dict)
    played: dict[_Played, runner.Run] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Read what is known of every server."""
        self.servers = {record.server: record for record in self.queries.market.servers()}
        self.rules, self.fee = self.queries.learnt()

    def replayed(self, policy: Policy) -> tuple[Replayed, ...]:
        """Return every target that bids, in the configuration's order."""
        rates = self.queries.rates().over(policy.static_rates)
        taken: set[ServerId] = set()
        found = []
        for target in policy.targets:
            if not target.enabled:
                continue
            if target.rents:
                found.append(Replayed(target=target.name, want=target.want, problem=JOB))
                continue
            fitting = [
                each.server
                for each in self.looked
                if each.server not in taken and self._fits(each.server, target.requirements)
            ]
            known = (server for server in fitting if self._cut(server, rates) is not None)
            servers = list(itertools.islice(known, target.want))
            taken.update(servers)
            if servers:
                found.append(self._target(target, servers, policy, rates))
                continue
            problem = "too little is recorded of the servers that fit it"
            problem = problem if fitting else "no recorded server fits it"
            found.append(Replayed(target=target.name, want=target.want, problem=problem))
        return tuple(found)

    def _fits(self, server: ServerId, wanted: Requirements) -> bool:
        listing = self.listings.get(server)
        if listing is not None:
            return selection.qualifies(listing, wanted)
        record = self.servers.get(server)
        return record is not None and fits(record, wanted)

    def _cut(self, server: ServerId, rates: Rates) -> tuple[Cut, Decimal | None] | None:
        """Return a server's prices in the span, and its last on-demand price, per hour."""
        if server not in self.cuts:
            self.cuts[server] = self._read(server, rates)
        return self.cuts[server]

    def _read(self, server: ServerId, rates: Rates) -> tuple[Cut, Decimal | None] | None:
        start = self.now - SPAN
        records = self.queries.market.changes(server, since=start - _PAST, until=self.now)
        try:
            whole = trace_of(server, records, rates, start=start - _PAST, end=self.now)
            # The value plays no part in cutting.
            cut = cut_on(whole, Question(value=Decimal(1), start=max(start, whole.start)))
        except BadInput:
            return None
        asked = [r.on_demand for r in records if r.on_demand is not None]
        last = asked[-1] if asked and rates.knows(asked[-1].currency) else None
        return cut, None if last is None else rates.to_usd(last) / _HOURS

    def _target(self, target: Target, servers: list[ServerId], policy: Policy, rates: Rates) -> Replayed:
        base = Replayed(target=target.name, want=target.want)
        try:
            runs = [(self._run(each, target, policy, rates), self._days(each)) for each in servers]
        except (NoRate, StrategyFailed) as exc:
            return replace(base, problem=str(exc))
        days = sum(span for _, span in runs)
        held = sum(run.held_share * span for run, span in runs)
        paid = sum((Decimal(repr(run.paid)) for run, _ in runs), Decimal(0))
        few = f"only {len(servers)} of {target.want} servers are recorded"
        return replace(
            base,
            servers=tuple(servers),
            days=days / len(runs),
            paid=paid,
            share=held / days if days else None,
            price=paid / Decimal(repr(held)) if held else None,
            restarts=sum(run.restarts for run, _ in runs),
            problem=few if len(servers) < target.want else "",
        )

    def _days(self, server: ServerId) -> float:
        known = self.cuts[server]
        assert known is not None
        return (known[0].trace.end - known[0].trace.start) / timedelta(days=1)

    def _run(self, server: ServerId, target: Target, policy: Policy, rates: Rates) -> runner.Run:
        known = self.cuts[server]
        assert known is not None
        cut, on_demand = known
        listing, record = self.listings.get(server), self.servers.get(server)
        gpus = record.gpus if record is not None else 1
        gpus = gpus if listing is None else listing.specs.gpu_count
        params = _in_usd(target.params, rates)
        ceiling = _per_hour(target.ceiling.for_server(gpus, Currency.USD, rates))
        worth = _per_hour(target.worth.for_server(gpus, Currency.USD, rates))
        tick = _tick(target, rates)
        if on_demand is not None:
            # The trace's price is a rival's and must be outbid; where it was the floor, that itself
            # would have done, and hosts often ask the same on demand.
            margin = params.margin_ticks if isinstance(params, TrackParams) else 1
            on_demand += tick * (margin + 1)
        above = policy.rails.allow_above_on_demand
        key = (server, params, ceiling, worth, tick, target.restart, above)
        if key not in self.played:
            question = Question(
                value=worth,
                # Where no bid could have won there is no price to take a share of, and nothing to lower.
                step=_STEP if median_price(cut.points) > 0 else (tick, False),
                tick=tick,
                creation_fee=self.fee,
                restart_hours=Decimal(str(target.restart / _HOUR)),
                creation_starts_clock=bool(self.rules.creation),
                raise_starts_clock=bool(self.rules.raised),
                on_demand=None if above else on_demand,
            )
            self.played[key] = runner.play(
                target.name,
                params,
                cut.points,
                cut.trace.start,
                terms_of(question, cut.points),
                past=cut.past if lineup.learns(params) else (),
                ceiling=ceiling,
            )
        return self.played[key]


def _per_hour(price: Price) -> Decimal:
    return price.amount / _HOURS


def _in_usd(params: StrategyParams, rates: Rates) -> StrategyParams:
    """Return the settings with prices that a trace in dollars understands; raises NoRate."""
    if isinstance(params, FixedParams) and params.price is not None:
        return replace(params, price=rates.convert(params.price, Currency.USD))
    if isinstance(params, OwnParams):
        # The owner's code compares prices as it likes: they must be in the currency of its bids.
        worth = [
            (key, Price(rates.to_usd(each), runner.TRACE) if isinstance(each, Price) else each)
            for key, each in params.settings
        ]
        return replace(params, settings=tuple(worth))
    return params


def _tick(target: Target, rates: Rates) -> Decimal:
    """Return the coarsest increment of what the target may pay with, in USD per hour."""
    currencies = [c for c in selection.payable(target, {}) if rates.knows(c)]
    steps = [rates.to_usd(Price(quantum(c) * target.increment, c)) for c in currencies]
    return max(steps, default=quantum(Currency.USD)) / _HOURS
