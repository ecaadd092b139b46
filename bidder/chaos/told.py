"""Whether a person is told: of the daemon's own alarms, and of what the judges know by themselves.

What the judges know: that the wire has carried no usable answer for long, that the token was refused,
that a target has long lacked a server that it could have, that the database has refused to work. The
daemon promises to tell of each (docs/notices.md); that it noticed is not taken from it.
"""

from collections.abc import Sequence
from datetime import timedelta
from typing import TYPE_CHECKING

from bidder.app.alarms import REPEAT
from bidder.app.report import PassReport
from bidder.app.telling import Teller, ended_trading
from bidder.domain.intents import Settled
from bidder.domain.notices import Event, Level, Notice
from bidder.errors import InvalidToken, StoreFailed, StoreUnusable

if TYPE_CHECKING:
    from bidder.chaos.day import ChaosDay

# A silence counts for the daemon from the end of a request that timed out, and is told of in a pass: the
# longest pause between two, and a database that fails at that moment.
_LATER = timedelta(minutes=3)
# Longer than any pause of the daemon's own after a refusal, and then as long as an obstacle must last.
_LACK_TOLD_AFTER = timedelta(minutes=45)
# What still stands is told again after so long, and not before.
_REPEATED = REPEAT + _LATER
_STEADY = timedelta(seconds=5)
# A creation that the calendar has dated ahead counts as one of now, at each start anew: its server may
# be worn out for so long.
_WORN_OUT = timedelta(hours=1)
_UNREACHABLE_LINE = "gives no usable answer"


class Telling:
    """Looks for the log line and the notice of everything that needs a person."""

    def __init__(self, day: "ChaosDay") -> None:
        """Watch one day."""
        self._day = day
        self._read_to = 0
        self._database_refused = 0
        self._calendar: timedelta | None = None
        self._misdated = False
        self.started()

    def started(self) -> None:
        """Begin anew with a new process."""
        self._teller, self._unreachable = Teller(), False
        self._outage_logged = self._vain = False
        self._outage_judged: float | None = None
        self._lacking: dict[str, float] = {}  # since when, in true seconds
        self._worn_until = self._day.clock.true + _WORN_OUT.total_seconds() if self._misdated else 0.0
        self._told: dict[str, float] = {}  # when something was last told of a target, by this process
        self._database_refused = self._day.machine.refused

    def missing(self, report: PassReport) -> str:
        """Return what a person was not told of this pass, or nothing."""
        app = self._day.app
        if app is None:
            return ""
        self._mind_the_calendar()
        trader = app.trader
        unreachable = trader.failures > 0
        notices = self._teller.notices(report, trader.view, trader.policy, unreachable=unreachable)
        lines = self._new_lines()
        for notice in notices:
            if notice.event is Event.UNREACHABLE:
                self._unreachable = notice.level > Level.INFO
        if any(_UNREACHABLE_LINE in line for line in lines):
            self._outage_logged = True
        self._note_targets(report, notices)
        return (
            self._of_alarms(report, notices, lines)
            or self._of_silence()
            or self._of_database(lines)
            or self._of_lack()
        )

    def of_end(self, exc: Exception) -> str:
        """Return what the end of a process or a pass does not say that it should, or nothing."""
        self._database_refused = self._day.machine.refused
        if isinstance(exc, StoreFailed | StoreUnusable):
            return "" if str(exc).strip() else "the database's failure is told without a word"
        notice = ended_trading(exc, self._day.clock.now())
        if notice.level is not Level.URGENT:
            return f"the end of trading is told as {notice.level.word}"
        if isinstance(exc, InvalidToken) and notice.event is not Event.TOKEN_REFUSED:
            return "the refused token is told as something else"
        return ""

    def failed_another(self, times: int) -> None:
        """Take note of how often the database has failed while another process looked around.

        That may be this daemon as well, which lives on meanwhile, and whose own ends count already.
        """
        self._database_refused = min(self._database_refused + times, self._day.machine.refused)

    def of_token(self) -> str:
        """Return that a process goes on asking with a token that it was told is refused, or nothing."""
        asked = self._day.transport.ledger.asked_in_vain
        if not asked or self._vain:
            return ""
        self._vain = True
        return f"the token was refused, and {asked} more requests came"

    # What the daemon says

    def _of_alarms(self, report: PassReport, notices: Sequence[Notice], lines: list[str]) -> str:
        for alarm in report.alarms_raised:
            text = alarm.text
            if not any("daemon.blocked" in line and _shown(text) in line for line in lines):
                return f"no log line says: {text}"
            # That nobody answers is told once, however often the log repeats it.
            told = alarm.key == "unreachable" and self._unreachable
            if not told and not any(text == notice.title for notice in notices):
                return f"no notice says: {text}"
        for verdict in report.observed.verdicts if report.observed else ():
            if verdict.settled is Settled.AMBIGUOUS:
                return self._of_ambiguous(verdict.intent.server, lines, notices)
        return ""

    def _of_ambiguous(self, server: int, lines: list[str], notices: Sequence[Notice]) -> str:
        if not any("intent.ambiguous" in line for line in lines):
            return f"no log line of the frozen server {server}"
        told = [n for n in notices if n.event is Event.AMBIGUOUS and str(server) in n.title + n.text]
        return "" if told else f"no notice of the frozen server {server}"

    # What the judges know

    def _of_silence(self) -> str:
        """Judge the wire's own word: nothing usable has come over it since then."""
        day = self._day
        since = day.transport.ledger.silent_since
        if since is None:
            self._outage_logged = False
            return ""
        patience = day.policy.pace.alarm_after + _LATER
        silent = day.clock.true - since
        if silent < patience.total_seconds() or self._outage_judged == since:
            return ""
        self._outage_judged = since
        minutes = int(silent // 60)
        if not self._outage_logged:
            return f"no usable answer for {minutes} minutes, and no log line of it"
        return "" if self._unreachable else f"no usable answer for {minutes} minutes, and no notice"

    def _of_database(self, lines: list[str]) -> str:
        """Judge the machine's own word: the database has refused something in this pass."""
        refused = self._day.machine.refused
        if refused == self._database_refused:
            return ""
        self._database_refused = refused
        if any("database" in line or self._day.machine.refusal in line for line in lines):
            return ""
        return "the database refused to work, and neither an error nor a log line says so"

    def _of_lack(self) -> str:
        """Judge the exchange's own word: a target lacks what it could have, and nobody is told why."""
        day, true = self._day, self._day.clock.true
        # The daemon knows of a lack only from its next read.
        patience = (
            _LACK_TOLD_AFTER + max(day.policy.pace.book_every, day.policy.pace.orders_every)
        ).total_seconds()
        for target in day.policy.targets:
            if not day.watch.lacks_by_the_book(target):
                self._lacking.pop(target.name, None)
                continue
            since = max(self._lacking.setdefault(target.name, true), self._worn_until)
            lasted = true - since
            told = self._told.get(target.name, -_REPEATED.total_seconds())
            silent = told < since and true - told >= _REPEATED.total_seconds()
            if lasted >= patience and silent:
                self._told[target.name] = true  # judged once
                minutes = int(lasted // 60)
                return f"{target.name} could have what it lacks for {minutes} minutes, and no word of it"
        return ""

    def _note_targets(self, report: PassReport, notices: Sequence[Notice]) -> None:
        true = self._day.clock.true
        if self._unreachable:
            self._told.update({target.name: true for target in self._day.policy.targets})
        for alarm in report.alarms_raised:
            self._told[alarm.key.partition(":")[0]] = true
        for notice in notices:
            if notice.event is Event.JOB_DONE:
                self._told[str(notice.facts.get("target"))] = true

    def _mind_the_calendar(self) -> None:
        """Count anew where the calendar was set or the machine has slept: so does the daemon."""
        clock = self._day.clock
        calendar = clock.now() - self._day.exchange.start - timedelta(seconds=clock.monotonic())
        if self._calendar is not None and abs(calendar - self._calendar) > _STEADY:
            self._day.transport.ledger.wakes(clock.true)
            self._misdated, self._worn_until = True, clock.true + _WORN_OUT.total_seconds()
        self._calendar = calendar

    def _new_lines(self) -> list[str]:
        log = self._day.log
        log.seek(self._read_to)
        lines = log.read().splitlines()
        self._read_to = log.tell()
        return lines


def _shown(text: str) -> str:
    """Return a text as it stands within a line of JSON."""
    return text.replace("\\", "\\\\").replace('"', '\\"')
