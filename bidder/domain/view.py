"""All that is known of one account at one moment: the input of every decision.

A ``View`` is replaced, never changed. What the exchange said carries the moment at which the read
*started*, because that is the latest moment for which it can vouch.
"""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from decimal import Decimal

from bidder.domain.costs import Cost, Spent, share_of_day
from bidder.domain.ids import OrderId, ServerId
from bidder.domain.intents import LEFT_OUT, STALENESS, Intent, IntentState
from bidder.domain.jobs import Outlook
from bidder.domain.market import Book, Listing, Marketplace, OrderKind, OwnOrder, Wallet
from bidder.domain.money import Currency, Price, Rates
from bidder.domain.pacing import Multiplier
from bidder.domain.policy import AdaptiveParams, Rails, Target
from bidder.domain.price_rules import ClockEvent, ClockRules, LoweringClock, StepSample
from bidder.domain.probe import Pulse, Replaced
from bidder.domain.purse import Purse
from bidder.domain.stances import USUAL, School, Stance
from bidder.domain.turns import Turn
from bidder.domain.unread import Unreads
from bidder.domain.work import Work

# An order that runs on however often it is cancelled is a person's to end, and is tried at leisure.
_LONGEST_UNTIL_CANCELLED_AGAIN = timedelta(hours=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Holding:
    """One live order of the account, and what we remember of it.

    ``target`` is None for an order that no intent of ours explains: a person's. ``active`` is what
    the last book said (None: no book read yet, or an on-demand order). ``outbid_since`` is when we
    first saw it not active at its price, ``idle_since`` when at any; ``active_since`` when it was seen
    to win again by itself (None where it did not or nobody saw it), neither of which is stored;
    ``missing_since`` when our orders first failed to list it. ``work`` is what it has computed, ``cost``
    what it has cost.
    """

    order: OwnOrder
    target: str | None
    first_seen_at: datetime
    last_seen_at: datetime
    clock: LoweringClock = LoweringClock()
    active: bool | None = None
    outbid_since: datetime | None = None
    idle_since: datetime | None = None
    active_since: datetime | None = None
    missing_since: datetime | None = None
    missing_reads: int = 0
    ended_at: datetime | None = None
    work: Work = Work()
    cost: Cost = Cost()

    @property
    def ours(self) -> bool:
        """Return whether this daemon looks after it."""
        return self.target is not None

    @property
    def runs(self) -> bool:
        """Return whether it is known to run, and so to cost money."""
        return self.order.kind is OrderKind.ON_DEMAND or bool(self.active)

    def outdates(self, read_at: datetime) -> bool:
        """Return whether a read that started then may not know yet of our last change of the price."""
        ours = (at for event, at in self.clock.events() if event is not ClockEvent.CREATION)
        return any(read_at - at < STALENESS for at in ours)


@dataclass(frozen=True, slots=True, kw_only=True)
class NamedFloor:
    """The least price that a refusal named, in one currency; until when it is believed."""

    price: Price
    until: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class BookSeen:
    """The latest read of a server's book.

    ``outbid_reads`` counts the reads in a row, this one included, in which our offer stood there
    but did not run: two must agree before a raise. ``topped_since`` is since when it has been idle on
    top because those above it went away; None where it is not, or a bid of ours put it there. The
    ``book``'s floors are not below the ``named`` ones.
    """

    book: Book
    at: datetime
    outbid_reads: int = 0
    topped_since: datetime | None = None
    named: tuple[NamedFloor, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """A server that qualifies; ``score`` is the least it can cost, in weighted USD per GPU-day."""

    listing: Listing
    score: Decimal


@dataclass(frozen=True, slots=True, kw_only=True)
class Setback:
    """A refusal that rules something out until a moment.

    It speaks of one order's price (``order``), of creating on one server (``server``; with ``currency``,
    of paying with that one there), of paying as much as ``price`` or more from that wallet, of what one
    target launches (``target``), or, with none of them, of creating anything at all. ``at`` is when the
    exchange said so. ``times`` is how often a server has said so, where that lengthens the pause: such a
    setback is remembered for a day beyond its end. ``asks_orders`` tells that our orders are to be read,
    because they are not what we believe.
    """

    until: datetime
    reason: str
    at: datetime | None = None
    server: ServerId | None = None
    order: OrderId | None = None
    currency: Currency | None = None
    price: Price | None = None
    target: str | None = None
    times: int = 0
    asks_orders: bool = False

    @property
    def account_wide(self) -> bool:
        """Return whether it rules out every creation."""
        about = (self.server, self.order, self.price, self.target)
        return all(each is None for each in about)

    def forbids(self, server: ServerId, now: datetime) -> bool:
        """Return whether nothing may be created on this server, whatever it is paid with."""
        alone = self.order is None and self.currency is None
        return self.server == server and alone and now < self.until


@dataclass(frozen=True, slots=True, kw_only=True)
class Created:
    """One attempt to create an order, as the churn breaker counts it; ``refused``: none came of it.

    It was ``mispriced`` where it was refused for its price, which had changed meanwhile.
    """

    server: ServerId
    at: datetime
    refused: bool = False
    mispriced: bool = False


# So many attempts that were refused for their price count as one: no order was made, and no fee paid,
# but where each of them is refused there must be an end.
_MISPRICED_AS_ONE = 4


def attempts(creations: Iterable[Created]) -> int:
    """Return how many creations these count for."""
    found = tuple(creations)
    mispriced = sum(created.mispriced for created in found)
    return len(found) - mispriced + mispriced // _MISPRICED_AS_ONE


@dataclass(frozen=True, slots=True, kw_only=True)
class InVain:
    """Creations of one target in a row of which no order came, and what was answered to the last one.

    Of ``lost`` ones it was in doubt, or even accepted, and no order was ever listed.
    """

    count: int = 0
    lost: int = 0
    says: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Cancelled:
    """How often one order was cancelled, and when last.

    The exchange said so, or refused to do it once more.
    """

    at: datetime
    times: int = 1

    def again(self, at: datetime) -> "Cancelled":
        """Return the record after one more cancellation."""
        return replace(self, at=at, times=self.times + 1)

    @property
    def again_at(self) -> datetime:
        """Return when an order that runs on is worth the next try: each wait is twice the last one."""
        return self.at + min(LEFT_OUT * (1 << min(self.times - 1, 10)), _LONGEST_UNTIL_CANCELLED_AGAIN)


@dataclass(frozen=True, slots=True, kw_only=True)
class Raised:
    """One raise of ours, and the rival that made it necessary; a run of them is a war.

    ``lost`` says that the order stood idle before it, so that a start was lost; ``beaten`` that somebody
    bid no less than we did, so that there was something to answer. Neither is stored, and both are taken
    for granted of what is read back: on an exchange time passes until a raise, on a trace none.
    """

    server: ServerId
    order: OrderId
    rival: OrderId | None
    at: datetime
    lost: bool = True
    beaten: bool = True


# An exchange that does not name a rate for so long names it no more.
_NAMED_WITHIN = timedelta(minutes=10)


@dataclass(frozen=True, slots=True, kw_only=True)
class RateDoubt:
    """Why a currency's rate is not gone by: until an answer names it again, to within a little.

    It jumped in the answer of ``since``, which may be a mistake that comes again for a while, since
    answers may be old; or it was ``recalled`` then from what is on disk, and may be of long ago.
    """

    since: datetime
    recalled: bool = False

    @property
    def settles_at(self) -> datetime:
        """Return from when on an answer that names the same rate shows it to be right."""
        return self.since if self.recalled else self.since + STALENESS

    def lasts(self, now: datetime) -> bool:
        """Return whether to wait; for a rate of old not for ever, as the exchange may name none now."""
        return not self.recalled or now < self.since + _NAMED_WITHIN

    def given_up(self, at: datetime) -> bool:
        """Return whether the exchange names other rates by now, and this one no more."""
        return at >= self.since + _NAMED_WITHIN


@dataclass(frozen=True, slots=True, kw_only=True)
class View:
    """What is known. Everything is per account.

    ``marketplace_whole_at`` is when the marketplace's answer was read to its end, which takes a while.
    ``holdings`` are the live orders, a person's included; ``ended`` are the ids of orders known to
    be over, so that a creation is never mistaken for one of them, and ``unlisted_since`` from when on
    the exchange, asked for ended ones as well, has listed them no more; of the ``unbooked`` ones the
    final spend has not been read yet. ``rate_probes`` name, for a target whose servers cannot be
    valued for want of a rate, a server whose book would bring the rates. ``schools`` hold what adaptive
    targets have learnt. Of targets with a job, ``rentals`` are the servers that they may rent on demand
    and ``outlooks`` what was seen of the spot servers. ``computed`` is, by target, what ended orders
    have computed, in GPU-time. ``revenants`` are ended orders that are listed as running all the same,
    and since when. ``recalled_at`` is when a memory that may be out of date was taken up, None where it
    is known to be whole; ``begun_anew`` says that there was none and nothing has been read yet.
    ``pulses`` are what the probes of running orders show, ``replaced`` the orders given up for dead
    within a day. ``closing`` are the ``unbooked`` orders as they were last seen, ``spent`` is by target
    (empty text: a person's) what the other ended ones have cost in this day and month. ``multipliers``
    are those of the budgets, by ``budgets.Limit.key``. ``cancelled`` are the orders that the exchange
    said to be cancelled and that may yet turn out to run on. ``lost`` are the creations of the last day
    of which no order was seen to come, ``in_vain`` is by target how many in a row have come to nothing
    since this process began. ``cut_off`` are orders that ended before their time, as they were last
    seen, until it is known whose doing that was; it is not stored. ``doubted`` are the ``rates`` that
    may be wrong. ``unread`` are the reads that fail. ``turns`` are, by target, the reads of books for
    its search.
    """

    marketplace: Marketplace = Marketplace(listings={})
    marketplace_at: datetime | None = None
    marketplace_whole_at: datetime | None = None
    shortlists: Mapping[str, tuple[Candidate, ...]] = field(default_factory=dict)
    rate_probes: Mapping[str, ServerId] = field(default_factory=dict)
    books: Mapping[ServerId, BookSeen] = field(default_factory=dict)
    candidate_read_at: datetime | None = None
    holdings: Mapping[OrderId, Holding] = field(default_factory=dict)
    orders_at: datetime | None = None
    completed_at: datetime | None = None
    order_limit: int | None = None
    wallets: Mapping[Currency, Wallet] = field(default_factory=dict)
    wallets_at: datetime | None = None
    rates: Rates = Rates()
    doubted: Mapping[Currency, RateDoubt] = field(default_factory=dict)
    listed_at_rates: Rates = Rates()
    intents: tuple[Intent, ...] = ()
    rules: ClockRules = ClockRules()
    steps: tuple[StepSample, ...] = ()
    setbacks: tuple[Setback, ...] = ()
    creations: tuple[Created, ...] = ()
    raises: tuple[Raised, ...] = ()
    creation_fee_usd: Decimal = Decimal(0)
    ended: Mapping[OrderId, ServerId] = field(default_factory=dict)
    unlisted_since: Mapping[OrderId, datetime] = field(default_factory=dict)
    unbooked: frozenset[OrderId] = frozenset()
    revenants: Mapping[OrderId, datetime] = field(default_factory=dict)
    recalled_at: datetime | None = None
    begun_anew: bool = False
    paused: bool = False
    schools: Mapping[str, School] = field(default_factory=dict)
    pulses: Mapping[OrderId, Pulse] = field(default_factory=dict)
    replaced: tuple[Replaced, ...] = ()
    rentals: Mapping[str, tuple[Candidate, ...]] = field(default_factory=dict)
    outlooks: Mapping[str, Outlook] = field(default_factory=dict)
    computed: Mapping[str, timedelta] = field(default_factory=dict)
    closing: Mapping[OrderId, Holding] = field(default_factory=dict)
    spent: Mapping[str, Spent] = field(default_factory=dict)
    multipliers: Mapping[str, Multiplier] = field(default_factory=dict)
    cancelled: Mapping[OrderId, Cancelled] = field(default_factory=dict)
    lost: tuple[Intent, ...] = ()
    cut_off: Mapping[OrderId, Holding] = field(default_factory=dict)
    in_vain: Mapping[str, InVain] = field(default_factory=dict)
    unread: Unreads = Unreads()
    turns: Mapping[str, Turn] = field(default_factory=dict)

    def stance_of(
        self, target: Target, server: ServerId, now: datetime, *, standing: bool = False
    ) -> Stance:
        """Return the stance that an adaptive target follows on a server; the usual one for any other.

        ``standing`` says that it has an offer there, so that no creation is to be paid.
        """
        school = self.schools.get(target.name)
        if school is None or not isinstance(target.bidding, AdaptiveParams):
            return USUAL
        return school.stance(server, now, head_start=target.bidding.head_start, standing=standing)

    def with_holding(self, holding: Holding) -> "View":
        """Return the view with this holding replaced or added."""
        return replace(self, holdings={**self.holdings, holding.order.order: holding})

    def without_holding(self, order: OrderId) -> "View":
        """Return the view without this order."""
        return replace(self, holdings={key: held for key, held in self.holdings.items() if key != order})

    def having_ended(self, *over: Holding) -> "View":
        """Return the view with what these orders have computed added to their targets'."""
        computed = dict(self.computed)
        for holding in over:
            if holding.target is not None:
                before = computed.get(holding.target, timedelta(0))
                computed[holding.target] = before + holding.work.gpu_time
        return replace(self, computed=computed)

    def having_returned(self, *back: Holding) -> "View":
        """Return the view without what these orders added when they were taken for ended."""
        computed = dict(self.computed)
        for holding in back:
            if holding.target is not None:
                before = computed.get(holding.target, timedelta(0))
                computed[holding.target] = max(before - holding.work.gpu_time, timedelta(0))
        return replace(self, computed=computed) if back else self

    def having_booked(self, *over: Holding, at: datetime) -> "View":
        """Return the view with what these orders have cost added to their targets'."""
        spent = dict(self.spent)
        for holding in over:
            before = spent.get(holding.target or "", Spent())
            spent[holding.target or ""] = before.plus((holding.cost,), at)
        return replace(self, spent=spent)

    def gpus_of(self, server: ServerId) -> int | None:
        """Return how many GPUs a server has; None where the marketplace does not list it."""
        listing = self.marketplace.listings.get(server)
        return None if listing is None else max(1, listing.specs.gpu_count)

    def gpus_at(self, server: ServerId) -> int:
        """Return how many GPUs a server has, as our orders there tell where it is not listed; else 1."""
        held = (h.work.gpus for h in self.holdings.values() if h.order.server == server)
        return self.gpus_of(server) or max(held, default=1)

    def own_ids(self) -> frozenset[OrderId]:
        """Return the ids of all live orders of the account."""
        return frozenset(self.holdings)

    def rates_in_doubt(self, now: datetime, among: Collection[Currency]) -> RateDoubt | None:
        """Return the doubt about one of these that will last longest; None where all may be gone by."""
        lasting = (self.doubted[c] for c in among if c in self.doubted and self.doubted[c].lasts(now))
        return max(lasting, key=lambda doubt: doubt.settles_at, default=None)

    def sure_rates(self, now: datetime) -> Rates:
        """Return the rates without those that are in doubt."""
        if not any(doubt.lasts(now) for doubt in self.doubted.values()):
            return self.rates
        doubtful = {currency for currency, doubt in self.doubted.items() if doubt.lasts(now)}
        return Rates({c: rate for c, rate in self.rates.usd_per_unit.items() if c not in doubtful})

    def purse(self, rails: Rails, now: datetime) -> Purse:
        """Return what the wallets carry beside what the owner's rails keep in them."""
        drawn: dict[Currency, Decimal] = {}
        spending: dict[Currency, Decimal] = {}
        for price, since in self._running():
            known = spending.get(price.currency, Decimal(0))
            spending[price.currency] = known + price.amount
            taken = price.amount * share_of_day(max(now - since, timedelta(0)))
            drawn[price.currency] = drawn.get(price.currency, Decimal(0)) + taken
        return Purse(
            wallets=self.wallets,
            kept=rails.min_balance,
            drawn=drawn,
            spending=spending,
            refused=self._least_refused(now),
        )

    def _least_refused(self, now: datetime) -> Mapping[Currency, Price]:
        """Return by currency the least price that a wallet was found to be too small for."""
        least: dict[Currency, Price] = {}
        for price in (s.price for s in self.setbacks if s.price is not None and now < s.until):
            known = least.get(price.currency, price)
            least[price.currency] = min(known, price)
        return least

    def _running(self) -> Iterable[tuple[Price, datetime]]:
        """Yield the bid of each order that runs, and since when the balances do not show its cost."""
        for holding in self.holdings.values():
            if self.wallets_at is not None and holding.runs:
                yield holding.order.price, max(self.wallets_at, holding.first_seen_at)

    def creating_refused(self, target: str, now: datetime) -> Setback | None:
        """Return the refusal that lets this target create nothing, whatever it pays with; or None."""
        found = (s for s in self.setbacks if now < s.until and (s.account_wide or s.target == target))
        return max(found, key=lambda s: s.until, default=None)

    def price_refused(self, price: Price, now: datetime) -> Setback | None:
        """Return the refusal that keeps us from paying so much; None where none does."""
        found = (s for s in self.setbacks if now < s.until and _covers(s, price))
        return max(found, key=lambda s: s.until, default=None)

    def holdings_of(self, target: str) -> tuple[Holding, ...]:
        """Return the live orders of a target, oldest first."""
        return _oldest_first(h for h in self.holdings.values() if h.target == target)

    def by_target(self) -> Mapping[str | None, tuple[Holding, ...]]:
        """Return the live orders of each target, oldest first; under None those of nobody's."""
        found: dict[str | None, list[Holding]] = {}
        for holding in self.holdings.values():
            found.setdefault(holding.target, []).append(holding)
        return {target: _oldest_first(held) for target, held in found.items()}

    def returning(self, target: str) -> tuple[Holding, ...]:
        """Return the target's orders that were taken for ended and are listed as running all the same.

        A late answer does not explain it, and whether it is so a read or two will tell: until then each
        of them counts as running. So does one that has run on after it was cancelled before, until our
        orders list it no more.
        """
        found = (h for h in self.closing.values() if h.target == target)
        return tuple(h for h in found if self._listed_after_its_end(h) or self._cancelled_in_vain(h))

    def _cancelled_in_vain(self, holding: Holding) -> bool:
        order = holding.order.order
        known = self.cancelled.get(order)
        return known is not None and known.times > 1 and order not in self.unlisted_since

    def _listed_after_its_end(self, holding: Holding) -> bool:
        if holding.order.order not in self.revenants:
            return False
        read_at, ended_at = self.orders_at, holding.ended_at
        return read_at is not None and ended_at is not None and read_at - ended_at >= STALENESS

    def intent_on(self, server: ServerId) -> Intent | None:
        """Return the unfinished intent on a server, if there is one."""
        return next((intent for intent in self.intents if intent.server == server), None)

    def under_way_on(self, server: ServerId) -> Intent | None:
        """Return the intent on a server that our orders will settle, not one that waits for a person."""
        waits = IntentState.AMBIGUOUS
        found = (i for i in self.intents if i.server == server and i.state is not waits)
        return next(found, None)


def _covers(setback: Setback, price: Price) -> bool:
    least = setback.price
    return least is not None and least.currency == price.currency and least <= price


def _oldest_first(holdings: Iterable[Holding]) -> tuple[Holding, ...]:
    return tuple(sorted(holdings, key=lambda h: (h.first_seen_at, h.order.order)))
