"""How what we learn changes what we know: reads and outcomes folded into the view.

Each function takes a view and returns the next one. A read vouches for the moment it *started*; an
order is believed to have ended only when staleness can no longer explain its absence.
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from decimal import Decimal

from bidder.domain import price_rules, selection
from bidder.domain.actions import Reprice
from bidder.domain.ids import OrderId, ServerId
from bidder.domain.intents import Intent, IntentKind, IntentState, OrdersRead, Settled, Verdict
from bidder.domain.market import Book, Marketplace, OrderKind, OwnOrder, Wallet
from bidder.domain.money import Currency, Price
from bidder.domain.policy import Policy
from bidder.domain.price_rules import ClockEvent, LoweringClock
from bidder.domain.view import BookSeen, Created, Holding, Raised, Setback, View

# An order that was listed and is not: believed gone after two such reads when it is older than any
# staleness, else when it stays away this long.
_SURELY_LISTED = timedelta(seconds=60)
_KEPT = timedelta(hours=24)
_RATE_DRIFT = Decimal("0.01")


@dataclass(frozen=True, slots=True, kw_only=True)
class OrdersFolded:
    """What a read of our orders changed; ``booked`` are ended orders whose final spend it showed."""

    view: View
    changed: tuple[Holding, ...]
    ended: tuple[Holding, ...]
    booked: tuple[OwnOrder, ...]
    adopted: tuple[Holding, ...]


def orders(
    view: View, read: OrdersRead, verdicts: Iterable[Verdict], policy: Policy, now: datetime
) -> OrdersFolded:
    """Fold one read of our orders and its verdicts on the open intents."""
    listed = {order.order: order for order in read.answer.orders}
    held = dict(view.holdings)
    intents: list[Intent] = []
    adopted: list[Holding] = []
    touched: set[OrderId] = set()
    for verdict in verdicts:
        kept = _unsettled(verdict)
        if kept is not None:
            intents.append(kept)
        if verdict.settled is Settled.ADOPTED:
            holding = _adopt(verdict, listed, held, read, now)
            held[holding.order.order] = holding
            adopted.append(holding)
            touched.add(holding.order.order)
        elif verdict.settled is Settled.CONFIRMED and verdict.intent.order in held:
            confirmed = held[verdict.intent.order]
            held[verdict.intent.order] = _confirmed(confirmed, verdict.intent)
            touched.add(verdict.intent.order)
    ended: list[Holding] = []
    for order_id, order in listed.items():
        known = held.get(order_id)
        if known is None:
            if not order.expired and order_id not in view.ended:
                held[order_id] = _strangers(order, view, policy, read, now)
                touched.add(order_id)
            continue
        updated = _updated(known, order, read)
        if order.expired:
            ended.append(replace(updated, ended_at=min(now, order.ends_at)))
            del held[order_id]
        else:
            if updated != known:
                touched.add(order_id)
            held[order_id] = updated
    for order_id in [o for o in held if o not in listed]:
        missing = _missing(held[order_id], read)
        touched.add(order_id)
        if _surely_gone(missing, read):
            ended.append(replace(missing, ended_at=missing.missing_since or now))
            del held[order_id]
        else:
            held[order_id] = missing
    booked = tuple(o for o in listed.values() if o.expired and o.order in view.unbooked)
    unbooked = {h.order.order for h in ended if not h.order.expired}
    over = {o.order: o.server for o in listed.values() if o.expired}
    over.update({h.order.order: h.order.server for h in ended})
    folded = replace(
        view,
        holdings=held,
        intents=tuple(intents),
        orders_at=read.started_at,
        completed_at=read.started_at if read.completed else view.completed_at,
        order_limit=read.answer.limit if read.answer.limit is not None else view.order_limit,
        ended={**view.ended, **over},
        unbooked=(view.unbooked | unbooked) - {order.order for order in booked},
        creation_fee_usd=_creation_fee(view, listed.values()),
    )
    changed = tuple(held[o] for o in touched if o in held)
    return OrdersFolded(
        view=folded,
        changed=changed,
        ended=tuple(ended),
        booked=booked,
        adopted=tuple(adopted),
    )


def _unsettled(verdict: Verdict) -> Intent | None:
    match verdict.settled:
        case Settled.UNKNOWN:
            more = 1 if verdict.counts_as_empty else 0
            return replace(verdict.intent, empty_reads=verdict.intent.empty_reads + more)
        case Settled.AMBIGUOUS:
            return replace(verdict.intent, state=IntentState.AMBIGUOUS)
        case _:
            return None


def _adopt(
    verdict: Verdict,
    listed: dict[OrderId, OwnOrder],
    held: dict[OrderId, Holding],
    read: OrdersRead,
    now: datetime,
) -> Holding:
    intent = verdict.intent
    order = listed[verdict.orders[0]]
    born = intent.ended_at if intent.accepted and intent.ended_at is not None else now
    known = held.get(order.order)
    clock = LoweringClock(created_at=born) if known is None else known.clock
    return Holding(
        order=order,
        target=intent.target,
        first_seen_at=read.started_at if known is None else known.first_seen_at,
        last_seen_at=read.started_at,
        clock=replace(clock, created_at=born),
    )


def _confirmed(holding: Holding, intent: Intent) -> Holding:
    if intent.kind is not IntentKind.REPRICE or intent.price is None:
        return holding
    lowered = intent.previous_price is not None and intent.price < intent.previous_price
    event = ClockEvent.LOWERING if lowered else ClockEvent.RAISE
    return replace(
        holding,
        order=replace(holding.order, price=intent.price),
        clock=holding.clock.after(event, intent.over_since()),
    )


def _strangers(order: OwnOrder, view: View, policy: Policy, read: OrdersRead, now: datetime) -> Holding:
    """Return the holding of an order that no intent explains: a person's, unless adoption is on."""
    return Holding(
        order=order,
        target=_adopting_target(order, view, policy) if policy.adopt else None,
        first_seen_at=read.started_at,
        last_seen_at=read.started_at,
        clock=LoweringClock(created_at=min(order.created_at, now)),
    )


def _adopting_target(order: OwnOrder, view: View, policy: Policy) -> str | None:
    listing = view.marketplace.listings.get(order.server)
    if listing is None or order.kind is not OrderKind.SPOT:
        return None
    for target in policy.targets:
        room = len(view.holdings_of(target.name)) < target.want
        if target.enabled and room and selection.qualifies(listing, target.requirements):
            return target.name
    return None


def _updated(known: Holding, order: OwnOrder, read: OrdersRead) -> Holding:
    events = known.clock.events()
    # An answer older than our last change of the price does not know the new price yet.
    outdated = any(at >= read.started_at for event, at in events if event is not ClockEvent.CREATION)
    price = known.order.price if outdated else order.price
    spend = order.spend
    if spend.currency == known.order.spend.currency and spend < known.order.spend:
        spend = known.order.spend  # what is spent does not come back; the answer is stale
    access = order.access if order.access.tcp_ports or order.access.pub_cluster else known.order.access
    return replace(
        known,
        order=replace(order, price=price, spend=spend, access=access),
        last_seen_at=read.started_at,
        missing_since=None,
        missing_reads=0,
    )


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
    old = read.started_at - holding.first_seen_at > _SURELY_LISTED
    return old or read.started_at - holding.missing_since >= _SURELY_LISTED


def _creation_fee(view: View, listed: Iterable[OwnOrder]) -> Decimal:
    """Return the newest spot creation fee in USD: it changes, so it is read, never assumed."""
    paid = [
        order
        for order in listed
        if order.kind is OrderKind.SPOT
        and order.creation_fee is not None
        and view.rates.knows(order.creation_fee.currency)
    ]
    if not paid:
        return view.creation_fee_usd
    newest = max(paid, key=lambda order: order.created_at)
    assert newest.creation_fee is not None
    return view.rates.to_usd(newest.creation_fee)


def book(view: View, answer: Book, policy: Policy, *, at: datetime) -> tuple[View, tuple[Holding, ...]]:
    """Fold one read of a server's book; also return the holdings it changed."""
    before = view.books.get(answer.server)
    outbid_reads = 0
    changed = []
    held = dict(view.holdings)
    for holding in view.holdings.values():
        if holding.order.server != answer.server or holding.order.kind is not OrderKind.SPOT:
            continue
        if holding.first_seen_at > at and holding.active is not None:
            continue
        offer = answer.offer_of(holding.order.order)
        active = offer is not None and offer.active
        if holding.ours and offer is not None and not offer.active:
            outbid_reads = 1 + (0 if before is None else before.outbid_reads)
        since = None if active else (holding.outbid_since or at)
        if active != holding.active or since != holding.outbid_since:
            held[holding.order.order] = replace(holding, active=active, outbid_since=since)
            changed.append(held[holding.order.order])
    held_here = any(h.order.server == answer.server for h in view.holdings.values())
    folded = replace(
        view,
        holdings=held,
        books={
            **view.books,
            answer.server: BookSeen(book=answer, at=at, outbid_reads=outbid_reads),
        },
        candidate_read_at=view.candidate_read_at if held_here else at,
        rates=answer.rates.over(view.rates),
    )
    if _rates_moved(view, folded):
        folded = relist(folded, policy)
    return folded, tuple(changed)


def _rates_moved(before: View, after: View) -> bool:
    old, new = before.listed_at_rates.usd_per_unit, after.rates.usd_per_unit
    if set(old) != set(new):
        return True
    return any(abs(new[c] - old[c]) > old[c] * _RATE_DRIFT for c in new)


def marketplace(view: View, answer: Marketplace, policy: Policy, *, at: datetime) -> View:
    """Fold one read of the marketplace; forget the books of servers that are of no interest."""
    listed = relist(replace(view, marketplace=answer, marketplace_at=at), policy)
    wanted = {h.order.server for h in view.holdings.values()}
    for candidates in listed.shortlists.values():
        wanted.update(candidate.listing.server for candidate in candidates)
    kept = {server: seen for server, seen in view.books.items() if server in wanted}
    return replace(listed, books=kept)


def relist(view: View, policy: Policy) -> View:
    """Return the view with every target's shortlist made anew from the marketplace."""
    lists = {
        target.name: selection.shortlist(
            view.marketplace, target, view.rates, selection.payable(target, view.wallets)
        )
        for target in policy.targets
        if target.enabled
    }
    probes = {}
    for target in policy.targets:
        currencies = selection.payable(target, view.wallets)
        probe = selection.rate_probe(view.marketplace, target, view.rates, currencies)
        if target.enabled and probe is not None:
            probes[target.name] = probe
    return replace(view, shortlists=lists, rate_probes=probes, listed_at_rates=view.rates)


def wallets(view: View, answer: Iterable[Wallet], policy: Policy, *, at: datetime) -> View:
    """Fold one read of the balances."""
    known = {wallet.currency: wallet for wallet in answer}
    folded = replace(view, wallets=known, wallets_at=at)
    before = {c for c, w in view.wallets.items() if w.balance is None or w.balance.amount > 0}
    after = {c for c, w in known.items() if w.balance is None or w.balance.amount > 0}
    return relist(folded, policy) if before != after else folded


def opened(view: View, intent: Intent, now: datetime) -> View:
    """Fold an intent that has just been written down."""
    creations = view.creations
    if intent.creates:
        recent = tuple(c for c in creations if now - c.at < _KEPT)
        creations = (*recent, Created(server=intent.server, at=now))
    return replace(view, intents=(*view.intents, intent), creations=creations)


def closed(view: View, intent: Intent) -> View:
    """Fold an intent that needs no settling any more."""
    return replace(view, intents=tuple(i for i in view.intents if i.id != intent.id))


def answered(view: View, intent: Intent) -> View:
    """Fold an intent whose request is over but whose result is not seen yet."""
    return replace(view, intents=tuple(intent if i.id == intent.id else i for i in view.intents))


def repriced(view: View, action: Reprice, *, sent_at: datetime, now: datetime) -> View:
    """Fold an accepted change of a price: the clock starts, and what it teaches is kept.

    A clock is counted from ``now``, when the answer came, which is never too early.
    """
    holding = view.holdings.get(action.order)
    if holding is None:
        return view
    event = ClockEvent.LOWERING if action.lowers else ClockEvent.RAISE
    rules = view.rules
    if action.lowers:
        rules = price_rules.lowering_accepted(holding.clock, rules, at=sent_at)
    updated = replace(
        holding,
        order=replace(holding.order, price=action.price),
        clock=holding.clock.after(event, now),
    )
    raises = view.raises
    if not action.lowers:
        rival = None
        seen = view.books.get(action.server)
        if seen is not None:
            running = seen.book.active()
            rival = None if running is None or running.mine else running.order
        recent = tuple(r for r in raises if now - r.at < _KEPT)
        raised = Raised(server=action.server, order=action.order, rival=rival, at=now)
        raises = (*recent, raised)
    # The book was read before this change: whoever acts on it again would act twice.
    books = {server: seen for server, seen in view.books.items() if server != action.server}
    return replace(view.with_holding(updated), rules=rules, raises=raises, books=books)


def withdrawn(view: View, order: OrderId) -> View:
    """Fold an accepted cancellation: the order is over, its final spend still to be read."""
    holding = view.holdings.get(order)
    if holding is None:
        return view
    return replace(
        view.without_holding(order),
        ended={**view.ended, order: holding.order.server},
        unbooked=view.unbooked | {order},
    )


def lowered_too_soon(view: View, action: Reprice, *, wait_seconds: float | None, now: datetime) -> View:
    """Fold a ``can_lower_every_600_seconds`` answer: the exchange's word on clock and rules."""
    holding = view.holdings.get(action.order)
    if holding is None:
        return view
    clock, rules = price_rules.refused_too_soon(
        holding.clock, view.rules, wait_seconds=wait_seconds, now=now
    )
    return replace(view.with_holding(replace(holding, clock=clock)), rules=rules)


def step_exceeded(view: View, action: Reprice, *, max_step: Decimal | None, now: datetime) -> View:
    """Fold an ``exceeded_max_step`` answer: how far a lowering may go from this price."""
    holding = view.holdings.get(action.order)
    if holding is None:
        return view
    if max_step is None:
        # No limit named: half of what was asked is tried next, which finds any limit in few steps.
        asked = action.current.minus(action.price).amount
        max_step = action.current.amount - asked / 2
    seen = view.books.get(action.server)
    floor = None if seen is None else seen.book.floor.get(action.current.currency)
    sample = price_rules.sample_from_refusal(action.current, max_step, floor=floor, at=now)
    if sample is None:
        # A limit at or above the present price: nothing can be lowered now.
        clock = replace(holding.clock, opens_at=now + price_rules.LOWERING_PAUSE)
        return view.with_holding(replace(holding, clock=clock))
    others = [s for s in view.steps if s.currency == sample.currency and s.exact]
    contradicted = [s for s in others if s.drop / s.price > 0 and _contradicts(s, sample)]
    kept = tuple(s for s in view.steps if s not in contradicted)[-40:]
    return replace(view, steps=(*kept, sample))


def _contradicts(old: price_rules.StepSample, new: price_rules.StepSample) -> bool:
    """Return whether both cannot be true of one rule: same price level, different drop."""
    same_level = abs(old.price - new.price) <= new.price * Decimal("0.001")
    return same_level and abs(old.drop - new.drop) > new.drop * Decimal("0.02")


def floor_raised(
    view: View, server: ServerId, price: Price, *, min_price: Decimal | None, now: datetime
) -> View:
    """Fold a ``too_low_price`` answer: the floor it names, or a pause where it makes no sense."""
    seen = view.books.get(server)
    if seen is None or min_price is None or min_price <= price.amount:
        return set_back(view, "too_low_price", now=now, minutes=5, server=server)
    floor = {**seen.book.floor, price.currency: Price(min_price, price.currency)}
    corrected = replace(seen, book=replace(seen.book, floor=floor))
    return replace(view, books={**view.books, server: corrected})


def set_back(
    view: View,
    reason: str,
    *,
    now: datetime,
    minutes: float,
    server: ServerId | None = None,
    order: OrderId | None = None,
    currency: Currency | None = None,
) -> View:
    """Fold a refusal that rules something out for a while."""
    current = tuple(s for s in view.setbacks if now < s.until)
    setback = Setback(
        until=now + timedelta(minutes=minutes),
        reason=reason,
        server=server,
        order=order,
        currency=currency,
    )
    return replace(view, setbacks=(*current, setback))


def known_orders(view: View, server: ServerId) -> frozenset[OrderId]:
    """Return every order of ours, live or over, that was ever seen on a server."""
    live = {h.order.order for h in view.holdings.values() if h.order.server == server}
    over = {order for order, where in view.ended.items() if where == server}
    return frozenset(live | over)
