"""The most that a configuration allows to be bid per day, whatever the market does.

Each slot at its ceiling, bounded by the rails and the budget; without fees, as ceilings are. Orders
that are no strategy's are no part of it. Rejected: the dearest server on the marketplace as a bound,
which is another one tomorrow.
"""

from dataclasses import dataclass
from decimal import Decimal

from bidder.domain.money import Rates
from bidder.domain.policy import Per, Policy, Target

CEILINGS = "ceilings"
MAX_ORDERS = "rails.max_orders"
MAX_USD_PER_DAY = "rails.max_usd_per_day"
BUDGET = "budget.usd_per_day"


@dataclass(frozen=True, slots=True, kw_only=True)
class TargetsWorst:
    """One target's part: so many orders at once, each at most ``each`` USD per day.

    None: there is no bound, or it is not known; ``problem`` says why.
    """

    target: str
    orders: int
    each: Decimal | None
    problem: str = ""

    @property
    def usd(self) -> Decimal | None:
        """Return what all of them come to at most."""
        return None if self.each is None else self.each * self.orders


@dataclass(frozen=True, slots=True, kw_only=True)
class WorstCase:
    """The whole, and what it is that bounds it; ``usd`` and ``problem`` as in ``TargetsWorst``."""

    usd: Decimal | None
    bounded_by: str | None
    targets: tuple[TargetsWorst, ...]
    problem: str = ""


def worst_case(policy: Policy, rates: Rates) -> WorstCase:
    """Return the most that all bids of the policy may come to, in USD per day."""
    targets = tuple(_of(target, rates) for target in policy.targets if target.enabled)
    rails = policy.rails
    total = _total(targets)
    bounded_by = None if total is None else CEILINGS
    most = rails.max_orders
    if total is not None and most is not None and most < sum(t.orders for t in targets):
        # The dearest are the ones that live.
        each = sorted((t.each for t in targets for _ in range(t.orders) if t.each), reverse=True)
        total, bounded_by = sum(each[:most], Decimal(0)), MAX_ORDERS
    if rails.max_usd_per_day is not None and (total is None or rails.max_usd_per_day < total):
        total, bounded_by = rails.max_usd_per_day, MAX_USD_PER_DAY
    most_spent = policy.budget.usd_per_day
    if most_spent is not None and (total is None or most_spent < total):
        total, bounded_by = most_spent, BUDGET
    return WorstCase(
        usd=total,
        bounded_by=bounded_by,
        targets=targets,
        problem=_problem(targets) if total is None else "",
    )


def _problem(targets: tuple[TargetsWorst, ...]) -> str:
    """Return each thing that is missing once, with all the targets that miss it."""
    named: dict[str, list[str]] = {}
    for target in targets:
        if target.problem:
            named.setdefault(target.problem, []).append(target.target)
    return "; ".join(f"{', '.join(names)}: {problem}" for problem, names in named.items())


def _total(targets: tuple[TargetsWorst, ...]) -> Decimal | None:
    total = Decimal(0)
    for target in targets:
        if target.usd is None:
            return None
        total += target.usd
    return total


def _of(target: Target, rates: Rates) -> TargetsWorst:
    """Return a target's part; a job's orders may all be on demand, or all on spot."""
    orders = _most_orders(target)
    if not orders:
        return TargetsWorst(target=target.name, orders=0, each=Decimal(0))
    limits = {target.ceiling, target.limit(on_demand=True)}
    unknown = sorted({c.price.currency.short for c in limits if not rates.knows(c.price.currency)})
    if unknown:
        return TargetsWorst(
            target=target.name,
            orders=orders,
            each=None,
            problem=f"not known: no rate to USD is known for {', '.join(unknown)}; the exchange tells"
            " one, or set it under `rates`",
        )
    gpus = target.requirements.max_gpus
    if gpus is None and any(limit.per is Per.GPU for limit in limits):
        return TargetsWorst(
            target=target.name,
            orders=orders,
            each=None,
            problem="unbounded: the ceiling is per GPU and nothing bounds the GPUs of a server; set"
            " `servers.gpus.max` or `rails.max_usd_per_day`",
        )
    most = [rates.to_usd(c.price) * ((gpus or 0) if c.per is Per.GPU else 1) for c in limits]
    return TargetsWorst(target=target.name, orders=orders, each=max(most))


def _most_orders(target: Target) -> int:
    """Return how many orders may live at once: a successor that overlaps is one more for a while.

    So is the order with which a job changes between spot and on demand.
    """
    overlaps = target.renewal.overlap or target.overlaps or target.rents
    most = target.want + (1 if overlaps and target.want else 0)
    wanted = target.requirements
    if wanted.servers is None:
        return most
    return min(most, len(wanted.servers - wanted.exclude_servers))
