"""Everything that the checks judge by, gathered beforehand: the checks themselves only compute."""

from dataclasses import dataclass
from datetime import datetime

from bidder.config import Settings
from bidder.config.confidential import Survey
from bidder.doctor.findings import Finding, State
from bidder.doctor.probing import Readings
from bidder.doctor.records import Records

START = "start it: `bidder run`"
# Why the exchange was not asked.
OFFLINE = "--offline"
NO_RECORDS = "without its database it cannot be told whether a daemon runs"


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """One account at one moment.

    Either ``records`` are there, or ``trouble`` says why the database could not be read.
    ``unasked`` is why the exchange was not asked; empty where it was.
    """

    settings: Settings
    survey: Survey
    now: datetime
    records: Records | None
    trouble: Finding | None
    readings: Readings
    unasked: str = ""

    @property
    def held(self) -> bool:
        """Return whether a daemon, or a command in its place, trades the account."""
        return self.records is not None and self.records.held

    @property
    def live(self) -> bool:
        """Return whether real orders are traded."""
        return self.settings.policy.mode.value == "live"


def unread(name: str) -> Finding:
    """Return what is said of anything that only the database could tell."""
    return Finding(
        name=name,
        state=State.UNKNOWN,
        finding="It cannot be told without the database.",
        remedy="see the finding about the database",
    )
