"""Availability traces, and what a strategy pays for a job on one of them.

The model is that of "Can't Be Late" (Wu et al., NSDI 2024): in each step of the trace a spot server
can be had or not; an on-demand server always can. A start takes a while in which nothing is computed
and which is paid all the same; what was computed is kept when a server is lost. Time is counted in
whole seconds, so that no rounding decides whether a deadline was met.
"""

from collections.abc import Callable
from dataclasses import dataclass

from bidder.domain.jobs import Choice, Standing, held_by_net


@dataclass(frozen=True, slots=True, kw_only=True)
class Trace:
    """Whether a spot server could be had, step by step; a step lasts ``gap`` seconds."""

    name: str
    gap: int
    available: tuple[bool, ...]

    def after(self, steps: int) -> "Trace":
        """Return the trace without its first ``steps``."""
        return Trace(name=self.name, gap=self.gap, available=self.available[steps:])

    @property
    def seconds(self) -> int:
        """Return how long it lasts."""
        return self.gap * len(self.available)


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """``work`` seconds of computation within ``time`` seconds; each start takes ``restart``.

    A spot server costs 1 per hour, an on-demand one ``ratio``.
    """

    work: int
    time: int
    restart: int = 720
    ratio: float = 3.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What a strategy made of a job; ``cost`` in hours of the spot price."""

    cost: float
    missed: bool
    starts: int
    spot_hours: float
    on_demand_hours: float


# A strategy looks at each step's standing, in order, and says what to run: it may remember.
Chooser = Callable[[Standing], Choice]


def run(trace: Trace, job: Job, choose: Chooser) -> Outcome:
    """Return what ``choose`` pays for the job when it starts with the trace; the net holds it."""
    work_left, now, starts = job.work, 0, 0
    running, starting = Choice.IDLE, 0
    paid = {Choice.SPOT: 0, Choice.ON_DEMAND: 0, Choice.IDLE: 0}
    for available in trace.available:
        if work_left == 0 or now >= job.time:
            break
        if running is Choice.SPOT and not available:
            running, starting = Choice.IDLE, 0
        look = min(trace.gap, job.time - now)
        standing = Standing(
            work=job.work,
            time=job.time,
            work_left=work_left,
            time_left=job.time - now,
            running=running,
            starting=starting,
            available=available,
            restart=job.restart,
            look=look,
            ratio=job.ratio,
        )
        chosen = held_by_net(standing, choose(standing))
        if chosen is not running:
            starts += chosen is not Choice.IDLE
            running, starting = chosen, 0 if chosen is Choice.IDLE else job.restart
        if chosen is not Choice.IDLE:
            spent = min(look, starting + work_left)
            paid[chosen] += spent
            computed = max(0, spent - starting)
            starting = max(0, starting - spent)
            work_left -= computed
        now += look
    return Outcome(
        cost=(paid[Choice.SPOT] + job.ratio * paid[Choice.ON_DEMAND]) / 3600,
        missed=work_left > 0,
        starts=starts,
        spot_hours=paid[Choice.SPOT] / 3600,
        on_demand_hours=paid[Choice.ON_DEMAND] / 3600,
    )
