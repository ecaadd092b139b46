"""Strategies: what a standing bid should be. One file each.

``decide(position, policy, now)`` returns one decision for one standing bid, and ``opening_bid`` the
price for a new one, from the quote and what else the strategy goes by. Neither may assume that its
word is final: ``guard`` applies the owner's rails afterwards.
"""

from datetime import datetime
from typing import assert_never

from bidder.domain.actions import Decision
from bidder.domain.money import Price, Rates
from bidder.domain.policy import (
    AdaptiveParams,
    AutopilotParams,
    AutospottingParams,
    FixedParams,
    MinBidParams,
    NicehashParams,
    OwnParams,
    Policy,
    Target,
    TopPlusTickParams,
    TrackParams,
    TrackRecreateParams,
)
from bidder.domain.positions import Position
from bidder.domain.quotes import Quote
from bidder.domain.stances import Stance
from bidder.domain.strategies import (
    adaptive,
    autopilot,
    autospotting,
    fixed,
    min_bid,
    nicehash,
    own,
    top_plus_tick,
    track,
    track_recreate,
)
from bidder.errors import NoRate


def decide(position: Position, policy: Policy, now: datetime) -> Decision:
    """Return what the target's strategy makes of one standing bid."""
    match position.target.bidding:
        case FixedParams() as params:
            return fixed.decide(position, params, policy, now)
        case TrackParams() as params:
            return track.decide(position, params, policy, now)
        case AdaptiveParams() as params:
            return adaptive.decide(position, params, policy, now)
        case OwnParams() as params:
            return own.decide(position, params, policy, now)
        case _:
            return _by_baseline(position, position.target.bidding, policy, now)


def _by_baseline(
    position: Position,
    params: MinBidParams
    | TopPlusTickParams
    | TrackRecreateParams
    | NicehashParams
    | AutopilotParams
    | AutospottingParams,
    policy: Policy,
    now: datetime,
) -> Decision:
    match params:
        case MinBidParams():
            return min_bid.decide(position, policy, now)
        case TopPlusTickParams():
            return top_plus_tick.decide(position, policy, now)
        case TrackRecreateParams():
            return track_recreate.decide(position, params, policy, now)
        case NicehashParams():
            return nicehash.decide(position, params, policy, now)
        case AutopilotParams():
            return autopilot.decide(position, params, policy, now)
        case AutospottingParams():
            return autospotting.decide(position, policy, now)
        case _ as unknown:
            assert_never(unknown)


def opening_bid(
    quote: Quote, target: Target, rates: Rates, *, stance: Stance, gpus: int
) -> Price | None:
    """Return the first bid on a server; None where the strategy would not bid there.

    Raises:
        StrategyFailed: a strategy of the owner's gave no usable answer.
    """
    match target.bidding:
        case FixedParams() as params:
            return fixed.opening_bid(quote, params, rates)
        case TrackParams():
            return quote.needed
        case AdaptiveParams():
            worth = _worth(quote, target, rates, gpus)
            return adaptive.opening_bid(quote, worth, stance)
        case MinBidParams():
            return min_bid.opening_bid(quote)
        case AutospottingParams() as params:
            return autospotting.opening_bid(quote, params)
        case OwnParams() as params:
            return own.opening_bid(quote, params)
        case AutopilotParams() as params:
            return autopilot.opening_bid(quote, params)
        case TopPlusTickParams() | TrackRecreateParams() | NicehashParams():
            return quote.needed
        case _ as unknown:
            assert_never(unknown)


def _worth(quote: Quote, target: Target, rates: Rates, gpus: int) -> Price | None:
    try:
        return target.worth.for_server(gpus, quote.needed.currency, rates)
    except NoRate:
        return None
