"""The orders of a target in lanes, one for each wanted server, and each lane's way over the grid."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal

from bidder.backtest.watched import Grid, Piece, Watched
from bidder.domain.ids import OrderId, ServerId
from bidder.domain.money import EXACT, Currency, Price

# What takes over from an order (a renewal, a move) may run beside it for so long: by default a
# successor is placed ten minutes before the end. Two clocks that differ look the same.
_HANDOVER = timedelta(minutes=15)
_NEVER = datetime.max.replace(tzinfo=UTC)
_ALWAYS = datetime.min.replace(tzinfo=UTC)


@dataclass(frozen=True, slots=True, kw_only=True)
class Placed:
    """One order of ours on the spot market: from when to when, and each price it had."""

    order: OrderId
    server: ServerId
    begin: datetime
    end: datetime | None
    prices: tuple[tuple[datetime, Price], ...]

    def stands(self, at: datetime) -> bool:
        """Return whether it stands at a moment."""
        return self.begin <= at and (self.end is None or at < self.end)

    def lowered(self) -> tuple[datetime, ...]:
        """Return when it was lowered."""
        return tuple(self._moved(down=True))

    def raised(self) -> tuple[datetime, ...]:
        """Return when it was raised."""
        return tuple(self._moved(down=False))

    def _moved(self, *, down: bool) -> Iterator[datetime]:
        for (_, before), (at, after) in zip(self.prices, self.prices[1:], strict=False):
            if before.currency == after.currency and before != after and (after < before) is down:
                yield at


def lanes(orders: Iterable[Placed], want: int) -> list[list[Placed]]:
    """Return the orders one after the other in as few lanes as they need, at least ``want``.

    Who takes over from the last order of a lane may begin some minutes before that is over.
    """
    found: list[list[Placed]] = [[] for _ in range(want)]
    for order in sorted(orders, key=lambda each: (each.begin, each.order)):
        lane = _lane_for(order, found[:want], found[want:])
        if lane is None:
            found.append(lane := [])
        lane.append(order)
    # What could not wait its turn is the surplus: the lanes that did most come first.
    return sorted(found, key=len, reverse=True)


def _lane_for(
    order: Placed, wanted: Sequence[list[Placed]], surplus: Sequence[list[Placed]]
) -> list[Placed] | None:
    free = next((lane for lane in wanted if _over(lane) <= order.begin), None)
    if free is not None:
        return free
    soonest = min(wanted, key=_over, default=None)
    if soonest is not None and _over(soonest) - order.begin <= _HANDOVER:
        return soonest
    return next((lane for lane in surplus if _over(lane) <= order.begin), None)


def _over(lane: Sequence[Placed]) -> datetime:
    return max((order.end or _NEVER for order in lane), default=_ALWAYS)


@dataclass(slots=True, kw_only=True)
class Way:
    """What one lane's orders did, moment by moment; USD.

    ``earned`` is value less bid while running, less starts and creations; ``ran`` is the share of each
    moment in which a server ran, ``started`` how often one began to; ``held`` in moments. Where one
    order takes over from another and both run, both are paid, and the value is had once.
    """

    earned: list[float]
    ran: list[float]
    started: list[int]
    held: float = 0.0
    paid: float = 0.0
    starts: int = 0
    creations: int = 0
    coins: dict[Currency, Decimal]


@dataclass(frozen=True, slots=True, kw_only=True)
class Costs:
    """What a server is worth to the target per day, what a start there costs, and a creation."""

    value: float
    start: float
    fee: float


def way_of(
    lane: Sequence[Placed],
    seen: dict[ServerId, Watched],
    costs: dict[ServerId, Costs],
    grid: Grid,
) -> Way:
    """Return what the lane's orders earned, as far as it was watched."""
    way = Way(
        earned=[0.0] * grid.moments,
        ran=[0.0] * grid.moments,
        started=[0] * grid.moments,
        coins={},
    )
    for order in lane:
        if order.server not in costs:
            continue
        cost = costs[order.server]
        if grid.begin <= order.begin < grid.at(grid.moments):
            way.creations += 1
            way.earned[(order.begin - grid.begin) // grid.length] -= cost.fee
        watched = seen.get(order.server)
        if watched is None:
            continue
        ran = False
        for number, piece in enumerate(watched.pieces):
            if piece.order != order.order:
                continue
            _add(way, piece, cost, grid)
            begins = number == 0 and piece.begin == grid.begin
            if piece.held and not ran and not begins:
                way.starts += 1
                moment = min((piece.begin - grid.begin) // grid.length, grid.moments - 1)
                way.earned[moment] -= cost.start
                way.started[moment] += 1
            ran = piece.held
    return way


def _add(way: Way, piece: Piece, cost: Costs, grid: Grid) -> None:
    if not piece.held or piece.bid is None:
        return
    moments = 0.0
    for moment, share in grid.shares(piece.begin, piece.end):
        more = min(share, 1.0 - way.ran[moment])
        way.earned[moment] += (cost.value * more - piece.bid * share) * grid.days
        way.ran[moment] += more
        way.held += more
        moments += share
    way.paid += piece.bid * moments * grid.days
    if piece.coin is not None:
        amount = piece.coin.amount * Decimal(repr(moments * grid.days))
        before = way.coins.get(piece.coin.currency, Decimal(0))
        way.coins[piece.coin.currency] = EXACT.add(before, amount)
