"""What `status` shows of orders that ended behind the daemon's back, and of alarms that last."""

from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from virtual import Day, begin

from bidder.cli import pictures, shapes
from bidder.config import load_settings
from bidder.demo.virtual import build_virtual
from bidder.domain.ids import OrderId
from bidder.domain.policy import Mode
from bidder.sim.answers import Answer
from bidder.store.engine import open_engine
from bidder.store.queries import Queries
from bidder.store.records import Over
from bidder.store.schema import upgrade


@pytest.fixture
def day() -> Day:
    """A day on which everything that is wanted is held."""
    found = begin(rivals=False, servers=24)
    found.run(timedelta(minutes=2))
    return found


def shown(day: Day, tmp_path: Path) -> dict[str, Any]:
    """Return what `status` would show of this day's database now."""
    file = tmp_path / "config.yaml"
    file.write_text(
        "mode: paper\nexchange: {url: 'http://127.0.0.1:9/v1'}\nrates: {BTC: 69000, CLORE: 0.11}\n"
        "strategies: [{name: x, ceiling: {usd: 3}, servers: {gpu: RTX 3090}, launch: {image: a/b}}]\n"
    )
    queries, now = Queries(day.app.engine, day.policy.account), day.clock.now()
    return shapes.status(
        load_settings(file, {}),
        queries.snapshot(),
        queries.lease(now),
        queries.spend_totals(),
        live={record.holding.order.order for record in queries.orders()},
        paused=False,
        now=now,
    )


def test_orders_that_a_command_ended_are_shown_no_more(day: Day, tmp_path: Path) -> None:
    """One by one, and with the last of them nothing can be spent."""
    store, now = day.app.trader.store, day.clock.now()
    first, *others = sorted(day.app.trader.view.holdings)
    before = shown(day, tmp_path)
    assert Decimal(before["if_unattended"]["usd"]["amount"]) > 0

    store.settle((), (), at=now, over=[Over(order=first, at=now, cause="cancelled")])
    one_less = shown(day, tmp_path)
    assert orders_in(one_less) == orders_in(before) - {first}
    assert sum(t["held"] for t in one_less["targets"]) == sum(t["held"] for t in before["targets"]) - 1
    assert one_less["if_unattended"] is None  # until a pass has drawn it anew

    for order in others:
        store.settle((), (), at=now, over=[Over(order=order, at=now, cause="cancelled")])
    none = shown(day, tmp_path)
    assert orders_in(none) == set()
    assert all(target["held"] == 0 for target in none["targets"])
    assert none["if_unattended"]["usd"]["amount"] == none["committed_usd_per_day"]["amount"] == "0"


@pytest.fixture
def beside(day: Day) -> Day:
    """A paper daemon with a fresh database, on the account whose orders are real."""
    policy = replace(day.policy, mode=Mode.PAPER)
    engine = open_engine("sqlite://")
    upgrade(engine)
    app = build_virtual(policy, day.exchange, engine, day.clock)
    found = replace(day, app=app, policy=policy, reports=[], deeds=[])
    found.run(timedelta(minutes=3))
    return found


def test_real_orders_are_shown_on_paper_although_it_does_not_store_them(
    beside: Day, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Nothing has ended, so what is shown is what the latest pass has seen."""
    picture = Queries(beside.app.engine, beside.policy.account).snapshot()
    document = shown(beside, tmp_path)
    assert picture is not None
    assert all(picture.values[key] is not None for key in _SPENT)
    real = {order["order"] for order in document["strangers"]}
    assert real == {order["id"] for order in beside.live()} != set()
    for key in ("strangers", "targets", *_SPENT):
        assert document[key] == picture.values[key], key
    pictures.show_status(document)
    assert "Not ours" in capsys.readouterr().out


def test_a_paper_order_that_ended_takes_nothing_from_what_is_real(beside: Day, tmp_path: Path) -> None:
    """Neither its orders nor its figures; with the last one nothing is spent on paper."""
    before, store, now = shown(beside, tmp_path), beside.app.trader.store, beside.clock.now()
    document = before
    first, *others = sorted(orders_in(before))
    for ended in ([first], others):
        store.settle((), (), at=now, over=[Over(order=OrderId(o), at=now, cause="x") for o in ended])
        document = shown(beside, tmp_path)
        assert orders_in(document) == (set() if ended is others else set(others))
        for key in ("strangers", "committed_usd_per_day", "if_unattended"):
            assert document[key] == before[key], key
        if ended is not others:
            assert document["paper_committed_usd_per_day"] is document["paper_if_unattended"] is None
    assert document["paper_committed_usd_per_day"]["amount"] == "0"
    assert document["paper_if_unattended"]["usd"]["amount"] == "0"


_SPENT = (
    "committed_usd_per_day",
    "if_unattended",
    "paper_committed_usd_per_day",
    "paper_if_unattended",
)


def orders_in(document: dict[str, Any]) -> set[int]:
    """Return the orders that the document shows."""
    return {order["order"] for target in document["targets"] for order in target["orders"]}


def test_an_alarm_is_shown_as_long_as_it_lasts(day: Day, tmp_path: Path) -> None:
    """Not only in the pass in which it is told; and no longer."""
    real = day.exchange.handle
    day.exchange.handle = lambda *_: Answer(status=502, body=b"<html>")  # type: ignore[method-assign]
    silence = "the exchange gives no usable answer"
    for _ in range(3):
        day.run(day.policy.pace.alarm_after + timedelta(minutes=1))
        assert silence in shown(day, tmp_path)["alarms"]
    assert sum(silence in report.alarms for report in day.reports) == 1
    day.exchange.handle = real  # type: ignore[method-assign]
    day.run(timedelta(minutes=2))
    assert silence not in shown(day, tmp_path)["alarms"]


def test_a_limit_that_is_exceeded_is_named(
    day: Day, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Beside the most that could still be spent."""
    document = shown(day, tmp_path)
    limit = {"amount": "0.01", "currency": "USD"}
    document["if_unattended"] = {**document["if_unattended"], "limit": limit}
    pictures.show_status(document)
    assert "could still be spent; your limit is 0.01 USD: IT IS EXCEEDED." in capsys.readouterr().out


def test_what_creating_orders_cost_is_shown(
    day: Day, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Also where it was paid in a currency in which nothing else was spent."""
    document = shown(day, tmp_path)
    nothing, fee = ({"amount": amount, "currency": "BTC"} for amount in ("0", "0.0000001"))
    document["spend"] = [
        {
            "mode": "live",
            "target": "ada",
            "orders": 0,
            "spend": nothing,
            "fees": nothing,
            "creation_fees": fee,
        }
    ]
    pictures.show_status(document)
    assert (
        "Spent so far on ada: 0 BTC and 0 BTC in fees, 0 orders; 0.0000001 BTC for creating orders."
        in " ".join(capsys.readouterr().out.split())
    )
