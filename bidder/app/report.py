"""What one pass did, as a value: the log, the notices, the status and the store all read this one."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum

from bidder.app.alarms import Alarm
from bidder.domain.actions import Action, Decision
from bidder.domain.agenda import Read
from bidder.domain.costs import Cost
from bidder.domain.ids import OrderId
from bidder.domain.intents import Intent, Verdict
from bidder.domain.market import Book, OwnOrder
from bidder.domain.view import Holding
from bidder.domain.workloads import News
from bidder.exchange.client import CallReport


class Result(StrEnum):
    """How a request ended."""

    OK = "ok"
    REFUSED = "refused"
    NOT_SENT = "not_sent"
    IN_DOUBT = "in_doubt"


@dataclass(frozen=True, slots=True, kw_only=True)
class Observed:
    """One read and what it changed."""

    read: Read
    result: Result
    error: str = ""
    book: Book | None = None
    verdicts: tuple[Verdict, ...] = ()
    changed: tuple[Holding, ...] = ()
    ended: tuple[Holding, ...] = ()
    booked: tuple[OwnOrder, ...] = ()
    costs: Mapping[OrderId, Cost] = field(default_factory=dict)  # of those booked
    adopted: tuple[Holding, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Acted:
    """One action carried out, and how it ended; ``unstored``: whether that is on disk is not known."""

    decision: Decision
    action: Action
    result: Result
    error: str = ""
    intent: Intent | None = None
    unstored: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class PassReport:
    """One pass, from the look to the deed.

    ``idle_until`` is when something becomes worth a request again, where nothing was now. ``calls``
    are the requests since the last report; ``seconds`` is how long the pass took up to here, and
    ``commits`` are the seconds that each of the database's transactions took since the last report.
    """

    pass_id: int
    at: datetime
    observed: Observed | None = None
    decisions: tuple[Decision, ...] = ()
    acted: Acted | None = None
    alarms: tuple[str, ...] = ()
    alarms_raised: tuple[Alarm, ...] = ()  # the same, with their keys
    standing: tuple[str, ...] = ()  # those told before that last, with the new ones
    workloads: tuple[News, ...] = ()  # those that died or live again
    sleep: timedelta = field(default=timedelta(0))
    idle_until: datetime | None = None
    calls: tuple[CallReport, ...] = ()
    seconds: float = 0.0
    commits: tuple[float, ...] = ()
