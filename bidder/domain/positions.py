"""A position: one of our live orders with everything that bears on its price.

Strategies get positions, not the view, so that each rule about what a number means (which ceiling
applies, what the floor is, when the clock opens) is written once.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from itertools import takewhile

from bidder.domain import answers, handover, price_rules, quotes, selection
from bidder.domain.ids import OrderId
from bidder.domain.market import Book, Listing, Offer, OrderKind
from bidder.domain.money import Currency, Price, Rates
from bidder.domain.policy import AdaptiveParams, Ceiling, Per, Policy, Target
from bidder.domain.price_rules import StepSample
from bidder.domain.stances import Stance
from bidder.domain.view import BookSeen, Holding, View
from bidder.errors import NoRate


@dataclass(frozen=True, slots=True, kw_only=True)
class Position:
    """One live spot order of a target, seen against its server's book.

    ``price`` is the standing bid: the book's word where it is newer than our orders'.
    ``needed`` is the smallest bid in the order's currency that beats every rival and the floor. With no
    rival and no floor in that currency, it is what the cheapest other floor comes to.
    ``cap`` is the price above which it never bids: the ceiling, or the on-demand price where that
    is lower. ``lowest`` is how far one lowering may go (None: unlearnt). ``book_at`` is when the
    read of the book started. ``answers`` are those of rivals within the last hour, for ``adaptive``
    only. ``handover_until`` is until when an offer that is on top and idle may yet begin to run;
    ``pushes`` counts its latest raises that no rival's bid called for.
    """

    holding: Holding
    target: Target
    price: Price
    listing: Listing | None
    book: Book | None
    book_at: datetime | None
    outbid_reads: int
    offer: Offer | None
    rival: Offer | None
    floor: Price | None
    needed: Price | None
    ceiling: Price | None
    cap: Price | None
    opens_at: datetime | None
    lowest: Price | None
    raises: tuple[datetime, ...]
    rates: Rates
    stance: Stance
    steps: tuple[StepSample, ...]
    creation_fee_usd: Decimal
    # Not among what earlier versions kept of a decision, which rested on none.
    answers: tuple[datetime, ...] = ()
    handover_until: datetime | None = None
    pushes: int = 0

    def fresh(self, now: datetime, within: timedelta) -> bool:
        """Return whether the book is recent enough to act on."""
        return self.book_at is not None and now - self.book_at <= within

    @property
    def outdated(self) -> bool:
        """Return whether the book shows our offer as it stood before our last change of its price."""
        if self.offer is None or self.book_at is None or self.offer.price == self.holding.order.price:
            return False
        return self.holding.outdates(self.book_at)

    @property
    def gpus(self) -> int:
        """Return how many GPUs the server has; as far as its order tells where it is not listed."""
        return self.holding.work.gpus if self.listing is None else self.listing.specs.gpu_count

    def worth(self) -> Price | None:
        """Return what a day of running is worth here, in the order's currency; None without a rate."""
        try:
            return self.target.worth.for_server(self.gpus, self.price.currency, self.rates)
        except NoRate:
            return None

    def creation_fee(self) -> Decimal:
        """Return what a creation costs, in the order's currency; 0 where it cannot be said."""
        currency = self.price.currency
        if not self.creation_fee_usd or not self.rates.knows(currency):
            return Decimal(0)
        return self.rates.from_usd(self.creation_fee_usd, currency).amount

    def usual_drop(self, now: datetime) -> Decimal:
        """Return how far one lowering goes from here, in the order's currency per day."""
        return price_rules.usual_drop(self.price, self.floor, self.steps, now)


def position(holding: Holding, target: Target, view: View, policy: Policy, now: datetime) -> Position:
    """Return the position of one order as the view shows it."""
    order = holding.order
    listing = view.marketplace.listings.get(order.server)
    seen = view.books.get(order.server)
    book = None if seen is None else seen.book
    rates = view.rates if book is None else book.rates.over(view.rates)
    currency = order.price.currency
    limit = target.limit(on_demand=order.kind is OrderKind.ON_DEMAND)
    ceiling, cap = _limits(holding, listing, target, limit, view, policy)
    rival = floor = needed = None
    if book is not None:
        floor = book.floor.get(currency)
        if floor is None and listing is not None:
            floor = listing.spot_floor.get(currency)
    if book is not None and book.valued(rates):
        rival = book.best_rival(rates, view.holdings)
        needed = _needed(rival, floor, currency, rates=rates, ticks=target.margin_ticks)
        if rival is None and floor is None:
            needed = _floor_elsewhere(book, listing, currency, view.sure_rates(now))
    offer = None if book is None else book.offer_of(order.order)
    price = _standing(holding, offer, seen)
    return Position(
        holding=holding,
        target=target,
        price=price,
        listing=listing,
        book=book,
        book_at=None if seen is None else seen.at,
        outbid_reads=0 if seen is None else seen.outbid_reads,
        offer=offer,
        rival=rival,
        floor=floor,
        needed=needed,
        ceiling=ceiling,
        cap=cap,
        opens_at=price_rules.next_lowering_at(holding.clock, view.rules),
        lowest=price_rules.lowest_allowed(price, floor, view.steps, now),
        raises=tuple(r.at for r in view.raises if r.order == order.order),
        rates=rates,
        stance=view.stance_of(target, order.server, now, standing=True),
        steps=view.steps,
        creation_fee_usd=view.creation_fee_usd,
        answers=answers.known(holding, view, now) if isinstance(target.bidding, AdaptiveParams) else (),
        handover_until=handover.until(holding, seen, rates, view.holdings),
        pushes=_pushes(order.order, view),
    )


def _pushes(order: OrderId, view: View) -> int:
    own = (raised for raised in reversed(view.raises) if raised.order == order)
    return sum(1 for _ in takewhile(lambda raised: not raised.beaten, own))


def _limits(
    holding: Holding,
    listing: Listing | None,
    target: Target,
    limit: Ceiling,
    view: View,
    policy: Policy,
) -> tuple[Price | None, Price | None]:
    """Return ceiling and cap in the order's currency; None where they cannot be said."""
    price, currency = holding.order.price, holding.order.price.currency
    # A host may hide a server while we rent it: then it has the GPUs that it had.
    gpus = holding.work.gpus if listing is None else listing.specs.gpu_count
    try:
        # The newest rates, not the book's: the ceiling is a promise about now.
        ceiling = limit.for_server(gpus, currency, view.rates)
    except NoRate:
        return None, None
    untold = listing is None and holding.order.gpu_count is None
    if untold and limit.per is Per.GPU and gpus == 1 and price > ceiling:
        return None, None  # it has one GPU, or was never listed since we know of it and has more
    if policy.rails.allow_above_on_demand:
        return ceiling, ceiling
    payable = selection.payable(target, view.wallets) | {currency}
    return ceiling, quotes.on_demand_cap(listing, ceiling, view.rates, payable)


def _standing(holding: Holding, offer: Offer | None, seen: BookSeen | None) -> Price:
    price = holding.order.price
    if offer is None or seen is None or seen.at <= holding.last_seen_at or holding.outdates(seen.at):
        return price
    return offer.price if offer.price.currency == price.currency else price


def _floor_elsewhere(
    book: Book, listing: Listing | None, currency: Currency, rates: Rates
) -> Price | None:
    """Return what the host's cheapest floor in another currency comes to in ours; None without a rate.

    A host may cease to list our currency while our order runs: nobody would know to where it may come
    down. Some price lists name what the host does not take (trap 3).
    """
    listed = book.floor.values() if listing is None else {**listing.spot_floor, **book.floor}.values()
    known = [
        p for p in listed if rates.knows(p.currency) and (listing is None or listing.takes(p.currency))
    ]
    if not known or not rates.knows(currency):
        return None
    return rates.convert(min(known, key=rates.to_usd), currency).rounded_up()


def _needed(
    rival: Offer | None, floor: Price | None, currency: Currency, *, rates: Rates, ticks: int
) -> Price | None:
    above = None
    if rival is not None:
        if not rates.knows(currency):
            return None
        above = quotes.above(rival, currency, rates, ticks=ticks)
    if above is None:
        return floor
    return above if floor is None else max(above, floor)
