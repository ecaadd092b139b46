"""Threads that an event loop hands its waiting to, and that keep no process from its end.

asyncio's own are waited for when the loop ends, and once more when the interpreter does. One of them may
look up a name, and a resolver that hangs takes half a minute: whoever stops the daemon waits less long.
"""

import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from queue import SimpleQueue
from typing import Any, TypeVar

_T = TypeVar("_T")
# A resolver that hangs for good must not fill the process with threads.
_MOST = 6


class Unawaited(ThreadPoolExecutor):
    """A few threads for which nobody waits at the end.

    Of the library's pool it has only the type, without which no loop takes it.
    """

    def __init__(self) -> None:
        """Begin without a thread."""
        super().__init__(_MOST)
        self._begun = 0
        self._calls: SimpleQueue[Callable[[], None]] = SimpleQueue()

    def submit(self, fn: Callable[..., _T], /, *args: Any, **kwargs: Any) -> Future[_T]:
        """Have a call made as soon as a thread is free, and return what will come of it."""
        future: Future[_T] = Future()
        self._calls.put(lambda: _settle(future, lambda: fn(*args, **kwargs)))
        if self._begun < _MOST:
            threading.Thread(target=self._work, name="waiting", daemon=True).start()
            self._begun += 1
        return future

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:  # noqa: FBT001 - the library's own
        """Wait for nothing."""

    def _work(self) -> None:
        while True:
            self._calls.get()()


def _settle(future: Future[_T], call: Callable[[], _T]) -> None:
    if not future.set_running_or_notify_cancel():
        return
    try:
        result = call()
    except BaseException as exc:  # noqa: BLE001 - whoever waits for it is told
        future.set_exception(exc)
    else:
        future.set_result(result)
