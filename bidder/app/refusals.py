"""The owner's cancellations that the exchange refused: when to try them again, when to give up."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from bidder.app import commands
from bidder.domain.ids import OrderId
from bidder.domain.view import Holding, View
from bidder.store.records import Request

_AGAIN = timedelta(seconds=60)
# One that was not even looked at comes again sooner, but lets reads in between.
_UNHEARD_AGAIN = timedelta(seconds=10)


@dataclass(frozen=True, slots=True, kw_only=True)
class Refusal:
    """How the exchange refused the cancellation that the owner asked for.

    ``error`` is None where it was too busy to look at it; ``heard`` is the newest command that was
    known at that time, so that one of a later number asks anew, whoever's clock dates it.
    """

    at: datetime
    error: str | None
    heard: int

    @property
    def again_at(self) -> datetime:
        """Return when the same command may be tried again."""
        return self.at + (_UNHEARD_AGAIN if self.error is None else _AGAIN)


@dataclass(slots=True)
class Refusals:
    """The latest refusal of each order's cancellation."""

    by_order: dict[OrderId, Refusal] = field(default_factory=dict)
    _heard: int = 0  # the number of the newest command

    def note(self, order: OrderId, *, error: str | None, at: datetime) -> None:
        """Take note of a refusal."""
        self.by_order[order] = Refusal(at=at, error=error, heard=self._heard)

    def resting(self, now: datetime) -> set[OrderId]:
        """Return the orders whose cancellation waits: asking each second mends nothing."""
        return {order for order, refusal in self.by_order.items() if now < refusal.again_at}

    def forget(
        self, requests: Iterable[Request], holdings: Mapping[OrderId, Holding], now: datetime
    ) -> None:
        """Forget what holds nothing back: the owner asked anew since, or the order is over."""
        requests = tuple(requests)
        for order, refusal in tuple(self.by_order.items()):
            meant = [r.id for r in requests if r.kind == "cancel_all" or commands.order_of(r) == order]
            anew = any(number > refusal.heard for number in meant)
            over = not meant and refusal.again_at <= now
            if anew or over or order not in holdings:
                del self.by_order[order]
        self._heard = max((self._heard, *(request.id for request in requests)))

    def final(self, request: Request, view: View) -> str | None:
        """Return the answer to a cancellation that was refused although the order lives, or None."""
        order = commands.order_of(request) if request.kind == "cancel" else None
        refusal = self.by_order.get(order) if order is not None else None
        holding = view.holdings.get(order) if order is not None else None
        if refusal is None or refusal.error is None or holding is None:
            return None
        read_since = view.orders_at is not None and view.orders_at > refusal.at
        return f"{commands.FAILED}{refusal.error}" if read_since and not holding.missing_reads else None
