"""A database that fails for long: while it does, nothing can be sent, and a person must look."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime

from bidder.app.report import PassReport
from bidder.domain.notices import Event, Level, Notice
from bidder.domain.policy import Policy


@dataclass(slots=True)
class DatabaseTold:
    """Tells once that no pass could be written down for long, and once that one could again."""

    _since: datetime | None = None
    _told: bool = False

    def failed(self, reason: str, now: datetime, policy: Policy) -> Iterator[Notice]:
        """Take note of a pass that the database made fail."""
        # Where the calendar was set back, what lies ahead of now began now.
        self._since = min(self._since or now, now)
        lasted = now - self._since
        if lasted >= policy.pace.alarm_after and not self._told:
            self._told = True
            minutes = int(lasted.total_seconds() // 60)
            text = (
                "Nothing is ordered, raised, lowered or cancelled meanwhile; orders stay as they are."
                f" `bidder doctor` says what it sees of it. The last failure: {reason}"
            )
            title = f"the database has failed for {minutes} minutes"
            yield _notice(now, Level.URGENT, title, text)

    def passed(self, report: PassReport) -> Iterator[Notice]:
        """Take note of a pass that went well, though perhaps only for want of anything to write."""
        if not report.commits:
            return
        if self._told:
            yield _notice(report.at, Level.INFO, "the database works again", "")
        self._since, self._told = None, False


def _notice(at: datetime, level: Level, title: str, text: str) -> Notice:
    return Notice(event=Event.DATABASE, level=level, at=at, title=title, text=text, key="database")
