"""Signals that come before there is a daemon to hear them: kept for it, or the end of its start.

Nothing but the standard library's smallest is loaded here: as process 1, which the kernel lets ignore
whatever it has no handler for, a program can be stopped only from the moment at which it has one.
"""

import os
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import asyncio

_STOPS = (signal.SIGTERM, signal.SIGINT)
_DONE = 0


def mind_process_one() -> None:
    """As process 1 end at SIGTERM and SIGINT, as any other process does without having to care."""
    if os.getpid() != 1:
        return
    for number in _STOPS:
        signal.signal(number, _end)


def _end(number: int, _: FrameType | None) -> None:
    # A daemon that is stopped has done what it was asked; any other command is cut short.
    raise SystemExit(_DONE if sys.argv[1:2] == ["run"] else 128 + number)


class Asked:
    """What was asked for so far."""

    def __init__(self, reload: "asyncio.Event") -> None:
        """Begin with nothing; ``reload`` is set by SIGHUP."""
        self.reload = reload
        self._stop = False
        self._busy = False

    @contextmanager
    def undisturbed(self) -> Iterator[None]:
        """Let the block come to its end first; ``end_if_asked`` is for afterwards."""
        self._busy = True
        try:
            yield
        finally:
            self._busy = False

    def end_if_asked(self) -> None:
        """End the process, as one that was stopped, where that was asked for; raises SystemExit."""
        if self._stop:
            raise SystemExit(_DONE)

    def hang_up(self, *_: object) -> None:
        """Hear SIGHUP."""
        self.reload.set()

    def stop(self, *_: object) -> None:
        """Hear SIGTERM or SIGINT."""
        self._stop = True
        if not self._busy:
            self.end_if_asked()


@contextmanager
def heard() -> Iterator[Asked]:
    """Hear SIGHUP, SIGTERM and SIGINT while the block lasts, until the event loop takes them over."""
    import asyncio

    asked = Asked(asyncio.Event())
    before = {}
    try:
        for number in _STOPS:
            before[number] = signal.signal(number, asked.stop)
        before[signal.SIGHUP] = signal.signal(signal.SIGHUP, asked.hang_up)
    except ValueError:  # not in the main thread: whoever runs us takes the signals
        yield asked
        return
    try:
        yield asked
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
