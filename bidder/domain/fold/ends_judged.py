"""What a read shows of orders that ended before their time: their servers are left alone, or not."""

from dataclasses import replace
from datetime import datetime, timedelta

from bidder.domain import cut_off
from bidder.domain.fold.outcomes import set_back
from bidder.domain.view import View


def ends_judged(view: View, now: datetime) -> View:
    """Return the view after a read, with the servers set back whose orders somebody has ended."""
    if not view.cut_off:
        return view
    verdicts = {o: cut_off.was_cut_off(holding, view, now) for o, holding in view.cut_off.items()}
    for order, verdict in verdicts.items():
        if verdict:
            server = view.cut_off[order].order.server
            minutes = cut_off.LEFT_ALONE / timedelta(minutes=1)
            view = set_back(view, cut_off.REASON, now=now, minutes=minutes, server=server)
    return replace(view, cut_off={o: h for o, h in view.cut_off.items() if verdicts[o] is None})
