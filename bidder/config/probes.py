"""The ``probe`` section of a strategy: how its workload is asked for a sign of life."""

import ipaddress
import re
from datetime import timedelta

from bidder.config import values
from bidder.config.reader import Section
from bidder.config.tree import Scalar
from bidder.domain.policy import Launch
from bidder.domain.probe import Network, Probe, ProbeKind, Then

_SECOND, _HOUR, _DAY = timedelta(seconds=1), timedelta(hours=1), timedelta(days=1)
_LONGEST_PATH = 500
_PATH = re.compile(r"/[!-\"$-~]*\Z")  # printable ASCII, no blank and no fragment
_STATUSES = re.compile(r"([1-5][0-9]{2})(?:\s*-\s*([1-5][0-9]{2}))?\Z")
# A larger part of the address space is no network of one's own.
_LEAST_PREFIX = {4: 8, 6: 16}
_HTTP_ONLY = ("path", "expect")


def read_probe(section: Section, launch: Launch | None) -> Probe | None:
    """Return a strategy's probe; None where it asks for none, or with errors noted."""
    if not section.has("probe"):
        return None
    before = section.problems.count
    probe, usual = section.section("probe"), Probe(port="")
    if section.problems.count > before and not probe.branch.entries:
        return None  # no section at all
    port = probe.required("port", values.whole(1, 65535), "name one of the ports of launch")
    kind = ProbeKind(probe.read("kind", values.choice(*ProbeKind), usual.kind.value))
    every = probe.read("every", values.duration(_SECOND, _HOUR), usual.every)
    timeout = probe.read("timeout", values.duration(_SECOND / 10, _HOUR / 60), usual.timeout)
    dead_after = probe.read("dead_after", values.duration(2 * _SECOND, _DAY), usual.dead_after)
    found = Probe(
        port=str(port),
        kind=kind,
        path=probe.read("path", _path, usual.path),
        expect=probe.read("expect", _statuses, usual.expect),
        every=every,
        timeout=timeout,
        dead_after=dead_after,
        grace=probe.read("grace", values.duration(timedelta(0), _DAY), usual.grace),
        then=Then(probe.read("then", values.choice(*Then), usual.then.value)),
        allow_networks=probe.list_of("allow_networks", _network),
    )
    _check_times(probe, found)
    _check_kind(probe, kind)
    if port is not None and launch is not None:
        _check_port(probe, found, launch)
    return found if section.problems.count == before else None


def _check_times(probe: Section, found: Probe) -> None:
    if found.timeout > found.every:
        probe.add(
            "timeout", "is longer than every", "wait less, or probe less often", _shown(found.timeout)
        )
    if found.dead_after < 2 * found.every:
        probe.add(
            "dead_after",
            f"is shorter than two probes, one each {_shown(found.every)}",
            "wait longer, or probe more often",
            _shown(found.dead_after),
        )


def _check_kind(probe: Section, kind: ProbeKind) -> None:
    for key in _HTTP_ONLY:
        if kind is ProbeKind.TCP and probe.has(key):
            probe.add(key, "belongs to kind: http", "write kind: http, or remove it")


def _check_port(probe: Section, found: Probe, launch: Launch) -> None:
    forwarded = dict(launch.ports)
    if found.port not in forwarded:
        known = ", ".join(forwarded) or "none"
        remedy = f"add it to launch.ports, or name one that is there: {known}"
        probe.add("port", "is not forwarded", remedy, found.port)
    elif forwarded[found.port] == "http" and found.kind is ProbeKind.TCP:
        # Behind HTTPS a connection shows that the exchange's proxy lives, and nothing else.
        probe.add("port", "is forwarded as http", "write kind: http", found.port)


def _shown(span: timedelta) -> str:
    return values.spelled(span)


def _path(scalar: Scalar) -> str:
    path = scalar.text
    if len(path) > _LONGEST_PATH or not _PATH.match(path):
        raise values.Unusable(
            "is not the path of a URL", "write one that starts with /, such as /health"
        )
    return path


def _statuses(scalar: Scalar) -> tuple[int, int]:
    match = _STATUSES.match(scalar.text.strip())
    first, last = (int(match[1]), int(match[2] or match[1])) if match else (1, 0)
    if first > last:
        raise values.Unusable("names no HTTP statuses", "write 200, or a range such as 200-399")
    return first, last


def _network(scalar: Scalar) -> Network:
    try:
        network = ipaddress.ip_network(scalar.text.strip())
    except ValueError:
        raise values.Unusable("is not a network", "write one like 10.8.0.0/24 or 127.0.0.1") from None
    if network.prefixlen < _LEAST_PREFIX[network.version]:
        least = _LEAST_PREFIX[network.version]
        raise values.Unusable("is too wide", f"name a network of your own, /{least} or smaller")
    return network
