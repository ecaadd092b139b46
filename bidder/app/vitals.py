"""What the calls and the clocks of a running daemon showed, kept beside the picture of its passes.

``bidder doctor`` must not talk past a running daemon; it answers from this.
"""

from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from bidder.app.snapshot import moment
from bidder.errors import RateLimited
from bidder.exchange.client import CallReport

_LATELY = timedelta(days=1)
_MOST_REFUSALS = 1000
_MOST_JUMPS = 10
# By more than this a calendar is wrong; what an answer said of it holds for so long.
_FAR_OFF, _COMPARED_LATELY = timedelta(minutes=10), timedelta(hours=1)


@dataclass(slots=True)
class Endpoint:
    """When an endpoint last gave a good answer, and when and how it last did not."""

    good_at: datetime | None = None
    bad_at: datetime | None = None
    bad: str | None = None  # the error's class name


@dataclass(slots=True)
class Vitals:
    """Grows with what is noted; bounded, whatever happens."""

    since: datetime | None = None
    endpoints: dict[str, Endpoint] = field(default_factory=dict)
    refusals: deque[datetime] = field(default_factory=lambda: deque(maxlen=_MOST_REFUSALS))
    jumps: deque[tuple[datetime, float]] = field(default_factory=lambda: deque(maxlen=_MOST_JUMPS))
    lead: tuple[datetime, float] | None = None

    def note(self, calls: Iterable[CallReport]) -> None:
        """Note how calls went."""
        for call in calls:
            self.since = self.since or call.sent_at
            seen = self.endpoints.setdefault(call.endpoint, Endpoint())
            if call.outcome == "ok":
                seen.good_at = call.answered_at
            else:
                seen.bad_at, seen.bad = call.answered_at, call.outcome
            if call.outcome == RateLimited.__name__:
                self.refusals.append(call.answered_at)
            if call.lead_seconds is not None:
                self.lead = (call.answered_at, call.lead_seconds)

    def jumped(self, at: datetime, seconds: float) -> None:
        """Note that the calendar jumped against the count of seconds."""
        self.jumps.append((at, seconds))

    def mistrusts_calendar(self, now: datetime) -> bool:
        """Return whether the calendar is far off by the exchange's, or was set and not compared since.

        What is an hour old says nothing any more: the exchange may be away for days.
        """
        if self.jumps:
            at, seconds = self.jumps[-1]
            compared = self.lead is not None and at <= self.lead[0] <= now
            if timedelta(0) <= now - at < _COMPARED_LATELY and not compared:
                return abs(seconds) > _FAR_OFF.total_seconds()
        if self.lead is None or abs(now - self.lead[0]) > _COMPARED_LATELY:
            return False
        return abs(self.lead[1]) > _FAR_OFF.total_seconds()

    def picture(self, now: datetime) -> dict[str, Any]:
        """Return all of it as one JSON-ready object."""
        lately = [at for at in self.refusals if now - at < _LATELY]
        return {
            "since": moment(self.since),
            "endpoints": {
                name: {
                    "good_at": moment(seen.good_at),
                    "bad_at": moment(seen.bad_at),
                    "bad": seen.bad,
                }
                for name, seen in self.endpoints.items()
            },
            "rate_limited_last_day": len(lately),
            "rate_limited_at": moment(max(lately, default=None)),
            "clock_lead_seconds": None if self.lead is None else round(self.lead[1], 1),
            "clock_lead_at": None if self.lead is None else moment(self.lead[0]),
            "clock_jumps": [
                {"at": moment(at), "seconds": round(seconds, 1)} for at, seconds in self.jumps
            ],
        }
