"""The two ways to tell the owner: an address that apprise understands, and a program of the owner's.

Both are called in a thread of their own and may take their time; both return in the end.
"""

import json
import logging
import os
import selectors
import signal
import subprocess
import time
import warnings
from contextlib import suppress
from datetime import UTC
from typing import IO, Any, Protocol, Self

from bidder.domain.notices import Level, Notice, Receiver
from bidder.errors import ConfigError

_MOST_OUTPUT = 2000
_INHERITED = ("PATH", "HOME", "LANG", "LC_ALL", "TZ", "USER", "LOGNAME")
_SCHEMA = 1


class Undelivered(Exception):
    """A notice did not get there; the message says why, without any secret."""


class Notifier(Protocol):
    """Carries a notice to one receiver."""

    def send(self, notice: Notice) -> None:
        """Deliver the notice; raises Undelivered."""
        ...


def build_notifier(receiver: Receiver, *, file: str, secrets: tuple[str, ...] = ()) -> Notifier:
    """Return the way to a receiver; ``secrets`` are blacked out in what goes wrong on it.

    Raises:
        ConfigError: the address is none that apprise understands.
    """
    if receiver.command:
        return CommandHook(receiver.command, timeout_seconds=receiver.timeout.total_seconds())
    assert receiver.address is not None
    return AppriseNotifier(receiver.address, receiver=receiver, file=file, secrets=secrets)


def as_json(notice: Notice) -> dict[str, Any]:
    """Return a notice as the command hook gets it."""
    at = notice.at.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    return {
        "schema": _SCHEMA,
        "event": notice.event.value,
        "level": notice.level.word,
        "at": at,
        "title": notice.title,
        "text": notice.text,
        "facts": dict(notice.facts),
    }


class AppriseNotifier:
    """Sends through apprise: mail, Telegram, Slack, a webhook, and a hundred more."""

    def __init__(self, address: str, *, receiver: Receiver, file: str, secrets: tuple[str, ...]) -> None:
        """Understand the address; raises ConfigError."""
        with warnings.catch_warnings():
            # Its plugins use modules that Python is about to drop; the owner can do nothing about it.
            warnings.simplefilter("ignore", DeprecationWarning)
            self._understand(address, receiver=receiver, file=file, secrets=secrets)

    def _understand(
        self, address: str, *, receiver: Receiver, file: str, secrets: tuple[str, ...]
    ) -> None:
        import apprise

        # Its own log may quote addresses; what matters of it is in the error that is raised here.
        logging.getLogger("apprise").propagate = False
        self._secrets = sorted({address, *secrets}, key=len, reverse=True)
        self._types = {
            Level.INFO: apprise.NotifyType.INFO,
            Level.WARNING: apprise.NotifyType.WARNING,
            Level.URGENT: apprise.NotifyType.FAILURE,
        }
        self._apprise = apprise.Apprise()
        if not self._apprise.add(address):
            raise ConfigError(
                "is no address that apprise understands",
                file=file,
                line=receiver.line,
                key=receiver.place,
                remedy="write one such as mailto://user:password@example.com or tgram://TOKEN/CHAT",
            )

    def send(self, notice: Notice) -> None:
        """Deliver the notice; raises Undelivered."""
        with _Overheard() as heard:
            try:
                done = self._apprise.notify(
                    title=f"bidder: {notice.title}",
                    body=notice.text or notice.title,
                    notify_type=self._types[notice.level],
                )
            except Exception as exc:  # noqa: BLE001 - a plugin's own failure must not end the thread
                raise Undelivered(self._blacked_out(_told(exc))) from None
        if not done:
            raise Undelivered(self._blacked_out(heard.last or "the service did not take it"))

    def _blacked_out(self, text: str) -> str:
        for secret in self._secrets:
            text = text.replace(secret, "[hidden]")
        return text


def _told(exc: Exception) -> str:
    text = " ".join(str(exc).split())
    return f"{type(exc).__name__}: {text}" if text else type(exc).__name__


class _Overheard(logging.Handler):
    """Keeps the last warning that apprise logs while the block lasts, in whichever thread."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.last = ""

    def emit(self, record: logging.LogRecord) -> None:
        self.last = record.getMessage()

    def __enter__(self) -> Self:
        logging.getLogger("apprise").addHandler(self)
        return self

    def __exit__(self, *_: object) -> None:
        logging.getLogger("apprise").removeHandler(self)


class CommandHook:
    """Runs the owner's program: the notice as JSON on its input, no shell, no secret inherited.

    It gets a session of its own, and whatever of it is left at the end, or when its time is over,
    is killed.
    """

    def __init__(self, command: tuple[str, ...], *, timeout_seconds: float) -> None:
        """Prepare for one program and its arguments."""
        self._command = command
        self._timeout = timeout_seconds

    def send(self, notice: Notice) -> None:
        """Run the program; raises Undelivered where it fails or takes too long."""
        told = (json.dumps(as_json(notice), ensure_ascii=False) + "\n").encode()
        try:
            process = subprocess.Popen(
                self._command,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                env={name: os.environ[name] for name in _INHERITED if name in os.environ},
                start_new_session=True,
            )
        except (OSError, ValueError) as exc:
            raise Undelivered(f"{self._command[0]}: {getattr(exc, 'strerror', exc)}") from None
        try:
            over, output = _converse(process, told, time.monotonic() + self._timeout)
        finally:
            # Before it is reaped: until then nobody else can have its number.
            with suppress(ProcessLookupError, PermissionError):
                os.killpg(process.pid, signal.SIGKILL)
            code = process.wait()
            for stream in (process.stdin, process.stdout):
                if stream is not None:
                    with suppress(OSError):
                        stream.close()
        text = " ".join(output.decode("utf-8", "replace").split())
        said = f"it said: {text}" if text else "it said nothing"
        if not over:
            raise Undelivered(f"took longer than {self._timeout:g} seconds and was ended; {said}")
        if code != 0:
            raise Undelivered(f"ended with code {code}; {said}")


def _converse(process: subprocess.Popen[bytes], told: bytes, deadline: float) -> tuple[bool, bytes]:
    """Feed the program and listen until it ends; return whether it did, and the start of its output."""
    stdin, stdout = process.stdin, process.stdout
    assert stdin is not None
    assert stdout is not None
    output = bytearray()
    with selectors.DefaultSelector() as waiting:
        for stream, mask in ((stdin, selectors.EVENT_WRITE), (stdout, selectors.EVENT_READ)):
            os.set_blocking(stream.fileno(), False)
            waiting.register(stream, mask)
        while time.monotonic() < deadline:
            ready = waiting.select(min(0.05, max(0.0, deadline - time.monotonic())))
            for key, _ in ready:
                if key.fileobj is stdin:
                    told = _feed(stdin, told)
                    if not told:
                        waiting.unregister(stdin)
                        with suppress(OSError):
                            stdin.close()
                elif not _listen(stdout, output):
                    waiting.unregister(stdout)
            if _ended(process):
                _listen(stdout, output)
                return True, bytes(output)
            if not waiting.get_map():
                time.sleep(0.02)
    return False, bytes(output)


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


def _listen(stdout: IO[bytes], output: bytearray) -> bool:
    """Read what is there, keep its start; return whether more may come."""
    try:
        chunk = os.read(stdout.fileno(), 65536)
    except BlockingIOError:
        return True
    output += chunk[: max(0, _MOST_OUTPUT - len(output))]
    return bool(chunk)
