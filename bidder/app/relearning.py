"""What a daemon learnt by watching, worked out again from what it wrote down of that.

What ``adaptive`` targets and jobs learn is a pure function of the books they read, and those are
recorded: at a start, and where a reload brings such a target, they are folded once more. So nothing
learnt has a table of its own that could disagree with the history, and at a start a changed value or
half-life is taken at once.

It comes out close to what was known before, not the same: servers are told apart by number and GPUs
alone, steps and the creation fee count as they are known now, and of a server that nobody read for an
hour the shadow offers begin anew.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from bidder.domain.fold import schooling
from bidder.domain.ids import OrderId, ServerId
from bidder.domain.jobs import Outlook
from bidder.domain.market import Book, Marketplace, Offer
from bidder.domain.money import Currency, Price, Rates
from bidder.domain.policy import AdaptiveParams, DeadlineParams, Policy, Target
from bidder.domain.view import View
from bidder.errors import NoRate
from bidder.store.queries import Queries
from bidder.store.records import BookRecord, ServerRecord

_SPAN = timedelta(days=14)
# Some seconds of work; of a large fleet's fortnight the latest days.
_MOST_ROWS = 10_000
_SHADOWS_LAST = timedelta(hours=1)
_LOOK_EVERY = timedelta(minutes=5)
# The number of no order: what was recorded of a rival is his price alone.
_RIVAL = OrderId(0)

_RatesAt = Callable[[datetime], Rates]


def relearnt(view: View, policy: Policy, queries: Queries, now: datetime) -> View:
    """Return the view with what the recorded history teaches the policy's targets."""
    learners = tuple(t for t in policy.targets if t.enabled and _learns(t))
    if not learners:
        return view
    found = queries.market.history(since=now - _SPAN, limit=_MOST_ROWS)
    # What is dated ahead was written before a calendar was set back.
    records = sorted((each for each in found if each.at <= now), key=lambda each: each.at)
    if not records:
        return view
    noted = queries.market.rates_over(records[0].at, now)
    past = _Past(
        records=records,
        servers={each.server: each for each in queries.market.servers()},
        rates_at=lambda at: noted.at(at).over(policy.static_rates),
    )
    plain = replace(policy, targets=tuple(map(_by_gpus, learners)))
    outlooks = {
        target.name: _outlook(past, target, now)
        for target in plain.targets
        if isinstance(target.params, DeadlineParams)
    }
    return replace(view, schools=_taught(past, view, plain, now).schools, outlooks=outlooks)


def new_lessons(view: View, policy: Policy, queries: Queries, now: datetime) -> View:
    """Return what a new policy's targets have yet to learn, in a view that holds nothing else.

    What ``view`` knows of a target already is more than the history tells, and is not asked for.
    """
    learners = tuple(target for target in policy.targets if _has_yet_to_learn(target, view))
    blank = View(steps=view.steps, creation_fee_usd=view.creation_fee_usd)
    return relearnt(blank, replace(policy, targets=learners), queries, now)


def with_lessons(view: View, lessons: View) -> View:
    """Return the view with lessons of which it knows nothing yet."""
    return replace(
        view,
        schools={**lessons.schools, **view.schools},
        outlooks={**lessons.outlooks, **view.outlooks},
    )


def _has_yet_to_learn(target: Target, view: View) -> bool:
    adaptive, job = isinstance(target.bidding, AdaptiveParams), isinstance(target.params, DeadlineParams)
    return (adaptive and target.name not in view.schools) or (job and target.name not in view.outlooks)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Past:
    records: Sequence[BookRecord]
    servers: Mapping[ServerId, ServerRecord]
    rates_at: _RatesAt


def _learns(target: Target) -> bool:
    return isinstance(target.bidding, AdaptiveParams) or isinstance(target.params, DeadlineParams)


def _by_gpus(target: Target) -> Target:
    """Return the target with what can be said of a server by its GPUs alone."""
    return replace(target, requirements=target.requirements.by_gpus())


def _taught(past: _Past, view: View, policy: Policy, now: datetime) -> View:
    """Return a view that has read every recorded book."""
    listings = {server: record.listing() for server, record in past.servers.items()}
    known = View(
        marketplace=Marketplace(listings=listings),
        steps=view.steps,
        creation_fee_usd=view.creation_fee_usd,
    )
    seen: dict[ServerId, datetime] = {}
    for at, record in _reads(past.records, now):
        before = seen.get(record.server)
        if before is not None and at - before > _SHADOWS_LAST:
            known = _forgotten(known, record.server)
        known = schooling.after_book(known, _book(record, past.rates_at(at)), policy, at=at)
        seen[record.server] = record.until or record.at
    return known


def _reads(records: Iterable[BookRecord], now: datetime) -> list[tuple[datetime, BookRecord]]:
    """Return the first and the last read of each record, in order of time."""
    lasts = [(min(each.until, now), each) for each in records if each.until is not None]
    firsts = [(each.at, each) for each in records]
    # The last of one is at the moment of the next one's first, and comes before it.
    return sorted(
        [*((at, each) for at, each in lasts if at > each.at), *firsts], key=lambda read: read[0]
    )


def _forgotten(view: View, server: ServerId) -> View:
    schools = {
        name: replace(school, servers={s: w for s, w in school.servers.items() if s != server})
        for name, school in view.schools.items()
    }
    return replace(view, schools=schools)


def _book(record: BookRecord, rates: Rates) -> Book:
    price = record.best_rival
    rivals = () if price is None else (Offer(order=_RIVAL, price=price, active=False, mine=False),)
    return Book(
        server=record.server,
        offers=rivals,
        floor=record.floor,
        exists=record.exists,
        public=record.public,
        online=record.online,
        rates=rates,
    )


def _outlook(past: _Past, target: Target, now: datetime) -> Outlook:
    """Return how long spot servers could be had, and could not, whenever somebody looked."""
    looks = _looks(past, target, now)
    first = next(looks, None)
    if first is None:
        return Outlook(looked_at=now)
    outlook = Outlook(looked_at=first[0], available=first[1])
    for at, available in looks:
        outlook = outlook.seen(available=available, at=at)
    return outlook


def _looks(past: _Past, target: Target, now: datetime) -> Iterator[tuple[datetime, bool]]:
    """Yield whether any server could be had, at each change and every five minutes of watching."""
    records = past.records
    ticks = (now - records[0].at) // _LOOK_EVERY
    moments = {records[0].at + number * _LOOK_EVERY for number in range(ticks + 1)}
    known: dict[ServerId, tuple[datetime, bool]] = {}
    number = 0
    for at in sorted(moments | {record.at for record in records}):
        while number < len(records) and records[number].at <= at:
            record = records[number]
            watched_until = (record.until or record.at) + _LOOK_EVERY
            known[record.server] = watched_until, _within(record, target, past)
            number += 1
        watched = [within for until, within in known.values() if at <= until]
        if watched:
            yield at, any(watched)


def _within(record: BookRecord, target: Target, past: _Past) -> bool:
    """Return whether a bid below the ceiling would have won this server."""
    server = past.servers.get(record.server)
    if server is None or record.rented or not (record.exists and record.public and record.online):
        return False
    rates = past.rates_at(record.at)
    return any(_affordable(c, record, server, target, rates) for c in record.floor)


def _affordable(
    currency: Currency, record: BookRecord, server: ServerRecord, target: Target, rates: Rates
) -> bool:
    try:
        limit = rates.to_usd(target.limit(on_demand=False).for_server(server.gpus, currency, rates))
        asked: Iterable[Price] = (record.floor[currency], record.best_rival or record.floor[currency])
        return max(map(rates.to_usd, asked)) < limit
    except NoRate:
        return False
