"""What a day leaves and a daemon holds, and how much of it there may be."""

import gc
import sys
from collections.abc import Iterator, Sized
from datetime import timedelta
from types import BuiltinFunctionType, FunctionType, MethodType, ModuleType
from typing import TYPE_CHECKING, Any

from bidder.domain.digest import Span
from bidder.domain.intents import IntentKind
from bidder.domain.policy import Retention
from bidder.domain.view import View

if TYPE_CHECKING:
    from bidder.chaos.day import ChaosDay

Stored = dict[str, list[dict[str, Any]]]  # the rows of each table, moments in microseconds

# So short that a store that does not tidy shows within a day.
RETENTION = Retention(
    raw=timedelta(hours=2), inputs=timedelta(hours=1), hourly=timedelta(hours=6), daily=timedelta(days=2)
)
# Housekeeping is done once an hour, and on a failing database an hour later.
_TIDIED_EVERY = timedelta(hours=1)
_SLACK = timedelta(minutes=10)
# What goes when it is past its time, by the table and its moment; documented in docs/operations.md.
_AGES = {
    "decision_inputs": RETENTION.inputs,
    "requests": RETENTION.raw,
    "intents": timedelta(days=2),
    "raises": timedelta(days=2),
    "step_samples": timedelta(days=30),
}
# Those that cancelled an order are counted as long as it may turn out to run on.
_WITHDRAWALS = timedelta(days=4)
_AGES_UNLESS_LIVE = {"decisions": RETENTION.raw, "order_prices": RETENTION.raw}
_MOMENTS = {"requests": "done_at", "intents": "closed_at"}
# Of these the newest row of each subject stays, and all of a day (UTC) that is not summarised yet.
_REPLACED = {"books": ("server_id", "until"), "rates": ("currency", "at"), "wallets": ("currency", "at")}
_SUMMARISED_AFTER = timedelta(hours=2)
_SUMMARIES = ("server_summaries", "target_summaries")
# Nothing else may be many, whatever it is; orders and what they cost are kept for good.
_ROWS = 2500
_FOR_GOOD = frozenset(("orders", "servers", "configurations"))
# The breakers look back a day; a war of raises is shorter.
_REMEMBERED = timedelta(days=1)
_ENDED_REMEMBERED = timedelta(days=3)
# A daemon that holds a handful of servers is about 1,000 objects, and some for each thing below.
_OBJECTS = 2500
_OBJECTS_EACH = 13  # a server with prices in three currencies
_GROWTH_OF_MODULES = 100
_CACHE = "_lru_cache_wrapper"
_ATOMS = (str, bytes, int, float, bool, type(None))
_CODE = (type, ModuleType, FunctionType, BuiltinFunctionType, MethodType)


class Growth:
    """Looks whether anything is kept for ever that should not be."""

    def __init__(self, day: "ChaosDay") -> None:
        """Look at one day."""
        self._day = day
        self._in_modules: int | None = None

    def hourly(self) -> None:
        """Look at what the daemon holds, in the course of a day."""
        self.remembered()
        self.held()

    def half_time(self) -> None:
        """Note what the modules hold, to compare at the end: by now all caches have what they need."""
        self._in_modules = in_modules()

    def size(self, stored: Stored) -> None:
        """What is kept is young, or one row of each subject."""
        for table, past in self._past(stored):
            if past:
                self._day.watch.violated("size", f"{past} rows of {table} are past their time")
        most = _ROWS * max(1.0, self._day.days / 7)
        found = sum(len(rows) for table, rows in stored.items() if table not in _FOR_GOOD)
        if found > most:
            self._day.watch.violated("size", f"{found} rows of history, more than {most:.0f}")

    def _past(self, stored: Stored) -> Iterator[tuple[str, int]]:
        """Yield how many rows of each table housekeeping should have deleted by now."""
        last_tidied = self._before(timedelta(0))
        # What has just ended was still spared when housekeeping last came.
        live = {
            row["order_id"]
            for row in stored["orders"]
            if row["ended_at"] is None or row["ended_at"] > last_tidied
        }
        withdrawals = [row for row in stored["intents"] if row["kind"] == IntentKind.WITHDRAW]
        others = [row for row in stored["intents"] if row["kind"] != IntentKind.WITHDRAW]
        yield "intents", len(_older(withdrawals, "closed_at", self._before(_WITHDRAWALS)))
        for table, kept in _AGES.items():
            moment = _MOMENTS.get(table, "at")
            rows = others if table == "intents" else stored[table]
            yield table, len(_older(rows, moment, self._before(kept)))
        for table, kept in _AGES_UNLESS_LIVE.items():
            old = _older(stored[table], "at", self._before(kept))
            yield table, sum(row["order_id"] not in live for row in old)
        for table, (subject, moment) in _REPLACED.items():
            old = _older(stored[table], moment, min(self._before(RETENTION.raw), self._unfinished_day()))
            # What a calendar that was set ahead has dated goes once that moment has come.
            old = [row for row in old if row["at"] <= last_tidied]
            yield table, len(old) - len({row[subject] for row in old})
        assert RETENTION.hourly is not None
        for table in _SUMMARIES:
            old = _older(stored[table], "at", self._before(RETENTION.hourly))
            yield table, sum(row["span"].startswith(Span.HOUR.value) for row in old)

    def _unfinished_day(self) -> float:
        """Return when the day began that may not be in the summaries yet; in microseconds."""
        day = self._day.clock.now() - _SUMMARISED_AFTER
        return day.replace(hour=0, minute=0, second=0, microsecond=0).timestamp() * 1e6

    def _before(self, kept: timedelta) -> float:
        """Return the moment before which nothing is left that is kept so long; in microseconds."""
        return (self._day.clock.now() - kept - _TIDIED_EVERY - _SLACK).timestamp() * 1e6

    def remembered(self) -> None:
        """What the daemon remembers is of the last day, and of this account."""
        day = self._day
        if day.app is None:
            return
        view = day.app.trader.view
        violated = day.watch.violated
        for name, moments in (
            ("creations", [each.at for each in view.creations]),
            ("raises", [each.at for each in view.raises]),
            ("replaced", [each.at for each in view.replaced]),
        ):
            if moments and max(moments) - min(moments) > _REMEMBERED + _SLACK:
                violated("size", f"{name} are remembered since {min(moments)}")
        now = day.exchange.market.at
        keep = _ENDED_REMEMBERED + timedelta(hours=12)
        reach = day.exchange.rules.completed_reach_seconds
        if reach is not None:
            keep += timedelta(seconds=reach)
            old = [
                order.order_id
                for order in day.exchange.market.own.values()
                if order.ended_at is not None
                and order.order_id in view.ended
                and timedelta(microseconds=now - order.ended_at) > keep
            ]
            if old:
                violated("size", f"{len(old)} orders that ended long ago are remembered")

    def held(self) -> None:
        """The daemon holds no more objects than what it knows can explain."""
        app = self._day.app
        if app is None:
            return
        # What was last read, written and asked of a server is kept until there are many of them.
        written = app.trader.store._latest.servers  # noqa: SLF001 - the judge looks inside
        things = known_things(app.trader.view) + max(len(written), len(app.trader.recorder.books))
        most = _OBJECTS + _OBJECTS_EACH * things
        found = objects(app, apart={id(each) for each in self._apart()})
        if found > most:
            self._day.watch.violated("size", f"the daemon holds {found} objects, more than {most}")

    def _apart(self) -> Iterator[object]:
        day = self._day
        yield from (day, day.exchange, day.transport, day.clock, day.engine, day.machine)

    def modules(self) -> None:
        """What is kept at the level of modules does not grow from the middle of the day to its end."""
        if self._in_modules is None:
            return
        grown = in_modules() - self._in_modules
        if grown > _GROWTH_OF_MODULES:
            self._day.watch.violated("size", f"{grown} more things in collections of modules")

    def at_the_end(self, stored: Stored) -> None:
        """Look at everything once more."""
        self.size(stored)
        self.hourly()
        self.modules()


def known_things(view: View) -> int:
    """Return how many things a daemon knows that it may hold objects for."""
    collections: tuple[Sized, ...] = (
        *(view.marketplace.listings, view.books, view.holdings, view.ended, view.creations),
        *(view.raises, view.steps, view.setbacks, view.intents, view.replaced, view.unlisted_since),
        *view.shortlists.values(),
        *view.rentals.values(),
        *(seen.book.offers for seen in view.books.values()),
    )
    return sum(map(len, collections))


def objects(root: object, *, apart: set[int]) -> int:
    """Return how many objects can be reached from ``root``; code and what is ``apart`` left out."""
    seen, ahead, found = set(apart), [root], 0
    while ahead:
        one = ahead.pop()
        if isinstance(one, (*_ATOMS, *_CODE)) or id(one) in seen:
            continue
        seen.add(id(one))
        found += 1
        ahead += gc.get_referents(one)
    return found


def in_modules() -> int:
    """Return how much is in the collections and caches of the daemon's modules."""
    found = 0
    for name, module in list(sys.modules.items()):
        if name.startswith("bidder.") and not name.startswith(("bidder.chaos", "bidder.sim")):
            for value in vars(module).values():
                if isinstance(value, list | dict | set):
                    found += len(value)
                elif type(value).__name__ == _CACHE:
                    found += value.cache_info().currsize
    return found


def _older(rows: list[dict[str, Any]], moment: str, before: float) -> list[dict[str, Any]]:
    return [row for row in rows if row[moment] is not None and row[moment] < before]
