"""One bid of ours in a situation, and what is decided about it."""

from datetime import datetime, timedelta
from typing import Any

from builders import (
    NOW,
    ORDER,
    SERVER,
    at,
    make_book,
    make_listing,
    make_policy,
    make_target,
    make_view,
    seen,
)

from bidder.domain import planning
from bidder.domain.actions import Decision, Reprice
from bidder.domain.market import Book, Offer
from bidder.domain.money import Price
from bidder.domain.policy import Policy, Rails, StrategyParams, Target, TrackParams
from bidder.domain.price_rules import LoweringClock
from bidder.domain.view import Holding, Raised, View

EAGER = TrackParams(raise_wait=timedelta(0), confirm=False)


def decided(view: View, policy: Policy, now: datetime = NOW) -> Decision:
    """Return the one decision about our order."""
    (decision,) = [d for d in planning.plan(view, policy, now) if d.order == ORDER]
    return decision


def facing(
    *offers: Offer,
    holding: Holding,
    params: StrategyParams = EAGER,
    target: Target | None = None,
    rails: Rails | None = None,
    book: Book | None = None,
    reads: int = 2,
    **changes: Any,
) -> Decision:
    """Return a strategy's decision about our bid in a book of these offers, just read."""
    policy = make_policy(target or make_target(params=params), rails=rails or Rails())
    known = seen(book or make_book(*offers), outbid_reads=reads)
    listing = changes.pop("listing", make_listing())
    view = make_view(
        policy, *([listing] if listing else []), holdings=[holding], books=[known], **changes
    )
    return decided(view, policy)


def repriced(decision: Decision) -> Price:
    """Return the price that a decision sets."""
    assert isinstance(decision.action, Reprice)
    return decision.action.price


def clock(seconds_ago: float) -> LoweringClock:
    """Return a clock that was closed by a lowering so long ago."""
    return LoweringClock(lowered_at=at(-seconds_ago))


def raises(*seconds: float, server: int = SERVER) -> tuple[Raised, ...]:
    """Return raises of our order at these seconds from NOW."""
    return tuple(
        Raised(server=make_listing(server).server, order=ORDER, rival=None, at=at(s)) for s in seconds
    )
