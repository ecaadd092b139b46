"""The daily summary: what was held and paid since the last one, counted from pass to pass.

What was counted goes with the process, so a summary says since when it counted, and how much of the day.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal

from bidder.app.summary import against_on_demand
from bidder.domain import wanted
from bidder.domain.ids import on_paper
from bidder.domain.notices import Event, Level, Notice
from bidder.domain.policy import Mode, Policy
from bidder.domain.view import View

_COUNT_EVERY = timedelta(seconds=60)
# A longer gap than this between two countings was no trading.
_LONGEST_GAP = timedelta(minutes=10)
_DAY = Decimal(86400)
_HOUR = timedelta(hours=1)
# A start and its first reads are no reason to doubt a day's figures.
_ALL_BUT = timedelta(minutes=15)


@dataclass(slots=True)
class _Tally:
    """What the summary adds up, in server-seconds and in USD.

    ``compared`` is the part of ``paid`` that stands against ``on_demand``: where such a price is known.
    """

    since: datetime
    counted: timedelta = timedelta(0)
    held: float = 0.0
    wanted: float = 0.0
    paid: Decimal = Decimal(0)
    compared: Decimal = Decimal(0)
    on_demand: Decimal = Decimal(0)


@dataclass(slots=True)
class DayTold:
    """Adds up a day, and tells it once it is over."""

    _tally: _Tally | None = None
    _counted_at: datetime | None = None

    def notices(self, now: datetime, view: View, policy: Policy) -> Iterator[Notice]:
        """Count what has run since the last call; at the turn of the day tell what it came to."""
        tally, last = self._tally, self._counted_at
        # A clock that was set back: since when it went on nobody can say, and its day may be far off.
        if tally is None or last is None or now < last:
            self._tally, self._counted_at = _Tally(since=now), now
            return
        if now - last < _COUNT_EVERY:
            return
        self._counted_at = now
        if now - last <= _LONGEST_GAP:
            tally.counted += now - last
            _count(tally, view, policy, (now - last).total_seconds())
        if now.date() > last.date():
            yield _summary_notice(tally, now)
            self._tally = _Tally(since=now)


def _count(tally: _Tally, view: View, policy: Policy, seconds: float) -> None:
    share = Decimal(str(round(seconds, 3))) / _DAY
    tally.wanted += seconds * wanted.of_all(policy, view)
    for holding in view.holdings.values():
        price = holding.order.price
        ours = holding.ours and on_paper(holding.order.order) is (policy.mode is Mode.PAPER)
        if not ours or not holding.runs or not view.rates.knows(price.currency):
            continue
        tally.held += seconds
        tally.paid += view.rates.to_usd(price) * share
        compared = against_on_demand(holding, view, policy)
        if compared is not None:
            tally.compared += compared[0] * share
            tally.on_demand += compared[1] * share


def _what(tally: _Tally) -> str:
    part = f"{tally.compared:.2f}"
    return "it" if part == f"{tally.paid:.2f}" else f"what came to {part} of it"


def _uncounted(counted: timedelta, whole: timedelta) -> str:
    if whole - counted <= _ALL_BUT:
        return ""
    return (
        f"Counted {counted / _HOUR:.1f} of {whole / _HOUR:.0f} hours: what ran in the others, or before"
        " the last start of the daemon, is not in these figures. "
    )


def _summary_notice(tally: _Tally, now: datetime) -> Notice:
    held = tally.held / tally.wanted if tally.wanted else 0.0
    saved = tally.on_demand - tally.compared
    whole = _midnight(now) - _midnight(tally.since)
    share = f" ({saved / tally.on_demand:.0%})" if tally.on_demand > 0 else ""
    return Notice(
        event=Event.SUMMARY,
        level=Level.INFO,
        at=now,
        title=f"since {tally.since:%Y-%m-%d %H:%M} UTC: {held:.0%} of the servers wanted were held",
        text=f"{_uncounted(tally.counted, whole)}"
        f"The bids that ran came to {tally.paid:.2f} USD without fees;"
        f" on demand {_what(tally)} would have been {tally.on_demand:.2f} USD:"
        f" {saved:.2f}{share} saved.",
        key=f"{now:%Y-%m-%d}",
        facts={
            "since": tally.since.isoformat(),
            "counted_hours": f"{tally.counted / _HOUR:.2f}",
            "held_share": round(held, 4),
            "paid_usd": f"{tally.paid:.4f}",
            "compared_usd": f"{tally.compared:.4f}",
            "on_demand_usd": f"{tally.on_demand:.4f}",
            "saved_usd": f"{saved:.4f}",
        },
    )


def _midnight(at: datetime) -> datetime:
    return at.replace(hour=0, minute=0, second=0, microsecond=0)
