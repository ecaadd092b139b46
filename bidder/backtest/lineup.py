"""The strategies that a backtest compares, by name.

One of ours goes by its name and has its default settings, or by the name of a target in a configuration
and has that target's. A strategy of the owner's goes by its ``module:function`` as well; one that no
target uses is looked for in the configuration's folder and the working directory, and has no
parameters. On a trace every reaction is immediate, so what waits for a second read or for a blip to
pass does not wait here. Nor does a lowering cost a request there, and ``track`` leaves none out.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from typing import Final

from bidder.domain.policy import (
    AdaptiveParams,
    AutopilotParams,
    AutospottingParams,
    DeadlineParams,
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
    "adaptive": lambda: at_once(AdaptiveParams()),
    "track": lambda: at_once(TrackParams(dead_band=Decimal(0))),
    "track_recreate": TrackRecreateParams,
    "top_plus_tick": TopPlusTickParams,
    "autopilot": AutopilotParams,
    "nicehash": NicehashParams,
    "nicehash_literal": lambda: NicehashParams(literal=True),
    "autospotting": AutospottingParams,
    "fixed": FixedParams,
    "min_bid": MinBidParams,
}


def named(
    names: tuple[str, ...] | None, configured: Iterable[Target] = (), folder: Path | None = None
) -> dict[str, StrategyParams]:
    """Return the parameters of each strategy asked for, all of ours when None.

    ``configured`` are the targets of a configuration, each of which stands for its strategy with the
    settings that it has there; ``folder`` is where that configuration is.

    Raises:
        BadInput: a name repeats, is not known or that of a job, or cannot tell two targets apart.
    """
    if names is None:
        return {name: make() for name, make in LINEUP.items()}
    set_up = {target.name: target.params for target in configured}
    return {name: _one(name, set_up, folder) for name in each_once("--strategies", names)}


def each_once(option: str, names: Iterable[str]) -> list[str]:
    """Return the names in an option, without blanks around them; raises BadInput where one repeats."""
    found = [name.strip() for name in names]
    twice = next((name for name in found if found.count(name) > 1), None)
    if twice is not None:
        raise BadInput(f"{option} names {twice!r} more than once; leave the others out")
    return found


def at_once(params: StrategyParams) -> StrategyParams:
    """Return a strategy's parameters without what only waits to be sure of what it sees."""
    match params:
        case AdaptiveParams():
            return replace(params, raise_wait=_AT_ONCE, confirm=False)
        case TrackParams():
            return replace(params, raise_wait=_AT_ONCE, confirm=False, war_raises=_NO_WAR)
        case _:
            return params


def needs_targets(names: tuple[str, ...] | None) -> bool:
    """Return whether any of these may be a target of a configuration, or a strategy of the owner's."""
    return names is not None and any(name.strip() not in LINEUP for name in names)


def _one(name: str, configured: Mapping[str, StrategyParams], folder: Path | None) -> StrategyParams:
    make = LINEUP.get(name)
    if make is not None:
        return make()
    if name in configured:
        return _configured(name, configured[name])
    if ":" in name:
        own = {target: each for target, each in configured.items() if isinstance(each, OwnParams)}
        return _function(name, own, folder)
    known = ", ".join((*LINEUP, *configured))
    raise BadInput(
        f"--strategies names {name!r}, which is not known; choose from {known},"
        " or name a target in -c FILE, or a strategy of your own as module:function"
    )


def _configured(name: str, params: StrategyParams) -> StrategyParams:
    if isinstance(params, DeadlineParams):
        raise BadInput(
            f"--strategies: the target {name!r} is a job with a deadline, which prices alone cannot"
            " judge; compare policies for jobs with --availability"
        )
    return at_once(params)


def _function(name: str, own: Mapping[str, OwnParams], folder: Path | None) -> OwnParams:
    """Return a function of the owner's, as the configuration uses it where it does."""
    using = {target: params for target, params in own.items() if params.function == name}
    ways = {(params.opening, params.settings) for params in using.values()}
    if len(ways) > 1:
        raise BadInput(
            f"--strategies: {name} stands in the configuration with different parameters;"
            f" name one of {', '.join(using)} instead"
        )
    return next(iter(using.values())) if using else _bare(name, folder)


def _bare(name: str, folder: Path | None) -> OwnParams:
    from bidder.config import own, values
    from bidder.config.tree import Scalar

    scalar = Scalar(text=name, kind="str", plain=False, line=0, path="--strategies")
    places = [Path.cwd()] if folder is None else [folder, Path.cwd()]
    problems = []
    for place in places:
        try:
            found = own.load(own.function_name(scalar), place)
        except values.Unusable as exc:
            problems.append(f"{exc.problem} (got {name!r}); {exc.remedy}")
        else:
            return OwnParams(function=name, decide=found.function, code=found.code)
    # The first place is the one that is meant: the other merely serves as well.
    raise BadInput(f"--strategies: {problems[0]}")


def learns(params: StrategyParams) -> bool:
    """Return whether a strategy makes use of what came before."""
    return isinstance(params, AdaptiveParams)
