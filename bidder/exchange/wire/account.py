"""The account's own: orders, wallets, and the servers that it offers for rent."""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any, get_type_hints

import msgspec

from bidder.domain.ids import OrderId, ServerId
from bidder.domain.market import Access, HostedServer, OrderKind, OrdersAnswer, OwnOrder, Wallet
from bidder.domain.money import Currency, Money, Price, checked_amount
from bidder.errors import InvalidAmount
from bidder.exchange.answers import clean
from bidder.exchange.wire.fields import (
    LONGEST_ID,
    LONGEST_MRL,
    OBJECT,
    UNREADABLE,
    Amounts,
    SpecsShape,
    currency_of,
    duration_of,
    gpu_of,
    items,
    money_of,
    plain_of,
    prices_of,
    specs_of,
    unreadable,
)

_LATEST_TIME = 32_503_680_000  # the year 3000
_HIGHEST_FEE = 100.0  # percent
_HIGHEST_LIMIT = 1_000_000  # orders


_NULL, _BILL = msgspec.Raw(b"null"), ("spend", "currency")


class _Vital(msgspec.Struct):
    """Which order it is, whether it runs, what it costs, and until when."""

    id: int
    si: int
    price: Decimal
    ct: float
    currency: str | None = None
    mrl: float | None = None
    spend: Decimal | None = None
    spot: bool | None = None
    expired: bool | None = None


class _Order(_Vital):
    fee: float | None = None
    creation_fee: Decimal | None = None
    image: str | None = None
    pub_cluster: list[str] | None = None
    tcp_ports: list[str] | None = None
    http_port: str | int | None = None
    specs: msgspec.Raw = _NULL


class _Orders(msgspec.Struct):
    orders: list[_Order]
    limit: int | None = None


class _Wallet(msgspec.Struct):
    name: str
    balance: Decimal | None = None
    deposit: str | None = None
    withdrawal_fee: Decimal | None = None


class _Hosted(msgspec.Struct):
    name: str
    id: int | None = None
    connected: bool | str | None = None
    visibility: str | None = None
    online: bool | None = None
    pricing: Amounts | None = None
    spot_pricing: Amounts | None = None
    min_spot_pricing: Amounts | None = None
    mrl: float | None = None
    rental_status: int | None = None
    specs: SpecsShape | None = None


_ORDERS = msgspec.json.Decoder(_Orders, strict=False)
_VITAL = msgspec.json.Decoder(_Vital, strict=False)
_WALLET = msgspec.json.Decoder(_Wallet, strict=False)
_HOSTED = msgspec.json.Decoder(_Hosted, strict=False)
_RENTALS = {0: "free", 1: "spot", 2: "on-demand"}


def orders(body: bytes, *, ahead: timedelta = timedelta(0)) -> OrdersAnswer:
    """Return our orders; raises InDoubt when any of them cannot be read that may still be live.

    Of a live one only what it takes to look after it must be readable; the rest counts as not told
    where it is not. Of one that has ended nothing is at stake: where it can be told which it was it
    stands there with nothing for what cannot be read, and is left out otherwise. ``ahead`` is how far
    the exchange's clock lies ahead of ours: times are given in ours.
    """
    try:
        answer = _ORDERS.decode(body)
        found = tuple(_order(order, ahead) for order in answer.orders)
        return OrdersAnswer(orders=found, limit=_limit_of(answer.limit))
    except (*UNREADABLE, InvalidAmount):
        pass
    try:
        limit = plain_of(OBJECT.decode(body).get("limit"), int, default=None)
        each = (_order_or_ended(raw, ahead) for raw in items(body, "orders"))
        return OrdersAnswer(orders=tuple(o for o in each if o is not None), limit=_limit_of(limit))
    except (*UNREADABLE, InvalidAmount) as exc:
        raise unreadable("my_orders") from exc


def wallets(body: bytes) -> tuple[Wallet, ...]:
    """Return the wallets; one that cannot be read is left out."""
    found = []
    for raw in items(body, "wallets"):
        try:
            wallet = _WALLET.decode(raw)
        except UNREADABLE:
            continue
        currency = currency_of(wallet.name)
        fee = wallet.withdrawal_fee
        found.append(
            Wallet(
                currency=currency,
                balance=money_of(wallet.balance, currency),
                deposit=clean(wallet.deposit or ""),
                withdrawal_fee=money_of(fee, currency),
            )
        )
    return tuple(found)


def hosted_servers(body: bytes) -> tuple[HostedServer, ...]:
    """Return the account's own servers; one that cannot be read is left out."""
    found = []
    for raw in items(body, "servers"):
        try:
            found.append(_hosted(_HOSTED.decode(raw)))
        except UNREADABLE:
            continue
    return tuple(found)


def hosted_server(body: bytes) -> HostedServer:
    """Return one own server's configuration; raises InDoubt when it cannot be read."""
    try:
        return _hosted(_HOSTED.decode(OBJECT.decode(body)["config"]))
    except (*UNREADABLE, KeyError) as exc:
        raise unreadable("server_config") from exc


def _id(value: int) -> int:
    if not 0 <= value < LONGEST_ID:
        raise ValueError("an id out of range")
    return value


def _limit_of(orders: int | None) -> int | None:
    """Return how many orders there may be; None where it is not told, or makes no sense."""
    return orders if orders is not None and 0 <= orders <= _HIGHEST_LIMIT else None


def _fee_of(percent: float | None) -> float | None:
    """Return a percentage of the exchange's; None where none is told, or none that could be one."""
    return percent if percent is not None and 0 <= percent <= _HIGHEST_FEE else None


def _order(order: _Order, ahead: timedelta) -> OwnOrder:
    currency = currency_of(order.currency or "bitcoin")
    created = min(max(order.ct, 0.0), float(_LATEST_TIME))
    http_port = None if order.http_port is None else clean(order.http_port, 60)
    gpu_model, gpu_count = _gpus_of(order.specs)
    return OwnOrder(
        order=OrderId(_id(order.id)),
        server=ServerId(_id(order.si)),
        kind=OrderKind.SPOT if order.spot else OrderKind.ON_DEMAND,
        price=Price(checked_amount(order.price), currency),
        spend=Money(checked_amount(order.spend or Decimal(0)), currency),
        created_at=datetime.fromtimestamp(created, UTC) - ahead,
        mrl=duration_of(order.mrl, 1) or LONGEST_MRL,
        expired=bool(order.expired),
        fee_percent=_fee_of(order.fee),
        creation_fee=money_of(order.creation_fee, currency),
        image=clean(order.image or ""),
        access=Access(
            pub_cluster=tuple(clean(host) for host in order.pub_cluster or ()),
            tcp_ports=tuple(clean(port, 40) for port in order.tcp_ports or ()),
            http_port=http_port,
        ),
        gpu_model=gpu_model,
        gpu_count=gpu_count,
    )


def _gpus_of(specs: msgspec.Raw) -> tuple[str | None, int | None]:
    """Return model and count of the GPUs that an order's ``specs`` name; None where they cannot be read.

    Read apart from all else: an order whose hardware is oddly described must not become unreadable.
    """
    try:
        text = plain_of(OBJECT.decode(specs).get("gpu"), str, default="")
    except UNREADABLE:
        return None, None
    _, count, model = gpu_of(text)
    return (model, count) if model and count else (None, None)


def _order_or_ended(raw: msgspec.Raw, ahead: timedelta) -> OwnOrder | None:
    fields = OBJECT.decode(raw)
    readable = _readable(fields)
    try:
        vital = msgspec.structs.asdict(_VITAL.decode(raw))
        return _order(_Order(**{**readable, **vital}), ahead)
    except (*UNREADABLE, InvalidAmount):
        if readable["expired"] is not True:
            raise
    needed = (readable["id"], readable["si"], readable["ct"])
    # Its bill would be taken for nothing, or for another coin's: left out, it stays open.
    unsaid = any(readable[name] is None and fields.get(name, _NULL) != _NULL for name in _BILL)
    if unsaid or None in needed:
        return None
    price = money_of(readable["price"], Currency.BTC)
    try:
        nothing = Decimal(0) if price is None else price.amount
        return _order(_Order(**{**readable, "price": nothing}), ahead)
    except (*UNREADABLE, InvalidAmount):
        return None


def _readable(fields: Mapping[str, msgspec.Raw]) -> dict[str, Any]:
    """Return each field of an order that can be read by itself, and None for the others."""
    kinds = get_type_hints(_Order).items()
    return {
        name: fields.get(name, _NULL)
        if kind is msgspec.Raw
        else plain_of(fields.get(name), kind, default=None)
        for name, kind in kinds
    }


def _hosted(server: _Hosted) -> HostedServer:
    connected = server.connected
    if isinstance(connected, str):
        connected = connected.strip().lower() not in {"", "0", "false", "no", "none"}
    spot = server.spot_pricing if server.spot_pricing is not None else server.min_spot_pricing
    status = server.rental_status
    return HostedServer(
        name=clean(server.name),
        server=None if server.id is None else ServerId(_id(server.id)),
        connected=bool(connected),
        visibility=clean(server.visibility or ""),
        online=bool(server.online),
        on_demand=prices_of(server.pricing),
        spot_floor=prices_of(spot),
        mrl=duration_of(server.mrl, 3600),
        rental=None if status is None else _RENTALS.get(status),
        specs=None if server.specs is None else specs_of(server.specs, None),
    )
