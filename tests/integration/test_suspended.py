"""A machine that is suspended between a decision and its request: what was decided is not sent later."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any

import pytest
from virtual import Day, begin

from bidder.app.report import Acted, Result
from bidder.exchange.limiter import Slot


def first_deed(day: Day, where: str, seconds: float) -> Acted:
    """Let time pass; the first creation meets a machine that sleeps for so long at that point."""
    slept = False

    def suspend() -> None:
        nonlocal slept
        if not slept:
            slept = True
            day.clock.advance(seconds)

    store, limiter = day.app.trader.store, day.app.trader.client.limiter
    opens, waits = store.open_intent, limiter.slot

    def open_intent(**of: Any) -> Any:
        opened = opens(**of)
        suspend()
        return opened

    @asynccontextmanager
    async def slot(*, creation: bool = False) -> AsyncIterator[Slot]:
        if creation:
            suspend()
        async with waits(creation=creation) as taken:
            yield taken

    if where == "the database":
        store.open_intent = open_intent  # type: ignore[method-assign]
    else:
        limiter.slot = slot  # type: ignore[method-assign]
    day.run(timedelta(minutes=10, seconds=seconds))
    return day.deeds[0]


@pytest.mark.parametrize("where", ["the database", "the turn"])
def test_what_was_decided_before_the_sleep_is_not_sent_after_it(where: str) -> None:
    """It is as if it had never been wanted: the next pass looks at the market first."""
    day = begin()
    first = first_deed(day, where, seconds=3600)

    assert first.result is Result.NOT_SENT
    assert "too long" in first.error
    assert day.deeds[1].result is Result.OK
    assert len(day.live()) == len({order["server"] for order in day.live()}) > 0


@pytest.mark.parametrize("where", ["the database", "the turn"])
def test_a_short_wait_changes_nothing(where: str) -> None:
    """A creation waits for its turn, and a database for a lock, as a matter of course."""
    assert first_deed(begin(), where, seconds=20).result is Result.OK
