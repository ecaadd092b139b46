"""Probing beside the passes: knocks at what is due, and leaves what it finds for the next pass.

It costs none of the exchange's requests and no pass waits for it. What is probed is what the passes
say runs; what is found is folded there and decided upon there.
"""

import asyncio
from dataclasses import dataclass, field
from datetime import datetime

import structlog

from bidder.app.trading import Trader
from bidder.clock import Clock
from bidder.domain import workloads
from bidder.domain.ids import OrderId
from bidder.domain.market import Access
from bidder.domain.probe import Outcome, Probe, Sign
from bidder.probe.knocking import Found, knock

log = structlog.get_logger("bidder")

_LOOK_EVERY = 1.0
# Where time is scaled the machine still needs some of its own.
_LEAST_REAL_SECONDS = 0.02
# Each may look up two names, in as many threads.
_MOST_AT_ONCE = 8


@dataclass(slots=True, kw_only=True)
class Prober:
    """Probes the workloads of one trader's orders, each as often as its target asks for."""

    trader: Trader
    clock: Clock
    _due_at: dict[OrderId, float] = field(default_factory=dict)
    _under_way: dict[OrderId, "asyncio.Task[None]"] = field(default_factory=dict)

    async def run(self) -> None:
        """Probe until cancelled."""
        try:
            while True:
                self._start_due()
                pause = max(self.clock.real_seconds(_LOOK_EVERY), _LEAST_REAL_SECONDS)
                await asyncio.sleep(pause)
        except Exception:
            # Trading goes on without; nothing that was not probed is ever called dead.
            log.exception("probing.crashed")
        finally:
            for task in self._under_way.values():
                task.cancel()
            await asyncio.gather(*self._under_way.values(), return_exceptions=True)

    async def look(self) -> None:
        """Make every probe that is due and wait for the last to end: for who steps time by hand."""
        while self._start_due():
            await asyncio.gather(*self._under_way.values())

    def _start_due(self) -> int:
        """Start what is due, as far as there is room; return how many are under way."""
        view, policy, now = self.trader.view, self.trader.policy, self.clock.monotonic()
        self._due_at = {order: at for order, at in self._due_at.items() if order in view.pulses}
        for order in view.pulses:
            holding = view.holdings.get(order)
            probe = None if holding is None else workloads.probe_of(holding, policy)
            if holding is None or probe is None or order in self._under_way:
                continue
            if now < self._due_at.get(order, now) or len(self._under_way) >= _MOST_AT_ONCE:
                continue
            self._due_at[order] = now + probe.every.total_seconds()
            self._under_way[order] = asyncio.create_task(
                self._probe(order, holding.order.access, probe, view.pulses[order].began_at),
                name=f"probe-{order}",
            )
        return len(self._under_way)

    async def _probe(self, order: OrderId, access: Access, probe: Probe, began_at: datetime) -> None:
        try:
            try:
                found = await knock(access, probe)
            except Exception:
                # Whatever is wrong with a probe, trading goes on, and nothing dies of it.
                log.exception("probe.crashed", order=order)
                found = Found(outcome=Outcome.BLIND, detail="the probe itself failed")
            sign = Sign(order=order, at=self.clock.now(), outcome=found.outcome, detail=found.detail)
            log.debug("workload.probed", order=order, found=found.outcome.value, detail=found.detail)
            now_known = self.trader.view.pulses.get(order)
            # It may have lost its server and won it back meanwhile: then this was another workload.
            if now_known is not None and now_known.began_at == began_at:
                self.trader.signs.append(sign)
        finally:
            del self._under_way[order]
