"""What a calendar that is set means for what is known."""

from dataclasses import replace
from datetime import datetime, timedelta

from bidder.domain.view import View


def clocks_put_off(view: View, by: timedelta, *, since: datetime) -> View:
    """Return the view with each lowering clock that was closed at ``since`` opening so much later.

    For a calendar that was put forward by that much: the exchange counts the pause by its own. The
    clock of an order that is still to be listed begins with the answer to its creation.
    """
    held = dict(view.holdings)
    for order, holding in view.holdings.items():
        clock = holding.clock.put_off(by, since=since)
        if clock != holding.clock:
            held[order] = replace(holding, clock=clock)
    intents = tuple(
        replace(intent, ended_at=intent.ended_at + by)
        if intent.accepted and intent.ended_at is not None
        else intent
        for intent in view.intents
    )
    return replace(view, holdings=held, intents=intents)
