"""The strategies that a backtest compares, by name.

A strategy of the owner's goes by its ``module:function``, or by its name in a configuration; without
one it is looked for in the working directory too, and has no parameters. On a trace every reaction is
immediate, so what waits for a second read or for a blip to pass does not wait here; the other settings
of ours are their defaults.
"""

from collections.abc import Callable, Iterable, Mapping
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
    Target,
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


def named(names: tuple[str, ...] | None, configured: Iterable[Target] = ()) -> dict[str, StrategyParams]:
    """Return the parameters of each strategy asked for, all of ours when None.

    ``configured`` are the targets of a configuration; the owner's strategies among them come with
    their parameters.

    Raises:
        BadInput: a name is not known, or not enough to tell two targets apart.
    """
    if names is None:
        return {name: make() for name, make in LINEUP.items()}
    own = {target.name: target.params for target in configured if isinstance(target.params, OwnParams)}
    return {name: _one(name, own) for name in map(str.strip, names)}


def owners(names: tuple[str, ...] | None) -> bool:
    """Return whether any of these may be a strategy of the owner's."""
    return names is not None and any(name.strip() not in LINEUP for name in names)


def _one(name: str, own: Mapping[str, OwnParams]) -> StrategyParams:
    make = LINEUP.get(name)
    if make is not None:
        return make()
    if name in own:
        return own[name]
    if ":" in name:
        return _function(name, own)
    known = ", ".join((*LINEUP, *own))
    raise BadInput(
        f"--strategies names {name!r}, which is not known; choose from {known},"
        " or name one of your own as module:function, or by its name in -c FILE"
    )


def _function(name: str, own: Mapping[str, OwnParams]) -> OwnParams:
    """Return a function of the owner's, as the configuration uses it where it does."""
    using = {target: params for target, params in own.items() if params.function == name}
    ways = {(params.opening, params.settings) for params in using.values()}
    if len(ways) > 1:
        raise BadInput(
            f"--strategies: {name} stands in the configuration with different parameters;"
            f" name one of {', '.join(using)} instead"
        )
    return next(iter(using.values())) if using else _bare(name)


def _bare(name: str) -> OwnParams:
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
