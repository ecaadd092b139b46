"""Which server on demand a job would rent: the one on which the work that is left costs least.

A host lets a server go for so long at most, and each further rental loses a start. So servers are
ranked by what all the rentals cost that the work takes, those first with which the job is in time.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal

from bidder.domain import moving, selection, workloads
from bidder.domain.agenda import ReadMarketplace, subject
from bidder.domain.costs import share_of_day
from bidder.domain.ids import ServerId
from bidder.domain.market import Listing
from bidder.domain.money import Price
from bidder.domain.policy import DeadlineParams, Policy, Target
from bidder.domain.strategies import deadline
from bidder.domain.view import Candidate, View


@dataclass(frozen=True, slots=True, kw_only=True)
class Rental:
    """A server to be had on demand; ``score`` is its weighted price, in USD per GPU-day.

    ``times`` is how often it would have to be rented for the work that is left, None where that never
    suffices; ``rank`` sorts the better one first.
    """

    server: ServerId
    price: Price
    score: Decimal
    times: int | None
    rank: tuple[int, Decimal, Decimal]


def cheapest(target: Target, view: View, policy: Policy, now: datetime) -> Rental | None:
    """Return the free server on which the rest costs least, at its price in a currency that is carried.

    Where the wallets carry none, the cheapest all the same: the rails tell why it is not to be had. One
    on which the workload died lately is the last resort.
    """
    if moving.kept_from_creating(target, view, now) is not None:
        return None
    taken = moving.taken(view, policy, now)
    deadly = workloads.left_alone(target.name, view, now)
    free = [each for each in view.rentals.get(target.name, ()) if each.listing.server not in taken]
    others = [each for each in free if each.listing.server not in deadly]
    work = _work(target, view)
    best = _best(others, target, work, view, policy, now)
    if best is None and len(others) < len(free):
        best = _best(free, target, work, view, policy, now)
    if best is not None or not free:
        return best
    listing = (others or free)[0].listing
    price = listing.on_demand_usd(view.rates, selection.payable(target, view.wallets))
    return None if price is None else _rental(listing, price, target, work, view, now)


def _work(target: Target, view: View) -> timedelta:
    """Return how long a slot has to compute until the job is done."""
    assert isinstance(target.params, DeadlineParams)
    return max(deadline.alone(target, target.params, view), timedelta(0))


def _best(
    free: Sequence[Candidate],
    target: Target,
    work: timedelta,
    view: View,
    policy: Policy,
    now: datetime,
) -> Rental | None:
    """Return the best of these servers that the wallets carry; they come by what they cost at least."""
    purse = view.purse(policy.rails, now)
    payable, limit = selection.payable(target, view.wallets), target.limit(on_demand=True)
    best: Rental | None = None
    for candidate in free:
        if best is not None and best.times == 1 and candidate.score >= best.score:
            break  # no wallet at all would pay less for any that follows
        listing = candidate.listing
        carried = payable - {c for c, price in listing.on_demand.items() if not purse.carries(price)}
        price = listing.on_demand_usd(view.rates, carried)
        if price is None or not view.rates.knows(limit.price.currency):
            continue
        if price > limit.for_server(listing.specs.gpu_count, price.currency, view.rates):
            continue
        rental = _rental(listing, price, target, work, view, now)
        best = rental if best is None or rental.rank < best.rank else best
    return best


def _rental(
    listing: Listing, price: Price, target: Target, work: timedelta, view: View, now: datetime
) -> Rental:
    """Return a server and its rank: by what all the rentals cost that the work takes.

    Where there is no time for them it comes after the others, by their number: it is the least late.
    """
    params = target.params
    assert isinstance(params, DeadlineParams)
    score = selection.weigh(view.rates.to_usd(price), listing)
    times = deadline.rentals_needed(work, target.restart, listing.mrl)
    rank = (2, Decimal(0), score)
    if times is not None:
        billed = work + times * target.restart
        in_time = billed + (times - 1) * deadline.BETWEEN <= params.by - params.margin - now
        rank = (0, score * share_of_day(billed), score) if in_time else (1, Decimal(times), score)
    return Rental(server=listing.server, price=price, score=score, times=times, rank=rank)


def price_is_fresh(view: View, policy: Policy, now: datetime) -> bool:
    """Return whether an on-demand price is likely to stand: hosts' prices may float by the minute.

    What is listed at another price than required is not rented. Where the marketplace cannot be read it
    is tried all the same, and where that takes long, right after it: a job is not late for that.
    """
    read_at = view.marketplace_at
    if read_at is None or subject(ReadMarketplace()) in view.unread.reads:
        return True
    moved_since = any(created.mispriced and created.at >= read_at for created in view.creations)
    whole_at = max(read_at, view.marketplace_whole_at or read_at)
    return not moved_since and now - whole_at <= policy.pace.book_stale_after
