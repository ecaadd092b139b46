"""Random worlds: accounts in every state that reads, refusals and crashes can leave behind."""

from dataclasses import replace
from datetime import timedelta
from decimal import Decimal

from builders import (
    LAUNCH,
    NOW,
    RATES,
    TARGET,
    at,
    make_book,
    make_holding,
    make_intent,
    make_listing,
    make_order,
    make_policy,
    make_target,
    make_view,
    mine,
    rival,
    seen,
)
from hypothesis import strategies as st

from bidder.domain import deadlines
from bidder.domain.actions import Action, PlaceBid, RentOnDemand, Reprice, Withdraw
from bidder.domain.ids import OrderId, ServerId
from bidder.domain.intents import Intent, IntentKind
from bidder.domain.market import Listing, Offer, OrderKind
from bidder.domain.money import Currency, Price
from bidder.domain.policy import (
    AdaptiveParams,
    AutopilotParams,
    AutospottingParams,
    Ceiling,
    DeadlineParams,
    FixedParams,
    MinBidParams,
    Moving,
    NicehashParams,
    Per,
    Policy,
    Rails,
    Renewal,
    Target,
    TopPlusTickParams,
    TrackParams,
    TrackRecreateParams,
)
from bidder.domain.price_rules import LoweringClock
from bidder.domain.view import BookSeen, Created, Holding, Raised, View
from bidder.domain.work import Work

SERVERS = st.integers(1, 6).map(ServerId)
CURRENCIES = st.sampled_from([Currency.USD, Currency.BTC])
NAMES = st.sampled_from([TARGET, "second"])


# Not 0 or an end of the range, which are drawn more often than their share.
RARELY = st.integers(0, 99).map(lambda n: 40 <= n < 50)


@st.composite
def prices(draw: st.DrawFn, least: str = "0.5", most: str = "6") -> Price:
    """Return a price worth some dollars."""
    usd = draw(st.decimals(least, most, places=2))
    return RATES.from_usd(usd, draw(CURRENCIES)).rounded_up()


@st.composite
def listings(draw: st.DrawFn, server: int) -> Listing:
    """Return a server with one or two prices."""
    return make_listing(
        server,
        floor=draw(st.lists(prices("0.5", "3"), min_size=1, max_size=2)),
        on_demand=draw(st.lists(prices("2", "12"), max_size=2)),
        gpus=draw(st.integers(1, 4)),
        rented=draw(RARELY),
        allowed=draw(st.none() | st.frozensets(CURRENCIES)),
    )


def jobs() -> st.SearchStrategy[DeadlineParams]:
    """Return a job with all the time of the world, with hardly enough, with none left, or done."""
    ceilings = st.builds(Ceiling, price=prices("2", "9"), per=st.sampled_from(Per))
    return st.builds(
        DeadlineParams,
        gpu_hours=st.decimals("0.5", "9", places=1),
        by=st.integers(-60, 600).map(lambda minutes: at(60 * minutes)),
        on_demand_ceiling=ceilings,
        bidding=st.sampled_from((TrackParams(), AdaptiveParams(raise_wait=timedelta(0)))),
    )


@st.composite
def targets(draw: st.DrawFn, name: str) -> Target:
    """Return a target of any strategy."""
    params = draw(
        st.builds(FixedParams, price=st.none() | prices())
        | st.builds(
            TrackParams,
            raise_wait=st.integers(0, 20).map(lambda s: timedelta(seconds=s)),
            confirm=st.booleans(),
            margin_ticks=st.integers(1, 5),
        )
        | jobs()
        | st.sampled_from(
            (
                AdaptiveParams(),
                AdaptiveParams(raise_wait=timedelta(0), confirm=False),
                AutopilotParams(),
                AutospottingParams(),
                MinBidParams(),
                NicehashParams(),
                NicehashParams(literal=True),
                TopPlusTickParams(),
                TrackRecreateParams(),
            )
        )
    )
    return make_target(
        name,
        ceiling=draw(prices("2", "9")),
        per=draw(st.sampled_from(Per)),
        want=draw(st.integers(1, 3)),
        params=params,
        currencies=tuple(sorted(draw(st.frozensets(CURRENCIES)))),
        renewal=Renewal(overlap=draw(st.booleans())),
        moving=Moving(
            running=draw(st.booleans()),
            overlap=draw(st.booleans()),
            saving=draw(st.sampled_from([Decimal(0), Decimal("0.1")])),
            pause=timedelta(minutes=draw(st.integers(1, 120))),
        ),
        enabled=not draw(RARELY),
    )


@st.composite
def policies(draw: st.DrawFn) -> Policy:
    """Return a policy of two targets below rails of any kind."""
    rails = Rails(
        max_orders=draw(st.none() | st.integers(1, 6)),
        max_usd_per_day=draw(st.none() | st.decimals("4", "40", places=1)),
        max_creations_per_hour=draw(st.integers(1, 6)),
        max_creations_per_server_hour=draw(st.integers(1, 3)),
        allow_above_on_demand=draw(st.booleans()),
    )
    return make_policy(draw(targets(TARGET)), draw(targets("second")), rails=rails)


@st.composite
def holdings(draw: st.DrawFn, number: int, server: ServerId) -> Holding:
    """Return a live order of ours, or a person's."""
    kind = draw(st.sampled_from([OrderKind.SPOT, OrderKind.SPOT, OrderKind.ON_DEMAND]))
    active = draw(st.none() | st.booleans()) if kind is OrderKind.SPOT else None
    order = make_order(
        number,
        server=server,
        price=draw(prices()),
        created_at=at(-3600),
        mrl=timedelta(seconds=3600 + draw(st.integers(1, 3000))),
        kind=kind,
    )
    return make_holding(
        order=order,
        target=None if draw(RARELY) else draw(NAMES),
        active=active,
        outbid_since=at(-draw(st.integers(0, 300))) if active is False else None,
        clock=LoweringClock(lowered_at=at(-draw(st.integers(0, 1200)))),
        missing_reads=1 if draw(RARELY) else 0,
        work=Work(
            gpus=draw(st.integers(1, 4)),
            computed=timedelta(minutes=draw(st.integers(0, 90))),
            starting=timedelta(minutes=draw(st.integers(0, 6))),
        ),
    )


@st.composite
def books(draw: st.DrawFn, server: int, holding: Holding | None) -> BookSeen:
    """Return the book of a server in which our offer stands, or not."""
    offers: list[Offer] = [
        rival(price, number=1000 + 10 * server + i)
        for i, price in enumerate(draw(st.lists(prices(), max_size=3)))
    ]
    if holding is not None and not draw(RARELY):
        offers.append(mine(holding.order.price, active=bool(holding.active), number=holding.order.order))
    if holding is None or not holding.active:
        offers = [replace(o, active=i == 0 and not o.mine) for i, o in enumerate(offers)]
    book = make_book(*offers, server=server, floor=draw(prices("0.5", "3")), online=not draw(RARELY))
    return seen(book, when=at(-draw(st.integers(0, 14))), outbid_reads=draw(st.integers(0, 3)))


@st.composite
def views(draw: st.DrawFn, policy: Policy) -> View:
    """Return an account between six servers, orders, requests in doubt and memories of trouble."""
    held = [
        draw(holdings(int(server), server))
        for server in draw(st.lists(SERVERS, unique=True, max_size=4))
    ]
    here = {holding.order.server: holding for holding in held}
    listed = [draw(listings(server)) for server in range(1, 7) if not draw(RARELY)]
    known = [
        draw(books(server, here.get(ServerId(server)))) for server in range(1, 7) if not draw(RARELY)
    ]
    view = make_view(
        policy,
        *listed,
        holdings=held,
        books=known,
        own=[6] if draw(RARELY) else [],
        intents=(draw(intents()),) if draw(st.booleans()) else (),
        creations=tuple(draw(st.lists(st.builds(Created, server=SERVERS, at=_PAST), max_size=4))),
        raises=tuple(draw(st.lists(_RAISES, max_size=8))),
        order_limit=draw(st.none() | st.integers(1, 6)),
        paused=draw(RARELY),
        creation_fee_usd=Decimal(draw(st.integers(0, 2))),
    )
    return deadlines.looked(view, policy, NOW) if draw(st.booleans()) else view


_PAST = st.integers(-4000, 0).map(at)
_RAISES = st.builds(Raised, server=SERVERS, order=SERVERS.map(OrderId), rival=st.none(), at=_PAST)


@st.composite
def intents(draw: st.DrawFn) -> Intent:
    """Return a request whose result is not known."""
    kind, server = draw(st.sampled_from(IntentKind)), draw(SERVERS)
    creates = kind in {IntentKind.PLACE, IntentKind.RENT}
    return make_intent(
        kind,
        server=server,
        price=None if kind is IntentKind.WITHDRAW else draw(prices()),
        target=draw(NAMES),
        order=None if creates else OrderId(server),
    )


@st.composite
def actions(draw: st.DrawFn, view: View) -> Action:
    """Return what a strategy gone mad might propose, mostly about things that exist."""
    server, price = draw(SERVERS), draw(prices("0.5", "9"))
    name = "nobody" if draw(RARELY) else draw(NAMES)
    proposals: list[Action] = [
        PlaceBid(server=server, price=price, target=name, launch=LAUNCH),
        RentOnDemand(server=server, price=price, target=name, launch=LAUNCH),
        Withdraw(order=OrderId(server), server=server, target=name),
    ]
    if view.holdings:
        held = draw(st.sampled_from(list(view.holdings.values())))
        order, current = held.order, held.order.price
        whose = name if draw(RARELY) else (held.target or name)
        to = RATES.convert(price, current.currency).rounded_up()
        proposals += [
            Reprice(order=order.order, server=order.server, current=current, price=to, target=whose),
            Withdraw(order=order.order, server=order.server, target=whose),
        ]
    return draw(st.sampled_from(proposals))
