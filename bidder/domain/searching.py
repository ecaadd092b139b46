"""The search for the best server to bid on, which reads no more books than it must.

A server's floor is a lower bound of what it costs to win it, so the search for the best server is
lazy: servers are walked by floor, and a book is read only while its server could still beat the best
one known. Rejected: reading every candidate's book first, which at one request per second is out of
date before it ends.

A search comes to its end: after one walk through the n servers that could be the best, each of which
takes a turn of ``turns.CANDIDATE_EVERY`` for each target that searches, all of them count as known, and
the best is chosen. Its own book is read once more where it is not fresh, so that no bid is decided on an
old one; each server that turns out to be worse by now costs one more turn. So 300 servers take ten
minutes, and where all prices have changed meanwhile twenty; two targets at once take twice as long.

A server on which the strategy would not bid is set aside, by its book as it was read last, like one that
is above the ceiling; the strategy is asked about each server at most once in a search. Where that leaves
none, the best of those that were set aside is looked at as closely as one to bid on: it may be had soon.
"""

import heapq
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from decimal import Decimal

from bidder.domain import turns
from bidder.domain.ids import OrderId, ServerId
from bidder.domain.market import Book, Listing
from bidder.domain.money import Currency, Rates
from bidder.domain.policy import Target
from bidder.domain.purse import Purse
from bidder.domain.quotes import Quote, on_demand_cap, quote
from bidder.domain.selection import weigh
from bidder.domain.view import BookSeen, Candidate


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """The best server known now, with a book fresh enough to act on.

    ``declined`` is on how many cheaper ones the strategy would not bid.
    """

    listing: Listing
    quote: Quote
    score: Decimal
    declined: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Declined:
    """The strategy would bid on none of the servers within the ceiling; this one is the best of them.

    Its book is fresh; ``oldest`` as in ``NothingFits``.
    """

    listing: Listing
    quote: Quote
    score: Decimal
    oldest: ServerId | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class NeedsBook:
    """The best server may be this one; its book must be read first."""

    server: ServerId


@dataclass(frozen=True, slots=True, kw_only=True)
class NothingFits:
    """No server can be won below the ceiling; ``cheapest`` is the nearest miss, if any.

    ``unpaid`` tells that some were passed over because no wallet carries them; ``oldest`` is the server
    whose book is worth reading again meanwhile, because others may bid less there by now.
    """

    considered: int
    cheapest: Quote | None = None
    unpaid: bool = False
    oldest: ServerId | None = None


SearchResult = Found | Declined | NeedsBook | NothingFits

# Whether the strategy would bid on a server for what it takes there.
Opens = Callable[[Listing, Quote], bool]


def best_server(
    candidates: Sequence[Candidate],
    books: Mapping[ServerId, BookSeen],
    target: Target,
    rates: Rates,
    currencies: frozenset[Currency],
    *,
    unfit: frozenset[ServerId],
    own: frozenset[OrderId],
    now: datetime,
    fresh_after: datetime,
    above_on_demand: bool,
    surcharge: Mapping[ServerId, Decimal] | None = None,
    purse: Purse | None = None,
    below: Decimal | None = None,
    sharing: int = 1,
    opens: Opens = lambda *_: True,
) -> SearchResult:
    """Return the best server to bid on, or the one whose book must be read to know.

    ``unfit`` servers are passed over; a book is fresh when its read started after ``fresh_after``.
    ``surcharge`` is what some servers cost beyond their price, never less than nothing, per GPU-day.
    With a ``purse``, what no wallet carries is passed over; with ``below``, what costs no less than
    this, in weighted USD per GPU-day. The ``candidates`` are sorted by their scores. ``sharing`` is how
    many targets search at present: the more there is to be read, the older a book may be to count.
    Servers on which the strategy would not bid are set aside: ``opens`` tells.
    """
    extra = surcharge or {}
    best: Decimal | None = None
    within: list[_Within] = []
    missed: list[Quote] = []
    unpaid = False
    considered = 0
    looked_at: list[BookSeen] = []
    longest = turns.remembered(len(candidates), sharing)
    fit = (candidate for candidate in candidates if candidate.listing.server not in unfit)
    for carried, candidate in _cheapest_carried_first(fit, currencies, rates, purse):
        least = candidate.score if carried is None else carried
        if (best is not None and least >= best) or (below is not None and least >= below):
            break
        considered += 1
        if carried is None:
            unpaid = True
            continue
        server = candidate.listing.server
        known = books.get(server)
        if known is None or now - known.at > longest:
            return NeedsBook(server=server)
        looked_at.append(known)
        quoted = _quote_if_open(candidate.listing, known.book, target, rates, currencies, own, purse)
        if quoted is None or not quoted.carried:
            unpaid = unpaid or quoted is not None
            continue
        if not above_on_demand:
            cap = on_demand_cap(candidate.listing, quoted.ceiling, rates, currencies)
            quoted = replace(quoted, cap=cap)
        if quoted.needed > quoted.cap:
            missed.append(quoted)
            continue
        score = weigh(quoted.usd, candidate.listing) + extra.get(server, 0)
        if best is None or score < best:
            bids = opens(candidate.listing, quoted)
            found = _Within(score=score, listing=candidate.listing, quote=quoted, opens=bids)
            within.append(found)
            best = score if bids else best
    outdated = _outdated(looked_at, now - turns.remembered(len(looked_at), sharing))
    if outdated is not None:
        return NeedsBook(server=outdated)
    oldest = _oldest(looked_at, now - turns.remembered(0, sharing))
    if not within:
        nearest = min(missed, key=lambda each: each.usd, default=None)
        return NothingFits(considered=considered, cheapest=nearest, unpaid=unpaid, oldest=oldest)
    chosen = _chosen(within, oldest)
    if books[chosen.listing.server].at < fresh_after:
        return NeedsBook(server=chosen.listing.server)
    return chosen


@dataclass(frozen=True, slots=True, kw_only=True)
class _Within:
    """A server within the ceiling; ``opens``: the strategy would bid there."""

    score: Decimal
    listing: Listing
    quote: Quote
    opens: bool


def _chosen(within: Sequence[_Within], oldest: ServerId | None) -> Found | Declined:
    """Return the best server to bid on; where the strategy would bid on none, the best of them all."""
    best = min(within, key=lambda each: (not each.opens, each.score))
    if not best.opens:
        return Declined(listing=best.listing, quote=best.quote, score=best.score, oldest=oldest)
    cheaper = sum(each.score < best.score for each in within)
    return Found(listing=best.listing, quote=best.quote, score=best.score, declined=cheaper)


def _outdated(looked_at: Iterable[BookSeen], since: datetime) -> ServerId | None:
    """Return the first of these servers whose book is from before ``since``."""
    return next((seen.book.server for seen in looked_at if seen.at < since), None)


def _oldest(looked_at: Iterable[BookSeen], since: datetime) -> ServerId | None:
    """Return the server whose book is the oldest, where that is from before ``since``."""
    oldest = min(looked_at, key=lambda seen: seen.at, default=None)
    return None if oldest is None or oldest.at >= since else oldest.book.server


def _cheapest_carried_first(
    candidates: Iterable[Candidate],
    currencies: frozenset[Currency],
    rates: Rates,
    purse: Purse | None,
) -> Iterator[tuple[Decimal | None, Candidate]]:
    """Yield each candidate with the least it can cost from a wallet that carries it, cheapest first.

    None, in the place of its score, for one that no wallet carries. Who has all wallets full walks
    the list as it is; no more of it is looked at than the next one takes.
    """
    held_back: list[tuple[Decimal, ServerId, Candidate]] = []
    for candidate in candidates:
        while held_back and held_back[0][0] <= candidate.score:
            least, _, earlier = heapq.heappop(held_back)
            yield least, earlier
        carried = _least_carried(candidate, currencies, rates, purse)
        if carried is None or carried <= candidate.score:
            yield carried, candidate
        else:
            heapq.heappush(held_back, (carried, candidate.listing.server, candidate))
    while held_back:
        least, _, earlier = heapq.heappop(held_back)
        yield least, earlier


def _least_carried(
    candidate: Candidate, currencies: frozenset[Currency], rates: Rates, purse: Purse | None
) -> Decimal | None:
    """Return the least that a server can cost from a wallet that carries it; None where none does.

    That is its score where each of them does, and where no floor is listed or no rate is known: then
    its book tells.
    """
    listing = candidate.listing
    if purse is None:
        return candidate.score
    floors = [f for c, f in listing.spot_floor.items() if c in currencies and listing.takes(c)]
    carried = [floor for floor in floors if purse.carries(floor)]
    if len(carried) == len(floors):
        return candidate.score
    if not carried:
        return None
    if not all(rates.knows(floor.currency) for floor in carried):
        return candidate.score
    return max(candidate.score, weigh(min(map(rates.to_usd, carried)), listing))


def _quote_if_open(
    listing: Listing,
    book: Book,
    target: Target,
    rates: Rates,
    currencies: frozenset[Currency],
    own: frozenset[OrderId],
    purse: Purse | None,
) -> Quote | None:
    if not book.open_at(listing):
        return None
    ours = book.rates.over(rates)
    if not book.valued(ours):
        return None
    return quote(
        listing,
        book,
        target,
        ours,
        currencies,
        gpus=listing.specs.gpu_count,
        margin_ticks=target.margin_ticks,
        own=own,
        purse=purse,
    )
