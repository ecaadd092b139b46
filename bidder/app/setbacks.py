"""What a refusal corrects: a rule that was learnt, or what is left alone for a while.

The pauses are ours. They are long enough not to hammer, short enough that a passing condition (a server
back from an outage) is not missed for the night. A refusal rules out no more than it speaks of.
"""

from dataclasses import dataclass
from datetime import datetime

from bidder.domain import fold
from bidder.domain.actions import Action, PlaceBid, RentOnDemand, Reprice, Withdraw
from bidder.domain.view import View
from bidder.errors import (
    CurrencyNotAllowed,
    InvalidEndpoint,
    InvalidRequest,
    InvalidToken,
    LoweredTooSoon,
    NotEnoughBalance,
    OrderExists,
    OrderGone,
    OtherRefusal,
    PriceMoved,
    PriceTooLow,
    RateLimited,
    Refused,
    ServerBarred,
    ServerOffline,
    ServerTaken,
    StepExceeded,
)

# So many servers that refuse with the same words, which we do not know, may speak of the account or of
# what is launched, not of themselves: after as many refusals the target waits.
_ALIKE = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class _Growing:
    """A pause of a server in minutes, twice as long each time that it says the same."""

    first: float
    longest: float


_UNKNOWN = _Growing(first=30, longest=24 * 60)
_MOVED = _Growing(first=0.25, longest=2)


def after_refusal(view: View, action: Action, refusal: Refused, now: datetime) -> View:
    """Return the view as a refusal corrects it: learnt rules, or a pause before another try."""
    match refusal:
        case RateLimited() | InvalidToken():
            return view
        case LoweredTooSoon(time_to_lowering=wait) if isinstance(action, Reprice):
            return fold.lowered_too_soon(view, action, wait_seconds=wait, now=now)
        case StepExceeded(max_step=max_step) if isinstance(action, Reprice):
            return fold.step_exceeded(view, action, max_step=max_step, now=now)
        case PriceTooLow(min_price=least) if not isinstance(action, Withdraw):
            return fold.floor_raised(view, action.server, action.price, min_price=least, now=now)
    says = refusal.error or type(refusal).__name__
    if isinstance(action, Reprice | Withdraw):
        # Most likely it has ended; the next read of our orders tells.
        gone = isinstance(refusal, OrderGone)
        if isinstance(action, Withdraw):
            view = fold.not_cancelled_again(view, action.order, now)
        return fold.set_back(view, says, now=now, minutes=1, order=action.order, asks_orders=gone)
    return _not_created(view, action, refusal, says, now)


def _not_created(
    view: View, action: PlaceBid | RentOnDemand, refusal: Refused, says: str, now: datetime
) -> View:
    match refusal:
        case CurrencyNotAllowed():
            currency = action.price.currency
            return fold.not_taken_there(view, says, server=action.server, currency=currency, now=now)
        case NotEnoughBalance():
            # Another wallet may hold enough, for this target or the next one, or this one for less.
            return fold.wallet_too_small(view, says, price=action.price, now=now)
        case InvalidRequest():
            # The same launch would be refused everywhere: do not try it on every server in turn.
            return fold.set_back(view, says, now=now, minutes=10, target=action.target)
        case InvalidEndpoint():
            return fold.set_back(view, says, now=now, minutes=10)
        case ServerBarred():
            return fold.set_back(view, says, now=now, minutes=6 * 60, server=action.server)
        case OrderExists():
            return fold.set_back(view, says, now=now, minutes=10, server=action.server, asks_orders=True)
    if isinstance(action, RentOnDemand):
        return _not_rented(view, action, refusal, says, now)
    if isinstance(refusal, ServerTaken | ServerOffline):
        return fold.set_back(view, says, now=now, minutes=10, server=action.server)
    return _refused_unknown(view, action, says, now)


def _not_rented(view: View, action: RentOnDemand, refusal: Refused, says: str, now: datetime) -> View:
    """Return the view after a rental was refused that a job may need: it may have no other server.

    It is taken, or its price has changed, as the next read of the marketplace tells.
    """
    if price_moved(action, refusal):
        # The marketplace is read before the next try, which then names the new price.
        return _longer(view, says, action, _MOVED, now)
    return fold.set_back(view, says, now=now, minutes=2, server=action.server)


def price_moved(action: Action, refusal: Refused) -> bool:
    """Return whether an order was not created because of its price.

    A rental also in words of which we know no more: its price is required to be that which is listed.
    """
    if not isinstance(action, RentOnDemand):
        return isinstance(action, PlaceBid) and isinstance(refusal, PriceTooLow)
    told = refusal.error if isinstance(refusal, OtherRefusal) else None
    return isinstance(refusal, PriceMoved) or "price" in (told or "")


def _refused_unknown(view: View, action: PlaceBid, says: str, now: datetime) -> View:
    """Return the view after a refusal in words that we do not know: the server waits, or its target.

    It may be the account's, and then each further server says the same; or it is that of some servers
    only, which happen to be the cheapest. So a few more are tried after each pause of the target.
    """
    view = _longer(view, says, action, _UNKNOWN, now)
    alike = [s.times for s in view.setbacks if s.server is not None and s.reason == says]
    if len(alike) < _ALIKE or sum(alike) % _ALIKE:
        return view
    return fold.set_back(view, says, now=now, minutes=10, target=action.target)


def _longer(
    view: View, says: str, action: PlaceBid | RentOnDemand, pause: _Growing, now: datetime
) -> View:
    return fold.set_back_longer(
        view, says, now=now, first=pause.first, longest=pause.longest, server=action.server
    )
