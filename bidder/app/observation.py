"""What the daemon sees, written so that another process can think about it: the whole ``View`` as text.

A command beside a running daemon sends nothing itself, so it asks the daemon for what that saw last.
The text is JSON, by the types of the fields, compressed. Rejected: pickle, which would run whatever
somebody wrote into the database.
"""

import base64
import functools
import json
import types
import typing
import zlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields, is_dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from enum import Enum
from typing import Any

from bidder.domain.policy import Mode
from bidder.domain.view import View
from bidder.errors import BidderError

_MICROSECOND = timedelta(microseconds=1)
# The real marketplace takes some megabytes; what is longer is not a view of ours.
_MOST_BYTES = 50_000_000


class NotReadable(BidderError):
    """The running daemon's answer cannot be read: it is of another version. Restart it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Observation:
    """What the daemon of an account knew at one moment; ``mode`` is its own."""

    at: datetime
    mode: Mode
    view: View


def written(seen: Observation) -> str:
    """Return the observation as one line of ASCII text."""
    plain, _ = _codec(Observation)
    text = json.dumps(plain(seen), separators=(",", ":"))
    return base64.b85encode(zlib.compress(text.encode(), 1)).decode()


def read(text: str) -> Observation:
    """Return the observation that was written.

    Raises:
        NotReadable: it was not written by this version of the program.
    """
    _, value = _codec(Observation)
    try:
        packed = zlib.decompressobj()
        whole = packed.decompress(base64.b85decode(text), _MOST_BYTES)
        found = value(json.loads(whole))
    except (ValueError, TypeError, KeyError, IndexError, ArithmeticError, zlib.error) as exc:
        raise NotReadable(
            "the running daemon's answer cannot be read: it is of another version; restart the daemon"
        ) from exc
    assert isinstance(found, Observation)
    return found


_Turn = Callable[[Any], Any]
_Codec = tuple[_Turn, _Turn]


def _same(value: Any) -> Any:
    return value


_PLAIN: Mapping[Any, _Codec] = {
    **dict.fromkeys((bool, int, float, str), (_same, _same)),
    Decimal: (str, Decimal),
    datetime: (datetime.isoformat, datetime.fromisoformat),
    timedelta: (lambda span: span // _MICROSECOND, lambda count: count * _MICROSECOND),
}


@functools.cache
def _codec(hint: Any) -> _Codec:
    """Return how values of a type become what JSON has, and come back."""
    hint = getattr(hint, "__supertype__", hint)
    if hint in _PLAIN:
        return _PLAIN[hint]
    origin = typing.get_origin(hint)
    if origin is not None:
        return _generic(origin, typing.get_args(hint))
    if is_dataclass(hint) and isinstance(hint, type):
        return _record(hint)
    if isinstance(hint, type) and issubclass(hint, Enum):
        return (lambda value: value.value), hint
    if isinstance(hint, type) and issubclass(hint, str):
        return str, hint
    raise TypeError(f"no way to write a {hint}")


def _generic(origin: Any, arguments: tuple[Any, ...]) -> _Codec:
    if origin in (typing.Union, types.UnionType):
        (inner,) = (each for each in arguments if each is not type(None))
        there, back = _codec(inner)
        return (
            lambda value: None if value is None else there(value),
            lambda value: None if value is None else back(value),
        )
    if origin is Mapping:
        (there_k, back_k), (there_v, back_v) = (_codec(each) for each in arguments)
        return (
            lambda value: [[there_k(k), there_v(v)] for k, v in value.items()],
            lambda value: {back_k(k): back_v(v) for k, v in value},
        )
    if origin is frozenset or (origin is tuple and arguments[1:] == (Ellipsis,)):
        there, back = _codec(arguments[0])
        return lambda value: [there(each) for each in value], lambda value: origin(map(back, value))
    raise TypeError(f"no way to write a {origin}")


def _record(kind: type) -> _Codec:
    hints = typing.get_type_hints(kind)
    parts = [(each.name, *_codec(hints[each.name])) for each in fields(kind) if each.init]
    names = [name for name, _, _ in parts]

    def there(value: Any) -> Any:
        return [turn(getattr(value, name)) for name, turn, _ in parts]

    def back(value: Any) -> Any:
        if len(value) != len(parts):
            raise ValueError(f"{kind.__name__} has other parts: {names}")
        return kind(**{name: turn(each) for (name, _, turn), each in zip(parts, value, strict=True)})

    return there, back
