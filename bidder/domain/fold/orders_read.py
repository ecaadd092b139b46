"""What a read of our orders teaches.

A read vouches for the moment it *started*; an order is believed to have ended only when staleness
can no longer explain its absence.
"""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from bidder.domain import cut_off, selection, workloads
from bidder.domain.costs import Cost
from bidder.domain.fold import bills, bygone, creating, settling
from bidder.domain.ids import OrderId
from bidder.domain.intents import LEFT_OUT, STALENESS, OrdersRead, Verdict
from bidder.domain.market import OrderKind, OwnOrder
from bidder.domain.money import Price
from bidder.domain.policy import DeadlineParams, Policy, Target
from bidder.domain.price_rules import LOWERING_PAUSE, ClockEvent, LoweringClock
from bidder.domain.strategies import deadline
from bidder.domain.view import Holding, View
from bidder.domain.work import Work


@dataclass(frozen=True, slots=True, kw_only=True)
class OrdersFolded:
    """What a read of our orders changed; ``booked`` are ended orders whose final spend it showed.

    ``costs`` is what those that were remembered have cost in the end.
    """

    view: View
    changed: tuple[Holding, ...]
    ended: tuple[Holding, ...]
    booked: tuple[OwnOrder, ...]
    adopted: tuple[Holding, ...]
    costs: Mapping[OrderId, Cost]


def orders(
    view: View, read: OrdersRead, verdicts: Iterable[Verdict], policy: Policy, now: datetime
) -> OrdersFolded:
    """Fold one read of our orders and its verdicts on the open intents, and on the lost ones."""
    verdicts = tuple(verdicts)
    listed = {order.order: order for order in read.answer.orders}
    settled = settling.Settling(
        held=dict(view.holdings), intents=[], adopted=[], ended=[], returned=[], touched=set()
    )
    settling.settle(settled, verdicts, listed, view, policy, read, now)
    _take_listed(settled, listed, view, policy, read, now)
    _take_missing(settled, listed, read, now)
    _take_back_work(settled, view, policy, now)
    held, ended = settled.held, settled.ended
    booked = tuple(o for o in listed.values() if o.expired and o.order in view.unbooked)
    unbooked = {h.order.order for h in ended if not h.order.expired}
    over = {o.order: o.server for o in listed.values() if o.expired}
    over.update({h.order.order: h.order.server for h in ended})
    gone = {o: s for o, s in {**view.ended, **over}.items() if o not in held}
    unlisted = bygone.unlisted_since(view, gone, listed, read)
    forgotten = bygone.forgotten(unlisted, gone, settled.intents, read)
    closing = {o: h for o, h in view.closing.items() if o not in held}
    closing.update({h.order.order: h for h in ended if not h.order.expired})
    closed = bygone.closed(closing, booked, forgotten, view, now)
    closing = {o: h for o, h in closing.items() if o not in closed}
    folded = replace(
        view,
        holdings=held,
        revenants=bygone.revenants(view, listed, read),
        intents=tuple(settled.intents),
        orders_at=read.started_at,
        completed_at=read.started_at if read.completed else view.completed_at,
        order_limit=read.answer.limit if read.answer.limit is not None else view.order_limit,
        ended={o: s for o, s in gone.items() if o not in forgotten},
        unlisted_since={o: since for o, since in unlisted.items() if o not in forgotten},
        unbooked=(view.unbooked | unbooked) - {order.order for order in booked} - forgotten - set(held),
        creation_fee_usd=bills.creation_fee(view, listed.values()),
        recalled_at=None if _first_use(view, listed, read) else view.recalled_at,
        begun_anew=view.begun_anew and not read.completed,
        closing=closing,
        lost=settling.lost(view, verdicts, now),
        cancelled={o: each for o, each in view.cancelled.items() if o in held or o in closing},
        cut_off={
            **{o: h for o, h in view.cut_off.items() if o not in held},
            **{h.order.order: h for h in ended if cut_off.unexplained(h, view, now)},
        },
    )
    folded = creating.settled(folded, verdicts, now)
    folded = folded.having_returned(*settled.returned).having_ended(*ended)
    final = (*(h for h in ended if h.order.expired), *closed.values())
    folded = folded.having_booked(*final, at=now) if final else folded
    return OrdersFolded(
        view=folded,
        changed=tuple(held[o] for o in settled.touched if o in held),
        ended=tuple(ended),
        booked=booked,
        adopted=tuple(settled.adopted),
        costs={o.order: closed[o.order].cost for o in booked if o.order in closed},
    )


def _first_use(view: View, listed: dict[OrderId, OwnOrder], read: OrdersRead) -> bool:
    """Return whether there was no memory and, as it seems, never an order that it could lack."""
    known = view.holdings or view.ended or view.intents
    return view.begun_anew and read.completed and not listed and not known


def _take_listed(
    so_far: settling.Settling,
    listed: dict[OrderId, OwnOrder],
    view: View,
    policy: Policy,
    read: OrdersRead,
    now: datetime,
) -> None:
    held = so_far.held
    images = frozenset(target.launch.image for target in policy.targets)
    for order_id, order in listed.items():
        known = held.get(order_id)
        if known is None:
            over = order_id in view.ended and not bygone.is_back(order_id, view, read)
            before = view.closing.get(order_id)
            if not order.expired and not over and before is not None and before.ours:
                held[order_id] = _returned(
                    before, _recognised(before.order, order, images), view, read, now
                )
                so_far.returned.append(before)
                so_far.touched.add(order_id)
            elif not order.expired and not over:
                target = _adopting_target(order, so_far, view, policy) if policy.adopt else None
                held[order_id] = _strangers(order, target, view, read, now)
                so_far.touched.add(order_id)
            continue
        updated = _updated(known, _recognised(known.order, order, images), read)
        charged_at = _over_at(known, order, now) if order.expired else now
        cost = bills.cost_of(known, updated.order, view, charged_at)
        updated = replace(updated, work=bills.more_work(known, updated, view), cost=cost)
        if policy.adopt and updated.target is None and not order.expired:
            # When it was seen first its server may not have been known yet.
            target = _adopting_target(order, so_far, view, policy)
            if target is not None:
                updated = replace(updated, target=target, clock=_unknown_past(order, now))
        if order.expired:
            so_far.ended.append(replace(updated, ended_at=min(now, order.ends_at)))
            del held[order_id]
        else:
            if updated != known:
                so_far.touched.add(order_id)
            held[order_id] = updated


def _over_at(known: Holding, order: OwnOrder, now: datetime) -> datetime:
    """Return when the last of an ended order's bill can have been run up: while it was billed or listed.

    Found ended a day later, it has cost that day nothing.
    """
    lived = max(known.last_seen_at, known.cost.at or known.last_seen_at)
    return min(now, max(order.ends_at, lived))


def _take_missing(
    so_far: settling.Settling, listed: dict[OrderId, OwnOrder], read: OrdersRead, now: datetime
) -> None:
    held = so_far.held
    for order_id in [o for o in held if o not in listed]:
        missing = _missing(held[order_id], read)
        so_far.touched.add(order_id)
        if _surely_gone(missing, read):
            so_far.ended.append(replace(missing, ended_at=missing.missing_since or now))
            del held[order_id]
        else:
            held[order_id] = missing


def _take_back_work(so_far: settling.Settling, view: View, policy: Policy, now: datetime) -> None:
    """Count no work of orders that were charged while their workload was dead."""
    if not view.pulses:
        return
    idle = {number: view.holdings[number] for number in workloads.computing_nothing(view, policy, now)}
    for number, before in idle.items():
        if number in so_far.held:
            so_far.held[number] = bills.without_work(so_far.held[number], before)
    for index, over in enumerate(so_far.ended):
        if over.order.order in idle:
            so_far.ended[index] = bills.without_work(over, idle[over.order.order])


def _strangers(
    order: OwnOrder, target: str | None, view: View, read: OrdersRead, now: datetime
) -> Holding:
    """Return the holding of an order that no intent explains: a person's, unless a target adopts it."""
    # It may be one that was taken for ended: what was counted of it is counted.
    before = view.closing.get(order.order)
    holding = Holding(
        order=order,
        target=target,
        first_seen_at=read.started_at,
        last_seen_at=read.started_at,
        clock=_unknown_past(order, now),
        work=Work(gpus=bills.gpus_of(order, view)),
        cost=Cost() if before is None else before.cost,
    )
    return replace(holding, cost=bills.cost_of(before or holding, order, view, now))


def _returned(before: Holding, order: OwnOrder, view: View, read: OrdersRead, now: datetime) -> Holding:
    """Return the holding of an order of ours that was taken for ended and runs all the same.

    It is its target's, as before: as nobody's it would be paid for beside its successor, unattended.
    """
    known = replace(
        before, ended_at=None, active=None, outbid_since=None, idle_since=None, active_since=None
    )
    updated = _updated(known, order, read)
    return replace(
        updated,
        # Nobody has watched it meanwhile: it may just have been lowered.
        clock=replace(updated.clock, opens_at=now + LOWERING_PAUSE),
        work=bills.more_work(known, updated, view),
        cost=bills.cost_of(known, order, view, now),
    )


def _recognised(before: OwnOrder, order: OwnOrder, images: frozenset[str]) -> OwnOrder:
    """Return an order with the image that was recognised once, the GPUs, and fees that are left out.

    Image and GPUs cannot change. Else one answer with a garbled name would let an order that looked
    like one of ours pass for a person's, and free the slot and the room that it takes up.
    """
    if before.image in images:
        order = replace(order, image=before.image)
    if before.gpu_count is not None:
        order = replace(order, gpu_model=before.gpu_model, gpu_count=before.gpu_count)
    return bills.fees_kept(before, order)


def _unknown_past(order: OwnOrder, now: datetime) -> LoweringClock:
    """Return the clock of an order that others have looked after: it may just have been lowered."""
    return LoweringClock(created_at=min(order.created_at, now), opens_at=now + LOWERING_PAUSE)


def _adopting_target(
    order: OwnOrder, so_far: settling.Settling, view: View, policy: Policy
) -> str | None:
    if not _placeable(order, view):
        return None
    # Also those adopted from this very read: one too many would be cancelled as a surplus.
    taken = Counter(holding.target for holding in so_far.held.values())
    taken.update(intent.target for intent in so_far.intents if intent.creates)
    for target in policy.targets:
        room = taken[target.name] < target.want
        if target.enabled and room and _takes(order, target, view) and _fits(order, target, view):
            return target.name
    return None


def _takes(order: OwnOrder, target: Target, view: View) -> bool:
    """Return whether a target would keep such an order, wherever it stands.

    A job would cancel what computes nothing for it, and all once it is done; an idle bid goes in a
    currency that its target does not pay with.
    """
    if (
        order.kind is OrderKind.SPOT
        and target.currencies
        and order.price.currency not in target.currencies
    ):
        return False
    if not isinstance(target.params, DeadlineParams):
        return order.kind is OrderKind.SPOT
    done = deadline.computed(target, view) >= timedelta(hours=float(target.params.gpu_hours))
    return order.image == target.launch.image and not done


def _placeable(order: OwnOrder, view: View) -> bool:
    """Return whether enough is known of an order's server to say whose the order may be."""
    if order.server in view.marketplace.listings:
        return True
    # A host may hide a server while we rent it, for as long as that lasts. Before the marketplace is
    # read none is listed, and most will be.
    return view.marketplace_at is not None and order.gpu_count is not None


def _fits(order: OwnOrder, target: Target, view: View) -> bool:
    listing = view.marketplace.listings.get(order.server)
    if listing is not None:
        return selection.qualifies(listing, target.requirements)
    # Nobody can tell where the server stands or how reliable it is: so at least it runs what we launch.
    return order.image == target.launch.image and selection.could_qualify(order, target.requirements)


def _updated(known: Holding, order: OwnOrder, read: OrdersRead) -> Holding:
    # An answer older than our last change of the price, and it may be as old as lists get, does not know
    # the new price: a rail that went by the old one would let too much be bid.
    price = known.order.price if known.outdates(read.started_at) else order.price
    spend = order.spend
    if spend.currency == known.order.spend.currency and spend < known.order.spend:
        spend = known.order.spend  # what is spent does not come back; the answer is stale
    event = _done_by_others(known, price, read)
    clock = known.clock if event is None else known.clock.after(event, read.started_at)
    access = order.access if order.access.tcp_ports or order.access.pub_cluster else known.order.access
    return replace(
        known,
        order=replace(order, price=price, spend=spend, access=access),
        clock=clock,
        last_seen_at=read.started_at,
        missing_since=None,
        missing_reads=0,
    )


def _done_by_others(known: Holding, price: Price, read: OrdersRead) -> ClockEvent | None:
    """Return what was done to the price without our knowing when: by hand, or late on the wire.

    Soon after a change of ours it is more likely that the answer is older than the change.
    """
    before = known.order.price
    if price.currency != before.currency or price == before:
        return None
    events = known.clock.events()
    if any(
        event is not ClockEvent.CREATION and read.started_at - at < STALENESS for event, at in events
    ):
        return None
    return ClockEvent.LOWERING if price < before else ClockEvent.RAISE


def _missing(holding: Holding, read: OrdersRead) -> Holding:
    if read.started_at <= holding.last_seen_at:
        return holding
    return replace(
        holding,
        missing_since=holding.missing_since or read.started_at,
        missing_reads=holding.missing_reads + 1,
    )


def _surely_gone(holding: Holding, read: OrdersRead) -> bool:
    if holding.missing_reads < 2 or not read.completed or holding.missing_since is None:
        return False
    # A successor too early would be a second order.
    return read.started_at - holding.missing_since >= LEFT_OUT
