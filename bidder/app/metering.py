"""The regret meter's round: each day that is over is measured once, kept, and said in the log.

Measuring is a long calculation, so it is done elsewhere (``measure``: another process); here it is only
waited for, and passes go on meanwhile. A day is measured when nothing is added to it any more.
"""

from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass, field
from datetime import datetime, timedelta

import structlog

from bidder.clock import Clock
from bidder.domain.money import plain, to_places
from bidder.domain.policy import Policy
from bidder.domain.regret import Regret, headline, together
from bidder.errors import MeterFailed, StoreFailed
from bidder.store.queries import Queries
from bidder.store.recording import GAP
from bidder.store.store import Store

Measure = Callable[[Policy, datetime, datetime], Awaitable[tuple[Regret, ...]]]

log = structlog.get_logger("bidder")

_DAY = timedelta(days=1)
# Later than this nothing is added to a day any more.
_SETTLED_AFTER = 2 * GAP
_MOST_TRIES = 3


@dataclass(slots=True, kw_only=True)
class Meter:
    """Measures the days of one account that are over; asked now and then."""

    measure: Measure
    store: Store
    queries: Queries
    clock: Clock
    _tried: dict[datetime, int] = field(default_factory=dict)

    async def run_due(self, policy: Policy) -> None:
        """Measure every day of the raw history that was not measured yet, the latest first.

        Raises:
            LeaseLost: another daemon trades this account now.
        """
        now = self.clock.now()
        try:
            for day in self._missing(now, policy.retention.raw):
                await self._measure(day, policy)
        except StoreFailed as exc:
            log.warning("regret.failed", error=str(exc))

    def _missing(self, now: datetime, kept: timedelta) -> list[datetime]:
        midnight = now.replace(hour=0, minute=0, second=0, microsecond=0)
        last = midnight if now - midnight >= _SETTLED_AFTER else midnight - _DAY
        span = self.queries.market.read_span()
        if span is None:
            return []
        # Of a day whose rows began to go, the part that is left would be taken for the whole.
        first = now - kept
        known = {regret.begin for regret in self.queries.regrets(first - _DAY, last)}
        days = (last - number * _DAY for number in range(1, kept // _DAY + 1))
        days = (day for day in days if day >= first and span[0] - _DAY < day < span[1])
        return [d for d in days if d not in known and self._tried.get(d, 0) < _MOST_TRIES]

    async def _measure(self, day: datetime, policy: Policy) -> None:
        self._tried[day] = self._tried.get(day, 0) + 1
        try:
            found = await self.measure(policy, day, day + _DAY)
        except MeterFailed as exc:
            log.warning("regret.failed", day=f"{day:%Y-%m-%d}", error=str(exc))
            return
        self._tried[day] = _MOST_TRIES
        if found:
            self.store.save_regrets(day, found)
            _tell(day, found)


def _tell(day: datetime, found: Iterable[Regret]) -> None:
    for regret in together(found, target="all"):
        log.info(
            "regret.measured",
            day=f"{day:%Y-%m-%d}",
            mode=regret.mode.value,
            summary=headline(regret),
            paid_ratio=_rounded(regret.paid_ratio),
            held_share=_rounded(regret.held_share),
            best_held_share=_rounded(regret.best_held_share),
            regret_usd=plain(to_places(regret.usd, 6)),
            costly=[
                f"{each.at:%H:%M:%S} {each.target}: {each.sentence}"
                f" The best {each.better}; lost {plain(to_places(each.usd, 4))} USD."
                for each in regret.costly
            ],
        )


def _rounded(number: float | None) -> float | None:
    return None if number is None else round(number, 4)
