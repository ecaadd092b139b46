"""Other people's bids: seeded competitors of several kinds that arrive, compete, win, pay, leave.

Rivals live by the same rules as the account: they raise when they like and lower by the allowed
step once the clock is open. What a rival would pay at most is its own secret, drawn around the
span from the server's floor to its on-demand price.
"""

from dataclasses import dataclass
from decimal import ROUND_CEILING, Decimal
from enum import Enum
from random import Random

from bidder.domain.money import Currency, quantum
from bidder.sim.auction import Order, Stall
from bidder.sim.market import Market
from bidder.sim.moments import HOUR, MINUTE, SECOND


class Kind(Enum):
    """How a rival behaves once its offer stands in the book."""

    STATIC = "static"  # bids once, stays
    INCREMENT = "increment"  # answers every outbid with the best bid plus a tick
    IMPATIENT = "impatient"  # bids once, leaves after being outbid for a while
    STEPPER = "stepper"  # raises in small steps until it runs, then lowers at every opening
    SPIKY = "spiky"  # bids high, stays for minutes


_KINDS = (Kind.STATIC, Kind.INCREMENT, Kind.IMPATIENT, Kind.STEPPER, Kind.SPIKY)
_WEIGHTS = (30, 25, 20, 15, 10)
_MEAN_GAP_HOURS = 6.0  # between arrivals at one server, at ordinary heat
MOST_OFFERS = 8  # more than these on one server, and nobody joins them


def drawn_kind(chance: Random) -> Kind:
    """Return a kind of rival, as often as each is met."""
    return chance.choices(_KINDS, _WEIGHTS)[0]


@dataclass(slots=True, eq=False, kw_only=True)
class Rival:
    """One competitor at one server."""

    kind: Kind
    currency: str
    ceiling: Decimal
    tick: Decimal
    reaction_seconds: tuple[float, float]
    leaves_at: int
    patience: int  # microseconds
    order: Order | None = None
    outbid_since: int | None = None
    reacting: bool = False


class Rivals:
    """All competitors of a market; listens to its books and acts through its rules."""

    def __init__(self, market: Market, seed: int) -> None:
        """Put the first rivals in place and schedule the arrival of others."""
        self._market = market
        self._chances = {number: Random(f"rivals/{seed}/{number}") for number in market.stalls}
        self._gap_hours: dict[int, float] = {}
        market.book_listeners.append(self._book_changed)
        market.end_listeners.append(self._order_ended)
        self._populate()

    def _populate(self) -> None:
        for stall in self._market.stalls.values():
            chance = self._chances[stall.server_id]
            # Some servers draw a crowd, most a bidder now and then.
            gap = _MEAN_GAP_HOURS * chance.lognormvariate(0.1, 0.6)
            self._gap_hours[stall.server_id] = gap
            if chance.random() < 0.55:
                self._arrive(stall)
            self._schedule_arrival(stall)

    def _schedule_arrival(self, stall: Stall) -> None:
        hours = self._chances[stall.server_id].expovariate(1 / self._gap_hours[stall.server_id])

        def arrive(_: int) -> None:
            self._schedule_arrival(stall)
            self._arrive(stall)

        self._market.schedule(self._market.at + max(SECOND, round(hours * HOUR)), arrive)

    def _arrive(self, stall: Stall) -> None:
        if stall.open_to_bids and len(stall.offers) < MOST_OFFERS:
            self._compete(stall, self._chances[stall.server_id])

    def _compete(self, stall: Stall, chance: Random, kind: Kind | None = None) -> Rival | None:
        """Let a new rival bid here, of this kind or any; None where none of its means would."""
        rival = self._drawn(stall, chance, kind)
        opening = None if rival is None else self._opening_bid(stall, rival, chance)
        if rival is None or opening is None:
            return None
        self._enter(stall, rival, opening)
        self._market.schedule(rival.leaves_at, lambda _: self._leave(rival))
        if rival.kind in (Kind.STEPPER, Kind.INCREMENT):
            self._schedule_lowering(stall, rival)
        return rival

    def _drawn(self, stall: Stall, chance: Random, kind: Kind | None) -> Rival | None:
        market = self._market
        currencies = [
            coin
            for coin, floor in stall.floor.items()
            if floor > 0 and stall.listing.takes(coin) and coin in market.rates
        ]
        if not currencies:
            return None
        # Nobody bids in a coin whose price is a placeholder.
        cheapest = min(market.usd(stall.floor[coin], coin) for coin in currencies)
        sensible = [c for c in currencies if market.usd(stall.floor[c], c) <= 2 * cheapest]
        currency = chance.choice(sensible)
        floor = stall.floor[currency]
        on_demand = stall.on_demand.get(currency) or floor
        kind = kind or drawn_kind(chance)
        top = max(on_demand, floor * Decimal("1.02"))
        ceiling = floor + (top - floor) * _decimal(chance.betavariate(1.6, 1.4))
        if chance.random() < 0.08 or kind is Kind.SPIKY:
            ceiling = top * _decimal(chance.uniform(0.97, 1.1))
        hours = {
            Kind.STATIC: chance.lognormvariate(2.0, 0.7),
            Kind.INCREMENT: chance.lognormvariate(2.2, 0.6),
            Kind.IMPATIENT: chance.lognormvariate(1.6, 0.7),
            Kind.STEPPER: chance.lognormvariate(2.2, 0.6),
            Kind.SPIKY: chance.uniform(0.05, 0.7),
        }[kind]
        slow = chance.uniform(10, 60)
        step = quantum(Currency(currency))
        return Rival(
            kind=kind,
            currency=currency,
            ceiling=max(floor, _up(ceiling, step)),
            tick=max(step, _up(floor * _decimal(chance.uniform(0.002, 0.02)), step)),
            reaction_seconds=(slow, slow * 2),
            leaves_at=market.at + round(hours * HOUR),
            patience=round(chance.uniform(2, 20) * MINUTE),
        )

    def _opening_bid(self, stall: Stall, rival: Rival, chance: Random) -> Decimal | None:
        floor = stall.floor[rival.currency]
        match rival.kind:
            case Kind.STATIC | Kind.IMPATIENT:
                part = _decimal(chance.uniform(0.3, 1.0))
                return _up(floor + (rival.ceiling - floor) * part, quantum(Currency(rival.currency)))
            case Kind.SPIKY:
                return rival.ceiling
            case Kind.INCREMENT:
                needed = self._needed(stall, rival)
                return needed if needed <= rival.ceiling else None
            case Kind.STEPPER:
                return floor

    def _enter(self, stall: Stall, rival: Rival, price: Decimal) -> None:
        order = self._market.admit(stall, currency=rival.currency, price=price)
        order.rival = rival
        rival.order = order
        self._market.settle(stall)

    def _needed(self, stall: Stall, rival: Rival) -> Decimal:
        """Return the bid that would lead this book by the rival's tick, at least the floor."""
        market = self._market
        others = [
            market.usd(offer.price, offer.currency) for offer in stall.offers if offer is not rival.order
        ]
        floor = stall.floor[rival.currency]
        if not others:
            return floor
        step = quantum(Currency(rival.currency))
        return max(floor, _up(max(others) / market.rates[rival.currency], step) + rival.tick)

    # Reactions

    def _book_changed(self, stall: Stall, at: int) -> None:
        for offer in stall.offers:
            rival = offer.rival
            if rival is None:
                continue
            if offer.active:
                rival.outbid_since = None
                continue
            if rival.outbid_since is None:
                rival.outbid_since = at
            if not rival.reacting and rival.kind is not Kind.STATIC and stall.open_to_bids:
                self._schedule_reaction(stall, rival)

    def _order_ended(self, order: Order) -> None:
        # Where an outbid offer expires, the bots come back with a new one.
        rival = order.rival
        if rival is None or order.end_reason not in ("outbid", "displaced"):
            return
        if rival.kind not in (Kind.INCREMENT, Kind.STEPPER):
            return
        stall = self._market.stalls[order.server_id]

        def come_back(at: int) -> None:
            if at >= rival.leaves_at or not stall.open_to_bids:
                return
            needed = self._needed(stall, rival)
            if needed <= rival.ceiling:
                self._enter(stall, rival, needed)

        wait = self._chances[stall.server_id].uniform(*rival.reaction_seconds)
        self._market.schedule(self._market.at + round(wait * SECOND), come_back)

    def _schedule_reaction(self, stall: Stall, rival: Rival) -> None:
        rival.reacting = True
        chance = self._chances[stall.server_id]
        wait = round(chance.uniform(*rival.reaction_seconds) * SECOND)
        if rival.kind in (Kind.IMPATIENT, Kind.SPIKY):
            wait = rival.patience

        def react(_: int) -> None:
            rival.reacting = False
            self._react(stall, rival)

        self._market.schedule(self._market.at + wait, react)

    def _react(self, stall: Stall, rival: Rival) -> None:
        order = rival.order
        if order is None or self._market.at >= rival.leaves_at:
            return
        if not order.live:
            return
        if order.active or not stall.open_to_bids:
            return
        if rival.kind in (Kind.IMPATIENT, Kind.SPIKY):
            self._leave(rival)
            return
        needed = self._needed(stall, rival)
        if rival.kind is Kind.STEPPER:
            needed = min(needed, order.price + rival.tick)
        if needed > rival.ceiling:
            # Beaten: waits for the other to tire, for as long as its patience goes.
            if self._market.at - (rival.outbid_since or self._market.at) > 6 * rival.patience:
                self._leave(rival)
            return
        if needed > order.price:
            self._market.set_price(order, needed)

    def _schedule_lowering(self, stall: Stall, rival: Rival) -> None:
        wait = self._market.rules.lowering_pause_seconds + self._chances[stall.server_id].uniform(1, 90)

        def lower(at: int) -> None:
            order = rival.order
            if order is None or not order.live or at >= rival.leaves_at:
                return
            self._schedule_lowering(stall, rival)
            if order.active:
                self._lower(stall, rival, order)

        self._market.schedule(self._market.at + round(wait * SECOND), lower)

    def _lower(self, stall: Stall, rival: Rival, order: Order) -> None:
        # A stepper feels for the lowest price that still runs; the others stop just above the next.
        goal = self._needed(stall, rival)
        target = max(goal, self._market.lowest_price(order))
        if target < order.price:
            self._market.set_price(order, target)

    def _leave(self, rival: Rival) -> None:
        if rival.order is not None and rival.order.live:
            self._market.end(rival.order, "left")


def _decimal(value: float) -> Decimal:
    return Decimal(repr(round(value, 6)))


def _up(amount: Decimal, step: Decimal) -> Decimal:
    return amount.quantize(step, ROUND_CEILING)
