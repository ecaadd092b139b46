"""A network of a test's own: `unshare --net` gives one with nothing in it, and its loopback down."""

import fcntl
import socket
import struct
from pathlib import Path

_SIOCGIFFLAGS, _SIOCSIFFLAGS, _IFF_UP = 0x8913, 0x8914, 0x1


def alone() -> None:
    """Set up loopback, and make sure that there is nothing beside it."""
    routes = Path("/proc/net/route").read_text(encoding="utf-8").splitlines()[1:]
    assert not routes, "not in a network of its own"
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asked:
        told = fcntl.ioctl(asked, _SIOCGIFFLAGS, struct.pack("16sh14x", b"lo", 0))
        flags = struct.unpack("16sh14x", told)[1] | _IFF_UP
        fcntl.ioctl(asked, _SIOCSIFFLAGS, struct.pack("16sh14x", b"lo", flags))
