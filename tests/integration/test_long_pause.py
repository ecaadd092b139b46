"""A page asks for a pause of a day: the daemon keeps minutes of it, and hears and tells meanwhile."""

from datetime import datetime, timedelta
from itertools import pairwise

import httpx
import pytest
from virtual import Day, begin, put_between

from bidder.app.report import PassReport
from bidder.demo.transport import SimTransport
from bidder.domain.actions import Reason, Withdraw
from bidder.domain.ids import AccountName
from bidder.errors import RateLimited
from bidder.store.commands import post_request
from bidder.store.queries import Queries

ACCOUNT = AccountName("demo")
KEPT = timedelta(minutes=5)


class Proxy(httpx.AsyncBaseTransport):
    """Turns away one request, or all, with a page that asks for a day; passes on the others."""

    def __init__(self, day: Day) -> None:
        """Stand between the daemon of ``day`` and its exchange."""
        self._below = SimTransport(day.exchange, day.clock)
        self._clock = day.clock
        self.turns_away = 0
        self.asked: list[datetime] = []

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Turn away or pass on one request."""
        self.asked.append(self._clock.now())
        if self.turns_away <= 0:
            return await self._below.handle_async_request(request)
        self.turns_away -= 1
        return httpx.Response(429, headers={"retry-after": "86400"}, content=b"<html>slow down</html>")


@pytest.fixture
def day() -> Day:
    """Return a day on which the daemon holds what it wants."""
    begun = begin(rivals=False)
    begun.run(timedelta(minutes=3))
    assert len(begun.live()) == 5
    return begun


def before(day: Day) -> Proxy:
    """Put a proxy before the exchange of ``day``."""
    proxy = Proxy(day)
    put_between(day, proxy)
    return proxy


def turned_away(day: Day, proxy: Proxy) -> datetime:
    """Let the next request be turned away, and return when that was."""
    proxy.turns_away = 1
    while proxy.turns_away:
        day.run(timedelta(seconds=1))
    return proxy.asked[-1]


def test_after_minutes_one_request_asks_again(day: Day) -> None:
    """Nothing leaves before, and as it is answered the day goes on."""
    proxy = before(day)
    at = turned_away(day, proxy)
    until = len(proxy.asked)
    day.run(timedelta(minutes=10))

    assert timedelta(0) <= proxy.asked[until] - at - KEPT < timedelta(seconds=5)
    assert day.app.trader.failures == 0
    assert len(proxy.asked) > until + 20


def test_each_refusal_in_a_row_is_one_request(day: Day) -> None:
    """A proxy that turns everything away for an hour is asked a dozen times."""
    proxy = before(day)
    turned_away(day, proxy)
    until = len(proxy.asked)
    proxy.turns_away = 1000
    day.run(timedelta(hours=1))

    assert 10 <= len(proxy.asked) - until <= 12


def test_passes_go_on_and_write_nothing_that_is_not_sent(day: Day) -> None:
    """Every few seconds, so that the daemon shows that it lives; no request of its own stays open."""
    proxy = before(day)
    turned_away(day, proxy)
    seen: list[PassReport] = []
    day.run(timedelta(minutes=4), on_pass=seen.append)

    assert max(b.at - a.at for a, b in pairwise(seen)) <= timedelta(seconds=5)
    assert not any(report.observed or report.acted for report in seen[1:])
    assert not day.app.trader.view.intents


def test_a_pause_is_heard_at_once_and_a_cancellation_sent_first(day: Day) -> None:
    """Commands do not wait for the exchange, and what they ask of it is the first that it is asked."""
    proxy = before(day)
    turned_away(day, proxy)
    pause = post_request(day.app.engine, ACCOUNT, "pause", at=day.clock.now())
    order = day.live()[0]["id"]
    post_request(day.app.engine, ACCOUNT, "cancel", {"order": order}, at=day.clock.now())
    until = len(day.deeds)
    day.run(timedelta(seconds=10))

    heard = Queries(day.app.engine, ACCOUNT).request(pause)
    assert heard is not None
    assert heard.outcome == "done: trading is paused"
    assert day.deeds[until:] == []
    day.run(KEPT)
    first = day.deeds[until]
    assert isinstance(first.action, Withdraw)
    assert first.decision.reason is Reason.ORDERED
    assert order not in {each["id"] for each in day.live()}


def test_an_exchange_that_says_nothing_but_pauses_is_told_of(day: Day) -> None:
    """The alarm ripens while nothing is sent."""
    proxy = before(day)
    at = turned_away(day, proxy)
    proxy.turns_away = 1000
    told: list[datetime] = []

    def note(report: PassReport) -> None:
        told.extend(report.at for text in report.alarms if "no usable answer" in text)

    day.run(timedelta(minutes=30), on_pass=note)

    after = day.policy.pace.alarm_after
    assert told
    assert timedelta(0) <= told[0] - at - after < timedelta(seconds=10)


async def test_an_order_that_is_due_is_not_begun_before_it_may_be_sent(day: Day) -> None:
    """A cancellation that was written down first would be in doubt for minutes, if the process dies."""
    proxy = before(day)
    trader = day.app.trader
    proxy.turns_away = 1
    with pytest.raises(RateLimited):
        await trader.client.wallets()
    order = day.live()[0]["id"]
    post_request(day.app.engine, ACCOUNT, "cancel", {"order": order}, at=day.clock.now())
    day.clock.advance(3)
    report = await trader.run_pass()

    assert any(isinstance(decision.action, Withdraw) for decision in report.decisions)
    assert report.acted is None
    assert report.sleep == timedelta(seconds=2)
    assert not Queries(day.app.engine, ACCOUNT).open_intents()
