"""The owner's budgets by the exchange's own book: what a period may cost, it costs at most.

Each charge is judged at the moment at which the exchange makes it. Once more is spent than a budget
allows, nothing that the daemon could have cancelled may go on costing money. What nobody could know or
end counts for the daemon:

- A charge is valued at the lowest rate from then until our orders are next read: the daemon values what
  it reads, by the rates that it was told last. Where the question is whether it could have afforded
  more, at the highest.
- What a person ordered, and ended before the daemon ever saw it, nobody counts.
- Two orders on one server, whatever the wire made by itself and what a person ordered are never
  cancelled; they count, and are nobody's fault.
- Nothing is cancelled while the daemon is dead, asleep or without its database, nor while the wire or
  the exchange fail it. A fault excuses the minutes after it, no more: what is left of a budget must
  suffice to cancel everything within two of them, passes are at most one apart here, and a start reads
  before it acts.
- What a backup did not know when it was restored, nobody counts: as the docs say.
- Of a machine whose calendar was set nobody can say what a day is. From then on nothing is judged.

Rejected: the daemon's own sum, which is what may be wrong.
"""

# ruff: noqa: ARG002 - the signatures are those of Watcher

from bisect import bisect_right
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass, field, replace
from datetime import timedelta
from decimal import Decimal
from typing import TYPE_CHECKING

from bidder.app.report import PassReport, Result
from bidder.domain.agenda import ReadOrders
from bidder.domain.budgets import Limit, limits
from bidder.domain.policy import Target
from bidder.sim.auction import Order
from bidder.sim.billing import amount
from bidder.sim.market import Watcher
from bidder.sim.moments import MINUTE, moment

if TYPE_CHECKING:
    from bidder.chaos.day import ChaosDay

# So long nothing must have gone wrong before a charge beyond a budget is the daemon's doing.
_UNHINDERED = 5 * MINUTE
# A daemon that has made no pass for so long is hindered, whatever the reason.
_LONGEST_PASS = 3 * MINUTE
_CALENDAR_OFF = timedelta(minutes=1)
_DUST = Decimal("1e-6")
# The cheapest server of a moment need not be on the list of candidates, which is made by floors.
_MARGIN = Decimal(4)
_AIM = Decimal("0.99")


@dataclass(slots=True)
class _Unread:
    """A charge that no list of our orders has shown yet, and the lowest and the highest rate since.

    ``unseen`` is the order where a person made it and the daemon has not seen it.
    """

    currency: str
    amount: Decimal
    lowest: Decimal
    highest: Decimal
    unseen: int | None = None


@dataclass(slots=True)
class _Account:
    """What one budget has cost in its present period, at the least and at most."""

    limit: Limit
    period: str = ""
    read: Decimal = Decimal(0)
    read_at_most: Decimal = Decimal(0)
    unread: list[_Unread] = field(default_factory=list)
    charges: list[tuple[int, _Unread]] = field(default_factory=list)
    told: bool = False

    @property
    def spent(self) -> Decimal:
        known = (each for each in self.unread if each.unseen is None)
        return self.read + sum((each.amount * each.lowest for each in known), Decimal(0))

    @property
    def spent_at_most(self) -> Decimal:
        return self.read_at_most + sum((each.amount * each.highest for each in self.unread), Decimal(0))

    def turn_to(self, period: str) -> None:
        # What is read of after the turn may count for the new period.
        self.go_on_from(Decimal(0), self.spent_at_most - self.read_at_most)
        self.period, self.told = period, False

    def go_on_from(self, read: Decimal, read_at_most: Decimal) -> None:
        self.read, self.read_at_most, self.unread = read, read_at_most, []

    def charge(self, new: _Unread, at: int) -> None:
        self.charges.append((at, replace(new)))
        for each in self.unread:
            if replace(each, amount=new.amount) == new:
                each.amount += new.amount
                return
        self.unread.append(new)

    def look(self, seen: Collection[int], live: Collection[int]) -> None:
        """Take what was charged as read; what a person ordered and ended unseen may be in it."""
        at_most, unseen = self.spent_at_most, []
        for each in self.unread:
            if each.unseen in seen:
                each.unseen = None
            elif each.unseen in live:
                unseen.append(each)
                at_most -= each.amount * each.highest
        self.go_on_from(self.spent, at_most)
        self.unread = unseen

    def forget(self, since: int, read: Decimal, read_at_most: Decimal) -> None:
        """Go on from what had been read then: what came later counts where a bill still shows it.

        Of a bill that grew meanwhile nobody knows how much of it belongs to the present period.
        """
        self.go_on_from(read, read_at_most)
        for at, each in self.charges:
            if at > since:
                self.unread.append(replace(each, lowest=Decimal(0), unseen=None))


class BudgetJudge(Watcher):
    """Sees each charge as the exchange makes it, and which budget it goes beyond."""

    def __init__(self, day: "ChaosDay", violated: Callable[[str], None]) -> None:
        """Judge one day; ``violated`` is told what was spent beyond which budget."""
        self._day = day
        self._market = market = day.exchange.market
        self._violated = violated
        self._accounts: list[_Account] = []
        self._unhindered_since = market.at
        self._passed_at = market.at
        self._faults = 0
        self._restores = 0
        self._off = False
        # What each had cost, pass by pass: a restored database goes on from there.
        self._history: list[tuple[int, tuple[tuple[str, Decimal, Decimal], ...]]] = []
        self._seen: set[int] = set()  # orders of a person's that the daemon has seen while they ran
        market.watchers.append(self)

    # What the day tells

    def started(self) -> None:
        """Begin anew with a new process; where the database was restored it knows less than before."""
        if not self._accounts:
            self._accounts = [_Account(limit) for limit in limits(self._day.policy)]
        self._unhindered_since = self._market.at
        forgotten = self._day.forgotten
        if len(forgotten) != self._restores:
            self._restores = len(forgotten)
            self._back_to(forgotten[-1][0])

    def passed(self, report: PassReport) -> None:
        """Take note of a pass: whether it was hindered, and whether our orders were read in it."""
        if not self._accounts:
            return
        day, at = self._day, self._market.at
        faults = day.faults() + day.machine.refused + day.machine.kills
        if faults != self._faults or at - self._passed_at > _LONGEST_PASS:
            self._unhindered_since = at
        self._faults, self._passed_at = faults, at
        self._off = self._off or abs(day.clock.now() - day.transport.now()) > _CALENDAR_OFF
        self._widen_rates()
        seen = report.observed
        if seen is not None and isinstance(seen.read, ReadOrders) and seen.result is Result.OK:
            live = self._market.live.keys()
            self._seen |= day.person.by_hand & day.transport.shown & live
            for account in self._accounts:
                account.look(self._seen, live)
        spent = ((each.period, each.spent, each.spent_at_most) for each in self._accounts)
        self._history.append((at, tuple(spent)))

    # What the exchange tells

    def created(self, order: Order, at: int) -> None:
        """Count a creation's fee."""
        self._count(order, order.creation_fee, at)

    def charged(self, order: Order, added: Decimal, at: int) -> None:
        """Count a charge with the exchange's percentage, and judge it."""
        self._count(order, amount(added) * (100 + order.fee_percent) / 100, at)

    def rates_moved(self, at: int) -> None:
        """Value what nobody has read of at the lower rates, and at the higher ones."""
        self._widen_rates()

    # What is asked of it

    def leaves_no_room(self, target: Target, *, for_a_new_order: bool = False) -> bool:
        """Return whether some budget cannot pay for the cheapest server for this target at present.

        That is a new one, or, unless it is for a new order, one on which an offer of ours was outbid.
        """
        live = self._market.live.values()
        taken = {order.server_id for order in live if order.active or for_a_new_order}
        cheapest = self._day.referee.cheapest_usd(target.name, apart_from=taken)
        if cheapest is None:
            return False
        return any(
            self._rate(account) + cheapest * _MARGIN > self._lasting_rate(account)
            for account in self._accounts
            if account.limit.target in (None, target.name)
        )

    def _rate(self, account: _Account) -> Decimal:
        rates, running = self._market.rates, Decimal(0)
        for order in self._market.live.values():
            # Whether a person's order runs is not read: the daemon has to take it for one that does.
            runs = order.active or order.order_id in self._day.person.by_hand
            if runs and self._counts(account, order):
                running += order.price * rates[order.currency] * (100 + order.fee_percent) / 100
        return running

    def _lasting_rate(self, account: _Account) -> Decimal:
        now = moment(self._market.at)
        left = account.limit.usd * _AIM - self._spent_now(account)
        days = (account.limit.period.ends(now) - now) / timedelta(days=1)
        return max(left, Decimal(0)) / Decimal(repr(days))

    def _spent_now(self, account: _Account) -> Decimal:
        same = account.period == self._period(account, self._market.at)
        return account.spent_at_most if same else Decimal(0)

    # The sums

    def _count(self, order: Order, cost: Decimal, at: int) -> None:
        low, high = self._rates_of(order.currency)
        number = order.order_id
        unseen = number in self._day.person.by_hand and number not in self._seen
        for account in self._accounts:
            if not self._counts(account, order):
                continue
            period = self._period(account, at)
            if period != account.period:
                account.turn_to(period)
            new = _Unread(order.currency, cost, low, high, number if unseen else None)
            account.charge(new, at)
            self._judge(account, order, at)

    def _judge(self, account: _Account, order: Order, at: int) -> None:
        limit = account.limit
        if account.told or account.spent <= limit.usd + _DUST or self._excused(order, at):
            return
        account.told = True
        self._violated(
            f"{limit.spelled} is {limit.usd} USD, and of {account.period} {account.spent:.4f} are spent:"
            f" order {order.order_id} on server {order.server_id} goes on"
        )

    def _excused(self, order: Order, at: int) -> bool:
        hindered = at - self._unhindered_since < _UNHINDERED or at - self._passed_at > _LONGEST_PASS
        return self._off or hindered or self._nobodys(order)

    def _nobodys(self, order: Order) -> bool:
        """Return whether the daemon may not cancel this order."""
        day = self._day
        crowd = sum(other.server_id == order.server_id for other in self._market.live.values())
        return crowd > 1 or order.order_id in day.wires_own or order.order_id in day.person.by_hand

    def _counts(self, account: _Account, order: Order) -> bool:
        """Return whether the budget pays for this order; that of all pays also for a person's."""
        if account.limit.target is None:
            return True
        mine = order.order_id in self._day.referee.live_of(account.limit.target)
        return mine and not self._nobodys(order)

    def _period(self, account: _Account, at: int) -> str:
        return f"{account.limit.period.began(moment(at)):%Y-%m-%d}"

    def _rates_of(self, currency: str) -> tuple[Decimal, Decimal]:
        rates = (self._market.rates, self._day.referee.rates_seen)
        known = [each[currency] for each in rates if currency in each]
        return min(known), max(known)

    def _widen_rates(self) -> None:
        for each in self._unread():
            low, high = self._rates_of(each.currency)
            each.lowest, each.highest = min(each.lowest, low), max(each.highest, high)

    def _unread(self) -> Iterator[_Unread]:
        for account in self._accounts:
            yield from account.unread

    def _back_to(self, at: int) -> None:
        """Go on from what had been spent at that moment: whatever came after it is forgotten."""
        place = bisect_right([when for when, _ in self._history], at) - 1
        known = self._history[place][1] if place >= 0 else ()
        for number, account in enumerate(self._accounts):
            period, *spent = known[number] if known else ("", Decimal(0), Decimal(0))
            low, high = spent if period == account.period else (Decimal(0), Decimal(0))
            account.forget(at, low, high)
