"""A daemon in virtual time whose orders lead to real servers on loopback, which die and come back."""

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import httpx
import pytest
from documented import read_table
from probed import (
    ACCOUNT,
    DEAD_AFTER,
    PROBE,
    REPLACE,
    cancelled,
    minutes,
    pass_time,
    probing,
    restarted,
)
from prometheus_client.parser import text_string_to_metric_families
from sqlalchemy import Engine
from virtual import Day
from workloads import HOST, workload

from bidder.app import snapshot
from bidder.app.daemon import Daemon
from bidder.app.telling import Teller
from bidder.cli import shapes
from bidder.domain.actions import PlaceBid, Reason, Withdraw
from bidder.domain.ids import OrderId, ServerId
from bidder.domain.notices import Event
from bidder.domain.probe import ProbeKind
from bidder.domain.workloads import Kept
from bidder.sim.answers import Answer
from bidder.sim.exchange import Observer
from bidder.store.engine import open_engine
from bidder.store.queries import Queries
from bidder.store.schema import upgrade
from bidder.web.metrics import Metrics
from bidder.web.pages import make_pages
from bidder.web.source import Source


@pytest.fixture
def engine() -> Iterator[Engine]:
    """Yield a database in memory."""
    made = open_engine("sqlite://")
    upgrade(made)
    yield made
    made.dispose()


def shown(day: Day, order: int) -> dict[str, Any] | None:
    """Return what the status shows of an order's workload."""
    trader = day.app.trader
    picture = snapshot.take(day.reports[-1], trader.view, trader.policy, trader.client.limiter)
    orders = [each for target in picture["targets"] for each in target["orders"]]
    found: dict[str, Any] | None = next(o["workload"] for o in orders if o["order"] == order)
    return found


async def on_the_pages(day: Day) -> tuple[str, dict[str, float]]:
    """Return the status page, and how many workloads the metrics count in each state."""
    app = day.app
    daemon = Daemon(trader=app.trader, lease=app.lease, clock=app.clock, lease_clock=app.lease_clock)
    source = Source(daemon=daemon, spend_totals=lambda: ())
    source.passed(day.reports[-1])
    pages = httpx.ASGITransport(make_pages(source, Metrics(source), token=None))
    async with httpx.AsyncClient(transport=pages, base_url="http://localhost") as http:
        page, metrics = (await http.get("/")).text, (await http.get("/metrics")).text
    counted: dict[str, float] = {}
    for family in text_string_to_metric_families(metrics):
        for sample in family.samples:
            if sample.name == "bidder_workloads":
                state = sample.labels["state"]
                counted[state] = counted.get(state, 0) + sample.value
    return page, counted


async def test_a_death_is_reported_and_so_is_the_return(engine: Engine) -> None:
    """Nothing is cancelled where the owner wants to be told; log, status, history and notice agree."""
    day, teller = probing(engine, PROBE), Teller()
    async with workload() as well, workload() as ill:
        day.exchange.workload = (HOST, well.port)
        await pass_time(day, minutes(1), teller)
        assert len(day.live()) == 5
        order, server = day.live()[0]["id"], day.live()[0]["server"]
        day.exchange.workloads[server] = (HOST, ill.port)
        await pass_time(day, minutes(0.8), teller)
        assert ill.met > 0
        assert (shown(day, order) or {})["state"] == "alive"

        await ill.die()
        died_at = day.clock.now()
        assert await pass_time(day, DEAD_AFTER, teller) == []
        assert (shown(day, order) or {})["state"] == "failing"
        (notice,) = await pass_time(day, minutes(0.5), teller)
        assert (notice.event, notice.facts["order"]) == (Event.WORKLOAD_DEAD, order)
        assert "the connection is refused" in notice.text
        seen = shown(day, order)
        assert seen is not None
        assert seen["state"] == "dead"
        assert seen.keys() == read_table()["workload"].keys()
        page, counted = await on_the_pages(day)
        assert "dead</span> (the connection is refused)" in page
        assert counted == {"dead": 1, "alive": 4, "failing": 0, "starting": 0}

        await ill.rise()
        (notice,) = await pass_time(day, minutes(0.5), teller)
        assert (notice.event, notice.facts["order"]) == (Event.WORKLOAD_ALIVE, order)
        assert (shown(day, order) or {})["state"] == "alive"

    assert cancelled(day) == []
    (dead, alive) = Queries(engine, ACCOUNT).workloads(ServerId(server))
    assert (dead.reason, dead.action, dead.order) == ("workload_dead", None, order)
    assert shapes.workload(dead).keys() == read_table()["died"].keys()
    assert dead.at is not None
    assert dead.at - died_at >= DEAD_AFTER
    assert (alive.reason, alive.order) == ("workload_alive", order)
    why = [each.reason for each in Queries(engine, ACCOUNT).decisions_for_order(OrderId(order))]
    assert why.count("workload_dead") == why.count("workload_alive") == 1


async def test_an_order_that_died_is_replaced_on_another_server(engine: Engine) -> None:
    """After its time and not before; the slot is full again, and the server is left alone for hours."""
    probe = replace(REPLACE, kind=ProbeKind.HTTP, path="/health")
    day = probing(engine, probe)
    async with workload("http") as well, workload("http") as ill:
        day.exchange.workload = (HOST, well.port)
        await pass_time(day, minutes(1))
        order, server = day.live()[0]["id"], day.live()[0]["server"]
        day.exchange.workloads[server] = (HOST, ill.port)
        await pass_time(day, minutes(0.8))

        # It takes the connection, and says that it is not well.
        ill.answer = b"HTTP/1.1 500 Oops\r\ncontent-length: 0\r\n\r\n"
        await pass_time(day, DEAD_AFTER)
        assert cancelled(day) == []
        await pass_time(day, minutes(1.2))
        assert cancelled(day) == [(order, Reason.WORKLOAD_DEAD)]
        assert len(day.live()) == 5
        assert server not in {each["server"] for each in day.live()}
        (gone,) = Queries(engine, ACCOUNT).workloads()
        assert gone.facts["found"] == "HTTP status 500"

        after = restarted(day, engine)
        again = after.app
        assert [r.server for r in again.trader.view.replaced] == [server]
        # Room for one more, which would go to the cheapest server.
        more = replace(
            after.policy, targets=tuple(replace(t, want=t.want + 1) for t in after.policy.targets)
        )
        again.trader.next_policy = more
        await pass_time(after, minutes(1))
        placed = [d.action.server for d in after.deeds if isinstance(d.action, PlaceBid)]
        assert placed
        assert server not in placed


class Died(BaseException):
    """The process ends here."""


class Deadly(Observer):
    """Kills the daemon at the moment when a cancellation has been carried out."""

    def answered(self, endpoint: str, answer: Answer, at: int) -> None:
        """Die of it."""
        if endpoint == "cancel_order":
            raise Died


async def test_a_replacement_counts_also_where_the_daemon_dies_of_it(engine: Engine) -> None:
    """It is written down before it is sent: the next life knows which server to leave alone."""
    day = probing(engine, REPLACE)
    async with workload() as well, workload("hangs_up") as ill:
        day.exchange.workload = (HOST, well.port)
        lone = day.policy.targets[2]
        for listing in day.market.listings.values():
            if listing.specs.gpu_model in lone.requirements.gpu_models:
                day.exchange.workloads[listing.server] = (HOST, ill.port)
        day.exchange.observers.append(Deadly())
        with pytest.raises(Died):
            await pass_time(day, minutes(4))
    again = restarted(day, engine).app
    (replaced,) = again.trader.view.replaced
    assert replaced.target == lone.name
    assert replaced.order not in {order["id"] for order in day.live()}


async def test_a_launch_that_dies_everywhere_is_not_moved_for_ever(engine: Engine) -> None:
    """Two replacements in a day; then the owner is told that the third stays, and why."""
    day, teller = probing(engine, REPLACE), Teller()
    lone = day.policy.targets[2]
    assert lone.want == 1
    async with workload() as well, workload("hangs_up") as ill:
        day.exchange.workload = (HOST, well.port)
        for listing in day.market.listings.values():
            if listing.specs.gpu_model in lone.requirements.gpu_models:
                day.exchange.workloads[listing.server] = (HOST, ill.port)
        told = await pass_time(day, minutes(8), teller)

    assert [reason for _, reason in cancelled(day)] == [Reason.WORKLOAD_DEAD] * 2
    assert len(day.live()) == 5
    deaths = [notice for notice in told if notice.event is Event.WORKLOAD_DEAD]
    assert len(deaths) == 3
    assert "not replaced, because 2 were within a day" in deaths[-1].text
    # Each had its grace, and then its time.
    (first, second) = (d for d in day.deeds if isinstance(d.action, Withdraw))
    assert first.intent is not None
    assert second.intent is not None
    assert second.intent.opened_at - first.intent.opened_at >= PROBE.grace + DEAD_AFTER


async def test_when_nothing_answers_any_more_nothing_is_cancelled(engine: Engine) -> None:
    """Five deaths at once are one dead network of ours."""
    day = probing(engine, REPLACE)
    async with workload() as well:
        day.exchange.workload = (HOST, well.port)
        await pass_time(day, minutes(1))
        await well.die()
        await pass_time(day, minutes(3))
    assert cancelled(day) == []
    news = [each for report in day.reports for each in report.workloads]
    assert sorted(each.kept or "" for each in news) == [Kept.NETWORK] * 5


async def test_an_answer_cannot_make_the_daemon_knock_at_an_inner_address(engine: Engine) -> None:
    """The exchange names this very machine, by name or by number: nobody knocks, and no order goes."""
    day = probing(engine, replace(REPLACE, allow_networks=(), kind=ProbeKind.HTTP))
    async with workload("http") as inner:
        hosts = ("localhost", "2130706433", "::ffff:127.0.0.1", "127.0.0.1", "0.0.0.0")
        servers = sorted(day.market.listings)
        for place, server in enumerate(servers):
            day.exchange.workloads[server] = (hosts[place % len(hosts)], inner.port)
        await pass_time(day, minutes(3))
        assert inner.met == 0
    assert cancelled(day) == []
    news = [each for report in day.reports for each in report.workloads]
    assert [each.kept for each in news] == [Kept.BLIND] * 5
    assert all("is not public" in str(each.decision.facts["found"]) for each in news)


async def test_probes_cost_no_request(engine: Engine) -> None:
    """The budget of one request per second is the market's."""
    day = probing(engine, PROBE)
    async with workload() as well:
        day.exchange.workload = (HOST, well.port)
        await pass_time(day, minutes(1))
        sent, met = day.app.trader.client.limiter.sent, well.met
        for _ in range(5):
            day.clock.advance(PROBE.every.total_seconds())
            await day.app.prober.look()
        assert well.met >= met + 25
        assert day.app.trader.client.limiter.sent == sent
