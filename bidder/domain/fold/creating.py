"""Creations of which no order comes: how many in a row, what was answered last, and when to try again.

Each of them by itself may be an accident, and the next server is tried. Several in a row are none: the
exchange, the account or the launch is at fault, and trying on at the pace that the rails allow mends
nothing. So a target that has lost some waits, each time for longer, and so does a server.
"""

from collections.abc import Iterable
from dataclasses import replace
from datetime import datetime

from bidder.domain.fold.outcomes import set_back
from bidder.domain.intents import Intent, IntentKind, Settled, Verdict
from bidder.domain.view import InVain, View

# So many lost in a row are no accident any more: of a target anywhere, or of all targets on a server.
_LOST_BY_TARGET, _LOST_ON_SERVER = 3, 2
# In minutes; each pause is twice the last one. A target's other servers may be in order.
_FIRST_OF_TARGET, _LONGEST_OF_TARGET = 2, 15
_FIRST_OF_SERVER, _LONGEST_OF_SERVER = 5, 30


def answered_with(view: View, target: str | None, says: str) -> View:
    """Fold what was answered to a creation of which our orders will tell what came."""
    return _noted(view, target, replace(_of(view, target), says=says))


def came_to_nothing(view: View, target: str | None, says: str) -> View:
    """Fold a creation of which no order comes, for certain."""
    before = _of(view, target)
    return _noted(view, target, replace(before, count=before.count + 1, says=says))


def settled(view: View, verdicts: Iterable[Verdict], now: datetime) -> View:
    """Fold which creations have made an order and which were lost; ``view.lost`` knows of them."""
    for verdict in verdicts:
        intent = verdict.intent
        if intent.creates and verdict.settled is Settled.ADOPTED:
            kept = {name: each for name, each in view.in_vain.items() if name != intent.target}
            view = replace(view, in_vain=kept)
        elif verdict.settled is Settled.LOST:
            view = _lost(view, intent, now)
    return view


def _lost(view: View, intent: Intent, now: datetime) -> View:
    before = _of(view, intent.target)
    lost = replace(before, count=before.count + 1, lost=before.lost + 1)
    view = _noted(view, intent.target, lost)
    if lost.lost >= _LOST_BY_TARGET and intent.target is not None:
        minutes = _pause(_FIRST_OF_TARGET, lost.lost - _LOST_BY_TARGET, _LONGEST_OF_TARGET)
        why = f"no order came of {lost.lost} creations in a row"
        view = set_back(view, why, now=now, minutes=minutes, target=intent.target)
    here = sum(each.server == intent.server for each in view.lost)
    # A job that is short of time may have no other server to rent on demand.
    if here >= _LOST_ON_SERVER and intent.kind is IntentKind.PLACE:
        minutes = _pause(_FIRST_OF_SERVER, here - _LOST_ON_SERVER, _LONGEST_OF_SERVER)
        why = f"no order came of {here} creations there"
        view = set_back(view, why, now=now, minutes=minutes, server=intent.server)
    return view


def _pause(first: int, doublings: int, longest: int) -> int:
    return min(first << min(doublings, 10), longest)


def _of(view: View, target: str | None) -> InVain:
    return view.in_vain.get(target or "", InVain())


def _noted(view: View, target: str | None, known: InVain) -> View:
    return replace(view, in_vain={**view.in_vain, target or "": known})
