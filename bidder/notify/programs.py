"""Running a program beside the daemon: fed on its input, listened to, and ended in time.

In a session of its own, so that whatever is left of it can be ended with it.
"""

import os
import selectors
import signal
import subprocess
import threading
import time
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from typing import IO

_INHERITED = ("PATH", "HOME", "LANG", "LC_ALL", "TZ", "USER", "LOGNAME")

# What is killed while a disk is busy may take a moment; what takes longer is left.
_BURIAL_SECONDS = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Ended:
    """How a program ended; ``code`` None: it was ended. ``output`` is the start of what it said."""

    code: int | None
    output: bytes


def run_program(
    command: tuple[str, ...],
    told: bytes,
    *,
    timeout_seconds: float,
    most_output: int,
    hears_errors: bool = True,
    inherits: Iterable[str] = (),
    given_up: threading.Event | None = None,
) -> Ended:
    """Run a program with ``told`` on its input; raises OSError or ValueError where it cannot start.

    Of the environment it inherits what every program needs, and what ``inherits`` names. It is ended
    when its time is over, or once ``given_up`` is set.
    """
    given_up = given_up or threading.Event()
    process = subprocess.Popen(
        command,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT if hears_errors else subprocess.DEVNULL,
        env={name: os.environ[name] for name in (*_INHERITED, *inherits) if name in os.environ},
        start_new_session=True,
    )
    try:
        deadline = time.monotonic() + timeout_seconds
        over, output = _converse(process, told, deadline, most_output, given_up)
    finally:
        # Before it is reaped: until then nobody else can have its number.
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, signal.SIGKILL)
        code = process.wait()
        _bury(process.pid)
        for stream in (process.stdin, process.stdout):
            if stream is not None:
                with suppress(OSError):
                    stream.close()
    return Ended(code=code if over else None, output=output)


def _converse(
    process: subprocess.Popen[bytes],
    told: bytes,
    deadline: float,
    most: int,
    given_up: threading.Event,
) -> tuple[bool, bytes]:
    """Feed the program and listen until it ends; return whether it did, and the start of its output."""
    stdin, stdout = process.stdin, process.stdout
    assert stdin is not None
    assert stdout is not None
    output = bytearray()
    with selectors.DefaultSelector() as waiting:
        for stream, mask in ((stdin, selectors.EVENT_WRITE), (stdout, selectors.EVENT_READ)):
            os.set_blocking(stream.fileno(), False)
            waiting.register(stream, mask)
        while time.monotonic() < deadline and not given_up.is_set():
            ready = waiting.select(min(0.05, max(0.0, deadline - time.monotonic())))
            for key, _ in ready:
                if key.fileobj is stdin:
                    told = _feed(stdin, told)
                    if not told:
                        waiting.unregister(stdin)
                        with suppress(OSError):
                            stdin.close()
                elif not _listen(stdout, output, most):
                    waiting.unregister(stdout)
            if _ended(process):
                _listen(stdout, output, most)
                return True, bytes(output)
            if not waiting.get_map():
                time.sleep(0.02)
    return False, bytes(output)


def _bury(group: int) -> None:
    """Reap what is left of a process group that was killed, as far as it is ours.

    As process 1 of a container we inherit what a program leaves behind; unreaped it would stay, one
    more with each notice, until no process can be started there. Elsewhere somebody else does it.
    """
    deadline = time.monotonic() + _BURIAL_SECONDS
    with suppress(ChildProcessError):
        while time.monotonic() < deadline:
            if os.waitid(os.P_PGID, group, os.WEXITED | os.WNOHANG) is None:
                time.sleep(0.01)


def _ended(process: subprocess.Popen[bytes]) -> bool:
    found = os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT)
    return found is not None


def _feed(stdin: IO[bytes], told: bytes) -> bytes:
    try:
        return told[os.write(stdin.fileno(), told[:4096]) :]
    except BlockingIOError:
        return told
    except OSError:  # it does not want to know
        return b""


def _listen(stdout: IO[bytes], output: bytearray, most: int) -> bool:
    """Read what is there, keep its start; return whether more may come."""
    try:
        chunk = os.read(stdout.fileno(), 65536)
    except BlockingIOError:
        return True
    output += chunk[: max(0, most - len(output))]
    return bool(chunk)
