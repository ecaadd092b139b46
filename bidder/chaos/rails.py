"""The owner's rails by the exchange's own book, judged at the moment at which a request is carried out.

So a bid is judged also where the daemon died right after it was sent, or before it knew of the answer.
What nobody could know counts for the daemon: an order that the wire made by delivering a request twice,
what a restored database has forgotten, the creations of that time for good, an order only until a list
of ours has named it again, and a person's order until one has named it first. Rejected: the daemon's own
counters and sums, which are what may be wrong.
"""

# ruff: noqa: ARG002 - the signatures are those of Watcher and Observer

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING

from bidder.domain.policy import DeadlineParams, Rails, Target
from bidder.sim import answers
from bidder.sim.answers import OK, Answer
from bidder.sim.auction import Order, highest_rival_usd
from bidder.sim.exchange import Observer
from bidder.sim.market import Watcher
from bidder.sim.moments import DAY, HOUR, MINUTE, SECOND

if TYPE_CHECKING:
    from bidder.chaos.day import ChaosDay

# The daemon values a bid to the last digit; the judge's own sum may differ in the twentieth.
_DUST = Decimal("1e-9")
# The cheapest server of a moment need not be on the list of candidates, which is made by floors.
_MARGIN = Decimal(4)
# The wire may hold a request back for nearly so long; the daemon counts from when it sent it.
_HELD_BACK = MINUTE
# Lists of orders and the `Date` of answers are dated to the second.
_DATED = 5 * SECOND
# The machine's calendar may have slipped ahead a few times; the daemon corrects what is more.
_SLIPPED = timedelta(seconds=15)


@dataclass(frozen=True, slots=True)
class _Made:
    """An order that was made: when by true time, and by the machine's calendar at that moment."""

    server: int
    at: int
    calendar: datetime


class RailsJudge(Watcher, Observer):
    """Sees each order and each raise as the exchange carries it out, and which rail that goes beyond."""

    def __init__(self, day: "ChaosDay", violated: Callable[[str], None]) -> None:
        """Judge one day; ``violated`` is told what was done beyond which rail."""
        self._day = day
        self._exchange = day.exchange
        self._market = day.exchange.market
        self._violated = violated
        self._made: deque[_Made] = deque()
        self._raised: deque[tuple[int, int]] = deque()  # server, at
        # Forgotten, or made by hand, and named by no list of ours since.
        self._unknowable: set[int] = set()
        self._forgotten_to = 0
        self._balances: Mapping[str, Decimal] = {}  # as this process was last told
        self._balances_before: Mapping[str, Decimal] = {}
        self._rates: deque[tuple[int, Mapping[str, Decimal]]] = deque()
        self._untold = ""
        self._market.watchers.append(self)
        self._exchange.observers.append(self)

    # What the day tells

    def started(self) -> None:
        """Begin anew with a new process; where the database was restored it knows less than before."""
        self._balances = self._balances_before = {}
        forgotten_to = self._day.forgotten_to
        if forgotten_to != self._forgotten_to:
            self._forgotten_to = forgotten_to
            self._unknowable |= {order for order in self._market.live if order <= forgotten_to}

    def listed(self, orders: frozenset[int]) -> None:
        """Take note that the daemon has read a list with these orders in it."""
        if self._unknowable:
            self._unknowable -= orders

    # What the exchange tells

    def arrived(self, at: int) -> None:
        """Take note that whatever was answered before has got there."""
        self._untold = ""

    def answered(self, endpoint: str, answer: Answer, at: int) -> None:
        """Keep the balances that the account is about to see."""
        if endpoint != "wallets" or answer.code != OK:
            return
        told = answers.decoded(answer.body)["wallets"]
        self._balances_before = self._balances
        self._balances = {
            each["name"]: Decimal(each["balance"]) for each in told if each["balance"] is not None
        }
        self._untold = "balances"

    def rates_sent(self, rates: Mapping[str, Decimal]) -> None:
        """Keep the rates that the account is about to see."""
        self._rates.append((self._market.at, rates))
        while len(self._rates) > 1 and self._rates[1][0] < self._market.at - _HELD_BACK:
            self._rates.popleft()
        self._untold = "rates"

    def answer_lost(self) -> None:
        """Forget what never got there."""
        if self._untold == "balances":
            self._balances = self._balances_before
        elif self._untold == "rates" and self._rates:
            self._rates.pop()
        self._untold = ""

    def created(self, order: Order, at: int) -> None:
        """Judge a new order, unless the wire alone or a person has made it."""
        if self._day.person.acts:
            self._unknowable.add(order.order_id)
            return
        if self._exchange.repeating:
            # Which the daemon counts from its first sight on; until then also where its twin is over.
            self._unknowable.add(order.order_id)
            return
        self._made.append(_Made(order.server_id, at, self._day.clock.now()))
        while self._made[0].at <= at - HOUR:
            self._made.popleft()
        rails = self._day.policy.rails
        before = [each for each in self._counted() if each is not order]
        self._judge(self._too_many(rails))
        self._judge(self._too_dear(rails))
        self._judge(self._churn(order.server_id, rails))
        self._judge(self._too_poor(order, rails))
        bound = self._unattended({each: each.price for each in before}, at)
        self._judge(self._beyond_unattended(bound, at, rails))

    def priced(self, order: Order, before: Decimal, at: int) -> None:
        """Judge a raise; to come down is always allowed."""
        if self._exchange.repeating or order.price <= before:
            return
        self._raised.append((order.server_id, at))
        rails = self._day.policy.rails
        self._judge(self._too_dear(rails))
        prices = {each: each.price for each in self._counted()}
        if order in prices:
            prices[order] = before
        self._judge(self._beyond_unattended(self._unattended(prices, at), at, rails))

    # What is asked of it

    def leaves_no_room(self, target: Target) -> bool:
        """Return whether some rail keeps the cheapest server from this target now.

        Here the wire's own orders count as well: once seen they take up room.
        """
        rails, live = self._day.policy.rails, list(self._market.live.values())
        kept = 1 if isinstance(target.params, DeadlineParams) else 0
        if rails.max_orders is not None and len(live) >= rails.max_orders:
            return True
        # One less: a request whose process died before it left is counted by the daemon as well.
        if len(self._tried()) >= max(1, rails.max_creations_per_hour - kept - 1):
            return True
        # One more server is lacking: a new one, or one on which an offer of ours was outbid.
        running = {order.server_id for order in live if order.active}
        cheapest = self._day.referee.cheapest_usd(target.name, apart_from=running)
        if cheapest is None:
            return False
        dear = cheapest * _MARGIN
        if rails.max_usd_per_day is not None and self._usd(live) + dear > rails.max_usd_per_day:
            return True
        return self._would_be_beyond(target, dear, rails)

    def worn_out(self, target: Target) -> set[int]:
        """Return the servers whose allowance of orders within the hour this target has used up."""
        kept = 1 if isinstance(target.params, DeadlineParams) else 0
        most = max(1, self._day.policy.rails.max_creations_per_server_hour - kept - 1)
        tried = self._tried()
        return {server for server in tried if tried.count(server) >= most}

    def unpaid(self, target: Target) -> set[int]:
        """Return the servers that no wallet carries for an hour at a price that the owner allows.

        What is to stay in a wallet carries nothing.
        """
        rails, rates, referee = self._day.policy.rails, self._market.rates, self._day.referee
        found = set()
        for server in referee.attainable_now(target.name):
            stall = self._market.stalls[server]
            rival = highest_rival_usd(stall, rates) or Decimal(0)
            for coin in referee.attainable_in(target.name, server):
                left = self._market.wallets.balance(coin) - (_kept(rails, coin) or 0)
                if left * rates[coin] >= max(stall.floor[coin] * rates[coin], rival) * _MARGIN / 24:
                    break
            else:
                found.add(server)
        return found

    def raised_at(self, server: int) -> list[int]:
        """Return when the account raised its bid on this server."""
        return [at for where, at in self._raised if where == server]

    @property
    def servers_raised(self) -> set[int]:
        """Return the servers on which the account has ever raised."""
        return {server for server, _ in self._raised}

    # The rails

    def _judge(self, broken: str) -> None:
        if broken:
            self._violated(broken)

    def _too_many(self, rails: Rails) -> str:
        # It bounds what the daemon orders; a person's orders count for what is spent.
        by_hand = self._day.person.by_hand
        live = sum(order.order_id not in by_hand for order in self._counted())
        if rails.max_orders is None or live <= rails.max_orders:
            return ""
        return f"{live} orders live, of {rails.max_orders} allowed"

    def _too_dear(self, rails: Rails) -> str:
        if rails.max_usd_per_day is None:
            return ""
        usd = self._usd(self._counted())
        if usd <= rails.max_usd_per_day + _DUST:
            return ""
        return f"{usd} USD a day bid, of {rails.max_usd_per_day} allowed"

    def _churn(self, server: int, rails: Rails) -> str:
        lately = list(self._lately())
        here = sum(each.server == server for each in lately)
        if len(lately) > rails.max_creations_per_hour:
            return f"{len(lately)} orders made within an hour, of {rails.max_creations_per_hour} allowed"
        if here > rails.max_creations_per_server_hour:
            most = rails.max_creations_per_server_hour
            return f"{here} orders made on server {server} within an hour, of {most} allowed"
        return ""

    def _too_poor(self, order: Order, rails: Rails) -> str:
        kept = _kept(rails, order.currency)
        # Who was told nothing must ask; until then what is really there counts.
        really = self._market.wallets.balance(order.currency) + order.creation_fee
        left = self._balances.get(order.currency, really)
        if kept is None or left >= kept:
            return ""
        return f"an order was made with {left} {order.currency} left, and {kept} is to stay"

    def _beyond_unattended(self, before: Decimal, at: int, rails: Rails) -> str:
        limit = rails.max_usd_if_unattended
        if limit is None:
            return ""
        after = self._unattended({each: each.price for each in self._counted()}, at)
        if after <= limit + _DUST or after <= before + _DUST:
            return ""
        return f"{after} USD could be spent unattended, of {limit} allowed"

    def _would_be_beyond(self, target: Target, dear: Decimal, rails: Rails) -> bool:
        limit = rails.max_usd_if_unattended
        if limit is None:
            return False
        servers = self._day.referee.attainable_now(target.name)
        hours = max((self._market.stalls[server].mrl_hours for server in servers), default=0)
        now = self._unattended(
            {each: each.price for each in self._market.live.values()}, self._market.at
        )
        return now + dear * hours / 24 > limit

    # The sums

    def _counted(self) -> list[Order]:
        """Return the live orders, of several on one server the cheapest: the wire's own are not ours."""
        found: dict[int, Order] = {}
        for order in self._market.live.values():
            if order.order_id in self._unknowable:
                continue
            other = found.get(order.server_id)
            if other is None or order.price < other.price:
                found[order.server_id] = order
        return list(found.values())

    def _usd(self, orders: Iterable[Order]) -> Decimal:
        rates = self._rates_known()
        return sum((order.price * rates[order.currency] for order in orders), Decimal(0))

    def _rates_known(self) -> Mapping[str, Decimal]:
        """Return the rates that the sender had been told; of a request held back, the lowest of late."""
        told = self._day.referee.rates_seen
        if not self._exchange.unheard or not self._rates:
            return told
        return {
            coin: min(rates.get(coin, rate) for _, rates in self._rates) for coin, rate in told.items()
        }

    def _unattended(self, prices: Mapping[Order, Decimal], at: int) -> Decimal:
        """Return what these orders cost in USD up to their ends, as far as the money reaches."""
        rates, owed = self._rates_known(), dict[str, Decimal]()
        ahead = self._day.clock.now() - self._day.transport.now()
        slipped = round(min(max(ahead, timedelta(0)), _SLIPPED) / timedelta(seconds=1) * SECOND)
        for order, price in prices.items():
            left = max(0, order.ends_at - at - _DATED - slipped)
            spend = price * left / DAY * (100 + order.fee_percent) / 100
            owed[order.currency] = owed.get(order.currency, Decimal(0)) + spend
        balance = self._market.wallets.balance
        return sum((min(due, balance(coin)) * rates[coin] for coin, due in owed.items()), Decimal(0))

    def _lately(self) -> Iterator[_Made]:
        """Yield the orders made within the hour, as far as the daemon can know of them.

        By true time and by the machine's calendar: whoever set it forward has made them older.
        """
        at, calendar = self._market.at, self._day.clock.now()
        for made in self._made:
            recent = at - made.at < HOUR - _HELD_BACK
            if recent and calendar - made.calendar < timedelta(hours=1) and not self._forgot(made):
                yield made

    def _forgot(self, made: _Made) -> bool:
        return any(since < made.at <= until for since, until in self._day.forgotten)

    def _tried(self) -> list[int]:
        """Return the servers of all creations that were sent within the hour, whatever came of them."""
        ledger = self._day.transport.ledger
        return ledger.created_since(self._day.clock.true - HOUR / SECOND)


def _kept(rails: Rails, currency: str) -> Decimal | None:
    return next((m.amount for m in rails.min_balance if str(m.currency) == currency), None)
