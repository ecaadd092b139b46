"""``deadline``: so many GPU-hours by a moment, at the least cost.

While there is time the job computes on spot servers, bid for as ``track`` or ``adaptive`` do, and waits
where none is to be had. What to run is decided by ``jobs.choose``, the very function that is backtested
on availability traces; here is only how a job's standing follows from what is known. The safety net
counts with the fewest GPUs that a server may have, and ends before the owner's deadline by ``margin``:
a request may be refused, and an answer may fail to come. A server may be rented for no longer than its
host allows: where none may be for as long as the work takes, the net counts a start for each rental.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta

from bidder.domain import jobs, workloads
from bidder.domain.actions import Fact
from bidder.domain.jobs import Choice, Outlook, Standing
from bidder.domain.market import OrderKind
from bidder.domain.policy import DeadlineParams, Target
from bidder.domain.view import Holding, View

# A choice is made anew at each read; this is how long one may stand.
_LOOK = timedelta(minutes=1)
# From the end of a rental until the next one begins: our orders must show it, and a server be rented.
BETWEEN = timedelta(minutes=3)
# A rental that computes for less than this is none.
_LEAST = timedelta(minutes=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Course:
    """What each kind of slot should do next, and where the job stands.

    ``left`` is GPU-time still to compute, ``slack`` the time that may pass without computing, by the
    owner's deadline; where nothing runs, at least ``restart`` of it goes to starts. ``on_spot``,
    ``on_demand`` and ``idle`` are the choices for a slot that runs a spot server, an on-demand one, and
    none.
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


def alone(target: Target, params: DeadlineParams, view: View) -> timedelta:
    """Return how long the work that is left takes each slot, on the GPUs that are counted on."""
    return _left(target, params, view) / gpus_counted_on(target)


def _left(target: Target, params: DeadlineParams, view: View) -> timedelta:
    return timedelta(hours=float(params.gpu_hours)) - computed(target, view)


def is_done(target: Target, params: DeadlineParams, view: View) -> bool:
    """Return whether all of a target's job has been computed."""
    return _left(target, params, view) <= timedelta(0)


def rentals_needed(work: timedelta, restart: timedelta, mrl: timedelta) -> int | None:
    """Return how many rentals of ``mrl``, each with a start, compute ``work``; None where none do."""
    if work + restart <= mrl:
        return 1
    computes = mrl - restart
    return None if computes < _LEAST else -(-work // computes)


def course(target: Target, params: DeadlineParams, view: View, now: datetime) -> Course:
    """Return what the job's slots should do at this moment."""
    running = [h for h in view.holdings_of(target.name) if h.runs]
    work = alone(target, params, view)
    ahead = {h.order.order: _ahead(h, work, target, view, now) for h in running}
    # What the net's own rentals lose where they end before the work does.
    net = _between(target) * _further(work, target, view, now)
    outlook = view.outlooks.get(target.name) or Outlook(looked_at=now)

    def choice(of: Choice, holdings: list[Holding]) -> Choice:
        slot = max(holdings, key=lambda h: h.work.starting, default=None)
        starting = timedelta(0) if slot is None else slot.work.starting
        others = [ahead[h.order.order] for h in running if h is not slot]
        # What the other slots lose to their starts is this one's to compute, too.
        work_left = work + _lost(others, target.want - 1) / target.want
        standing = Standing(
            work=work_left.total_seconds(),
            time=(params.by - now).total_seconds(),
            work_left=work_left.total_seconds(),
            time_left=(params.by - params.margin - net - now).total_seconds(),
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
        left=_left(target, params, view),
        slack=params.by - now - work - _lost(ahead.values(), target.want) / target.want,
        restart=timedelta(0) if running else target.restart + net,
        on_spot=choice(Choice.SPOT, [h for h in running if h.order.kind is OrderKind.SPOT]),
        on_demand=choice(Choice.ON_DEMAND, rented),
        idle=choice(Choice.IDLE, []),
    )


def _between(target: Target) -> timedelta:
    return target.restart + BETWEEN


def _ahead(holding: Holding, work: timedelta, target: Target, view: View, now: datetime) -> timedelta:
    """Return what a running order's slot will lose to starts: its own, and that of its successors.

    One on spot may end at any moment: what follows then is the net's.
    """
    starting = holding.work.starting
    lasts = holding.order.ends_at - now
    if holding.order.kind is OrderKind.SPOT or starting + work <= lasts:
        return starting
    rest = work - max(lasts - starting, timedelta(0))
    return starting + _between(target) * (1 + _further(rest, target, view, now))


def _further(work: timedelta, target: Target, view: View, now: datetime) -> int:
    """Return how many starts beyond its first one a slot's work takes on demand, as servers are offered.

    As many of them as there are slots without one, and those first that may be rented for longest.
    """
    if all(work + target.restart <= c.listing.mrl for c in view.rentals.get(target.name, ())):
        return 0
    ours = [h for h in view.holdings.values() if h.runs]
    not_free = {h.order.server for h in ours} | workloads.left_alone(target.name, view, now)
    free = (c.listing for c in view.rentals[target.name] if c.listing.server not in not_free)
    needed = [rentals_needed(work, target.restart, listing.mrl) for listing in free]
    known = sorted(each for each in needed if each is not None)
    rented = [h for h in ours if h.target == target.name and h.order.kind is OrderKind.ON_DEMAND]
    slots = max(1, target.want - len(rented))
    return known[min(slots, len(known)) - 1] - 1 if known else 0


def _lost(starts: Iterable[timedelta], slots: int) -> timedelta:
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
