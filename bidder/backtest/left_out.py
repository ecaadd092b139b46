"""What a report leaves out: strategies whose orders cost something on days of which they have no figure.

A day that the daemon measured is kept without the strategies that it could not measure: one that was
renamed or removed before its last day was over would vanish from the sum without a word.
"""

from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta

from bidder.domain.policy import Mode, Policy
from bidder.domain.regret import Regret
from bidder.store.records import OrderRecord

JOB = "work with a deadline is judged by its job, not by its bids"
GONE = "it is not in the configuration any more"
_UNKNOWN = "the day was measured without it"
_DAY = timedelta(days=1)
_MOST_DAYS_NAMED = 3


def left_out(
    orders: Iterable[OrderRecord],
    regrets: Iterable[Regret],
    policy: Policy,
    whys: Mapping[str, str],
    days: Iterable[datetime],
) -> dict[str, str]:
    """Return why each strategy has no figure, or none for all of the ``days`` on which its orders cost.

    ``whys`` are the reasons that are known already; they stand for those without any figure.
    """
    measured: dict[datetime, set[tuple[Mode, str]]] = {day: set() for day in days}
    for regret in regrets:
        measured.setdefault(regret.begin, set()).add((regret.mode, regret.target))
    named = {target for each in measured.values() for _, target in each}
    found = {target: why for target, why in whys.items() if target not in named}
    for target, missing in _missing(orders, measured).items():
        why = whys.get(target) or _why(target, policy)
        found[target] = (
            why if target not in named else f"{why}; its orders of {_said(missing)} are left out"
        )
    return found


def _missing(
    orders: Iterable[OrderRecord], measured: Mapping[datetime, set[tuple[Mode, str]]]
) -> dict[str, set[datetime]]:
    found: dict[str, set[datetime]] = {}
    if not measured:
        return found
    last = max(measured)
    for record in orders:
        held = record.holding
        if held.target is None or held.order.spend.amount <= 0:
            continue
        begun = max(held.first_seen_at, min(measured))
        day = begun.replace(hour=0, minute=0, second=0, microsecond=0)
        while day <= last and (held.ended_at is None or day < held.ended_at):
            if day in measured and (record.mode, held.target) not in measured[day]:
                found.setdefault(held.target, set()).add(day)
            day += _DAY
    return found


def _why(name: str, policy: Policy) -> str:
    target = policy.target(name)
    if target is None:
        return GONE
    return JOB if target.rents else _UNKNOWN


def _said(days: Iterable[datetime]) -> str:
    each = [f"{day:%Y-%m-%d}" for day in sorted(days)]
    more = len(each) - _MOST_DAYS_NAMED
    return ", ".join(each[:_MOST_DAYS_NAMED]) + (f" and {more} more days" if more > 0 else "")
