"""Small readers: the text of one scalar -> one typed value, or ``Unusable`` with what to do about it."""

import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from decimal import Decimal, InvalidOperation
from typing import Final

from bidder.config.tree import Scalar

_NUMBER = re.compile(r"[+-]?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][+-]?[0-9]{1,6})?\Z")
_LEADING_ZERO = re.compile(r"[+-]?0[0-9]")
_WHOLE = re.compile(r"[+-]?[0-9]{1,18}\Z")
_DURATION = re.compile(r"(?:[0-9]+(?:\.[0-9]+)?(?:ms|s|m|h|d)\s*)+\Z", re.ASCII)
_DURATION_PART = re.compile(r"([0-9]+(?:\.[0-9]+)?)(ms|s|m|h|d)")
_SECONDS: Final = {
    unit: Decimal(size)
    for unit, size in (("ms", "0.001"), ("s", 1), ("m", 60), ("h", 3600), ("d", 86400))
}
_TRUE, _FALSE = {"true", "yes", "on"}, {"false", "no", "off"}
_LONGEST: Final = 200
_FIRST_YEAR, _LAST_YEAR = 2000, 2200


class Unusable(Exception):
    """A value cannot be used; says why and what to write instead."""

    def __init__(self, problem: str, remedy: str) -> None:
        """Keep both halves of the message; the value itself is added by whoever may show it."""
        super().__init__(problem)
        self.problem, self.remedy = problem, remedy


def text(scalar: Scalar) -> str:
    """Return text that YAML takes for text; ``name: 4090`` without quotes is refused."""
    if scalar.kind != "str" and scalar.plain:
        raise Unusable("text is wanted here", "put the value in quotes")
    return any_text(scalar)


def any_text(scalar: Scalar) -> str:
    """Return the text as written, also where YAML would see a number or a country ``NO`` as false."""
    if not scalar.text.strip():
        raise Unusable("is empty", "give a value or remove the key")
    return scalar.text


def flag(scalar: Scalar) -> bool:
    """Return true or false."""
    word = scalar.text.lower()
    if word in _TRUE:
        return True
    if word in _FALSE:
        return False
    raise Unusable("must be true or false", "write true or false")


def choice(*allowed: str) -> Callable[[Scalar], str]:
    """Return a reader of one word out of ``allowed``."""

    def read(scalar: Scalar) -> str:
        word = scalar.text.strip().lower()
        if word not in allowed:
            raise Unusable("is none of the known words", f"write one of: {', '.join(allowed)}")
        return word

    return read


def number(scalar: Scalar) -> Decimal:
    """Return the finite number exactly as written."""
    written = scalar.text.strip()
    bare = written.lower().lstrip("+-").lstrip(".")
    if bare in {"nan", "inf", "infinity"}:
        raise Unusable("is not a finite number", "write an ordinary number, such as 0.25")
    if len(written) > _LONGEST:
        raise Unusable("has too many digits", "write it with fewer digits")
    if not _NUMBER.match(written):
        hint = (
            "write the decimals after a point: 0.5" if "," in written else "write a number, such as 0.25"
        )
        raise Unusable("is not a number", hint)
    if _LEADING_ZERO.match(written):
        raise Unusable(
            "starts with a needless zero, which YAML reads as octal", "remove the leading zero"
        )
    try:
        return Decimal(written)
    except InvalidOperation:
        raise Unusable("is beyond any sensible size", "write an ordinary number") from None


def number_between(low: Decimal | int, high: Decimal | int) -> Callable[[Scalar], Decimal]:
    """Return a reader of a number within bounds, both included."""

    def read(scalar: Scalar) -> Decimal:
        value = number(scalar)
        if not low <= value <= high:
            raise Unusable("is out of range", f"write a number from {low} to {high}")
        return value

    return read


def real_between(low: int, high: int) -> Callable[[Scalar], float]:
    """Return a reader of a measured quantity (never money) within bounds."""
    exact = number_between(low, high)
    return lambda scalar: float(exact(scalar))


def whole(low: int, high: int) -> Callable[[Scalar], int]:
    """Return a reader of a whole number within bounds, both included."""

    def read(scalar: Scalar) -> int:
        written = scalar.text.strip()
        if not _WHOLE.match(written) or _LEADING_ZERO.match(written):
            raise Unusable("is not a whole number", f"write a whole number from {low} to {high}")
        value = int(written)
        if not low <= value <= high:
            raise Unusable("is out of range", f"write a whole number from {low} to {high}")
        return value

    return read


def duration(low: timedelta, high: timedelta) -> Callable[[Scalar], timedelta]:
    """Return a reader of ``20s``, ``10m``, ``1h30m``, ``3d`` or plain seconds, within bounds."""

    def read(scalar: Scalar) -> timedelta:
        written = scalar.text.strip().lower()
        if len(written) > _LONGEST:
            raise Unusable("is not a duration", "write 20s, 10m, 24h or 3d")
        if _DURATION.match(written):
            seconds = sum(
                (Decimal(count) * _SECONDS[unit] for count, unit in _DURATION_PART.findall(written)),
                Decimal(0),
            )
        else:
            try:
                seconds = number(scalar)
            except Unusable:
                raise Unusable("is not a duration", "write 20s, 10m, 24h or 3d") from None
        if not Decimal(low.total_seconds()) <= seconds <= Decimal(high.total_seconds()):
            raise Unusable("is out of range", f"write a duration from {spelled(low)} to {spelled(high)}")
        return timedelta(seconds=float(seconds))

    return read


def moment(scalar: Scalar) -> datetime:
    """Return a moment such as ``2027-01-01T00:00Z``, in UTC; one without a time zone is refused."""
    example = "write it with its time zone: 2027-01-01T00:00Z"
    try:
        found = datetime.fromisoformat(scalar.text.strip())
    except ValueError:
        raise Unusable("is no moment", example) from None
    if found.tzinfo is None:
        raise Unusable("has no time zone", example)
    if not _FIRST_YEAR < found.year < _LAST_YEAR:
        # Also so that a margin before it, or a zone, cannot lead out of the calendar.
        raise Unusable("is out of range", f"write a moment between {_FIRST_YEAR} and {_LAST_YEAR}")
    return found.astimezone(UTC)


def duration_or_forever(low: timedelta, high: timedelta) -> Callable[[Scalar], timedelta | None]:
    """Return a reader of a duration, or of ``forever``, which is None."""
    bounded = duration(low, high)

    def read(scalar: Scalar) -> timedelta | None:
        if scalar.text.strip().lower() == "forever":
            return None
        try:
            return bounded(scalar)
        except Unusable as exc:
            raise Unusable(exc.problem, f"{exc.remedy}, or forever") from None

    return read


def share(low: Decimal, high: Decimal) -> Callable[[Scalar], Decimal]:
    """Return a reader of ``10%`` or ``0.1``, within bounds."""

    def read(scalar: Scalar) -> Decimal:
        written = scalar.text.strip()
        percent = written.endswith("%")
        bare = Scalar(
            text=written.removesuffix("%").strip() if percent else written,
            kind=scalar.kind,
            plain=scalar.plain,
            line=scalar.line,
            path=scalar.path,
        )
        try:
            value = number(bare)
        except Unusable as exc:
            raise Unusable(exc.problem, "write a share such as 10% or 0.1") from None
        value = value.scaleb(-2) if percent else value
        if not low <= value <= high:
            bounds = f"from {low:.0%} to {high:.0%}"
            raise Unusable("is out of range", f"write a share {bounds}, such as 10% or 0.1")
        return value

    return read


def spelled(span: timedelta) -> str:
    """Return a duration the way that it is written in the file."""
    seconds = span.total_seconds()
    for unit, size in (("d", 86400), ("h", 3600), ("m", 60)):
        if seconds and seconds % size == 0:
            return f"{int(seconds // size)}{unit}"
    return f"{seconds:g}s"
