"""Asking the exchange: reads only, within the request budget, and never beside a running daemon."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from sqlalchemy import Engine

from bidder.app.handing_back import hand_back
from bidder.clock import Clock
from bidder.config import Settings
from bidder.domain.ids import ServerId
from bidder.domain.market import Wallet
from bidder.errors import ExchangeError, InDoubt, LeaseLost, NotSent
from bidder.exchange.client import ExchangeClient, Transport
from bidder.exchange.limiter import Limiter
from bidder.store.engine import open_engine
from bidder.store.lease import Lease
from bidder.store.records import Snapshot
from bidder.store.schema import upgrade
from bidder.store.store import Store
from bidder.wiring import build_client

# One that gives no answer may take its whole time-out, and nobody waits for six of them.
_MOST_SILENCES = 2
_NEEDS_NO_TOKEN = ("marketplace",)
READS = ("wallets", "my_orders", "my_servers", "marketplace", "spot_marketplace")


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """How one endpoint last answered; ``failure`` is empty for a good answer."""

    endpoint: str
    at: datetime
    failure: str = ""  # the error's class name
    text: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Readings:
    """What is known of the exchange's answers: asked for now, or recorded by a daemon.

    ``lead_seconds`` is how far its clock lies ahead of ours, by the answer at ``lead_at``.
    """

    asked: bool
    found: tuple[Reading, ...] = ()
    lead_seconds: float | None = None
    lead_at: datetime | None = None
    wallets: tuple[Wallet, ...] | None = None

    @property
    def latest_good(self) -> datetime | None:
        """Return when the exchange last gave a good answer."""
        return max((each.at for each in self.found if not each.failure), default=None)


def recorded(snapshot: Snapshot | None) -> Readings:
    """Return what the last daemon noted of the exchange's answers."""
    values: Mapping[str, Any] = {} if snapshot is None else snapshot.values.get("vitals") or {}
    found = []
    for name, seen in (values.get("endpoints") or {}).items():
        good, bad = _moment(seen.get("good_at")), _moment(seen.get("bad_at"))
        if bad is not None and (good is None or bad > good):
            found.append(Reading(endpoint=name, at=bad, failure=seen.get("bad") or "failed"))
        elif good is not None:
            found.append(Reading(endpoint=name, at=good))
    lead = values.get("clock_lead_seconds")
    return Readings(
        asked=False,
        found=tuple(found),
        lead_seconds=lead if isinstance(lead, int | float) else None,
        lead_at=_moment(values.get("clock_lead_at")),
    )


def _moment(text: Any) -> datetime | None:
    return datetime.fromisoformat(text) if isinstance(text, str) else None


async def probe(
    settings: Settings,
    engine: Engine | None,
    clock: Clock,
    *,
    transport: Transport | None = None,
) -> Readings:
    """Ask every endpoint that only reads, one after the other; without a token the public one.

    Takes the account's lease meanwhile. ``engine`` None: there is no database yet.

    Raises:
        LeaseHeld: a daemon trades this account and has the requests for itself.
        StoreFailed: the database cannot be written.
    """
    passing = engine is None
    engine = open_engine("sqlite://") if engine is None else engine
    if passing:
        upgrade(engine)
    lease = Lease(engine, settings.account)
    fencing = lease.acquire(clock.now())
    store = Store(engine, settings.account, fencing=fencing, mode=settings.policy.mode)
    memory = store.load(clock.now())
    now = clock.now() if lease.took_over else None
    client = build_client(
        base_url=settings.exchange_url,
        token=None if settings.token is None else settings.token.reveal(),
        clock=clock,
        limiter=Limiter(
            clock,
            last_request_at=now or memory.last_request_at,
            last_creation_at=now or memory.last_creation_at,
        ),
        read_only=True,
        transport=transport,
    )
    held = next((h.order.server for h in memory.holdings if h.order.order > 0), None)
    try:
        asking = _Asking(client=client, lease=lease, clock=clock, market=held)
        return await asking.all(READS if settings.token is not None else _NEEDS_NO_TOKEN)
    finally:
        await hand_back(lease, store=store, client=client, wait_on=clock if passing else None)
        if passing:
            engine.dispose()


@dataclass(slots=True, kw_only=True)
class _Asking:
    client: ExchangeClient
    lease: Lease
    clock: Clock
    market: ServerId | None
    wallets: tuple[Wallet, ...] | None = None

    async def all(self, endpoints: tuple[str, ...]) -> Readings:
        found: list[Reading] = []
        readings = Readings(asked=True)
        silences = 0
        for endpoint in endpoints:
            if endpoint == "spot_marketplace" and self.market is None:
                continue
            try:
                self.lease.renew(self.clock.now())
            except LeaseLost:
                break
            reading = await self._one(endpoint)
            found.append(reading)
            readings = self._clocks(readings)
            if reading.failure == NotSent.__name__:
                break
            silences += reading.failure == InDoubt.__name__
            if silences >= _MOST_SILENCES:
                break
        return replace(readings, found=tuple(found), wallets=self.wallets)

    async def _one(self, endpoint: str) -> Reading:
        asks: Mapping[str, Callable[[], Awaitable[object]]] = {
            "wallets": self._wallets,
            "my_orders": self.client.my_orders,
            "my_servers": self.client.my_servers,
            "marketplace": self._marketplace,
            "spot_marketplace": self._book,
        }
        try:
            await asks[endpoint]()
        except ExchangeError as exc:
            return Reading(
                endpoint=endpoint, at=self.clock.now(), failure=type(exc).__name__, text=str(exc)
            )
        return Reading(endpoint=endpoint, at=self.clock.now())

    async def _wallets(self) -> None:
        self.wallets = await self.client.wallets()

    async def _marketplace(self) -> None:
        listings = (await self.client.marketplace()).listings
        self.market = self.market or next(iter(listings), None)

    async def _book(self) -> None:
        assert self.market is not None
        await self.client.spot_marketplace(self.market)

    def _clocks(self, readings: Readings) -> Readings:
        call = self.client.last_call
        if call is None or call.lead_seconds is None:
            return readings
        return replace(readings, lead_seconds=call.lead_seconds, lead_at=call.answered_at)
