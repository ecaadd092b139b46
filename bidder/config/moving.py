"""The ``move`` section of a strategy -> when an order gives up its server for a cheaper one."""

from datetime import timedelta
from decimal import Decimal

from bidder.config import values
from bidder.config.reader import Section
from bidder.domain.policy import AdaptiveParams, DeadlineParams, Moving, StrategyParams, TrackParams

_MINUTE, _DAY = timedelta(minutes=1), timedelta(days=1)


def read_moving(section: Section, params: StrategyParams) -> Moving:
    """Return how a strategy's orders move; errors are noted."""
    usual = Moving()
    if section.has("move") and not isinstance(params, TrackParams | AdaptiveParams | DeadlineParams):
        section.add(
            "move",
            "belongs to strategies whose bids follow the market",
            "use strategy: track, adaptive or deadline, or remove it",
        )
        return usual
    move = section.section("move")
    return Moving(
        saving=move.read("saving", values.share(Decimal(0), Decimal("0.99")), usual.saving),
        running=move.read("running", values.flag, usual.running),
        horizon=move.read("horizon", values.duration(_MINUTE, 30 * _DAY), usual.horizon),
        pause=move.read("pause", values.duration(_MINUTE, 30 * _DAY), usual.pause),
        overlap=move.read("overlap", values.flag, usual.overlap),
    )
