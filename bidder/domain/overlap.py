"""Could one server satisfy two requirements? Yes, unless it is certain that none can.

Two strategies that bid on one server would outbid each other with the owner's money, so the answer
errs on the side of yes: only what every server has exactly one of (a number, a GPU model, a count, a
country) can set two apart. Minimums never can: a server above both always may exist.
"""

from typing import TypeVar

from bidder.domain.policy import Requirements

T = TypeVar("T")


def may_overlap(one: Requirements, two: Requirements) -> bool:
    """Return False only if no server whatever can satisfy both."""
    return (
        _ids_may_meet(one, two)
        and _models_may_meet(one, two)
        and _counts_may_meet(one, two)
        and _countries_may_meet(one, two)
    )


def _ids_may_meet(one: Requirements, two: Requirements) -> bool:
    never = one.exclude_servers | two.exclude_servers
    return _may_meet(one.servers, two.servers, never)


def _countries_may_meet(one: Requirements, two: Requirements) -> bool:
    never = one.exclude_countries | two.exclude_countries
    # An empty set of countries means any, an empty set of servers means none.
    return _may_meet(one.countries or None, two.countries or None, never)


def _may_meet(one: frozenset[T] | None, two: frozenset[T] | None, never: frozenset[T]) -> bool:
    if one is None and two is None:
        return True
    if one is None or two is None:
        return bool((one or two or frozenset()) - never)
    return bool((one & two) - never)


def _counts_may_meet(one: Requirements, two: Requirements) -> bool:
    low = max(one.min_gpus, two.min_gpus)
    highs = [high for high in (one.max_gpus, two.max_gpus) if high is not None]
    return all(low <= high for high in highs)


def _models_may_meet(one: Requirements, two: Requirements) -> bool:
    if not one.gpu_models or not two.gpu_models:
        return True
    return any(
        first == second
        or (not one.gpu_exact and _starts_with(second, first))
        or (not two.gpu_exact and _starts_with(first, second))
        for first in one.gpu_models
        for second in two.gpu_models
    )


def _starts_with(model: str, start: str) -> bool:
    return model.startswith(start) and (not start or not model[len(start) : len(start) + 1].isalnum())
