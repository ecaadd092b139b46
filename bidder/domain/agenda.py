"""Which single read is worth the next request slot, and when the next one will be.

Every wish has a moment from which it is worth a request, and a rank. The highest-ranking wish whose
moment has come is read; when none has, the daemon sleeps until the first. Nothing is queued: the
wishes are made anew from the view each time, so a wish that events have overtaken vanishes by itself.

A lowering is due at an exact second. Its book is read just before, however seldom books are read
otherwise, and the slot at the second itself is kept free.

A read that fails is wished for all the same, with the same rank. It is put off for longer each time, and
then goes behind those that are answered, or one endpoint that is broken would hide all the others.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import assert_never

from bidder.domain import price_rules, turns
from bidder.domain.actions import Decision, Reason
from bidder.domain.ids import ServerId
from bidder.domain.intents import Intent, IntentState
from bidder.domain.market import OrderKind
from bidder.domain.policy import Policy
from bidder.domain.unread import LONGEST_PAUSE, Endpoint, Subject
from bidder.domain.view import Holding, View

_SLOT = timedelta(seconds=1)
# The book for a lowering is read this long before the clock opens, one slot and a round trip.
_BEFORE_LOWERING = timedelta(seconds=1.3)
_FRESH_FOR_LOWERING = timedelta(seconds=3)
# A book that cannot be read then is tried again for so long, and must not keep others from their turn.
_MISSED_FOR = timedelta(seconds=15)
# Soon once more, and then at leisure: it takes a minute and more to be sure that an order is gone.
_MISSING_AGAIN, _MISSING_EVERY = timedelta(seconds=2), timedelta(seconds=10)
_BOOKING_EVERY = timedelta(seconds=60)
_CALM_MARKETPLACE = 5
# For a price on demand, which is paid as listed or not at all.
_LISTED_AGAIN = timedelta(seconds=10)
# From here on a creation that is not seen is looked for among the ended orders as well.
_LOOK_AMONG_ENDED = timedelta(seconds=20)
# Our orders matter most, above all while something is in doubt: if they fail they are soon tried again.
_ORDERS_AGAIN, _DOUBT_AGAIN = timedelta(seconds=20), timedelta(seconds=5)

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadOrders:
    """Read our orders; ``completed`` asks for the ended ones too."""

    completed: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadBook:
    """Read one server's spot market; ``target`` is whose search for a server asks for it, if any."""

    server: ServerId
    target: str | None = field(default=None, compare=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadMarketplace:
    """Read all servers."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadWallets:
    """Read the balances."""


Read = ReadOrders | ReadBook | ReadMarketplace | ReadWallets


def subject(read: Read) -> Subject:
    """Return what a read is about."""
    match read:
        case ReadOrders(completed=completed):
            return Subject(endpoint=Endpoint.ENDED if completed else Endpoint.ORDERS)
        case ReadBook(server=server):
            return Subject(endpoint=Endpoint.BOOK, server=server)
        case ReadMarketplace():
            return Subject(endpoint=Endpoint.MARKETPLACE)
        case ReadWallets():
            return Subject(endpoint=Endpoint.WALLETS)
        case _:
            assert_never(read)


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """A read, the moment from which it is worth a request, and its rank (higher first).

    ``waits_since`` decides between wishes that are alike: whose turn was longest ago goes first.
    """

    read: Read
    at: datetime
    rank: float
    waits_since: datetime = _EPOCH


@dataclass(frozen=True, slots=True, kw_only=True)
class Agenda:
    """The read to make now, or None and the moment to wake up."""

    read: Read | None
    wake_at: datetime


def next_read(view: View, decisions: tuple[Decision, ...], policy: Policy, now: datetime) -> Agenda:
    """Return the most valuable read of this moment, or when there will be one."""
    lowerings = _lowerings(decisions, now)
    wishes = [*_wishes(view, decisions, policy, now), *_before_lowerings(lowerings, view)]
    if view.unread.reads:
        wishes = [_put_off(wish, view) for wish in wishes]
    due = [wish for wish in wishes if wish.at <= now]
    later = [wish.at for wish in wishes if wish.at > now]
    later += [d.due for d in decisions if d.due is not None and d.due > now]
    wake_at = min(later, default=now + timedelta(seconds=60))
    opening = _kept_free_for(lowerings, view, now)
    if opening is not None:
        return Agenda(read=None, wake_at=opening)
    if not due:
        return Agenda(read=None, wake_at=wake_at)
    return Agenda(read=_first(due, view, now).read, wake_at=now)


def _first(due: list[Wish], view: View, now: datetime) -> Wish:
    """Return the wish that ranks highest, or the turn of one whose read keeps failing."""
    unread = view.unread
    behind = [wish for wish in due if unread.reads and unread.stands_back(subject(wish.read))]
    if behind and (len(behind) == len(due) or unread.retry_is_due(now)):
        return min(behind, key=lambda wish: (unread.failed_at(subject(wish.read)), -wish.rank))
    others = [wish for wish in due if wish not in behind] if behind else due
    return max(others, key=lambda wish: (wish.rank, now - wish.at, now - wish.waits_since))


def _put_off(wish: Wish, view: View) -> Wish:
    """Return a wish whose read has failed for the moment at which it is worth another try."""
    unread = view.unread.of(subject(wish.read))
    if unread is None:
        return wish
    longest = LONGEST_PAUSE
    if isinstance(wish.read, ReadOrders):
        doubt = any(intent.state is not IntentState.AMBIGUOUS for intent in view.intents)
        longest = _DOUBT_AGAIN if doubt and not wish.read.completed else _ORDERS_AGAIN
    return replace(wish, at=max(wish.at, unread.again_at(longest)))


def _lowerings(decisions: tuple[Decision, ...], now: datetime) -> list[tuple[datetime, ServerId]]:
    """Return the clocks that open soon, with their servers, first one first."""
    horizon = now + _BEFORE_LOWERING + _SLOT
    found = [
        (d.due, d.server)
        for d in decisions
        if d.reason in {Reason.CLOCK, Reason.ABOVE_CEILING, Reason.PACED, Reason.STALE}
        and d.due is not None
        and d.server is not None
        and now < d.due <= horizon
    ]
    return sorted(found)


def _before_lowerings(lowerings: list[tuple[datetime, ServerId]], view: View) -> Iterator[Wish]:
    for opening, server in lowerings:
        seen = view.books.get(server)
        if seen is None or seen.at < opening - _FRESH_FOR_LOWERING:
            yield Wish(read=ReadBook(server=server), at=opening - _BEFORE_LOWERING, rank=96)


def _kept_free_for(
    lowerings: list[tuple[datetime, ServerId]], view: View, now: datetime
) -> datetime | None:
    for opening, server in lowerings:
        seen = view.books.get(server)
        if opening - now < _SLOT and seen is not None and seen.at >= opening - _FRESH_FOR_LOWERING:
            return opening
    return None


def _wishes(
    view: View, decisions: tuple[Decision, ...], policy: Policy, now: datetime
) -> Iterator[Wish]:
    yield from _orders(view, decisions, policy, now)
    yield from _periodic(view, decisions, policy)
    held = {h.order.server for h in view.holdings.values() if h.ours}
    for decision in decisions:
        server = decision.wants_book
        if server is None:
            continue
        seen = view.books.get(server)
        read_at = _EPOCH if seen is None else seen.at
        if decision.urgency > 0:
            at = max(decision.due or _EPOCH, read_at + _SLOT)
            yield Wish(read=ReadBook(server=server), at=at, rank=90)
        elif server not in held:
            last = view.candidate_read_at or _EPOCH
            at = last + turns.CANDIDATE_EVERY if held else _EPOCH
            read = ReadBook(server=server, target=decision.target)
            waits_since = turns.waits_since(view.turns, decision.target, now)
            yield Wish(read=read, at=at, rank=75, waits_since=waits_since)
    yield from _held_books(view.holdings.values(), view, policy, now)


def _held_books(
    holdings: Iterable[Holding], view: View, policy: Policy, now: datetime
) -> Iterator[Wish]:
    """Wish for the books of our standing bids, oldest first, dear ones somewhat sooner."""
    ours = [h for h in holdings if h.ours and h.order.kind is OrderKind.SPOT]
    if not ours:
        return
    usd = {h.order.order: _usd(h, view) for h in ours}
    mean = sum(usd.values()) / len(usd) or 1.0
    for holding in ours:
        server = holding.order.server
        seen = view.books.get(server)
        if seen is None:
            yield Wish(read=ReadBook(server=server), at=_EPOCH, rank=71)
            continue
        opening = price_rules.next_lowering_at(holding.clock, view.rules)
        if (
            holding.active
            and opening is not None
            and now < opening + _MISSED_FOR
            and seen.at < opening - _FRESH_FOR_LOWERING
        ):
            # Whether it can come down is not known before: of a book of long ago nobody decides.
            yield Wish(read=ReadBook(server=server), at=opening - _BEFORE_LOWERING, rank=72)
        age = max(0.0, (now - seen.at).total_seconds())
        # A mild weight: the oldest book still comes first unless another risks far more money.
        weight = 0.9 + 0.2 * min(usd[holding.order.order] / mean, 2.0) / 2.0
        rank = 60 + 10 * (1 - 1 / (1 + age * weight / 60))
        yield Wish(read=ReadBook(server=server), at=seen.at + policy.pace.book_every, rank=rank)


def _usd(holding: Holding, view: View) -> float:
    price = holding.order.price
    return float(view.rates.to_usd(price)) if view.rates.knows(price.currency) else 0.0


def _orders(
    view: View, decisions: tuple[Decision, ...], policy: Policy, now: datetime
) -> Iterator[Wish]:
    if view.completed_at is None:
        # What ended before we came must be known before any creation can be told apart from it.
        yield Wish(read=ReadOrders(completed=True), at=_EPOCH, rank=100)
        return
    last = view.orders_at or _EPOCH
    for intent in view.intents:
        wish = _for_intent(intent, last, policy, now)
        yield wish
        if subject(wish.read) in view.unread.reads:
            # What can be told without the ended ones does not wait for them.
            yield replace(wish, read=ReadOrders())
    asking = [d.due or _EPOCH for d in decisions if d.wants_orders]
    if asking:
        missing = min((h.missing_reads for h in view.holdings.values() if h.missing_reads), default=2)
        every = _MISSING_AGAIN if missing < 2 else _MISSING_EVERY
        at = max(last + every, min(asking))
        yield Wish(read=ReadOrders(completed=True), at=at, rank=92)
    if any(s.asks_orders and s.at is not None and s.at > last for s in view.setbacks):
        # The exchange knows of another order than we do, or of none.
        yield Wish(read=ReadOrders(completed=True), at=last + _MISSING_AGAIN, rank=92)
    # Of an order that no strategy looks after nothing else asks whether it is over.
    if view.unbooked or any(holding.missing_reads for holding in view.holdings.values()):
        at = view.completed_at + _BOOKING_EVERY
        yield Wish(read=ReadOrders(completed=True), at=at, rank=78)
    ends = [h.order.ends_at for h in view.holdings.values() if h.order.ends_at > last]
    if ends:
        yield Wish(read=ReadOrders(completed=True), at=min(ends) + _SLOT, rank=91)
    yield Wish(read=ReadOrders(), at=last + policy.pace.orders_every, rank=80)


def _for_intent(intent: Intent, last: datetime, policy: Policy, now: datetime) -> Wish:
    age = now - intent.over_since()
    every = timedelta(seconds=2 if age.total_seconds() < 20 else 5)
    if intent.state is IntentState.AMBIGUOUS:
        # It has been told and waits for a person, who may take days.
        every = policy.pace.orders_every
    elif age > timedelta(minutes=3):
        every = timedelta(seconds=20)
    completed = age > _LOOK_AMONG_ENDED or not intent.creates
    return Wish(
        read=ReadOrders(completed=completed),
        at=max(last + every, intent.over_since() + _SLOT),
        rank=95,
    )


def _periodic(view: View, decisions: tuple[Decision, ...], policy: Policy) -> Iterator[Wish]:
    pace = policy.pace
    if view.wallets_at is None:
        yield Wish(read=ReadWallets(), at=_EPOCH, rank=98)
    else:
        read_at = view.wallets_at
        # A wallet that held too little is not what its balance says, or the balance has changed.
        said = any(s.price is not None and s.at is not None and s.at > read_at for s in view.setbacks)
        at = read_at if said else read_at + pace.wallets_every
        yield Wish(read=ReadWallets(), at=at, rank=79)
    if view.marketplace_at is None:
        yield Wish(read=ReadMarketplace(), at=_EPOCH, rank=97)
        return
    unmet = any(d.order is None or d.reason in _UNHAPPY for d in decisions)
    every = pace.marketplace_every if unmet else pace.marketplace_every * _CALM_MARKETPLACE
    if any(d.wants_marketplace for d in decisions):
        # It is two megabytes: soon, but not each second.
        at = view.marketplace_at + min(every, _LISTED_AGAIN)
        yield Wish(read=ReadMarketplace(), at=at, rank=93)
    yield Wish(read=ReadMarketplace(), at=view.marketplace_at + every, rank=81)


_UNHAPPY = frozenset(
    {
        Reason.PACED,
        Reason.TOO_EXPENSIVE,
        Reason.ON_DEMAND_CHEAPER,
        Reason.SERVER_LOST,
        Reason.UNAVAILABLE,
        Reason.HANDOVER,
        Reason.WAR_PAUSE,
        Reason.NO_CANDIDATE,
    }
)
