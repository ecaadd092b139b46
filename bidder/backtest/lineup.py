"""The strategies that a backtest compares, by name.

On a trace every reaction is immediate, so what waits for a second read or for a blip to pass does
not wait here; a strategy's other settings are its defaults.
"""

from collections.abc import Callable, Mapping
from datetime import timedelta
from decimal import Decimal
from typing import Final

from bidder.domain.policy import (
    AdaptiveParams,
    AutopilotParams,
    AutospottingParams,
    FixedParams,
    MinBidParams,
    NicehashParams,
    StrategyParams,
    TopPlusTickParams,
    TrackParams,
    TrackRecreateParams,
)
from bidder.errors import BadInput

_AT_ONCE = timedelta(0)
_NO_WAR = 10**9

LINEUP: Final[Mapping[str, Callable[[], StrategyParams]]] = {
    "adaptive": lambda: AdaptiveParams(raise_wait=_AT_ONCE, confirm=False),
    "track": lambda: TrackParams(
        raise_wait=_AT_ONCE, confirm=False, dead_band=Decimal(0), war_raises=_NO_WAR
    ),
    "track_recreate": TrackRecreateParams,
    "top_plus_tick": TopPlusTickParams,
    "autopilot": AutopilotParams,
    "nicehash": NicehashParams,
    "nicehash_literal": lambda: NicehashParams(literal=True),
    "autospotting": AutospottingParams,
    "fixed": FixedParams,
    "min_bid": MinBidParams,
}


def named(names: tuple[str, ...] | None) -> dict[str, StrategyParams]:
    """Return the parameters of each strategy asked for, all when None; raises BadInput."""
    if names is None:
        return {name: make() for name, make in LINEUP.items()}
    chosen: dict[str, StrategyParams] = {}
    for name in names:
        make = LINEUP.get(name.strip())
        if make is None:
            known = ", ".join(LINEUP)
            raise BadInput(f"--strategies names {name!r}, which is not known; choose from {known}")
        chosen[name.strip()] = make()
    return chosen


def learns(params: StrategyParams) -> bool:
    """Return whether a strategy makes use of what came before."""
    return isinstance(params, AdaptiveParams)
