"""What stands in the simulated marketplace at the start: servers, rates, the account's own rigs.

A world is a plain value. It is either generated (``generate.py``) or read from a recorded
``marketplace`` answer; from there on the exchange treats both alike.
"""

import gzip
import zlib
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from decimal import Decimal
from pathlib import Path
from typing import Any

import msgspec

from bidder.domain.money import Currency
from bidder.errors import BadInput

# The rates at the time of the recorded marketplace that the generated worlds are modelled on.
START_RATES: Mapping[str, Decimal] = {
    Currency.BTC: Decimal(69000),
    Currency.CLORE: Decimal("0.11"),
    Currency.USD: Decimal(1),
}

_KNOWN = ("id", "owner", "mrl", "price", "rented", "specs", "allowed_coins", "my")
_DECODER = msgspec.json.Decoder(float_hook=Decimal)


@dataclass(frozen=True, slots=True, kw_only=True)
class Listing:
    """One server as its host offers it (API page, section 2.4). Prices are per day and server.

    ``allowed`` is None where the host's answer lacks ``allowed_coins``. ``extras`` holds the fields
    of the marketplace answer that no rule of the exchange depends on but ``gigaspot``, in the wire's own
    names.
    """

    server_id: int
    owner: int
    mrl_hours: int
    on_demand: Mapping[str, Decimal]
    floor: Mapping[str, Decimal]
    allowed: tuple[str, ...] | None
    rented: bool
    specs: Mapping[str, Any]
    extras: Mapping[str, Any] = field(default_factory=dict)
    price_extras: Mapping[str, Any] = field(default_factory=dict)

    def takes(self, currency: str) -> bool:
        """Return whether the host accepts payment in this currency."""
        return self.allowed is None or currency in self.allowed

    @property
    def gigaspot(self) -> bool:
        """Return whether it is auctioned as a GigaSPOT, so that no ordinary order is taken."""
        return self.extras.get("gigaspot") is True

    def gpu(self) -> tuple[int, str]:
        """Return the number of GPUs and the model's name, from text such as ``8x NVIDIA ...``."""
        count, separator, name = str(self.specs.get("gpu", "")).partition("x ")
        if separator and count.isdigit():
            return int(count), name
        return 1, str(self.specs.get("gpu", ""))


@dataclass(frozen=True, slots=True, kw_only=True)
class HostedServer:
    """A server that the account itself offers; ``listing`` is None until it has connected."""

    name: str
    init_token: str
    listing: Listing | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class World:
    """Everything that exists at the start of a simulation."""

    listings: tuple[Listing, ...]
    hosted: tuple[HostedServer, ...] = ()
    first_order: int = 700_001
    rates: Mapping[str, Decimal] = field(default_factory=lambda: dict(START_RATES))
    balances: Mapping[str, Decimal] = field(
        default_factory=lambda: {
            str(Currency.BTC): Decimal("0.05"),
            str(Currency.CLORE): Decimal(30000),
            str(Currency.USD): Decimal(2000),
        }
    )


def with_hosted(listings: tuple[Listing, ...], **others: Any) -> World:
    """Return a world in which the account hosts two rigs: a public one and one never connected."""
    model = next((listing for listing in listings if not listing.rented), None) or listings[0]
    own = replace(
        model,
        server_id=max(listing.server_id for listing in listings) + 1,
        owner=max(listing.owner for listing in listings) + 1,
        mrl_hours=72,
        on_demand={str(Currency.BTC): Decimal("0.00010337")},
        floor={str(Currency.BTC): Decimal("0.00005168")},
        allowed=(str(Currency.BTC),),
        rented=False,
        extras={**model.extras, "rating": {"avg": 0, "cnt": 0}},
        price_extras={},
    )
    rigs = (
        HostedServer(name="rig-1", init_token="sim" + "a" * 45, listing=own),
        HostedServer(name="rig-2", init_token="sim" + "b" * 45),
    )
    return World(listings=listings, hosted=rigs, **others)


def load_marketplace(path: Path | str) -> World:
    """Return the world of a recorded ``marketplace`` answer, a ``.json`` or ``.json.gz`` file.

    Raises:
        BadInput: the file cannot be read or is no such answer; names the file and the problem.
    """
    file = Path(path)
    answer = _decoded(file)
    servers = answer.get("servers") if isinstance(answer, dict) else None
    if not isinstance(servers, list):
        raise BadInput(f'{file}: no "servers" list; give a whole recorded marketplace answer')
    own = answer.get("my_servers") or ()
    listings = []
    seen: set[int] = set()
    for place, server in enumerate(servers):
        listing = _listing(server, f"{file}: servers[{place}]")
        if listing.server_id in seen:
            raise BadInput(f"{file}: servers[{place}]: the id {listing.server_id} stands there twice")
        seen.add(listing.server_id)
        if listing.server_id not in own:
            listings.append(listing)
    if not listings:
        raise BadInput(f"{file}: the marketplace answer lists no server that could be rented")
    return with_hosted(tuple(listings))


def _decoded(file: Path) -> Any:
    try:
        raw = file.read_bytes()
        if file.name.endswith(".gz"):
            raw = gzip.decompress(raw)
    except (OSError, EOFError, zlib.error) as exc:
        why = exc.strerror if isinstance(exc, OSError) and exc.strerror else exc
        raise BadInput(
            f"{file}: cannot be read: {why}; name a recorded `marketplace` answer, JSON, gzip or not"
        ) from exc
    try:
        return _DECODER.decode(raw)
    except (msgspec.DecodeError, UnicodeDecodeError) as exc:
        raise BadInput(
            f"{file}: not JSON: {exc}; name a recorded `marketplace` answer, gzip or not"
        ) from exc


def _listing(server: Any, place: str) -> Listing:
    if not isinstance(server, dict):
        raise BadInput(f"{place}: not an object")
    price = server.get("price")
    if not isinstance(price, dict):
        raise BadInput(f'{place}: no "price" object')
    floors = price.get("spot", server.get("spot"))
    allowed = server.get("allowed_coins")
    return Listing(
        server_id=_integer(server, "id", place),
        owner=_integer(server, "owner", place),
        mrl_hours=_integer(server, "mrl", place),
        on_demand=_prices(price.get("on_demand"), f"{place}.price.on_demand"),
        floor=_prices(floors, f"{place}.price.spot"),
        allowed=None if allowed is None else tuple(str(coin) for coin in allowed),
        rented=server.get("rented") is True,
        specs=server.get("specs") or {},
        extras={key: value for key, value in server.items() if key not in _KNOWN},
        price_extras={key: value for key, value in price.items() if key not in ("on_demand", "spot")},
    )


def _integer(server: Mapping[str, Any], key: str, place: str) -> int:
    value = server.get(key)
    if not isinstance(value, int) or isinstance(value, bool) or value < 0:
        raise BadInput(f'{place}: "{key}" is not a whole number (got {value!r})')
    return value


def _prices(value: Any, place: str) -> dict[str, Decimal]:
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise BadInput(f"{place}: not an object of prices")
    prices = {}
    for currency, amount in value.items():
        if amount is None:
            continue
        if isinstance(amount, bool) or not isinstance(amount, int | Decimal) or amount < 0:
            raise BadInput(f"{place}.{currency}: not a price (got {amount!r})")
        prices[str(currency)] = Decimal(amount)
    return prices
