"""The probe of a workload, as values: what the owner asks for, what was found, what is known since.

A workload is what a launch runs on a server. The exchange bills an order that runs whether anything
answers there or not, so one of its forwarded ports is knocked at now and then.
"""

import ipaddress
import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum

from bidder.domain.ids import OrderId, ServerId
from bidder.domain.market import Access

Network = ipaddress.IPv4Network | ipaddress.IPv6Network

# An order names several hosts that all lead to it; more than these are not tried.
_MOST_HOSTS = 2
_HTTPS = 443
_HOST = re.compile(r"(?=.{1,253}\Z)[A-Za-z0-9](?:[A-Za-z0-9.-]*[A-Za-z0-9.])?\Z")
_FORWARDED = re.compile(r"([0-9]{1,5}):([0-9]{1,5})\Z")
# After a silence of ours that is longer than so many probes, a dead one is not known to have stayed so.
_MOST_MISSED = 3


class ProbeKind(StrEnum):
    """How a workload is asked for a sign of life."""

    TCP = "tcp"  # the port takes a connection and does not hang up at once
    HTTP = "http"  # the port answers a GET with an expected status


class Then(StrEnum):
    """What becomes of an order whose workload is dead."""

    REPORT = "report"
    REPLACE = "replace"  # cancelled, so that its slot is filled on another server


@dataclass(frozen=True, slots=True, kw_only=True)
class Probe:
    """What the owner asks for. ``port`` is the container's.

    ``expect`` is the first and the last HTTP status that counts as alive. ``timeout`` is the most that
    looking up a host, and then an address, may take. Dead is what a probe ``dead_after`` after the first
    failed one still finds dead. An order that has never answered is given ``grace`` from when it was
    first seen running. ``allow_networks`` may be probed although they are not public.
    """

    port: str
    kind: ProbeKind = ProbeKind.TCP
    path: str = "/"
    expect: tuple[int, int] = (200, 399)
    every: timedelta = timedelta(seconds=60)
    timeout: timedelta = timedelta(seconds=5)
    dead_after: timedelta = timedelta(minutes=10)
    grace: timedelta = timedelta(minutes=15)
    then: Then = Then.REPORT
    allow_networks: tuple[Network, ...] = ()


class Outcome(StrEnum):
    """What one probe found."""

    ALIVE = "alive"
    SILENT = "silent"  # it was knocked at, and gave no sign of life
    BLIND = "blind"  # it could not be knocked at: no address, a forbidden one, or none that we reach


@dataclass(frozen=True, slots=True, kw_only=True)
class Sign:
    """One probe's result. ``detail`` is in words of ours: nothing that an answer said."""

    order: OrderId
    at: datetime
    outcome: Outcome
    detail: str = ""


class State(StrEnum):
    """How a workload is."""

    STARTING = "starting"  # no sign yet, and its grace lasts
    ALIVE = "alive"
    FAILING = "failing"  # its latest probe failed, but not for long enough
    DEAD = "dead"


@dataclass(frozen=True, slots=True, kw_only=True)
class Pulse:
    """What the probes of one order showed since it was first seen running.

    ``blind`` says that the latest probe could not knock, ``recalled`` that it was an earlier process's:
    then its workload may live by now, and is not called dead before it has been knocked at once more.
    """

    began_at: datetime
    alive_at: datetime | None = None
    probed_at: datetime | None = None
    dead_since: datetime | None = None
    blind: bool = False
    detail: str = ""
    recalled: bool = False

    def after(self, sign: Sign, probe: Probe) -> "Pulse":
        """Return what is known after one more probe."""
        if sign.outcome is Outcome.ALIVE:
            return Pulse(began_at=self.began_at, alive_at=sign.at, probed_at=sign.at)
        blind = sign.outcome is Outcome.BLIND
        failed = replace(self, probed_at=sign.at, blind=blind, detail=sign.detail, recalled=False)
        if self.alive_at is None and sign.at < self.began_at + probe.grace:
            return failed
        if self.dead_since is not None and not self.missed(sign.at, probe):
            return failed
        return replace(failed, dead_since=sign.at)

    def state(self, probe: Probe) -> State:
        """Return how the workload is, by the latest probe."""
        if self.dead_since is None or self.probed_at is None:
            return State.STARTING if self.alive_at is None else State.ALIVE
        lasted = self.probed_at - self.dead_since
        return State.DEAD if lasted >= probe.dead_after and not self.recalled else State.FAILING

    def missed(self, at: datetime, probe: Probe) -> bool:
        """Return whether nobody looked for so long that it may have lived meanwhile."""
        longest = _MOST_MISSED * (probe.every + 2 * probe.timeout)
        return not timedelta(0) <= at - (self.probed_at or self.began_at) <= longest


@dataclass(frozen=True, slots=True, kw_only=True)
class Replaced:
    """One order that was cancelled because its workload was dead."""

    target: str
    server: ServerId
    order: OrderId
    at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where a workload is knocked at; ``host`` is a name or an address that the exchange told."""

    host: str
    port: int
    tls: bool = False


def places_of(access: Access, port: str) -> tuple[Place, ...]:
    """Return where a container's port is reached; none where the exchange does not say, or not sensibly.

    A port forwarded as ``http`` stands behind the host's own HTTPS (API document, endpoint 5).
    """
    hosts = tuple(host for host in access.pub_cluster if _sensible(host))[:_MOST_HOSTS]
    if access.http_port == port:
        return tuple(Place(host=host, port=_HTTPS, tls=True) for host in hosts)
    outside = next(_forwarded(access, port), None)
    return () if outside is None else tuple(Place(host=host, port=outside) for host in hosts)


def _forwarded(access: Access, port: str) -> Iterator[int]:
    for pair in access.tcp_ports:
        found = _FORWARDED.match(pair)
        if found is not None and found[1] == port and 1 <= int(found[2]) <= 65535:
            yield int(found[2])


def _sensible(host: str) -> bool:
    if _HOST.match(host):
        return True
    try:
        return "%" not in host and bool(ipaddress.IPv6Address(host))
    except ValueError:
        return False
