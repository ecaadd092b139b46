"""Which parts of a notice receiver's address are secret.

Where in an address the token stands depends on the service: the host of ``tgram://TOKEN/CHAT``, the path
of ``slack://A/B/C``, the password of ``mailto://``. So every part that may be one is taken for one, and
only what cannot be is left: short words, IP addresses, this machine, and names that the owner gave to
something else. To go by the services' own rules was rejected: there are a hundred, and they change.
"""

import ipaddress
import re
import urllib.parse
from collections.abc import Iterable, Iterator
from typing import Final

# Shorter parts of an address are host names and words, not keys.
_LONG_PART: Final = 8
_PARTS: Final = re.compile(r"[/@:?&=,;#\[\]]")
_BETWEEN: Final = re.compile(r"[/@?&=,;#\[\]]")
_HERE: Final = "localhost"


def secret_parts(address: str, names: Iterable[str] = ()) -> tuple[str, ...]:
    """Return an address and those parts of it that a message may quote and that may be secret.

    ``names`` are words of the configuration that are shown: what is one of them, or a part of one, is
    no secret, unless it stands where a password does.
    """
    known = tuple(names)
    rest = address.split("://", 1)[-1]
    found = [address, *_passwords(rest)]
    if not _is_plain(rest, known):
        found.append(rest)
    # Colons part a login, but also hold an IPv6 address together.
    for part in (*_BETWEEN.split(rest), *_PARTS.split(rest)):
        found += [
            text
            for text in (part, urllib.parse.unquote(part))
            if len(text) >= _LONG_PART and not _is_plain(text, known)
        ]
    return tuple(dict.fromkeys(found))


def is_named(text: str, names: Iterable[str]) -> bool:
    """Return whether a text is one of these names, or a part of one."""
    return any(text in name for name in names)


def _passwords(rest: str) -> Iterator[str]:
    login, at, _ = rest.rpartition("@")
    _, colon, password = login.partition(":")
    if at and colon and password:
        yield from (password, urllib.parse.unquote(password))


def _is_plain(part: str, names: tuple[str, ...]) -> bool:
    """Return whether a part is a name, or an IP address or this machine, with a port or without."""
    host, colon, port = part.rpartition(":")
    bare = host if colon and port.isdigit() else part
    return is_named(part, names) or bare == _HERE or _is_ip(bare) or _is_ip(part)


def _is_ip(text: str) -> bool:
    try:
        ipaddress.ip_address(text.removeprefix("[").removesuffix("]"))
    except ValueError:
        return False
    return True
