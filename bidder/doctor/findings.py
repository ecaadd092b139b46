"""What a check comes to: a state, one sentence, and what to do about it."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Any

Fact = str | int | float | None


class State(StrEnum):
    """How it stands, the worst last."""

    OK = "ok"
    UNKNOWN = "unknown"  # it cannot be told; what is missing is said
    WARNING = "warning"  # trading goes on, and somebody should look at it some day
    WRONG = "wrong"  # trading does not go on as it should, or will stop doing so


_ORDER = tuple(State)


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One check's outcome; ``details`` are lines for a person, ``facts`` the same for a program."""

    name: str
    state: State
    finding: str
    remedy: str = ""
    details: tuple[str, ...] = ()
    facts: Mapping[str, Fact] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Hold to it that nobody is left alone with a problem."""
        assert self.state is State.OK or self.remedy, self.name

    def document(self) -> dict[str, Any]:
        """Return it as a JSON-ready object."""
        return {
            "name": self.name,
            "state": self.state.value,
            "finding": self.finding,
            "remedy": self.remedy or None,
            "details": list(self.details),
            "facts": dict(self.facts),
        }


def worst(findings: Iterable[Finding]) -> State:
    """Return the worst state."""
    return max((each.state for each in findings), key=_ORDER.index, default=State.OK)


def parted(problem: str) -> tuple[str, str]:
    """Return an error of ours as finding and remedy: its last clause says what to do."""
    found, separator, remedy = problem.rpartition("; ")
    return (found, remedy) if separator else (problem, "see docs/operations.md")


def span(length: timedelta) -> str:
    """Return a span for the eye, in its largest sensible unit."""
    seconds = abs(length.total_seconds())
    for size, unit in ((86400, "days"), (3600, "hours"), (60, "minutes")):
        if seconds >= 2 * size:
            return f"{seconds / size:.0f} {unit}"
    return f"{seconds:.0f} second" + ("" if round(seconds) == 1 else "s")


def ago(at: datetime, now: datetime) -> str:
    """Return how long ago a moment was."""
    return f"{span(now - at)} ago" if at <= now else f"in {span(at - now)}"


def clock_time(at: datetime) -> str:
    """Return a moment for the eye."""
    return f"{at.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC"


def listed(words: Iterable[str]) -> str:
    """Return words as a person lists them."""
    found = list(words)
    return found[0] if len(found) == 1 else f"{', '.join(found[:-1])} and {found[-1]}" if found else ""


def counted(number: int, what: str) -> str:
    """Return a number of things."""
    return f"{number} {what}" + ("" if number == 1 else "s")
