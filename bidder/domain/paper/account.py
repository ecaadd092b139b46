"""Orders on paper: what the exchange would answer, when they may be lowered, what they cost.

The rules are those of the API document, sections 3 and 4; what it leaves open is taken from what a
live daemon has learnt, else from the document's samples. Refusals are the exchange's own, so that
the daemon learns from them as it would from those.

A bill is kept as price x microseconds of running, exactly, and divided only where it is shown: sums
of rounded minutes would drift. How the exchange counts a part of a minute is written down nowhere;
here it counts in proportion.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from decimal import Context, Decimal

from bidder.domain import price_rules
from bidder.domain.actions import PlaceBid, RentOnDemand, Reprice, Withdraw
from bidder.domain.ids import OrderId, ServerId
from bidder.domain.market import OrderKind, OwnOrder
from bidder.domain.money import EXACT, Currency, Money, Price
from bidder.domain.paper.ground import Ground
from bidder.domain.price_rules import ClockEvent, ClockRules, LoweringClock, StepSample
from bidder.errors import (
    CurrencyNotAllowed,
    LoweredTooSoon,
    OtherRefusal,
    PriceTooLow,
    ServerOffline,
    ServerTaken,
    StepExceeded,
)

_MICROSECOND = timedelta(microseconds=1)
_DAY = Decimal(timedelta(days=1) // _MICROSECOND)
# A quotient has to end somewhere: at 28 digits or 47 places, whichever is first.
_SHOWN = Context(prec=28, Emin=-20)

# How long an order that is over is still listed, as ``return_completed`` would; also after a restart.
LISTED_AFTER = timedelta(days=3)

# The samples of the API document: 2.5 % on spot, 5 % on demand, and a creation fee on spot.
_SPOT_PERCENT, _ON_DEMAND_PERCENT = 2.5, 5.0
_CREATION_FEE = Money(Decimal("1e-7"), Currency.BTC)


@dataclass(frozen=True, slots=True, kw_only=True)
class Fees:
    """What the exchange takes: percent of the spend by kind of order, and for creating a spot order."""

    spot_percent: float = _SPOT_PERCENT
    on_demand_percent: float = _ON_DEMAND_PERCENT
    creation: Money = _CREATION_FEE

    def percent(self, kind: OrderKind) -> float:
        """Return the percentage on the spend of an order of this kind."""
        return self.spot_percent if kind is OrderKind.SPOT else self.on_demand_percent


@dataclass(frozen=True, slots=True, kw_only=True)
class PaperOrder:
    """One order on paper. ``charged`` is price x microseconds of running, up to ``billed_until``.

    ``assumed`` says that it was once taken to win without its book having been seen.
    """

    order: OrderId
    server: ServerId
    kind: OrderKind
    price: Price
    created_at: datetime
    mrl: timedelta
    billed_until: datetime
    charged: Decimal = Decimal(0)
    active: bool = False
    assumed: bool = False
    clock: LoweringClock = LoweringClock()
    fee_percent: float = 0.0
    creation_fee: Money | None = None
    image: str = ""
    ended_at: datetime | None = None

    @property
    def live(self) -> bool:
        """Return whether it still stands, running or waiting."""
        return self.ended_at is None

    @property
    def ends_at(self) -> datetime:
        """Return when it ends by itself."""
        return self.created_at + self.mrl

    def billed(self, at: datetime) -> "PaperOrder":
        """Return it with its bill brought up to ``at``, or to its end where that comes first."""
        until = min(at, self.ends_at)
        if not self.live or until <= self.billed_until:
            return self
        charged = self.charged
        if self.active:
            ran = Decimal((until - self.billed_until) // _MICROSECOND)
            charged = EXACT.add(charged, EXACT.multiply(self.price.amount, ran))
        return replace(self, charged=charged, billed_until=until)

    def ended(self, at: datetime) -> "PaperOrder":
        """Return it as ended at ``at``, paid up to then."""
        return replace(self.billed(at), active=False, ended_at=at)

    @property
    def spend(self) -> Money:
        """Return what it has cost up to ``billed_until``, without fees."""
        return Money(_SHOWN.divide(self.charged, _DAY), self.price.currency)


@dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    """All orders on paper, and the rules that they are held to.

    ``lowest_number`` is the last number given out: none is ever given twice. ``rules`` and ``steps``
    are what live trading has learnt of the exchange; on paper nothing can be learnt of it.
    """

    orders: Mapping[OrderId, PaperOrder] = field(default_factory=dict)
    lowest_number: int = 0
    fees: Fees = Fees()
    rules: ClockRules = ClockRules()
    steps: tuple[StepSample, ...] = ()

    def with_orders(self, *changed: PaperOrder) -> "Account":
        """Return the account with these orders added or replaced."""
        orders = {**self.orders, **{order.order: order for order in changed}}
        return replace(self, orders=orders, lowest_number=min(self.lowest_number, *orders, 0))

    def live_on(self, server: ServerId) -> tuple[PaperOrder, ...]:
        """Return the live orders on a server, oldest first."""
        found = [o for o in self.orders.values() if o.live and o.server == server]
        return tuple(sorted(found, key=lambda o: -o.order))


def fees_seen(fees: Fees, orders: Iterable[OwnOrder]) -> Fees:
    """Return the fees as the newest real orders name them: they change, so they are read."""
    for order in sorted(orders, key=lambda each: each.created_at):
        if order.kind is OrderKind.ON_DEMAND:
            if order.fee_percent is not None:
                fees = replace(fees, on_demand_percent=order.fee_percent)
            continue
        if order.fee_percent is not None:
            fees = replace(fees, spot_percent=order.fee_percent)
        if order.creation_fee is not None:
            fees = replace(fees, creation=order.creation_fee)
    return fees


def place(
    account: Account, action: PlaceBid | RentOnDemand, ground: Ground, at: datetime
) -> tuple[Account, OrderId]:
    """Return the account with a new order, and its number; it does not run yet.

    Raises:
        Refused: as the exchange would refuse it.
    """
    spot = isinstance(action, PlaceBid)
    listing, currency = ground.listing, action.price.currency
    if not ground.known or not ground.online:
        raise ServerOffline(endpoint="create_order", error="server-offline")
    if listing is not None and listing.rented:
        raise ServerTaken(endpoint="create_order", error="server-already-rented")
    if listing is not None and not listing.takes(currency):
        raise CurrencyNotAllowed(endpoint="create_order", error="currency-not-allowed")
    if spot:
        _refuse_below(action.price, ground.floor(currency), "create_order")
    elif listing is not None and listing.on_demand.get(currency, action.price) > action.price:
        raise OtherRefusal(
            "the host asks more than the required price", endpoint="create_order", error="required-price"
        )
    kind = OrderKind.SPOT if spot else OrderKind.ON_DEMAND
    order = PaperOrder(
        order=OrderId(account.lowest_number - 1),
        server=action.server,
        kind=kind,
        price=action.price,
        created_at=at,
        mrl=ground.mrl,
        billed_until=at,
        clock=LoweringClock(created_at=at),
        fee_percent=account.fees.percent(kind),
        creation_fee=account.fees.creation if spot else None,
        image=action.launch.image,
    )
    return account.with_orders(order), order.order


def reprice(account: Account, action: Reprice, ground: Ground, at: datetime) -> Account:
    """Return the account with the bid at its new price, paid at the old one up to ``at``.

    Raises:
        Refused: as the exchange would refuse it; a refusal changes nothing and starts no clock.
    """
    order = _live(account, action.order, at, "set_spot_price").billed(at)
    current, wanted = order.price, action.price
    if wanted.currency != current.currency:
        raise OtherRefusal("the bid is in another currency", endpoint="set_spot_price")
    floor = ground.floor(current.currency)
    if wanted < current:
        _refuse_early(order, account, at)
        _refuse_wide(current, wanted, floor, account, at)
    _refuse_below(wanted, floor, "set_spot_price")
    if wanted == current:
        return account.with_orders(order)
    event = ClockEvent.LOWERING if wanted < current else ClockEvent.RAISE
    return account.with_orders(replace(order, price=wanted, clock=order.clock.after(event, at)))


def cancel(account: Account, action: Withdraw, at: datetime) -> Account:
    """Return the account without this order standing; raises Refused where it does not stand."""
    return account.with_orders(_live(account, action.order, at, "cancel_order").ended(at))


def expire(account: Account, at: datetime) -> Account:
    """Return the account with every order ended whose longest rental is over by ``at``.

    Orders that ended days ago are forgotten; the database keeps them.
    """
    ending = [o for o in account.orders.values() if o.live and o.ends_at <= at]
    account = account.with_orders(*(o.ended(o.ends_at) for o in ending)) if ending else account
    old = [o.order for o in account.orders.values() if o.ended_at and at - o.ended_at > LISTED_AFTER]
    kept = {number: order for number, order in account.orders.items() if number not in old}
    return replace(account, orders=kept) if old else account


def own_orders(account: Account, at: datetime, *, completed: bool) -> tuple[OwnOrder, ...]:
    """Return the orders as ``my_orders`` would list them, with ``completed`` the ended ones too."""
    return tuple(
        _listed(order.billed(at)) for order in account.orders.values() if completed or order.live
    )


def _listed(order: PaperOrder) -> OwnOrder:
    return OwnOrder(
        order=order.order,
        server=order.server,
        kind=order.kind,
        price=order.price,
        spend=order.spend,
        created_at=order.created_at,
        mrl=order.mrl,
        expired=not order.live,
        fee_percent=order.fee_percent,
        creation_fee=order.creation_fee,
        image=order.image,
        assumed=order.assumed,
    )


def _live(account: Account, number: OrderId, at: datetime, endpoint: str) -> PaperOrder:
    order = account.orders.get(number)
    if order is None or not order.live or order.ends_at <= at:
        raise OtherRefusal("there is no such order on paper", endpoint=endpoint, error="order-not-found")
    return order


def _refuse_early(order: PaperOrder, account: Account, at: datetime) -> None:
    opens_at = price_rules.next_lowering_at(order.clock, account.rules)
    if opens_at is not None and at < opens_at:
        wait = (opens_at - at).total_seconds()
        raise LoweredTooSoon(time_to_lowering=wait, endpoint="set_spot_price")


def _refuse_wide(
    current: Price, wanted: Price, floor: Price | None, account: Account, at: datetime
) -> None:
    lowest = price_rules.lowest_allowed(current, floor, account.steps, at)
    if lowest is None:
        drop = price_rules.usual_drop(current, floor, account.steps, at)
        lowest = Price(EXACT.subtract(current.amount, drop), current.currency)
    if wanted < lowest:
        raise StepExceeded(max_step=lowest.amount, endpoint="set_spot_price")


def _refuse_below(price: Price, floor: Price | None, endpoint: str) -> None:
    if floor is not None and price < floor:
        raise PriceTooLow(min_price=floor.amount, endpoint=endpoint)
