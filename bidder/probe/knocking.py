"""One probe of one workload: a connection, or a GET, and the verdict in words of ours.

What answers is a stranger's machine as long as nobody has proved otherwise: no redirect is followed,
no body is read, no proxy or cookie has a part in it, nothing it says is repeated, and no look takes
longer than the owner's time-out. The probe sends no secret, so it asks for no certificate either: an
expired one of the host's proxy is no dead workload.
"""

import asyncio
import errno
import ssl
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache

import httpx

from bidder.domain.market import Access
from bidder.domain.probe import Outcome, Place, Probe, ProbeKind, places_of
from bidder.probe.addresses import Address, Forbidden, addresses_of

# A forwarder takes every connection and hangs up when it finds nobody behind: so one is listened to
# for a moment before it counts.
_LISTEN_SECONDS = 1.0
# Failures on this machine's own side, from which nothing follows about the other.
_OURS = frozenset(
    (
        *(errno.ENETUNREACH, errno.ENETDOWN, errno.EADDRNOTAVAIL, errno.EMFILE, errno.ENFILE),
        *(errno.ENOBUFS, errno.ENOMEM, errno.EACCES, errno.EPERM, errno.EAFNOSUPPORT),
    )
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """What one probe found, in words of ours."""

    outcome: Outcome
    detail: str = ""


_ALIVE = Found(outcome=Outcome.ALIVE)


async def knock(access: Access, probe: Probe) -> Found:
    """Return whether a workload that is reached like this gives a sign of life; raises nothing foreseen.

    Its hosts and their addresses are tried at once, and one that lives is enough. Takes at most twice
    the time-out, in the machine's own seconds.
    """
    places = places_of(access, probe.port)
    if not places:
        return _blind(f"the exchange does not say how port {probe.port} is reached")
    return _best(await asyncio.gather(*(knock_at(place, probe) for place in places)))


async def knock_at(place: Place, probe: Probe) -> Found:
    """Return what one place gives; see ``knock``."""
    seconds = probe.timeout.total_seconds()
    try:
        async with asyncio.timeout(seconds):
            addresses = await addresses_of(place.host, probe.allow_networks)
    except Forbidden as exc:
        return _blind(f"its address {exc} is not public")
    except OSError:  # a time-out is one, too
        return _blind("its host name cannot be resolved")
    if not addresses:
        return _blind("its host name has no address")
    return _best(await asyncio.gather(*(_at_address(each, place, probe) for each in addresses)))


async def _at_address(address: Address, place: Place, probe: Probe) -> Found:
    seconds = probe.timeout.total_seconds()
    try:
        async with asyncio.timeout(seconds):
            if probe.kind is ProbeKind.TCP:
                return await _connect(address, place.port, min(_LISTEN_SECONDS, seconds / 2))
            return await _get(address, place, probe)
    except (TimeoutError, httpx.TimeoutException):
        return _silent(f"no answer within {seconds:g} s")
    except (OSError, httpx.HTTPError) as exc:
        return _failure(exc)


async def _connect(address: Address, port: int, listen_seconds: float) -> Found:
    reader, writer = await asyncio.open_connection(str(address), port)
    try:
        async with asyncio.timeout(listen_seconds):
            said = await reader.read(1)
    except TimeoutError:
        return _ALIVE  # it waits for us to speak first
    finally:
        writer.close()
    return _ALIVE if said else _silent("it hangs up at once")


async def _get(address: Address, place: Place, probe: Probe) -> Found:
    url = httpx.URL(
        scheme="https" if place.tls else "http",
        host=str(address),
        port=place.port,
        raw_path=probe.path.encode("ascii"),
    )
    usual = place.port == (443 if place.tls else 80)
    name = f"[{place.host}]" if ":" in place.host else place.host
    headers = {
        "host": name if usual else f"{name}:{place.port}",
        "user-agent": "bidder-probe",
        "accept": "*/*",
        "connection": "close",
    }
    extensions = {"sni_hostname": place.host} if place.tls else {}
    # A client for each GET: a kept one would carry one stranger's cookies to the next.
    async with (
        httpx.AsyncClient(
            verify=_no_certificate_asked(),
            trust_env=False,
            follow_redirects=False,
            timeout=probe.timeout.total_seconds(),
        ) as client,
        client.stream("GET", url, headers=headers, extensions=extensions) as answer,
    ):
        status = answer.status_code
    first, last = probe.expect
    return _ALIVE if first <= status <= last else _silent(f"HTTP status {status}")


@cache
def _no_certificate_asked() -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


def _best(found: list[Found]) -> Found:
    """Return the most telling of several: a sign of life, else a silence."""
    strength = (Outcome.BLIND, Outcome.SILENT, Outcome.ALIVE)
    return max(found, key=lambda each: strength.index(each.outcome))


def _failure(exc: BaseException) -> Found:
    causes = list(_causes(exc))
    # Before the numbers are looked at: OpenSSL has its own, and 1 is not EPERM there.
    if any(isinstance(cause, ssl.SSLError) for cause in causes):
        return _silent("it speaks no TLS")
    if any(isinstance(cause, OSError) and cause.errno in _OURS for cause in causes):
        return _blind("this machine cannot connect there")
    if any(isinstance(cause, ConnectionRefusedError) for cause in causes):
        return _silent("the connection is refused")
    if isinstance(exc, httpx.ProtocolError | httpx.DecodingError):
        return _silent("it speaks no HTTP")
    return _silent("the connection fails")


def _causes(exc: BaseException) -> Iterator[BaseException]:
    """Yield an exception and all that it came of."""
    waiting, seen = [exc], set[int]()
    while waiting:
        each = waiting.pop()
        if id(each) in seen:
            continue
        seen.add(id(each))
        yield each
        waiting += [cause for cause in (each.__cause__, each.__context__) if cause is not None]
        if isinstance(each, BaseExceptionGroup):
            waiting += each.exceptions


def _silent(detail: str) -> Found:
    return Found(outcome=Outcome.SILENT, detail=detail)


def _blind(detail: str) -> Found:
    return Found(outcome=Outcome.BLIND, detail=detail)
