"""The guard beside a daemon that lives, dies and comes back, in virtual time; the referee judges."""

import json
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from typing import Any

import httpx
import pytest
from guards import AFTER, CANCEL, LOWER, Beside, Dead, guard, hang
from sqlalchemy import Engine
from virtual import Day, begin

from bidder.demo.transport import SimTransport
from bidder.demo.virtual import build_virtual
from bidder.domain.actions import Reason, Reprice, Withdraw
from bidder.domain.ids import AccountName, OrderId
from bidder.domain.money import Currency, Price
from bidder.domain.policy import Ceiling, Mode, Per, Policy
from bidder.domain.unattended import Finding, Then
from bidder.errors import InvalidToken, LeaseHeld, LeaseLost, Unreachable
from bidder.sim.answers import Request
from bidder.store.engine import open_engine
from bidder.store.lease import LEASE_TTL, Holder, Lease
from bidder.store.queries import Queries
from bidder.store.schema import upgrade

ACCOUNT = AccountName("demo")


@pytest.fixture
def engine() -> Iterator[Engine]:
    """Yield a database in memory."""
    made = open_engine("sqlite://")
    upgrade(made)
    yield made
    made.dispose()


@pytest.fixture
def day(engine: Engine) -> Day:
    """Return a day on which the daemon holds what it wants, and then is killed."""
    begun = begin(engine=engine, rivals=False)
    while len(begun.live()) < 5 or begun.app.trader.view.intents:
        begun.run(timedelta(seconds=2))
    return begun


def by_hand(day: Day, endpoint: str, body: dict[str, Any]) -> Any:
    """Do something on the exchange as a person would, beside every program."""
    day.clock.advance(6)
    call = Request(
        method="POST",
        path=f"/v1/{endpoint}",
        headers={"auth": day.exchange.token},
        body=json.dumps(body).encode(),
    )
    answer = json.loads(day.exchange.handle(call, day.clock.now()).body)
    assert answer["code"] == 0, answer
    day.clock.advance(6)
    return answer


def come_back(day: Day, policy: Policy | None = None) -> None:
    """Start the daemon again."""
    day.app = build_virtual(policy or day.policy, day.exchange, day.app.engine, day.clock)


def prices(day: Day) -> dict[int, Decimal]:
    """Return the price of each live order, by the exchange."""
    return {order["id"]: Decimal(str(order["price"])) for order in day.live()}


def test_before_its_time_nothing_happens(day: Day) -> None:
    """A daemon that died a moment ago may be started again by then."""
    day.clock.advance(AFTER.total_seconds() - 60)

    found = guard(day, CANCEL)

    assert (found.finding, found.acted) == (Finding.QUIET, ())
    assert len(day.live()) == 5


def test_after_its_time_every_order_is_cancelled(day: Day) -> None:
    """Each with its reason on record, and none of them twice."""
    orders = set(prices(day))
    day.clock.advance(AFTER.total_seconds())

    found = guard(day, CANCEL)

    assert found.finding is Finding.SILENT
    assert day.live() == []
    cancelled = [deed.action.order for deed in found.acted if isinstance(deed.action, Withdraw)]
    assert sorted(cancelled) == sorted(orders)
    assert (found.left, found.error) == ((), None)
    assert {deed.decision.reason for deed in found.acted} == {Reason.UNATTENDED}
    queries = Queries(day.app.engine, ACCOUNT)
    for order in map(OrderId, orders):
        assert queries.decisions_for_order(order)[-1].reason == Reason.UNATTENDED
        record = queries.order(order)
        assert record is not None
        assert record.end_cause == "withdrawn"
    report = day.referee.report(day.clock.now())
    assert report["rate_limit_refusals"] == 0
    assert found.exposed is not None
    assert found.exposed["by_currency"] == []


def test_a_second_round_has_nothing_left_to_do(day: Day) -> None:
    """What the guard did is no sign of the daemon's life, and is not done again."""
    day.clock.advance(AFTER.total_seconds())
    guard(day, CANCEL)
    day.clock.advance(120)

    again = guard(day, CANCEL)

    assert again.finding is Finding.SILENT
    assert (again.acted, again.left) == ((), ())


def test_a_daemon_that_lives_is_left_alone(day: Day) -> None:
    """Its latest picture is some seconds old."""
    day.clock.advance(AFTER.total_seconds())
    day.run(timedelta(seconds=20))

    found = guard(day, CANCEL)

    assert found.finding is Finding.ALIVE
    assert len(day.live()) == 5


def test_a_lease_that_is_held_is_not_touched(day: Day) -> None:
    """A process that keeps its lease and makes no passes is told of, and nothing is sent."""
    found = guard(day, CANCEL, clock=hang(day))

    assert (found.finding, found.acted) == (Finding.WEDGED, ())
    assert len(day.live()) == 5


def test_a_daemon_that_was_slow_to_wake_does_not_hang(day: Day) -> None:
    """It kept its lease, and its next pass came a little later."""
    hang(day)

    assert guard(day, CANCEL, clock=Beside(day, hangs=False)).finding is Finding.ALIVE


def test_a_lease_that_was_just_taken_is_not_touched(day: Day) -> None:
    """A daemon that starts after a long time has not made its first pass yet."""
    day.clock.advance(AFTER.total_seconds())
    come_back(day)

    found = guard(day, CANCEL)

    assert (found.finding, found.acted) == (Finding.HELD, ())
    assert len(day.live()) == 5


def test_a_machine_that_wakes_from_its_sleep_has_no_silent_daemon(day: Day) -> None:
    """Every picture is old at that moment, and the lease has run out; the second look finds new ones."""
    day.clock.advance(timedelta(hours=8).total_seconds())

    found = guard(day, CANCEL, clock=Beside(day, hangs=False))

    assert (found.finding, found.acted) == (Finding.ALIVE, ())
    assert len(day.live()) == 5


def test_orders_made_by_hand_are_never_touched(day: Day) -> None:
    """Nor are they taken up, whatever the configuration lets the daemon do."""
    taken = {order["server"] for order in day.live()}
    free = next(
        listing
        for listing in day.market.listings.values()
        if listing.server not in taken and not listing.rented and Currency.CLORE in listing.spot_floor
    )
    floor = free.spot_floor[Currency.CLORE]
    by_hand(
        day,
        "create_order",
        {
            "currency": Currency.CLORE,
            "image": "cloreai/ubuntu20.04-jupyter",
            "renting_server": free.server,
            "type": "spot",
            "spotprice": float(floor.amount * 2),
        },
    )
    (strangers,) = {order["id"] for order in day.live() if order["server"] == free.server}
    day.clock.advance(AFTER.total_seconds())

    found = guard(day, CANCEL, policy=replace(day.policy, adopt=True))

    assert set(prices(day)) == {strangers}
    assert len(found.acted) == 5


def raised(day: Day, factor: str) -> Policy:
    """Raise every order by hand, and return a policy whose ceilings allow it."""
    for order, price in prices(day).items():
        by_hand(
            day, "set_spot_price", {"order_id": order, "desired_price": float(price * Decimal(factor))}
        )
    dear = Ceiling(price=Price(Decimal(1000), Currency.USD))
    return replace(day.policy, targets=tuple(replace(t, ceiling=dear) for t in day.policy.targets))


def least(day: Day, order: dict[str, Any]) -> Decimal:
    """Return the least that may be bid for an order's server."""
    return day.market.listings[order["server"]].spot_floor[Currency(order["currency"])].amount


def test_lowering_takes_one_legal_step_in_each_round(day: Day) -> None:
    """Down to what each server takes at least, never sooner than the clock allows, never further."""
    policy = raised(day, "1.1")
    day.clock.advance(AFTER.total_seconds())
    steps: dict[int, list[Decimal]] = {order: [price] for order, price in prices(day).items()}

    for _ in range(40):
        found = guard(day, LOWER, policy=policy)
        assert (found.error, found.undone) == (None, ())
        for deed in found.acted:
            assert isinstance(deed.action, Reprice)
            assert deed.action.lowers
        for order, price in prices(day).items():
            if price != steps[order][-1]:
                steps[order].append(price)
        if all(Decimal(order["price"]) == least(day, order) for order in day.live()):
            break
        day.clock.advance(300)

    assert set(steps) == set(prices(day)), "none was cancelled"
    assert any(len(each) > 2 for each in steps.values()), "more than one step was needed"
    assert all(each == sorted(each, reverse=True) for each in steps.values())
    assert all(Decimal(order["price"]) == least(day, order) for order in day.live())
    assert day.referee.report(day.clock.now())["early_lowerings"] == 0


def test_lowering_ends_at_the_owners_price(day: Day) -> None:
    """Where it is above what the server takes; nothing is ever raised to it."""
    policy = raised(day, "1.01")
    wish = Ceiling(price=Price(Decimal(1000), Currency.USD), per=Per.GPU)
    before = prices(day)
    day.clock.advance(AFTER.total_seconds())

    found = guard(day, replace(LOWER, lower_to=wish), policy=policy)

    assert prices(day) == before
    assert (found.acted, found.undone) == ((), ())


def test_lowering_goes_on_while_trading_is_paused(day: Day) -> None:
    """A pause stops bidding; orders that nobody looks after come down all the same."""
    policy = raised(day, "1.01")
    day.app.trader.store.set_paused(paused=True, at=day.clock.now())
    before = prices(day)
    day.clock.advance(AFTER.total_seconds())

    guard(day, LOWER, policy=policy)

    assert all(price < before[order] for order, price in prices(day).items())


def test_a_daemon_that_comes_back_trades_again(day: Day) -> None:
    """It finds its orders cancelled and fills its slots anew, and no order is doubled."""
    day.clock.advance(AFTER.total_seconds())
    guard(day, CANCEL)
    day.clock.advance(60)
    come_back(day)

    report = day.run(timedelta(minutes=1))

    assert len(day.live()) == 5
    assert (report["double_orders"], report["rate_limit_refusals"]) == (0, 0)
    assert guard(day, CANCEL).finding is Finding.ALIVE


def test_a_daemon_that_comes_back_finds_its_lowered_orders(day: Day) -> None:
    """And goes on with them, without lowering one before its clock opens."""
    policy = raised(day, "1.05")
    orders = set(prices(day))
    day.clock.advance(AFTER.total_seconds())
    assert guard(day, LOWER, policy=policy).acted
    come_back(day, policy)

    report = day.run(timedelta(minutes=1))

    assert set(prices(day)) == orders
    assert report["early_lowerings"] == 0


class Killed(BaseException):
    """The process is gone: nothing of it may catch this."""


class Dying(httpx.AsyncBaseTransport):
    """Passes requests on, and kills whoever sends the n-th one, before or after it gets there."""

    def __init__(self, day: Day, *, at: int, after: bool) -> None:
        """Stand between a guard and ``day``'s exchange."""
        self._below = SimTransport(day.exchange, day.clock)
        self._left = at
        self._after = after

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Pass on one request, or die of it."""
        self._left -= 1
        if self._left == 0 and not self._after:
            raise Killed
        answer = await self._below.handle_async_request(request)
        if self._left == 0:
            raise Killed
        return answer


@pytest.mark.parametrize("after", [False, True], ids=["before it is sent", "after it was sent"])
@pytest.mark.parametrize("request_", [1, 2, 4])
def test_a_guard_that_is_killed_does_nothing_twice(day: Day, request_: int, after: bool) -> None:
    """The next round reads our orders first and cancels what is left."""
    day.clock.advance(AFTER.total_seconds())
    with pytest.raises(Killed):
        guard(day, CANCEL, transport=Dying(day, at=request_, after=after))
    done = 5 - len(day.live())
    day.clock.advance(120)

    found = guard(day, CANCEL)

    assert day.live() == []
    cancelled = [deed for deed in found.acted if isinstance(deed.action, Withdraw)]
    assert len(cancelled) == 5 - done
    report = day.referee.report(day.clock.now())
    assert (report["refusals"], report["rate_limit_refusals"]) == ({}, 0)
    assert Queries(day.app.engine, ACCOUNT).open_intents() == ()


@pytest.mark.parametrize("after", [False, True], ids=["before it is sent", "after it was sent"])
def test_a_lowering_that_died_on_its_way_is_not_repeated(day: Day, after: bool) -> None:
    """It counts as made just now where it was made, and is made where it was not."""
    policy = raised(day, "1.3")
    day.clock.advance(AFTER.total_seconds())
    with pytest.raises(Killed):
        # Our orders, the wallets, the marketplace, a book; then the first lowering.
        guard(day, LOWER, policy=policy, transport=Dying(day, at=5, after=after))
    day.clock.advance(60)

    found = guard(day, LOWER, policy=policy)

    assert found.error is None
    report = day.referee.report(day.clock.now())
    assert report["early_lowerings"] == 0
    assert Queries(day.app.engine, ACCOUNT).open_intents() == ()


def test_a_creation_that_died_with_the_daemon_is_found_and_cancelled(engine: Engine) -> None:
    """An order that was asked for and not seen yet turns up in the same round."""
    day = begin(engine=engine, rivals=False)
    day.exchange.rules = replace(day.exchange.rules, visibility_delay_seconds=(2000.0, 2000.0))
    while not day.live():
        day.run(timedelta(seconds=1))
    day.clock.advance(1940)

    found = guard(day, CANCEL)

    assert found.error is None
    assert day.live() == []
    assert Queries(engine, ACCOUNT).open_intents() == ()


class Interrupted(httpx.AsyncBaseTransport):
    """Suspends the guard in its n-th request for longer than a lease; meanwhile a daemon starts."""

    def __init__(self, day: Day, *, at: int) -> None:
        """Stand between a guard and ``day``'s exchange."""
        self._below = SimTransport(day.exchange, day.clock)
        self._day = day
        self._left = at

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Pass on one request, after a long sleep perhaps."""
        self._left -= 1
        answer = await self._below.handle_async_request(request)
        if self._left == 0:
            self._day.clock.advance(31)
            come_back(self._day)
        return answer


@pytest.mark.parametrize("request_", [1, 2, 3])
def test_a_daemon_that_comes_back_in_the_middle_has_the_account(day: Day, request_: int) -> None:
    """Whoever lost the lease sends nothing more, and the daemon goes on with what is there."""
    day.clock.advance(AFTER.total_seconds())

    found = guard(day, CANCEL, transport=Interrupted(day, at=request_))

    assert isinstance(found.error, LeaseLost)
    cancelled = 5 - len(day.live())
    assert cancelled == request_ - 1
    report = day.run(timedelta(minutes=3))
    assert len(day.live()) == 5
    assert (report["double_orders"], report["rate_limit_refusals"]) == (0, 0)


def test_a_round_that_gets_on_takes_its_time(day: Day) -> None:
    """Two minutes for each request: the last order is cancelled all the same."""
    day.clock.advance(AFTER.total_seconds())
    slow = SimTransport(day.exchange, day.clock, one_way_seconds=(60, 60))

    found = guard(day, CANCEL, transport=slow)

    assert day.live() == []
    assert (found.undone, found.error) == ((), None)


class Rival(httpx.AsyncBaseTransport):
    """At each request of the guard another process asks for the lease."""

    def __init__(self, day: Day) -> None:
        """Stand between a guard and ``day``'s exchange."""
        self._below = SimTransport(day.exchange, day.clock)
        self._day = day
        self.refused = 0

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Pass on one request."""
        other = Lease(self._day.app.engine, ACCOUNT, holder=Holder(host="elsewhere", pid=1))
        with pytest.raises(LeaseHeld):
            other.acquire(self._day.clock.now())
        self.refused += 1
        return await self._below.handle_async_request(request)


def test_a_long_round_keeps_its_lease(engine: Engine) -> None:
    """A creation in doubt is waited for longer than a lease lasts."""
    day = begin(engine=engine, rivals=False)
    day.exchange.rules = replace(day.exchange.rules, visibility_delay_seconds=(2000.0, 2000.0))
    while not day.live():
        day.run(timedelta(seconds=1))
    day.clock.advance(1900)
    rival = Rival(day)
    began = day.clock.now()

    guard(day, CANCEL, transport=rival)

    assert day.clock.now() - began > timedelta(seconds=60)
    assert rival.refused > 10
    assert day.live() == []


class Slow(httpx.AsyncBaseTransport):
    """Takes twelve seconds for each answer, and asks for a pause before one of them if told to."""

    def __init__(self, day: Day, below: httpx.AsyncBaseTransport, *, pause_at: int = 0) -> None:
        """Stand between a guard and ``below``."""
        self._day, self._below = day, below
        self._left = pause_at

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Pass on one request, or refuse it for its pace."""
        self._day.clock.advance(12)
        self._left -= 1
        answer = await self._below.handle_async_request(request)
        if self._left == 0:
            return httpx.Response(200, json={"code": 5}, headers={"retry-after": "120"})
        return answer


@pytest.mark.parametrize("pause_at", [0, 4])
def test_a_dry_run_keeps_its_lease_however_long_it_reads(day: Day, pause_at: int) -> None:
    """A daemon that starts meanwhile would ask beside it with the same key."""
    day.clock.advance(AFTER.total_seconds())
    rival = Rival(day)

    found = guard(day, CANCEL, transport=Slow(day, rival, pause_at=pause_at), dry_run=True)

    assert (found.error, len(found.planned)) == (None, 5)
    assert rival.refused * 12 > LEASE_TTL.total_seconds()
    assert Queries(day.app.engine, ACCOUNT).lease() is None


class Unreadable(httpx.AsyncBaseTransport):
    """Refuses to show one thing, such as one server's book."""

    def __init__(self, day: Day, endpoint: str, query: str = "") -> None:
        """Stand between a guard and ``day``'s exchange."""
        self._below = SimTransport(day.exchange, day.clock)
        self._endpoint, self._query = endpoint, query

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Refuse or pass on one request."""
        if request.url.path.endswith(f"/{self._endpoint}") and self._query in str(request.url.query):
            return httpx.Response(200, json={"code": 6, "error": "not-now"})
        return await self._below.handle_async_request(request)


def test_a_book_that_cannot_be_read_keeps_no_other_order_up(day: Day) -> None:
    """The others come down; of the one the command says that it could not."""
    policy = raised(day, "1.01")
    before = prices(day)
    server = day.live()[0]["server"]
    day.clock.advance(AFTER.total_seconds())

    found = guard(day, LOWER, policy=policy, transport=Unreadable(day, "spot_marketplace", str(server)))

    lowered = {order for order, price in prices(day).items() if price < before[order]}
    assert {o["server"] for o in day.live() if o["id"] not in lowered} == {server}
    assert [each.server for each in found.undone] == [server]


def test_an_exchange_out_of_reach_is_tried_again_in_the_next_round(day: Day) -> None:
    """The round ends soon, gives the lease back, and the next one does its work."""
    day.clock.advance(AFTER.total_seconds())

    found = guard(day, CANCEL, transport=Dead())

    assert isinstance(found.error, Unreachable)
    assert Queries(day.app.engine, ACCOUNT).lease() is None
    assert len(day.live()) == 5
    guard(day, CANCEL)
    assert day.live() == []


def test_a_round_that_cannot_read_our_orders_says_so_soon(day: Day) -> None:
    """Although all the rest is answered: nothing was cancelled, and somebody must hear of that."""
    day.clock.advance(AFTER.total_seconds())
    began = day.clock.now()

    found = guard(day, CANCEL, transport=Unreadable(day, "my_orders"))

    assert isinstance(found.error, Unreachable)
    assert "not-now" in str(found.error)
    assert day.clock.now() - began < timedelta(seconds=60)
    assert len(day.live()) == 5


def test_a_refused_token_ends_the_round(day: Day) -> None:
    """It is said as what it is."""
    day.clock.advance(AFTER.total_seconds())

    found = guard(day, CANCEL, token="another")

    assert isinstance(found.error, InvalidToken)
    assert len(day.live()) == 5


def test_a_dry_run_sends_nothing(day: Day) -> None:
    """It says what a round would do, in its order, and leaves the lease free."""
    day.clock.advance(AFTER.total_seconds())

    found = guard(day, CANCEL, dry_run=True)

    assert len(day.live()) == 5
    assert found.acted == ()
    assert len([d for d in found.planned if isinstance(d.action, Withdraw)]) == 5
    assert Queries(day.app.engine, ACCOUNT).lease() is None


def test_a_notice_needs_neither_lease_nor_exchange(day: Day) -> None:
    """``then: notice`` looks into the database and no further."""
    day.clock.advance(AFTER.total_seconds())

    found = guard(day, replace(CANCEL, then=Then.NOTICE), transport=Dead())

    assert (found.finding, found.error, found.acted) == (Finding.SILENT, None, ())


def test_on_paper_the_guard_acts_on_paper(engine: Engine) -> None:
    """Orders on paper are cancelled, and the exchange sees reads only."""
    day = begin(engine=engine, rivals=False, shape=lambda policy: replace(policy, mode=Mode.PAPER))
    day.run(timedelta(minutes=3))
    assert day.app.trader.view.holdings
    day.clock.advance(AFTER.total_seconds())

    found = guard(day, CANCEL)

    assert found.acted
    assert (found.left, found.error) == ((), None)
    assert Queries(engine, ACCOUNT).orders() == ()
    assert day.exchange.ground_truth() == []


def test_without_a_daemon_there_is_nothing_to_guard(engine: Engine) -> None:
    """A database on which none has run yet."""
    day = begin(engine=engine, rivals=False)
    day.app.lease.release()

    assert guard(day, CANCEL).finding is Finding.NEVER_RAN
