"""Two daemons on one account, each with a database of its own: no lease joins them, only the exchange.

A second installation that was forgotten, or a copy on a laptop: it finds orders that look like its own
and that nothing explains. What it must not do is order them a second time, touch them, or bid against
them.
"""

import asyncio
from dataclasses import dataclass, field, replace
from datetime import timedelta
from decimal import Decimal

import pytest
from virtual import begin

from bidder.app.report import Acted, PassReport
from bidder.clock import VirtualClock
from bidder.demo.virtual import build_virtual
from bidder.domain.actions import Reprice
from bidder.domain.policy import Pace, Policy
from bidder.sim.auction import Order
from bidder.sim.exchange import SimExchange
from bidder.store.engine import open_engine
from bidder.store.schema import upgrade
from bidder.wiring import App

_PACE = Pace(book_every=timedelta(seconds=60), orders_every=timedelta(seconds=15))


@dataclass(slots=True, kw_only=True)
class Daemon:
    """One of them, what it did, and what it told a person."""

    app: App
    next_at: float = 0.0
    deeds: list[Acted] = field(default_factory=list)
    told: list[str] = field(default_factory=list)

    def note(self, report: PassReport) -> None:
        """Keep what a pass did and told."""
        self.told += report.alarms
        if report.acted is not None:
            self.deeds.append(report.acted)


@dataclass(slots=True, kw_only=True)
class Account:
    """One account at the exchange, and who trades it."""

    exchange: SimExchange
    clock: VirtualClock
    policy: Policy
    daemons: list[Daemon]

    def join(self) -> Daemon:
        """Start another daemon, with an empty database."""
        engine = open_engine("sqlite://")
        upgrade(engine)
        app = build_virtual(self.policy, self.exchange, engine, self.clock)
        self.daemons.append(Daemon(app=app, next_at=self.clock.monotonic()))
        return self.daemons[-1]

    def run(self, minutes: float) -> None:
        """Let all of them trade for so long, each at its own pace."""
        asyncio.run(self._run(self.clock.monotonic() + minutes * 60))

    async def _run(self, end: float) -> None:
        while (daemon := min(self.daemons, key=lambda each: each.next_at)).next_at < end:
            self.clock.advance(daemon.next_at - self.clock.monotonic())
            report = await daemon.app.trader.run_pass()
            daemon.app.lease.renew(daemon.app.lease_clock.now())
            daemon.note(report)
            wait = report.sleep
            if report.idle_until is not None:
                wait = max(wait, min(report.idle_until - report.at, timedelta(seconds=30)))
            daemon.next_at = self.clock.monotonic() + max(wait.total_seconds(), 0.001)
        self.clock.advance(end - self.clock.monotonic())

    def live(self) -> dict[int, Order]:
        """Return the account's live orders as the exchange knows them."""
        return dict(self.exchange.market.live)

    def outbid(self, order: Order, factor: str) -> None:
        """Let a stranger bid more for the server of this order."""
        market = self.exchange.market
        stall = market.stalls[order.server_id]
        price = (order.price * Decimal(factor)).quantize(Decimal("1e-8"))
        market.admit(stall, currency=order.currency, price=price)
        market.settle(stall)


@pytest.fixture
def account() -> Account:
    """An account whose first daemon holds everything that is wanted."""
    day = begin(rivals=False, servers=24, shape=lambda policy: replace(policy, pace=_PACE))
    found = Account(
        exchange=day.exchange, clock=day.clock, policy=day.policy, daemons=[Daemon(app=day.app)]
    )
    found.run(2)
    assert len(found.live()) == sum(target.want for target in day.policy.targets)
    return found


def test_a_second_daemon_without_memory_touches_nothing(account: Account) -> None:
    """It orders nothing twice, cancels and reprices nothing, and says that a person has to decide."""
    before = set(account.live())
    second = account.join()
    account.run(3)

    assert set(account.live()) == before
    assert second.deeds == []
    for order in before:
        assert any(f"order {order} looks like one of its own" in told for told in second.told)


def test_they_do_not_bid_against_each_other(account: Account) -> None:
    """A stranger outbids an order of the first: only that one raises, and only against the stranger."""
    first, second = account.daemons[0], account.join()
    account.run(1)
    order = next(iter(account.live().values()))
    account.outbid(order, "1.02")
    raised = len(first.deeds)
    account.run(3)

    assert second.deeds == []
    assert [type(deed.action) for deed in first.deeds[raised:]] == [Reprice]
    assert order.active


def test_a_slot_that_falls_empty_is_filled_once(account: Account) -> None:
    """Both see that an order is over, one after the other, and one of them orders its successor."""
    account.join()
    account.run(1)
    wanted = len(account.live())
    account.exchange.market.end(next(iter(account.live().values())), "mrl")
    account.run(3)

    live = account.live().values()
    assert len({order.server_id for order in live}) == len(live) == wanted
