"""What the account's owner wants, in the referee's own words, and which servers match it.

The referee reads the same wishes as the player but matches servers by its own code.
"""

import re
from collections.abc import Iterator, Mapping
from decimal import Decimal
from typing import Any, Literal

import msgspec

from bidder.domain.money import Currency
from bidder.errors import BadInput
from bidder.sim.auction import Order, Stall
from bidder.sim.moments import SECOND
from bidder.sim.world import Listing

_DISK_SIZE = re.compile(r"([0-9]+(?:\.[0-9]+)?)\s*(TB|GB)\s*$", re.IGNORECASE)


class Ceiling(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The most that may be bid, without fees, per day: for a whole server or for each GPU."""

    amount: str
    currency: str
    per: Literal["server", "gpu"] = "server"


class RefereeTarget(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One target as the referee judges it; every limit that is None or empty does not apply.

    ``gpu_models`` are looked for in the GPU's name, letter case and punctuation aside.
    ``currencies`` empty means any. ``renew_before_seconds`` with ``renew_overlap`` allows a
    successor beside an order that ends within that time. ``on_demand_ceiling`` lets it rent on demand
    below that, and have one order more while it changes between spot and on demand.
    """

    name: str
    ceiling: Ceiling
    want: int = 1
    gpu_models: tuple[str, ...] = ()
    min_gpus: int | None = None
    max_gpus: int | None = None
    min_gpu_memory_gb: Decimal | None = None
    min_ram_gb: Decimal | None = None
    min_disk_gb: Decimal | None = None
    countries: tuple[str, ...] = ()
    min_reliability: Decimal | None = None
    min_mrl_hours: Decimal | None = None
    servers: tuple[int, ...] | None = None
    exclude: tuple[int, ...] = ()
    currencies: tuple[str, ...] = ()
    renew_before_seconds: float = 0
    renew_overlap: bool = False
    on_demand_ceiling: Ceiling | None = None

    def pays_in(self, currency: str) -> bool:
        """Return whether the owner pays in this currency."""
        return not self.currencies or currency in {Currency.named(name) for name in self.currencies}

    def matches(self, listing: Listing) -> bool:
        """Return whether this server is what the target asks for."""
        if listing.server_id in self.exclude:
            return False
        if self.servers is not None and listing.server_id not in self.servers:
            return False
        count, name = listing.gpu()
        if self.gpu_models and not any(_key(model) in _key(name) for model in self.gpu_models):
            return False
        if self.min_gpus is not None and count < self.min_gpus:
            return False
        if self.max_gpus is not None and count > self.max_gpus:
            return False
        return self._specs_suffice(listing) and any(self.pays_in(coin) for coin in _coins(listing))

    def _specs_suffice(self, listing: Listing) -> bool:
        specs = listing.specs
        country = str((specs.get("net") or {}).get("cc", ""))
        if self.countries and country.upper() not in {code.upper() for code in self.countries}:
            return False
        return (
            _enough(specs.get("gpuram"), self.min_gpu_memory_gb)
            and _enough(specs.get("ram"), self.min_ram_gb)
            and _enough(_disk_gb(specs.get("disk")), self.min_disk_gb)
            and _enough(listing.extras.get("reliability"), self.min_reliability)
            and _enough(listing.mrl_hours, self.min_mrl_hours)
        )

    def ceiling_in(
        self, currency: str, gpus: int, rates: Mapping[str, Decimal], *, spot: bool = True
    ) -> Decimal | None:
        """Return the ceiling for one server in ``currency`` per day, or None without a rate."""
        ceiling = self.ceiling if spot or self.on_demand_ceiling is None else self.on_demand_ceiling
        amount = Decimal(ceiling.amount) * (gpus if ceiling.per == "gpu" else 1)
        own = Currency.named(ceiling.currency)
        if own == currency:
            return amount
        known = {Currency.USD: Decimal(1), **rates}
        if own not in known or currency not in known:
            return None
        return amount * known[own] / known[currency]

    def renewing(self, order: Order, at: int) -> bool:
        """Return whether ``order`` may now have its successor beside it."""
        return self.renew_overlap and order.ends_at - at <= self.renew_before_seconds * SECOND

    def attainable(self, stall: Stall, rival_usd: Decimal | None, rates: Mapping[str, Decimal]) -> bool:
        """Return whether this server could be had now under the ceiling.

        That is: it is open to bids (our own rental does not count against us) and in some currency
        that both sides accept the ceiling covers the floor and is above the best rival bid.
        """
        return any(True for _ in self.attainable_in(stall, rival_usd, rates))

    def attainable_in(
        self, stall: Stall, rival_usd: Decimal | None, rates: Mapping[str, Decimal]
    ) -> Iterator[str]:
        """Yield the currencies in which this server could be had now under the ceiling."""
        strangers = stall.listing.gigaspot or (stall.rented and stall.tenant is None)
        if strangers or not stall.online or stall.visibility != "public" or stall.hosted_by_us:
            return
        gpus = stall.listing.gpu()[0]
        for currency, floor in stall.floor.items():
            if floor <= 0 or currency not in rates or not self.pays_in(currency):
                continue
            if not stall.listing.takes(currency):
                continue
            ceiling = self.ceiling_in(currency, gpus, rates)
            if ceiling is None or ceiling < floor:
                continue
            if rival_usd is None or ceiling * rates[currency] > rival_usd:
                yield currency


def targets_from(values: Any) -> tuple[RefereeTarget, ...]:
    """Return the targets in decoded JSON (a list of objects); raises BadInput."""
    try:
        targets = msgspec.convert(values, tuple[RefereeTarget, ...], strict=False)
    except msgspec.ValidationError as exc:
        raise BadInput(f"targets: {exc}") from exc
    for target in targets:
        ceilings = (target.ceiling, target.on_demand_ceiling)
        for ceiling in (each for each in ceilings if each is not None):
            try:
                amount = Decimal(ceiling.amount)
            except ArithmeticError:
                amount = Decimal("NaN")
            if not amount.is_finite() or amount <= 0:
                raise BadInput(f"target {target.name}: the ceiling {ceiling.amount!r} is no amount")
        if target.want < 1:
            raise BadInput(f"target {target.name}: want must be at least 1, not {target.want}")
    return targets


def _coins(listing: Listing) -> list[str]:
    return [coin for coin, price in listing.floor.items() if price > 0 and listing.takes(coin)]


def _key(name: str) -> str:
    return re.sub(r"[^a-z0-9]", "", name.lower())


def _enough(value: Any, least: Decimal | None) -> bool:
    if least is None:
        return True
    if isinstance(value, bool) or not isinstance(value, int | Decimal):
        return False
    return Decimal(value) >= least


def _disk_gb(text: Any) -> Decimal | None:
    found = _DISK_SIZE.search(text) if isinstance(text, str) else None
    if found is None:
        return None
    size = Decimal(found[1])
    return size * 1000 if found[2].upper() == "TB" else size
