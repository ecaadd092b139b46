"""A daemon that is started on an old backup finds its way back to what the exchange has."""

import json
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

from virtual import Day, begin

from bidder.demo.virtual import build_virtual
from bidder.domain.actions import Reason
from bidder.sim.answers import Request
from bidder.store import upkeep
from bidder.store.engine import open_engine
from bidder.store.schema import upgrade


def test_yesterdays_backup_neither_loses_nor_doubles(tmp_path: Path) -> None:
    """Orders that began, ended or moved since are taken up, booked and held once, as documented."""
    engine = open_engine(f"sqlite:///{tmp_path / 'bidder.db'}")
    upgrade(engine)
    day = begin(engine=engine)
    wanted = day.policy
    fewer = tuple(replace(target, want=1) for target in wanted.targets)
    day.app.trader.policy = replace(wanted, targets=fewer)
    day.run(timedelta(minutes=20))
    upkeep.backup(engine, tmp_path / "backup.db")
    before = {order["id"] for order in day.live()}
    day.app.trader.policy = wanted
    day.run(timedelta(minutes=20))
    gone = min(before)
    cancelled = Request(
        method="POST",
        path="/v1/cancel_order",
        headers={"auth": day.exchange.token},
        body=json.dumps({"id": gone}).encode(),
    )
    day.clock.advance(2)
    assert day.exchange.handle(cancelled, day.clock.now()).body
    since = {order["id"] for order in day.live()}
    assert since - before, "orders began after the backup"
    assert gone not in since
    day.app.lease.release()
    engine.dispose()

    restored = open_engine(f"sqlite:///{tmp_path / 'backup.db'}")
    policy = replace(wanted, adopt=True)
    day.app = build_virtual(policy, day.exchange, restored, day.clock)
    report = day.run(timedelta(minutes=20))

    assert (report["double_orders"], report["unmatched_orders"]) == (0, 0)
    assert {order["id"] for order in day.live()} >= since
    view = day.app.trader.view
    assert set(view.holdings) == {order["id"] for order in day.live()}
    assert all(holding.ours for holding in view.holdings.values())
    restored.dispose()


def begun_anew(day: Day, *, adopt: bool) -> None:
    """Lose the day's database and start on an empty one, as documented, two minutes later."""
    day.app.lease.release()
    day.app.engine.dispose()
    empty = open_engine("sqlite://")
    upgrade(empty)
    day.clock.advance(120)
    day.app = build_virtual(replace(day.policy, adopt=adopt), day.exchange, empty, day.clock)


def test_without_a_database_orders_on_servers_that_hide_are_taken_up_too() -> None:
    """By what our orders say of their GPUs: each goes to its own strategy, which looks after it."""
    day = begin(rivals=False)
    day.run(timedelta(minutes=20))
    held = day.app.trader.view.holdings
    before = {number: (holding.target, holding.work.gpus) for number, holding in held.items()}
    assert len(before) == 5
    for order in day.live():
        day.exchange.market.stalls[order["server"]].visibility = "hidden"

    begun_anew(day, adopt=True)
    report = day.run(timedelta(minutes=20))

    assert report["double_orders"] == 0
    held = day.app.trader.view.holdings
    after = {number: (holding.target, holding.work.gpus) for number, holding in held.items()}
    assert after == before
    assert all(found.reason is not Reason.FROZEN for found in day.reports[-1].decisions)
