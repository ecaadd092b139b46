"""The exchange's request limits, judged by arrival on its own clock (API page, section 1)."""

from bidder.sim.moments import span
from bidder.sim.rules import Rules


class Limits:
    """One key's arrivals: one request per second, one creation per five seconds."""

    def __init__(self, rules: Rules) -> None:
        """Begin with no arrival seen."""
        self._spacing = span(rules.request_spacing_seconds)
        self._creation_spacing = span(rules.creation_spacing_seconds)
        self._refused_restarts = rules.refused_request_restarts_second
        self._refused_creation_restarts = rules.refused_creation_restarts_spacing
        self._last: int | None = None
        self._last_creation: int | None = None

    def admits(self, at: int, *, creation: bool) -> bool:
        """Return whether a request that arrives at ``at`` is within the limits, and count it."""
        admitted = self._last is None or at - self._last >= self._spacing
        if creation and self._last_creation is not None:
            admitted = admitted and at - self._last_creation >= self._creation_spacing
        if admitted or self._refused_restarts:
            self._last = at
        if creation and (admitted or self._refused_creation_restarts):
            self._last_creation = at
        return admitted
