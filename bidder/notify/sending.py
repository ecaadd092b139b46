"""The two ways to tell the owner: an address that apprise understands, and a program of the owner's.

Both are called in a thread of their own and may take their time; both return in the end. Apprise is
loaded by a short-lived process only: in the daemon it would take 16 MB for as long as that runs.
"""

import json
import sys
import threading
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from datetime import UTC
from functools import partial
from typing import Any, Protocol

from bidder.domain.notices import Level, Notice, Receiver
from bidder.errors import ConfigError
from bidder.notify.programs import run_program

_MOST_OUTPUT = 2000
_SCHEMA = 1
# ``-P``: what lies in the folder where the daemon runs is no module of ours.
_DELIVER = (sys.executable, "-P", "-m", "bidder.notify.deliver")
# Each attempt to connect or read takes apprise some seconds at most; it makes few of them.
_DELIVER_SECONDS = 30.0
# Whether addresses are understood is asked before trading begins, which must not wait for long.
_CHECK_SECONDS = 15.0
# What Python, proxies and certificates go by; never a token.
_DELIVER_INHERITS = (
    *(
        "PYTHONPATH",
        "PYTHONHOME",
        "PYTHONDONTWRITEBYTECODE",
        "PYTHONUTF8",
        "LD_LIBRARY_PATH",
        "LC_CTYPE",
    ),
    *("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY"),
    *("http_proxy", "https_proxy", "all_proxy", "no_proxy"),
    *("SSL_CERT_FILE", "SSL_CERT_DIR", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"),
)
_TOO_LATE = "was given up: the process that tells ends"
_TYPES = {Level.INFO: "info", Level.WARNING: "warning", Level.URGENT: "failure"}


class Undelivered(Exception):
    """A notice did not get there; the message says why, without any secret."""


class Notifier(Protocol):
    """Carries a notice to one receiver."""

    def send(self, notice: Notice) -> None:
        """Deliver the notice; raises Undelivered."""
        ...

    def give_up(self) -> None:
        """End what is being delivered, from another thread; nothing is delivered from now on."""
        ...


class Slots:
    """How many processes may deliver at once: each takes some 45 MB while it lives."""

    def __init__(self, most: int = 2) -> None:
        """Let ``most`` deliver at once; who comes later waits."""
        self.free = threading.BoundedSemaphore(most)


def build_notifier(
    receiver: Receiver, *, secrets: Sequence[str] = (), slots: Slots | None = None
) -> Notifier:
    """Return the way to a receiver; ``secrets`` are blacked out in what goes wrong on it.

    They may grow while it is used: a reload brings others.
    """
    if receiver.command:
        return CommandHook(receiver.command, timeout_seconds=receiver.timeout.total_seconds())
    assert receiver.address is not None
    return AppriseNotifier(receiver.address, secrets=secrets, slots=slots)


def check_addresses(receivers: Sequence[Receiver], *, file: str) -> None:
    """Refuse the first address that apprise does not understand; raises ConfigError.

    Where that cannot be asked at this moment nothing is refused: the first notice will say so.
    """
    asked = [receiver for receiver in receivers if receiver.address is not None]
    if not asked:
        return
    try:
        question = {"understand": [receiver.address for receiver in asked]}
        known = _ask(question, timeout_seconds=_CHECK_SECONDS)["understood"]
    except Undelivered:
        return
    for receiver, understood in zip(asked, known, strict=True):
        if not understood:
            raise ConfigError(
                "is no address that apprise understands",
                file=file,
                line=receiver.line,
                key=receiver.place,
                remedy="write one such as mailto://user:password@example.com or tgram://TOKEN/CHAT",
            )


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

    def __init__(
        self,
        address: str,
        *,
        secrets: Sequence[str] = (),
        slots: Slots | None = None,
        ask: Callable[[dict[str, Any]], dict[str, Any]] | None = None,
    ) -> None:
        """Prepare for one address, which is not looked at before the first notice.

        ``ask`` carries the message and returns how it went; None: a process with apprise does.
        """
        self._address = address
        self._given_up = threading.Event()
        self._ask = ask or partial(_ask, given_up=self._given_up)
        self._slots = slots
        self._secrets = secrets

    def send(self, notice: Notice) -> None:
        """Deliver the notice; raises Undelivered."""
        message = {
            "to": self._address,
            "title": f"bidder: {notice.title}",
            "body": notice.text or notice.title,
            "type": _TYPES[notice.level],
        }
        with nullcontext() if self._slots is None else self._slots.free:
            if self._given_up.is_set():
                raise Undelivered(_TOO_LATE)
            answer = self._ask(message)
        if not answer["sent"]:
            raise Undelivered(self._blacked_out(answer["error"]))

    def give_up(self) -> None:
        """End what is being delivered, from another thread; nothing is delivered from now on."""
        self._given_up.set()

    def _blacked_out(self, text: str) -> str:
        for secret in sorted({self._address, *self._secrets}, key=len, reverse=True):
            text = text.replace(secret, "[hidden]")
        return text


def _ask(
    asked: dict[str, Any],
    *,
    timeout_seconds: float = _DELIVER_SECONDS,
    given_up: threading.Event | None = None,
) -> dict[str, Any]:
    """Return what a process with apprise answers; raises Undelivered where there is no answer.

    The address goes over its input: arguments and environment can be read by others.
    """
    try:
        ended = run_program(
            _DELIVER,
            json.dumps(asked).encode(),
            timeout_seconds=timeout_seconds,
            most_output=65536,
            hears_errors=False,
            inherits=_DELIVER_INHERITS,
            given_up=given_up,
        )
    except (OSError, ValueError) as exc:
        problem = getattr(exc, "strerror", None) or type(exc).__name__
        raise Undelivered(f"the process that sends could not be started: {problem}") from None
    if ended.code is None:
        raise Undelivered(_why_ended(timeout_seconds, given_up))
    try:
        answer: dict[str, Any] = json.loads(ended.output)
    except ValueError:
        raise Undelivered(f"the process that sends ended with code {ended.code}") from None
    return answer


def _why_ended(timeout_seconds: float, given_up: threading.Event | None) -> str:
    if given_up is not None and given_up.is_set():
        return _TOO_LATE
    return f"took longer than {timeout_seconds:g} seconds and was ended"


class CommandHook:
    """Runs the owner's program: the notice as JSON on its input, no shell, no secret inherited.

    It gets a session of its own, and whatever of it is left at the end, or when its time is over,
    is killed.
    """

    def __init__(self, command: tuple[str, ...], *, timeout_seconds: float) -> None:
        """Prepare for one program and its arguments."""
        self._command = command
        self._timeout = timeout_seconds
        self._given_up = threading.Event()

    def send(self, notice: Notice) -> None:
        """Run the program; raises Undelivered where it fails or takes too long."""
        if self._given_up.is_set():
            raise Undelivered(_TOO_LATE)
        told = (json.dumps(as_json(notice), ensure_ascii=False) + "\n").encode()
        try:
            ended = run_program(
                self._command,
                told,
                timeout_seconds=self._timeout,
                most_output=_MOST_OUTPUT,
                given_up=self._given_up,
            )
        except (OSError, ValueError) as exc:
            raise Undelivered(f"{self._command[0]}: {getattr(exc, 'strerror', exc)}") from None
        text = " ".join(ended.output.decode("utf-8", "replace").split())
        said = f"it said: {text}" if text else "it said nothing"
        if ended.code is None:
            raise Undelivered(f"{_why_ended(self._timeout, self._given_up)}; {said}")
        if ended.code != 0:
            raise Undelivered(f"ended with code {ended.code}; {said}")

    def give_up(self) -> None:
        """End the program, from another thread; none is run from now on."""
        self._given_up.set()
