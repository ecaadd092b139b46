"""Reads that the exchange refuses: trading goes on, at a slower pace."""

import json
from datetime import timedelta

import httpx
import pytest
from virtual import Day, begin, put_between

from bidder.demo.transport import SimTransport
from bidder.errors import InvalidToken


class Refusing(httpx.AsyncBaseTransport):
    """Answers every request with one refusal until told to pass them on."""

    def __init__(self, day: Day, status: int, body: bytes) -> None:
        """Stand between ``day``'s daemon and its exchange."""
        self._below = SimTransport(day.exchange, day.clock)
        self.answer: tuple[int, bytes] | None = (status, body)
        self.asked = 0

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Refuse or pass on one request."""
        self.asked += 1
        if self.answer is None:
            return await self._below.handle_async_request(request)
        return httpx.Response(self.answer[0], content=self.answer[1])


def between(day: Day, status: int, body: bytes) -> Refusing:
    """Put a refusing transport into the daemon of ``day``."""
    refusing = Refusing(day, status, body)
    put_between(day, refusing)
    return refusing


@pytest.mark.parametrize(
    ("status", "code"), [(200, 5), (429, 5), (200, 2), (200, 4), (200, 6), (200, 1)]
)
def test_trading_survives_hours_of_refused_reads(status: int, code: int) -> None:
    """Whatever is refused, and for however long: no hammering, and it goes on when that is over."""
    day = begin(rivals=False)
    refusing = between(day, status, json.dumps({"code": code, "error": "busy"}).encode())
    day.run(timedelta(hours=2))
    assert refusing.asked < 300, "an exchange that refuses everything is asked at a slower pace"
    assert day.deeds == []
    refusing.answer = None
    day.run(timedelta(minutes=10))
    assert len(day.live()) == 5


def test_one_refusal_of_a_token_that_was_accepted_ends_nothing() -> None:
    """Our orders are asked for again half a minute later, and nothing is sent meanwhile."""
    day = begin(rivals=False)
    day.run(timedelta(minutes=5))
    held = day.live()
    refusing = between(day, 200, b'{"code":3}')
    for _ in range(2):
        day.run(timedelta(seconds=29))
    assert refusing.asked == 2
    refusing.answer = None
    day.run(timedelta(minutes=5))
    assert len(day.live()) == len(held) == 5


def test_a_token_that_was_accepted_and_is_refused_for_a_minute_ends_trading() -> None:
    """Three requests, all of them reads of our orders, and no fourth one."""
    day = begin(rivals=False)
    day.run(timedelta(minutes=5))
    refusing, began = between(day, 200, b'{"code":3}'), day.clock.now()
    with pytest.raises(InvalidToken):
        day.run(timedelta(hours=1))
    assert refusing.asked == 3
    assert timedelta(seconds=60) <= day.clock.now() - began < timedelta(seconds=75)


def test_what_anybody_may_read_does_not_accept_a_token() -> None:
    """The marketplace is answered without one; whoever took that for a yes would never end."""
    day = begin(rivals=False)
    day.run(timedelta(minutes=5))
    day.exchange.token = "another"
    with pytest.raises(InvalidToken):
        day.run(timedelta(minutes=10))


def test_a_refused_token_ends_trading_at_once() -> None:
    """One request, and no second one, where it was never accepted."""
    day = begin(rivals=False)
    refusing = between(day, 200, b'{"code":3}')
    with pytest.raises(InvalidToken):
        day.run(timedelta(hours=1))
    assert refusing.asked == 1
