"""A service manager for tests: its notify socket, and what a real daemon says on it."""

import select
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from processes import BIDDER, PATIENCE, environment


class Manager:
    """Receives what the service tells, as systemd would."""

    def __init__(self, path: Path) -> None:
        """Listen on a socket at ``path``."""
        self.path = path
        self.said: list[str] = []
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.bind(str(path))

    def close(self) -> None:
        """Stop listening."""
        self._socket.close()

    def hear(self, seconds: float) -> list[str]:
        """Return the messages of the next seconds."""
        heard: list[str] = []
        deadline = time.monotonic() + seconds
        while (left := deadline - time.monotonic()) > 0:
            if select.select([self._socket], [], [], left)[0]:
                heard.append(self._socket.recv(65536).decode())
        self.said += heard
        return heard

    def wait_for(self, *parts: str) -> str:
        """Return the first message from now on that holds all of these parts."""
        deadline = time.monotonic() + PATIENCE
        while (left := deadline - time.monotonic()) > 0:
            if select.select([self._socket], [], [], left)[0]:
                message = self._socket.recv(65536).decode()
                self.said.append(message)
                if all(part in message for part in parts):
                    return message
        raise AssertionError(f"waited in vain for {parts}; heard {self.said[-20:]}")


@contextmanager
def managed(
    config: Path, log: Path, manager: Manager, *, watchdog_seconds: float = 4.0
) -> Iterator[subprocess.Popen[bytes]]:
    """Run the daemon as a service of ``manager``, and end it with the block."""
    told = {"NOTIFY_SOCKET": str(manager.path), "WATCHDOG_USEC": str(round(watchdog_seconds * 1e6))}
    with log.open("ab") as stream:
        process = subprocess.Popen(
            [*BIDDER, "run", "-c", str(config)],
            env={**environment(), **told},
            stdout=stream,
            stderr=stream,
        )
    try:
        yield process
    finally:
        if process.poll() is None:
            process.kill()
        process.wait(PATIENCE)
