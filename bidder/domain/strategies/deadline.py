"""``deadline``: so many GPU-hours by a moment, at the least cost.

While there is time the job computes on spot servers, bid for as ``track`` or ``adaptive`` do, and waits
where none is to be had. What to run is decided by ``jobs.choose``, the very function that is backtested
on availability traces; here is only how a job's standing follows from what is known. The safety net
counts with the fewest GPUs that a server may have, and ends before the owner's deadline by ``margin``:
a request may be refused, and an answer may fail to come.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta

from bidder.domain import jobs
from bidder.domain.actions import Fact
from bidder.domain.jobs import Choice, Outlook, Standing
from bidder.domain.market import OrderKind
from bidder.domain.policy import DeadlineParams, Target
from bidder.domain.view import Holding, View

# A choice is made anew at each read; this is how long one may stand.
_LOOK = timedelta(minutes=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Course:
    """What each kind of slot should do next, and where the job stands.

    ``left`` is GPU-time still to compute, ``slack`` the time that may pass without computing, by the
    owner's deadline. ``on_spot``, ``on_demand`` and ``idle`` are the choices for a slot that runs a
    spot server, an on-demand one, and none.
    """

    left: timedelta
    slack: timedelta
    restart: timedelta
    on_spot: Choice
    on_demand: Choice
    idle: Choice

    @property
    def finished(self) -> bool:
        """Return whether all has been computed."""
        return self.left <= timedelta(0)

    def facts(self) -> dict[str, Fact]:
        """Return the figures that every decision about the job rests on."""
        return {
            "gpu_hours_left": round(max(self.left, timedelta(0)) / timedelta(hours=1), 3),
            "slack_minutes": round(self.slack / timedelta(minutes=1), 1),
        }


def computed(target: Target, view: View) -> timedelta:
    """Return the GPU-time that a target's orders have computed, the ended ones included."""
    live = (holding.work.gpu_time for holding in view.holdings_of(target.name))
    return sum(live, view.computed.get(target.name, timedelta(0)))


def gpus_counted_on(target: Target) -> int:
    """Return the GPUs that compute at once where every server is as small as may be."""
    return target.want * max(1, target.requirements.min_gpus)


def course(target: Target, params: DeadlineParams, view: View, now: datetime) -> Course:
    """Return what the job's slots should do at this moment."""
    left = timedelta(hours=float(params.gpu_hours)) - computed(target, view)
    held = view.holdings_of(target.name)
    running = [h for h in held if h.runs]
    ahead = [h.work.starting for h in running]
    alone = left / gpus_counted_on(target)
    outlook = view.outlooks.get(target.name) or Outlook(looked_at=now)

    def choice(of: Choice, holdings: list[Holding]) -> Choice:
        starting = max((h.work.starting for h in holdings), default=timedelta(0))
        others = _without(ahead, starting) if holdings else ahead
        # What the other slots lose to their starts is this one's to compute, too.
        work_left = alone + _lost(others, target.want - 1) / target.want
        standing = Standing(
            work=work_left.total_seconds(),
            time=(params.by - now).total_seconds(),
            work_left=work_left.total_seconds(),
            time_left=(params.by - params.margin - now).total_seconds(),
            running=of,
            starting=starting.total_seconds(),
            available=of is Choice.SPOT or outlook.available,
            restart=target.restart.total_seconds(),
            look=_LOOK.total_seconds(),
            ratio=outlook.ratio,
        )
        return jobs.choose(standing, outlook.spells)

    rented = [h for h in running if h.order.kind is OrderKind.ON_DEMAND]
    return Course(
        left=left,
        slack=params.by - now - alone - _lost(ahead, target.want) / target.want,
        restart=timedelta(0) if running else target.restart,
        on_spot=choice(Choice.SPOT, [h for h in running if h.order.kind is OrderKind.SPOT]),
        on_demand=choice(Choice.ON_DEMAND, rented),
        idle=choice(Choice.IDLE, []),
    )


def _without(starts: list[timedelta], one: timedelta) -> list[timedelta]:
    left = list(starts)
    left.remove(one)
    return left


def _lost(starts: list[timedelta], slots: int) -> timedelta:
    """Return what so many slots lose to starts; two servers in one slot count by the readier one."""
    return sum(sorted(starts)[:slots], timedelta(0))


def is_late(course: Course) -> bool:
    """Return whether the deadline cannot be met any more, not even on demand from now on."""
    return not course.finished and course.slack < course.restart


def concern(target: Target, now: datetime) -> str | None:
    """Return what an owner should know before a job begins; None where all is well.

    What earlier orders have computed for it is not known here.
    """
    params = target.params
    if not isinstance(params, DeadlineParams) or not target.enabled:
        return None
    hours = timedelta(hours=1)
    by = f"{params.by:%Y-%m-%d %H:%M} UTC"
    if params.by <= now:
        return f"the deadline of {by} is over"
    gpus = gpus_counted_on(target)
    needed = timedelta(hours=float(params.gpu_hours)) / gpus + target.restart
    if needed > params.by - now:
        return (
            f"{params.gpu_hours} GPU-hours on {gpus} GPUs and a start take {needed / hours:.1f} hours,"
            f" but until {by} there are {(params.by - now) / hours:.1f}; unless enough of it is done"
            " already it will be late, also on demand"
        )
    if needed + params.margin > params.by - now:
        return f"by {by} there is no time for spot servers: the job begins on demand"
    return None
