"""From a host that the exchange named to addresses that may be knocked at.

The exchange's answers are untrusted, and whoever writes one must not be able to have this machine look
around in its own network. So what is judged is the address that a name resolved to, and that very
address is connected to: a second look-up could say something else.
"""

import asyncio
import ipaddress
import socket
import threading
from contextlib import suppress

from bidder.domain.probe import Network

Address = ipaddress.IPv4Address | ipaddress.IPv6Address

# A name with more addresses than these is not tried to its end.
_MOST_ADDRESSES = 2
# A resolver that hangs keeps its threads, and the machine does not give us many.
_MOST_LOOK_UPS = 16
_look_ups = threading.BoundedSemaphore(_MOST_LOOK_UPS)
_GLOBAL_UNICAST = ipaddress.IPv6Network("2000::/3")
# A gateway carries these to the IPv4 address within (RFC 6052).
_TRANSLATED = ipaddress.IPv6Network("64:ff9b::/96")


class Forbidden(Exception):
    """A host leads to an address that is not public; the message names the address."""


async def addresses_of(host: str, allowed: tuple[Network, ...]) -> tuple[Address, ...]:
    """Return the public addresses of a host, or those in ``allowed``; never others.

    Raises:
        Forbidden: it has addresses, and none of them may be knocked at.
        OSError: it cannot be resolved.
    """
    found = tuple(dict.fromkeys(map(plain, await _resolved(host))))
    usable = tuple(address for address in found if permitted(address, allowed))
    if not usable and found:
        raise Forbidden(str(found[0]))
    return usable[:_MOST_ADDRESSES]


def plain(address: Address) -> Address:
    """Return the IPv4 address that an IPv4-mapped one is."""
    mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    return address if mapped is None else mapped


def permitted(address: Address, allowed: tuple[Network, ...] = ()) -> bool:
    """Return whether an address is public, or in a network that the owner allows.

    Not public is what the IANA registries say is not global, and multicast, and every IPv6 address
    that a tunnel or a gateway would carry to an IPv4 address that is not public.
    """
    address = plain(address)
    if any(address in network for network in allowed if network.version == address.version):
        return True
    if isinstance(address, ipaddress.IPv4Address):
        return address.is_global and not address.is_multicast
    if address in _TRANSLATED:
        return permitted(ipaddress.IPv4Address(int(address) & 0xFFFF_FFFF))
    if address.sixtofour is not None:
        # Before the registry is asked: not every Python counts these as global.
        return permitted(address.sixtofour)
    return address in _GLOBAL_UNICAST and address.is_global and address.teredo is None


async def _resolved(host: str) -> tuple[Address, ...]:
    """Return what the machine's resolver says, also of ``127.1``, ``2130706433`` and the like.

    Rejected: the loop's own thread pool. A resolver that hangs would keep its few threads from the
    rest of the program, and the program from ending.
    """
    if "%" in host:
        raise OSError("an address with a scope leads nowhere from outside")
    with suppress(ValueError):
        return (ipaddress.ip_address(host),)
    if not _look_ups.acquire(blocking=False):
        raise OSError("too many names are being looked up")
    loop = asyncio.get_running_loop()
    answer: asyncio.Future[tuple[Address, ...]] = loop.create_future()

    def settle(found: tuple[Address, ...], failure: Exception | None) -> None:
        if answer.done():
            return
        if failure is None:
            answer.set_result(found)
        else:
            answer.set_exception(failure)

    def look_up() -> None:
        found: tuple[Address, ...] = ()
        failure: Exception | None = None
        try:
            answers = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
            found = tuple(ipaddress.ip_address(str(each[4][0])) for each in answers)
        except OSError as exc:
            failure = exc
        except ValueError as exc:  # a name that IDNA cannot encode
            failure = OSError(str(exc))
        finally:
            _look_ups.release()
        with suppress(RuntimeError):  # the loop has ended meanwhile
            loop.call_soon_threadsafe(settle, found, failure)

    try:
        threading.Thread(target=look_up, name="probe-resolver", daemon=True).start()
    except RuntimeError as exc:
        _look_ups.release()
        raise OSError("no thread can be started") from exc
    return await answer
