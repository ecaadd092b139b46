"""An httpx transport that calls the simulated exchange directly, in virtual time.

The real client, its real URLs and JSON; only the sockets are left out. Each request takes a round
trip of virtual time, so that arrivals are judged as they would be over a network.
"""

import random

import httpx

from bidder.clock import VirtualClock
from bidder.sim.answers import Request
from bidder.sim.exchange import SimExchange


class SimTransport(httpx.AsyncBaseTransport):
    """Answers requests from a simulated exchange that shares a virtual clock with the client."""

    def __init__(
        self,
        exchange: SimExchange,
        clock: VirtualClock,
        *,
        one_way_seconds: tuple[float, float] = (0.01, 0.02),
    ) -> None:
        """Take a time from ``one_way_seconds`` (least, most) for each way of each request."""
        self._exchange = exchange
        self._clock = clock
        self._one_way = one_way_seconds
        self._chance = random.Random(0)

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Carry one request there and its answer back."""
        body = await request.aread()
        self._clock.advance(self._chance.uniform(*self._one_way))
        answer = self._exchange.handle(
            Request(
                method=request.method,
                path=request.url.path,
                query=request.url.query.decode("ascii"),
                headers={name.lower(): value for name, value in request.headers.items()},
                body=body,
            ),
            self._clock.now(),
        )
        self._clock.advance(self._chance.uniform(*self._one_way))
        return httpx.Response(answer.status, headers=dict(answer.headers), content=answer.body)
