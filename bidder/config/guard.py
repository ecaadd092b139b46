"""The ``guard`` section: what happens to the orders when the daemon is silent."""

from datetime import timedelta

from bidder.config import values
from bidder.config.reader import Section
from bidder.config.targets import per_day
from bidder.domain.money import Currency, Rates
from bidder.domain.notices import Receiver
from bidder.domain.policy import Ceiling, Target
from bidder.domain.unattended import USUAL_AFTER, Then, WhenSilent
from bidder.errors import NoRate

# More than any server has.
_MOST_GPUS = 100
# Shorter, and a restart or a slow minute of the exchange would pass for silence.
_SHORTEST, _LONGEST = timedelta(minutes=5), timedelta(days=30)


def read_guard(
    top: Section, rates: Rates, receivers: tuple[Receiver, ...], targets: tuple[Target, ...]
) -> WhenSilent | None:
    """Return the owner's wish; None where the file has none, so that nothing happens to the orders."""
    if not top.has("guard"):
        return None
    guard = top.section("guard")
    before = top.problems.count
    then = guard.required(
        "then", values.choice("notice", "lower", "cancel"), "write then: cancel, lower or notice"
    )
    after = guard.read("after", values.duration(_SHORTEST, _LONGEST), USUAL_AFTER)
    lower_to = per_day(guard, "lower_to", rates) if guard.has("lower_to") else None
    if then is not None and then != Then.LOWER and guard.has("lower_to"):
        guard.add("lower_to", "belongs to then: lower", "remove it, or write then: lower")
    if then == Then.NOTICE and not receivers and top.problems.count == before:
        top.problems.warn(
            "nobody is told: there is no receiver under notices",
            line=guard.line_of("then"),
            key=guard.path("then"),
        )
    if lower_to is not None and targets and all(_above(lower_to, each, rates) for each in targets):
        top.problems.warn(
            "is above every ceiling, so no bid would be lowered",
            line=guard.line_of("lower_to"),
            key=guard.path("lower_to"),
        )
    if then is None or top.problems.count > before:
        return None
    return WhenSilent(then=Then(then), after=after, lower_to=lower_to)


def _above(lower_to: Ceiling, target: Target, rates: Rates) -> bool:
    """Return whether a bid of a target is below this for certain, on each server that it may have."""
    # Both grow evenly with the GPUs, so the ends tell for all between.
    fewest, most = target.requirements.min_gpus, target.requirements.max_gpus or _MOST_GPUS
    try:
        return all(
            lower_to.for_server(count, Currency.USD, rates)
            > target.ceiling.for_server(count, Currency.USD, rates)
            for count in (fewest, most)
        )
    except NoRate:
        return False
