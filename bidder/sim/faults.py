"""What can go wrong between a client and the exchange, by script and by chance, from a seed.

The faults sit in front of the exchange, where the real one has its proxy: the exchange itself
never errs, so that what a fault did to the account can be read from it afterwards.
"""

from collections.abc import Sequence
from enum import Enum
from fnmatch import fnmatchcase
from pathlib import Path
from random import Random

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
        faults = msgspec.json.decode(file.read_bytes(), type=tuple[Fault, ...])
    except OSError as exc:
        raise BadInput(f"{file}: cannot be read: {exc}") from exc
    except (msgspec.DecodeError, UnicodeDecodeError) as exc:
        raise BadInput(f"{file}: {exc}") from exc
    for place, fault in enumerate(faults):
        if not 0 <= fault.probability <= 1:
            raise BadInput(f"{file}: [{place}].probability must lie in 0..1, not {fault.probability}")
    return FaultScript(faults, seed=seed)
