"""Rounds of the guard beside a day's daemon, in virtual time."""

import asyncio
from datetime import timedelta
from typing import Any

import httpx
from virtual import Day

from bidder.demo.transport import SimTransport
from bidder.domain.policy import Policy
from bidder.domain.unattended import Then, WhenSilent
from bidder.guarding import Round, stand_guard

AFTER = timedelta(minutes=15)
CANCEL = WhenSilent(then=Then.CANCEL, after=AFTER)
LOWER = WhenSilent(then=Then.LOWER, after=AFTER)


def guard(
    day: Day,
    when: WhenSilent = CANCEL,
    *,
    policy: Policy | None = None,
    clock: Any = None,
    transport: httpx.AsyncBaseTransport | None = None,
    dry_run: bool = False,
    token: str | None = None,
) -> Round:
    """Make one round of the guard."""
    return asyncio.run(
        stand_guard(
            policy or day.policy,
            when,
            engine=day.app.engine,
            base_url="http://sim.invalid/v1",
            token=token or day.exchange.token,
            clock=clock or day.clock,
            transport=transport or SimTransport(day.exchange, day.clock),
            dry_run=dry_run,
        )
    )


class Dead(httpx.AsyncBaseTransport):
    """An exchange that nobody reaches."""

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Fail as a network does."""
        raise httpx.ConnectError("no route", request=request)


class Beside:
    """A clock during whose sleeps the daemon keeps its lease, and makes passes unless it hangs."""

    def __init__(self, day: Day, *, hangs: bool) -> None:
        """Be the day's clock in all else."""
        self._day = day
        self._hangs = hangs

    def __getattr__(self, name: str) -> Any:
        """Be the day's clock in all else."""
        return getattr(self._day.clock, name)

    async def sleep(self, seconds: float) -> None:
        """Let the daemon live for so long."""
        app = self._day.app
        until = self._day.clock.monotonic() + seconds
        while self._day.clock.monotonic() < until:
            self._day.clock.advance(5)
            app.lease.renew(self._day.clock.now())
            if not self._hangs:
                await app.trader.run_pass()


def hang(day: Day, span: timedelta = AFTER) -> Beside:
    """Let the daemon keep its lease and make no passes for so long; return the clock beside it."""
    beside = Beside(day, hangs=True)
    asyncio.run(beside.sleep(span.total_seconds()))
    return beside
