"""Judges by the exchange's own book: of one verdict on a creation, and of a war on a server."""

from typing import TYPE_CHECKING

from bidder.app.report import PassReport
from bidder.domain.intents import Settled
from bidder.domain.policy import TrackParams
from bidder.sim.moments import SECOND

if TYPE_CHECKING:
    from bidder.chaos.day import ChaosDay


def false_verdict(day: "ChaosDay", report: PassReport) -> str:
    """Return which creation was given up for lost although an order came of it, or nothing."""
    newest = day.transport.made_by_then  # what the same pass orders anew came of no older creation
    for verdict in report.observed.verdicts if report.observed else ():
        intent = verdict.intent
        if not intent.creates or verdict.settled is not Settled.LOST:
            continue
        for order in day.exchange.market.own.values():
            came = order.server_id == intent.server and order.order_id not in intent.known_orders
            # What a restored database has forgotten is in no intent's list of known orders.
            came = came and day.forgotten_to < order.order_id <= newest
            if came and order.order_id not in day.wires_own:
                return f"order {order.order_id} came of the creation on server {intent.server}"
    return ""


def at_war(params: TrackParams, raises: list[int], at: int) -> bool:
    """Return whether so many raises, in microseconds and in order, are a war that is not over by ``at``.

    So many within the window are one, whoever answers them; the owner lets such a server rest then.
    """
    window = params.war_window.total_seconds() * SECOND
    pause = params.war_pause.total_seconds() * SECOND
    runs = zip(raises, raises[params.war_raises - 1 :], strict=False)
    return any(last - first < window and at - last < pause for first, last in runs)
