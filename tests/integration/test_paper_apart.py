"""A paper daemon on an account with real orders: every figure is of the one or of the other."""

import asyncio
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import timedelta
from decimal import Decimal
from typing import Any

import httpx
import pytest
from prometheus_client import generate_latest
from prometheus_client.parser import text_string_to_metric_families
from virtual import begin

from bidder.app.daemon import Daemon
from bidder.app.summary import line
from bidder.app.telling import Teller
from bidder.demo.transport import SimTransport
from bidder.demo.virtual import run_for
from bidder.domain.ids import on_paper
from bidder.domain.intents import IntentKind
from bidder.domain.notices import Event, Notice, marked
from bidder.domain.policy import Mode
from bidder.store.engine import open_engine
from bidder.store.queries import Queries
from bidder.store.schema import upgrade
from bidder.web.metrics import Metrics
from bidder.web.pages import make_pages
from bidder.web.source import Source
from bidder.wiring import build_app

A_WHILE = timedelta(minutes=4)


@dataclass(frozen=True, slots=True, kw_only=True)
class Desk:
    """What a paper daemon shows, after a live one has traded on the same account."""

    source: Source
    queries: Queries
    page: str
    samples: dict[str, dict[str, float]]
    notices: tuple[Notice, ...]

    @property
    def picture(self) -> dict[str, Any]:
        """Return what ``status`` shows."""
        picture = self.source.picture()
        assert picture is not None
        return picture


@pytest.fixture(scope="module")
def desk() -> Iterator[Desk]:
    """Trade live for a while, then on paper, on one account and in one database."""
    engine = open_engine("sqlite://")
    upgrade(engine)
    day = begin(engine=engine, rivals=False)
    day.run(A_WHILE)
    day.app.lease.release()
    app = build_app(
        policy=replace(day.policy, mode=Mode.PAPER),
        base_url="http://sim.invalid/v1",
        token=day.exchange.token,
        engine=engine,
        clock=day.clock,
        transport=SimTransport(day.exchange, day.clock),
    )
    queries = Queries(engine, day.policy.account)
    daemon = Daemon(trader=app.trader, lease=app.lease, clock=app.clock, lease_clock=app.lease_clock)
    source = Source(daemon=daemon, spend_totals=queries.spend_totals)
    metrics, teller, notices = Metrics(source), Teller(), list[Notice]()

    def passed(report: Any) -> None:
        source.passed(report)
        metrics.passed(report)
        policy = app.trader.policy
        found = teller.notices(report, app.trader.view, policy, unreachable=False)
        notices.extend(marked(notice, policy.mode) for notice in found)

    asyncio.run(run_for(app, day.clock, A_WHILE, on_pass=passed))
    samples: dict[str, dict[str, float]] = {}
    for family in text_string_to_metric_families(generate_latest(metrics.registry).decode()):
        for sample in family.samples:
            key = " ".join(sample.labels.values())
            assert key not in samples.get(sample.name, {}), f"{sample.name} {key} is there twice"
            samples.setdefault(sample.name, {})[key] = sample.value
    page = asyncio.run(_page(source, metrics))
    yield Desk(source=source, queries=queries, page=page, samples=samples, notices=tuple(notices))
    engine.dispose()


async def _page(source: Source, metrics: Metrics) -> str:
    transport = httpx.ASGITransport(app=make_pages(source, metrics, None))
    async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1") as reader:
        return (await reader.get("/")).text


def usd_of(desk: Desk, *, paper: bool) -> Decimal:
    """Return what the bids of one kind come to, from the view itself."""
    view = desk.source.daemon.trader.view
    bids = [h.order.price for n, h in view.holdings.items() if on_paper(n) is paper]
    assert bids
    return sum((view.rates.to_usd(bid) for bid in bids), Decimal(0))


def test_actions_are_counted_by_the_words_of_the_database(desk: Desk) -> None:
    """Who asks both must not have to translate."""
    counted = {labels.split()[0] for labels in desk.samples["bidder_actions_total"]}
    assert IntentKind.PLACE.value in counted
    assert counted <= set(IntentKind)


def test_status_tells_both_apart(desk: Desk) -> None:
    """What is committed, and what could still be spent, by real orders and on paper."""
    real, paper = usd_of(desk, paper=False), usd_of(desk, paper=True)
    shown = desk.picture
    assert Decimal(shown["committed_usd_per_day"]["amount"]) == round(real, 6)
    assert Decimal(shown["paper_committed_usd_per_day"]["amount"]) == round(paper, 6)
    assert shown["if_unattended"]["usd"] != shown["paper_if_unattended"]["usd"]
    assert all(order["paper"] for target in shown["targets"] for order in target["orders"])
    assert not any(order["paper"] for order in shown["strangers"])


def test_metrics_of_paper_have_names_of_their_own(desk: Desk) -> None:
    """No sum over a live name has paper in it."""
    samples = desk.samples
    real, paper = usd_of(desk, paper=False), usd_of(desk, paper=True)
    assert samples["bidder_committed_usd_per_day"][""] == pytest.approx(float(real), abs=1e-5)
    assert samples["bidder_paper_committed_usd_per_day"][""] == pytest.approx(float(paper), abs=1e-5)
    assert sum(samples["bidder_paper_positions"].values()) == 5
    for name, key in (("bidder", "if_unattended"), ("bidder_paper", "paper_if_unattended")):
        bound = float(desk.picture[key]["usd"]["amount"])
        assert samples[f"{name}_unattended_usd"][""] == pytest.approx(bound) != 0
    assert "bidder_unattended_limit_usd" not in samples
    for name in ("positions", "paying_usd_per_day", "saving_usd_per_day", "bid_usd_per_day"):
        assert f"bidder_{name}" not in samples
        assert f"bidder_paper_{name}" in samples
    assert "bidder_paper_saved_usd_total" in samples
    assert "bidder_saved_usd_total" not in samples
    for mode, name in ((Mode.LIVE, "bidder_spend"), (Mode.PAPER, "bidder_paper_spend")):
        total = sum(float(t.spend.amount) for t in desk.queries.spend_totals() if t.mode is mode)
        assert sum(samples[name].values()) == pytest.approx(total)
        assert total > 0


def test_the_page_marks_what_is_on_paper(desk: Desk) -> None:
    """In its title, in its figures and at each order."""
    assert "on paper</title>" in desk.page
    assert "servers on paper</h1>" in desk.page
    assert "On paper it would pay" in desk.page
    assert "<p>If the daemon died now, at most " in desk.page
    assert "<p>On paper: If the daemon died now, at most " in desk.page
    for target in desk.picture["targets"]:
        for order in target["orders"]:
            assert f"<td>P{-order['order']} (paper)</td>" in desk.page
    for order in desk.picture["strangers"]:
        assert f"<td>{order['order']}</td>" in desk.page


def test_notices_and_the_status_line_say_so(desk: Desk) -> None:
    """Nobody takes a server on paper for his."""
    won = [notice for notice in desk.notices if notice.event is Event.WON]
    assert won
    assert all(notice.title.startswith("ON PAPER: server ") for notice in won)
    assert all(notice.facts["paper"] is True for notice in won)
    report = desk.source.moment
    assert report is not None
    said = line(desk.source.summary(), report.report)
    assert said.startswith("paper: holds 5 of 5 servers on paper, would pay ")
