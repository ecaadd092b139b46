"""A daemon's record of some hours, written the way the daemon writes it, minute by minute."""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal

from builders import RATES, make_holding, make_order, make_policy, usd
from sqlalchemy import Engine

from bidder.domain.ids import AccountName, OrderId, ServerId
from bidder.domain.intents import IntentKind
from bidder.domain.market import OrderKind
from bidder.domain.money import Currency, Money
from bidder.domain.policy import Mode
from bidder.domain.view import Holding
from bidder.store.queries import Queries
from bidder.store.records import BookRecord, DecisionRecord, Over, PassRecord, ServerRecord
from bidder.store.store import Store

MINUTE = timedelta(minutes=1)
HOUR = timedelta(hours=1)
DAY = timedelta(days=1)
START = datetime(2026, 3, 2, tzinfo=UTC)

Rival = Callable[[int], Decimal | None]


@dataclass(slots=True, kw_only=True)
class Diary:
    """Writes one account's record; ``now`` is the next minute to be written."""

    engine: Engine
    start: datetime = START
    account: AccountName = field(default_factory=lambda: make_policy().account)
    mode: Mode = Mode.LIVE
    gpus: int = 1
    model: str = "RTX 3090"
    fee: str = "0"
    rented: bool = False  # on demand, by somebody else
    now: datetime = field(init=False)
    passes: int = 0
    _orders: dict[int, Holding] = field(default_factory=dict)
    _decided: list[DecisionRecord] = field(default_factory=list)

    def __post_init__(self) -> None:
        """Begin at the start, in the middle of a minute."""
        self.now = self.start + MINUTE / 2

    def store(self) -> Store:
        """Return the account's store."""
        return Store(self.engine, self.account, mode=self.mode)

    def queries(self) -> Queries:
        """Return what may be asked of the account."""
        return Queries(self.engine, self.account)

    def bid(
        self, order: int, server: int, price: str, *, target: str = "render", spend: str = "0"
    ) -> None:
        """Place an order now; ``spend`` is what it will have cost whenever it is looked at."""
        bill = Money.parse(spend, Currency.USD)
        made = make_order(order, server=server, price=usd(price), created_at=self.now, spend=bill)
        self._orders[order] = make_holding(
            order, order=made, first_seen_at=self.now, last_seen_at=self.now, target=target
        )
        self.decide("empty_slot", IntentKind.PLACE, server=server, price=price, target=target)

    def reprice(self, order: int, price: str, reason: str) -> None:
        """Give an order another price now."""
        held = self._orders[order]
        before = held.order.price
        self._orders[order] = replace(held, order=replace(held.order, price=usd(price)))
        self.decide(
            reason,
            IntentKind.REPRICE,
            server=held.order.server,
            order=order,
            price=price,
            previous=str(before.amount),
            target=held.target or "",
        )

    def end(self, order: int, reason: str = "war") -> None:
        """Cancel an order now."""
        held = self._orders.pop(order)
        server, target = held.order.server, held.target or ""
        self.decide(reason, IntentKind.WITHDRAW, server=server, order=order, target=target)
        self.store().settle(
            (), (), at=self.now, over=[Over(order=held.order.order, at=self.now, cause="withdrawn")]
        )

    def decide(
        self,
        reason: str,
        action: IntentKind | None = None,
        *,
        server: int | None = None,
        order: int | None = None,
        price: str | None = None,
        previous: str | None = None,
        target: str = "render",
    ) -> None:
        """Take a decision now."""
        self._decided.append(
            DecisionRecord(
                target=target,
                reason=reason,
                action=action,
                server=None if server is None else ServerId(server),
                order=None if order is None else OrderId(order),
                price=None if price is None else usd(price),
                previous_price=None if previous is None else usd(previous),
                at=self.now,
            )
        )

    def watch(
        self,
        span: timedelta,
        rivals: dict[int, Rival],
        *,
        floor: str = "1",
        on_demand: str = "9",
        every: timedelta = MINUTE,
    ) -> None:
        """Look at each server's book now and then over a span; who bids more than the rival has it."""
        store = self.store()
        begun = self.now
        while self.now < begun + span:
            self.passes += 1
            minute = (self.now - begun) // MINUTE
            store.record_pass(
                PassRecord(
                    pass_id=self.passes,
                    at=self.now,
                    books=tuple(
                        self._book(server, rival(minute), floor, on_demand)
                        for server, rival in rivals.items()
                    ),
                    servers=tuple(
                        ServerRecord(server=ServerId(s), gpu_model=self.model, gpus=self.gpus)
                        for s in rivals
                    ),
                    decisions=tuple(self._decided),
                    holdings=tuple(self._orders.values()),
                    rates=RATES,
                    creation_fee_usd=Decimal(self.fee),
                )
            )
            self._decided.clear()
            self.now += every

    def _book(self, server: int, rival: Decimal | None, floor: str, on_demand: str) -> BookRecord:
        ours = next(
            (
                held.order
                for held in self._orders.values()
                if held.order.server == server and held.order.kind is OrderKind.SPOT
            ),
            None,
        )
        wins = ours is not None and (rival is None or ours.price.amount > rival)
        active = OrderId(500) if rival is not None and not self.rented else None
        return BookRecord(
            server=ServerId(server),
            at=self.now,
            floor={Currency.USD: usd(floor)},
            rivals=0 if rival is None else 1,
            best_rival=None if rival is None else usd(str(rival)),
            active_order=ours.order if ours is not None and wins else active,
            our_order=None if ours is None else ours.order,
            our_price=None if ours is None else ours.price,
            rented=self.rented,
            on_demand=usd(on_demand),
        )


def steady(price: str | None) -> Rival:
    """Return a rival that always bids the same; None: there is none."""
    return lambda _: None if price is None else Decimal(price)
