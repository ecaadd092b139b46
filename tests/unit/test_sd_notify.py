"""The datagrams that systemd gets."""

import os
import socket
import time
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from bidder.sd_notify import Notifier


@pytest.fixture(params=["path", "abstract"])
def manager(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[tuple[str, socket.socket]]:
    """Yield the address of a service manager's socket, and the socket."""
    address = str(tmp_path / "notify")
    place = address
    if request.param == "abstract":
        address = f"@bidder-test-{uuid.uuid4().hex}"
        place = "\0" + address[1:]
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listener:
        listener.bind(place)
        listener.settimeout(10)
        yield address, listener


def test_each_word_is_one_datagram(manager: tuple[str, socket.socket]) -> None:
    """READY, STATUS, WATCHDOG, RELOADING and STOPPING arrive as the protocol writes them."""
    address, listener = manager
    notifier = Notifier.from_environ({"NOTIFY_SOCKET": address})

    assert notifier.ready("holds 2 of 3")
    assert listener.recv(4096) == b"READY=1\nSTATUS=holds 2 of 3"
    assert notifier.status("waits")
    assert listener.recv(4096) == b"STATUS=waits"
    assert notifier.alive()
    assert listener.recv(4096) == b"WATCHDOG=1"
    assert notifier.alive(starting_for_seconds=90)
    assert listener.recv(4096) == b"WATCHDOG=1\nEXTEND_TIMEOUT_USEC=90000000"
    before = time.monotonic_ns() // 1000
    assert notifier.reloading()
    first, second = listener.recv(4096).decode().split("\n")
    assert first == "RELOADING=1"
    assert before <= int(second.removeprefix("MONOTONIC_USEC=")) <= time.monotonic_ns() // 1000
    assert notifier.stopping("bye")
    assert listener.recv(4096) == b"STOPPING=1\nSTATUS=bye"


def test_a_status_stays_one_short_line(manager: tuple[str, socket.socket]) -> None:
    """Nothing that the exchange said can add a line of its own to the datagram."""
    address, listener = manager

    assert Notifier(address=address).status("a\nREADY=1\x1b[31m" + "x" * 9000 + "\ud800")

    said = listener.recv(65536)
    assert said.count(b"\n") == 0
    assert said.startswith(b"STATUS=a READY=1 [31mxxx")
    assert len(said) < 500


@pytest.mark.parametrize(
    "address",
    ["", "/nonexistent/socket", "@nobody-listens-here", "@" + "x" * 300, "/a\0b", "relative"],
)
def test_nothing_is_raised_where_nobody_listens(address: str) -> None:
    """Telling fails without a word: trading does not depend on it."""
    assert not Notifier.from_environ({"NOTIFY_SOCKET": address}).ready("up")


def test_a_manager_that_reads_nothing_does_not_hold_us_up(tmp_path: Path) -> None:
    """When its queue is full, the word is dropped."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listener:
        listener.bind(str(tmp_path / "full"))
        notifier = Notifier(address=str(tmp_path / "full"))
        sent = 0
        while notifier.alive():
            sent += 1
            assert sent < 100_000
    assert sent > 0


@pytest.mark.parametrize(
    ("environ", "seconds"),
    [
        ({}, None),
        ({"WATCHDOG_USEC": "30000000"}, 30.0),
        ({"WATCHDOG_USEC": "30000000", "WATCHDOG_PID": "1"}, None),
        ({"WATCHDOG_USEC": "30000000", "WATCHDOG_PID": str(os.getpid())}, 30.0),
        ({"WATCHDOG_USEC": "0"}, None),
        ({"WATCHDOG_USEC": "soon"}, None),
    ],
)
def test_the_watchdog_is_ours_only_when_it_says_so(
    environ: dict[str, str], seconds: float | None
) -> None:
    """An inherited or unreadable watchdog is none."""
    assert Notifier.from_environ(environ).watchdog_seconds == seconds
