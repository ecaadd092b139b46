"""Calls that a loop hands to threads: what comes of them is told, and the end waits for none."""

import asyncio
import subprocess
import sys
import threading

import pytest

from bidder.threads import Unawaited

HANGS = """
import asyncio, socket, time
from bidder.threads import Unawaited

socket.getaddrinfo = lambda *_, **__: time.sleep(60)

async def main():
    loop = asyncio.get_running_loop()
    loop.set_default_executor(Unawaited())
    task = asyncio.create_task(loop.getaddrinfo("example.invalid", 80))
    await asyncio.sleep(0.1)
    task.cancel()

asyncio.run(main())
raise SystemExit(3)
"""


async def test_what_comes_of_a_call_is_told() -> None:
    """A result, or what it raised."""
    asyncio.get_running_loop().set_default_executor(Unawaited())
    assert await asyncio.to_thread(lambda: 7) == 7
    with pytest.raises(ZeroDivisionError):
        await asyncio.to_thread(lambda: 1 // 0)


async def test_calls_that_hang_do_not_fill_the_process_with_threads() -> None:
    """Those that come later wait for their turn."""
    asyncio.get_running_loop().set_default_executor(Unawaited())
    before, over = threading.active_count(), threading.Event()
    calls = [asyncio.create_task(asyncio.to_thread(over.wait)) for _ in range(50)]
    await asyncio.sleep(0)
    assert threading.active_count() - before <= 6
    over.set()
    assert await asyncio.gather(*calls) == [True] * 50


def test_a_resolver_that_hangs_keeps_no_process_from_its_end() -> None:
    """The exit code is the one that was meant."""
    done = subprocess.run([sys.executable, "-c", HANGS], timeout=40, check=False)
    assert done.returncode == 3
