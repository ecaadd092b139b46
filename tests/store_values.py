"""Builders of what the store keeps."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

from bidder.domain.ids import AccountName, OrderId, ServerId
from bidder.domain.intents import Intent, IntentKind
from bidder.domain.market import Access, OrderKind, OwnOrder
from bidder.domain.money import Currency, Money, Price
from bidder.domain.view import Holding
from bidder.domain.work import Work
from bidder.store.records import BookRecord, DecisionRecord, PassRecord
from bidder.store.store import Store

NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
ACCOUNT = AccountName("main")


def at(seconds: float) -> datetime:
    """Return the moment so many seconds after NOW."""
    return NOW + timedelta(seconds=seconds)


def btc(text: str) -> Price:
    """Return a price in bitcoin."""
    return Price.parse(text, Currency.BTC)


def make_holding(number: int = 7, **changes: Any) -> Holding:
    """Return a live order with something in every field."""
    order = OwnOrder(
        order=OrderId(number),
        server=ServerId(changes.pop("server", 100 + number)),
        kind=OrderKind.SPOT,
        price=changes.pop("price", btc("0.00002450")),
        spend=changes.pop("spend", Money.parse("0.00000000000694444444444444", Currency.BTC)),
        created_at=NOW,
        mrl=timedelta(hours=96),
        fee_percent=changes.pop("fee_percent", 2.5),
        creation_fee=Money.parse("0.05", Currency.USD),
        image="cloreai/ubuntu22.04",
        access=Access(pub_cluster=("n1.example",), tcp_ports=("22:10022",), http_port="8080"),
    )
    holding = Holding(
        order=order,
        target="a",
        first_seen_at=NOW,
        last_seen_at=NOW,
        active=True,
        work=Work(gpus=2, computed=timedelta(hours=3), starting=timedelta(minutes=2)),
    )
    return replace(holding, **changes)


def repriced(holding: Holding, price: Price, **changes: Any) -> Holding:
    """Return the holding at another price."""
    return replace(holding, order=replace(holding.order, price=price), **changes)


def place(store: Store, server: int = 107, **changes: Any) -> Intent:
    """Write down that a bid is about to be placed."""
    values: dict[str, Any] = {
        "kind": IntentKind.PLACE,
        "server": ServerId(server),
        "target": "a",
        "order": None,
        "price": btc("0.00002450"),
        "previous_price": None,
        "known_orders": frozenset({OrderId(3), OrderId(2**53 + 1)}),
        "at": NOW,
    }
    return store.open_intent(**{**values, **changes})


def make_intent(kind: IntentKind = IntentKind.PLACE, **changes: Any) -> Intent:
    """Return an open intent on the server of order 7."""
    intent = Intent(
        id=1,
        kind=kind,
        server=ServerId(107),
        target="a",
        order=None if kind is IntentKind.PLACE else OrderId(7),
        price=None if kind is IntentKind.WITHDRAW else btc("0.00002"),
        previous_price=None,
        known_orders=frozenset() if kind is IntentKind.PLACE else frozenset({OrderId(7)}),
        opened_at=NOW,
    )
    return replace(intent, **changes)


def make_book(server: int = 107, **changes: Any) -> BookRecord:
    """Return what one read of a book showed."""
    values: dict[str, Any] = {
        "server": ServerId(server),
        "at": NOW,
        "floor": {Currency.BTC: btc("0.00001")},
        "rivals": 2,
        "best_rival": btc("0.00002"),
        "active_order": OrderId(7),
        "our_order": OrderId(7),
        "our_price": btc("0.00002450"),
    }
    return BookRecord(**{**values, **changes})


def make_decision(**changes: Any) -> DecisionRecord:
    """Return a decision to raise order 7."""
    values: dict[str, Any] = {
        "target": "a",
        "reason": "outbid",
        "action": IntentKind.REPRICE,
        "server": ServerId(107),
        "order": OrderId(7),
        "price": btc("0.00002451"),
        "previous_price": btc("0.00002450"),
        "facts": {"rival": "0.00002450 BTC", "reads": 2, "share": 0.5, "confirmed": True, "none": None},
    }
    return DecisionRecord(**{**values, **changes})


def make_pass(number: int = 1, seconds: float = 0, **changes: Any) -> PassRecord:
    """Return a pass, by default one in which nothing changed."""
    return PassRecord(pass_id=number, at=at(seconds), **changes)
