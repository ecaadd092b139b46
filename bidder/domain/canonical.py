"""Values of the domain as text and back, exactly: the same text for the same value, digit for digit.

It is what a decision's inputs are kept as, so nothing may be lost: an amount keeps its zeros, a time
its microseconds, a mapping its order. Secrets are left out: a field that is kept out of its value's
``repr`` is one. A target is written as its name where the configuration is kept beside the text.

Rejected: pickle, which runs what it reads, and a schema for each class, which is one more place to
forget when a class gains a field.
"""

import dataclasses
import hashlib
import json
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from enum import Enum
from ipaddress import IPv4Network, IPv6Network, ip_network
from math import isfinite
from typing import Any, Final, get_args

from bidder.domain import (
    actions,
    costs,
    market,
    money,
    policy,
    price_rules,
    probe,
    regret,
    stances,
    view,
)
from bidder.domain.money import Currency
from bidder.domain.policy import Target
from bidder.domain.positions import Position
from bidder.domain.quotes import Quote
from bidder.domain.work import Work

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)


class Unreadable(ValueError):
    """The text is not one that this program wrote, or names what it does not know any more."""


def dump(value: object, *, targets_by_name: bool = False) -> str:
    """Return the value's text; raises TypeError for what is no value of the domain."""
    return json.dumps(_plain(value, targets_by_name), separators=(",", ":"), ensure_ascii=True)


def load(text: str, targets: Callable[[str], Target] | None = None) -> Any:
    """Return the value of a text; ``targets`` finds those that were written as their names.

    Raises:
        Unreadable: the text cannot be read, or not by this version.
    """
    try:
        return _Reader(targets).value(json.loads(text))
    except Unreadable:
        raise
    except (ValueError, TypeError, KeyError, ArithmeticError, RecursionError, AttributeError) as exc:
        raise Unreadable(f"{type(exc).__name__}: {exc}"[:200]) from None


def digest(text: str) -> str:
    """Return the SHA-256 of a text, in hexadecimal digits."""
    return hashlib.sha256(text.encode()).hexdigest()


def _plain(value: object, by_name: bool) -> Any:  # noqa: C901, FBT001 - one line for each kind of value
    match value:
        case Enum():
            return {"e": [type(value).__name__, value.value]}
        case Currency():
            return {"c": str(value)}
        case None | bool() | int() | str():
            return value
        case float():
            return value if isfinite(value) else {"f": repr(value)}
        case Decimal():
            return {"d": str(value)}
        case datetime():
            return {"t": (value - _EPOCH) // _MICROSECOND}
        case timedelta():
            return {"s": value // _MICROSECOND}
        case IPv4Network() | IPv6Network():
            return {"n": str(value)}
        case Target() if by_name:
            return {"g": value.name if value.share == 1 else [value.name, str(value.share)]}
        case tuple() | list():
            return [_plain(each, by_name) for each in value]
        case frozenset() | set():
            return {"z": sorted((_plain(each, by_name) for each in value), key=json.dumps)}
        case Mapping():
            return {"m": [[_plain(k, by_name), _plain(v, by_name)] for k, v in value.items()]}
    name = type(value).__name__
    if _KNOWN.get(name) is not type(value):
        raise TypeError(f"{name} is no value of the domain")
    return {"o": name, **{field: _plain(getattr(value, field), by_name) for field in _fields(name)}}


class _Reader:
    def __init__(self, targets: Callable[[str], Target] | None) -> None:
        self._targets = targets

    def value(self, plain: Any) -> Any:
        if isinstance(plain, list):
            return tuple(self.value(each) for each in plain)
        if not isinstance(plain, dict):
            return plain
        if "o" in plain:
            return self._object(plain)
        ((tag, inner),) = plain.items()
        return self._tagged(tag, inner)

    def _object(self, plain: dict[str, Any]) -> Any:
        name = plain["o"]
        kind = _KNOWN.get(name)
        if kind is None:
            raise Unreadable(f"{str(name)[:60]} is not known to this version")
        gone = _RETIRED.get(name, frozenset())
        given = {f: self.value(each) for f, each in plain.items() if f != "o" and f not in gone}
        if kind is policy.OwnParams:
            given["decide"] = _absent
        elif kind is policy.Launch:
            given.setdefault("image", "")
        return kind(**given)

    def _tagged(self, tag: str, inner: Any) -> Any:
        match tag:
            case "e":
                return _ENUMS[inner[0]](inner[1])
            case "c":
                return Currency(inner)
            case "f":
                return float(inner)
            case "d":
                return Decimal(inner)
            case "t":
                return _EPOCH + timedelta(microseconds=inner)
            case "s":
                return timedelta(microseconds=inner)
            case "n":
                return ip_network(inner)
            case "z":
                return frozenset(self.value(each) for each in inner)
            case "m":
                return {self.value(key): self.value(each) for key, each in inner}
            case "g":
                return self._target(inner)
            case _:
                raise Unreadable(f"{tag[:20]!r} is no kind of value")

    def _target(self, written: str | list[str]) -> Target:
        if self._targets is None:
            raise Unreadable("it names a target, and there is no configuration beside it")
        if isinstance(written, str):
            return self._targets(written)
        name, share = written
        return self._targets(name).paced(Decimal(share))


def _absent(*_: object) -> object:
    raise Unreadable("the owner's function is not part of what is kept")


def _fields(name: str) -> tuple[str, ...]:
    return _FIELDS[name]


def _classes() -> dict[str, type[Any]]:
    modules = (market, money, policy, price_rules, probe, regret, stances, actions)
    found = [kind for module in modules for kind in vars(module).values() if isinstance(kind, type)]
    known = {k.__name__: k for k in found if dataclasses.is_dataclass(k) and k.__name__[0] != "_"}
    others = (Position, Quote, view.Holding, Work, costs.Cost)
    return {**known, **{kind.__name__: kind for kind in others}}


def _enums() -> dict[str, type[Enum]]:
    modules = (market, policy, actions, price_rules, probe)
    found = [kind for module in modules for kind in vars(module).values()]
    return {k.__name__: k for k in found if isinstance(k, type) and issubclass(k, Enum) and list(k)}


_KNOWN: Final = _classes()
_ENUMS: Final = _enums()
_FIELDS: Final = {
    name: tuple(field.name for field in dataclasses.fields(kind) if field.repr and field.init)
    for name, kind in _KNOWN.items()
}
# Fields that an earlier version wrote, and that no strategy's answer depended on.
_RETIRED: Final = {"TrackParams": frozenset({"move_saving", "move_running"})}
# Each strategy's parameters are kept with the configuration, so each must be known here.
assert all(kind in _KNOWN.values() for kind in get_args(policy.StrategyParams))
