"""Cancelling everything on exit, while the exchange does not take each request."""

import asyncio
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from virtual import Day, begin

from bidder.app.keeping import Keeper
from bidder.app.leaving import cancel_all
from bidder.app.telling import left_running
from bidder.sim.answers import Answer, Request
from bidder.store.engine import open_engine
from bidder.store.schema import upgrade


@pytest.fixture
def day(tmp_path: Path) -> Day:
    """Return a day on which the daemon holds what it wants."""
    engine = open_engine(tmp_path / "bidder.db")
    upgrade(engine)
    begun = begin(engine=engine, rivals=False)
    begun.run(timedelta(minutes=3))
    assert len(begun.live()) == 5
    return begun


def failing(day: Day, answer: Answer, *, times: int, executed: bool = False) -> list[str]:
    """Let the next cancellations get this answer instead, ``executed`` or not; return what is asked."""
    real, asked = day.exchange.handle, list[str]()

    def handle(request: Request, now: object) -> Answer:
        asked.append(request.path)
        if not request.path.endswith("cancel_order") or len(cancelled(asked)) > times:
            return real(request, now)  # type: ignore[arg-type]
        if executed:
            real(request, now)  # type: ignore[arg-type]
        return answer

    day.exchange.handle = handle  # type: ignore[method-assign]
    return asked


def cancelled(asked: list[str]) -> list[str]:
    """Return the requests for a cancellation."""
    return [path for path in asked if path.endswith("cancel_order")]


def leave(day: Day) -> tuple[int, ...]:
    """Cancel everything; return the orders that are left."""
    keeper = Keeper(lease=day.app.lease, clock=day.clock)
    left = asyncio.run(cancel_all(day.app.trader, keeper, day.clock))
    return tuple(order.order for order in left)


@pytest.mark.parametrize(
    "answer",
    [
        Answer(status=200, body=b'{"code":5}', code=5),
        Answer(status=502, body=b"<html>"),
        Answer(status=200, body=b'{"code":1}', code=1),
    ],
)
@pytest.mark.parametrize("executed", [False, True])
def test_what_did_not_come_through_is_tried_again(day: Day, answer: Answer, executed: bool) -> None:
    """Refused for the pace, or in doubt: after a look at our orders nothing is left."""
    failing(day, answer, times=3, executed=executed and answer.code != 5)

    assert leave(day) == ()
    assert day.live() == []


def test_an_order_under_way_is_awaited_and_cancelled(day: Day) -> None:
    """What was asked for a moment ago and is not seen yet does not outlive the daemon."""
    day.exchange.rules = replace(day.exchange.rules, visibility_delay_seconds=(10.0, 12.0))
    trader = day.app.trader
    wanted = tuple(replace(target, want=target.want + 1) for target in day.policy.targets)
    trader.next_policy = replace(day.policy, targets=wanted)
    while not trader.view.intents:
        day.run(timedelta(seconds=1))

    assert leave(day) == ()
    assert day.live() == []


def test_an_exchange_that_is_gone_is_not_waited_for_without_end(day: Day) -> None:
    """After a minute or so the daemon goes, and says what it leaves."""
    failing(day, Answer(status=502, body=b"<html>"), times=10_000)
    began = day.clock.monotonic()
    left = leave(day)

    assert set(left) == {order["id"] for order in day.live()}
    assert day.clock.monotonic() - began < 180
    notice = left_running([h.order for h in day.app.trader.view.holdings.values()], day.clock.now())
    assert "5 of its orders" in notice.title
    assert all(str(order) in notice.text for order in left)
