"""What a service tells systemd: datagrams on the socket that ``NOTIFY_SOCKET`` names.

The protocol is one ``sendto``, so there is no library. Telling must never disturb trading: nothing
here raises, and nothing waits for longer than a fraction of a second.
"""

import os
import socket
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Self

# The manager reads its queue quickly; when it does not, the next word is as good as this one.
_MOST_SECONDS = 0.2
_LONGEST_STATUS = 400


@dataclass(frozen=True, slots=True, kw_only=True)
class Notifier:
    """The way to the service manager, or to nobody where there is none.

    ``watchdog_seconds`` is how long the manager waits for a sign of life before it restarts us.
    """

    address: str | None = None
    watchdog_seconds: float | None = None

    @classmethod
    def from_environ(cls, environ: Mapping[str, str]) -> Self:
        """Return the notifier that the environment of this process describes."""
        address = environ.get("NOTIFY_SOCKET", "")
        # An inherited watchdog is somebody else's.
        ours = environ.get("WATCHDOG_PID", "") in {"", str(os.getpid())}
        return cls(
            address=address or None,
            watchdog_seconds=_seconds(environ.get("WATCHDOG_USEC", "")) if ours else None,
        )

    def ready(self, status: str) -> bool:
        """Say that the service does its work; returns whether that was delivered."""
        return self._send("READY=1", _status(status))

    def status(self, status: str) -> bool:
        """Say in one line what the service is doing."""
        return self._send(_status(status))

    def alive(self, *, starting_for_seconds: float | None = None) -> bool:
        """Feed the watchdog; before readiness also ask for this much more time to start."""
        if starting_for_seconds is None:
            return self._send("WATCHDOG=1")
        return self._send("WATCHDOG=1", f"EXTEND_TIMEOUT_USEC={round(starting_for_seconds * 1e6)}")

    def reloading(self) -> bool:
        """Say that the configuration is being read again; ``ready`` ends that."""
        return self._send("RELOADING=1", f"MONOTONIC_USEC={time.monotonic_ns() // 1000}")

    def stopping(self, status: str) -> bool:
        """Say that the service is about to end."""
        return self._send("STOPPING=1", _status(status))

    def _send(self, *lines: str) -> bool:
        if self.address is None:
            return False
        # "@" stands for the NUL with which an abstract address begins.
        place = "\0" + self.address[1:] if self.address.startswith("@") else self.address
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sender:
                sender.settimeout(_MOST_SECONDS)
                sender.sendto("\n".join(lines).encode("utf-8", "replace"), place)
        except (OSError, ValueError):
            return False
        return True


def _status(text: str) -> str:
    line = "".join(each if each.isprintable() else " " for each in text)
    return f"STATUS={line[:_LONGEST_STATUS]}"


def _seconds(microseconds: str) -> float | None:
    if not (microseconds.isascii() and microseconds.isdigit()) or not int(microseconds):
        return None
    return int(microseconds) / 1e6
