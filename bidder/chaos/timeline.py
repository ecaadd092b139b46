"""A day as a person would tell it: a sentence for each thing that happened, what repeats itself counted.

A line that was said a moment ago is not said again but counted, and the count is told once something
else happens; what a person is told again within the hour as well. A violation is always told.
"""

from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta

from bidder.app.report import Acted, PassReport, Result
from bidder.domain import sentences
from bidder.domain.intents import IntentKind, Settled, Verdict
from bidder.store.records import DecisionRecord

VIOLATED = "VIOLATED "
# So many different lines may take turns and still be folded, if they come again within this.
_REMEMBERED = 8
_AGAIN, _ALARM_AGAIN = timedelta(minutes=2), timedelta(hours=1)

_NOT_DONE = {
    Result.REFUSED: "The exchange refused it",
    Result.NOT_SENT: "It was not sent",
    Result.IN_DOUBT: "Whether that happened is not known yet",
}
_DEEDS = {
    IntentKind.PLACE: "the bid on server {server}",
    IntentKind.RENT: "the rental of server {server}",
    IntentKind.REPRICE: "the new price of order {order}",
    IntentKind.WITHDRAW: "the cancellation of order {order}",
}
_SETTLED = {
    Settled.ADOPTED: "Order {orders} is what came of {deed}.",
    Settled.CONFIRMED: "Order {orders} shows it: {deed} was carried out.",
    Settled.NOT_DONE: "Order {orders} shows it: {deed} was not carried out.",
    Settled.LOST: "Nothing came of {deed}; it is given up.",
    Settled.AMBIGUOUS: "Orders {orders} may all have come of {deed}; a person has to say which.",
}


@dataclass(slots=True)
class _Said:
    """A line that was said, how often it has been true since, and when last."""

    more: int
    last: datetime


class Timeline:
    """Tells what happens, line by line."""

    def __init__(self, tell: Callable[[str], None] | None, now: Callable[[], datetime]) -> None:
        """Hand each line to ``tell``; None: nobody listens. ``now`` is the exchange's time."""
        self.tell = tell
        self._now = now
        self._said: OrderedDict[str, _Said] = OrderedDict()

    def say(self, what: str, *, within: timedelta = _AGAIN) -> None:
        """Add a line, or count it where it was true before ``within`` so long a time."""
        if self.tell is None:
            return
        now, said = self._now(), self._said.get(what)
        again = said is not None and now - said.last <= within
        if said is not None and again and not what.startswith(VIOLATED):
            said.more, said.last = said.more + 1, now
            self._said.move_to_end(what)
            return
        self.fold()
        self._tell(what, now)
        self._said[what] = _Said(0, now)
        self._said.move_to_end(what)
        while len(self._said) > _REMEMBERED:
            self._said.popitem(last=False)

    def fold(self) -> None:
        """Tell how often the lines before have been true again."""
        for what, said in self._said.items():
            if said.more:
                self._tell(f"{what}  ({said.more} more until then)", said.last)
                said.more = 0

    def passed(self, report: PassReport) -> None:
        """Tell what a pass did and found."""
        if self.tell is None:
            return
        if report.observed is not None:
            for verdict in report.observed.verdicts:
                if verdict.settled is not Settled.UNKNOWN:
                    self.say(settled(verdict))
            for holding in report.observed.ended:
                order = holding.order
                self.say(f"Order {order.order} on server {order.server} is over.")
        if report.acted is not None:
            self.say(deed(report.acted))
        for alarm in report.alarms:
            self.say(f"A person is told: {alarm}.", within=_ALARM_AGAIN)

    def _tell(self, what: str, at: datetime) -> None:
        assert self.tell is not None
        self.tell(f"{at:%d %H:%M:%S.%f}"[:-3] + f"  {what}")


def deed(acted: Acted) -> str:
    """Return what was sent, why, and how it ended."""
    told = DecisionRecord.of(acted.decision)
    done = acted.result is Result.OK
    text = sentences.tell(
        told.reason,
        told.facts,
        action=None if told.action is None else told.action.value,
        price=None if told.price is None else str(told.price),
        previous=None if told.previous_price is None else str(told.previous_price),
        done=done,
    )
    order = "" if told.order is None else f"order {told.order} on "
    where = f"{told.target or 'nobody'}, {order}server {told.server}"
    said = f": {acted.error}" if acted.error else ""
    return f"{where}: {text}" + ("" if done else f" {_NOT_DONE[acted.result]}{said}.")


def settled(verdict: Verdict) -> str:
    """Return what a read of our orders has shown of something that was in doubt."""
    intent = verdict.intent
    what = _DEEDS[intent.kind].format(server=intent.server, order=intent.order)
    orders = ", ".join(map(str, verdict.orders)) or str(intent.order)
    return _SETTLED[verdict.settled].format(orders=orders, deed=what)
