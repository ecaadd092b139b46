"""A daemon that is started on an old backup finds its way back to what the exchange has."""

import json
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

from virtual import begin

from bidder.demo.virtual import build_virtual
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
