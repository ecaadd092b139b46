"""What can go wrong between a client and the exchange, by script and by chance, from a seed.

The faults sit in front of the exchange, where the real one has its proxy: the exchange itself
never errs, so that what a fault did to the account can be read from it afterwards.
"""

import math
from collections.abc import Sequence
from enum import Enum
from fnmatch import fnmatchcase
from pathlib import Path
from random import Random
from typing import Any

import msgspec

from bidder.errors import BadInput


class Kind(Enum):
    """What happens to a request. *Before*: the exchange never sees it; *after*: it is carried out."""

    DELAY = "delay"  # carried out, the answer comes late
    CLOSE_BEFORE = "close_before"  # the connection breaks
    CLOSE_AFTER = "close_after"
    ERROR_500_BEFORE = "error_500_before"  # HTTP 500, code 1
    ERROR_500_AFTER = "error_500_after"
    CODE_1_AFTER = "code_1_after"  # HTTP 200, code 1, carried out all the same
    HTML_502_BEFORE = "html_502_before"  # the proxy's page
    HTML_502_AFTER = "html_502_after"
    EMPTY = "empty"  # carried out; HTTP 200 without a body
    TRUNCATED = "truncated"  # carried out; the body ends in the middle
    TOO_MANY_429 = "too_many_429"  # HTTP 429, code 5
    DUPLICATE = "duplicate"  # carried out twice

    @property
    def before(self) -> bool:
        """Return whether the exchange never sees the request."""
        return self in _BEFORE

    @property
    def loses_answer(self) -> bool:
        """Return whether the client does not get the exchange's answer."""
        return self not in (Kind.DELAY, Kind.DUPLICATE)


_EXAMPLE = '[{"kind": "close_after", "endpoint": "create_order", "nth": 1}]'
_BEFORE = frozenset((Kind.CLOSE_BEFORE, Kind.ERROR_500_BEFORE, Kind.HTML_502_BEFORE, Kind.TOO_MANY_429))


class Fault(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One kind of fault and when it strikes.

    ``endpoint`` is a pattern such as ``create_order`` or ``*``. ``nth`` strikes at the n-th
    matching request (from 1), once; otherwise ``probability`` decides for each.
    ``seconds`` (of exchange time) is how late a delayed answer comes; ``retry_after_seconds`` goes
    into the header of a 429 where given.
    """

    kind: Kind
    endpoint: str = "*"
    nth: int | None = None
    probability: float = 0.0
    seconds: float = 30.0
    retry_after_seconds: int | None = None


class FaultScript:
    """Decides for each request which fault strikes, the first that matches; None for most."""

    def __init__(self, faults: Sequence[Fault] = (), *, seed: int = 1) -> None:
        """Keep the faults in order of precedence."""
        self._faults = tuple(faults)
        self._counts = [0] * len(self._faults)
        self._chance = Random(f"faults/{seed}")

    def strike(self, endpoint: str) -> Fault | None:
        """Return the fault that befalls the next request to ``endpoint``, if any."""
        struck = None
        for place, fault in enumerate(self._faults):
            if not fnmatchcase(endpoint, fault.endpoint):
                continue
            self._counts[place] += 1
            if fault.nth is not None:
                hit = self._counts[place] == fault.nth
            else:
                # Drawn for each fault, struck or not, so that the sequence depends on nothing else.
                hit = self._chance.random() < fault.probability
            if hit and struck is None:
                struck = fault
        return struck


def load_faults(path: Path | str, *, seed: int = 1) -> FaultScript:
    """Return the script in a JSON file, a list of faults; raises BadInput naming file and problem."""
    file = Path(path)
    try:
        found = msgspec.json.decode(file.read_bytes())
    except OSError as exc:
        raise BadInput(f"{file}: cannot be read: {exc.strerror or exc}; name another file") from exc
    except (msgspec.DecodeError, UnicodeDecodeError) as exc:
        raise BadInput(f"{file}: is no JSON ({exc}); write a list such as {_EXAMPLE}") from exc
    if not isinstance(found, list):
        raise BadInput(f"{file}: is no list of faults; write one such as {_EXAMPLE}")
    return FaultScript([_fault(each, f"{file}: [{n}]") for n, each in enumerate(found)], seed=seed)


def _fault(found: Any, place: str) -> Fault:
    if not isinstance(found, dict):
        raise BadInput(f"{place}: is no fault; write one such as {_EXAMPLE[1:-1]}")
    known = Fault.__struct_fields__
    for key in found:
        if key not in known:
            raise BadInput(
                f"{place}: {str(key)[:40]!r} is no key of a fault; there are {', '.join(known)}"
            )
    kinds = [each.value for each in Kind]
    if found.get("kind") not in kinds:
        given = str(found.get("kind", ""))[:40]
        raise BadInput(f"{place}.kind: {given!r} is no kind of fault; there are {', '.join(kinds)}")
    try:
        fault = msgspec.convert(found, Fault)
    except msgspec.ValidationError as exc:
        raise BadInput(f"{place}: {exc}; compare with {_EXAMPLE[1:-1]}") from exc
    if not 0 <= fault.probability <= 1:
        raise BadInput(f"{place}.probability must lie in 0..1, not {fault.probability}; write a share")
    if fault.nth is not None and fault.nth < 1:
        raise BadInput(f"{place}.nth must be at least 1, not {fault.nth}; requests are counted from 1")
    if not (math.isfinite(fault.seconds) and fault.seconds >= 0):
        raise BadInput(f"{place}.seconds must not be negative, and is {fault.seconds}; write 0 or more")
    return fault
