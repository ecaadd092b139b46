"""Creations that never leave, or are turned away for their pace: no attempts, and no hammering."""

import json
from dataclasses import replace
from datetime import timedelta

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
