"""Processes that play seeds side by side, and end with whoever started them.

Signals are the campaign's alone: it kills its workers at once, whatever they are in the middle of, and
removes the folder that they share.
"""

import gc
import multiprocessing
import os
import shutil
import signal
import threading
from collections.abc import Generator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed

from bidder.chaos.day import play
from bidder.chaos.kinds import Scripted
from bidder.chaos.outcome import Outcome


def prepare() -> None:
    """Set Python up for playing many days."""
    # A day makes millions of short-lived values and keeps few: looking for cycles among those is a
    # tenth of its time at Python's own pace.
    gc.freeze()
    gc.set_threshold(200_000, 20, 50)


def side_by_side(
    first: int, last: int, days: float, script: Sequence[Scripted] | None, folder: str
) -> Generator[Outcome]:
    """Yield what each seed came to, as they end; closed before the last, it ends all of them at once."""
    # Spawned, not forked: a fork would carry over locks and open databases.
    spawning = multiprocessing.get_context("spawn")
    workers = min(os.cpu_count() or 1, last - first + 1)
    pool = ProcessPoolExecutor(
        workers, mp_context=spawning, initializer=_prepare_worker, initargs=(folder,)
    )
    try:
        waiting = {
            pool.submit(play, seed, days, script, folder): seed for seed in range(first, last + 1)
        }
        for done in as_completed(waiting):
            try:
                yield done.result()
            except Exception as exc:  # noqa: BLE001 - one day that fails must not lose all the others
                what = f"{type(exc).__name__}: {str(exc)[:200]}"
                failed = Outcome(seed=waiting[done], days=0.0)
                failed.violations.append(("nothing escapes", "", what))
                yield failed
    except (KeyboardInterrupt, GeneratorExit):
        for worker in multiprocessing.active_children():
            worker.kill()
        raise
    finally:
        pool.shutdown(cancel_futures=True)


def _prepare_worker(folder: str) -> None:
    prepare()
    # A terminal sends it to all of the group; whether to end is the campaign's to say.
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)
    threading.Thread(target=_end_with_the_campaign, args=(folder,), daemon=True).start()


def _end_with_the_campaign(folder: str) -> None:
    campaign = multiprocessing.parent_process()
    if campaign is not None:
        campaign.join()
        shutil.rmtree(folder, ignore_errors=True)
        os._exit(1)
