"""What winning a server takes: the smallest bid that beats every rival and the floor, and its limit."""

from collections.abc import Iterable
from dataclasses import dataclass
from decimal import Decimal

from bidder.domain.ids import OrderId
from bidder.domain.market import Book, Listing, Offer
from bidder.domain.money import Currency, Price, Rates
from bidder.domain.policy import Target
from bidder.domain.purse import Purse

# Rates were seen to wander by some tenths of a percent within the ten minutes of a lowering's clock.
_RATE_MARGIN = Decimal("0.003")


@dataclass(frozen=True, slots=True, kw_only=True)
class Quote:
    """What it takes to win a server now, in one currency.

    ``needed`` is the smallest sufficient bid: above the best rival, at least the floor.
    ``ceiling`` is the target's, for this server in this currency; ``cap`` is the price above which
    no bid may go: the ceiling, or the on-demand price where that is lower. ``carried`` tells whether
    the wallet could pay it for a while.
    """

    needed: Price
    ceiling: Price
    cap: Price
    floor: Price
    usd: Decimal
    rival: Offer | None
    carried: bool = True


def quote(
    listing: Listing | None,
    book: Book,
    target: Target,
    rates: Rates,
    currencies: Iterable[Currency],
    *,
    gpus: int,
    margin_ticks: int = 1,
    own: frozenset[OrderId] = frozenset(),
    purse: Purse | None = None,
) -> Quote | None:
    """Return the cheapest sufficient bid over the currencies; None where it cannot be known.

    With a ``purse``, a currency that carries its bid goes before any that does not. The bid may be
    above the ceiling: the caller decides. Raises NoRate when a rival's bid cannot be valued.
    """
    rival = book.best_rival(rates, own)
    best: Quote | None = None
    for currency in currencies:
        if not rates.knows(currency) or (listing is not None and not listing.takes(currency)):
            continue
        floor = book.floor.get(currency)
        if floor is None and not book.floor and listing is not None:
            floor = listing.spot_floor.get(currency)
        if floor is None:
            continue
        needed = above(rival, currency, rates, ticks=margin_ticks)
        needed = floor if needed is None or needed < floor else needed
        usd = rates.to_usd(needed)
        carried = purse is None or purse.carries(needed)
        if best is None or (not carried, usd) < (not best.carried, best.usd):
            ceiling = target.ceiling.for_server(gpus, currency, rates)
            best = Quote(
                needed=needed,
                ceiling=ceiling,
                cap=ceiling,
                floor=floor,
                usd=usd,
                rival=rival,
                carried=carried,
            )
    return best


def above(rival: Offer | None, currency: Currency, rates: Rates, *, ticks: int) -> Price | None:
    """Return the bid that beats ``rival`` by ``ticks`` quanta of our currency; None without one.

    Ties are settled by a rule that nobody has written down, so "above" is always strict. Against a
    bid in another currency a margin is kept, or every breath of the exchange rate would outbid us.
    """
    if rival is None:
        return None
    price = rates.convert(rival.price, currency)
    if rival.price.currency != currency:
        price = price.times(1 + _RATE_MARGIN)
    return price.ticks_up(max(1, ticks))


def on_demand_cap(
    listing: Listing | None, ceiling: Price, rates: Rates, currencies: frozenset[Currency]
) -> Price:
    """Return ``ceiling``, or the host's on-demand price where that is lower (trap 4).

    One in another currency is rounded down, but not below a floor that it reaches: the exchange names
    that to the last digit, and takes it.
    """
    if listing is None:
        return ceiling
    on_demand = listing.on_demand_usd(rates, currencies)
    if on_demand is None or not rates.knows(ceiling.currency):
        return ceiling
    cap = rates.convert(on_demand, ceiling.currency)
    if on_demand.currency != ceiling.currency:
        floor, rounded = listing.spot_floor.get(ceiling.currency), cap.rounded_down()
        cap = floor if floor is not None and rounded < floor <= cap else rounded
    return min(cap, ceiling)
