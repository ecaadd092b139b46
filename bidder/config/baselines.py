"""Settings of the strategies that exist to be compared with."""

from collections.abc import Callable, Mapping
from datetime import timedelta
from decimal import Decimal
from typing import Final

from bidder.config import values
from bidder.config.reader import Section
from bidder.domain.policy import (
    AutopilotParams,
    AutospottingParams,
    MinBidParams,
    NicehashParams,
    StrategyParams,
    TopPlusTickParams,
    TrackRecreateParams,
)

_ZERO, _DAY, _MOST = timedelta(0), timedelta(days=1), Decimal("0.99")


def _track_recreate(section: Section) -> TrackRecreateParams:
    inner = section.section("track_recreate")
    return TrackRecreateParams(factor=float(inner.read("factor", values.whole(1, 1000), 1)))


def _autopilot(section: Section) -> AutopilotParams:
    inner, usual = section.section("autopilot"), AutopilotParams()
    return AutopilotParams(
        overpay=inner.read("overpay", values.share(Decimal(0), _MOST), usual.overpay),
        grace=inner.read("grace", values.duration(_ZERO, _DAY), usual.grace),
        raise_every=inner.read("raise_every", values.duration(_ZERO, _DAY), usual.raise_every),
        escalation=inner.read("escalation", values.share(Decimal("0.0001"), _MOST), usual.escalation),
    )


def _autospotting(section: Section) -> AutospottingParams:
    inner, usual = section.section("autospotting"), AutospottingParams()
    return AutospottingParams(buffer=inner.read("buffer", values.share(Decimal(0), _MOST), usual.buffer))


_READERS: Final[Mapping[str, Callable[[Section], StrategyParams]]] = {
    "min_bid": lambda _: MinBidParams(),
    "top_plus_tick": lambda _: TopPlusTickParams(),
    "nicehash": lambda _: NicehashParams(),
    "nicehash_literal": lambda _: NicehashParams(literal=True),
    "track_recreate": _track_recreate,
    "autopilot": _autopilot,
    "autospotting": _autospotting,
}


def read_params(kind: str, section: Section) -> StrategyParams:
    """Return a baseline's parameters; problems are noted in the section."""
    return _READERS[kind](section)
