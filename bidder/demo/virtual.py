"""The whole daemon in virtual time: client, store, agenda, strategies, executor, pass after pass."""

from collections.abc import Callable
from datetime import timedelta

from sqlalchemy import Engine

from bidder.app.report import PassReport
from bidder.clock import VirtualClock
from bidder.demo.transport import SimTransport
from bidder.domain.policy import Policy
from bidder.sim.exchange import SimExchange
from bidder.store.lease import LEASE_HEARTBEAT
from bidder.wiring import App, build_app


def build_virtual(
    policy: Policy,
    exchange: SimExchange,
    engine: Engine,
    clock: VirtualClock,
    *,
    one_way_seconds: tuple[float, float] = (0.01, 0.02),
) -> App:
    """Return a daemon wired to ``exchange`` on a virtual clock."""
    return build_app(
        policy=policy,
        base_url="http://sim.invalid/v1",
        token=exchange.token,
        engine=engine,
        clock=clock,
        transport=SimTransport(exchange, clock, one_way_seconds=one_way_seconds),
    )


async def run_for(
    app: App,
    clock: VirtualClock,
    span: timedelta,
    *,
    on_pass: Callable[[PassReport], None] | None = None,
) -> None:
    """Run passes until ``span`` of virtual time is over, the lease's heartbeats between them."""
    end = clock.monotonic() + span.total_seconds()
    while clock.monotonic() < end:
        report = await app.trader.run_pass()
        if on_pass is not None:
            on_pass(report)
        clock.advance(max(report.sleep.total_seconds(), 0.001))
        if app.keeper.seconds_since_renewed() >= LEASE_HEARTBEAT.total_seconds():
            app.keeper.beat()
