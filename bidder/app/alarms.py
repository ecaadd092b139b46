"""Idleness made loud: when the daemon refuses to act for long, it says so.

A bot that quietly does nothing looks exactly like one with nothing to do (peers: autopilot 15 was
idle for five hours because one input was stale). Each alarm has a key; it is raised once when its
cause has lasted long enough, repeated at a slow pace while it lasts, and cleared with the cause.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from bidder.app import held_told
from bidder.domain import runway
from bidder.domain.actions import Decision, Reason
from bidder.domain.apart import apart
from bidder.domain.ids import ServerId, on_paper, spelled
from bidder.domain.policy import DeadlineParams, Mode, Policy, Target
from bidder.domain.unread import Endpoint
from bidder.domain.view import View

_UNREACHABLE = "unreachable"
# No name of a strategy has a slash.
_RUNWAY, _LEFT_ALONE = "runway/", "left_alone/"
# While the same cause lasts it is told no more often.
REPEAT = timedelta(hours=6)

# Reasons that mean "I would act, but something is in the way".
_BLOCKED = frozenset(
    {
        Reason.STALE,
        Reason.NO_RATE,
        Reason.FROZEN,
        Reason.NO_BALANCE,
        Reason.CHURN,
        Reason.RAIL,
        Reason.ORDER_LIMIT,
        Reason.REFUSED,
        Reason.IN_DOUBT,
        Reason.NO_CANDIDATE,
        Reason.TOO_EXPENSIVE,
        Reason.PAUSED,
        Reason.STRATEGY_FAILED,
    }
)

# What is in the way is interrupted for moments by a look that is awaited, or by a slot that has just
# been filled, and has not ended by that. These come and go with each request themselves.
_AGED = f":{Reason.STALE.value}"
_FLEETING = (_AGED, f":{Reason.IN_DOUBT.value}")
_INTERRUPTED_SHARE = 5  # of the time for which a cause must last

_READ = {
    Endpoint.ORDERS: "the account's orders",
    Endpoint.ENDED: "the account's ended orders",
    Endpoint.MARKETPLACE: "the marketplace",
    Endpoint.WALLETS: "the wallets",
}
_MOST_SERVERS = 3

# A bid that waits for a better price is doing its work, until it has waited for long.
_IDLE, _IDLE_FOR = ":idle", timedelta(hours=1)
# A job that waits for spot servers could not rent on demand instead.
_NO_NET = ":no_net"
# So many creations in a row of which no order comes are no accident any more.
_IN_VAIN, _MANY = ":in_vain", 5

# A strategy may fail at one read of a book and answer at the next, and whether an order runs changes by
# the minute: what rests on that is told no more often.
_FLICKERS = (f":{Reason.STRATEGY_FAILED.value}", _IDLE, _IN_VAIN)


@dataclass(frozen=True, slots=True, kw_only=True)
class Alarm:
    """Something that lasts and that the owner should know; ``text`` is shown as it is.

    It is told once it has lasted as the owner wishes (``pace.alarm_after``), ``at_least`` as well, or
    ``at_once``. ``frozen`` names the target and the server that wait for a person.
    """

    key: str
    text: str
    at_once: bool = False
    at_least: timedelta = timedelta(0)
    frozen: tuple[str | None, ServerId | None] | None = None

    @property
    def of_money(self) -> bool:
        """Return whether it tells of a wallet that will soon be empty."""
        return self.key.startswith(_RUNWAY)


@dataclass(frozen=True, slots=True, kw_only=True)
class Watch:
    """Since when each cause has lasted, since when it is away again, and when it was last told."""

    since: Mapping[str, datetime] = field(default_factory=dict)
    away: Mapping[str, datetime] = field(default_factory=dict)
    told: Mapping[str, datetime] = field(default_factory=dict)


def causes(
    view: View, decisions: Iterable[Decision], policy: Policy, *, unreachable: bool
) -> tuple[Alarm, ...]:
    """Return what stands in the way at this moment."""
    found: dict[str, Alarm] = {}
    if unreachable:
        found[_UNREACHABLE] = Alarm(key=_UNREACHABLE, text="the exchange gives no usable answer")
    for decision in decisions:
        # Until a marketplace is read each order may be any target's: whose it looks like is told then.
        if "unexplained_order" in decision.facts and view.marketplace_at is None:
            continue
        if decision.action is None:
            alarm = _held(decision, view, policy)
            if alarm is not None:
                found.setdefault(alarm.key, alarm)
        if "net_stopped_by" in decision.facts:
            key = f"{decision.target}{_NO_NET}"
            found.setdefault(key, Alarm(key=key, text=held_told.without_net(decision)))
    for target, alarm in _in_vain(view, policy):
        # It says the same, and more.
        found.pop(f"{target.name}:{Reason.REFUSED.value}", None)
        found[alarm.key] = alarm
    for alarm in (*_left_alone(view, policy), *_unread(view, policy), *_runways(view, policy)):
        found[alarm.key] = alarm
    return tuple(found.values())


def _held(decision: Decision, view: View, policy: Policy) -> Alarm | None:
    if decision.reason in _BLOCKED:
        return _blocked(decision)
    return _idle(decision, view, policy) if decision.reason in held_told.IDLE else None


def _blocked(decision: Decision) -> Alarm:
    """Return what a decision that nothing can be done says to a person."""
    frozen = decision.reason is Reason.FROZEN
    failed = decision.reason is Reason.STRATEGY_FAILED
    key = f"{decision.target}:{decision.reason.value}"
    if frozen:
        key += f":{decision.server}"  # each of them needs a person
    waits = (decision.target, decision.server) if frozen else None
    return Alarm(key=key, text=held_told.obstacle(decision), at_once=frozen or failed, frozen=waits)


def _idle(decision: Decision, view: View, policy: Policy) -> Alarm | None:
    """Return what a bid that waits says while its target has fewer servers than it wants.

    One key for all of it: an order may be outbid beyond its worth, then lose its server, and no reason
    lasts by itself.
    """
    target = None if decision.target is None else policy.target(decision.target)
    # Of a job it is told whether it will be in time.
    if target is None or isinstance(target.params, DeadlineParams):
        return None
    running = sum(holding.runs for holding in view.holdings_of(target.name))
    if running >= target.want:
        return None
    text = held_told.idleness(decision, running=running, want=target.want)
    return Alarm(key=f"{target.name}{_IDLE}", text=text, at_least=_IDLE_FOR)


def _in_vain(view: View, policy: Policy) -> Iterator[tuple[Target, Alarm]]:
    """Yield an alarm for each target that lacks orders and whose creations come to nothing."""
    for name, known in view.in_vain.items():
        target = policy.target(name)
        if known.count < _MANY or target is None or not target.enabled:
            continue
        if len(view.holdings_of(name)) < target.want:
            text = held_told.in_vain(name, known)
            yield target, Alarm(key=f"{name}{_IN_VAIN}", text=text, at_once=True)


def _left_alone(view: View, policy: Policy) -> Iterator[Alarm]:
    """Yield an alarm for each order of a strategy that is no more in the configuration, or disabled."""
    if view.orders_at is None:
        return  # what stood there before a start may be over
    for number, holding in view.holdings.items():
        target = holding.target
        traded = on_paper(number) is (policy.mode is Mode.PAPER)
        if target is None or not traded or policy.looks_after(target):
            continue
        why, back = "is disabled", "enable it again"
        if policy.target(target) is None:
            why, back = "is not in the configuration any more", "bring it back under that name"
        text = (
            f"order {spelled(number)} on server {holding.order.server} is left alone: its strategy"
            f" {target} {why}; end it with `bidder cancel {spelled(number)}`, or {back}"
        )
        yield Alarm(key=f"{_LEFT_ALONE}{number}", text=text, at_once=True)


def _unread(view: View, policy: Policy) -> Iterator[Alarm]:
    """Yield the reads that have failed for long while others were answered.

    Of the books only those of our own servers: another candidate's is read instead of one that fails.
    """
    ours = {holding.order.server for holding in view.holdings.values() if holding.ours}
    servers = []
    for subject, unread in view.unread.reads.items():
        lasted = unread.alone_for
        if lasted is None or lasted < policy.pace.alarm_after:
            continue
        if subject.server is None:
            what = _READ[subject.endpoint]
            yield _cannot_be_read(subject.endpoint, what)
        elif subject.server in ours:
            servers.append(subject.server)
    if servers:
        shown, more = sorted(servers)[:_MOST_SERVERS], len(servers) - _MOST_SERVERS
        named = ", ".join(map(str, shown)) + (f" and {more} more" if more > 0 else "")
        what = f"the book of server {named}" if len(servers) == 1 else f"the books of servers {named}"
        yield _cannot_be_read(Endpoint.BOOK, what)


def _cannot_be_read(endpoint: Endpoint, what: str) -> Alarm:
    text = f"{what} cannot be read, though the exchange answers other requests"
    return Alarm(key=f"unread:{endpoint.value}", text=text, at_once=True)


def _runways(view: View, policy: Policy) -> Iterator[Alarm]:
    """Yield an alarm for each wallet that will soon be empty at the bids that run now."""
    halves = apart(view, policy.mode)
    told = set()
    for half, where in ((halves.live, ""), (halves.paper, " on paper")):
        spending = runway.spending_per_day(half.holdings.values())
        lasting = runway.lasting(view.wallets.values(), spending)
        for currency, lasts in lasting.items():
            if lasts < policy.rails.min_runway and currency not in told:
                told.add(currency)
                hours = f"{lasts / timedelta(hours=1):.1f} hours"
                text = f"wallet {currency.short} lasts {hours} at the present bids, fees included{where}"
                yield Alarm(key=f"{_RUNWAY}{currency}", text=text, at_once=True)


def watch(
    before: Watch, present: Iterable[Alarm], policy: Policy, now: datetime
) -> tuple[Watch, tuple[Alarm, ...]]:
    """Return the next watch and the alarms to tell now.

    A cause that is back soon has not been away. The outage comes before what it brings.
    """
    causes_now = tuple(present)
    away = _interrupted(before, {alarm.key for alarm in causes_now}, policy, now)
    since = {key: before.since[key] for key in away}
    told = {
        key: last
        for key, last in before.told.items()
        if key in away or (_flickers(key) and now - last < REPEAT)
    }
    tell: list[Alarm] = []
    for alarm in causes_now:
        # In an outage all that is known grows old: that is told with it, and counts from its end on.
        explained = alarm.key.endswith(_AGED) and _UNREACHABLE in told
        started = now if explained else before.since.get(alarm.key, now)
        since[alarm.key] = started
        last = before.told.get(alarm.key)
        lasted = alarm.at_once or now - started >= max(policy.pace.alarm_after, alarm.at_least)
        if lasted and (last is None or now - last >= REPEAT):
            tell.append(alarm)
            last = now
        if last is not None:
            told[alarm.key] = last
    return replace(before, since=since, away=away, told=told), tuple(tell)


def _flickers(key: str) -> bool:
    return key.endswith(_FLICKERS) or key.startswith(_RUNWAY)


def _interrupted(before: Watch, present: set[str], policy: Policy, now: datetime) -> dict[str, datetime]:
    """Return the causes that are away, but not for long enough to be over, and from when on."""
    most = policy.pace.alarm_after / _INTERRUPTED_SHARE
    gone = {key: before.away.get(key, now) for key in before.since if key not in present}
    return {
        key: at
        for key, at in gone.items()
        if ":" in key and not key.endswith(_FLEETING) and now - at < most
    }
