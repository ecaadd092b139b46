"""What would be done from here on if nothing else happened: deciding, with each deed taken for done.

A pass does one thing and decides anew. Here each action is taken to be under way at once, so that the
next empty slot is planned as well. The same ``planning.plan`` decides: no rule is written twice.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from bidder.domain import fold, planning
from bidder.domain.actions import Decision, Reprice, Withdraw
from bidder.domain.ids import ServerId
from bidder.domain.intents import Intent, kind_of
from bidder.domain.policy import Policy
from bidder.domain.view import View


@dataclass(frozen=True, slots=True, kw_only=True)
class Foresight:
    """The actions in the order in which they would be sent, and what is held meanwhile.

    ``undecided`` are decisions that a fresh book would settle; they are holds as well.
    """

    actions: tuple[Decision, ...]
    holds: tuple[Decision, ...]
    undecided: tuple[Decision, ...]


def foresee(
    view: View,
    policy: Policy,
    now: datetime,
    planned: Sequence[Decision] = (),
    *,
    decide: planning.Plan = planning.plan,
) -> Foresight:
    """Return what ``decide`` would do, with ``planned`` taken to be under way already."""
    actions = list(planned)
    while True:
        decisions = decide(under_way(view, actions, now), policy, now)
        servers = {d.server for d in actions}
        chosen = next((d for d in decisions if d.action is not None), None)
        if chosen is None or chosen.server in servers:
            break
        actions.append(chosen)
    return Foresight(
        actions=tuple(actions),
        holds=tuple(d for d in decisions if d.server is None or d.server not in servers),
        undecided=tuple(d for d in decisions if asks_now(d, now) is not None),
    )


def asks_now(decision: Decision, now: datetime) -> ServerId | None:
    """Return the server whose book would decide this at once; None where none would."""
    waits = decision.due is not None and decision.due > now
    return None if waits else decision.wants_book


def under_way(view: View, planned: Sequence[Decision], now: datetime) -> View:
    """Return the view as it would be once these actions were under way."""
    # As old as our orders, so that no rule waits for orders that are newer.
    opened_at = view.orders_at or now
    for number, decision in enumerate(planned, start=1):
        action = decision.action
        if action is None:
            continue
        intent = Intent(
            id=-number,
            kind=kind_of(action),
            server=action.server,
            target=action.target,
            order=action.order if isinstance(action, Reprice | Withdraw) else None,
            price=None if isinstance(action, Withdraw) else action.price,
            previous_price=None,
            known_orders=fold.known_orders(view, action.server),
            opened_at=opened_at,
        )
        view = fold.opened(view, intent, opened_at)
    return view
