"""One server's book: who bids, who runs, and what the host asks.

First price: one offer is active and pays its own bid. Offers in several currencies stand in one
book and are compared in USD at the exchange's present rates.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import TYPE_CHECKING, Literal

from bidder.sim.rules import Rules
from bidder.sim.world import Listing

if TYPE_CHECKING:
    from bidder.sim.rivals import Rival

ClockEvent = Literal["creation", "raise", "lowering"]


@dataclass(slots=True, eq=False, kw_only=True)
class Order:
    """One offer or rental, ours or a rival's. Times are microseconds, prices per day and server."""

    order_id: int
    server_id: int
    currency: str
    price: Decimal
    spot: bool
    mine: bool
    created_at: int
    ends_at: int
    priced_at: int
    fee_percent: Decimal = Decimal(0)
    creation_fee: Decimal = Decimal(0)
    image: str = ""
    tcp_ports: tuple[str, ...] = ()
    http_port: str | None = None
    listed_from: int = 0  # when my_orders begins to show it
    active: bool = False
    won_at: int = 0  # when it came to be the best offer, before it runs
    ended_at: int | None = None
    end_reason: str = ""
    # The lowering clock.
    lowering_opens_at: int = 0
    clock_started_by: ClockEvent | None = None
    # Billing: `charged` is the spend in price x microseconds of a day (billing.py).
    billed_until: int = 0
    minute_price: Decimal = Decimal(0)
    charged: Decimal = Decimal(0)
    rival: "Rival | None" = None

    @property
    def live(self) -> bool:
        """Return whether it still stands, active or waiting."""
        return self.ended_at is None


@dataclass(slots=True, eq=False, kw_only=True)
class Stall:
    """One server's place in the market: what its host offers now, and its book."""

    listing: Listing
    on_demand: dict[str, Decimal]
    floor: dict[str, Decimal]
    rented: bool = False  # on demand, by a stranger or by `tenant`
    tenant: Order | None = None  # our own on-demand rental
    online: bool = True
    visibility: str = "public"
    hosted_by_us: bool = False
    mrl_hours: int = 0
    offers: list[Order] = field(default_factory=list)
    active: Order | None = None
    heir: Order | None = None  # it has won, and `active` is still to follow
    fragment: bytes | None = None  # its part of the marketplace answer, while that holds

    @property
    def server_id(self) -> int:
        """Return the server's number."""
        return self.listing.server_id

    @property
    def open_to_bids(self) -> bool:
        """Return whether a bid can run here now."""
        return self.online and not self.rented and self.visibility == "public"


def winner(stall: Stall, rates: Mapping[str, Decimal], rules: Rules) -> Order | None:
    """Return the offer that should run on this server now, or None."""
    offers = stall.offers
    if not offers or not stall.open_to_bids:
        return None
    best = offers[0] if len(offers) == 1 else _best(stall, rates, rules)
    holder = stall.active
    if holder is None or best is holder or not holder.live:
        return best
    lead = best.price * rates[best.currency] - holder.price * rates[holder.currency]
    if lead < rules.least_increment_usd or (lead == 0 and rules.tie == "incumbent"):
        return holder
    return best


def highest_rival_usd(stall: Stall, rates: Mapping[str, Decimal]) -> Decimal | None:
    """Return the highest bid on this server that is not ours, in USD per day, or None."""
    bids = [offer.price * rates[offer.currency] for offer in stall.offers if not offer.mine]
    return max(bids, default=None)


def _best(stall: Stall, rates: Mapping[str, Decimal], rules: Rules) -> Order:
    by_price = rules.tie != "earlier_offer"

    def rank(offer: Order) -> tuple[Decimal, int, int]:
        since = offer.priced_at if by_price else offer.created_at
        return (offer.price * rates[offer.currency], -since, -offer.order_id)

    return max(stall.offers, key=rank)
