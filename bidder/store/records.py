"""What goes into the store and comes out of it, as values.

A ``DecisionRecord`` is a decision without its ``Launch``: what a server runs holds secrets, and what
never enters the store cannot leak from it.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any, Self

from bidder.domain.actions import Decision, Fact, PlaceBid, RentOnDemand, Reprice, Withdraw
from bidder.domain.costs import Spent
from bidder.domain.digest import Held, ServerSummary, Span
from bidder.domain.evidence import Evidence
from bidder.domain.ids import OrderId, ServerId
from bidder.domain.intents import Intent, IntentKind
from bidder.domain.market import Book, Listing, Specs, Wallet
from bidder.domain.money import Currency, Money, Price, Rates
from bidder.domain.policy import Mode
from bidder.domain.price_rules import ClockRules, StepSample
from bidder.domain.probe import Pulse, Replaced
from bidder.domain.view import Cancelled, Created, Holding, Raised
from bidder.errors import NoRate


@dataclass(frozen=True, slots=True, kw_only=True)
class PulseRecord:
    """What was known of one order's workload, and by which probe.

    ``probe`` is a digest of what was asked for. ``told`` is since when it is dead as its owner was told,
    None where he was told nothing.
    """

    order: OrderId
    pulse: Pulse
    probe: str
    told: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Memory:
    """Everything a daemon needs to know again when it starts.

    ``ended`` are orders that were over by then, with their servers; of the ``unbooked`` ones the
    exchange's final word on the spend is still missing. ``computed`` is, by target, what its ended
    orders have computed, in GPU-time. ``closing``, ``spent``, ``multipliers``, ``cancelled`` and
    ``lost`` are as in a ``View``.
    """

    holdings: tuple[Holding, ...] = ()
    intents: tuple[Intent, ...] = ()
    ended: Mapping[OrderId, ServerId] = field(default_factory=dict)
    unbooked: frozenset[OrderId] = frozenset()
    computed: Mapping[str, timedelta] = field(default_factory=dict)
    closing: Mapping[OrderId, Holding] = field(default_factory=dict)
    spent: Mapping[str, Spent] = field(default_factory=dict)
    multipliers: Mapping[str, float] = field(default_factory=dict)
    rules: ClockRules = ClockRules()
    steps: tuple[StepSample, ...] = ()
    creations: tuple[Created, ...] = ()
    raises: tuple[Raised, ...] = ()
    replaced: tuple[Replaced, ...] = ()
    pulses: tuple[PulseRecord, ...] = ()
    wallets: Mapping[Currency, Wallet] = field(default_factory=dict)
    rates: Rates = Rates()
    creation_fee_usd: Decimal | None = None
    paused: bool = False
    order_limit: int | None = None
    last_request_at: datetime | None = None
    last_creation_at: datetime | None = None
    last_pass_at: datetime | None = None
    last_pass_id: int = 0
    recalled_at: datetime | None = None
    cancelled: Mapping[OrderId, Cancelled] = field(default_factory=dict)
    lost: tuple[Intent, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class DecisionRecord:
    """One decision as it is kept: what, why, and on which facts."""

    target: str | None
    reason: str
    action: IntentKind | None = None
    server: ServerId | None = None
    order: OrderId | None = None
    price: Price | None = None
    previous_price: Price | None = None
    due: datetime | None = None
    facts: Mapping[str, Fact] = field(default_factory=dict)
    at: datetime | None = None  # when it was taken; the pass's moment while it is not stored yet
    pass_id: int | None = None
    evidence: Evidence | None = field(default=None, compare=False, repr=False)

    @classmethod
    def of(cls, decision: Decision, *, at: datetime | None = None) -> Self:
        """Return the decision, taken ``at`` that moment, without what its action would launch."""
        kind: IntentKind | None = None
        price = previous = None
        server, order = decision.server, decision.order
        match decision.action:
            case PlaceBid() as place:
                kind, server, price = IntentKind.PLACE, place.server, place.price
            case RentOnDemand() as rent:
                kind, server, price = IntentKind.RENT, rent.server, rent.price
            case Reprice() as reprice:
                kind, server, order = IntentKind.REPRICE, reprice.server, reprice.order
                price, previous = reprice.price, reprice.current
            case Withdraw() as withdraw:
                kind, server, order = IntentKind.WITHDRAW, withdraw.server, withdraw.order
            case None:
                pass
        return cls(
            target=decision.target,
            reason=decision.reason.value,
            action=kind,
            server=server,
            order=order,
            price=price,
            previous_price=previous,
            due=decision.due,
            facts=dict(decision.facts),
            at=at,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class KeptDecision:
    """A stored decision with what it rests on; ``evidence`` None: not kept, or no longer.

    The hashes are those that were stored with the decision; ``configuration`` is the text then.
    """

    id: int
    record: DecisionRecord
    inputs_sha256: str | None
    configuration_sha256: str | None
    configuration: str | None
    evidence: Evidence | None


@dataclass(frozen=True, slots=True, kw_only=True)
class BookRecord:
    """What a server's book showed from ``at`` to ``until``, as far as it is kept.

    ``until`` is the last read that showed the same, to within some minutes, or the moment of the one
    that showed something else; None while it is not stored. ``rented`` (on demand) and ``on_demand``
    (the host's cheapest price) are the marketplace's word; None where that did not list the server.
    """

    server: ServerId
    at: datetime
    exists: bool = True
    public: bool = True
    online: bool = True
    floor: Mapping[Currency, Price] = field(default_factory=dict)
    rivals: int = 0
    best_rival: Price | None = None
    active_order: OrderId | None = None
    our_order: OrderId | None = None
    our_price: Price | None = None
    rented: bool | None = None
    on_demand: Price | None = None
    until: datetime | None = None

    @property
    def closed(self) -> bool:
        """Return whether no bid could have won: it was gone, not public, offline or rented on demand."""
        # The marketplace's word may be minutes old: where an offer runs nobody rents it on demand.
        rented = self.rented is True and self.active_order is None
        return rented or not (self.exists and self.public and self.online)

    @classmethod
    def of(
        cls,
        book: Book,
        at: datetime,
        *,
        rates: Rates,
        own: frozenset[OrderId],
        listing: Listing | None = None,
    ) -> Self:
        """Return what is kept of a book; without rates for every rival the best one is not known."""
        ours = next((o for o in book.offers if o.mine or o.order in own), None)
        active = book.active()
        try:
            rival = book.best_rival(rates, own)
        except NoRate:
            rival = None
        return cls(
            server=book.server,
            at=at,
            exists=book.exists,
            public=book.public,
            online=book.online,
            floor=dict(book.floor),
            rivals=len(book.rivals(own)),
            best_rival=None if rival is None else rival.price,
            active_order=None if active is None else active.order,
            our_order=None if ours is None else ours.order,
            our_price=None if ours is None else ours.price,
            rented=None if listing is None else listing.rented,
            on_demand=None
            if listing is None
            else listing.on_demand_usd(rates, frozenset(listing.on_demand)),
        )

    def shows_the_same(self, other: "BookRecord") -> bool:
        """Return whether nothing differs but the moments."""
        return replace(self, at=other.at, until=other.until) == other


@dataclass(frozen=True, slots=True, kw_only=True)
class Looked:
    """For how long a server's book was looked at, and from when on."""

    server: ServerId
    begin: datetime
    span: timedelta


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerRecord:
    """What a server whose book was read is made of."""

    server: ServerId
    gpu_model: str
    gpus: int

    @classmethod
    def of(cls, listing: Listing) -> Self:
        """Return what is kept of a listing."""
        specs = listing.specs
        return cls(server=listing.server, gpu_model=specs.gpu_model, gpus=specs.gpu_count)

    def listing(self) -> Listing:
        """Return a listing that says no more than this; for requirements ``by_gpus`` that is enough."""
        return Listing(
            server=self.server,
            on_demand={},
            spot_floor={},
            rented=False,
            mrl=timedelta(0),
            specs=Specs(gpu_model=self.gpu_model, gpu_count=self.gpus),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class PassRecord:
    """What one pass found and did; ``None`` and empty mean that nothing is new.

    ``holdings`` are the live orders as they stand now (unchanged ones cost nothing). ``wallets``
    are all of one answer. ``steps`` and ``raises`` are only those learnt in this pass, ``multipliers``
    all those of budgets. ``pulses`` are those that changed, ``pulses_of`` all orders that have one: any
    other is forgotten.
    """

    pass_id: int
    at: datetime
    decisions: tuple[DecisionRecord, ...] = ()
    configuration: str | None = None  # what the decisions rest on, as text without secrets
    holdings: tuple[Holding, ...] = ()
    books: tuple[BookRecord, ...] = ()
    servers: tuple[ServerRecord, ...] = ()
    wallets: Mapping[Currency, Wallet] | None = None
    rates: Rates | None = None
    rules: ClockRules | None = None
    evidence: str = ""
    steps: tuple[StepSample, ...] = ()
    raises: tuple[Raised, ...] = ()
    recalled_at: datetime | None = None
    last_request_at: datetime | None = None
    last_creation_at: datetime | None = None
    order_limit: int | None = None
    creation_fee_usd: Decimal | None = None
    multipliers: Mapping[str, float] = field(default_factory=dict)
    pulses: tuple[PulseRecord, ...] = ()
    pulses_of: frozenset[OrderId] | None = None
    snapshot: Mapping[str, Any] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """One command for the daemon; ``done_at`` None while nobody has carried it out."""

    id: int
    kind: str
    argument: Any
    posted_at: datetime
    done_at: datetime | None = None
    outcome: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Over:
    """An order that is over: since when, and why."""

    order: OrderId
    at: datetime
    cause: str


@dataclass(frozen=True, slots=True, kw_only=True)
class OrderRecord:
    """One order as ``bidder orders`` shows it, live or ended."""

    holding: Holding
    mode: Mode
    end_cause: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class SpendTotal:
    """What the orders of one target have cost in one currency, live and ended ones together.

    Orders on paper have totals of their own (``mode``).

    ``fees`` are the exchange's percentage on ``spend``, where it named one.
    """

    mode: Mode
    target: str | None
    currency: Currency
    spend: Money
    fees: Money
    creation_fees: Money
    orders: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Snapshot:
    """The latest pass as ``bidder status`` shows it."""

    pass_id: int | None
    at: datetime
    values: Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class LeaseRecord:
    """Who trades an account, and until when that is certain."""

    holder: str
    host: str
    pid: int
    fencing: int
    taken_at: datetime
    expires_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerPeriod:
    """One server's hour or day, as it is kept when the raw history is gone.

    With ``mode`` paper our orders in it are those on paper, else the real ones.
    """

    span: Span
    mode: Mode
    at: datetime
    server: ServerId
    summary: ServerSummary


@dataclass(frozen=True, slots=True, kw_only=True)
class TargetPeriod:
    """One target's hour or day, for real or on paper."""

    span: Span
    mode: Mode
    at: datetime
    target: str
    held: Held
