"""Decoding a marketplace answer exactly, into domain values, against msgspec alone."""

import gzip
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path

import msgspec

from benchmarks.figures import Figure, best_of
from bidder.exchange import wire
from bidder.sim.answers import Request
from bidder.sim.server import build_exchange

_SERVERS = 3500


def run(*, quick: bool) -> Iterator[Figure]:
    """Yield the ratio for a generated answer, and for a recorded one where it is at hand."""
    bodies = {"generated": _generated()}
    recorded = _recorded()
    if recorded is not None:
        bodies["recorded"] = recorded
    times = 5 if quick else 25
    exactly = msgspec.json.Decoder(float_hook=Decimal)
    for name, body in bodies.items():
        ours = best_of(lambda body=body: wire.marketplace(body), times)  # type: ignore[misc]
        alone = best_of(lambda body=body: exactly.decode(body), times)  # type: ignore[misc]
        loosely = best_of(lambda body=body: msgspec.json.decode(body), times)  # type: ignore[misc]
        servers = len(wire.marketplace(body).listings)
        yield Figure(
            name=f"decode, {name}",
            measured=ours / alone,
            unit="times",
            goal=3.0,
            better="less",
            baseline=1.0,
            baseline_is=f"msgspec alone, exact decimals: {alone * 1e3:.1f} ms",
            note=f"{servers} servers in {ours * 1e3:.1f} ms;"
            f" msgspec into binary floats: {loosely * 1e3:.1f} ms",
        )


def _generated() -> bytes:
    exchange = build_exchange(seed=1, servers=_SERVERS)
    request = Request(method="GET", path="/v1/marketplace", headers={"auth": exchange.token})
    return exchange.handle(request, exchange.start).body


def _recorded() -> bytes | None:
    folder = Path(__file__).resolve().parents[2] / "shared" / "data"
    found = sorted(folder.glob("clore_marketplace_*.json.gz"))
    return gzip.decompress(found[0].read_bytes()) if found else None
