"""Reading an answer: from status, headers and bytes to a yes, a refusal, or doubt.

The rules are those of the API page, section 1. Anything that cannot be read is doubt, never a
guess: a proxy stands in front of the exchange and says what it likes.
"""

import re
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from email.utils import parsedate_to_datetime

import msgspec

from bidder.domain.money import checked_amount
from bidder.errors import (
    CurrencyNotAllowed,
    InDoubt,
    InvalidAmount,
    InvalidEndpoint,
    InvalidRequest,
    InvalidToken,
    LoweredTooSoon,
    NotEnoughBalance,
    OrderExists,
    OrderGone,
    OtherRefusal,
    PriceMoved,
    PriceTooLow,
    RateLimited,
    Refused,
    ServerBarred,
    ServerOffline,
    ServerTaken,
    StepExceeded,
)

# Controls, what turns the direction of writing, what is invisible, half characters.
_CONTROL = re.compile(
    r"[\x00-\x1f\x7f-\x9f\xad\u061c\u180e\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb"
    r"\ud800-\udfff\U000e0000-\U000e007f]"
)
LONGEST_TEXT = 200
# The longest ``Retry-After`` that is kept; then one request asks again. The exchange counts by the
# second: who names hours is a proxy with a page for everybody. One request in five minutes burdens
# nobody, and an order that nobody looks after for longer may be outbid, or run on dearer than it must.
_LONGEST_WAIT = 300.0
_CLOCKS_AGREE, _CLOCKS_SENSIBLE = timedelta(minutes=3), timedelta(days=3650)


class _Envelope(msgspec.Struct):
    code: int
    error: str | int | float | bool | None = None
    max_step: Decimal | None = None
    time_to_lowering: Decimal | None = None
    min_price: Decimal | None = None


class _BareEnvelope(msgspec.Struct):
    code: int
    error: object = None


_ENVELOPE = msgspec.json.Decoder(_Envelope)
_BARE = msgspec.json.Decoder(_BareEnvelope)


def clean(text: object, limit: int = LONGEST_TEXT) -> str:
    """Return text from outside without control characters, and bounded: it reaches terminals."""
    return _CONTROL.sub("", str(text))[:limit]


def check(endpoint: str, status: int, headers: Mapping[str, str], body: bytes, now: datetime) -> None:
    """Return when the answer, which came at ``now``, is a yes (code 0).

    Raises:
        Refused: the exchange said no, as the subclass that fits.
        InDoubt: the answer is missing, unreadable, code 1 or a server error.
    """
    envelope = _decode(body)
    code = None if envelope is None else envelope.code
    # A 429 that says at the same time that it was carried out, or may have been, is doubt.
    if code == 5 or (status == 429 and code not in {0, 1}):
        pause = _retry_after(headers.get("retry-after"), headers.get("date"), now)
        raise RateLimited(endpoint=endpoint, retry_after_seconds=pause)
    if envelope is None:
        raise InDoubt(f"the answer (HTTP {status}) cannot be read", endpoint=endpoint)
    if envelope.code == 0 and status < 400:
        return
    if envelope.code == 1 or status >= 500 or envelope.code == 0:
        raise InDoubt(f"code {envelope.code}, HTTP {status}", endpoint=endpoint)
    raise _refusal(endpoint, envelope)


def _decode(body: bytes) -> _Envelope | None:
    try:
        return _ENVELOPE.decode(body)
    except (msgspec.DecodeError, ValueError, RecursionError):
        pass
    try:
        # A field of an unexpected shape must not hide what the code says.
        bare = _BARE.decode(body)
    except (msgspec.DecodeError, ValueError, RecursionError):
        return None
    return _Envelope(code=bare.code, error=None if bare.error is None else clean(bare.error))


def _refusal(endpoint: str, envelope: _Envelope) -> Refused:
    match envelope.code:
        case 2:
            return InvalidRequest(endpoint=endpoint, code=2)
        case 3:
            return InvalidToken(endpoint=endpoint, code=3)
        case 4:
            return InvalidEndpoint(endpoint=endpoint, code=4)
    error = clean(envelope.error if envelope.error is not None else "")
    match error.replace("-", "_"):
        case "exceeded_max_step":
            return StepExceeded(max_step=_amount(envelope.max_step), endpoint=endpoint)
        case "can_lower_every_600_seconds":
            return LoweredTooSoon(
                time_to_lowering=_seconds(envelope.time_to_lowering), endpoint=endpoint
            )
        case "too_low_price" | "amount_too_low":
            return PriceTooLow(min_price=_amount(envelope.min_price), endpoint=endpoint)
    kinds: dict[str, type[Refused]] = {
        "server_already_rented": ServerTaken,
        "already_rented": ServerTaken,
        "server_offline": ServerOffline,
        "server_dont_exist": ServerOffline,
        "machine_is_on_gigaspot": ServerBarred,
        "cant_rent_from_yourself": ServerBarred,
        "you_already_have_spot_order": OrderExists,
        "order_dont_exist": OrderGone,
        "order_not_active": OrderGone,
        "required_price_mismatch": PriceMoved,
        "currency_not_allowed": CurrencyNotAllowed,
        "not_enough_balance": NotEnoughBalance,
    }
    kind = kinds.get(error.replace("-", "_"), OtherRefusal)
    message = f"refused with code {envelope.code}"
    if error:
        message += f": {error}"
    return kind(message, endpoint=endpoint, code=envelope.code, error=error or None)


def _amount(value: Decimal | None) -> Decimal | None:
    if value is None:
        return None
    try:
        return checked_amount(value)
    except InvalidAmount:
        return None


def _seconds(value: Decimal | None) -> float | None:
    if value is None or not value.is_finite():
        return None
    return float(min(max(value, Decimal(0)), Decimal(10_000_000)))


def clock_lead(date: str | None, now: datetime) -> timedelta | None:
    """Return how far the exchange's clock, by its ``Date`` header, lies ahead of ``now``.

    The header counts whole seconds. None where it says nothing sensible.
    """
    at = _moment(date)
    if at is None:
        return None
    lead = at - now
    return lead if abs(lead) < _CLOCKS_SENSIBLE else None


def clock_ahead(date: str | None, now: datetime) -> timedelta:
    """Return the same as a correction: zero where it is unknown, or no more than requests take."""
    lead = clock_lead(date, now)
    return timedelta(0) if lead is None or abs(lead) <= _CLOCKS_AGREE else lead


def _retry_after(text: str | None, date: str | None, now: datetime) -> float | None:
    """Return ``Retry-After`` in seconds, at most five minutes; None where it makes no sense.

    A moment is the exchange's, so it counts from the answer's own ``Date``: our calendar may be another,
    and is the next best where the answer has none.
    """
    if text is None:
        return None
    try:
        seconds = float(text)
    except ValueError:
        until = _moment(text)
        if until is None:
            return None
        seconds = (until - (_moment(date) or now)).total_seconds()
    if seconds != seconds:
        return None
    return min(max(seconds, 0.0), _LONGEST_WAIT)


def _moment(text: str | None) -> datetime | None:
    """Return the moment of an HTTP date; None where it cannot be read."""
    if text is None:
        return None
    try:
        at = parsedate_to_datetime(text)
    except (TypeError, ValueError, IndexError, OverflowError):
        return None
    return at if at.tzinfo is not None else at.replace(tzinfo=UTC)
