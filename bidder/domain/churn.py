"""What a server costs per GPU with the restarts to be expected there, and whether a change pays.

Everything is in USD per GPU (per GPU-day where it is a rate), so that servers of all sizes and kinds
compare. A running order is worth leaving only where the money that is saved until a horizon exceeds
what the change itself costs: the work that a start loses, the creation fee, and the minutes for which
both orders are paid. Staying is charged with the walk down that is still ahead of the bid.

Rejected: a share of the price alone. It moves a cheap server for cents that a restart costs ten times
over, and leaves a dear one running for the dollars in between.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal

from bidder.domain import answers, selection
from bidder.domain.actions import Fact
from bidder.domain.costs import share_of_day
from bidder.domain.ids import ServerId
from bidder.domain.market import Listing
from bidder.domain.money import Currency, Price, to_places
from bidder.domain.policy import Target
from bidder.domain.positions import Position
from bidder.domain.purse import Purse
from bidder.domain.searching import Found
from bidder.domain.stances import walk_cost
from bidder.domain.view import View
from bidder.errors import NoRate

_HOUR = timedelta(hours=1)
_HOURS_OF_A_DAY = 24
# Both orders are paid for about as long as it takes to see that the new one runs.
_OVERLAP = timedelta(minutes=2)
_LEAST = timedelta(minutes=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """A running order's server against another one: USD per GPU until the end of ``span``.

    ``staying`` is what the order costs where it is, ``going`` what the other server does, ``churn``
    what the change itself costs; ``fee``, ``restart`` and ``overlap`` are its parts.
    """

    staying: Decimal
    going: Decimal
    fee: Decimal
    restart: Decimal
    overlap: Decimal
    span: timedelta

    @property
    def saving(self) -> Decimal:
        """Return what the other server saves, the change not counted."""
        return self.staying - self.going

    @property
    def churn(self) -> Decimal:
        """Return what the change costs."""
        return self.fee + self.restart + self.overlap

    def pays(self, margin: Decimal) -> bool:
        """Return whether more is saved than the change costs, by this share of what staying costs."""
        return self.saving > self.churn and self.saving - self.churn >= margin * self.staying

    def facts(self) -> dict[str, Fact]:
        """Return what it rests on, for the owner."""
        return {
            "saving_usd": str(to_places(self.saving, 4)),
            "churn_usd": str(to_places(self.churn, 4)),
            "horizon_hours": round(self.span / _HOUR, 1),
        }


def change(here: Position, found: Found, view: View, now: datetime, *, purse: Purse) -> Change | None:
    """Return what leaving this server for another would come to; None where it cannot be valued.

    Nothing is saved from when on the wallet that would pay there is empty.
    """
    target, there = here.target, found.listing
    old = here.holding.order.price if here.holding.runs else None
    lasts = purse.lasting(found.quote.needed, span(here, now), instead_of=old)
    stay = staying(here, view, now, until=lasts)
    value = gpu_value(target, there, view)
    if stay is None or value is None:
        return None
    gpus = max(1, there.specs.gpu_count)
    rate = lasting(here, view, now) or Decimal(0)
    return Change(
        staying=stay,
        going=found.score * share_of_day(lasts),
        fee=view.creation_fee_usd / gpus,
        restart=value * share_of_day(target.restart),
        overlap=rate * share_of_day(_OVERLAP) if target.moving.overlap else Decimal(0),
        span=lasts,
    )


def span(here: Position, now: datetime) -> timedelta:
    """Return until when a change can save anything: this order's end, the horizon at most."""
    return max(min(here.holding.order.ends_at - now, here.target.moving.horizon), _LEAST)


def lasting(here: Position, view: View, now: datetime) -> Decimal | None:
    """Return what a bid comes down to where it is, per GPU-day, restarts included.

    None where its server or a rate is not known.
    """
    price = here.price if here.needed is None or here.price < here.needed else here.needed
    if here.listing is None or not view.rates.knows(price.currency):
        return None
    war = wars(here.target, view, now).get(here.listing.server, Decimal(0))
    return selection.weigh(view.rates.to_usd(price), here.listing) + war


def staying(
    here: Position, view: View, now: datetime, *, until: timedelta | None = None
) -> Decimal | None:
    """Return what a bid costs for so long: what it comes down to, and the walk down there.

    Without ``until``, up to the horizon.
    """
    rate = lasting(here, view, now)
    if rate is None or here.listing is None:
        return None
    days = share_of_day(span(here, now) if until is None else until)
    return rate * days + _walk_usd(here, view, days, now) / max(1, here.listing.specs.gpu_count)


def _walk_usd(here: Position, view: View, days: Decimal, now: datetime) -> Decimal:
    if here.needed is None or here.price <= here.needed:
        return Decimal(0)
    over = here.price.minus(here.needed).amount
    wait = 0.0 if here.opens_at is None else max((here.opens_at - now).total_seconds(), 0.0)
    area = walk_cost(float(over), float(here.usual_drop(now)), wait)
    # Not rounded: in bitcoin a day's walk is a few of the last digits.
    most = min(Decimal(repr(area)), over * days)
    return most * view.rates.to_usd(Price(Decimal(1), here.price.currency))


def gpu_value(target: Target, listing: Listing, view: View) -> Decimal | None:
    """Return what a day of one GPU there is worth to the owner, in USD; None without a rate."""
    gpus = max(1, listing.specs.gpu_count)
    try:
        return view.rates.to_usd(target.worth.for_server(gpus, Currency.USD, view.rates)) / gpus
    except NoRate:
        return None


def wars(target: Target, view: View, now: datetime) -> Mapping[ServerId, Decimal]:
    """Return what answered bids cost per GPU-day, by server: each is a restart, and more will follow.

    As many are expected as there were within the last hour.
    """
    if not view.raises:
        return {}
    found = {}
    for server in {raised.server for raised in view.raises if now - raised.at < answers.REMEMBERED}:
        listing = view.marketplace.listings.get(server)
        value = None if listing is None else gpu_value(target, listing, view)
        count = len(answers.answered(server, view, now))
        if value is not None and count:
            found[server] = value * share_of_day(target.restart) * count * _HOURS_OF_A_DAY
    return found


def calm_at(here: Position, view: View, now: datetime) -> datetime | None:
    """Return when a fight counts less than now; None where there is none."""
    times = answers.answered(here.holding.order.server, view, now)
    return times[0] + answers.REMEMBERED if times else None
