"""What one seed came to."""

from collections import Counter
from dataclasses import dataclass, field


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
