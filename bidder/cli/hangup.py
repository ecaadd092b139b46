"""SIGHUP before there is a daemon to read its configuration again: kept for it, not died of."""

import asyncio
import signal
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def kept() -> Iterator[asyncio.Event]:
    """Yield an event that is set once SIGHUP has come; until the block ends the signal ends nothing.

    The event loop may take the signal over meanwhile.
    """
    wanted = asyncio.Event()
    try:
        before = signal.signal(signal.SIGHUP, lambda *_: wanted.set())
    except ValueError:  # not in the main thread: whoever runs us takes the signals
        yield wanted
        return
    try:
        yield wanted
    finally:
        signal.signal(signal.SIGHUP, before)
