"""An exchange whose numbers are absurd, and the daemon that goes on trading on it."""

from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from typing import Any

import httpx
import msgspec
from hypothesis import example, given, settings
from hypothesis import strategies as st
from virtual import Day, begin, put_between

from bidder.app import snapshot
from bidder.app.report import PassReport
from bidder.demo.transport import SimTransport
from bidder.domain.policy import AdaptiveParams, Budget, Ceiling, DeadlineParams, Moving, Per, Policy
from bidder.sim import answers
from bidder.sim.server import DEFAULT_START

# Written into the text of an answer, so that they arrive as the exchange might write them.
NUMBERS = (
    *("0", "-1", "-101", "-100", "100.5", "1e-60", "1e-400", "1e-12", "123456.123456789012345678"),
    *("1e15", "999999999999999.999999999999999", "1e16", "1e20", "1e25", "1e80", "1e308", "-1e308"),
    *("0." + "1" * 59, "9" * 60, str(2**63), '"2.5%"', '"1e20"', '"NaN"', '"Infinity"', "null", "true"),
)
# Every number that the reads carry and something is reckoned from, by the read it stands in.
PLACES = {
    "my_orders": ("price", "spend", "fee", "creation_fee", "mrl", "ct", "limit"),
    "spot_marketplace": ("bid", "min_pricing", "currency_rates_in_usd", "mrl"),
    "wallets": ("balance", "withdrawal_fee"),
    "marketplace": ("on_demand", "spot", "mrl", "reliability", "rating", "gpuram", "ram", "net"),
}
EVERYWHERE = tuple((read, place) for read, places in PLACES.items() for place in places)
CHANGES = st.dictionaries(st.sampled_from(EVERYWHERE), st.sampled_from(NUMBERS), min_size=1, max_size=4)
_MARK = "a-number-"


class Absurd(httpx.AsyncBaseTransport):
    """Carries requests to the exchange, and puts numbers of its own into the answers."""

    def __init__(self, day: Day) -> None:
        """Stand before the exchange of ``day``; nothing is changed yet."""
        self._wire = SimTransport(day.exchange, day.clock)
        self.changes: dict[tuple[str, str], str] = {}

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Answer with the changed numbers, the code apart."""
        answer = await self._wire.handle_async_request(request)
        read = request.url.path.rsplit("/", 1)[-1]
        wanted = {place: number for (where, place), number in self.changes.items() if where == read}
        body = await answer.aread()
        if not wanted:
            return httpx.Response(answer.status_code, headers=answer.headers, content=body)
        text = answers.encoded(_marked(answers.decoded(body), wanted)).decode()
        for place, number in wanted.items():
            text = text.replace(f'"{_MARK}{place}"', number)
        return httpx.Response(answer.status_code, content=text.encode())


def _marked(value: Any, wanted: dict[str, str], under: str = "") -> Any:
    """Return the answer with a mark for each number under one of the names, at any depth."""
    if isinstance(value, dict):
        return {
            key: _marked(each, wanted, key if key in wanted else under) for key, each in value.items()
        }
    if isinstance(value, list):
        return [_marked(each, wanted, under) for each in value]
    number = isinstance(value, int | float | Decimal) and not isinstance(value, bool)
    return f"{_MARK}{under}" if number and under else value


def _watched(policy: Policy) -> Policy:
    """Return the policy with every rail, budget and kind of strategy that reckons."""
    first, second, third = policy.targets
    job = DeadlineParams(
        gpu_hours=Decimal(2),
        by=DEFAULT_START + timedelta(hours=3),
        on_demand_ceiling=Ceiling(price=third.ceiling.price.times(3), per=Per.GPU),
    )
    return replace(
        policy,
        targets=(
            replace(first, params=AdaptiveParams(), moving=Moving(running=True)),
            replace(second, budget=Budget(usd_per_day=Decimal(10))),
            replace(third, params=job),
        ),
        rails=replace(
            policy.rails, max_usd_per_day=Decimal(50), max_usd_if_unattended=Decimal(500), max_orders=9
        ),
        budget=Budget(usd_per_day=Decimal(30), usd_per_month=Decimal(300)),
    )


def trade(changes: dict[tuple[str, str], str], *, before: timedelta) -> Day:
    """Let a daemon trade for a while, then with these numbers, and be pictured after each pass."""
    day = begin(servers=12, shape=_watched)
    wire = Absurd(day)
    put_between(day, wire)

    def pictured(report: PassReport) -> None:
        trader = day.app.trader
        msgspec.json.encode(snapshot.take(report, trader.view, trader.policy, trader.client.limiter))

    day.run(before, pictured)
    wire.changes = changes
    day.run(timedelta(seconds=30), pictured)
    return day


@settings(max_examples=10, deadline=None)
@given(changes=CHANGES, before=st.sampled_from([0, 20]))
@example(changes={("my_orders", "fee"): "-101"}, before=20)
@example(changes={("my_orders", "fee"): "1e80"}, before=20)
@example(changes={("my_orders", "fee"): "1e308"}, before=20)
@example(changes={("my_orders", "price"): "1e25"}, before=20)
@example(changes={("my_orders", "spend"): "1e-60", ("my_orders", "limit"): "9" * 60}, before=20)
@example(changes={("marketplace", "reliability"): '"NaN"'}, before=0)
@example(
    changes={("my_orders", "price"): "1e15", ("spot_marketplace", "currency_rates_in_usd"): "1e14"},
    before=20,
)
def test_no_number_of_the_exchanges_ends_the_daemon(
    changes: dict[tuple[str, str], str], before: int
) -> None:
    """It reads, plans, acts and shows what it knows; nothing raises."""
    day = trade(changes, before=timedelta(seconds=before))

    assert len(day.reports) > before + 10
