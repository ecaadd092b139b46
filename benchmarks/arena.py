"""The real client and the whole daemon against the simulated exchange, in virtual time."""

from dataclasses import dataclass
from datetime import timedelta
from decimal import Decimal

from bidder.clock import VirtualClock
from bidder.demo.transport import SimTransport
from bidder.demo.virtual import build_virtual
from bidder.domain.ids import AccountName
from bidder.domain.money import Currency, Price
from bidder.domain.policy import (
    Ceiling,
    Launch,
    Mode,
    Moving,
    Pace,
    Per,
    Policy,
    Rails,
    Renewal,
    Target,
    TrackParams,
)
from bidder.exchange.client import ExchangeClient
from bidder.exchange.limiter import Limiter
from bidder.sim.exchange import SimExchange
from bidder.sim.server import build_exchange
from bidder.wiring import App, build_client, open_database

FAST = (0.01, 0.02)  # seconds each way: round trips of 20 to 40 ms


@dataclass(slots=True, kw_only=True)
class Arena:
    """A daemon that holds ``want`` servers of a world without rivals."""

    exchange: SimExchange
    clock: VirtualClock
    app: App

    async def step(self) -> None:
        """Run one pass and let time go on to the next one."""
        report = await self.app.trader.run_pass()
        self.clock.advance(max(report.sleep.total_seconds(), 0.001))
        self.app.lease.renew(self.clock.now())

    async def fill(self, want: int) -> None:
        """Run until ``want`` orders run, as far as the daemon knows."""
        end = self.clock.monotonic() + 60 + want * 20
        while self.clock.monotonic() < end:
            await self.step()
            view = self.app.trader.view
            if sum(1 for held in view.holdings.values() if held.active) >= want:
                return
        raise RuntimeError(f"{want} servers could not be won")


def client_for(
    exchange: SimExchange, clock: VirtualClock, one_way: tuple[float, float]
) -> ExchangeClient:
    """Return the real client on virtual wires."""
    return build_client(
        base_url="http://sim.invalid/v1",
        token=exchange.token,
        clock=clock,
        limiter=Limiter(clock),
        read_only=False,
        transport=SimTransport(exchange, clock, one_way_seconds=one_way),
    )


def arena(*, want: int, servers: int, seed: int = 1) -> Arena:
    """Return a daemon that wants ``want`` of ``servers`` servers and never waits before a raise."""
    exchange = build_exchange(seed=seed, servers=servers, rivals=False)
    clock = VirtualClock(exchange.start)
    app = build_virtual(policy(want), exchange, open_database("sqlite://"), clock, one_way_seconds=FAST)
    return Arena(exchange=exchange, clock=clock, app=app)


def policy(want: int) -> Policy:
    """Return a policy that takes any server, has no ceiling to speak of, and fights every rival."""
    target = Target(
        name="any",
        want=want,
        ceiling=Ceiling(price=Price(Decimal(500), Currency.USD), per=Per.GPU),
        launch=Launch(image="cloreai/ubuntu20.04-jupyter"),
        params=TrackParams(
            raise_wait=timedelta(0),
            confirm=False,
            war_raises=1_000_000,
        ),
        moving=Moving(saving=Decimal("0.99")),
        currencies=(Currency.BTC, Currency.CLORE),
        renewal=Renewal(before=timedelta(0)),
    )
    rails = Rails(
        max_creations_per_hour=10_000,
        max_creations_per_server_hour=10_000,
        allow_above_on_demand=True,
    )
    return Policy(
        account=AccountName("bench"),
        mode=Mode.LIVE,
        targets=(target,),
        rails=rails,
        pace=Pace(),
    )
