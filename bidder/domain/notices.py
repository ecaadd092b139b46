"""What the owner is told, and who is told: notices and receivers as values.

A notice is an event that matters to a person who does not look. Its facts are text and numbers that
may be shown to anybody; the address of a receiver is a secret.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from enum import IntEnum, StrEnum

from bidder.domain.actions import Fact
from bidder.domain.policy import Mode


class Level(IntEnum):
    """How much a notice presses; a receiver gets those from its level up."""

    INFO = 1
    WARNING = 2
    URGENT = 3

    @classmethod
    def named(cls, word: str) -> "Level":
        """Return the level of a word as it stands in the configuration."""
        return cls[word.upper()]

    @property
    def word(self) -> str:
        """Return the level as it stands in the configuration."""
        return self.name.lower()


class Event(StrEnum):
    """What happened. The texts are part of the interface: the configuration and the hook use them."""

    WON = "won"  # an order runs; says how to reach it
    OUTBID = "outbid"  # a rival runs instead of us
    DISPLACED = "displaced"  # rented on demand, offline or gone
    MOVED = "moved"  # an order was given up for another server
    ENDED = "ended"  # an order is over
    BUDGET = "budget"  # a wallet's runway, the daily limit or a budget nears its end
    TOKEN_REFUSED = "token_refused"  # noqa: S105 - the name of an event
    UNREACHABLE = "unreachable"  # the exchange gives no usable answer, or does again
    DATABASE = "database"  # the database fails, so that nothing can be done, or works again
    AMBIGUOUS = "ambiguous"  # a server is frozen until a person looks
    BLOCKED = "blocked"  # something keeps the daemon from acting
    WORKLOAD_DEAD = "workload_dead"  # an order is paid and its probe finds nothing alive
    WORKLOAD_ALIVE = "workload_alive"  # it lives again
    RELOAD_REFUSED = "reload_refused"  # the configuration that was read again cannot be used
    STOPPED = "stopped"  # trading has ended by itself
    SILENT = "silent"  # the daemon is silent; what `bidder guard` did about its orders
    JOB_DONE = "job_done"  # a job with a deadline has all of its GPU-hours
    JOB_LATE = "job_late"  # a job cannot be in time any more, not even on demand
    JOB_MISSED = "job_missed"  # a job's deadline is over, and the job is not
    SUMMARY = "summary"  # what the last day brought
    TEST = "test"  # asked for by `bidder notify test`
    DIGEST = "digest"  # several notices in one, when there are too many


@dataclass(frozen=True, slots=True, kw_only=True)
class Notice:
    """One thing that the owner is told; ``key`` names what it is about, for telling it once."""

    event: Event
    level: Level
    at: datetime
    title: str
    text: str
    key: str = ""
    facts: Mapping[str, Fact] = field(default_factory=dict)


def marked(notice: Notice, mode: Mode) -> Notice:
    """Return a notice as it is handed out: nobody must take what is on paper for his server."""
    if mode is Mode.LIVE or notice.event in {Event.UNREACHABLE, Event.DATABASE}:
        return notice
    facts = {**notice.facts, "paper": True}
    return replace(notice, title=f"ON PAPER: {notice.title}", facts=facts)


@dataclass(frozen=True, slots=True, kw_only=True)
class Receiver:
    """Who is told: an address that apprise understands, or a program of the owner's.

    ``events`` empty means all. ``place`` is where it stands in the configuration.
    """

    place: str
    line: int = field(compare=False)
    address: str | None = field(default=None, repr=False)
    command: tuple[str, ...] = ()
    timeout: timedelta = timedelta(seconds=10)
    level: Level = Level.INFO
    events: frozenset[Event] = frozenset()

    def wants(self, notice: Notice) -> bool:
        """Return whether this receiver is told."""
        if notice.event is Event.TEST:
            return True
        return notice.level >= self.level and (not self.events or notice.event in self.events)
