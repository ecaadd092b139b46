"""What is worth telling of a job with a deadline: that it is done, will be late, or is."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from bidder.domain.actions import Fact
from bidder.domain.market import OrderKind
from bidder.domain.notices import Event, Level, Notice
from bidder.domain.policy import DeadlineParams, Policy, Target
from bidder.domain.strategies import deadline
from bidder.domain.strategies.deadline import Course
from bidder.domain.view import View

_LEVELS = {Event.JOB_DONE: Level.INFO, Event.JOB_LATE: Level.WARNING, Event.JOB_MISSED: Level.WARNING}


@dataclass(slots=True)
class JobsTold:
    """Remembers what was told of each job, so that it is told once."""

    _told: set[tuple[str, Event, datetime]] = field(default_factory=set)
    _seen: set[str] = field(default_factory=set)

    def notices(self, now: datetime, view: View, policy: Policy) -> Iterator[Notice]:
        """Return what has become of the jobs; one that is done when the daemon starts is no news."""
        for target in policy.targets:
            params = target.params
            if not isinstance(params, DeadlineParams):
                continue
            if not target.enabled or not _is_known(target, view):
                continue
            course = deadline.course(target, params, view, now)
            first = target.name not in self._seen
            self._seen.add(target.name)
            event = _event(course, params, now)
            if event is None or (target.name, event, params.by) in self._told:
                continue
            self._told.add((target.name, event, params.by))
            if not (first and event is Event.JOB_DONE):
                yield _notice(event, target, params, course, now)


def _is_known(target: Target, view: View) -> bool:
    """Return whether it is known which of its orders run: not before each book was read once."""
    held = view.holdings_of(target.name)
    unread = any(h.active is None and h.order.kind is OrderKind.SPOT for h in held)
    return view.completed_at is not None and not unread


def _event(course: Course, params: DeadlineParams, now: datetime) -> Event | None:
    if course.finished:
        return Event.JOB_DONE
    if now >= params.by:
        return Event.JOB_MISSED
    return Event.JOB_LATE if deadline.is_late(course) else None


def _notice(
    event: Event, target: Target, params: DeadlineParams, course: Course, now: datetime
) -> Notice:
    left = f"{max(course.left, timedelta(0)) / timedelta(hours=1):.2f}"
    by, whole = f"{params.by:%Y-%m-%d %H:%M} UTC", f"{params.gpu_hours} GPU-hours"
    title = f"{target.name}: all {whole} are computed"
    text = f"Its orders are cancelled and nothing more is bid for it. The deadline was {by}."
    if event is Event.JOB_LATE:
        title = f"{target.name} cannot be done by {by}"
        text = (
            f"{left} of {whole} are left, more than even on demand can be computed by then on"
            f" {deadline.gpus_counted_on(target)} GPUs. It goes on as fast as it can."
        )
    elif event is Event.JOB_MISSED:
        title = f"{target.name} has missed its deadline of {by}"
        text = f"{left} of {whole} are left. It goes on until all is computed; disable it to stop."
    facts: dict[str, Fact] = {"target": target.name, "by": params.by.isoformat(), **course.facts()}
    return Notice(
        event=event, level=_LEVELS[event], at=now, title=title, text=text, key=target.name, facts=facts
    )
