"""Column types that keep values exactly, or refuse them: never a silent change.

Amounts are TEXT: on SQLite SQLAlchemy's ``Numeric`` goes through a float. They are therefore never
summed or ordered by the database. Times are whole microseconds since 1970 in UTC: one number sorts
the same on every database and cannot lose its zone, which ISO text of mixed precision can.
"""

import json
import math
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

from sqlalchemy import BigInteger, Text
from sqlalchemy.engine import Dialect
from sqlalchemy.types import TypeDecorator

from bidder.domain.money import reached_amount
from bidder.errors import InvalidAmount, StoreFailed

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
_MIN_INT, _MAX_INT = -(2**63), 2**63 - 1


class Amount(TypeDecorator[Decimal]):
    """An exact amount as a plain decimal literal, digit for digit as it came."""

    impl = Text
    cache_ok = True

    def process_bind_param(self, value: Decimal | None, dialect: Dialect) -> str | None:  # noqa: ARG002 - SQLAlchemy's signature
        """Return the literal; raises InvalidAmount for what is no amount of money."""
        if value is None:
            return None
        if not isinstance(value, Decimal):
            raise InvalidAmount(f"{value!r} is not an exact amount")
        return format(reached_amount(value), "f")

    def process_result_value(self, value: Any, dialect: Dialect) -> Decimal | None:  # noqa: ARG002 - SQLAlchemy's signature
        """Return the amount that was stored."""
        return None if value is None else Decimal(value)


class Moment(TypeDecorator[datetime]):
    """An aware time, in microseconds since 1970."""

    impl = BigInteger
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> int | None:  # noqa: ARG002 - SQLAlchemy's signature
        """Return the microseconds; raises StoreFailed for a time without a zone."""
        if value is None:
            return None
        if value.tzinfo is None:
            raise StoreFailed(f"{value.isoformat()} has no time zone; only aware times are stored")
        return (value - _EPOCH) // _MICROSECOND

    def process_result_value(self, value: Any, dialect: Dialect) -> datetime | None:  # noqa: ARG002 - SQLAlchemy's signature
        """Return the time, aware, in UTC."""
        return None if value is None else _EPOCH + timedelta(microseconds=value)


class Duration(TypeDecorator[timedelta]):
    """A length of time, in microseconds."""

    impl = BigInteger
    cache_ok = True

    def process_bind_param(self, value: timedelta | None, dialect: Dialect) -> int | None:  # noqa: ARG002 - SQLAlchemy's signature
        """Return the microseconds."""
        return None if value is None else _fitting(value // _MICROSECOND)

    def process_result_value(self, value: Any, dialect: Dialect) -> timedelta | None:  # noqa: ARG002 - SQLAlchemy's signature
        """Return the length of time."""
        return None if value is None else timedelta(microseconds=value)


class Identifier(TypeDecorator[int]):
    """A server's or order's number. Beyond 63 bits it is refused, as no database counts that far."""

    impl = BigInteger
    cache_ok = True

    def process_bind_param(self, value: int | None, dialect: Dialect) -> int | None:  # noqa: ARG002 - SQLAlchemy's signature
        """Return the number; raises StoreFailed where it does not fit."""
        return None if value is None else _fitting(value)


class Words(TypeDecorator[str]):
    """Text from anywhere, made storable: no NUL, no half of a character, of bounded length.

    The exchange's texts are untrusted: PostgreSQL refuses NUL, no database takes a lone surrogate,
    and an index entry has a largest size.
    """

    impl = Text
    cache_ok = True

    def __init__(self, limit: int = 500) -> None:
        """Keep the first ``limit`` characters."""
        super().__init__()
        self.limit = limit

    def process_bind_param(self, value: str | None, dialect: Dialect) -> str | None:  # noqa: ARG002 - SQLAlchemy's signature
        """Return the storable text."""
        if value is None:
            return None
        cut = str(value)[: self.limit]
        return cut.replace("\0", "�").encode("utf-8", "replace").decode("utf-8")


class Json(TypeDecorator[Any]):
    """A JSON document as ASCII text, so that every character survives on every database."""

    impl = Text
    cache_ok = True

    def process_bind_param(self, value: Any, dialect: Dialect) -> str | None:  # noqa: ARG002 - SQLAlchemy's signature
        """Return the document's text; numbers that JSON lacks become null."""
        if value is None:
            return None
        try:
            return json.dumps(value, allow_nan=False, default=str)
        except ValueError:
            return json.dumps(_without_nan(value), default=str)

    def process_result_value(self, value: Any, dialect: Dialect) -> Any:  # noqa: ARG002 - SQLAlchemy's signature
        """Return the document."""
        return None if value is None else json.loads(value)


def _fitting(number: int) -> int:
    if not _MIN_INT <= number <= _MAX_INT:
        raise StoreFailed(f"the number {str(number)[:40]} is too large to be stored")
    return number


def _without_nan(value: Any) -> Any:
    match value:
        case float():
            return value if math.isfinite(value) else None
        case dict():
            return {key: _without_nan(item) for key, item in value.items()}
        case list() | tuple():
            return [_without_nan(item) for item in value]
        case _:
            return value
