"""When the daemon's jobs run: so many seconds from now, wherever the calendar is set meanwhile.

APScheduler dates its jobs by the calendar. Where that is set back by an hour, as the first answer of a
time server may do, passes and heartbeats would wait for that hour. So the moment of each job is kept in
the event loop's own seconds as well, and once a second a date that no longer says the same is mended; a
slewed clock is too slow to matter. Rejected: APScheduler's interval jobs. Once the calendar is set
forward they count every run that they missed, and of a year of heartbeats that takes seconds.
"""

import asyncio
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from apscheduler.events import (
    EVENT_JOB_ERROR,
    EVENT_JOB_EXECUTED,
    EVENT_JOB_MAX_INSTANCES,
    EVENT_JOB_MISSED,
    JobEvent,
)
from apscheduler.schedulers.asyncio import AsyncIOScheduler

_JOB_OVER = EVENT_JOB_EXECUTED | EVENT_JOB_ERROR | EVENT_JOB_MISSED | EVENT_JOB_MAX_INSTANCES
_LOOKS_EVERY = 1.0
_TOLERANCE = timedelta(seconds=0.5)


@dataclass(frozen=True, slots=True)
class _Job:
    run: Callable[[], Coroutine[Any, Any, None]]
    pause: Callable[[], float | None]


class Timetable:
    """Runs each job again and again, never two runs of one at a time, in the running event loop.

    A job is armed anew by the scheduler's own word that a run is over, or was passed over: one that
    armed its successor itself would sometimes find its own run still counted, and the successor dropped.
    """

    def __init__(self) -> None:
        """Begin with no jobs."""
        # The defaults bite: a late job would be skipped after one second with a mere warning.
        self._scheduler = AsyncIOScheduler(
            timezone=UTC,
            job_defaults={"misfire_grace_time": None, "coalesce": True, "max_instances": 1},
        )
        self._jobs: dict[str, _Job] = {}
        self._due: dict[str, float] = {}
        self._minding: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin to run jobs."""
        self._scheduler.add_listener(self._job_over, _JOB_OVER)
        self._scheduler.start()
        self._minding = asyncio.create_task(self._mind_the_calendar(), name="timetable")

    def repeat(
        self,
        run: Callable[[], Coroutine[Any, Any, None]],
        name: str,
        *,
        first: float,
        pause: Callable[[], float | None],
    ) -> None:
        """Run a coroutine function in ``first`` seconds, and from its end on each ``pause()`` seconds.

        Where ``pause`` returns None that was its last run.
        """
        self._jobs[name] = _Job(run, pause)
        self._arm(name, first)

    async def close(self) -> None:
        """Begin no run any more."""
        self._scheduler.shutdown(wait=False)
        if self._minding is not None:
            self._minding.cancel()
            await asyncio.gather(self._minding, return_exceptions=True)

    def _job_over(self, event: JobEvent) -> None:
        seconds = self._jobs[event.job_id].pause()
        if seconds is not None:
            self._arm(event.job_id, seconds)

    def _arm(self, name: str, seconds: float) -> None:
        self._due[name] = asyncio.get_running_loop().time() + seconds
        self._scheduler.add_job(
            self._jobs[name].run,
            "date",
            run_date=datetime.now(UTC) + timedelta(seconds=seconds),
            id=name,
            replace_existing=True,
        )

    async def _mind_the_calendar(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            await asyncio.sleep(_LOOKS_EVERY)
            for job in self._scheduler.get_jobs():
                date = datetime.now(UTC) + timedelta(seconds=self._due[job.id] - loop.time())
                if abs(date - job.next_run_time) > _TOLERANCE:
                    # By that the scheduler wakes, too: its own alarm was set by the old date.
                    job.modify(next_run_time=date)
