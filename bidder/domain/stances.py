"""Which of a family of simple rules would have earned most here lately, learnt by watching.

A book shows the rival's price whether we run or not, so what any rule *would* have done, and earned,
can be worked out exactly: every rule of the family plays a shadow offer on each watched server, and
the one with the best recent earnings is followed (Menache, Shamir, Jain: *On-demand, Spot, or Both*,
ICAC 2014, choose among whole policies in the same way). Earnings are forgotten with a half-life, so
that a market which turns wild is noticed. Only statistics, so floats; no price leaves from here.

A rule (``Stance``) says up to which share of its value it enters a server, up to which share it
raises to stay, and how far a walk down must outweigh a restart before the offer is cancelled and
created again. Earnings are counted in days of value: the same unit for every server.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from bidder.domain.ids import ServerId

_DAY = 86400.0
_PAUSE = 600.0


@dataclass(frozen=True, slots=True)
class Stance:
    """One rule: ``enter`` and ``stay`` are shares of the value, ``patience`` a multiple of a restart."""

    enter: float
    stay: float
    patience: float


_NEVER = 1e9  # a patience that walks down whatever it costs
USUAL = Stance(0.75, 0.95, 4.0)
STANCES = (
    USUAL,
    *(
        stance
        for stance in (
            Stance(enter, stay, patience)
            for enter in (0.4, 0.5, 0.65, 0.75, 0.85, 0.95)
            for stay in (0.85, 0.95, 1.0)
            for patience in (2.0, 4.0, 7.0)
        )
        if stance != USUAL and stance.enter <= stance.stay
    ),
    Stance(1.0, 1.0, 2.0),
    Stance(1.0, 1.0, _NEVER),
    Stance(0.85, 0.95, _NEVER),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Stakes:
    """What a server is worth and costs, in USD: per day, the fee once, the restart in days."""

    value: float
    step: float
    tick: float
    fee: float
    restart: float


@dataclass(frozen=True, slots=True)
class Shadow:
    """One rule's offer on one server: its bid (None: none), when its clock opens, whether it runs."""

    bid: float | None = None
    opens: float = 0.0
    running: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Watched:
    """One server's shadows, and the rival's price (USD per day) since ``at`` (seconds)."""

    at: float
    rival: float
    shadows: tuple[Shadow, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class School:
    """What was learnt for one target: each stance's earnings, as of ``at`` (seconds)."""

    earned: tuple[float, ...] = (0.0,) * len(STANCES)
    at: float = 0.0
    servers: Mapping[ServerId, Watched] = field(default_factory=dict)

    def best(self, *, head_start: timedelta) -> Stance:
        """Return the stance to follow; the usual one keeps a ``head_start`` of value."""
        lead = self.earned[0] + head_start.total_seconds() / _DAY
        best = max(range(len(STANCES)), key=lambda index: self.earned[index])
        return STANCES[best] if self.earned[best] > lead else USUAL


def learn(
    school: School,
    server: ServerId,
    rival: float,
    stakes: Stakes,
    now: datetime,
    *,
    half_life: timedelta,
) -> School:
    """Return the school after the rival's price on a server was read; unchanged prices cost nothing."""
    seconds = now.timestamp()
    before = school.servers.get(server)
    if before is not None and (rival == before.rival or seconds < before.at):
        return school
    shadows = (Shadow(),) * len(STANCES) if before is None else before.shadows
    gains = [0.0] * len(STANCES)
    moved = []
    for index, shadow in enumerate(shadows):
        standing, gain = shadow, 0.0
        if before is not None and shadow.running:
            standing, gain = _walked(shadow, before, seconds, stakes)
        answered, cost = _reacted(standing, rival, seconds, STANCES[index], stakes)
        gains[index] = gain - cost
        moved.append(answered)
    kept = 0.5 ** (max(seconds - school.at, 0.0) / half_life.total_seconds()) if school.at else 1.0
    earned = tuple(old * kept + gain for old, gain in zip(school.earned, gains, strict=True))
    watched = Watched(at=seconds, rival=rival, shadows=tuple(moved))
    return School(earned=earned, at=max(seconds, school.at), servers={**school.servers, server: watched})


def forget(school: School, servers: frozenset[ServerId]) -> School:
    """Return the school without the shadows on servers that are watched no longer."""
    kept = {server: watched for server, watched in school.servers.items() if server in servers}
    return (
        school
        if len(kept) == len(school.servers)
        else School(earned=school.earned, at=school.at, servers=kept)
    )


def _walked(shadow: Shadow, before: Watched, until: float, stakes: Stakes) -> tuple[Shadow, float]:
    """Return a running offer after it walked down under an unchanged rival, and what it earned."""
    bid, opens, at = shadow.bid or 0.0, shadow.opens, before.at
    aim = before.rival + stakes.tick
    area = 0.0
    while bid > aim and max(opens, at) < until:
        moment = max(opens, at)
        area += (stakes.value - bid) * (moment - at)
        bid, opens, at = max(aim, bid - stakes.step), moment + _PAUSE, moment
    area += (stakes.value - bid) * (until - at)
    return Shadow(bid, opens, True), area / _DAY / stakes.value


def _reacted(
    shadow: Shadow, rival: float, now: float, stance: Stance, stakes: Stakes
) -> tuple[Shadow, float]:
    """Return the offer after its answer to a new price of the rival, and what that costs."""
    needed = rival + stakes.tick
    enter, stay = stance.enter * stakes.value, stance.stay * stakes.value
    bid, opens, running, cost = shadow.bid, shadow.opens, shadow.running, 0.0
    if bid is None:
        if needed > enter:
            return shadow, 0.0
        bid, opens, cost = needed, 0.0, stakes.fee
    elif rival >= bid:
        if needed > (stay if running else enter):
            return Shadow(bid, opens, False), 0.0
        bid = needed
    elif bid > needed:
        restart = (stakes.restart * stakes.value if running else 0.0) + stakes.fee
        if walk_cost(bid - needed, stakes.step, max(opens - now, 0.0)) > stance.patience * restart:
            if needed <= enter:
                bid, opens, running, cost = needed, 0.0, False, stakes.fee
        elif opens <= now:
            bid, opens = max(needed, bid - stakes.step), now + _PAUSE
    if not running:
        cost += stakes.restart * stakes.value
    return Shadow(bid, opens, True), cost / stakes.value


def walk_cost(over: float, step: float, wait_seconds: float) -> float:
    """Return what it costs to come down by ``over`` a day, one ``step`` each 600 seconds.

    The area under the staircase whose first step is taken after ``wait_seconds``; amounts per day.
    """
    if over <= 0 or step <= 0:
        return 0.0
    slots = -int(-over // step) - 1  # whole pauses after the first step
    return (over * wait_seconds + over * slots / 2 * _PAUSE) / _DAY
