"""Judges who look at one pass each: by the exchange's own book, and by what was really logged.

Whether a rail was passed and whether a verdict on a creation is true, the book says. That a person was
told is judged of the alarms that the daemon raised: each must be in its log and be worth a notice.
"""

from collections.abc import Sequence
from decimal import Decimal
from typing import TYPE_CHECKING

from bidder.app.report import PassReport, Result
from bidder.app.telling import Teller
from bidder.domain.actions import PlaceBid, RentOnDemand, Reprice
from bidder.domain.intents import Settled
from bidder.domain.notices import Event, Level, Notice

if TYPE_CHECKING:
    from bidder.chaos.day import ChaosDay

# The daemon values a bid to the last digit; the judge's own sum may differ in the twentieth.
_DUST = Decimal("1e-9")
# The cheapest server of a moment need not be on the list of candidates, which is made by floors.
_MARGIN = Decimal(4)
_SENT = frozenset({Result.OK, Result.IN_DOUBT})


def rails_passed(day: "ChaosDay", report: PassReport) -> str:
    """Return which rail the request of this pass went beyond, or nothing.

    Only what has just been bid or raised is judged: a rate that jumps lifts what stands already. An
    order that the wire made by itself, a second one on a server, is nobody's doing.
    """
    acted, rails = report.acted, day.policy.rails
    if acted is None or acted.result not in _SENT:
        return ""
    creates = isinstance(acted.action, PlaceBid | RentOnDemand)
    raises = isinstance(acted.action, Reprice) and not acted.action.lowers
    if not creates and not raises:
        return ""
    live = {order.server_id: order for order in day.exchange.market.live.values()}
    if creates and rails.max_orders is not None and len(live) > rails.max_orders:
        return f"{len(live)} orders live, of {rails.max_orders} allowed"
    if rails.max_usd_per_day is None:
        return ""
    rates = day.referee.rates_seen
    usd = sum((order.price * rates[order.currency] for order in live.values()), Decimal(0))
    if usd > rails.max_usd_per_day + _DUST:
        return f"{usd} USD a day bid, of {rails.max_usd_per_day} allowed"
    return ""


def rail_is_full(day: "ChaosDay", target: str) -> bool:
    """Return whether, by the exchange's own book, no rail leaves room for the cheapest server."""
    rails, live = day.policy.rails, list(day.exchange.market.live.values())
    if rails.max_orders is not None and len(live) >= rails.max_orders:
        return True
    # One more server is lacking, so those that are held already do not count, however cheap.
    cheapest = day.referee.cheapest_usd(target, apart_from={order.server_id for order in live})
    if rails.max_usd_per_day is None or cheapest is None:
        return False
    rates = day.referee.rates_seen
    usd = sum((order.price * rates[order.currency] for order in live), Decimal(0))
    return usd + cheapest * _MARGIN > rails.max_usd_per_day


def false_verdict(day: "ChaosDay", report: PassReport) -> str:
    """Return which creation was given up for lost although an order came of it, or nothing."""
    for verdict in report.observed.verdicts if report.observed else ():
        intent = verdict.intent
        if not intent.creates or verdict.settled is not Settled.LOST:
            continue
        for order in day.exchange.market.own.values():
            came = order.server_id == intent.server and order.order_id not in intent.known_orders
            # What a restored database has forgotten is in no intent's list of known orders.
            if came and order.order_id > day.forgotten_to and order.order_id not in day.wires_own:
                return f"order {order.order_id} came of the creation on server {intent.server}"
    return ""


class Telling:
    """Looks for the log line and the notice of everything that needs a person."""

    def __init__(self, day: "ChaosDay") -> None:
        """Watch one day."""
        self._day = day
        self._teller = Teller()
        self._unreachable = False
        self._read_to = 0

    def started(self) -> None:
        """Begin anew with a new process."""
        self._teller, self._unreachable = Teller(), False

    def missing(self, report: PassReport) -> str:
        """Return what a person was not told of this pass, or nothing."""
        app = self._day.app
        if app is None:
            return ""
        trader = app.trader
        unreachable = trader.failures > 0
        notices = self._teller.notices(report, trader.view, trader.policy, unreachable=unreachable)
        lines = self._new_lines()
        for notice in notices:
            if notice.event is Event.UNREACHABLE:
                self._unreachable = notice.level > Level.INFO
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

    def _new_lines(self) -> list[str]:
        log = self._day.log
        log.seek(self._read_to)
        lines = log.read().splitlines()
        self._read_to = log.tell()
        return lines


def _shown(text: str) -> str:
    """Return a text as it stands within a line of JSON."""
    return text.replace("\\", "\\\\").replace('"', '\\"')
