"""So many rivals and no more: each bids on one server at a time, and goes on to another.

Where each server draws its own rivals, their number grows with the world. Here it is given, of every
kind there is, so that worlds can be as large or as crowded as one likes. What a member looks for is
its own chance: whatever a player does elsewhere, it sees the same servers in the same order.
"""

from dataclasses import dataclass
from random import Random

from bidder.sim.auction import Order, Stall
from bidder.sim.market import Market
from bidder.sim.moments import MINUTE
from bidder.sim.rivals import MOST_OFFERS, Kind, Rival, Rivals, drawn_kind

_LOOKS_AT = 3  # servers that a member compares before it bids on the cheapest of them
_BETWEEN = (5.0, 45.0)  # minutes from one server to the next
_UNPRICED = 1.0


@dataclass(slots=True, eq=False, kw_only=True)
class _Member:
    """One competitor for as long as the world lasts, and its present bid."""

    kind: Kind
    chance: Random
    rival: Rival | None = None


class Crowd(Rivals):
    """A given number of rivals; the first five are one of each kind."""

    def __init__(self, market: Market, seed: int, size: int) -> None:
        """Put every member on a server."""
        self._members = []
        for number in range(size):
            chance = Random(f"crowd/{seed}/{number}")
            kinds = tuple(Kind)
            kind = kinds[number] if number < len(kinds) else drawn_kind(chance)
            self._members.append(_Member(kind=kind, chance=chance))
        super().__init__(market, seed)

    def _populate(self) -> None:
        for member in self._members:
            self._look(member)

    def _look(self, member: _Member) -> None:
        stall = self._chosen(member.chance)
        member.rival = None if stall is None else self._compete(stall, member.chance, member.kind)
        if member.rival is None:
            self._look_later(member)

    def _chosen(self, chance: Random) -> Stall | None:
        stalls = tuple(self._market.stalls.values())
        seen = chance.sample(stalls, min(_LOOKS_AT, len(stalls)))
        possible = [s for s in seen if s.open_to_bids and len(s.offers) < MOST_OFFERS]
        return min(possible, key=_dearness, default=None)

    def _look_later(self, member: _Member) -> None:
        wait = round(member.chance.uniform(*_BETWEEN) * MINUTE)
        self._market.schedule(self._market.at + wait, lambda _: self._look(member))

    def _order_ended(self, order: Order) -> None:
        super()._order_ended(order)
        if order.rival is not None and order.end_reason == "mrl":
            self._moved_on(order.rival)

    def _leave(self, rival: Rival) -> None:
        super()._leave(rival)
        self._moved_on(rival)

    def _moved_on(self, rival: Rival) -> None:
        member = next((m for m in self._members if m.rival is rival), None)
        if member is not None:
            member.rival = None
            self._look_later(member)


def _dearness(stall: Stall) -> float:
    """Return the lowest floor of a server over its on-demand price in the same coin."""
    shares = [
        float(floor / stall.on_demand[coin])
        for coin, floor in stall.floor.items()
        if floor > 0 and stall.on_demand.get(coin)
    ]
    return min(shares, default=_UNPRICED)
