"""Commands that the owner left for the daemon: turned into decisions, and answered when done.

An outcome starts with ``done:`` or ``failed:``; whoever posted the command reads it.
"""

import json
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any

from bidder.app import observation, snapshot
from bidder.domain.actions import Decision, Reason, Withdraw
from bidder.domain.ids import OrderId, on_paper, spelled
from bidder.domain.intents import IntentState, candidates
from bidder.domain.policy import Mode
from bidder.domain.view import View
from bidder.errors import ExchangeError, InDoubt, InvalidToken, NotSent, RateLimited
from bidder.exchange.client import ExchangeClient
from bidder.store.records import Request

DONE = "done: "
FAILED = "failed: "
# Nothing came back from the exchange that means anything: the same may do in a moment.
UNREACHED = FAILED + "unreached: "

_URGENT = 100
_RESUMED = FAILED + "trading was resumed before every order was cancelled; those that are left stay"
_NOT_ON_PAPER = (
    FAILED
    + "it is a real order and mode is paper, which sends nothing that changes anything; set mode: live"
)
# One request to the exchange each, carried out in a pass of its own.
ERRANDS = frozenset({"wallets", "my_servers", "server_config", "set_server_settings"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Heard:
    """What the waiting commands ask for now.

    ``withdrawals`` are to be carried out first; ``errands`` are single requests to the exchange;
    ``paused`` is the new state of trading or None; ``finished`` pairs each command that is done
    with its outcome.
    """

    withdrawals: tuple[Decision, ...] = ()
    errands: tuple[Request, ...] = ()
    paused: bool | None = None
    finished: tuple[tuple[Request, str], ...] = ()


def hear(requests: Iterable[Request], view: View, mode: Mode, now: datetime) -> Heard:
    """Return what the commands ask of the present view."""
    withdrawals: list[Decision] = []
    errands: list[Request] = []
    finished: list[tuple[Request, str]] = []
    paused: bool | None = None
    requests = tuple(requests)
    resumed = max((place for place, each in enumerate(requests) if each.kind == "resume"), default=-1)
    for place, request in enumerate(requests):
        match request.kind:
            case "pause":
                paused = True
                finished.append((request, DONE + "trading is paused"))
            case "resume":
                paused = False
                finished.append((request, DONE + "trading goes on"))
            case "cancel":
                outcome, decision = _cancel(request, view, mode)
                withdrawals += [decision] if decision is not None else []
                finished += [(request, outcome)] if outcome is not None else []
            case "cancel_all":
                outcome, decisions = _cancel_all(view)
                if place < resumed:
                    # Whoever lets trading go on wants the orders that are left.
                    finished.append((request, outcome or _RESUMED))
                    continue
                paused = True
                withdrawals += decisions
                finished += [(request, outcome)] if outcome is not None else []
            case "observe":
                finished.append((request, _observed(view, mode, now)))
            case kind if kind in ERRANDS:
                errands.append(request)
            case other:
                finished.append((request, f"{FAILED}no such command {other!r}"))
    free = tuple(d for d in withdrawals if may_go(d, view))
    return Heard(withdrawals=free, errands=tuple(errands), paused=paused, finished=tuple(finished))


def may_go(ordered: Decision, view: View) -> bool:
    """Return whether an ordered cancellation may be sent now.

    Not while another request on its server is under way. But where several orders may have come of one
    creation it is just what is waited for: the owner says which of them goes.
    """
    return ordered.server is None or view.under_way_on(ordered.server) is None


async def run_errand(request: Request, client: ExchangeClient) -> str:
    """Carry out one request to the exchange and return its outcome.

    Raises:
        InvalidToken: the exchange refused the token; trading ends.
    """
    try:
        return DONE + json.dumps(await _answer(request, client))
    except InvalidToken:
        raise
    except InDoubt as exc:
        doubt = "; it may have been carried out" if request.kind == "set_server_settings" else ""
        return f"{FAILED}{exc}{doubt}" if doubt else f"{UNREACHED}{exc}"
    except (NotSent, RateLimited) as exc:
        return f"{UNREACHED}{exc}"
    except (ExchangeError, KeyError, TypeError, ValueError, ArithmeticError) as exc:
        return f"{FAILED}{exc}"


async def _answer(request: Request, client: ExchangeClient) -> Any:
    argument = request.argument if isinstance(request.argument, dict) else {}
    match request.kind:
        case "wallets":
            return [snapshot.wallet(wallet) for wallet in await client.wallets()]
        case "my_servers":
            return [snapshot.hosted(server) for server in await client.my_servers()]
        case "server_config":
            return [snapshot.hosted(await client.server_config(str(argument["name"])))]
        case _:
            await client.set_server_settings(
                str(argument["name"]),
                availability=bool(argument["availability"]),
                mrl_hours=int(argument["mrl_hours"]),
                on_demand=Decimal(argument["on_demand"]),
                spot=Decimal(argument["spot"]),
            )
            return []


def _observed(view: View, mode: Mode, now: datetime) -> str:
    if view.completed_at is None or view.marketplace_at is None:
        return FAILED + "the daemon has only just started and has not read the market yet; try again"
    return DONE + observation.written(observation.Observation(at=now, mode=mode, view=view))


def _cancel(request: Request, view: View, mode: Mode) -> tuple[str | None, Decision | None]:
    order = order_of(request)
    if order is None:
        return FAILED + "not an order number", None
    if order in view.holdings:
        if mode is Mode.PAPER and not on_paper(order):
            return _NOT_ON_PAPER, None
        return None, _withdrawal(order, view)
    if order in view.ended:
        return f"{DONE}order {spelled(order)} is over", None
    if view.completed_at is None:
        return None, None  # our orders have not been read yet
    return f"{FAILED}order {spelled(order)} is not known", None


def _cancel_all(view: View) -> tuple[str | None, list[Decision]]:
    if view.completed_at is None:
        return None, []
    live = [holding.order for holding in view.holdings.values()]
    # Which of them came of it nobody can say, and none is to be left running.
    unclear = [intent for intent in view.intents if intent.state is IntentState.AMBIGUOUS]
    perhaps = {order for intent in unclear for order in candidates(intent, live)}
    ours = [o.order for o in live if view.holdings[o.order].ours or o.order in perhaps]
    # A creation that waits for a person waits for nothing once none of its orders is alive.
    if not ours and len(unclear) == len(view.intents):
        return DONE + "every order is cancelled, trading is paused", []
    return None, [_withdrawal(order, view) for order in ours]


def order_of(request: Request) -> OrderId | None:
    """Return the order that a command speaks of; None where it names none."""
    argument = request.argument
    if isinstance(argument, dict):
        argument = argument.get("order")
    return OrderId(argument) if isinstance(argument, int) and not isinstance(argument, bool) else None


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
