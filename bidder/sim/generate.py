"""Make a marketplace that looks like the real one, from a seed.

The shapes and shares follow a recorded answer of 3,500 servers: which GPUs stand there in which
counts, how the spot floor lies to the on-demand price, placeholder prices, hosts that list a price
in a coin they do not take, rental limits, reliability, ratings.
"""

from bisect import bisect_left
from collections.abc import Sequence
from decimal import ROUND_HALF_EVEN, Decimal
from random import Random
from typing import Any, NamedTuple

from bidder.domain.money import Currency
from bidder.sim.world import START_RATES, Listing, World, with_hosted

DEMO_SIZE = 60
DEFAULT_SIZE = 300


class _Gpu(NamedTuple):
    name: str
    memory_gb: int
    weight: int
    usd_per_day: float
    counts: tuple[int, ...]


# Name, memory, share among servers, usual on-demand price per GPU, counts per server.
_GPUS = (
    _Gpu("NVIDIA GeForce RTX 4090", 24, 80, 2.6, (1, 1, 1, 1, 2, 2, 3, 4, 5, 8)),
    _Gpu("NVIDIA GeForce RTX 3060 Ti", 8, 41, 0.42, (1, 2, 4, 6, 6, 8, 8, 8, 8, 12)),
    _Gpu("NVIDIA GeForce RTX 3080", 10, 38, 0.75, (1, 1, 2, 2, 2, 4, 5, 6, 8)),
    _Gpu("NVIDIA GeForce RTX 3090", 24, 24, 1.5, (1, 1, 1, 2, 2, 4, 6, 8)),
    _Gpu("NVIDIA GeForce RTX 3070", 8, 20, 0.5, (1, 1, 2, 4, 6, 6, 8)),
    _Gpu("NVIDIA GeForce RTX 3070 Laptop GPU", 8, 14, 0.45, (6, 8, 8, 8, 12, 12)),
    _Gpu("NVIDIA GeForce RTX 3080 Ti", 12, 12, 0.9, (1, 1, 2, 4)),
    _Gpu("NVIDIA GeForce RTX 3060", 12, 11, 0.4, (1, 2, 5, 5, 8)),
    _Gpu("NVIDIA GeForce RTX 4070 Ti", 12, 6, 1.1, (1, 1, 2)),
    _Gpu("NVIDIA GeForce RTX 4060", 8, 4, 0.5, (1,)),
    _Gpu("NVIDIA GeForce RTX 4080", 16, 4, 1.7, (1, 1, 2)),
    _Gpu("NVIDIA GeForce GTX 1660 SUPER", 6, 6, 0.18, (6, 8, 8)),
    _Gpu("NVIDIA GeForce GTX 1080 Ti", 11, 5, 0.3, (1, 2, 5, 8)),
    _Gpu("NVIDIA P106100", 6, 4, 0.1, (1, 6)),
    _Gpu("NVIDIA RTX A6000", 48, 3, 3.6, (1, 2, 4, 8)),
    _Gpu("NVIDIA A100-SXM4-80GB", 80, 3, 14.0, (1, 4, 8)),
    _Gpu("Tesla P40", 24, 2, 0.6, (1, 4)),
    _Gpu("Quadro P620", 2, 1, 0.1, (1,)),
    _Gpu("Mixed GPUs", 8, 1, 0.5, (4,)),
)
_FEW = 6  # a small world holds few models, so that each has competition

# Spot floor over on-demand price at these shares of servers (recorded marketplace, in CLORE).
_RATIO_SHARES = (0.0, 0.05, 0.25, 0.5, 0.60, 0.90, 0.95, 1.0)
_RATIOS = (0.3, 0.60, 0.84, 0.95, 1.0, 1.0, 1.03, 1.25)

_MRL = (72, 1440, 48, 120, 240, 168, 24, 96, 720, 144, 60, 480, 6)
_MRL_WEIGHTS = (1110, 428, 369, 231, 202, 197, 189, 129, 119, 46, 30, 29, 10)
_COUNTRIES = ("RU", "US", "UA", "CZ", "CA", "DE", "KZ", "CN", "BG", "NO", "VN", "GB")
_COUNTRY_WEIGHTS = (30, 16, 10, 7, 6, 6, 5, 5, 4, 4, 4, 3)
_CPUS = (
    ("AMD Ryzen 9 5950X 16-Core Processor", "16/32"),
    ("AMD Ryzen 9 7900X 12-Core Processor", "12/24"),
    ("Intel(R) Xeon(R) CPU E5-2696 v3 @ 2.30GHz", "18/36"),
    ("Intel(R) Celeron(R) CPU G1840 @ 2.80GHz", "2/2"),
    ("11th Gen Intel(R) Core(TM) i9-11900 @ 2.50GHz", "8/16"),
    ("AMD EPYC 7402 24-Core Processor", "24/48"),
)
_BOARDS = ("PRIME Z270-A", "X570-A PRO (MS-7C37)", "Z590 GAMING X", "H97 Anniversary", "X99", "")
_PLACEHOLDER_BTC = Decimal("0.01")


def generate(seed: int, size: int = DEFAULT_SIZE) -> World:
    """Return a world of ``size`` servers (and the account's own two) that depends on ``seed`` only."""
    random = Random(f"world/{seed}")
    gpus = _GPUS[:_FEW] if size <= 2 * DEMO_SIZE else _GPUS
    ids = sorted(random.sample(range(100, 100 + 8 * size), size), reverse=True)
    owners = [random.randrange(1, 20000) for _ in range(max(1, size // 3))]
    listings = tuple(_listing(random, server_id, owners, gpus) for server_id in ids)
    return with_hosted(listings)


def floor_ratio(random: Random) -> float:
    """Return a spot floor over its on-demand price, drawn as hosts were seen to set it."""
    share = random.random()
    right = max(1, bisect_left(_RATIO_SHARES, share))
    low, high = _RATIO_SHARES[right - 1], _RATIO_SHARES[right]
    part = (share - low) / (high - low)
    return _RATIOS[right - 1] + part * (_RATIOS[right] - _RATIOS[right - 1])


def host_price(usd: float, currency: str, rate: Decimal) -> Decimal:
    """Return a price worth about ``usd``, in the digits that hosts use for the currency."""
    amount = Decimal(repr(usd)) / rate
    if currency == Currency.BTC:
        return max(Decimal("1e-6"), amount).quantize(Decimal("1e-7"), ROUND_HALF_EVEN)
    if amount >= 100:
        return amount.quantize(Decimal(1), ROUND_HALF_EVEN)
    return max(Decimal("0.05"), amount).quantize(Decimal("0.05"), ROUND_HALF_EVEN)


def _listing(random: Random, server_id: int, owners: Sequence[int], gpus: Sequence[_Gpu]) -> Listing:
    gpu = random.choices(gpus, [model.weight for model in gpus])[0]
    count = random.choice(gpu.counts)
    usd = gpu.usd_per_day * count * random.lognormvariate(0, 0.18)
    ratio = floor_ratio(random)
    coins: list[str] = [Currency.BTC]
    if random.random() < 0.92:
        coins.append(Currency.CLORE)
    if random.random() < 0.15:
        coins.append(Currency.USD)
    on_demand: dict[str, Decimal] = {}
    floor: dict[str, Decimal] = {}
    for coin in coins:
        # Hosts type each coin's price by hand, so the coins rarely agree.
        worth = usd * random.lognormvariate(0, 0.04)
        on_demand[str(coin)] = host_price(worth, coin, START_RATES[coin])
        floor[str(coin)] = (
            on_demand[str(coin)] if ratio == 1.0 else host_price(worth * ratio, coin, START_RATES[coin])
        )
    allowed = [str(coin) for coin in coins]
    if len(coins) > 1 and random.random() < 0.11:
        # A price of 0.01 BTC says "not in bitcoin" without saying so; half of them also forbid it.
        if random.random() < 0.55:
            on_demand["bitcoin"] = floor["bitcoin"] = _PLACEHOLDER_BTC
        allowed.remove(random.choice(allowed) if random.random() < 0.5 else "bitcoin")
    return Listing(
        server_id=server_id,
        owner=random.choice(owners),
        mrl_hours=random.choices(_MRL, _MRL_WEIGHTS)[0],
        on_demand=on_demand,
        floor=floor,
        allowed=tuple(allowed),
        rented=random.random() < 0.35,
        specs=_specs(random, gpu, count),
        extras=_extras(random, gpu, count),
        price_extras={"original_usd": {"on_demand": _number(usd, 2)}} if random.random() < 0.03 else {},
    )


def _specs(random: Random, gpu: _Gpu, count: int) -> dict[str, Any]:
    cpu, cores = random.choice(_CPUS)
    down = random.lognormvariate(5.2, 1.1)
    ram = random.choice((3.87, 15.6, 31.3, 62.7, 125.6, 251.5)) * random.uniform(0.99, 1.01)
    return {
        "mb": random.choice(_BOARDS),
        "cpu": cpu,
        "cpus": cores,
        "ram": _number(ram, 4),
        "disk": f"NVMe disk {random.uniform(15, 900):.4f}GB",
        "disk_speed": _number(random.uniform(80, 4800), 2),
        "gpu": "Mixed GPUs" if gpu.name.startswith("Mixed") else f"{count}x {gpu.name}",
        "gpuram": gpu.memory_gb,
        "net": {
            "up": _number(down * random.uniform(0.1, 1), 8),
            "down": _number(down, 8),
            "cc": random.choices(_COUNTRIES, _COUNTRY_WEIGHTS)[0],
        },
        "backend_version": random.choice((8, 9)),
        "pcie_rev": random.choice((1, 2, 3, 4)),
        "pcie_width": random.choice((1, 4, 8, 16)),
        "pl": [random.choice((140, 200, 250, 320, 450))] * count,
    }


def _extras(random: Random, gpu: _Gpu, count: int) -> dict[str, Any]:
    ratings = 0 if random.random() < 0.45 else 1 + int(random.expovariate(0.15))
    extras: dict[str, Any] = {
        # New servers start at 0 and climb; most of the listed ones are old.
        "reliability": _number(
            0.0 if random.random() < 0.02 else 1 - min(0.98, random.expovariate(12)), 4
        ),
        "rating": {"avg": _number(random.uniform(2.5, 5), 2) if ratings else 0, "cnt": ratings},
        "cuda_version": random.choice(("12.2", "12.4", "11.8", "12.0")),
    }
    if random.random() < 0.16:
        extras["oc"] = True
    if random.random() < 0.1:
        names = [gpu.name] * count
        extras["gpu_array"] = [names] if random.random() < 0.3 else names
    if random.random() < 0.02:
        extras["gigaspot"] = True
    if random.random() < 0.02:
        extras["partial_gpu_rental"] = True
    return extras


def _number(value: float, digits: int) -> Decimal:
    return Decimal(f"{value:.{digits}f}").normalize() + 0
