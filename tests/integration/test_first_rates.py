"""A first start without a rate: the exchange tells them in books, but not in each."""

import json
from dataclasses import replace
from datetime import timedelta

import httpx
import pytest
from virtual import Day, begin, put_between

from bidder.demo.transport import SimTransport


class Unrated(httpx.AsyncBaseTransport):
    """Leaves the rates out of the books of the first servers that are asked for, or the books whole."""

    def __init__(self, day: Day, *, most: int, whole: bool) -> None:
        """Stand between ``day``'s daemon and its exchange."""
        self._below = SimTransport(day.exchange, day.clock)
        self._most, self._whole = most, whole
        self.asked: list[str] = []

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Pass on one request, and most of the answer."""
        answer = await self._below.handle_async_request(request)
        server = request.url.params.get("market")
        if server is None:
            return answer
        if server not in self.asked and len(set(self.asked)) >= self._most:
            return answer
        self.asked.append(server)
        shown = json.loads(await answer.aread())
        if shown.get("market") is not None:
            shown["market"].pop("currency_rates_in_usd", None)
            shown["market"] = None if self._whole else shown["market"]
        return httpx.Response(200, content=json.dumps(shown).encode())


@pytest.mark.parametrize("whole", [False, True])
def test_books_without_rates_keep_no_target_from_one_that_has_them(whole: bool) -> None:
    """The next one is read at once, whichever way the first ones tell none."""
    day = begin(rivals=False, shape=lambda policy: replace(policy, targets=policy.targets[:1]))
    between = Unrated(day, most=5, whole=whole)
    put_between(day, between)

    day.run(timedelta(minutes=2))

    assert len(set(between.asked)) == 5
    assert len(day.live()) == day.policy.targets[0].want


def test_where_no_book_has_rates_the_owner_is_told_of_the_key_that_helps() -> None:
    """And the books are not all read for it, each second one of them."""
    day = begin(rivals=False, servers=200)
    between = Unrated(day, most=1000, whole=False)
    put_between(day, between)

    day.run(timedelta(minutes=20))

    told = [alarm.text for report in day.reports for alarm in report.alarms_raised]
    assert told != []
    assert all("name it under `rates`" in text for text in told)
    assert day.live() == []
    assert len(between.asked) < 120
