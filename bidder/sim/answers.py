"""Requests and answers as the exchange sees them, free of any web framework."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any
from urllib.parse import parse_qsl

import msgspec

_ENCODER = msgspec.json.Encoder(decimal_format="number")
_DECODER = msgspec.json.Decoder(float_hook=Decimal)

OK, DATABASE_ERROR, INVALID_INPUT, INVALID_TOKEN, INVALID_ENDPOINT, OVER_LIMIT, REFUSED = range(7)


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """One HTTP request. Header names are lower case; ``query`` is the raw text after the ``?``."""

    method: str
    path: str
    query: str = ""
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""

    def parameter(self, name: str) -> str | None:
        """Return the last value of a query parameter, or None."""
        return dict(parse_qsl(self.query, keep_blank_values=True)).get(name)

    def json(self) -> Any:
        """Return the body with exact decimals; raises ValueError where it is not JSON."""
        try:
            return _DECODER.decode(self.body)
        except (msgspec.DecodeError, UnicodeDecodeError, ArithmeticError, RecursionError) as exc:
            raise ValueError("not JSON") from exc


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """One HTTP answer; ``code`` and ``error`` repeat what the body says (API page, section 1)."""

    status: int
    body: bytes
    code: int = OK
    error: str | None = None
    headers: Mapping[str, str] = field(default_factory=lambda: {"content-type": "application/json"})


def encoded(value: object) -> bytes:
    """Return ``value`` as JSON, decimals as exact numbers."""
    return _ENCODER.encode(value)


def decoded(body: bytes) -> Any:
    """Return the value of a JSON text, fractions as exact decimals."""
    return _DECODER.decode(body)


def good(**fields: object) -> Answer:
    """Return the answer to a request that was carried out."""
    return Answer(status=200, body=encoded({**fields, "code": OK}))


def refused(error: str, **fields: object) -> Answer:
    """Return a refusal with its reason and what it carries (code 6, HTTP 200)."""
    body = encoded({**fields, "error": error, "code": REFUSED})
    return Answer(status=200, body=body, code=REFUSED, error=error)


def failed(code: int, status: int, headers: Mapping[str, str] | None = None) -> Answer:
    """Return an answer of codes 1 to 5, which carry nothing else."""
    return Answer(
        status=status,
        body=encoded({"code": code}),
        code=code,
        headers={"content-type": "application/json", **(headers or {})},
    )
