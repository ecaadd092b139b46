"""What a calendar that is set means for what is known."""

from dataclasses import replace
from datetime import datetime, timedelta

from bidder.domain import price_rules
from bidder.domain.view import View


def clocks_put_off(view: View, by: timedelta, *, since: datetime) -> View:
    """Return the view with each lowering clock that was closed at ``since`` opening so much later.

    For a calendar that was put forward by that much: the exchange counts the pause by its own.
    """
    held = dict(view.holdings)
    for order, holding in view.holdings.items():
        opens_at = price_rules.next_lowering_at(holding.clock, view.rules)
        if opens_at is not None and opens_at > since:
            held[order] = replace(holding, clock=replace(holding.clock, opens_at=opens_at + by))
    return replace(view, holdings=held)
