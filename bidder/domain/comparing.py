"""What a new configuration would do otherwise than the present one, from the same facts.

Both policies are asked by the daemon's own decision core, on one view and at one moment. For each
order and each empty slot the two answers are laid side by side: what both would do alike is
``UNCHANGED``, however much is about to happen there. Rejected: comparing the files, which says what
was written and not what it means for the market of this moment.
"""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from decimal import Decimal
from enum import StrEnum

from bidder.domain import fold, foresight, planning
from bidder.domain.actions import Decision, PlaceBid, Reason, RentOnDemand, Reprice, Withdraw
from bidder.domain.foresight import Foresight
from bidder.domain.ids import OrderId, ServerId
from bidder.domain.market import Book
from bidder.domain.money import Price
from bidder.domain.policy import Policy
from bidder.domain.view import BookSeen, Holding, View

# The comparison rests on one look, however long the look takes at one request per second.
ONE_LOOK = timedelta(hours=1)
# Whatever a hold waits for longer than this is no part of what a reload brings about.
_HORIZON = timedelta(hours=1)
_MOST_PRESUMED = 200


class Verdict(StrEnum):
    """What becomes of an order or a slot under the new policy, where it is not what was to come."""

    RISE = "rise"  # the bid is raised
    FALL = "fall"  # the bid comes down, step by step
    END = "end"  # the order is cancelled
    LEFT = "left"  # no strategy looks after it any more: it runs and is paid until it ends
    STAY = "stay"  # it is left as it is, where the present policy would change it
    BEGIN = "begin"  # a new bid
    SKIP = "skip"  # a bid that the present policy would place is not placed
    WAIT = "wait"  # an empty slot that cannot be filled now
    UNKNOWN = "unknown"  # its server's book has not been read yet, so nobody can tell
    UNCHANGED = "unchanged"  # both policies do the same


class Course(StrEnum):
    """Which way one policy takes an order or a slot."""

    UP = "up"
    DOWN = "down"
    CANCEL = "cancel"
    KEEP = "keep"
    LEAVE = "leave"
    PLACE = "place"
    WAIT = "wait"


_VERDICTS = {
    Course.UP: Verdict.RISE,
    Course.DOWN: Verdict.FALL,
    Course.CANCEL: Verdict.END,
    Course.KEEP: Verdict.STAY,
    Course.LEAVE: Verdict.LEFT,
    Course.PLACE: Verdict.BEGIN,
    Course.WAIT: Verdict.WAIT,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Fate:
    """What one policy makes of one order or slot.

    ``to`` is where the bid goes in the end, ``step`` what is sent first; None where nothing is sent.
    ``due`` is from when on; None: at once. ``decision`` is None where nobody decides.
    """

    course: Course
    to: Price | None = None
    step: Price | None = None
    due: datetime | None = None
    decision: Decision | None = None

    def same(self, other: "Fate") -> bool:
        """Return whether two policies would do the same; why they do so may differ."""
        mine = (self.course, self.to, self.step, self.due)
        return mine == (other.course, other.to, other.step, other.due)


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """One line of the comparison.

    ``price`` is what is bid now. ``fate`` is the new policy's, ``instead`` the present one's; of a
    slot that only one of them fills, the other is None. ``presumed``: the server's book was not read,
    and is taken to hold no rival.
    """

    verdict: Verdict
    target: str | None
    server: ServerId | None
    order: OrderId | None
    price: Price | None
    fate: Fate | None
    instead: Fate | None
    ends_at: datetime | None = None
    presumed: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """All that two policies make of one view; ``before`` and ``after`` are what each of them sees."""

    orders: tuple[Change, ...]
    slots: tuple[Change, ...]
    before: View
    after: View
    at: datetime

    @property
    def changes(self) -> tuple[Change, ...]:
        """Return all lines, orders first."""
        return (*self.orders, *self.slots)


def compare(view: View, before: Policy, after: Policy, now: datetime) -> Comparison:
    """Return what ``after`` would do with what ``view``, taken under ``before``, shows at ``now``.

    Where the modes differ, the orders of the present mode are none of the new one's.
    """
    before, after, alike = one_look(before), one_look(after), before == after
    old_view = _settled(fold.policy_changed(view, before, before), now)
    new_view = fold.policy_changed(old_view, before, after)
    if before.mode is not after.mode:
        new_view = replace(new_view, holdings={}, intents=(), creations=(), raises=())
    old_view, new_view, presumed = _presume(old_view, before, new_view, after, now)
    old, new = foresight.foresee(old_view, before, now), foresight.foresee(new_view, after, now)
    orders = []
    for holding in _ours(view):
        was = _fate_of(holding, old, old_view, before, now)
        becomes = _fate_of(holding, new, new_view, after, now)
        change = _order_change(holding, was, becomes)
        blind = change.verdict is Verdict.UNCHANGED and _blind(becomes) and not alike
        orders.append(replace(change, verdict=Verdict.UNKNOWN) if blind else change)
    return Comparison(
        orders=tuple(orders),
        slots=(*_placed(old, new, presumed), *_waiting(old, new)),
        before=replace(old_view, orders_at=view.orders_at),
        after=replace(new_view, orders_at=view.orders_at),
        at=now,
    )


def one_look(policy: Policy) -> Policy:
    """Return the policy for which everything read in one look is fresh."""
    return replace(policy, pace=replace(policy.pace, book_stale_after=ONE_LOOK))


def _ours(view: View) -> list[Holding]:
    return sorted((h for h in view.holdings.values() if h.ours), key=lambda h: h.order.order)


def _settled(view: View, now: datetime) -> View:
    """Return the view with its books taken for read just now, and each outbid offer for confirmed.

    Both policies see the same books, so their age decides nothing between them.
    """
    held = {h.order.server for h in view.holdings.values()}
    books: dict[ServerId, BookSeen] = {}
    for server, seen in view.books.items():
        reads = max(2, seen.outbid_reads) if seen.outbid_reads else 0
        books[server] = replace(seen, at=seen.at if server in held else now, outbid_reads=reads)
    # Nor does a rule that only waits for the next read of our orders.
    return replace(view, books=books, orders_at=now)


def _presume(
    old_view: View, before: Policy, new_view: View, after: Policy, now: datetime
) -> tuple[View, View, frozenset[ServerId]]:
    """Return both views with an empty book for each server that would have to be looked at first."""
    held = frozenset(h.order.server for h in old_view.holdings.values())
    presumed: set[ServerId] = set()
    while len(presumed) < _MOST_PRESUMED:
        asked = _asked(old_view, before, held, now)
        old_view, new_view = (replace(v, books={**v.books, **asked}) for v in (old_view, new_view))
        more = _asked(new_view, after, held, now)
        old_view, new_view = (replace(v, books={**v.books, **more}) for v in (old_view, new_view))
        if not asked and not more:
            break
        presumed |= asked.keys() | more.keys()
    return old_view, new_view, frozenset(presumed)


def _asked(
    view: View, policy: Policy, held: frozenset[ServerId], now: datetime
) -> dict[ServerId, BookSeen]:
    """Return an empty book for each server, save those we are on, that one policy would look at."""
    found: dict[ServerId, BookSeen] = {}
    actions: tuple[Decision, ...] = ()
    while len(found) < _MOST_PRESUMED:
        seen = foresight.foresee(replace(view, books={**view.books, **found}), policy, now, actions)
        # What is planned stays planned, so that each slot is thought about once.
        actions = seen.actions
        wanted = {d.wants_book for d in seen.undecided if d.wants_book is not None} - held
        new = [s for s in wanted if s in view.marketplace.listings and s not in {**view.books, **found}]
        if not new:
            break
        for server in new:
            floor = view.marketplace.listings[server].spot_floor
            book = Book(server=server, floor=floor, presumed=True)
            found[server] = BookSeen(book=book, at=now)
    return found


def _fate_of(holding: Holding, seen: Foresight, view: View, policy: Policy, now: datetime) -> Fate:
    order = holding.order.order
    decision = next((d for d in (*seen.actions, *seen.holds) if d.order == order), None)
    if decision is None:
        target = None if holding.target is None else policy.target(holding.target)
        looked_after = target is not None and target.enabled and order in view.holdings
        course = Course.KEEP if looked_after else Course.LEAVE
        return Fate(course=course, due=None if looked_after else holding.order.ends_at)
    due = decision.due
    if decision.action is None and due is not None and now < due <= now + _HORIZON:
        later = next((d for d in planning.plan(view, policy, due) if d.order == order), None)
        if later is not None and later.action is not None:
            return replace(_acted(later, due), decision=decision)
    return _acted(decision, None)


def _acted(decision: Decision, due: datetime | None) -> Fate:
    match decision.action:
        case Reprice() as action:
            if not action.lowers:
                return Fate(
                    course=Course.UP, to=action.price, step=action.price, due=due, decision=decision
                )
            to = action.price if decision.toward is None else decision.toward
            return Fate(course=Course.DOWN, to=to, step=action.price, due=due, decision=decision)
        case Withdraw():
            return Fate(course=Course.CANCEL, due=due, decision=decision)
        case _:
            return Fate(course=Course.KEEP, decision=decision)


def _order_change(holding: Holding, was: Fate, becomes: Fate) -> Change:
    order = holding.order
    return Change(
        verdict=Verdict.UNCHANGED if becomes.same(was) else _VERDICTS[becomes.course],
        target=holding.target,
        server=order.server,
        order=order.order,
        price=order.price,
        fate=becomes,
        instead=was,
        ends_at=order.ends_at,
    )


def _blind(fate: Fate) -> bool:
    return fate.decision is not None and fate.decision.reason is Reason.STALE


_Slot = tuple[str | None, ServerId | None, Price | None]


def _placed(old: Foresight, new: Foresight, presumed: frozenset[ServerId]) -> Iterable[Change]:
    """Yield the new bids of both policies: those of the new one, then those that it leaves out."""
    before = _places(old)
    for slot, decision in _places(new).items():
        fate = Fate(course=Course.PLACE, to=slot[2], step=slot[2], decision=decision)
        instead = before.pop(slot, None)
        was = None if instead is None else replace(fate, decision=instead)
        verdict = Verdict.BEGIN if instead is None else Verdict.UNCHANGED
        yield _slot_change(verdict, slot, fate, was, presumed)
    for slot, decision in before.items():
        was = Fate(course=Course.PLACE, to=slot[2], step=slot[2], decision=decision)
        yield _slot_change(Verdict.SKIP, slot, None, was, presumed)


def _places(seen: Foresight) -> dict[_Slot, Decision]:
    return {
        (d.target, d.action.server, d.action.price): d
        for d in seen.actions
        if isinstance(d.action, PlaceBid | RentOnDemand)
    }


def _slot_change(
    verdict: Verdict, slot: _Slot, fate: Fate | None, was: Fate | None, presumed: frozenset[ServerId]
) -> Change:
    target, server, _ = slot
    return Change(
        verdict=verdict,
        target=target,
        server=server,
        order=None,
        price=None,
        fate=fate,
        instead=was,
        presumed=server in presumed,
    )


def _waiting(old: Foresight, new: Foresight) -> Iterable[Change]:
    """Yield the slots that the new policy cannot fill now."""
    before = Counter(_without_facts(d) for d in old.holds if d.order is None)
    for decision in new.holds:
        if decision.order is not None:
            continue
        same = before[_without_facts(decision)] > 0
        before[_without_facts(decision)] -= 1
        fate = Fate(course=Course.WAIT, due=decision.due, decision=decision)
        yield Change(
            verdict=Verdict.UNCHANGED if same else Verdict.WAIT,
            target=decision.target,
            server=decision.server,
            order=None,
            price=None,
            fate=fate,
            instead=fate if same else None,
        )


def _without_facts(decision: Decision) -> tuple[str | None, ServerId | None, Reason]:
    return decision.target, decision.server, decision.reason


def left_usd(seen: Comparison) -> Decimal:
    """Return what the orders cost per day that the new policy leaves to themselves; raises NoRate."""
    bids = (c.price for c in seen.orders if c.verdict is Verdict.LEFT and c.price is not None)
    return sum((seen.before.rates.to_usd(bid) for bid in bids), Decimal(0))


def counts(changes: Iterable[Change]) -> Mapping[Verdict, int]:
    """Return how often each verdict was reached, in the order in which they are listed above."""
    found = Counter(change.verdict for change in changes)
    return {verdict: found[verdict] for verdict in Verdict if found[verdict]}
