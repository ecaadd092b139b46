"""A job of so many hours by a deadline: what is known of it, and what may be done next.

All durations are seconds, as plain numbers: these are estimates and schedules, not money. The rule
is a function of what was seen so far; no foresight enters it.

Rejected: on demand only once the slack is used up (greedy). From then on a job can never return to
spot, because trying it and going back to on demand costs two starts, which there is no time for.
"""

from dataclasses import dataclass, replace
from datetime import datetime
from decimal import Decimal
from enum import StrEnum


class Choice(StrEnum):
    """What to run until the next look."""

    SPOT = "spot"
    ON_DEMAND = "on_demand"
    IDLE = "idle"


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """Where a job stands at one moment; durations in seconds.

    ``work_left`` is computation still to be done, ``time_left`` the time until the deadline.
    ``running`` is what runs now and ``starting`` how much of its start is still ahead: nothing is
    computed meanwhile. ``restart`` is how long any new start takes. ``look`` is how long a choice
    made now stands before the next one can be made. ``ratio`` is the on-demand price over the spot
    price. ``work`` and ``time`` are the whole job's in a backtest, where Uniform Progress goes by them;
    of a job that is under way they are what is left.
    """

    work: float
    time: float
    work_left: float
    time_left: float
    running: Choice
    starting: float
    available: bool
    restart: float
    look: float
    ratio: float

    @property
    def slack(self) -> float:
        """Return the time that may pass without computing, starts included."""
        return self.time_left - self.work_left


def held_by_net(standing: Standing, wanted: Choice) -> Choice:
    """Return ``wanted``, or what still meets the deadline where ``wanted`` might not.

    A choice is safe when, if no spot server is ever seen again after it, an on-demand server that
    starts at the next look still finishes the job. As long as the job was begun with that much time,
    there is always a safe choice, and the deadline is met whatever the market does.
    """
    if wanted is Choice.SPOT and not standing.available:
        wanted = Choice.IDLE
    if standing.running is Choice.SPOT and standing.available and standing.slack < standing.restart:
        # A start is more than there is time for: only what runs can still be in time.
        return Choice.SPOT
    if wanted is Choice.ON_DEMAND or _safe(standing, wanted):
        return wanted
    if standing.running is Choice.SPOT and standing.available and _safe(standing, Choice.SPOT):
        return Choice.SPOT
    return Choice.ON_DEMAND


def _safe(standing: Standing, choice: Choice) -> bool:
    if choice is Choice.IDLE:
        return standing.slack - standing.look >= standing.restart
    starting = standing.starting if standing.running is choice else standing.restart
    if starting + standing.work_left <= min(standing.look, standing.time_left):
        return True
    # What is left of the start costs slack, now or later; then a return to on-demand costs another.
    return standing.slack - starting >= standing.restart


@dataclass(frozen=True, slots=True, kw_only=True)
class Spells:
    """How long spot servers can be had, and cannot, learnt from what was seen so far.

    ``ups`` spells of availability ended within ``up_time`` seconds of it, and so for the others. What
    stands there at first is a prior: two spells of either kind, two hours long. What was seen fades
    with ``memory``, so that a market that has changed is believed.
    """

    ups: float = 2.0
    up_time: float = 2 * 7200.0
    downs: float = 2.0
    down_time: float = 2 * 7200.0
    last: bool | None = None
    memory: float = 14 * 86400.0

    @property
    def mean_up(self) -> float:
        """Return how long a spell of availability is expected to last, from any moment of it."""
        return self.up_time / self.ups

    @property
    def mean_down(self) -> float:
        """Return how long a spell without spot servers is expected to last."""
        return self.down_time / self.downs

    def seen(self, *, available: bool, after: float) -> "Spells":
        """Return what is known after a look ``after`` seconds since the one before."""
        if self.last is None:
            return replace(self, last=available)
        ended = 1.0 if available is not self.last else 0.0
        kept = max(0.0, 1 - after / self.memory)
        was_up, was_down = (1.0, 0.0) if self.last else (0.0, 1.0)
        return replace(
            self,
            ups=_faded(self.ups, kept) + ended * was_up,
            up_time=self.up_time * _share(self.ups, kept) + after * was_up,
            downs=_faded(self.downs, kept) + ended * was_down,
            down_time=self.down_time * _share(self.downs, kept) + after * was_down,
            last=available,
        )


# A rate is never forgotten altogether: so many spells' worth of the past always counts.
_LEAST_SPELLS = 1.0


def _faded(spells: float, kept: float) -> float:
    return max(spells * kept, min(spells, _LEAST_SPELLS))


def _share(spells: float, kept: float) -> float:
    return _faded(spells, kept) / spells


@dataclass(frozen=True, slots=True, kw_only=True)
class Outlook:
    """What was seen of a job's spot servers until ``looked_at``.

    ``spot`` and ``on_demand`` are what the best server of either kind costs, in USD per GPU-day, as
    far as known. ``available``: a spot server can be had, and costs no more than one on demand.
    """

    looked_at: datetime
    spells: Spells = Spells()
    available: bool = False
    spot: Decimal | None = None
    on_demand: Decimal | None = None

    @property
    def ratio(self) -> float:
        """Return the on-demand price over the spot price; a usual one where either is not known."""
        if self.spot is None or self.on_demand is None or self.spot <= 0:
            return _USUAL_RATIO
        return float(self.on_demand / self.spot)

    def seen(self, *, available: bool | None, at: datetime) -> "Outlook":
        """Return the outlook after a look; None: nothing new could be told."""
        known = self.available if available is None else available
        after = (at - self.looked_at).total_seconds()
        if after <= 0:
            return replace(self, available=known)
        spells = self.spells
        if after > _LONGEST_GAP:
            spells = replace(spells, last=None)  # nobody looked: how often it changed is not known
        return replace(
            self, looked_at=at, spells=spells.seen(available=known, after=after), available=known
        )


_USUAL_RATIO = 3.0
_LONGEST_GAP = 600.0

# On demand is left for nothing only with so many more starts of slack than it was taken with.
_HYSTERESIS = 5
# A spell that is over within so many starts is not worth an on-demand server.
_WORTH_A_START = 2


def choose(standing: Standing, spells: Spells) -> Choice:
    """Return what to run now, so that the deadline is met at the least expected cost.

    Slack is worth most as the time that changes between spot and on demand take: each round trip
    costs two starts. So as much is set aside as the round trips still to be expected need
    (``reserve``); only what is above that is spent on waiting for spot servers.
    """
    wanted = _wanted_available(standing, spells) if standing.available else _wanted(standing, spells)
    return held_by_net(standing, wanted)


def reserve(standing: Standing, spells: Spells) -> float:
    """Return the slack, in seconds, that the changes still to be expected will need.

    Two starts for each spell to come, one more for each of the square root of their number (they come
    at random), the two of a change under way, and the time until the next look.
    """
    to_come = max(standing.time_left, 0.0) / (spells.mean_up + spells.mean_down)
    starts: float = 2 * to_come + to_come**0.5 + 2
    return standing.restart * starts + standing.look


def _wanted_available(standing: Standing, spells: Spells) -> Choice:
    if standing.running is not Choice.ON_DEMAND:
        return Choice.SPOT
    round_trip = 2 * standing.restart
    if standing.slack - standing.starting < round_trip or standing.ratio <= 1:
        return Choice.ON_DEMAND
    # What a spell saves against what is lost to two starts, whose time is made up on demand.
    spell = min(spells.mean_up, standing.work_left)
    pays = spell * (standing.ratio - 1) > round_trip * standing.ratio
    return Choice.SPOT if pays else Choice.ON_DEMAND


def _wanted(standing: Standing, spells: Spells) -> Choice:
    needed = reserve(standing, spells)
    if standing.running is Choice.ON_DEMAND:
        enough = standing.slack - standing.starting > needed + _HYSTERESIS * standing.restart
        return Choice.IDLE if enough else Choice.ON_DEMAND
    scarce = standing.slack - standing.look <= needed
    lasting = spells.mean_down > _WORTH_A_START * standing.restart
    return Choice.ON_DEMAND if scarce and lasting else Choice.IDLE
