"""``bidder history`` on a record of which the truth is known, without a daemon."""

import json
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from documented import disagreements
from store_values import ACCOUNT, NOW, at, make_book, make_holding, make_pass

from bidder.cli.main import main
from bidder.domain.ids import OrderId
from bidder.domain.money import Currency, Price
from bidder.domain.policy import Retention
from bidder.store.store import Store
from bidder.wiring import open_database

GOOD = """
mode: live
account: {name: main, token_env: UNIT_TOKEN}
database: bidder.db
rates: {BTC: 69000, CLORE: 0.11}
strategies:
  - name: a
    ceiling: {usd: 5}
    servers: {gpu: RTX 3090}
    launch: {image: nvidia/cuda}
"""


def hour_of(
    config: Path, capsys: pytest.CaptureFixture[str], on_demand: dict[int, str | None]
) -> dict[str, Any]:
    """Record an hour of some servers, whose price on demand is known or not; return their strategy's."""
    engine = open_database(f"sqlite:///{config.parent / 'bidder.db'}")
    store = Store(engine, ACCOUNT)
    store.settle((), [make_holding(number, server=number) for number in on_demand], at=NOW)
    for minute in range(0, 61, 4):
        books = []
        for number, asked in on_demand.items():
            price = None if asked is None else Price.parse(asked, Currency.USD)
            paid = Price.parse("10" if asked is None else "1", Currency.USD)
            mine: dict[str, Any] = {"our_order": OrderId(number), "active_order": OrderId(number)}
            books.append(make_book(number, at=at(60 * minute), our_price=paid, on_demand=price, **mine))
        store.record_pass(make_pass(minute, 60.0 * minute, books=tuple(books)))
    while store.tidy(NOW + timedelta(hours=1.5), Retention()):
        pass
    engine.dispose()
    assert main(["history", "-c", str(config), "--hourly", "--json"]) == 0
    document: dict[str, Any] = json.loads(capsys.readouterr().out)
    assert disagreements(document, "history") == []
    (target,) = document["targets"]
    return dict(target)


def test_what_was_paid_stands_beside_the_same_servers_on_demand(
    config: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Two servers of which one has a price on demand: its price says nothing of both."""
    found = hour_of(config, capsys, {7: None, 8: "2"})

    assert found["paid_usd_per_day"] == "5.5"
    assert found["on_demand_usd_per_day"] is None


def test_what_is_known_of_all_servers_is_told(config: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Their mean prices, paid and on demand."""
    found = hour_of(config, capsys, {7: "4", 8: "2"})

    assert (found["paid_usd_per_day"], found["on_demand_usd_per_day"]) == ("1", "3")
