"""An exchange that echoes a launch where it refuses it: nothing keeps or tells what was secret."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta

import httpx
import pytest
from sqlalchemy import Engine
from virtual import Day, begin, put_between

from bidder.app import snapshot
from bidder.demo.transport import SimTransport
from bidder.domain.policy import Policy
from bidder.store import tables
from bidder.store.engine import open_engine, transaction
from bidder.store.schema import upgrade

SECRET = "wandb-7f3c9a55e1"


class Echoing(httpx.AsyncBaseTransport):
    """Refuses every creation in words that quote what was sent."""

    def __init__(self, day: Day) -> None:
        """Stand between ``day``'s daemon and its exchange."""
        self._below = SimTransport(day.exchange, day.clock)
        self.refused = 0

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Pass on one request, or refuse it."""
        if not request.url.path.endswith("create_order"):
            return await self._below.handle_async_request(request)
        assert SECRET in (await request.aread()).decode()
        self.refused += 1
        return httpx.Response(200, json={"code": 6, "error": f"invalid env: WANDB={SECRET}"})


def with_secret(policy: Policy) -> Policy:
    """Return the policy with a secret in each launch."""
    targets = (
        replace(target, launch=replace(target.launch, env=(("WANDB", SECRET),)))
        for target in policy.targets
    )
    return replace(policy, targets=tuple(targets))


@pytest.fixture
def engine() -> Iterator[Engine]:
    """Yield a database in memory."""
    made = open_engine("sqlite://")
    upgrade(made)
    yield made
    made.dispose()


def test_a_secret_that_the_exchange_echoes_is_kept_and_told_nowhere(engine: Engine) -> None:
    """Neither in the database nor in what is shown and told; what else it said is."""
    day = begin(engine=engine, rivals=False, shape=with_secret)
    echoing = Echoing(day)
    put_between(day, echoing)
    day.run(timedelta(minutes=30))
    assert echoing.refused

    with transaction(engine, writing=False) as connection:
        kept = [str(connection.execute(table.select()).all()) for table in tables.metadata.sorted_tables]
    trader = day.app.trader
    shown = str(snapshot.take(day.reports[-1], trader.view, trader.policy, trader.client.limiter))
    for text in (*kept, shown, *(str(report.alarms) for report in day.reports)):
        assert SECRET not in text
    assert "invalid env: WANDB=[hidden]" in "".join(kept)
