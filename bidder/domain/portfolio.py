"""Which servers to hold for a target: whether one that runs makes way for another, and which first.

Empty slots go to the servers that are cheapest per GPU, one after the other, which is the best choice
of all of them together: servers do not depend on one another, and no two orders share one. What runs is
left alone unless the owner says otherwise, and then moves only where ``churn`` finds that the change
pays. Of a target one order moves at a time, while all others run, and the next one after a pause, so
that prices that go up and down take nobody along. In a world that stands still no order moves back.

Rejected: an assignment of all orders to all servers at once. It would need every book at one moment, of
which one per second can be read.
"""

from collections.abc import Iterable, Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from decimal import Decimal

from bidder.domain import churn, guard, handover, moving
from bidder.domain.actions import Asked, Decision, Fact, PlaceBid, Reason
from bidder.domain.costs import share_of_day
from bidder.domain.policy import Policy, Target
from bidder.domain.positions import Position, position
from bidder.domain.searching import Declined, Found, NeedsBook, NothingFits
from bidder.domain.strategies import common
from bidder.domain.view import Holding, View

# A new order's book is read within seconds; one that is never read does not keep two for ever.
_TAKES_OVER = timedelta(minutes=5)


def kept_or_moved(
    verdict: Decision, here: Position, view: View, policy: Policy, now: datetime
) -> Decision:
    """Return ``verdict``, or for an order that runs the move to another server where that pays."""
    if not _may_move(verdict, here, view, now):
        return verdict
    # What it can come down to where it is, not what it costs today: the walk there is a cost of its own.
    staying = churn.staying(here, view, now)
    if staying is None:
        return verdict
    most = staying / share_of_day(churn.span(here, now))
    result = moving.search(here.target, view, policy, now, below=most)
    if isinstance(result, NeedsBook) and verdict.wants_book is None:
        return replace(
            verdict, wants_book=result.server, facts={**verdict.facts, "looking_at": result.server}
        )
    if isinstance(result, NothingFits | Declined):
        return moving.looking_on(verdict, result)
    if not isinstance(result, Found) or _tried(result, here, view, now):
        return verdict
    found = churn.change(here, result, view, now, purse=view.purse(policy.rails, now))
    if found is None or not found.pays(here.target.moving.saving):
        return verdict
    if not moving.could_place(result, here, view, policy, now):
        return verdict
    moved = moving.move(verdict, here, result)
    return replace(moved, facts={**moved.facts, **found.facts()})


def one_at_a_time(
    decisions: Iterable[Decision], target: Target, view: View, policy: Policy, now: datetime
) -> list[Decision]:
    """Return a target's decisions with at most one move of an order that runs: the one that saves most.

    Where an order may stand beside it meanwhile, the new one is placed first; the old one goes as the
    dearest of too many once that runs.
    """
    found = list(decisions)
    moves = [each for each in found if _moves_running(each)]
    if not moves:
        return found
    best = max(moves, key=lambda each: Decimal(str(each.facts["saving_usd"])))
    placing = _placed_first(best, target, view, policy, now)
    kept = [_stayed(each) if each in moves and (each is not best or placing) else each for each in found]
    return [*kept, placing] if placing else kept


def taking_over(held: Iterable[Holding], target: Target, now: datetime) -> Holding | None:
    """Return the order that has just been placed beside the target's others, to replace one of them."""
    if not target.overlaps:
        return None
    newest = max(held, key=lambda h: (h.order.created_at, h.order.order), default=None)
    return None if newest is None or now - newest.first_seen_at > _TAKES_OVER else newest


def told(holding: Holding, view: View, now: datetime) -> bool:
    """Return whether it is known by now if a new order runs: its book was read, and not too early."""
    seen = view.books.get(holding.order.server)
    if holding.active is not False or seen is None:
        return holding.active is not None
    if seen.book.offer_of(holding.order.order) is None:
        # The book may be as late as the exchange is: it does not list the offer yet.
        return now >= (holding.clock.created_at or holding.first_seen_at) + handover.LONGEST
    rates = seen.book.rates.over(view.rates)
    handover_until = handover.until(holding, seen, rates, view.holdings)
    return handover_until is None or now >= handover_until


def dearness(holding: Holding, target: Target, view: View, policy: Policy, now: datetime) -> Decimal:
    """Return what an order costs per GPU-day, once walked down; its price where no more is known."""
    found = churn.lasting(position(holding, target, view, policy, now), view, now)
    if found is not None:
        return found
    price = holding.order.price
    usd = view.rates.to_usd(price) if view.rates.knows(price.currency) else price.amount
    return usd / (view.gpus_of(holding.order.server) or holding.work.gpus or 1)


def successor(gone: Holding, target: Target, view: View, now: datetime) -> Mapping[str, Fact]:
    """Return the facts of an order that goes because another one has taken over from it."""
    newest = taking_over(view.holdings_of(target.name), target, now)
    if newest is None or newest is gone:
        return {}
    return {"to_server": newest.order.server, "to_bid": str(newest.order.price)}


def _may_move(verdict: Decision, here: Position, view: View, now: datetime) -> bool:
    """Return whether this order runs where it could stay, and nothing of its target is in motion."""
    target = here.target
    if not target.moving.running or not isinstance(target.bidding, moving.MOVERS):
        return False
    if verdict.action is not None or verdict.reason not in {Reason.WINNING, Reason.CLOCK}:
        return False
    held = view.holdings_of(target.name)
    settled = all(h.runs and not h.missing_reads for h in held) and len(held) == target.want
    busy = any(intent.target == target.name for intent in view.intents)
    ending = any(target.renewal.due(h.order.ends_at, now, mrl=h.order.mrl) for h in held)
    newest = max((h.order.created_at for h in held), default=now)
    return settled and not busy and not ending and now - newest >= target.moving.pause


def _tried(found: Found, here: Position, view: View, now: datetime) -> bool:
    """Return whether an order there came to nothing so lately that the next one would too."""
    pause = here.target.moving.pause
    return any(c.server == found.listing.server and now - c.at < pause for c in view.creations)


def _moves_running(decision: Decision) -> bool:
    return decision.reason is Reason.MOVE and "saving_usd" in decision.facts


def _stayed(decision: Decision) -> Decision:
    assert decision.asked is not None, "a move of a running order came of a strategy's verdict"
    assert isinstance(decision.asked, Asked)
    return replace(decision.asked.verdict, asked=decision.asked)


def _placed_first(
    leaving: Decision, target: Target, view: View, policy: Policy, now: datetime
) -> Decision | None:
    """Return the bid on the other server, where the rails let it stand beside the old order."""
    found = moving.search(target, view, policy, now) if target.overlaps else None
    if not isinstance(found, Found) or found.listing.server != leaving.facts["to_server"]:
        return None
    price = moving.opening(found, target, view, now)
    if price is None:
        return None
    action = PlaceBid(server=found.listing.server, price=price, target=target.name, launch=target.launch)
    placing = replace(
        leaving,
        action=action,
        server=found.listing.server,
        order=None,
        urgency=common.URGENT_PLACE,
        toward=None,
        facts={**leaving.facts, "from_order": leaving.order, "from_server": leaving.server},
        asked=None,
    )
    allowed = guard.apply(placing, view, policy, now).action is not None
    return placing if allowed else None
