"""Which servers qualify for a target, and in what order.

A server's floor is a lower bound of what it costs to win it, so the search for the best server is
lazy: servers are walked by floor, and a book is read only while its server could still beat the best
one known. Rejected: reading every candidate's book first, which at one request per second is out of
date before it ends.

A search comes to its end: after one walk through the n servers that could be the best, each of which
takes a turn of ``turns.CANDIDATE_EVERY`` for each target that searches, all of them count as known, and
the best is chosen. Its own book is read once more where it is not fresh, so that no bid is decided on an
old one; each server that turns out to be worse by now costs one more turn. So 300 servers take ten
minutes, and where all prices have changed meanwhile twenty; two targets at once take twice as long.
"""

import heapq
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from decimal import Decimal

from bidder.domain import turns
from bidder.domain.ids import OrderId, ServerId
from bidder.domain.market import Book, Listing, Marketplace, OwnOrder, Wallet
from bidder.domain.money import Currency, Rates
from bidder.domain.policy import DeadlineParams, Requirements, Target
from bidder.domain.purse import Purse
from bidder.domain.quotes import Quote, on_demand_cap, quote
from bidder.domain.view import BookSeen, Candidate

# Servers kept per target after each read of the marketplace. Enough to find a free one when dozens
# are taken; small enough to walk in every pass.
SHORTLIST = 300


def qualifies(listing: Listing, wanted: Requirements) -> bool:
    """Return whether a server meets a target's requirements; price is another matter."""
    specs = listing.specs
    if not _may_be_used(listing.server, wanted) or listing.owner in wanted.exclude_owners:
        return False
    if not _right_gpus(specs.gpu_model, specs.gpu_count, wanted):
        return False
    if wanted.countries and specs.country not in wanted.countries:
        return False
    if specs.country and specs.country in wanted.exclude_countries:
        return False
    if wanted.min_mrl is not None and listing.mrl < wanted.min_mrl:
        return False
    if wanted.min_cuda is not None and _version(specs.cuda) < _version(wanted.min_cuda):
        return False
    return _large_enough(listing, wanted) and _trusted(listing, wanted)


def could_qualify(order: OwnOrder, wanted: Requirements) -> bool:
    """Return whether the server of one of our orders may be one that a target wants.

    For where the marketplace does not list it: by its number, and by the GPUs that the order names, if
    it names any. What else is required of it nobody can tell.
    """
    if not _may_be_used(order.server, wanted):
        return False
    model, count = order.gpu_model, order.gpu_count
    return model is None or count is None or _right_gpus(model, count, wanted)


def _may_be_used(server: ServerId, wanted: Requirements) -> bool:
    named = wanted.servers is None or server in wanted.servers
    return named and server not in wanted.exclude_servers


def _right_gpus(model: str, count: int, wanted: Requirements) -> bool:
    if wanted.gpu_models and not any(
        _model_matches(model, each, exact=wanted.gpu_exact) for each in wanted.gpu_models
    ):
        return False
    return _counted(count, wanted)


def _counted(count: int, wanted: Requirements) -> bool:
    if count < wanted.min_gpus and wanted.min_gpus > 0:
        return False
    return wanted.max_gpus is None or count <= wanted.max_gpus


def _model_matches(model: str, wanted: str, *, exact: bool) -> bool:
    if exact:
        return model == wanted
    return model == wanted or model.startswith(wanted + " ")


def _large_enough(listing: Listing, wanted: Requirements) -> bool:
    specs = listing.specs
    limits = (
        (specs.gpu_memory_gb, wanted.min_gpu_memory_gb),
        (specs.ram_gb, wanted.min_ram_gb),
        (specs.disk_gb, wanted.min_disk_gb),
        (specs.net_down, wanted.min_net_down),
        (specs.net_up, wanted.min_net_up),
    )
    return all(least is None or (has is not None and has >= least) for has, least in limits)


def _trusted(listing: Listing, wanted: Requirements) -> bool:
    new_reliability = not listing.reliability  # 0 means new, not bad (trap 12)
    if wanted.min_reliability is not None:
        if new_reliability:
            if not wanted.allow_new:
                return False
        elif listing.reliability is not None and listing.reliability < wanted.min_reliability:
            return False
    if wanted.min_rating is not None:
        if not listing.rating_count:
            return wanted.allow_new
        return (listing.rating or 0.0) >= wanted.min_rating
    return True


def _version(text: str) -> tuple[int, ...]:
    parts = []
    for part in text.split("."):
        if not part.isdigit():
            break
        parts.append(int(part[:6]))
    while parts and parts[-1] == 0:  # 12.0 is no later than 12
        parts.pop()
    return tuple(parts)


def payable(target: Target, wallets: Mapping[Currency, Wallet]) -> frozenset[Currency]:
    """Return the currencies a target may pay with: those it names, else those with a balance."""
    if target.currencies:
        return frozenset(target.currencies)
    funded = frozenset(
        currency
        for currency, wallet in wallets.items()
        if wallet.balance is None or wallet.balance.amount > 0
    )
    return funded or frozenset({Currency.BTC, Currency.CLORE, Currency.USD})


def shortlist(
    marketplace: Marketplace, target: Target, rates: Rates, currencies: frozenset[Currency]
) -> tuple[Candidate, ...]:
    """Return the servers worth considering for a target, cheapest possible first.

    Left out are the account's own servers, those rented on demand, those that take none of the
    currencies, and those whose floor is above the ceiling.
    """
    found = []
    for listing in marketplace.listings.values():
        if listing.rented or listing.server in marketplace.own_servers:
            continue
        if not qualifies(listing, target.requirements):
            continue
        score = _least_score(listing, target, rates, currencies)
        if score is not None:
            found.append(Candidate(listing=listing, score=score))
    found.sort(key=lambda candidate: (candidate.score, candidate.listing.server))
    return tuple(found[:SHORTLIST])


def rentals(
    marketplace: Marketplace, target: Target, rates: Rates, currencies: frozenset[Currency]
) -> tuple[Candidate, ...]:
    """Return the free servers that a target's job may rent on demand, cheapest first."""
    if not isinstance(target.params, DeadlineParams):
        return ()
    ceiling = target.params.on_demand_ceiling
    found = []
    for listing in marketplace.listings.values():
        if listing.rented or listing.server in marketplace.own_servers:
            continue
        price = listing.on_demand_usd(rates, currencies)
        if price is None or not qualifies(listing, target.requirements):
            continue
        if not rates.knows(ceiling.price.currency):
            continue
        if price <= ceiling.for_server(listing.specs.gpu_count, price.currency, rates):
            found.append(Candidate(listing=listing, score=weigh(rates.to_usd(price), listing)))
    found.sort(key=lambda candidate: (candidate.score, candidate.listing.server))
    return tuple(found[:SHORTLIST])


def rate_probe(
    marketplace: Marketplace,
    target: Target,
    rates: Rates,
    currencies: frozenset[Currency],
    *,
    unreadable: frozenset[ServerId] = frozenset(),
) -> ServerId | None:
    """Return a server whose book would bring a rate that the target lacks; None when none is lacking.

    Rates come with the exchange's books, and which book to read is chosen by rates: somewhere the
    circle must be entered. One whose book is ``unreadable`` is the last choice.
    """
    last_choice = None
    ceiling_valued = rates.knows(target.ceiling.price.currency)
    if ceiling_valued and all(rates.knows(currency) for currency in currencies):
        return None
    for listing in marketplace.listings.values():
        if listing.rented or listing.server in marketplace.own_servers:
            continue
        priced = (c for c in listing.spot_floor if c in currencies and listing.takes(c))
        lacking = any(not (ceiling_valued and rates.knows(currency)) for currency in priced)
        if lacking and qualifies(listing, target.requirements):
            if listing.server not in unreadable:
                return listing.server
            last_choice = last_choice or listing.server
    return last_choice


def _least_score(
    listing: Listing, target: Target, rates: Rates, currencies: frozenset[Currency]
) -> Decimal | None:
    best: Decimal | None = None
    for currency, floor in listing.spot_floor.items():
        if currency not in currencies or not listing.takes(currency):
            continue
        if not rates.knows(currency):
            continue
        try:
            ceiling = target.ceiling.for_server(listing.specs.gpu_count, currency, rates)
        except LookupError:
            continue
        if floor > ceiling:
            continue
        usd = rates.to_usd(floor)
        if best is None or usd < best:
            best = usd
    return None if best is None else weigh(best, listing)


def weigh(usd: Decimal, listing: Listing) -> Decimal:
    """Return the price per GPU-day that a server counts as, unreliable ones as dearer.

    A server that is down one day in ten is worth a tenth less, and each failure costs a restart on
    top, so the missing reliability counts twice. New servers count as 95 % reliable.
    """
    reliability = listing.reliability or 0.95
    missing = Decimal(str(round(1 - min(max(reliability, 0.0), 1.0), 4)))
    return usd / max(1, listing.specs.gpu_count) * (1 + 2 * missing)


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """The best server known now, with a book fresh enough to act on."""

    listing: Listing
    quote: Quote
    score: Decimal


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


SearchResult = Found | NeedsBook | NothingFits


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
) -> SearchResult:
    """Return the best server to bid on, or the one whose book must be read to know.

    ``unfit`` servers are passed over; a book is fresh when its read started after ``fresh_after``.
    ``surcharge`` is what some servers cost beyond their price, never less than nothing, per GPU-day.
    With a ``purse``, what no wallet carries is passed over; with ``below``, what costs no less than
    this, in weighted USD per GPU-day. The ``candidates`` are sorted by their scores. ``sharing`` is how
    many targets search at present: the more there is to be read, the older a book may be to count.
    """
    extra = surcharge or {}
    best: tuple[Decimal, Candidate, Quote] | None = None
    nearest: Quote | None = None
    unpaid = False
    considered = 0
    looked_at: list[BookSeen] = []
    longest = turns.remembered(len(candidates), sharing)
    fit = (candidate for candidate in candidates if candidate.listing.server not in unfit)
    for carried, candidate in _cheapest_carried_first(fit, currencies, rates, purse):
        least = candidate.score if carried is None else carried
        if (best is not None and least >= best[0]) or (below is not None and least >= below):
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
            nearest = quoted if nearest is None or quoted.usd < nearest.usd else nearest
            continue
        score = weigh(quoted.usd, candidate.listing) + extra.get(server, 0)
        if best is None or score < best[0]:
            best = (score, candidate, quoted)
    outdated = _outdated(looked_at, now - turns.remembered(len(looked_at), sharing))
    if outdated is not None:
        return NeedsBook(server=outdated)
    if best is None:
        oldest = _oldest(looked_at, now - turns.remembered(0, sharing))
        return NothingFits(considered=considered, cheapest=nearest, unpaid=unpaid, oldest=oldest)
    score, chosen, quoted = best
    if books[chosen.listing.server].at < fresh_after:
        return NeedsBook(server=chosen.listing.server)
    return Found(listing=chosen.listing, quote=quoted, score=score)


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
    if not (book.exists and book.public and book.online):
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
