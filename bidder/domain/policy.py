"""What the owner wants, as plain frozen values: targets, ceilings, rails.

The configuration file becomes one ``Policy``; nothing below it reads files or the environment.
Every amount is as the owner wrote it. There is no default for a ceiling: without one a target
cannot be built, so that a forgotten key never means "any price" (peers: yapapi 1148, akash 514).
"""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from decimal import Decimal
from enum import StrEnum

from bidder.domain.costs import Period
from bidder.domain.ids import AccountName, ServerId
from bidder.domain.money import Currency, Money, Price, Rates
from bidder.domain.probe import Probe


class Mode(StrEnum):
    """Whether anything that changes something is ever sent."""

    PAPER = "paper"  # the exchange is read, orders exist on paper; nothing is sent that changes anything
    LIVE = "live"


class Per(StrEnum):
    """What a ceiling is a price of, per day."""

    SERVER = "server"
    GPU = "gpu"


@dataclass(frozen=True, slots=True, kw_only=True)
class Ceiling:
    """The most the owner pays per day, without fees, for a whole server or for each GPU."""

    price: Price
    per: Per = Per.SERVER

    def for_server(self, gpus: int, currency: Currency, rates: Rates) -> Price:
        """Return the ceiling for a server of ``gpus`` GPUs in ``currency``, rounded down.

        Raises:
            NoRate: a rate between the two currencies is missing.
        """
        whole = self.price if self.per is Per.SERVER else self.price.times(max(1, gpus))
        return rates.convert(whole, currency).rounded_down()

    def paced(self, share: Decimal) -> "Ceiling":
        """Return this share of it."""
        return replace(self, price=self.price.times(share))


@dataclass(frozen=True, slots=True, kw_only=True)
class Launch:
    """What runs on a server once it is ours (endpoint 10). Its ``repr`` shows no secret."""

    image: str
    ports: tuple[tuple[str, str], ...] = ()  # (container port, "tcp" | "http")
    env: tuple[tuple[str, str], ...] = field(default=(), repr=False)
    jupyter_token: str | None = field(default=None, repr=False)
    ssh_key: str | None = field(default=None, repr=False)
    ssh_password: str | None = field(default=None, repr=False)
    command: str | None = field(default=None, repr=False)
    autossh_entrypoint: bool | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Requirements:
    """Which servers qualify. Empty or None means "does not matter".

    ``gpu_models`` are normalised as ``market.gpu_model`` does, and match whole words at the start
    of a server's model: ``RTX 3080`` does not match ``RTX 3080 TI`` unless ``gpu_exact`` is False.
    A reliability or rating of "new" (0, or no votes) passes unless ``allow_new`` is False
    (API document, trap 12).
    """

    gpu_models: tuple[str, ...] = ()
    gpu_exact: bool = True
    min_gpus: int = 1
    max_gpus: int | None = None
    min_gpu_memory_gb: float | None = None
    min_ram_gb: float | None = None
    min_disk_gb: float | None = None
    min_net_down: float | None = None
    min_net_up: float | None = None
    min_cuda: str | None = None
    countries: frozenset[str] = frozenset()
    exclude_countries: frozenset[str] = frozenset()
    min_reliability: float | None = None
    min_rating: float | None = None
    allow_new: bool = True
    min_mrl: timedelta | None = None
    servers: frozenset[ServerId] | None = None  # only these
    exclude_servers: frozenset[ServerId] = frozenset()
    exclude_owners: frozenset[int] = frozenset()

    def by_gpus(self) -> "Requirements":
        """Return what these ask of a server's number and GPUs: all that is recorded of one."""
        return Requirements(
            gpu_models=self.gpu_models,
            gpu_exact=self.gpu_exact,
            min_gpus=self.min_gpus,
            max_gpus=self.max_gpus,
            servers=self.servers,
            exclude_servers=self.exclude_servers,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Renewal:
    """How the end of an order (``ct + mrl``) is met: how early, and whether both may run at once."""

    before: timedelta = timedelta(minutes=10)
    overlap: bool = False

    def due(self, ends_at: datetime, now: datetime, *, mrl: timedelta) -> bool:
        """Return whether an order that ends then, after a rental of ``mrl``, needs its successor by now.

        Never before half of its time: each successor would be due at once, and two be paid for ever.
        """
        return now >= ends_at - min(self.before, mrl / 2)


@dataclass(frozen=True, slots=True, kw_only=True)
class Moving:
    """When an order gives up its server for a cheaper one; for ``track`` and ``adaptive``.

    ``saving``: by which share it must be cheaper, the costs of the change not counted. ``running``:
    whether an order that runs moves too. It does so only where what is saved within ``horizon`` exceeds
    what the change costs, and no sooner than ``pause`` after the target's last new order. With
    ``overlap`` the new order runs before the old one is cancelled, where the rails allow one more.
    """

    saving: Decimal = Decimal("0.10")
    running: bool = False
    horizon: timedelta = timedelta(hours=24)
    pause: timedelta = timedelta(hours=1)
    overlap: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class FixedParams:
    """``fixed``: bid one price and stay there; the ceiling when ``price`` is None."""

    price: Price | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class TrackParams:
    """``track``: just enough to stay active.

    ``raise_wait``: how long an offer stays outbid before it is raised, so that a blip is not chased.
    ``confirm``: whether two reads of the book must agree before a raise.
    ``margin_ticks``: how many quanta above the best rival the bid aims; the floor itself suffices.
    ``lower_patience``: how long after its last raise a bid stays before it is lowered.
    ``dead_band``: no lowering is worth its slot below this share of the price.
    ``war_raises`` within ``war_window``: so many raises on one server are a war, whoever answers them;
    then the server is left, or waited for, for ``war_pause``.
    """

    raise_wait: timedelta = timedelta(seconds=10)
    confirm: bool = True
    margin_ticks: int = 1
    lower_patience: timedelta = timedelta(0)
    dead_band: Decimal = Decimal("0.002")
    war_raises: int = 6
    war_window: timedelta = timedelta(minutes=20)
    war_pause: timedelta = timedelta(minutes=30)


@dataclass(frozen=True, slots=True, kw_only=True)
class AdaptiveParams:
    """``adaptive``: follow the stance that earned most here lately.

    ``raise_wait`` and ``confirm`` as in ``track``. ``half_life``: how fast earnings are forgotten.
    ``head_start``: by the value of how much running, for each server that is watched, another stance
    must have earned more than the usual one.
    """

    raise_wait: timedelta = timedelta(seconds=10)
    confirm: bool = True
    half_life: timedelta = timedelta(days=14)
    head_start: timedelta = timedelta(minutes=20)


@dataclass(frozen=True, slots=True, kw_only=True)
class MinBidParams:
    """``min_bid``: the floor, never moved."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TopPlusTickParams:
    """``top_plus_tick``: the best rival and one increment, at once."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TrackRecreateParams:
    """``track_recreate``: a new order where the walk down costs ``factor`` times one."""

    factor: float = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class NicehashParams:
    """``nicehash``: one step up every ``every`` while starved; ``literal`` ones never come down."""

    every: timedelta = timedelta(seconds=60)
    literal: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class AutopilotParams:
    """``autopilot``: ``overpay`` above the best rival, as a share.

    Outbid for ``grace`` it raises, by at most the share ``escalation`` every ``raise_every``.
    """

    overpay: Decimal = Decimal("0.01")
    grace: timedelta = timedelta(seconds=150)
    raise_every: timedelta = timedelta(seconds=60)
    escalation: Decimal = Decimal("0.05")


@dataclass(frozen=True, slots=True, kw_only=True)
class AutospottingParams:
    """``autospotting``: the price at the start and the share ``buffer`` on top, set once."""

    buffer: Decimal = Decimal("0.10")


# What may stand under ``params`` of a strategy of the owner's; a ``Price`` is per day for a server.
Setting = bool | int | Decimal | str | Price | None


@dataclass(frozen=True, slots=True, kw_only=True)
class OwnParams:
    """A strategy of the owner's: a function that the configuration names as ``module:function``.

    ``decide(position, settings, now)`` answers for a standing bid, ``opening_bid(quote, settings)``
    for a new one (None: the smallest bid that suffices). ``code`` is the SHA-256 of their files.
    """

    function: str
    decide: Callable[..., object] = field(repr=False)
    opening: str | None = None
    opening_bid: Callable[..., object] | None = field(default=None, repr=False)
    settings: tuple[tuple[str, Setting], ...] = ()
    code: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class DeadlineParams:
    """``deadline``: so many GPU-hours by a moment, on spot as long as there is time, else on demand.

    ``on_demand_ceiling``: the most that an on-demand server may cost. ``bidding``: how spot servers
    are bid for. ``margin``: time kept in reserve at the end, for what goes wrong on the way to an
    on-demand server.
    """

    gpu_hours: Decimal
    by: datetime
    on_demand_ceiling: Ceiling
    bidding: TrackParams | AdaptiveParams = TrackParams()
    margin: timedelta = timedelta(minutes=10)


# How one standing bid is decided on.
BiddingParams = (
    FixedParams
    | TrackParams
    | AdaptiveParams
    | MinBidParams
    | TopPlusTickParams
    | TrackRecreateParams
    | NicehashParams
    | AutopilotParams
    | AutospottingParams
    | OwnParams
)
StrategyParams = BiddingParams | DeadlineParams


@dataclass(frozen=True, slots=True, kw_only=True)
class Budget:
    """The most that may be spent, in USD with fees, per UTC day and per UTC month; None: no limit."""

    usd_per_day: Decimal | None = None
    usd_per_month: Decimal | None = None

    def amounts(self) -> tuple[tuple[Period, Decimal], ...]:
        """Return each limit with the period it is for."""
        both = ((Period.DAY, self.usd_per_day), (Period.MONTH, self.usd_per_month))
        return tuple((period, usd) for period, usd in both if usd is not None)


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """One strategy entry of the configuration: hold ``want`` servers like these, below a ceiling.

    ``currencies`` are those that may be paid with; an empty tuple means any with a balance.
    ``increment`` is how many quanta of the currency make one increment of the market.
    ``value`` is what a day of running is worth to the owner (None: the ceiling), ``restart`` the work
    lost at each new start of running. ``probe`` None: nobody looks whether the workload lives.
    ``share`` is what the pacing of budgets leaves of ceiling and value: they are lowered already.
    """

    name: str
    want: int
    ceiling: Ceiling
    launch: Launch
    requirements: Requirements = Requirements()
    params: StrategyParams = TrackParams()
    currencies: tuple[Currency, ...] = ()
    renewal: Renewal = Renewal()
    moving: Moving = Moving()
    increment: int = 1
    value: Ceiling | None = None
    restart: timedelta = timedelta(minutes=6)
    enabled: bool = True
    probe: Probe | None = None
    budget: Budget = Budget()
    share: Decimal = Decimal(1)

    def paced(self, share: Decimal) -> "Target":
        """Return the target with ceiling and value at this share of themselves."""
        if share == self.share:
            return self
        assert self.share == 1, "a share of a share is nobody's wish"
        value = None if self.value is None else self.value.paced(share)
        return replace(self, ceiling=self.ceiling.paced(share), value=value, share=share)

    @property
    def worth(self) -> Ceiling:
        """Return what a day of running is worth: the value, or the ceiling where none is named."""
        return self.ceiling if self.value is None else self.value

    @property
    def bidding(self) -> BiddingParams:
        """Return what its bids go by: the strategy's own settings, or those that a job names."""
        return self.params.bidding if isinstance(self.params, DeadlineParams) else self.params

    @property
    def overlaps(self) -> bool:
        """Return whether an order may stand beside the one that it takes over from as cheaper."""
        mover = isinstance(self.params, TrackParams | AdaptiveParams)
        return mover and self.moving.running and self.moving.overlap

    @property
    def rents(self) -> bool:
        """Return whether it may rent on demand, too."""
        return isinstance(self.params, DeadlineParams)

    def limit(self, *, on_demand: bool) -> Ceiling:
        """Return the ceiling for an order of this kind."""
        if on_demand and isinstance(self.params, DeadlineParams):
            return self.params.on_demand_ceiling
        return self.ceiling

    @property
    def margin_ticks(self) -> int:
        """Return how many quanta above the best rival a sufficient bid stands."""
        bidding = self.bidding
        increments = bidding.margin_ticks if isinstance(bidding, TrackParams) else 1
        return increments * self.increment


@dataclass(frozen=True, slots=True, kw_only=True)
class Rails:
    """The owner's limits over everything; ``guard`` applies them last to every decision.

    ``max_orders``: live orders of the whole account that this daemon may cause, at most.
    ``max_usd_per_day``: sum of all live bids, in USD per day.
    ``max_usd_if_unattended``: the most that could still be spent if the daemon died, in USD.
    ``max_creations_per_hour``: the breaker on create/cancel churn, for the account and, at
    ``max_creations_per_server_hour``, for one server.
    ``min_runway``: warn when a balance lasts less long than this at the current bids.
    ``allow_above_on_demand``: whether a spot bid may reach the on-demand price (trap 4).
    """

    max_orders: int | None = None
    max_usd_per_day: Decimal | None = None
    max_usd_if_unattended: Decimal | None = None
    max_creations_per_hour: int = 30
    max_creations_per_server_hour: int = 4
    min_runway: timedelta = timedelta(hours=24)
    min_balance: tuple[Money, ...] = ()
    allow_above_on_demand: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Pace:
    """How often things are read, and when idleness becomes loud; what comes first: ``domain.agenda``.

    ``book_every`` is no key of the configuration: the request budget sets it.
    """

    marketplace_every: timedelta = timedelta(seconds=60)
    book_every: timedelta = timedelta(seconds=1)
    orders_every: timedelta = timedelta(seconds=30)
    wallets_every: timedelta = timedelta(minutes=10)
    book_stale_after: timedelta = timedelta(seconds=10)
    alarm_after: timedelta = timedelta(minutes=10)
    settle_grace: timedelta = timedelta(seconds=120)


@dataclass(frozen=True, slots=True, kw_only=True)
class Retention:
    """How long the history is kept: row by row, and as summaries per hour and day; None: for ever.

    ``inputs``: what each decision's strategy was asked, for ``bidder replay``.
    """

    raw: timedelta = timedelta(days=14)
    inputs: timedelta = timedelta(days=1)
    hourly: timedelta | None = timedelta(days=365)
    daily: timedelta | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """Everything the owner wants of one account; ``budget`` is for all targets together."""

    account: AccountName
    mode: Mode
    targets: tuple[Target, ...]
    rails: Rails = Rails()
    pace: Pace = Pace()
    static_rates: Rates = Rates()
    adopt: bool = False
    cancel_on_exit: bool = False
    retention: Retention = Retention()
    budget: Budget = Budget()

    @property
    def in_force(self) -> "Policy":
        """Return what trading goes by: whose order is real is none of paper's to look after."""
        return replace(self, adopt=False) if self.mode is Mode.PAPER else self

    def target(self, name: str) -> Target | None:
        """Return the target of this name."""
        return next((target for target in self.targets if target.name == name), None)

    def looks_after(self, name: str | None) -> bool:
        """Return whether orders of the target of this name are traded; nobody's (None) are not."""
        return any(target.name == name and target.enabled for target in self.targets)
