"""The composition root: every part is built here, once, and handed its neighbours by keyword."""

import asyncio
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import TypeVar

import httpx
from sqlalchemy import Engine

from bidder.app.handing_back import hand_back
from bidder.app.keeping import Keeper
from bidder.app.paper import PaperClient
from bidder.app.preview import Compared, Preview, compare, preview
from bidder.app.probing import Prober
from bidder.app.recalling import recalled, told_dead
from bidder.app.relearning import relearnt
from bidder.app.report import PassReport
from bidder.app.trading import Trader
from bidder.clock import Clock, SystemClock
from bidder.config.settings import Settings
from bidder.domain.notices import Receiver
from bidder.domain.policy import Mode, Policy
from bidder.errors import ConfigError, LeaseHeld, StoreUnusable
from bidder.exchange.client import ExchangeClient, open_http
from bidder.exchange.limiter import Limiter
from bidder.notify.sending import Notifier, Slots, build_notifier, check_addresses
from bidder.store.engine import open_engine, sqlite_file
from bidder.store.lease import Holder, Lease
from bidder.store.queries import Queries
from bidder.store.schema import inspect_schema, require_current, upgrade
from bidder.store.store import Store

_Seen = TypeVar("_Seen")


@dataclass(frozen=True, slots=True, kw_only=True)
class App:
    """One account's daemon, ready to run: the trader, who probes for it, its lease, its clocks.

    ``lease_clock`` is the machine's own also where exchange time is scaled: another process judges
    the lease by it.
    """

    trader: Trader
    prober: Prober
    lease: Lease
    keeper: Keeper
    clock: Clock
    lease_clock: Clock
    engine: Engine


def open_database(url: str) -> Engine:
    """Return an engine for a database that has been brought up to date; raises StoreUnusable."""
    engine = open_engine(url)
    file = sqlite_file(engine)
    if file is not None:
        # Made by us and for us alone: SQLite itself would let whoever the umask lets read it.
        # Where it cannot be made, the upgrade says so.
        with suppress(OSError):
            file.touch(mode=0o600, exist_ok=True)
    upgrade(engine)
    return engine


def build_client(
    *,
    base_url: str,
    token: str | None,
    clock: Clock,
    limiter: Limiter,
    read_only: bool,
    transport: httpx.AsyncBaseTransport | None = None,
) -> ExchangeClient:
    """Return a client; with ``read_only`` it has no means to change anything."""
    http = open_http(base_url, token, transport=transport)
    return ExchangeClient(http=http, limiter=limiter, clock=clock, read_only=read_only)


def build_app(
    *,
    policy: Policy,
    base_url: str,
    token: str | None,
    engine: Engine,
    clock: Clock,
    lease_clock: Clock | None = None,
    transport: httpx.AsyncBaseTransport | None = None,
    holder: Holder | None = None,
    read_only: bool = False,
    unbroken_for: timedelta | None = None,
    learnt: bool = True,
) -> App:
    """Take the account's lease, load what is remembered, and return the daemon.

    ``holder`` is who takes it: this process, unless a simulation plays several. With ``read_only``,
    and on paper always, there are no means to send anything that changes something. ``unbroken_for``:
    how old the latest pass may be before the lowering clocks that it left are mistrusted. Without
    ``learnt`` the strategies begin without what the recorded history teaches them.

    Raises:
        LeaseHeld: another daemon trades this account.
    """
    policy = policy.in_force
    lease_clock = lease_clock or clock
    lease = Lease(engine, policy.account, holder=holder)
    fencing = lease.acquire(lease_clock.now())
    store = Store(
        engine,
        policy.account,
        fencing=fencing,
        mode=policy.mode,
        stopwatch=lease_clock.monotonic,
    )
    memory = store.load(clock.now())
    # Who died may have sent something this very moment, without having come to write it down.
    now = clock.now() if lease.took_over else None
    limiter = Limiter(
        clock,
        last_request_at=now or memory.last_request_at,
        last_creation_at=now or memory.last_creation_at,
    )
    client: ExchangeClient
    if policy.mode is Mode.PAPER:
        account = replace(store.paper_account(clock.now()), rules=memory.rules, steps=memory.steps)
        client = PaperClient(
            http=open_http(base_url, token, transport=transport),
            limiter=limiter,
            clock=clock,
            store=store,
            account=account,
            rates=memory.rates.over(policy.static_rates),
            has_token=token is not None,
        )
    else:
        client = build_client(
            base_url=base_url,
            token=token,
            clock=clock,
            limiter=limiter,
            read_only=read_only,
            transport=transport,
        )
    trust = {} if unbroken_for is None else {"unbroken_for": unbroken_for}
    view = recalled(memory, policy, clock.now(), **trust)
    if learnt:
        view = relearnt(view, policy, Queries(engine, policy.account), clock.now())
    trader = Trader(
        client=client,
        store=store,
        clock=clock,
        policy=policy,
        view=view,
        told_dead=told_dead(memory, policy, clock.now()),
        pass_id=memory.last_pass_id,
    )
    return App(
        trader=trader,
        prober=Prober(trader=trader, clock=clock),
        lease=lease,
        keeper=Keeper(lease=lease, clock=lease_clock),
        clock=clock,
        lease_clock=lease_clock,
        engine=engine,
    )


def build_daemon(settings: Settings) -> App:
    """Return the daemon that a configuration file describes, in the machine's own time.

    Raises:
        ConfigProblems: a secret was left out of the settings.
    """
    settings.require_secrets()
    token = settings.trading_token()
    engine = open_database(settings.database_url)
    with _closed_on_failure(engine):
        return build_app(
            policy=settings.policy,
            base_url=settings.exchange_url,
            token=token,
            engine=engine,
            clock=SystemClock(),
        )


async def run_daemon(
    app: App,
    *,
    stop: asyncio.Event | None = None,
    on_pass: Callable[[PassReport], None] | None = None,
) -> None:
    """Run the daemon until a signal or ``stop``; raises what ends trading (InvalidToken, LeaseLost)."""
    from bidder.app.daemon import Daemon

    daemon = Daemon(
        trader=app.trader,
        lease=app.lease,
        clock=app.clock,
        lease_clock=app.lease_clock,
        prober=app.prober,
        on_pass=on_pass,
        stop=stop or asyncio.Event(),
    )
    await daemon.run()


@contextmanager
def open_queries(settings: Settings) -> Iterator[Queries]:
    """Yield what may be asked of an account's database; never creates or changes it.

    Raises:
        StoreUnusable: there is no database yet, or it cannot be used as it is.
    """
    with open_current(settings) as engine:
        yield Queries(engine, settings.account)


@contextmanager
def open_current(settings: Settings) -> Iterator[Engine]:
    """Yield the engine of a database that is there and of this program's schema.

    Raises:
        StoreUnusable: there is no database yet, or it cannot be used as it is.
    """
    engine = open_engine(settings.database_url)
    with _closed(engine):
        require_current(engine)
        yield engine


def daemon_runs(settings: Settings) -> bool:
    """Return whether somebody trades the account, so that a command can be left to it."""
    with suppress(StoreUnusable), open_queries(settings) as queries:
        return queries.lease(datetime.now(UTC)) is not None
    return False


def _own_token(settings: Settings) -> str | None:
    """Return the token to act with; raises LeaseHeld where none is needed, as a daemon acts."""
    try:
        return settings.trading_token()
    except ConfigError:
        if daemon_runs(settings):
            raise LeaseHeld("a daemon trades this account") from None
        raise


@contextmanager
def _closed(engine: Engine) -> Iterator[None]:
    try:
        yield
    finally:
        engine.dispose()


@contextmanager
def _closed_on_failure(engine: Engine) -> Iterator[None]:
    try:
        yield
    except BaseException:
        engine.dispose()
        raise


def build_servant(settings: Settings, engine: Engine) -> App:
    """Return a daemon that carries out the owner's commands and decides nothing of its own.

    Raises:
        LeaseHeld: a daemon trades this account; leave the command to it.
    """
    idle = tuple(replace(target, enabled=False) for target in settings.policy.targets)
    app = build_app(
        policy=replace(settings.policy, targets=idle),
        base_url=settings.exchange_url,
        token=_own_token(settings),
        engine=engine,
        clock=SystemClock(),
    )
    app.trader.recorder.pictures = False
    return app


async def preview_now(settings: Settings) -> Preview:
    """Return what a daemon would do at this moment; sends nothing that changes anything.

    Raises:
        LeaseHeld: a daemon trades this account and has the requests for itself.
        LeaseLost: it was started before all was read, as this process had slept through its lease.
        InvalidToken: the exchange refused the token.
        Unreachable: the exchange gave no usable answer.
    """
    return await _looking(
        settings,
        lambda t, keeper: preview(t.view, t.policy, client=t.client, clock=t.clock, keeper=keeper),
    )


async def compare_now(settings: Settings, after: Policy) -> Compared:
    """Return what a daemon with another policy would do otherwise at this moment; as ``preview_now``."""
    after = after.in_force
    return await _looking(
        settings,
        lambda t, keeper: compare(
            t.view, t.policy, after, client=t.client, clock=t.clock, keeper=keeper
        ),
    )


async def _looking(settings: Settings, look: Callable[[Trader, Keeper], Awaitable[_Seen]]) -> _Seen:
    """Return what is seen with a trader that has no means to change anything.

    A database that is not there yet is not created: without one there is nothing to remember.
    """
    token = _own_token(settings)
    engine = open_engine(settings.database_url)
    file = sqlite_file(engine)
    passing = file is not None and not file.exists()
    if passing:
        engine = open_engine("sqlite://")
    with _closed_on_failure(engine):
        upgrade(engine)
        app = build_app(
            policy=settings.policy,
            base_url=settings.exchange_url,
            token=token,
            engine=engine,
            clock=SystemClock(),
            read_only=True,
        )
    try:
        return await look(app.trader, app.keeper)
    finally:
        with _closed(engine):
            await hand_back(
                app.lease,
                store=app.trader.store,
                client=app.trader.client,
                wait_on=app.clock if passing else None,
            )


def build_notifiers(
    settings: Settings, *, secrets: Sequence[str] | None = None
) -> tuple[tuple[Receiver, Notifier], ...]:
    """Return the way to every receiver of notices that is known; raises ConfigError where one cannot be.

    A receiver whose address was left out (``Settings.unresolved``) has no way. ``secrets`` are blacked
    out in what goes wrong, as they are at that time; None: those of the settings.
    """
    secrets = settings.secret_values if secrets is None else secrets
    check_addresses(settings.receivers, file=str(settings.path))
    slots = Slots()
    return tuple(
        (receiver, build_notifier(receiver, secrets=secrets, slots=slots))
        for receiver in settings.receivers
        if receiver.address is not None or receiver.command
    )


def database_is_absent(settings: Settings) -> bool:
    """Return whether the database is a file that is not there yet; what a server has is not asked."""
    engine = open_engine(settings.database_url)
    try:
        file = sqlite_file(engine)
        return file is not None and not file.exists()
    finally:
        engine.dispose()


def inspect_database(settings: Settings) -> None:
    """Refuse a database that a daemon could not use; one that is not there yet is fine.

    Raises:
        StoreUnusable: it is of a newer schema, read-only, corrupt, foreign or cannot be reached.
    """
    engine = open_engine(settings.database_url)
    with _closed(engine):
        inspect_schema(engine)
