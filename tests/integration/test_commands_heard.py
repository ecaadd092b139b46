"""Commands left for a running daemon, in virtual time."""

import json
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from itertools import pairwise
from typing import Any

import httpx
import pytest
from sqlalchemy import Engine
from virtual import Day, begin, put_between

from bidder.demo.transport import SimTransport
from bidder.domain.actions import PlaceBid, Reason, Withdraw
from bidder.domain.ids import AccountName, OrderId
from bidder.domain.intents import IntentState
from bidder.domain.policy import Mode
from bidder.errors import InvalidToken
from bidder.sim import answers as sim
from bidder.store.commands import post_request
from bidder.store.engine import open_engine
from bidder.store.queries import Queries
from bidder.store.records import Request
from bidder.store.schema import upgrade

ACCOUNT = AccountName("demo")
A_WHILE = timedelta(minutes=2)


@pytest.fixture
def engine() -> Iterator[Engine]:
    """Yield a database in memory."""
    made = open_engine("sqlite://")
    upgrade(made)
    yield made
    made.dispose()


@pytest.fixture
def day(engine: Engine) -> Day:
    """Return a day on which the daemon holds what it wants."""
    begun = begin(engine=engine, rivals=False)
    begun.run(timedelta(minutes=3))
    assert len(begun.live()) == 5
    return begun


def tell(day: Day, kind: str, argument: Any = None, span: timedelta = A_WHILE) -> Request:
    """Post a command, let time pass, and return the command with its outcome."""
    number = post_request(day.app.engine, ACCOUNT, kind, argument, at=day.clock.now())
    day.run(span)
    found = Queries(day.app.engine, ACCOUNT).request(number)
    assert found is not None
    return found


def test_a_cancelled_order_is_gone_and_its_slot_filled_elsewhere(day: Day) -> None:
    """The order goes; the strategy, which was not paused, seeks another server."""
    order, server = day.live()[0]["id"], day.live()[0]["server"]
    request = tell(day, "cancel", {"order": order})
    assert request.outcome == f"done: order {order} is over"
    live = day.live()
    assert order not in [each["id"] for each in live]
    assert len(live) == 5
    assert server not in [each["server"] for each in live]
    reasons = [deed.decision.reason for deed in day.deeds if isinstance(deed.action, Withdraw)]
    assert reasons == [Reason.ORDERED]


def test_the_panic_command_cancels_everything_and_pauses(day: Day) -> None:
    """Nothing lives afterwards, and nothing is bid for until somebody resumes."""
    request = tell(day, "cancel_all")
    assert request.outcome == "done: every order is cancelled, trading is paused"
    assert day.live() == []
    placed = sum(isinstance(deed.action, PlaceBid) for deed in day.deeds)
    day.run(timedelta(minutes=10))
    assert sum(isinstance(deed.action, PlaceBid) for deed in day.deeds) == placed
    assert Queries(day.app.engine, ACCOUNT).paused()
    assert tell(day, "resume").outcome == "done: trading goes on"
    day.run(timedelta(minutes=3))
    assert len(day.live()) == 5


def test_the_panic_command_waits_for_a_creation_in_doubt(engine: Engine) -> None:
    """An order that was asked for and has not shown up yet is found and cancelled as well."""
    day = begin(engine=engine, rivals=False)
    day.exchange.rules = replace(day.exchange.rules, visibility_delay_seconds=(50.0, 60.0))
    while not any(isinstance(deed.action, PlaceBid) for deed in day.deeds):
        day.run(timedelta(seconds=1))
    request = tell(day, "cancel_all", span=timedelta(minutes=6))
    assert request.outcome == "done: every order is cancelled, trading is paused"
    assert day.live() == []


class Doubling(httpx.AsyncBaseTransport):
    """Passes everything on to the exchange, but delivers the first creation twice."""

    def __init__(self, day: Day) -> None:
        """Stand between ``day``'s daemon and its exchange."""
        self._day, self._below = day, SimTransport(day.exchange, day.clock)
        self.doubled = False
        put_between(day, self)

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Answer one request."""
        answer = await self._below.handle_async_request(request)
        if request.url.path.endswith("/create_order") and not self.doubled:
            self.doubled = True
            headers = {name.lower(): value for name, value in request.headers.items()}
            self._day.exchange.repeat(
                sim.Request(
                    method="POST", path=request.url.path, headers=headers, body=await request.aread()
                )
            )
        return answer


def frozen_day(engine: Engine) -> tuple[Day, list[int]]:
    """Return a day on which one creation has made two orders, and those two."""
    day = begin(engine=engine, rivals=False)
    Doubling(day)
    day.run(timedelta(minutes=3))
    (frozen,) = day.app.trader.view.intents
    assert frozen.state is IntentState.AMBIGUOUS
    twins = [order["id"] for order in day.live() if order["server"] == frozen.server]
    assert len(twins) == 2
    return day, twins


@pytest.mark.parametrize("which", [0, 1])
def test_of_two_orders_of_one_creation_the_owner_cancels_one(engine: Engine, which: int) -> None:
    """It is the remedy that the notice names: the other one is ours then, and nothing is frozen."""
    day, twins = frozen_day(engine)
    order, other = twins[which], twins[1 - which]
    assert tell(day, "cancel", {"order": order}).outcome == f"done: order {order} is over"
    live = [each["id"] for each in day.live()]
    assert order not in live
    assert other in live
    view = day.app.trader.view
    assert view.intents == ()
    assert view.holdings[OrderId(other)].ours
    assert len(live) == 5


def test_a_doubled_creation_may_be_cancelled_whole(engine: Engine) -> None:
    """Both go, one after the other, and the slot is filled elsewhere."""
    day, twins = frozen_day(engine)
    for order in twins:
        assert tell(day, "cancel", {"order": order}).outcome == f"done: order {order} is over"
    day.run(timedelta(minutes=5))
    live = [each["id"] for each in day.live()]
    assert not set(twins) & set(live)
    assert len(live) == 5
    assert day.app.trader.view.intents == ()


def test_the_panic_command_cancels_what_may_have_come_of_a_doubled_creation(engine: Engine) -> None:
    """Nothing lives afterwards, the command is done, and whoever resumes is not paused again."""
    day, _ = frozen_day(engine)
    request = tell(day, "cancel_all")
    assert request.outcome == "done: every order is cancelled, trading is paused"
    assert day.live() == []
    ended = [h for r in day.reports if r.observed is not None for h in r.observed.ended]
    assert ended == [], "what the owner has cancelled does not end by itself as well"
    assert tell(day, "resume").outcome == "done: trading goes on"
    day.run(timedelta(minutes=5))
    assert len(day.live()) == 5
    assert day.app.trader.view.intents == ()
    assert not Queries(engine, ACCOUNT).paused()


def test_whoever_resumes_ends_the_panic_command(day: Day) -> None:
    """Its outcome says so; the orders that are left stay, and trading goes on."""
    Refusing(day)
    number = tell(day, "cancel_all").id
    left = len(day.live())
    assert left > 0
    assert Queries(day.app.engine, ACCOUNT).paused()
    assert tell(day, "resume").outcome == "done: trading goes on"
    ended = Queries(day.app.engine, ACCOUNT).request(number)
    assert ended is not None
    assert (ended.outcome or "").startswith("failed: trading was resumed before")
    assert not Queries(day.app.engine, ACCOUNT).paused()
    assert len(day.live()) == left


def test_a_panic_command_after_a_resume_is_carried_out(day: Day) -> None:
    """Heard all at once, what was posted last counts."""
    before, _ = (
        post_request(day.app.engine, ACCOUNT, kind, None, at=day.clock.now())
        for kind in ("cancel_all", "resume")
    )
    request = tell(day, "cancel_all")
    assert request.outcome == "done: every order is cancelled, trading is paused"
    assert day.live() == []
    ended = Queries(day.app.engine, ACCOUNT).request(before)
    assert ended is not None
    assert (ended.outcome or "").startswith("failed: trading was resumed before")


def test_a_pause_survives_a_restart(day: Day, engine: Engine) -> None:
    """Paused means paused, also for the next daemon on the same database."""
    assert tell(day, "pause").outcome == "done: trading is paused"
    before = len(day.deeds)
    day.run(timedelta(minutes=30))
    assert len(day.deeds) == before
    assert Queries(engine, ACCOUNT).paused()


def test_an_unknown_order_and_a_nonsense_command_are_refused(day: Day) -> None:
    """Each gets an outcome that says why, and changes nothing."""
    assert tell(day, "cancel", {"order": 1}).outcome == "failed: order 1 is not known"
    assert tell(day, "cancel", {"order": "x"}).outcome == "failed: not an order number"
    assert tell(day, "explode").outcome == "failed: no such command 'explode'"
    assert len(day.live()) == 5


class Refusing(httpx.AsyncBaseTransport):
    """Passes everything on to the exchange, but refuses the first ``times`` cancellations itself."""

    def __init__(self, day: Day, *, times: int = 1000, code: int = 6) -> None:
        """Stand between ``day``'s daemon and its exchange."""
        self._below = SimTransport(day.exchange, day.clock)
        self._times, self._code = times, code
        self.refused = 0
        put_between(day, self)

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Answer or pass on one request."""
        if not request.url.path.endswith("/cancel_order") or self.refused >= self._times:
            return await self._below.handle_async_request(request)
        self.refused += 1
        return httpx.Response(200, json={"code": self._code, "error": "not-now"})


def test_a_cancellation_that_the_exchange_refuses_is_reported_and_not_repeated(day: Day) -> None:
    """The one who asked learns it; the exchange is asked once a minute at most, not each second."""
    order = day.live()[0]["id"]
    between = Refusing(day)
    request = tell(day, "cancel", {"order": order}, span=timedelta(seconds=55))
    assert (request.outcome or "").startswith("failed: cancel_order")
    assert between.refused == 1


def test_whoever_asks_again_after_a_refusal_is_not_answered_with_the_old_one(day: Day) -> None:
    """Each command is sent, also within the minute after which the same one would be tried again."""
    order = day.live()[0]["id"]
    between = Refusing(day, times=2)
    for asked in (1, 2):
        request = tell(day, "cancel", {"order": order}, span=timedelta(seconds=30))
        assert (request.outcome or "").startswith("failed: cancel_order")
        assert between.refused == asked
    assert tell(day, "cancel", {"order": order}).outcome == f"done: order {order} is over"
    assert order not in [each["id"] for each in day.live()]
    assert day.app.trader.refusals.by_order == {}


def test_another_clock_than_the_daemons_makes_no_command_a_new_one(day: Day) -> None:
    """Posted an hour ahead, it is refused once, and answered so."""
    order = day.live()[0]["id"]
    between = Refusing(day)
    ahead = day.clock.now() + timedelta(hours=1)
    number = post_request(day.app.engine, ACCOUNT, "cancel", {"order": order}, at=ahead)
    day.run(timedelta(seconds=55))
    request = Queries(day.app.engine, ACCOUNT).request(number)
    assert request is not None
    assert (request.outcome or "").startswith("failed: cancel_order")
    assert between.refused == 1


def test_too_many_requests_is_no_answer_to_whoever_cancels(day: Day) -> None:
    """The command stays open and is tried again, and our orders are read in between."""
    order = day.live()[0]["id"]
    between = Refusing(day, times=3, code=5)
    seen = len(day.reports)
    request = tell(day, "cancel", {"order": order}, span=timedelta(seconds=58))
    assert request.outcome == f"done: order {order} is over"
    assert between.refused == 3
    assert order not in [each["id"] for each in day.live()]
    acts = [report.acted is not None for report in day.reports[seen:] if report.calls]
    assert not any(first and second for first, second in pairwise(acts))


def test_a_refusal_is_forgotten_with_its_order(day: Day) -> None:
    """What is over by itself leaves nothing behind."""
    order = day.live()[0]["id"]
    Refusing(day, times=1)
    tell(day, "cancel", {"order": order}, span=timedelta(seconds=30))
    assert set(day.app.trader.refusals.by_order) == {order}
    day.run(timedelta(seconds=60))
    assert day.app.trader.refusals.by_order == {}


def test_an_order_that_was_cancelled_by_hand_meanwhile_counts_as_cancelled(day: Day) -> None:
    """The exchange refuses to cancel it again; what the owner wanted is so all the same."""
    order = day.live()[0]["id"]
    body = json.dumps({"id": order}).encode()
    headers = {"auth": day.exchange.token}
    day.clock.advance(2)
    call = sim.Request(method="POST", path="/v1/cancel_order", headers=headers, body=body)
    assert json.loads(day.exchange.handle(call, day.clock.now()).body)["code"] == 0
    day.clock.advance(2)
    request = tell(day, "cancel", {"order": order})
    assert request.outcome == f"done: order {order} is over"


def test_errands_are_carried_out_between_passes(day: Day) -> None:
    """Wallets and own servers are answered by the daemon, as JSON."""
    wallets = json.loads((tell(day, "wallets").outcome or "").removeprefix("done: "))
    assert {wallet["currency"] for wallet in wallets} >= {"BTC", "CLORE"}
    servers = json.loads((tell(day, "my_servers").outcome or "").removeprefix("done: "))
    assert servers[0]["name"] == "rig-1"
    assert (tell(day, "server_config", {"name": "nobody"}).outcome or "").startswith("failed: ")
    assert (tell(day, "server_config", {}).outcome or "").startswith("failed: ")
    settings = {
        "name": "rig-1",
        "availability": True,
        "mrl_hours": 24,
        "on_demand": "0.0002",
        "spot": "0.0001",
    }
    assert tell(day, "set_server_settings", settings).outcome == "done: []"
    report = day.referee.report(day.clock.now())
    assert report["rate_limit_refusals"] == 0


def test_paper_mode_sends_nothing_for_a_command_either(engine: Engine) -> None:
    """Neither a cancellation nor a setting leaves the machine while the mode is paper."""
    live = begin(engine=engine, rivals=False)
    live.run(timedelta(minutes=3))
    order = live.live()[0]["id"]
    live.app.lease.release()
    paper = begin(engine=engine, rivals=False, shape=lambda policy: replace(policy, mode=Mode.PAPER))
    outcome = tell(paper, "cancel", {"order": order}).outcome or ""
    assert outcome.startswith("failed: ")
    settings = {
        "name": "rig-1",
        "availability": True,
        "mrl_hours": 24,
        "on_demand": "0.0002",
        "spot": "0.0001",
    }
    outcome = tell(paper, "set_server_settings", settings).outcome or ""
    assert "paper" in outcome
    assert paper.referee.report(paper.clock.now())["orders_created"] == 0


def test_a_token_that_is_revoked_during_an_errand_ends_trading(day: Day) -> None:
    """The errand is answered, and the daemon stops instead of hammering."""
    number = post_request(day.app.engine, ACCOUNT, "wallets", at=day.clock.now())
    day.exchange.token = "another"
    with pytest.raises(InvalidToken):
        day.run(A_WHILE)
    request = Queries(day.app.engine, ACCOUNT).request(number)
    assert request is not None
