"""How what we learn changes what we know: reads and outcomes folded into the view.

Each function takes a view and returns the next one. ``orders_read`` and ``market_reads`` fold the
answers that tell how things stand; to the former belong ``settling`` (whose outcome was open),
``bygone`` (what has ended), ``bills`` (what was paid) and ``ends_judged`` (whose doing an early end
was), to the latter ``schooling``. ``outcomes`` folds what came of the requests that change something,
``creating`` how many creations in a row have come to nothing, ``workloads_probed`` whether what runs
on the servers lives, ``calendar`` what setting the clock means, ``owner`` what a new configuration does.
"""

from bidder.domain.fold.calendar import clocks_put_off
from bidder.domain.fold.creating import answered_with, came_to_nothing
from bidder.domain.fold.ends_judged import ends_judged
from bidder.domain.fold.market_reads import book, marketplace, relist, wallets
from bidder.domain.fold.orders_read import OrdersFolded, orders
from bidder.domain.fold.outcomes import (
    answered,
    closed,
    floor_raised,
    known_orders,
    lowered_too_soon,
    not_cancelled_again,
    not_taken_there,
    opened,
    repriced,
    set_back,
    set_back_longer,
    step_exceeded,
    undone,
    wallet_too_small,
    withdrawn,
)
from bidder.domain.fold.owner import policy_changed
from bidder.domain.fold.workloads_probed import probed, replaced

__all__ = [
    "OrdersFolded",
    "answered",
    "answered_with",
    "book",
    "came_to_nothing",
    "clocks_put_off",
    "closed",
    "ends_judged",
    "floor_raised",
    "known_orders",
    "lowered_too_soon",
    "marketplace",
    "not_cancelled_again",
    "not_taken_there",
    "opened",
    "orders",
    "policy_changed",
    "probed",
    "relist",
    "replaced",
    "repriced",
    "set_back",
    "set_back_longer",
    "step_exceeded",
    "undone",
    "wallet_too_small",
    "wallets",
    "withdrawn",
]
