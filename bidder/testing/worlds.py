"""Generated situations: one standing bid of ours on a server, and all that bears on its price."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Final

from hypothesis import strategies as st

from bidder.domain.ids import AccountName, OrderId, ServerId
from bidder.domain.market import Book, Listing, Marketplace, Offer, OrderKind, OwnOrder, Specs, Wallet
from bidder.domain.money import Currency, Money, Price, Rates
from bidder.domain.policy import Ceiling, Launch, Mode, Per, Policy, StrategyParams, Target, TrackParams
from bidder.domain.positions import Position, position
from bidder.domain.price_rules import ClockRules, LoweringClock, StepSample
from bidder.domain.view import BookSeen, Holding, Raised, View

RATES: Final = Rates({Currency.BTC: Decimal(69000), Currency.CLORE: Decimal("0.11")})
SERVER, ORDER, TARGET = ServerId(4242), OrderId(17), "checked"
_NOON = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
_CURRENCIES = (Currency.USD, Currency.BTC, Currency.CLORE)
# Not an end of the range, which is drawn more often than its share.
_RARELY = st.integers(0, 99).map(lambda n: 40 <= n < 50)


@dataclass(frozen=True, slots=True, kw_only=True)
class Situation:
    """One bid as a strategy meets it, and the account and the policy that it belongs to."""

    position: Position
    view: View
    policy: Policy
    now: datetime


@st.composite
def situations(draw: st.DrawFn, params: StrategyParams | None = None) -> Situation:
    """Draw a standing bid whose book has just been read: running or outbid, dear or cheap, any clock."""
    now = _NOON + timedelta(seconds=draw(st.integers(0, 86_400)))
    currency = draw(st.sampled_from(_CURRENCIES))
    ceiling = draw(_usd("1", "20"))
    target = Target(
        name=TARGET,
        want=1,
        ceiling=Ceiling(price=Price(ceiling, Currency.USD), per=draw(st.sampled_from(Per))),
        launch=Launch(image="checked"),
        params=params or TrackParams(),
        currencies=_CURRENCIES,
        value=draw(st.none() | st.just(Ceiling(price=Price(ceiling, Currency.USD)))),
    )
    policy = Policy(account=AccountName("checked"), mode=Mode.LIVE, targets=(target,))
    listing = draw(_listings(currency))
    holding = draw(_holdings(currency, ceiling, now))
    seen = draw(_books(holding, now))
    view = View(
        marketplace=Marketplace(listings={SERVER: listing}),
        marketplace_at=now - timedelta(seconds=20),
        books={SERVER: seen},
        holdings={ORDER: holding},
        orders_at=now - timedelta(seconds=5),
        completed_at=now - timedelta(seconds=60),
        wallets={c: Wallet(currency=c, balance=Money(Decimal(10**6), c)) for c in _CURRENCIES},
        wallets_at=now - timedelta(seconds=60),
        rates=RATES,
        rules=draw(st.builds(ClockRules, creation=_LEARNT, raised=_LEARNT)),
        steps=draw(_steps(holding.order.price, now)),
        raises=draw(_raises(now)),
        creation_fee_usd=draw(st.sampled_from((Decimal(0), Decimal("0.05")))),
    )
    here = position(holding, target, view, policy, now)
    return Situation(position=here, view=view, policy=policy, now=now)


def positions() -> st.SearchStrategy[Position]:
    """Return a strategy for positions, as a function of the owner's gets them."""
    return situations().map(lambda drawn: drawn.position)


_LEARNT = st.none() | st.booleans()


def _usd(least: str, most: str) -> st.SearchStrategy[Decimal]:
    return st.decimals(least, most, places=2)


@st.composite
def _prices(draw: st.DrawFn, usd: st.SearchStrategy[Decimal], currency: Currency | None) -> Price:
    chosen = draw(st.sampled_from(_CURRENCIES)) if currency is None else currency
    return RATES.from_usd(draw(usd), chosen).rounded_up()


@st.composite
def _listings(draw: st.DrawFn, currency: Currency) -> Listing:
    floor = draw(_prices(_usd("0.10", "4"), currency))
    dear = draw(st.none() | _prices(_usd("2", "40"), None))
    gpus = draw(st.integers(1, 8))
    return Listing(
        server=SERVER,
        on_demand={} if dear is None else {dear.currency: dear},
        spot_floor={} if draw(_RARELY) else {currency: floor},
        rented=draw(_RARELY),
        mrl=timedelta(hours=96),
        specs=Specs(gpu=f"{gpus}x GPU", gpu_model="GPU", gpu_count=gpus),
        reliability=draw(st.none() | st.floats(0.5, 1.0)),
    )


@st.composite
def _holdings(draw: st.DrawFn, currency: Currency, ceiling: Decimal, now: datetime) -> Holding:
    # Mostly within the ceiling: what stands above it is brought down before a strategy is asked.
    most = ceiling * 2 if draw(_RARELY) else ceiling
    price = RATES.from_usd(draw(_usd("0.10", str(most))), currency).rounded_down()
    active = draw(st.booleans())
    born = now - timedelta(seconds=draw(st.integers(60, 80_000)))
    order = OwnOrder(
        order=ORDER,
        server=SERVER,
        kind=OrderKind.SPOT,
        price=max(price, Price(Decimal("0.01"), currency)) if price.amount == 0 else price,
        spend=Money.zero(currency),
        created_at=born,
        mrl=timedelta(hours=96),
    )
    return Holding(
        order=order,
        target=TARGET,
        first_seen_at=born,
        last_seen_at=now - timedelta(seconds=5),
        clock=LoweringClock(
            created_at=born,
            raised_at=draw(_ago(now)),
            lowered_at=draw(_ago(now)),
            opens_at=now + timedelta(seconds=draw(st.integers(1, 600))) if draw(_RARELY) else None,
        ),
        active=active,
        outbid_since=None if active else now - timedelta(seconds=draw(st.integers(0, 1200))),
    )


def _ago(now: datetime) -> st.SearchStrategy[datetime | None]:
    since = st.integers(0, 599) | st.integers(0, 1800)
    return st.none() | since.map(lambda seconds: now - timedelta(seconds=seconds))


@st.composite
def _rivals(draw: st.DrawFn, ours: Price, *, running: bool) -> Price:
    """Draw a rival's bid: mostly below a running bid of ours, mostly near one that is outbid."""
    if draw(_RARELY):
        return draw(_prices(_usd("0.10", "20"), None))
    percent = draw(st.integers(20, 99) if running else st.integers(60, 140))
    near = ours.times(Decimal(percent) / 100)
    return RATES.convert(near, draw(st.sampled_from(_CURRENCIES))).rounded_up()


@st.composite
def _books(draw: st.DrawFn, holding: Holding, now: datetime) -> BookSeen:
    order = holding.order
    rivals = draw(st.lists(_rivals(order.price, running=bool(holding.active)), max_size=3))
    offers = [
        Offer(
            order=OrderId(100 + number),
            price=price,
            active=not holding.active and number == 0,
            mine=False,
        )
        for number, price in enumerate(rivals)
    ]
    if not draw(_RARELY):
        offers.append(Offer(order=ORDER, price=order.price, active=bool(holding.active), mine=True))
    floor: Mapping[Currency, Price] = {}
    if not draw(_RARELY):
        # The floor of a server where our bid stands is at most that bid, unless it was moved since.
        least = draw(_prices(_usd("0.10", "4"), order.price.currency))
        floor = {order.price.currency: least if draw(_RARELY) else min(least, order.price)}
    book = Book(
        server=SERVER,
        offers=tuple(offers),
        floor=floor,
        online=not draw(_RARELY),
        rates=draw(st.sampled_from((Rates(), RATES))),
    )
    seconds = draw(st.integers(0, 9))
    return BookSeen(
        book=book,
        at=now - timedelta(seconds=seconds),
        outbid_reads=0 if holding.active else draw(st.integers(1, 4)),
    )


@st.composite
def _steps(draw: st.DrawFn, price: Price, now: datetime) -> tuple[StepSample, ...]:
    if draw(st.booleans()):
        return ()
    share = draw(st.sampled_from((Decimal("0.0001"), Decimal("0.02"), Decimal("0.10"))))
    sample = StepSample(
        currency=price.currency,
        price=price.amount,
        drop=price.amount * share,
        floor=None,
        exact=True,
        at=now - timedelta(hours=1),
    )
    return (sample, replace(sample, price=price.amount * 2, at=now - timedelta(hours=2)))


@st.composite
def _raises(draw: st.DrawFn, now: datetime) -> tuple[Raised, ...]:
    seconds = draw(st.lists(st.integers(0, 3000), max_size=8))
    return tuple(
        Raised(server=SERVER, order=ORDER, rival=None, at=now - timedelta(seconds=each))
        for each in sorted(seconds, reverse=True)
    )
