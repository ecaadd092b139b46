"""Budgets as they are shown and told: each one's state for pages and commands, and what is news.

With pacing a daily budget is nearly spent each evening, as it should be. What is news is one that is
spent long before its period ends: then the bids cost more than they can be paced down to.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

from bidder.domain import budgets
from bidder.domain.actions import Decision, Fact, Reason
from bidder.domain.budgets import Limit, Standing
from bidder.domain.costs import share_of_day
from bidder.domain.ids import spelled
from bidder.domain.money import Currency, plain, to_places
from bidder.domain.notices import Event, Level, Notice
from bidder.domain.policy import Policy
from bidder.domain.view import View

_LOOK_EVERY = timedelta(seconds=60)
_NEARLY = Decimal("0.9")
# Of the period's time: with less left, a budget that is nearly spent, or spent, is as it should be.
_EARLY, _LATE = Decimal("0.15"), Decimal("0.1")


def shown(
    view: View, policy: Policy, now: datetime, decisions: Iterable[Decision]
) -> list[dict[str, Any]]:
    """Return each budget as a JSON-ready object; amounts are null where an order has no rate.

    One is spent where a decision of this moment says so, or where only its reserve is left.
    """
    found, out = [], _spent(decisions)
    for here in budgets.standings(view, policy, now):
        spent = here.limit.spelled in out or here.target_rate <= 0
        found.append(_shown(here.limit, None if here.unvalued else here, now, spent=spent))
    return found


def _spent(decisions: Iterable[Decision]) -> frozenset[Fact]:
    """Return the names of the budgets for which something is ended or not begun."""
    stopped = (d.facts.get("budget") for d in decisions if d.reason is Reason.BUDGET_SPENT)
    return frozenset(name for name in stopped if name is not None)


def _shown(limit: Limit, here: Standing | None, now: datetime, *, spent: bool) -> dict[str, Any]:
    state = "free" if here is not None and here.multiplier == 0 else "paced"
    if here is None or spent:
        state = "spent" if spent else "unknown"
    return {
        "target": limit.target,
        "period": limit.period.value,
        "limit": _usd(limit.usd),
        "state": state,
        "spent": None if here is None else _usd(here.spent),
        "unseen": None if here is None else _usd(here.unseen),
        "left": None if here is None else _usd(here.left),
        "per_day": None if here is None else _usd(here.rate),
        "target_per_day": None if here is None else _usd(here.target_rate),
        "multiplier": None if here is None else round(here.multiplier, 4),
        "ends_at": limit.period.ends(now).isoformat(timespec="seconds").replace("+00:00", "Z"),
    }


def _usd(amount: Decimal) -> dict[str, str]:
    return {"amount": plain(to_places(amount, 6)), "currency": "USD"}


@dataclass(slots=True)
class BudgetsTold:
    """Remembers what of which period was told already."""

    _told: set[tuple[str, bool, datetime]] | None = None
    _looked_at: datetime | None = field(default=None)
    _unvalued_since: dict[Currency, datetime] = field(default_factory=dict)
    _told_unvalued: set[Currency] = field(default_factory=set)

    def notices(
        self, now: datetime, view: View, policy: Policy, decisions: Iterable[Decision]
    ) -> Iterator[Notice]:
        """Yield what is news of the budgets; what stood there at the start is none."""
        out = _spent(decisions)
        last = self._looked_at
        soon = last is not None and timedelta(0) <= now - last < _LOOK_EVERY
        if view.orders_at is None or (soon and not out):
            return
        self._looked_at = now
        found = budgets.standings(view, policy, now)
        yield from self._unvalued(found, view, policy, now)
        news = ((each, _news(each, spent=each.limit.spelled in out)) for each in found)
        present = {(e.limit.key, spent, e.began): e for e, spent in news if spent is not None}
        before, self._told = self._told, set(present)
        if before is not None:
            self._told |= {key for key in before if any(key[2] == each.began for each in found)}
            for key, each in present.items():
                if key not in before:
                    yield _notice(each, now, spent=key[1])

    def _unvalued(
        self, found: Iterable[Standing], view: View, policy: Policy, now: datetime
    ) -> Iterator[Notice]:
        """Yield what budgets count and nobody can value, once it is no gap between two reads."""
        blind: dict[Currency, list[Limit]] = {}
        for here in found:
            for currency in here.unvalued:
                blind.setdefault(currency, []).append(here.limit)
        self._unvalued_since = {each: self._unvalued_since.get(each, now) for each in blind}
        self._told_unvalued &= set(blind)
        for currency, limits in sorted(blind.items(), key=lambda each: each[0].short):
            lasts = now - self._unvalued_since[currency]
            if currency not in self._told_unvalued and lasts >= policy.pace.alarm_after:
                self._told_unvalued.add(currency)
                yield _blind(currency, limits, view, now)


def _news(here: Standing, *, spent: bool) -> bool | None:
    """Return True of a budget that is spent, False of one that soon will be; None where all is well."""
    left = here.days_left / share_of_day(here.ends - here.began)
    if left <= _LATE:
        return None
    early = here.spent + here.unseen >= here.limit.usd * _NEARLY and left > _EARLY
    return True if spent else False if early else None


def _blind(currency: Currency, limits: list[Limit], view: View, now: datetime) -> Notice:
    held = (h.order for h in view.holdings.values() if h.order.price.currency == currency)
    orders = ", ".join(spelled(order.order) for order in held)
    names = ", ".join(limit.spelled for limit in limits)
    return Notice(
        event=Event.BUDGET,
        level=Level.WARNING,
        at=now,
        title=f"what is paid in {currency.short} cannot be valued: no rate to USD is known",
        text=f"It counts for {names}: what else is spent is counted, and nothing that costs more is"
        f" begun. Orders: {orders or 'none live'}.",
        key=f"unvalued:{currency.short}",
        facts={"currency": currency.short, "budgets": ", ".join(limit.key for limit in limits)},
    )


def _notice(here: Standing, now: datetime, *, spent: bool) -> Notice:
    limit, used = here.limit, here.spent + here.unseen
    ends = f"{here.ends:%Y-%m-%d %H:%M} UTC"
    title = f"{limit.spelled} is spent: {used:.2f} of {limit.usd} USD"
    text = f"Its orders are cancelled, as few as suffice, and nothing is begun until {ends}."
    if not spent:
        title = f"{limit.spelled} is {used / limit.usd:.0%} spent, long before {ends}"
        text = (
            f"{here.left:.2f} of {limit.usd} USD are left; what runs costs {here.rate:.2f} USD per day."
        )
    facts: dict[str, Fact] = {
        "budget": limit.key,
        "target": limit.target,
        "limit_usd": str(limit.usd),
        "spent_usd": f"{used:.4f}",
        "usd_per_day": f"{here.rate:.4f}",
        "multiplier": round(here.multiplier, 3),
        "until": here.ends.isoformat(),
    }
    key = f"{limit.key}:{'spent' if spent else 'nearly'}:{here.began:%Y-%m-%d}"
    return Notice(
        event=Event.BUDGET, level=Level.WARNING, at=now, title=title, text=text, key=key, facts=facts
    )
