"""Probing beside a running daemon: no pass waits for a workload, and the end waits for none."""

import asyncio
from dataclasses import replace
from datetime import timedelta

import virtual
from workloads import HOST, LOOPBACK, Manner, workload

from bidder.app.report import PassReport
from bidder.clock import ScaledClock
from bidder.demo import world
from bidder.domain.policy import Pace
from bidder.domain.probe import Probe, ProbeKind, State
from bidder.sim.server import build_exchange, running_sim
from bidder.wiring import App, build_app, open_database, run_daemon

SPEED = 60.0
# By the wall clock: longer than this test may take, so that a pass that waited would be seen to.
FOR_EVER = timedelta(seconds=50)


async def until_probed(manner: Manner, probe: Probe, passes: int) -> tuple[App, int]:
    """Run a daemon until a workload was met and so many passes more are over; return who met it."""
    exchange = build_exchange(servers=30, rivals=False)
    market = virtual.listing_of(seed=1, rules=None, servers=30, marketplace=None)
    policy = world.demo_policy(market, virtual.RATES)
    policy = replace(
        policy,
        targets=tuple(replace(target, probe=probe) for target in policy.targets),
        pace=Pace(orders_every=timedelta(seconds=5)),
    )
    clock = ScaledClock(speed=SPEED, start=exchange.start)
    stop, after = asyncio.Event(), 0
    async with workload(manner) as there, running_sim(exchange, clock) as sim:
        exchange.workload = (HOST, there.port)
        app = build_app(
            policy=policy,
            base_url=sim.base_url,
            token=sim.token,
            engine=open_database("sqlite://"),
            clock=clock,
        )

        def passed(_: PassReport) -> None:
            nonlocal after
            after += bool(there.met)
            if after >= passes:
                stop.set()

        async with asyncio.timeout(FOR_EVER.total_seconds() - 10):
            await run_daemon(app, stop=stop, on_pass=passed)
        met = there.met
    app.engine.dispose()
    return app, met


async def test_no_pass_waits_for_a_workload_and_the_end_waits_for_none() -> None:
    """One that never answers is still being waited for when fifty passes are over and all is ended."""
    mute = Probe(port="22", kind=ProbeKind.HTTP, timeout=FOR_EVER, allow_networks=LOOPBACK)
    app, met = await until_probed("mute", mute, passes=50)
    assert met >= 1
    assert not any(pulse.probed_at for pulse in app.trader.view.pulses.values())


async def test_what_is_found_beside_the_passes_is_folded_into_them() -> None:
    """The daemon itself makes the probes that are due."""
    probe = Probe(port="22", every=timedelta(seconds=10), allow_networks=LOOPBACK)
    app, met = await until_probed("banner", probe, passes=100)
    assert met >= 2
    states = [pulse.state(probe) for pulse in app.trader.view.pulses.values()]
    assert State.ALIVE in states
