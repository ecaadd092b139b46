"""The strategies that a backtest compares, by name.

A strategy of the owner's goes by its ``module:function``, and is looked for in the working directory
too. On a trace every reaction is immediate, so what waits for a second read or for a blip to pass does
not wait here; a strategy's other settings are its defaults.
"""

from collections.abc import Callable, Mapping
from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from typing import Final

from bidder.domain.policy import (
    AdaptiveParams,
    AutopilotParams,
    AutospottingParams,
    FixedParams,
    MinBidParams,
    NicehashParams,
    OwnParams,
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
    for name in map(str.strip, names):
        chosen[name] = _own(name) if ":" in name else _ours(name)
    return chosen


def _ours(name: str) -> StrategyParams:
    make = LINEUP.get(name)
    if make is None:
        known = ", ".join(LINEUP)
        raise BadInput(
            f"--strategies names {name!r}, which is not known; choose from {known},"
            " or name one of your own as module:function"
        )
    return make()


def _own(name: str) -> StrategyParams:
    from bidder.config import own, values
    from bidder.config.tree import Scalar

    scalar = Scalar(text=name, kind="str", plain=False, line=0, path="--strategies")
    try:
        found = own.load(own.function_name(scalar), Path.cwd())
    except values.Unusable as exc:
        raise BadInput(f"--strategies: {exc.problem} (got {name!r}); {exc.remedy}") from None
    return OwnParams(function=name, decide=found.function, code=found.code)


def learns(params: StrategyParams) -> bool:
    """Return whether a strategy makes use of what came before."""
    return isinstance(params, AdaptiveParams)
