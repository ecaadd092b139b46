"""Every kind of fault by its name, where each may strike, and a script that asks for some.

A fault of the wire or of an answer strikes one request; one of the world, the machine or time
strikes at a moment. All of them are drawn by chance, unless a script says which and when.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path

import msgspec

from bidder.errors import BadInput

ENDPOINTS = (
    *("wallets", "my_orders", "marketplace", "spot_marketplace"),
    *("set_spot_price", "cancel_order", "create_order"),
)

# An answer of which nobody can tell whether the request before it was executed.
EITHER_WAY = (
    "truncated",
    "empty body",
    *("html 200", "html 403", "html 502", "html 503"),
    *("html 520", "html 521", "html 522", "html 523", "html 524"),
    "invalid json",
    "nan",
    "1e400",
    "missing code",
    "code 1",
)
# Answers that say nothing; before the last the request was always executed.
UNREADABLE = (*EITHER_WAY, "500 and code 1")
# The request never gets there, or its answer never gets back whole.
WIRE = (
    "connection refused",
    "reset before",
    "reset during",
    "reset after",
    "time-out, executed",
    "time-out, not executed",
    "late answer",
    *UNREADABLE,
    "429",
    "429 with retry-after",
    "code 5",
)
# Only of a request that changes something: a second read is no second order.
WIRE_CHANGES = ("delivered twice", "time-out, executed later")

# The answer is well-formed and not what it should be.
LIES: Mapping[str, tuple[str, ...]] = {
    "stale": ("my_orders", "marketplace", "spot_marketplace"),
    "order left out": ("my_orders",),
    "no rates": ("spot_marketplace",),
    "one rate missing": ("spot_marketplace",),
    "another runs": ("spot_marketplace",),
    "offer without order": ("spot_marketplace",),
    "order without offer": ("spot_marketplace",),
    "prices of 0": ("spot_marketplace", "marketplace"),
    "servers left out": ("marketplace",),
    "own servers unnamed": ("marketplace",),
    "20,000 servers": ("marketplace",),
    "odd step": ("set_spot_price",),
    "odd wait": ("set_spot_price",),
    "odd text": ("marketplace", "my_orders", "create_order", "set_spot_price", "cancel_order"),
}
# Met on rare days only: it costs as much as a hundred other requests.
RARE = frozenset({"20,000 servers"})

WORLD = (
    *("floors jump", "rates jump", "rivals spike", "500 offers"),
    *("replica lags", "token revoked", "code 5 all day"),
)
MACHINE = (
    *("database locked", "disk full", "killed", "killed in a row", "left dead"),
    *("database locked in mid-pass", "disk full in mid-pass", "commit unanswered"),
    *("starved", "starved in mid-pass", "suspended"),
    *("clock set back", "clock set forward", "clock slips", "daylight saving"),
    *("second daemon", "second daemon takes over", "second daemon takes over in mid-pass"),
    *("database restored", "database corrupt"),
)
# What is so for a whole day or not at all.
DAYS = ("ids beyond 2^53", "unicode everywhere")

KINDS = (*WIRE, *WIRE_CHANGES, *LIES, *WORLD, *MACHINE, *DAYS)


def striking(endpoint: str) -> tuple[str, ...]:
    """Return the kinds that may befall a request to ``endpoint``."""
    changes = WIRE_CHANGES if endpoint in ("set_spot_price", "cancel_order", "create_order") else ()
    lies = tuple(kind for kind, where in LIES.items() if endpoint in where)
    return (*WIRE, *changes, *lies)


_EXAMPLE = '[{"kind": "delivered twice", "endpoint": "create_order", "at_seconds": 3600}]'


class Scripted(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One fault that is asked for: its kind and its moment, in seconds since the day's start.

    One of the wire or of an answer strikes the first request to ``endpoint`` (a pattern) from then
    on, and as many more as ``times`` says. ``executed`` says whether the request is carried out, where
    the answer leaves that open; None: by chance.
    """

    kind: str
    at_seconds: float = 0.0
    endpoint: str = "*"
    times: int = 1
    executed: bool | None = None


@dataclass(slots=True)
class Script:
    """What is still to come of a list of faults that were asked for."""

    left: list[tuple[Scripted, int]]

    @classmethod
    def of(cls, faults: Sequence[Scripted]) -> "Script":
        """Return a script of these faults, which may stand in any order."""
        return cls([(fault, fault.times) for fault in sorted(faults, key=lambda f: f.at_seconds)])

    def for_request(self, endpoint: str, true: float) -> Scripted | None:
        """Return the fault that strikes this request, or None."""
        for place, (fault, times) in enumerate(self.left):
            if fault.at_seconds > true:
                break
            if fault.kind in striking(endpoint) and fnmatchcase(endpoint, fault.endpoint):
                self._used(place, fault, times)
                return fault
        return None

    def for_moment(self, true: float) -> str:
        """Return the kind that strikes the world or the machine now, or nothing."""
        for place, (fault, times) in enumerate(self.left):
            if fault.at_seconds > true:
                break
            if fault.kind in WORLD or fault.kind in MACHINE:
                self._used(place, fault, times)
                return fault.kind
        return ""

    def for_day(self, kind: str) -> bool:
        """Return whether a fault that lasts the whole day is asked for."""
        return any(fault.kind == kind for fault, _ in self.left)

    def _used(self, place: int, fault: Scripted, times: int) -> None:
        if times > 1:
            self.left[place] = (fault, times - 1)
            return
        del self.left[place]


def load_script(path: Path, days: float) -> tuple[Scripted, ...]:
    """Return the faults in a JSON file, a list of them, that strike within so many days.

    Raises:
        BadInput: one of them cannot be used, or would never strike; it names file, place and problem.
    """
    try:
        faults = msgspec.json.decode(path.read_bytes(), type=tuple[Scripted, ...])
    except OSError as exc:
        raise BadInput(f"{path}: cannot be read: {exc.strerror or exc}; name another file") from exc
    except msgspec.ValidationError as exc:
        keys = ", ".join(Scripted.__struct_fields__)
        raise BadInput(
            f"{path}: {exc}; write a list of faults, each with the keys {keys}, such as {_EXAMPLE}"
        ) from exc
    except (msgspec.DecodeError, UnicodeDecodeError) as exc:
        raise BadInput(f"{path}: is no JSON ({exc}); write a list such as {_EXAMPLE}") from exc
    for place, fault in enumerate(faults):
        if fault.kind not in KINDS:
            raise BadInput(
                f"{path}: [{place}].kind: {fault.kind!r} is no kind of fault;"
                f" there are {', '.join(KINDS)}"
            )
        if fault.times < 1:
            raise BadInput(f"{path}: [{place}].times must be at least 1, not {fault.times}")
        if fault.executed is not None and fault.kind not in EITHER_WAY:
            raise BadInput(
                f"{path}: [{place}].executed: {fault.kind!r} is always one or the other; leave it out,"
                f" or name one of {', '.join(EITHER_WAY)}"
            )
        if idle := _never_strikes(fault, days):
            raise BadInput(f"{path}: [{place}].{idle}")
    return faults


def _never_strikes(fault: Scripted, days: float) -> str:
    """Return which key keeps a fault from ever striking, and what to write instead; or nothing."""
    seconds = days * 86400
    if not 0 <= fault.at_seconds < seconds:
        return (
            f"at_seconds: {fault.at_seconds:g} lies outside the days that are played;"
            f" name a moment from 0 up to {seconds:g}, or ask for more --days"
        )
    where = tuple(endpoint for endpoint in ENDPOINTS if fault.kind in striking(endpoint))
    if not where and fault.endpoint != "*":
        return (
            f"endpoint: {fault.endpoint!r} says nothing of {fault.kind!r},"
            " which strikes no single request; leave it out"
        )
    if where and not any(fnmatchcase(endpoint, fault.endpoint) for endpoint in where):
        return (
            f"endpoint: {fault.kind!r} never strikes {fault.endpoint!r};"
            f" name one of {', '.join(where)}, or leave it out"
        )
    return ""
