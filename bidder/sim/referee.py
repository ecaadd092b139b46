"""Judge an account by what the exchange itself saw, never by what the player says of itself.

Every share and mean is an exact integral over events: the referee is told of each change in the
market and closes the interval that ended there. Money stays Decimal to the end.
"""

# ruff: noqa: ARG002 - the signatures are those of Watcher and Observer

from collections import Counter
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from typing import Any

from bidder.domain.money import EXACT, plain
from bidder.sim.answers import OK, OVER_LIMIT, Answer
from bidder.sim.auction import Order, Stall, highest_rival_usd
from bidder.sim.billing import amount
from bidder.sim.exchange import Observer, SimExchange
from bidder.sim.market import PriceRefusal, StepTooLarge, TooSoon, Watcher
from bidder.sim.moments import DAY, HOUR, micros
from bidder.sim.targets import RefereeTarget

_CODES = {1: "database_error", 2: "invalid_input", 3: "invalid_token", 4: "invalid_endpoint"}


@dataclass(slots=True, eq=False)
class _Tally:
    """One target's running integrals; times are in microseconds."""

    target: RefereeTarget
    matching: dict[int, Stall]
    attainable: set[int] = field(default_factory=set)
    live: set[int] = field(default_factory=set)
    running: dict[int, Order] = field(default_factory=dict)
    running_gpus: int = 0
    running_on_demand: Decimal = Decimal(0)  # on-demand price of the running, in USD per day
    since: int = 0
    held: int = 0  # integral of min(want, running)
    attainable_time: int = 0
    gpu_time: int = 0  # integral of the GPUs of running orders
    on_demand: Decimal = Decimal(0)  # integral of their on-demand price in USD per day
    spend_usd: Decimal = Decimal(0)
    fees_usd: Decimal = Decimal(0)
    lost: int = 0
    won: int = 0


class Referee(Watcher, Observer):
    """Counts and measures one account's play; see ``report``."""

    def __init__(self, exchange: SimExchange, targets: Iterable[RefereeTarget]) -> None:
        """Watch ``exchange`` from now on, with these targets."""
        self._exchange = exchange
        self._market = market = exchange.market
        self._started = market.at
        self._first_accepted: int | None = None
        self._requests = 0
        self._refusals: Counter[str] = Counter()
        self._rate_limit_refusals = 0
        self._early_lowerings = 0
        self._probed: set[str] = set()
        self._by_wire: set[int] = set()  # orders that a request delivered twice has made
        self._untold: str | None = None  # what the last refusal counted as, until it is known to arrive
        self._step_refusals = 0
        self._ceiling_breaches = 0
        self._double_orders = 0
        self._orders_created = 0
        self._unmatched_orders = 0
        self._creation_fees_usd = Decimal(0)
        self._unmatched_spend_usd = Decimal(0)
        self._unmatched_fees_usd = Decimal(0)
        self._rates: Mapping[str, Decimal] | None = None  # of the last answer that was delivered
        self._rates_before: Mapping[str, Decimal] | None = None
        self._rates_in_answer = False
        self._tally_of: dict[int, _Tally] = {}  # by order
        self._tallies = [
            _Tally(
                target,
                {
                    stall.server_id: stall
                    for stall in market.stalls.values()
                    if not stall.hosted_by_us and target.matches(stall.listing)
                },
            )
            for target in targets
        ]
        self._watching: dict[int, list[_Tally]] = {}
        for tally in self._tallies:
            tally.since = self._started
            for server_id, stall in tally.matching.items():
                self._watching.setdefault(server_id, []).append(tally)
                self._weigh(tally, stall)
        market.watchers.append(self)
        exchange.observers.append(self)

    # What the exchange tells

    def arrived(self, at: int) -> None:
        """Count a request."""
        self._requests += 1
        self._rates_in_answer = False
        self._untold = None

    def answered(self, endpoint: str, answer: Answer, at: int) -> None:
        """Count refusals; the first accepted request starts the clock of the shares."""
        if answer.code == OK:
            if self._first_accepted is None:
                self._close_all(at)
                self._first_accepted = at
                for tally in self._tallies:
                    tally.held = tally.attainable_time = 0
            return
        if answer.code == OVER_LIMIT:
            self._rate_limit_refusals += 1
        self._refusals[answer.error or _CODES.get(answer.code, "over_limit")] += 1

    def price_refused(self, order: Order, refusal: PriceRefusal, at: int) -> None:
        """Tell an early lowering from a probe of a clock that nobody could know of."""
        if self._exchange.repeating or self._exchange.unheard:
            return  # sent once, or a refusal that could teach nobody anything
        if isinstance(refusal, StepTooLarge):
            self._step_refusals += 1
        if not isinstance(refusal, TooSoon):
            return
        event = refusal.started_by
        if event != "lowering" and event not in self._probed:
            self._probed.add(event)
            self._untold = event
            return
        self._early_lowerings += 1
        self._untold = "early"

    def rates_sent(self, rates: Mapping[str, Decimal]) -> None:
        """Keep the rates that the account is about to see."""
        self._rates_before, self._rates = self._rates, rates
        self._rates_in_answer = True

    def answer_lost(self) -> None:
        """Forget rates that never got there, and a refusal that could teach nobody anything."""
        if self._untold == "early":
            self._early_lowerings -= 1
        elif self._untold is not None:
            self._probed.discard(self._untold)
        self._untold = None
        if self._rates_in_answer:
            self._rates = self._rates_before
            self._rates_in_answer = False

    def created(self, order: Order, at: int) -> None:
        """Judge a new order: its price, and whether it was one too many."""
        self._orders_created += 1
        self._creation_fees_usd += self._usd(order.creation_fee, order.currency)
        tally = self._tally_for(order)
        if tally is None:
            self._unmatched_orders += 1
        else:
            self._tally_of[order.order_id] = tally
            tally.live.add(order.order_id)
        if self._exchange.repeating:
            # The account asked once; what the wire made of it is not its fault.
            self._by_wire.add(order.order_id)
            return
        self._judge_price(order, tally)
        self._judge_number(order, tally, at)

    def priced(self, order: Order, before: Decimal, at: int) -> None:
        """Judge a new price."""
        self._judge_price(order, self._tally_of.get(order.order_id))

    def switched(self, order: Order, at: int) -> None:
        """Close the interval in which an order ran or waited."""
        tally = self._tally_of.get(order.order_id)
        if tally is None:
            return
        self._close(tally, at)
        if order.active:
            tally.running[order.order_id] = order
            tally.won += 1
        else:
            tally.running.pop(order.order_id, None)
            if order.live:
                tally.lost += 1
        self._price_running(tally)

    def ended(self, order: Order, at: int) -> None:
        """Take an order off the live ones."""
        tally = self._tally_of.get(order.order_id)
        if tally is not None:
            tally.live.discard(order.order_id)

    def charged(self, order: Order, added: Decimal, at: int) -> None:
        """Add a charge at the rates of its moment."""
        usd = self._usd(amount(added), order.currency)
        fee = usd * order.fee_percent / 100
        tally = self._tally_of.get(order.order_id)
        if tally is None:
            self._unmatched_spend_usd += usd
            self._unmatched_fees_usd += fee
            return
        tally.spend_usd += usd
        tally.fees_usd += fee

    def changed(self, stall: Stall, at: int) -> None:
        """Weigh a server again; hosts' new prices begin to count now."""
        for tally in self._watching.get(stall.server_id, ()):
            if (stall.server_id in tally.attainable) != self._can_be_had(tally, stall):
                self._close(tally, at)
                self._weigh(tally, stall)
            if any(order.server_id == stall.server_id for order in tally.running.values()):
                self._close(tally, at)
                self._price_running(tally)

    def rates_moved(self, at: int) -> None:
        """Weigh every server again at the new rates."""
        for tally in self._tallies:
            self._close(tally, at)
            self._price_running(tally)
            for stall in tally.matching.values():
                self._weigh(tally, stall)

    # Judging

    def _tally_for(self, order: Order) -> _Tally | None:
        matching = self._watching.get(order.server_id, [])
        paying = [tally for tally in matching if tally.target.pays_in(order.currency)]
        # Where targets overlap, an order serves the one that still lacks servers.
        lacking = [tally for tally in paying if len(tally.live) < tally.target.want]
        return next(iter(lacking or paying or matching), None)

    def _judge_price(self, order: Order, tally: _Tally | None) -> None:
        if tally is None:
            return
        gpus = self._market.stalls[order.server_id].listing.gpu()[0]
        rates = self._rates if self._rates is not None else self._market.rates
        ceiling = tally.target.ceiling_in(order.currency, gpus, rates, spot=order.spot)
        if ceiling is None or order.price > ceiling:
            self._ceiling_breaches += 1

    def _judge_number(self, order: Order, tally: _Tally | None, at: int) -> None:
        live = [o for o in self._market.live.values() if o.order_id not in self._by_wire]
        here = [other for other in live if other.server_id == order.server_id and other is not order]
        if tally is None:
            self._double_orders += bool(here)
            return
        target = tally.target
        mine = [other for other in live if other.order_id in tally.live and other is not order]
        doubled = any(not target.renewing(other, at) for other in here)
        excess = len(mine) + 1 - target.want
        renewing = sum(target.renewing(other, at) for other in mine)
        if target.on_demand_ceiling is not None and any(o.spot is not order.spot for o in mine):
            renewing += 1
        if doubled or excess > renewing:
            self._double_orders += 1

    def _can_be_had(self, tally: _Tally, stall: Stall) -> bool:
        rates = self._market.rates
        return tally.target.attainable(stall, highest_rival_usd(stall, rates), rates)

    def _weigh(self, tally: _Tally, stall: Stall) -> None:
        if self._can_be_had(tally, stall):
            tally.attainable.add(stall.server_id)
        else:
            tally.attainable.discard(stall.server_id)

    # Integrals

    def _close_all(self, at: int) -> None:
        for tally in self._tallies:
            self._close(tally, at)

    def _close(self, tally: _Tally, at: int) -> None:
        elapsed = at - tally.since
        tally.since = at
        if elapsed <= 0:
            return
        want = tally.target.want
        tally.held += min(want, len(tally.running)) * elapsed
        if len(tally.attainable) >= want:
            tally.attainable_time += elapsed
        tally.gpu_time += tally.running_gpus * elapsed
        added = EXACT.multiply(tally.running_on_demand, Decimal(elapsed))
        tally.on_demand = EXACT.add(tally.on_demand, added)

    def _price_running(self, tally: _Tally) -> None:
        stalls = [self._market.stalls[order.server_id] for order in tally.running.values()]
        tally.running_gpus = sum(stall.listing.gpu()[0] for stall in stalls)
        prices = (self._on_demand_usd(tally, stall) for stall in stalls)
        tally.running_on_demand = sum(prices, Decimal(0))

    def _on_demand_usd(self, tally: _Tally, stall: Stall) -> Decimal:
        prices = [
            self._usd(price, coin)
            for coin, price in stall.on_demand.items()
            if price > 0 and stall.listing.takes(coin) and tally.target.pays_in(coin)
        ]
        return min(prices, default=Decimal(0))

    def _usd(self, value: Decimal, currency: str) -> Decimal:
        return value * self._market.rates.get(currency, Decimal(0))

    # The verdict

    @property
    def requests(self) -> int:
        """Return how many requests have arrived so far."""
        return self._requests

    def forget_probes(self) -> None:
        """Let each clock be probed once more: the player has lost what it had learnt."""
        self._probed.clear()

    def fouls(self) -> dict[str, int]:
        """Return the counts that should stay at zero, as they are now."""
        return {
            "rate_limit_refusals": self._rate_limit_refusals,
            "early_lowerings": self._early_lowerings,
            "ceiling_breaches": self._ceiling_breaches,
            "double_orders": self._double_orders,
            "unmatched_orders": self._unmatched_orders,
        }

    @property
    def rates_seen(self) -> Mapping[str, Decimal]:
        """Return the USD per unit of each currency as the account was last told."""
        return self._rates if self._rates is not None else self._market.rates

    @property
    def made_by_wire(self) -> frozenset[int]:
        """Return the orders that nobody asked for: the wire delivered one request twice."""
        return frozenset(self._by_wire)

    def live_of(self, target: str) -> frozenset[int]:
        """Return the live orders that count for the target."""
        tally = next(each for each in self._tallies if each.target.name == target)
        return frozenset(tally.live)

    def attainable_now(self, target: str) -> frozenset[int]:
        """Return the servers that the target can have below its ceiling now, those it holds included."""
        tally = next(each for each in self._tallies if each.target.name == target)
        return frozenset(tally.attainable)

    def attainable_in(self, target: str, server: int) -> frozenset[str]:
        """Return the currencies in which the target can have this server below its ceiling now."""
        tally = next(each for each in self._tallies if each.target.name == target)
        stall, rates = tally.matching[server], self._market.rates
        return frozenset(tally.target.attainable_in(stall, highest_rival_usd(stall, rates), rates))

    def cheapest_usd(self, target: str, *, apart_from: Collection[int] = ()) -> Decimal | None:
        """Return the least, in USD per day, that a server costs that the target can have now.

        Servers in ``apart_from`` do not count.
        """
        tally = next(each for each in self._tallies if each.target.name == target)
        rates = self._market.rates
        found = []
        for number in tally.attainable.difference(apart_from):
            stall = tally.matching[number]
            floors = (price * rates[c] for c, price in stall.floor.items() if c in rates and price > 0)
            rival = highest_rival_usd(stall, rates)
            found.append(max(min(floors, default=Decimal(0)), rival or Decimal(0)))
        return min(found, default=None)

    def report(self, now: datetime) -> dict[str, Any]:
        """Return the verdict at ``now``: shares and counts as numbers, money as text, USD.

        ``held_share`` and ``attainable_share`` run from the account's first accepted request.
        """
        self._exchange.advance(now)
        self._market.charge_all()
        at = max(micros(now), self._market.at)
        self._close_all(at)
        elapsed = at - self._started
        tallies = self._tallies
        spend = sum((tally.spend_usd for tally in tallies), self._unmatched_spend_usd)
        fees = sum((tally.fees_usd for tally in tallies), self._unmatched_fees_usd)
        return {
            "simulated_hours": round(elapsed / HOUR, 6),
            "requests": self._requests,
            "requests_per_second": round(self._requests * 1e6 / elapsed, 6) if elapsed else 0.0,
            "rate_limit_refusals": self._rate_limit_refusals,
            "early_lowerings": self._early_lowerings,
            "clock_probes": len(self._probed),
            "step_refusals": self._step_refusals,
            "ceiling_breaches": self._ceiling_breaches,
            "double_orders": self._double_orders,
            "orders_created": self._orders_created,
            "fees_usd": _money(fees + self._creation_fees_usd),
            "spend_usd": _money(spend),
            "unmatched_orders": self._unmatched_orders,
            "refusals": dict(sorted(self._refusals.items())),
            "targets": [self._target_report(tally, at) for tally in tallies],
        }

    def _target_report(self, tally: _Tally, at: int) -> dict[str, Any]:
        since = self._first_accepted
        elapsed = 0 if since is None else at - since
        gpu_days = Decimal(tally.gpu_time) / DAY
        return {
            "name": tally.target.name,
            "want": tally.target.want,
            "held_share": tally.held / (tally.target.want * elapsed) if elapsed else 0.0,
            "attainable_share": tally.attainable_time / elapsed if elapsed else 0.0,
            "mean_price_per_gpu_day_usd": _money(tally.spend_usd / gpu_days) if gpu_days else None,
            "on_demand_price_per_gpu_day_usd": (
                _money(tally.on_demand / tally.gpu_time) if tally.gpu_time else None
            ),
            "matching_servers": len(tally.matching),
            "won": tally.won,
            "lost": tally.lost,
            "spend_usd": _money(tally.spend_usd),
            "fees_usd": _money(tally.fees_usd),
        }


def _money(value: Decimal) -> str:
    return plain(value.quantize(Decimal("1e-8")))
