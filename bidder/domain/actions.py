"""What may be done, and why: actions and decisions as values.

An action is a request that changes something; ``Hold`` is the decision to send none. A ``Decision``
always carries its reason and the facts it rests on, also when it holds, so that ``explain`` never
has to guess. Facts are text and numbers that may be shown to anybody: never a secret.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import TYPE_CHECKING

from bidder.domain.ids import OrderId, ServerId
from bidder.domain.money import Price, Rates
from bidder.domain.policy import Launch, Target

if TYPE_CHECKING:
    from bidder.domain.positions import Position
    from bidder.domain.quotes import Quote
    from bidder.domain.stances import Stance


@dataclass(frozen=True, slots=True, kw_only=True)
class PlaceBid:
    """Create a spot order on a server."""

    server: ServerId
    price: Price
    target: str
    launch: Launch


@dataclass(frozen=True, slots=True, kw_only=True)
class RentOnDemand:
    """Create an on-demand order that starts only at ``price`` (``required_price``)."""

    server: ServerId
    price: Price
    target: str
    launch: Launch


@dataclass(frozen=True, slots=True, kw_only=True)
class Reprice:
    """Raise or lower a standing bid from ``current`` to ``price``."""

    order: OrderId
    server: ServerId
    current: Price
    price: Price
    target: str

    @property
    def lowers(self) -> bool:
        """Return whether this is a mark-down, to which the 600-second rule applies."""
        return self.price < self.current


@dataclass(frozen=True, slots=True, kw_only=True)
class Withdraw:
    """Cancel an order."""

    order: OrderId
    server: ServerId
    target: str | None


Action = PlaceBid | RentOnDemand | Reprice | Withdraw


class Reason(StrEnum):
    """Why a decision was taken. The texts are stored and shown; they are part of the interface."""

    # to act
    EMPTY_SLOT = "empty_slot"  # fewer orders than wanted, and this server is the best choice
    OUTBID = "outbid"  # a rival runs instead of us, and a raise wins it back within the ceiling
    MARK_DOWN = "mark_down"  # the bid can come down toward the best rival or the floor
    ABOVE_CEILING = "above_ceiling"  # the bid stands above its ceiling and must come down or go
    FIXED_PRICE = "fixed_price"  # the strategy names the price
    MOVE = "move"  # another server is cheaper after the creation fee
    WAR = "war"  # a rival answers every raise; leave
    RECREATE = "recreate"  # cancelled to be created again lower: the walk down would cost more
    RENEW = "renew"  # the order ends soon; its successor takes over
    SURPLUS = "surplus"  # more orders than wanted
    UNWANTED = "unwanted"  # it waits where the owner's lists allow no order any more
    STILL_ALIVE = "still_alive"  # the exchange said that it was cancelled, and it runs on
    SERVER_LOST = "server_lost"  # rented on demand, offline or gone; look elsewhere
    WORKLOAD_DEAD = "workload_dead"  # it is paid, and its probe finds nothing alive
    ORDERED = "ordered"  # the owner commanded it
    DEADLINE = "deadline"  # a job would be late without an on-demand server; or it is kept for that
    SPOT_AGAIN = "spot_again"  # a spot server runs and takes over from an on-demand one
    SLACK = "slack"  # a job has time enough to wait for spot servers, without an on-demand one
    JOB_DONE = "job_done"  # the job has all of its GPU-hours
    SHUTDOWN = "shutdown"  # the configuration asks for cancelling on exit
    BUDGET_SPENT = "budget_spent"  # a budget of the owner's is spent, until its period ends
    UNATTENDED = "unattended"  # the daemon has been silent for too long; `bidder guard` looks after it
    # to hold
    WORKLOAD_ALIVE = "workload_alive"  # its probe finds it alive again
    WINNING = "winning"  # active, and no cheaper bid is possible or worth its slot
    CLOCK = "clock"  # the way down opens at a known moment
    PATIENCE = "patience"  # outbid, waiting out the blip
    CONFIRMING = "confirming"  # a second read must agree first
    HANDOVER = "handover"  # on top; the exchange may yet take a while to let it run
    WAR_PAUSE = "war_pause"  # left a bidding war, waiting
    TOO_EXPENSIVE = "too_expensive"  # what it takes is above the ceiling
    PACED = "paced"  # below the ceiling, and still too dear for the money to last its day or month
    NOT_WORTH_IT = "not_worth_it"  # it could be won, but too near its value to be worth a start
    NO_CANDIDATE = "no_candidate"  # no server on the marketplace qualifies below the ceiling
    STALE = "stale"  # what we know is too old to act on
    NO_RATE = "no_rate"  # a currency has no rate to USD
    IN_DOUBT = "in_doubt"  # an earlier request's outcome is not known yet
    FROZEN = "frozen"  # ambiguous; a person must look
    PENDING = "pending"  # accepted; not yet seen in our orders
    UNAVAILABLE = "unavailable"  # rented on demand, offline or hidden; wait
    ON_DEMAND_CHEAPER = "on_demand_cheaper"  # the spot bid would reach the on-demand price
    NO_BALANCE = "no_balance"  # the wallet does not carry it
    CHURN = "churn"  # too many creations lately
    RAIL = "rail"  # a rail of the owner forbids it
    ORDER_LIMIT = "order_limit"  # the account's limit of active orders is reached
    PAUSED = "paused"  # trading is paused by command
    REFUSED = "refused"  # the exchange refused this lately; waiting before another try
    STRATEGY_FAILED = "strategy_failed"  # the owner's own strategy gave no answer that can be used


Fact = str | int | float | bool | None
# Of a decision that these facts are in, a rail or a move had the last word.
OVERRULED = frozenset({"wanted_to", "because"})
# What looking around, a rail that keeps an order from another server, and pacing add to a decision that
# stands.
ASIDE = frozenset({"looking_at", "kept_from", "kept_by", "multiplier"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """One target's or position's verdict in a pass.

    ``action`` None means hold. ``due`` is when a held decision changes by itself (a clock opens, a
    wait ends). ``urgency`` orders what competes for the one request of a pass: higher goes first.
    ``wants_book`` names the server whose fresh book would let this be decided, from ``due`` on where
    that is set; ``wants_orders`` says the same of our orders, ``wants_marketplace`` of the marketplace,
    which no strategy asks for, so that it is no part of the text of a verdict. ``toward`` is where a
    walk down leads, of which the action is the first step and a hold the wait for it. ``asked`` is what
    a strategy was asked for it, and no part of what it says.
    """

    target: str | None
    reason: Reason
    action: Action | None = None
    server: ServerId | None = None
    order: OrderId | None = None
    due: datetime | None = None
    urgency: int = 0
    wants_book: ServerId | None = None
    wants_orders: bool = False
    wants_marketplace: bool = field(default=False, repr=False)
    toward: Price | None = None
    facts: Mapping[str, Fact] = field(default_factory=dict)
    asked: "Asked | AskedToOpen | None" = field(default=None, compare=False, repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """What a strategy was asked about a standing bid, and its verdict before any move or rail."""

    position: "Position"
    now: datetime
    verdict: Decision


@dataclass(frozen=True, slots=True, kw_only=True)
class AskedToOpen:
    """What a strategy was asked about a new bid, and the price that it named."""

    quote: "Quote"
    target: Target
    rates: Rates
    stance: "Stance"
    gpus: int
    answer: Price | str | None  # text: why it failed
