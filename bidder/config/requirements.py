"""The ``servers`` section: which servers qualify."""

import re
from datetime import timedelta
from decimal import Decimal

from bidder.config import values
from bidder.config.reader import Section
from bidder.config.tree import Branch, Scalar
from bidder.domain import market
from bidder.domain.ids import ServerId
from bidder.domain.policy import Requirements

_CUDA = re.compile(r"[0-9]{1,3}(\.[0-9]{1,3}){0,2}\Z")
_MOST_GPUS = 1000
# A number without its series, or grown together with it: 3090, RTX3090.
_SERIES_MISSING = re.compile(r"(RTX|GTX)?[0-9]{3,4}( .*)?\Z")


def read_requirements(strategy: Section) -> Requirements:
    """Return the requirements; errors are noted."""
    servers = strategy.section("servers")
    low, high = _gpus(servers)
    countries = frozenset(servers.list_of("countries", _country))
    not_countries = frozenset(servers.list_of("not_countries", _country))
    ids = frozenset(servers.list_of("ids", _server))
    not_ids = frozenset(servers.list_of("not_ids", _server))
    _check_leaves_some(servers, "countries", countries, not_countries)
    _check_leaves_some(servers, "ids", ids, not_ids)
    hours = servers.read("mrl_hours", values.number_between(0, 24 * 3650), None)
    size = values.real_between(0, 10_000_000)
    models = tuple(dict.fromkeys(servers.list_of("gpu", _gpu)))
    _warn_of_doubtful(servers, models, countries | not_countries)
    return Requirements(
        gpu_models=models,
        gpu_exact=servers.read("gpu_exact", values.flag, True),
        min_gpus=low,
        max_gpus=high,
        min_gpu_memory_gb=servers.read("gpu_memory_gb", size, None),
        min_ram_gb=servers.read("ram_gb", size, None),
        min_disk_gb=servers.read("disk_gb", size, None),
        min_net_down=servers.read("net_down", size, None),
        min_net_up=servers.read("net_up", size, None),
        min_cuda=servers.read("cuda", _cuda, None),
        countries=countries,
        exclude_countries=not_countries,
        min_reliability=_reliability(servers),
        min_rating=servers.read("rating", values.real_between(0, 5), None),
        allow_new=servers.read("allow_new", values.flag, True),
        min_mrl=None if hours is None else timedelta(hours=float(hours)),
        servers=ids or None,
        exclude_servers=not_ids,
        exclude_owners=frozenset(servers.list_of("not_owners", values.whole(0, 10**15))),
    )


def _check_leaves_some(
    servers: Section,
    key: str,
    only: frozenset[str] | frozenset[ServerId],
    never: frozenset[str] | frozenset[ServerId],
) -> None:
    if only and only <= never:
        servers.add(key, f"all of these are also in not_{key}", "remove them from one of the two")


def _warn_of_doubtful(servers: Section, models: tuple[str, ...], countries: frozenset[str]) -> None:
    """Warn of what is well written and most likely matches nothing."""
    for model in models:
        if _SERIES_MISSING.match(model):
            servers.problems.warn(
                f"{model!r} may never match: a model is matched word by word, such as RTX 3090",
                line=servers.line_of("gpu"),
                key=servers.path("gpu"),
            )
    if "UK" in countries:
        key = "countries" if servers.has("countries") else "not_countries"
        servers.problems.warn(
            "UK is no country's code; did you mean GB?", line=servers.line_of(key), key=servers.path(key)
        )


def _gpus(servers: Section) -> tuple[int, int | None]:
    node = servers.node("gpus")
    if node is not None and not isinstance(node, Branch):
        exact = servers.read("gpus", values.whole(1, _MOST_GPUS), 1)
        return exact, exact
    bounds = servers.section("gpus")
    low = bounds.read("min", values.whole(1, _MOST_GPUS), 1)
    high = bounds.read("max", values.whole(1, _MOST_GPUS), None)
    if high is not None and high < low:
        bounds.add("max", "is less than min", "swap the two", str(high))
    return low, high


def _reliability(servers: Section) -> float | None:
    found = servers.read("reliability", values.share(Decimal(0), Decimal(1)), None)
    return None if found is None else float(found)


def _gpu(scalar: Scalar) -> str:
    model = market.gpu_model(values.any_text(scalar))
    if not any(letter.isalnum() for letter in model):
        raise values.Unusable("names no GPU", "write a model, such as RTX 3090")
    if market.parse_gpu(scalar.text)[0]:
        raise values.Unusable(
            "names a count with the model", "write the model alone, and the count as gpus:"
        )
    return model


def _country(scalar: Scalar) -> str:
    code = scalar.text.strip().upper()
    if len(code) != 2 or not code.isascii() or not code.isalpha():
        raise values.Unusable("is not a country code", "write two letters, such as DE")
    return code


def _server(scalar: Scalar) -> ServerId:
    return ServerId(values.whole(0, 10**15)(scalar))


def _cuda(scalar: Scalar) -> str:
    version = scalar.text.strip()
    if not _CUDA.match(version):
        raise values.Unusable("is not a version", "write it like 12.4")
    return version
