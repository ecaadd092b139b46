"""Paper trading against the simulated exchange in virtual time: it trades, and nothing is changed."""

import asyncio
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal

import httpx
import pytest
from sqlalchemy import Engine
from virtual import RATES, Day, begin

from bidder.app.paper import PaperClient
from bidder.clock import VirtualClock
from bidder.demo.transport import SimTransport
from bidder.demo.virtual import run_for
from bidder.domain.actions import PlaceBid, Reason
from bidder.domain.ids import OrderId, on_paper
from bidder.domain.policy import Mode, Policy
from bidder.errors import InvalidToken, NotSent
from bidder.store.engine import open_engine
from bidder.store.queries import Queries
from bidder.store.schema import upgrade
from bidder.wiring import App, build_app

HOURS = timedelta(hours=2)


class Recording(httpx.AsyncBaseTransport):
    """The wire, with all that went over it."""

    def __init__(self, inner: httpx.AsyncBaseTransport) -> None:
        """Hand on to ``inner``."""
        self.inner = inner
        self.sent: list[tuple[str, str, bool]] = []
        self.bodies: list[bytes] = []

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Note method, path and whether the request was signed; hand it on."""
        self.bodies.append(await request.aread())
        self.sent.append((request.method, request.url.path, "auth" in request.headers))
        return await self.inner.handle_async_request(request)


@pytest.fixture
def engine() -> Engine:
    """Return an empty database in memory."""
    engine = open_engine("sqlite://")
    upgrade(engine)
    return engine


def on_paper_day(engine: Engine, *, rivals: bool = True, wants: int | None = None) -> Day:
    """Return a day on which the daemon trades on paper."""

    def shape(policy: Policy) -> Policy:
        targets = policy.targets
        if wants is not None:
            targets = tuple(replace(target, want=wants) for target in targets)
        return replace(policy, mode=Mode.PAPER, targets=targets, static_rates=RATES)

    return begin(engine=engine, rivals=rivals, shape=shape)


def again(
    day: Day, mode: Mode, *, token: str | None = "", wire: Recording | None = None
) -> tuple[App, Recording]:
    """Return a second process on the same database and exchange, and what it sends."""
    day.app.lease.release()
    wire = wire or Recording(SimTransport(day.exchange, day.clock))
    app = build_app(
        policy=replace(day.policy, mode=mode),
        base_url="http://sim.invalid/v1",
        token=day.exchange.token if token == "" else token,
        engine=day.app.engine,
        clock=day.clock,
        transport=wire,
    )
    return app, wire


def go(app: App, clock: VirtualClock, span: timedelta) -> None:
    """Let a daemon run for a time."""
    asyncio.run(run_for(app, clock, span))


def queries(day: Day) -> Queries:
    """Return what can be asked of the day's database."""
    return Queries(day.app.engine, day.policy.account)


def paper_orders(day: Day) -> list[OrderId]:
    """Return the live orders on paper in the database."""
    return [record.holding.order.order for record in queries(day).orders() if record.mode is Mode.PAPER]


def test_hours_of_paper_send_nothing_that_changes_anything(engine: Engine) -> None:
    """The wire carries nothing but GETs and the exchange has no order; on paper there are."""
    day = on_paper_day(engine)
    app, wire = again(day, Mode.PAPER)
    go(app, day.clock, HOURS)
    assert len(wire.sent) > 5_000
    assert {method for method, _, _ in wire.sent} == {"GET"}
    report = day.referee.report(day.clock.now())
    assert report["orders_created"] == 0
    assert report["rate_limit_refusals"] == 0
    assert day.exchange.ground_truth() == []
    ended = queries(day).orders(ended=True)
    assert len(paper_orders(day)) + len(ended) > 3
    assert all(on_paper(record.holding.order.order) for record in ended)


def test_paper_holds_servers_and_pays_for_them(engine: Engine) -> None:
    """Offers win, are lowered and billed, with the fees that the documents name, and stay paper."""
    day = on_paper_day(engine)
    day.run(HOURS)
    held = [h for h in day.app.trader.view.holdings.values() if h.active]
    assert held
    assert all(h.order.spend.amount > 0 for h in held)
    assert any(deed.decision.reason is Reason.MARK_DOWN for deed in day.deeds)
    # 2.5 % is what the document's sample names; no real order has said otherwise.
    assert {h.order.fee_percent for h in held} == {2.5}
    totals = queries(day).spend_totals()
    assert {total.mode for total in totals} == {Mode.PAPER}
    assert any(total.spend.amount > 0 for total in totals)


def test_paper_never_runs_below_a_rival_as_the_exchange_knows_them(engine: Engine) -> None:
    """Whenever an offer is shown as running, it stood above every rival in the book just read."""
    day = on_paper_day(engine)
    seen = 0

    def check(report: object) -> None:
        nonlocal seen
        client = day.app.trader.client
        assert isinstance(client, PaperClient)
        for order in client.account.orders.values():
            book = client.seen.books.get(order.server)
            if not order.active or book is None:
                continue
            seen += 1
            usd = book.rates.over(RATES).to_usd
            assert all(usd(order.price) > usd(offer.price) for offer in book.offers)

    day.run(timedelta(minutes=40), on_pass=check)
    assert seen > 100


def test_a_restart_continues_the_account(engine: Engine) -> None:
    """Orders, prices, clocks and bills are the same after the process died, and time went on."""
    day = on_paper_day(engine, rivals=False)
    day.run(timedelta(minutes=30))
    client = day.app.trader.client
    assert isinstance(client, PaperClient)
    before = {number: order.billed(day.clock.now()) for number, order in client.account.orders.items()}
    assert any(order.active for order in before.values())
    app, _ = again(day, Mode.PAPER)
    continued = app.trader.client
    assert isinstance(continued, PaperClient)
    now = day.clock.now()
    assert {n: o.billed(now) for n, o in continued.account.orders.items()} == before
    go(app, day.clock, timedelta(minutes=10))
    live = {number for number, order in continued.account.orders.items() if order.live}
    assert live >= {number for number, order in before.items() if order.live}
    assert all(h.ours for h in app.trader.view.holdings.values())


def test_an_order_that_was_accepted_just_before_the_process_died_is_found(engine: Engine) -> None:
    """The intent is open and the order is on paper: the next start adopts it, and places no second."""
    day = on_paper_day(engine, rivals=False, wants=1)
    while not (day.deeds and isinstance(day.deeds[-1].action, PlaceBid)):
        day.run(timedelta(seconds=1))
    assert day.app.trader.view.intents
    app, _ = again(day, Mode.PAPER)
    assert app.trader.view.intents
    go(app, day.clock, timedelta(minutes=3))
    assert app.trader.view.intents == ()
    placed = app.trader.view.holdings.values()
    assert len({h.order.server for h in placed}) == len(list(placed)) == len(day.policy.targets)


def test_going_live_takes_no_paper_order_for_a_real_one(engine: Engine) -> None:
    """What is live begins with nothing held, creates real orders, and leaves the paper rows alone."""
    day = on_paper_day(engine, rivals=False)
    day.run(timedelta(minutes=20))
    papers = {number: queries(day).order(number) for number in paper_orders(day)}
    assert papers
    app, wire = again(day, Mode.LIVE)
    assert app.trader.view.holdings == {}
    assert app.trader.view.ended == {}
    assert app.trader.view.creations == ()
    assert app.trader.view.steps == ()
    go(app, day.clock, timedelta(minutes=20))
    real = [order for order in day.exchange.ground_truth() if order["live"]]
    assert real
    assert not any(on_paper(number) for number in app.trader.view.holdings)
    assert not any(b":-" in body.replace(b" ", b"") for body in wire.bodies)
    assert {number: queries(day).order(number) for number in papers} == papers


def test_going_on_paper_leaves_real_orders_as_they_are(engine: Engine) -> None:
    """Real orders are strangers on paper: counted, never touched; live again they are ours again."""
    live = begin(engine=engine, rivals=False, shape=lambda policy: replace(policy, static_rates=RATES))
    live.run(timedelta(minutes=20))
    truth = [(o["id"], o["price"]) for o in live.exchange.ground_truth() if o["live"]]
    rows = {record.holding.order.order: record for record in queries(live).orders()}
    paper, wire = again(live, Mode.PAPER)
    go(paper, live.clock, timedelta(minutes=20))
    real = [h for h in paper.trader.view.holdings.values() if not on_paper(h.order.order)]
    assert {h.order.order for h in real} == {number for number, _ in truth}
    assert not any(h.ours for h in real)
    assert {method for method, _, _ in wire.sent} == {"GET"}
    assert [(o["id"], o["price"]) for o in live.exchange.ground_truth() if o["live"]] == truth
    now = {number: queries(live).order(number) for number in rows}
    assert now == rows
    paper.lease.release()
    back = build_app(
        policy=live.policy,
        base_url="http://sim.invalid/v1",
        token=live.exchange.token,
        engine=engine,
        clock=live.clock,
        transport=SimTransport(live.exchange, live.clock),
    )
    go(back, live.clock, timedelta(minutes=2))
    assert {h.order.order for h in back.trader.view.holdings.values() if h.ours} >= {
        number for number, _ in truth
    }


@pytest.mark.parametrize(("first", "then"), [(Mode.PAPER, Mode.LIVE), (Mode.LIVE, Mode.PAPER)])
def test_what_is_in_doubt_in_one_mode_does_not_block_the_other(
    engine: Engine, first: Mode, then: Mode
) -> None:
    """A request whose outcome is open stays open for its own mode, and is not settled by the other."""
    day = begin(
        engine=engine,
        rivals=False,
        shape=lambda policy: replace(policy, mode=first, static_rates=RATES),
    )
    while not day.app.trader.view.intents:
        day.run(timedelta(seconds=1))
    intent = day.app.trader.view.intents[0]
    other, _ = again(day, then)
    assert other.trader.view.intents == ()
    go(other, day.clock, timedelta(minutes=5))
    assert [h for h in other.trader.view.holdings.values() if h.ours]
    assert intent in queries(day).open_intents()


def test_without_a_token_the_marketplace_suffices(engine: Engine) -> None:
    """No token is sent, one refused book is enough, offers at the floor win and are marked."""
    day = on_paper_day(engine)
    app, wire = again(day, Mode.PAPER, token=None)
    go(app, day.clock, timedelta(minutes=30))
    assert not any(signed for _, _, signed in wire.sent)
    paths = [path.rsplit("/", 1)[-1] for _, path, _ in wire.sent]
    assert paths.count("spot_marketplace") == 1
    assert set(paths) == {"marketplace", "spot_marketplace"}
    held = [h for h in app.trader.view.holdings.values() if h.active]
    assert held
    assert all(h.order.assumed for h in held)
    listings = app.trader.view.marketplace.listings
    for holding in held:
        price = holding.order.price
        assert price >= listings[holding.order.server].spot_floor[price.currency]
    assert queries(day).market.history() == ()


def test_a_token_that_is_refused_still_ends_paper_trading(engine: Engine) -> None:
    """Only who names no token trades on the marketplace alone; a wrong one is a mistake to mend."""
    day = on_paper_day(engine)
    app, _ = again(day, Mode.PAPER, token="no-such-token")
    with pytest.raises(InvalidToken):
        go(app, day.clock, timedelta(minutes=1))


def test_the_client_has_no_means_to_change_anything(engine: Engine) -> None:
    """Also what the daemon never asks for on paper, the host's settings, is not sent."""
    day = on_paper_day(engine)
    app, wire = again(day, Mode.PAPER)
    call: Callable[..., object] = app.trader.client.set_server_settings
    with pytest.raises(NotSent, match="paper"):
        asyncio.run(
            call("rig-1", availability=True, mrl_hours=1, on_demand=Decimal(1), spot=Decimal(1))  # type: ignore[arg-type]
        )
    assert wire.sent == []


@pytest.mark.parametrize("when", ["at the start", "by a reload"])
def test_adopt_takes_no_real_order_for_one_on_paper(engine: Engine, when: str) -> None:
    """Whichever way the configuration was read: real orders are strangers and fill no slot."""
    live = begin(rivals=False)
    live.run(timedelta(minutes=3))
    real = {order["id"] for order in live.live()}
    assert len(real) == 5
    adopting = replace(live.policy, mode=Mode.PAPER, adopt=True)
    app = build_app(
        policy=adopting if when == "at the start" else replace(adopting, adopt=False),
        base_url="http://sim.invalid/v1",
        token=live.exchange.token,
        engine=engine,
        clock=live.clock,
        transport=SimTransport(live.exchange, live.clock),
    )
    app.trader.next_policy = adopting if when == "by a reload" else None
    go(app, live.clock, timedelta(minutes=3))
    held = app.trader.view.holdings

    assert {number for number in held if not on_paper(number)} == real
    assert not any(held[number].ours for number in real)
    assert sum(on_paper(number) for number in held) == 5
