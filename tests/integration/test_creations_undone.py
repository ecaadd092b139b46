"""Creations that never leave, or are turned away for their pace: no attempts, and no hammering."""

import json
from dataclasses import replace
from datetime import datetime, timedelta

import httpx
import pytest
from virtual import Day, begin, put_between

from bidder.demo.transport import SimTransport
from bidder.domain.actions import PlaceBid


class Undoing(httpx.AsyncBaseTransport):
    """Passes on all but creations, until told to pass those on as well."""

    def __init__(self, day: Day, *, status: int | None) -> None:
        """Stand between ``day``'s daemon and its exchange; without a status the connection fails."""
        self._below = SimTransport(day.exchange, day.clock)
        self._status = status
        self.over = False
        self.undone = 0
        self.only: int | None = None  # this server, where it is set

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Pass on one request, or not."""
        if self.over or not request.url.path.endswith("create_order"):
            return await self._below.handle_async_request(request)
        server = json.loads(await request.aread())["renting_server"]
        if self.only is not None and server != self.only:
            return await self._below.handle_async_request(request)
        self.undone += 1
        if self._status is None:
            raise httpx.ConnectError("refused", request=request)
        return httpx.Response(self._status, content=b'{"code":5}')


def between(day: Day, *, status: int | None) -> Undoing:
    """Put such a transport into the daemon of ``day``."""
    undoing = Undoing(day, status=status)
    put_between(day, undoing)
    return undoing


@pytest.mark.parametrize("status", [None, 200, 429])
def test_creations_that_come_to_nothing_for_an_hour_are_tried_once_a_minute(status: int | None) -> None:
    """While all else is answered; once they get through, no server is left out for them."""
    day = begin(rivals=False)
    undoing = between(day, status=status)

    day.run(timedelta(hours=1))

    assert 50 < undoing.undone < 75
    assert day.app.trader.view.creations == ()
    assert day.app.trader.store.load(day.clock.now()).creations == ()

    undoing.over = True
    day.run(timedelta(minutes=3))
    assert len(day.live()) == 5


@pytest.mark.parametrize("status", [None, 429])
def test_a_few_creations_that_come_to_nothing_do_not_drive_a_bid_elsewhere(status: int | None) -> None:
    """The best server stays the best, however often the wire fails before it is reached."""
    day = begin(rivals=False, shape=lambda policy: replace(policy, targets=policy.targets[:1]))
    undoing = between(day, status=status)
    while undoing.undone < 6:
        day.run(timedelta(seconds=1))
    undoing.over = True

    day.run(timedelta(minutes=2))

    tried = {deed.action.server for deed in day.deeds[:6]}
    assert len(tried) == 1
    assert tried <= {order["server"] for order in day.live()}


def test_a_target_whose_creations_come_to_nothing_lets_the_others_go_first() -> None:
    """It comes first in the file, and would be tried first each time."""
    day = begin(rivals=False)
    undoing = between(day, status=None)
    while undoing.undone < 1:
        day.run(timedelta(seconds=1))
    undoing.only = day.deeds[0].action.server

    day.run(timedelta(minutes=5))

    turns = [deed.action.target for deed in day.deeds if isinstance(deed.action, PlaceBid)]
    assert undoing.undone > 3
    assert all(turns[turn] != turns[0] for turn in (1, 3, 5))


class Barren(httpx.AsyncBaseTransport):
    """Answers each creation with the same words and makes no order of it, until it is over."""

    def __init__(self, day: Day, words: bytes) -> None:
        """Stand between ``day``'s daemon and its exchange."""
        self._below = SimTransport(day.exchange, day.clock)
        self._clock, self._words = day.clock, words
        self.asked: list[datetime] = []
        self.over = False
        self.most: int | None = None  # so many servers do, the first ones that are asked for
        self._barren: set[int] = set()

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Pass on one request, or answer it."""
        if self.over or not request.url.path.endswith("create_order"):
            return await self._below.handle_async_request(request)
        server = json.loads(await request.aread())["renting_server"]
        if server not in self._barren and self.most is not None and len(self._barren) >= self.most:
            return await self._below.handle_async_request(request)
        self._barren.add(server)
        self.asked.append(self._clock.now())
        return httpx.Response(200, content=self._words)


def barren(words: bytes) -> tuple[Day, Barren]:
    """Return a day of one target that no creation gives an order."""
    day = begin(rivals=False, shape=lambda policy: replace(policy, targets=policy.targets[:1]))
    transport = Barren(day, words)
    put_between(day, transport)
    return day, transport


def raised_in(day: Day) -> list[str]:
    """Return what the owner was told so far of what is in the way."""
    return [alarm.text for report in day.reports for alarm in report.alarms_raised]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (b'{"code":1}', "code 1, HTTP 200"),
        (b'{"code":0}', "it was accepted, and no order is listed"),
    ],
)
def test_creations_of_which_no_order_ever_comes_are_told_and_grow_rare(words: bytes, said: str) -> None:
    """Once, with what was answered; and once they do make orders, nothing is left of it."""
    day, transport = barren(words)
    name, began = day.policy.targets[0].name, day.clock.now()

    day.run(timedelta(hours=2))

    (told,) = raised_in(day)
    assert told.startswith(f"strategy {name}: ")
    assert told.endswith(f" creations in a row made no order; the last one: {said}")
    late = [each for each in transport.asked if each - began > timedelta(hours=1)]
    assert len(late) < 15, "by the rails it would be 30"

    transport.over = True
    day.run(timedelta(minutes=30))
    assert len(day.live()) == day.policy.targets[0].want
    assert day.app.trader.view.in_vain == {}
    assert day.reports[-1].standing == ()


def test_a_refusal_in_unknown_words_by_several_servers_is_the_accounts() -> None:
    """The fourth server would say the same five seconds later; the owner reads what they said.

    Three more are tried ten minutes later, as it may be theirs after all.
    """
    day, transport = barren(b'{"code":6,"error":"account_on_hold"}')

    day.run(timedelta(minutes=9))
    assert len(transport.asked) == 3
    day.run(timedelta(minutes=5))

    name = day.policy.targets[0].name
    assert len(transport.asked) == 6
    said = "the last one: refused with code 6: account_on_hold"
    assert raised_in(day) == [f"strategy {name}: 5 creations in a row made no order; {said}"]
    transport.over = True
    day.run(timedelta(minutes=15))
    assert len(day.live()) == day.policy.targets[0].want


def test_servers_that_refuse_for_reasons_of_their_own_do_not_keep_others_from_their_turn() -> None:
    """Five of the cheapest do so, in words that nobody knows: the sixth is taken within minutes."""
    day = begin(rivals=False, shape=lambda policy: replace(policy, targets=policy.targets[:1]))
    transport = Barren(day, b'{"code":6,"error":"not_today"}')
    transport.most = 5
    put_between(day, transport)

    day.run(timedelta(minutes=13))

    assert len(transport.asked) >= 5
    assert day.live() != []


def test_creations_that_never_leave_are_told() -> None:
    """All else is answered, so that no outage is told."""
    day = begin(rivals=False, shape=lambda policy: replace(policy, targets=policy.targets[:1]))
    between(day, status=None)

    day.run(timedelta(minutes=30))

    (told,) = raised_in(day)
    assert "5 creations in a row made no order" in told
