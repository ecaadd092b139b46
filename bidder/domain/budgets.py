"""Where each budget stands: what is spent, what is left, and how fast money may and does go.

A budget is of one target or of all together, for a UTC day or month. Spent is what the exchange has
charged, with its fees; what may have been run up since it was last asked counts as spent too, until it
says otherwise. The budget of all counts a person's orders as well: it is the same wallet.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from decimal import Decimal

from bidder.domain import exposure
from bidder.domain.costs import MINUTE, Period, Spent, fee_percent, share_of_day
from bidder.domain.ids import OrderId, on_paper
from bidder.domain.money import Currency, Price
from bidder.domain.pacing import Multiplier, share
from bidder.domain.policy import Mode, Policy, Target
from bidder.domain.view import Holding, View
from bidder.errors import NoRate

# What is aimed at: the rest is for the last minutes, in which nothing can be corrected any more.
AIM = Decimal("0.99")
# Time for cancelling: a request that must be sent again, and two seconds for each order.
_TO_STOP, _TO_STOP_EACH = timedelta(minutes=2), timedelta(seconds=2)


@dataclass(frozen=True, slots=True, kw_only=True)
class Limit:
    """One budget: of a target, or of all (None)."""

    target: str | None
    period: Period
    usd: Decimal

    @property
    def key(self) -> str:
        """Return its name among the account's budgets."""
        return self.period.value if self.target is None else f"{self.target}/{self.period.value}"

    @property
    def spelled(self) -> str:
        """Return it as a person would name it."""
        whose = "of all strategies" if self.target is None else f"of {self.target}"
        return f"the {'daily' if self.period is Period.DAY else 'monthly'} budget {whose}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Running:
    """An order that costs money, or may: its USD per day with fees.

    ``nearness`` is its price over its ceiling: of two orders the one nearer to its ceiling is the worse
    bargain. It is 0 for what is not paced: a job's order, and a person's.
    """

    order: OrderId | None
    usd: Decimal
    nearness: Decimal


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """Where one budget stands. Amounts are USD, rates USD per day, fees included.

    ``unseen`` may have been spent since the exchange last named what each order has cost. ``running``
    are the orders that cost money now, best bargain first, and those of which that is not known.
    ``stopping`` is what all live orders could still cost until they were cancelled, or the period ends;
    ``stopping_share`` is that time, in days. While orders in the ``unvalued`` currencies count, all
    amounts are without them: the budget is spent as far at least, and money goes as fast at least.
    """

    limit: Limit
    began: datetime
    ends: datetime
    spent: Decimal
    unseen: Decimal
    stopping: Decimal
    stopping_share: Decimal
    running: tuple[Running, ...]
    multiplier: float
    at: datetime
    unvalued: frozenset[Currency] = frozenset()

    @property
    def left(self) -> Decimal:
        """Return what may still be spent."""
        return max(self.limit.usd - self.spent - self.unseen, Decimal(0))

    @property
    def days_left(self) -> Decimal:
        """Return the time left in the period, in days."""
        return share_of_day(self.ends - self.at)

    @property
    def room(self) -> Decimal:
        """Return what is left over if every order were cancelled from now on; below 0: too late."""
        return self.limit.usd - self.spent - self.unseen - self.stopping

    @property
    def target_rate(self) -> Decimal:
        """Return how fast money may go so that it lasts until the end of the period."""
        left = self.limit.usd * AIM - self.spent - self.unseen
        return max(left, Decimal(0)) / max(self.days_left, Decimal("1e-6"))

    @property
    def rate(self) -> Decimal:
        """Return how fast money goes."""
        return sum((each.usd for each in self.running), Decimal(0))

    def before(self, order: OrderId | None, nearness: Decimal) -> Decimal:
        """Return what the orders cost that are as good a bargain as this one, or a better one.

        Of equal bargains the older one comes first; an order that does not exist yet comes last.
        """
        total = Decimal(0)
        for each in self.running:
            if each.order == order and order is not None:
                break
            if each.nearness > nearness:
                break
            total += each.usd
        return total


def limits(policy: Policy) -> tuple[Limit, ...]:
    """Return every budget of the policy: of all targets, then of each that is enabled."""
    found = [Limit(target=None, period=p, usd=usd) for p, usd in policy.budget.amounts()]
    for target in policy.targets:
        if target.enabled:
            found += [Limit(target=target.name, period=p, usd=usd) for p, usd in target.budget.amounts()]
    return tuple(found)


def standings(view: View, policy: Policy, now: datetime) -> tuple[Standing, ...]:
    """Return where each budget stands."""
    return tuple(standing(limit, view, policy, now) for limit in limits(policy))


def standing(limit: Limit, view: View, policy: Policy, now: datetime) -> Standing:
    """Return where one budget stands, as far as what counts can be valued."""
    began, ends = limit.period.began(now), limit.period.ends(now)
    held = [h for h in view.holdings.values() if _counts(h, limit, policy)]
    spent = _spent(limit, held, view, policy, now)
    running, unseen, bids = [], Decimal(0), Decimal(0)
    unvalued: set[Currency] = set()
    for holding in held:
        usd = _valued(holding.order.price, view, unvalued, holding)
        bids += usd
        if holding.active is False:
            continue
        running.append(
            Running(order=holding.order.order, usd=usd, nearness=nearness(holding, view, policy))
        )
        unseen += usd * share_of_day(now - max(holding.last_seen_at, began) + MINUTE)
    for holding in _closing(limit, view, policy):
        since, ended = max(holding.last_seen_at, began), holding.ended_at or now
        if ended > began:
            usd = _valued(holding.order.price, view, unvalued, holding)
            unseen += usd * share_of_day(ended - since + MINUTE)
    for price, since in _asked_for(limit, view):
        usd = _valued(price, view, unvalued)
        bids += usd
        running.append(Running(order=None, usd=usd, nearness=Decimal(1)))
        unseen += view.creation_fee_usd + usd * share_of_day(now - max(since, began) + MINUTE)
    to_stop = min(_TO_STOP + _TO_STOP_EACH * len(held), ends - now)
    mu = view.multipliers.get(limit.key, Multiplier()).value
    return Standing(
        limit=limit,
        began=began,
        ends=ends,
        spent=spent,
        unseen=unseen,
        stopping=bids * share_of_day(to_stop),
        stopping_share=share_of_day(to_stop),
        running=tuple(sorted(running, key=lambda each: each.nearness)),
        multiplier=mu,
        at=now,
        unvalued=frozenset(unvalued),
    )


def _valued(
    price: Price, view: View, unvalued: set[Currency], holding: Holding | None = None
) -> Decimal:
    """Return what ``usd_per_day`` does; 0 where that cannot be said, its currency noted."""
    try:
        return usd_per_day(price, view, holding)
    except NoRate:
        unvalued.add(price.currency)
        return Decimal(0)


def usd_per_day(price: Price, view: View, holding: Holding | None = None) -> Decimal:
    """Return what a price per day comes to in USD with the exchange's fee; raises NoRate."""
    percent = exposure.usual_fee_percent(view)
    if holding is not None:
        percent = fee_percent(holding.order, percent)
    return view.rates.to_usd(price) * (100 + percent) / 100


def nearness(holding: Holding, view: View, policy: Policy) -> Decimal:
    """Return an order's price over its ceiling; 0 where it is not paced or cannot be said."""
    target = None if holding.target is None else policy.target(holding.target)
    if target is None or target.rents:
        return Decimal(0)
    order = holding.order
    gpus = view.gpus_of(order.server) or holding.work.gpus
    return nearness_of(order.price, target, gpus, view)


def nearness_of(price: Price, target: Target, gpus: int, view: View) -> Decimal:
    """Return a price over what the owner allows on a server of so many GPUs."""
    try:
        ceiling = target.ceiling.for_server(gpus, price.currency, view.rates)
    except NoRate:
        return Decimal(0)
    return price.amount / ceiling.amount if ceiling.amount > 0 else Decimal(1)


def applying(found: tuple[Standing, ...], target: str) -> tuple[Standing, ...]:
    """Return the standings of the budgets that a target's orders are paid from."""
    return tuple(each for each in found if each.limit.target in (None, target))


def share_of(found: tuple[Standing, ...]) -> Decimal:
    """Return the share of ceiling and value that all of these budgets leave together."""
    return share(sum(each.multiplier for each in found))


def looked(view: View, policy: Policy, now: datetime) -> View:
    """Return the view with each budget's multiplier brought up to date."""
    found: dict[str, Multiplier] = {}
    for limit in limits(policy):
        before = view.multipliers.get(limit.key, Multiplier())
        here = standing(limit, view, policy, now)
        if here.unvalued:
            found[limit.key] = replace(before, at=now)
            continue
        found[limit.key] = before.after(
            float(here.rate), float(here.target_rate), limit.period, now, idle_below=_idle_below(here)
        )
    return replace(view, multipliers=found) if found or view.multipliers else view


def _idle_below(here: Standing) -> float:
    """Return the multiplier above which the worst bargain that runs would not be begun anew."""
    worst = max((each.nearness for each in here.running if each.order is not None), default=Decimal(0))
    return float(1 / worst - 1) if worst > 0 else 0.0


def _spent(limit: Limit, held: list[Holding], view: View, policy: Policy, now: datetime) -> Decimal:
    """Return what the exchange is known to have charged in the period."""
    orders = (*held, *_closing(limit, view, policy))
    spent = sum((holding.cost.within(limit.period, now) for holding in orders), Decimal(0))
    for target, over in view.spent.items():
        if _whose(target or None, limit, policy):
            spent += over.within(limit.period, now)
    return spent


def _closing(limit: Limit, view: View, policy: Policy) -> Iterator[Holding]:
    return (h for h in view.closing.values() if _counts(h, limit, policy))


def _counts(holding: Holding, limit: Limit, policy: Policy) -> bool:
    if on_paper(holding.order.order) is not (policy.mode is Mode.PAPER):
        return False
    return _whose(holding.target, limit, policy)


def _whose(target: str | None, limit: Limit, policy: Policy) -> bool:
    """Return whether what a target has spent counts; on paper a person's orders are none of it."""
    if limit.target is not None:
        return target == limit.target
    return target is not None or policy.mode is Mode.LIVE


def _asked_for(limit: Limit, view: View) -> Iterator[tuple[Price, datetime]]:
    """Yield the price and the moment of each creation whose order is not seen yet."""
    for intent in view.intents:
        if intent.creates and intent.price is not None and limit.target in (None, intent.target):
            yield intent.price, intent.opened_at


def spent_by_target(holdings: Iterator[Holding], now: datetime) -> Mapping[str, Spent]:
    """Return what orders that are over have cost in this day and month, by target."""
    found: dict[str, Spent] = {}
    for holding in holdings:
        whose = holding.target or ""
        found[whose] = found.get(whose, Spent()).plus((holding.cost,), now)
    return found
