"""The ``guard`` section: what happens to the orders when the daemon is silent."""

from datetime import timedelta

from bidder.config import values
from bidder.config.reader import Section
from bidder.config.targets import per_day
from bidder.domain.money import Rates
from bidder.domain.notices import Receiver
from bidder.domain.unattended import USUAL_AFTER, Then, WhenSilent

# Shorter, and a restart or a slow minute of the exchange would pass for silence.
_SHORTEST, _LONGEST = timedelta(minutes=5), timedelta(days=30)


def read_guard(top: Section, rates: Rates, receivers: tuple[Receiver, ...]) -> WhenSilent | None:
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
    if then is None or top.problems.count > before:
        return None
    return WhenSilent(then=Then(then), after=after, lower_to=lower_to)
