"""Which of a family of simple rules would have earned most here lately, learnt by watching.

A book shows the rival's price whether we run or not, so what any rule *would* have done, and earned,
can be worked out exactly: every rule of the family plays a shadow offer on each watched server, and
the one with the best recent earnings is followed (Menache, Shamir, Jain: *On-demand, Spot, or Both*,
ICAC 2014, choose among whole policies in the same way). Earnings are forgotten with a half-life, so
that a market which turns wild is noticed. Only statistics, so floats; no price leaves from here.

A rule (``Stance``) says up to which share of its value it enters a server at once, for how long it
watches a dearer one first, up to which share it raises to stay, and how far a walk down must outweigh
a restart before the offer is cancelled and created again. Earnings are counted in days of value: the
same unit for every server.

The watching is the rule of ski rental (Karlin, Manasse, Rudolph, Sleator: *Competitive Snoopy
Caching*, 1988). Nobody can say how long a price below the value, a *dip*, will last; a start pays only
if it does. Who enters once a start's cost has been missed loses at most about twice what he must, and
short dips, however many, lure him not once.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from math import ceil, inf

from bidder.domain.ids import ServerId

_DAY = 86400.0
_PAUSE = 600.0
_ROUNDING = 1e-9
_FAR = 1e8  # seconds; a moment further away has no date


@dataclass(frozen=True, slots=True)
class Stance:
    """One rule: ``enter`` and ``stay`` are shares of the value, ``patience`` a multiple of a restart.

    Above ``enter`` it enters below the value once running would have earned ``wait`` starts since the
    price came below it. On one server, at one moment: it is ``ripe`` when that is so, and if the price
    stays it will be at ``ripe_at`` (None: never, or by now).
    """

    enter: float
    stay: float
    patience: float
    wait: float = inf
    ripe: bool = False
    ripe_at: datetime | None = None


_NEVER = 1e9  # a patience that walks down whatever it costs
USUAL = Stance(0.75, 1.0, 4.0, 1.0)
# A rule that waits must stay up to its value: what it left below that, it would enter at once.
STANCES = (
    USUAL,
    *(
        Stance(enter, stay, patience)
        for enter in (0.5, 0.65, 0.75, 0.85, 0.95)
        for stay in (0.95, 1.0)
        for patience in (2.0, 5.0)
    ),
    *(
        Stance(enter, 1.0, patience, wait)
        for enter in (0.0, 0.45, 0.75, 0.9)
        for patience in (1.0, 4.0)
        for wait in (1.0, 3.0)
        if (enter, patience, wait) != (USUAL.enter, USUAL.patience, USUAL.wait)
    ),
    Stance(0.5, 0.65, 7.0),
    Stance(0.4, 0.5, 7.0),
    Stance(1.0, 1.0, 1.0),
    Stance(1.0, 1.0, _NEVER),
    Stance(0.0, 0.0, 1.0),  # stays out: where all others lose, nothing is the most that can be earned
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


_NO_OFFER = Shadow()


@dataclass(frozen=True, slots=True, kw_only=True)
class Dip:
    """A time in which a server can be had below its value; in days of value.

    ``earned`` is what running would have earned in it by some moment, a start left out, and ``gain``
    what it earns a day (0: the price is not below the value). A start costs ``restart``, a creation
    ``fee``.
    """

    earned: float = 0.0
    gain: float = 0.0
    restart: float = 0.0
    fee: float = 0.0

    def wants(self, wait: float, *, standing: bool) -> float:
        """Return what must have been earned for one who waits for so many starts to enter."""
        return wait * (self.restart if standing else self.restart + self.fee)

    def after(self, seconds: float) -> float:
        """Return what it has earned so much later."""
        return self.earned + self.gain * seconds / _DAY


@dataclass(frozen=True, slots=True, kw_only=True)
class Watched:
    """One server's shadows; the rival's price (USD per day) since ``at`` (seconds), and the dip then."""

    at: float
    rival: float
    shadows: tuple[Shadow, ...]
    dip: Dip = Dip()


@dataclass(frozen=True, slots=True, kw_only=True)
class School:
    """What was learnt for one target: each stance's earnings, as of ``at`` (seconds)."""

    earned: tuple[float, ...] = (0.0,) * len(STANCES)
    at: float = 0.0
    servers: Mapping[ServerId, Watched] = field(default_factory=dict)

    def best(self, *, head_start: timedelta) -> Stance:
        """Return the stance to follow; the usual one keeps a ``head_start`` of value for each server.

        On each it has begun with a start's cost, before it could earn anything.
        """
        lead = self.earned[0] + head_start.total_seconds() / _DAY * max(1, len(self.servers))
        best = max(range(len(STANCES)), key=lambda index: self.earned[index])
        return STANCES[best] if self.earned[best] > lead else USUAL

    def stance(
        self, server: ServerId, now: datetime, *, head_start: timedelta, standing: bool
    ) -> Stance:
        """Return the stance to follow on a server, and whether its wait is over there.

        ``standing`` says that an offer is there already, so that no creation is to be paid.
        """
        best, watched = self.best(head_start=head_start), self.servers.get(server)
        if watched is None or best.wait == inf or not watched.dip.gain:
            return best
        wanted = watched.dip.wants(best.wait, standing=standing)
        missing = wanted - watched.dip.after(max(now.timestamp() - watched.at, 0.0))
        if missing <= _ROUNDING:
            return replace(best, ripe=True)
        seconds = min(missing / watched.dip.gain * _DAY, _FAR)
        return replace(best, ripe_at=now + timedelta(seconds=seconds))


def learn(
    school: School,
    server: ServerId,
    rival: float,
    stakes: Stakes,
    now: datetime,
    *,
    half_life: timedelta,
) -> School:
    """Return the school after the rival's price on a server was read.

    One that stands still is reckoned with every 600 s: what a rule earns by it must show before it ends.
    """
    seconds = now.timestamp()
    before = school.servers.get(server)
    if before is not None:
        again = rival == before.rival and seconds - before.at < _PAUSE
        if again or seconds < before.at:
            return school
    dip = _dip(before, rival, seconds, stakes)
    shadows = (_NO_OFFER,) * len(STANCES) if before is None else before.shadows
    gains = [0.0] * len(STANCES)
    moved = []
    for index, shadow in enumerate(shadows):
        stance, standing, gain = STANCES[index], shadow, 0.0
        if before is not None:
            if shadow.running:
                standing, gain = _walked(shadow, before, before.at, seconds, stakes)
            elif stance.wait != inf and before.dip.gain:
                standing, gain = _waited(shadow, before, seconds, stance, stakes)
        answered, cost = _reacted(standing, rival, seconds, stance, stakes, dip)
        gains[index] = gain - cost
        moved.append(answered)
    kept = 0.5 ** (max(seconds - school.at, 0.0) / half_life.total_seconds()) if school.at else 1.0
    earned = tuple(old * kept + gain for old, gain in zip(school.earned, gains, strict=True))
    watched = Watched(at=seconds, rival=rival, shadows=tuple(moved), dip=dip)
    return School(earned=earned, at=max(seconds, school.at), servers={**school.servers, server: watched})


def forget(school: School, servers: frozenset[ServerId]) -> School:
    """Return the school without the shadows on servers that are watched no longer."""
    kept = {server: watched for server, watched in school.servers.items() if server in servers}
    return (
        school
        if len(kept) == len(school.servers)
        else School(earned=school.earned, at=school.at, servers=kept)
    )


def _dip(before: Watched | None, rival: float, now: float, stakes: Stakes) -> Dip:
    """Return the dip after the rival's price changed; a price above the value ends it."""
    gain = 1 - (rival + stakes.tick) / stakes.value
    if gain < 0:
        return Dip()
    earned = 0.0 if before is None else before.dip.after(now - before.at)
    return Dip(earned=earned, gain=gain, restart=stakes.restart, fee=stakes.fee / stakes.value)


def _walked(
    shadow: Shadow, before: Watched, since: float, until: float, stakes: Stakes
) -> tuple[Shadow, float]:
    """Return a running offer after it walked down under an unchanged rival, and what it earned."""
    bid, opens, at = shadow.bid or 0.0, shadow.opens, since
    aim = before.rival + stakes.tick
    area = 0.0
    while bid > aim and max(opens, at) < until:
        moment = max(opens, at)
        area += (stakes.value - bid) * (moment - at)
        bid, opens, at = max(aim, bid - stakes.step), moment + _PAUSE, moment
    area += (stakes.value - bid) * (until - at)
    return Shadow(bid, opens, True), area / _DAY / stakes.value


def _waited(
    shadow: Shadow, before: Watched, until: float, stance: Stance, stakes: Stakes
) -> tuple[Shadow, float]:
    """Return an idle offer, or none, after it waited under an unchanged rival, and what that earned."""
    standing = shadow.bid is not None
    missing = before.dip.wants(stance.wait, standing=standing) - before.dip.earned
    enters = before.at + max(missing, 0.0) / before.dip.gain * _DAY
    if enters >= until:
        return shadow, 0.0
    placed = Shadow(before.rival + stakes.tick, shadow.opens, True)
    after, gain = _walked(placed, before, enters, until, stakes)
    return after, gain - stakes.restart - (0.0 if standing else stakes.fee / stakes.value)


def _reacted(
    shadow: Shadow, rival: float, now: float, stance: Stance, stakes: Stakes, dip: Dip
) -> tuple[Shadow, float]:
    """Return the offer after its answer to a new price of the rival, and what that costs."""
    needed = rival + stakes.tick
    enter, stay = stance.enter * stakes.value, stance.stay * stakes.value
    bid, opens, running, cost = shadow.bid, shadow.opens, shadow.running, 0.0
    if bid is None:
        if needed > enter and not _ripe(stance, dip, standing=False):
            return shadow, 0.0
        bid, opens, cost = needed, 0.0, stakes.fee
    elif rival >= bid:
        if needed > (stay if running else enter) and (running or not _ripe(stance, dip, standing=True)):
            return Shadow(bid, opens, False), 0.0
        bid = needed
    elif not running and needed > enter and not _ripe(stance, dip, standing=True):
        return _NO_OFFER, 0.0  # it would run again, on terms that it would not enter on
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


def _ripe(stance: Stance, dip: Dip, *, standing: bool) -> bool:
    """Return whether the dip has earned what this rule waits for."""
    if stance.wait == inf or not dip.gain:
        return False
    return dip.earned >= dip.wants(stance.wait, standing=standing) - _ROUNDING


def walk_cost(over: float, step: float, wait_seconds: float) -> float:
    """Return what it costs to come down by ``over`` a day, one ``step`` each 600 seconds.

    The area under the staircase whose first step is taken after ``wait_seconds``; amounts per day.
    """
    if over <= 0 or step <= 0:
        return 0.0
    # Whole pauses after the first step; a way of whole steps stays one where floats are a little off.
    slots = max(ceil(over / step - _ROUNDING) - 1, 0)
    return (over * wait_seconds + over * slots / 2 * _PAUSE) / _DAY
