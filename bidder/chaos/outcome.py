"""What one seed came to."""

from collections import Counter
from dataclasses import dataclass, field

from bidder.domain.intents import Settled

# How a creation whose answer was lost may end: by what the orders showed, or not before the day did.
OPEN = "open"
WAYS_OUT_OF_DOUBT = (*map(str, (Settled.ADOPTED, Settled.LOST, Settled.AMBIGUOUS)), OPEN)


@dataclass(slots=True, kw_only=True)
class Outcome:
    """What one seed came to."""

    seed: int
    days: float
    requests: int = 0
    crashes: int = 0
    faults: Counter[str] = field(default_factory=Counter)
    in_doubt: Counter[str] = field(default_factory=Counter)
    orders_created: int = 0
    violations: list[tuple[str, str, str]] = field(default_factory=list)  # invariant, moment, what
