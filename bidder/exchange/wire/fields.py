"""What several answers share: amounts, currencies, durations, hardware, and reading piece by piece."""

import re
from collections.abc import Mapping
from datetime import timedelta
from decimal import Decimal
from functools import lru_cache
from math import isfinite
from typing import Any

import msgspec

from bidder.domain.market import Specs, parse_gpu
from bidder.domain.money import Currency, Money, Price, Rates, checked_amount
from bidder.errors import InDoubt, InvalidAmount
from bidder.exchange.answers import clean

LONGEST_MRL = timedelta(days=3650)
_DISK = re.compile(r"(\d+(?:\.\d+)?)\s*(TB|GB)\s*$", re.IGNORECASE)
_LONGEST_DISK = 60
LONGEST_ID = 10**18
Amounts = dict[str, Decimal | None]


class _Net(msgspec.Struct):
    up: float | None = None
    down: float | None = None
    cc: str | None = None


class SpecsShape(msgspec.Struct):
    """``specs`` as it stands in the answers."""

    cpu: str | None = None
    ram: float | None = None
    disk: str | None = None
    disk_speed: float | None = None
    gpu: str | None = None
    gpuram: float | None = None
    net: _Net | None = None


OBJECT = msgspec.json.Decoder(dict[str, msgspec.Raw])
LIST = msgspec.json.Decoder(list[msgspec.Raw])
_AMOUNTS = msgspec.json.Decoder(dict[str, Decimal | None], strict=False)
UNREADABLE = (msgspec.DecodeError, ValueError, RecursionError, OverflowError)


def items(body: bytes, key: str) -> list[msgspec.Raw]:
    """Return the entries of an answer's list, undecoded; raises InDoubt when there is none."""
    try:
        return LIST.decode(OBJECT.decode(body)[key])
    except (*UNREADABLE, KeyError) as exc:
        raise unreadable(key) from exc


def unreadable(what: str) -> InDoubt:
    """Return the error for a yes that says nothing else that can be read."""
    return InDoubt("the answer says yes but cannot be read", endpoint=what)


@lru_cache(maxsize=256)
def currency_of(name: str) -> Currency:
    """Return the currency that the exchange calls this."""
    text = clean(name, 40)
    return Currency.named(text)


@lru_cache(maxsize=256)
def currencies_of(names: tuple[str, ...]) -> frozenset[Currency]:
    """Return the currencies that the exchange calls these."""
    return frozenset(map(currency_of, names))


def money_of(amount: Decimal | None, currency: Currency) -> Money | None:
    """Return an amount paid or owned; None for null and for what cannot be money."""
    if amount is None:
        return None
    try:
        return Money(checked_amount(amount), currency)
    except InvalidAmount:
        return None


def prices_of(amounts: Mapping[str, Decimal | None] | None) -> dict[Currency, Price]:
    """Return the prices per day; null, 0 ("not offered", trap 5) and nonsense are left out."""
    found: dict[Currency, Price] = {}
    if amounts:
        for name, amount in amounts.items():
            if not amount:
                continue
            currency = currency_of(name)
            try:
                found[currency] = Price(checked_amount(amount), currency)
            except InvalidAmount:
                continue
    return found


def amounts_of(raw: msgspec.Raw | None) -> Amounts:
    """Return an object of amounts, empty where it cannot be read."""
    if raw is None:
        return {}
    try:
        return _AMOUNTS.decode(raw)
    except UNREADABLE:
        return {}


def rates_of(raw: msgspec.Raw | None) -> Rates:
    """Return the rates to USD that an answer states."""
    return Rates({currency_of(name): rate for name, rate in amounts_of(raw).items() if rate is not None})


def plain_of(raw: msgspec.Raw | None, kind: type, *, default: Any) -> Any:
    """Return one plain value of the kind that is expected, else ``default``."""
    if raw is None:
        return default
    try:
        value = msgspec.json.decode(raw, type=kind | None, strict=False)
    except UNREADABLE:
        return default
    return default if value is None else value


def finite(value: float | None) -> float | None:
    """Return a number that can be compared and reckoned with; None for null and for no number."""
    return value if value is not None and isfinite(value) else None


@lru_cache(maxsize=4096)
def duration_of(value: float | None, unit_seconds: int) -> timedelta | None:
    """Return a bounded duration; None for null, negative and no number."""
    if value is None or value != value or value < 0:
        return None
    if value * unit_seconds >= LONGEST_MRL.total_seconds():
        return LONGEST_MRL
    return timedelta(seconds=value * unit_seconds)


@lru_cache(maxsize=4096)
def gpu_of(text: str) -> tuple[str, int, str]:
    """Return ``specs.gpu`` fit to be shown, the count that it names (0: none), and the usual model."""
    cleaned = clean(text, 120)
    count, model = parse_gpu(cleaned)
    return cleaned, count, model


@lru_cache(maxsize=8192)
def _disk(text: str) -> float | None:
    # Only the end counts, and a search over a million digits would take for ever.
    found = _DISK.search(text[-_LONGEST_DISK:])
    if found is None:
        return None
    size = float(found[1])
    return size * 1000 if found[2].upper() == "TB" else size


@lru_cache(maxsize=8192)
def text_of(text: str | None) -> str:
    """Return text that is fit to be shown."""
    return "" if text is None else clean(text, 120)


def specs_of(specs: SpecsShape | None, cuda: str | None) -> Specs:
    """Return a server's hardware."""
    if specs is None:
        return Specs(cuda=text_of(cuda))
    gpu, count, model = gpu_of(specs.gpu or "")
    net = specs.net
    return Specs(
        gpu=gpu,
        gpu_model=model,
        gpu_count=count,
        gpu_memory_gb=finite(specs.gpuram),
        ram_gb=finite(specs.ram),
        disk_gb=None if specs.disk is None else _disk(specs.disk),
        disk_speed=finite(specs.disk_speed),
        cpu=text_of(specs.cpu),
        net_up=None if net is None else finite(net.up),
        net_down=None if net is None else finite(net.down),
        country="" if net is None else text_of(net.cc),
        cuda=text_of(cuda),
    )
