"""Commands that the owner left for the daemon: turned into decisions, and answered when done."""

from collections.abc import Iterable
from dataclasses import dataclass

from bidder.domain.actions import Decision, Reason, Withdraw
from bidder.domain.ids import OrderId
from bidder.domain.view import View
from bidder.store.records import Request

_URGENT = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class Heard:
    """What the waiting commands ask for now.

    ``withdrawals`` are to be carried out first; ``paused`` is the new state of trading or None;
    ``finished`` pairs each command that is done with its outcome.
    """

    withdrawals: tuple[Decision, ...] = ()
    paused: bool | None = None
    finished: tuple[tuple[Request, str], ...] = ()


def hear(requests: Iterable[Request], view: View) -> Heard:
    """Return what the commands ask of the present view."""
    withdrawals: list[Decision] = []
    finished: list[tuple[Request, str]] = []
    paused: bool | None = None
    for request in requests:
        match request.kind:
            case "pause":
                paused = True
                finished.append((request, "trading is paused"))
            case "resume":
                paused = False
                finished.append((request, "trading goes on"))
            case "cancel":
                order = _order_id(request)
                if order is None:
                    finished.append((request, "refused: not an order number"))
                elif order not in view.holdings:
                    text = "is over" if order in view.ended else "is not known"
                    finished.append((request, f"order {order} {text}"))
                else:
                    withdrawals.append(_withdrawal(order, view))
            case "cancel_all":
                paused = True
                ours = [h.order.order for h in view.holdings.values() if h.ours]
                if not ours and not view.intents:
                    finished.append((request, "every order is cancelled, trading is paused"))
                withdrawals += [_withdrawal(order, view) for order in ours]
            case other:
                finished.append((request, f"refused: no such command {other!r}"))
    free = [d for d in withdrawals if d.server is None or view.intent_on(d.server) is None]
    return Heard(withdrawals=tuple(free), paused=paused, finished=tuple(finished))


def _order_id(request: Request) -> OrderId | None:
    argument = request.argument
    if isinstance(argument, dict):
        argument = argument.get("order")
    return OrderId(argument) if isinstance(argument, int) else None


def _withdrawal(order: OrderId, view: View) -> Decision:
    holding = view.holdings[order]
    return Decision(
        target=holding.target,
        reason=Reason.ORDERED,
        action=Withdraw(order=order, server=holding.order.server, target=holding.target),
        server=holding.order.server,
        order=order,
        urgency=_URGENT,
    )
