"""What carrying out teaches: intents written down, accepted changes, refusals.

A refusal is the exchange's own word on its rules, so it corrects what we believed at once.
"""

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from decimal import Decimal

from bidder.domain import handover, price_rules
from bidder.domain.actions import Reprice
from bidder.domain.ids import OrderId, ServerId
from bidder.domain.intents import Intent
from bidder.domain.money import Currency, Price
from bidder.domain.price_rules import ClockEvent
from bidder.domain.view import Cancelled, Candidate, Created, NamedFloor, Raised, Setback, View

# How long creations and raises are remembered: longer than any window that counts them.
_KEPT = timedelta(hours=24)
# An answer that contradicts itself is not asked for each second.
_BEFORE_ASKED_AGAIN = timedelta(seconds=60)
# In minutes. What a wallet must hold may depend on what other orders draw from it, which changes.
_WALLET_WAITS, _HOST_WAITS = 6 * 60, 24 * 60


def opened(view: View, intent: Intent, now: datetime) -> View:
    """Fold an intent that has just been written down."""
    creations = view.creations
    if intent.creates:
        recent = tuple(c for c in creations if now - c.at < _KEPT)
        creations = (*recent, Created(server=intent.server, at=now))
    return replace(view, intents=(*view.intents, intent), creations=creations)


def closed(view: View, intent: Intent, *, mispriced: bool = False) -> View:
    """Fold an intent that needs no settling any more: a creation so closed has made no order.

    It was ``mispriced`` where that was because of its price.
    """
    creations = view.creations
    if intent.creates:
        creations = tuple(
            replace(c, refused=True, mispriced=mispriced)
            if c.server == intent.server and c.at >= intent.opened_at
            else c
            for c in creations
        )
    return replace(
        view, creations=creations, intents=tuple(i for i in view.intents if i.id != intent.id)
    )


def undone(view: View, intent: Intent) -> View:
    """Fold an intent whose request was certainly not even looked at: no attempt has been made."""
    kept = tuple(
        c
        for c in view.creations
        if not (intent.creates and c.server == intent.server and c.at >= intent.opened_at)
    )
    return replace(closed(view, intent), creations=kept)


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
        work=holding.work.lowered_from(holding.order.price) if action.lowers else holding.work,
        # A rival's answer to this raise is a new displacement, with a wait of its own.
        outbid_since=holding.outbid_since if action.lowers else None,
    )
    raises = view.raises
    if not action.lowers:
        rival, beaten = None, True
        seen = view.books.get(action.server)
        if seen is not None:
            running, rates = seen.book.active(), seen.book.rates.over(view.rates)
            rival = None if running is None or running.mine else running.order
            beaten = not handover.waits_on_top(seen.book, action.order, rates, view.holdings)
        recent = tuple(r for r in raises if now - r.at < _KEPT)
        idle = holding.outbid_since is not None and holding.outbid_since < now
        raised = Raised(
            server=action.server, order=action.order, rival=rival, at=now, lost=idle, beaten=beaten
        )
        raises = (*recent, raised)
    # The book was read before this change: whoever acts on it again would act twice.
    books = {server: seen for server, seen in view.books.items() if server != action.server}
    return replace(view.with_holding(updated), rules=rules, raises=raises, books=books)


def withdrawn(view: View, order: OrderId, now: datetime | None = None) -> View:
    """Fold an accepted cancellation: the order is over, its final spend still to be read.

    Without ``now`` it cannot turn out to run on.
    """
    holding = view.holdings.get(order)
    if holding is None:
        return view
    return replace(
        view.without_holding(order),
        ended={**view.ended, order: holding.order.server},
        unbooked=view.unbooked | {order},
        closing={**view.closing, order: replace(holding, ended_at=now)},
        cancelled={**view.cancelled, **_cancelled(view, order, now)},
    ).having_ended(holding)


def not_cancelled_again(view: View, order: OrderId, now: datetime) -> View:
    """Fold the refusal to cancel an order once more that was cancelled and is listed all the same."""
    before = view.cancelled.get(order)
    if before is None:
        return view
    return replace(view, cancelled={**view.cancelled, order: before.again(now)})


def _cancelled(view: View, order: OrderId, now: datetime | None) -> Mapping[OrderId, Cancelled]:
    if now is None:
        return {}
    before = view.cancelled.get(order)
    return {order: Cancelled(at=now) if before is None else before.again(now)}


def lowered_too_soon(view: View, action: Reprice, *, wait_seconds: float | None, now: datetime) -> View:
    """Fold a ``can_lower_every_600_seconds`` answer: the exchange's word on clock and rules."""
    holding = view.holdings.get(action.order)
    if holding is None:
        return view
    clock, rules = price_rules.refused_too_soon(
        holding.clock,
        view.rules,
        wait_seconds=wait_seconds,
        now=now,
        listed_at=holding.order.created_at,
    )
    return replace(view.with_holding(replace(holding, clock=clock)), rules=rules)


def step_exceeded(view: View, action: Reprice, *, max_step: Decimal | None, now: datetime) -> View:
    """Fold an ``exceeded_max_step`` answer: how far a lowering may go from this price."""
    holding = view.holdings.get(action.order)
    if holding is None:
        return view
    if max_step is not None and max_step <= action.price.amount:
        # What was asked is no lower than what is said to be allowed: it teaches nothing.
        until = max(holding.clock.opens_at or now, now + _BEFORE_ASKED_AGAIN)
        return view.with_holding(replace(holding, clock=replace(holding.clock, opens_at=until)))
    exact = max_step is not None
    if max_step is None:
        # No limit named: half of what was asked is tried next, which finds any limit in few steps.
        asked = action.current.minus(action.price).amount
        max_step = action.current.amount - asked / 2
    seen = view.books.get(action.server)
    floor = None if seen is None else seen.book.floor.get(action.current.currency)
    sample = price_rules.sample_from_refusal(action.current, max_step, floor=floor, at=now, exact=exact)
    if sample is None:
        # A limit at or above the present price: nothing can be lowered now.
        clock = replace(holding.clock, opens_at=now + price_rules.LOWERING_PAUSE)
        return view.with_holding(replace(holding, clock=clock))
    others = [s for s in view.steps if s.currency == sample.currency]
    contradicted = [s for s in others if (exact and not s.exact) or _contradicts(s, sample)]
    kept = tuple(s for s in view.steps if s not in contradicted)[-40:]
    return replace(view, steps=(*kept, sample))


def _contradicts(old: price_rules.StepSample, new: price_rules.StepSample) -> bool:
    """Return whether both cannot be true of one rule: same price level, different drop."""
    same_level = abs(old.price - new.price) <= new.price * Decimal("0.001")
    return same_level and abs(old.drop - new.drop) > new.drop * Decimal("0.02")


def floor_raised(
    view: View, server: ServerId, price: Price, *, min_price: Decimal | None, now: datetime
) -> View:
    """Fold a ``too_low_price`` answer: the floor it names, or a pause where it makes no sense.

    Where that floor was known the bid was wrong all the same, and who decided it would do so again.
    """
    seen = view.books.get(server)
    ours = next((h.order.order for h in view.holdings.values() if h.order.server == server), None)
    if seen is None or min_price is None or min_price <= price.amount:
        return set_back(view, "too_low_price", now=now, minutes=5, server=server, order=ours)
    least, known = Price(min_price, price.currency), seen.book.floor.get(price.currency)
    if known is not None and known >= least:
        view = set_back(view, "too_low_price", now=now, minutes=1, server=server, order=ours)
    others = tuple(each for each in seen.named if each.price.currency != price.currency)
    corrected = replace(
        seen,
        book=replace(seen.book, floor={**seen.book.floor, price.currency: least}),
        # The next book may show the lower one again, and the same would be refused each second.
        named=(*others, NamedFloor(price=least, until=now + price_rules.LOWERING_PAUSE)),
    )
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
    price: Price | None = None,
    target: str | None = None,
    times: int = 0,
    asks_orders: bool = False,
) -> View:
    """Fold a refusal that rules something out for a while."""
    current = tuple(s for s in view.setbacks if _remembered(s, now))
    setback = Setback(
        until=now + timedelta(minutes=minutes),
        reason=reason,
        at=now,
        server=server,
        order=order,
        currency=currency,
        price=price,
        target=target,
        times=times,
        asks_orders=asks_orders,
    )
    return replace(view, setbacks=(*current, setback))


def _remembered(setback: Setback, now: datetime) -> bool:
    return now < setback.until + (_KEPT if setback.times else timedelta(0))


def wallet_too_small(view: View, reason: str, *, price: Price, now: datetime) -> View:
    """Fold a refusal because of the balance: as much or more is not tried again before that has grown.

    What a wallet must hold beside the price nobody has written down, so less may well be accepted.
    """
    others = tuple(s for s in view.setbacks if not _says_less(s, price))
    view = replace(view, setbacks=others)
    return set_back(view, reason, now=now, minutes=_WALLET_WAITS, price=price)


def _says_less(setback: Setback, price: Price) -> bool:
    known = setback.price
    return known is not None and known.currency == price.currency and known >= price


def not_taken_there(
    view: View, reason: str, *, server: ServerId, currency: Currency, now: datetime
) -> View:
    """Fold a host's refusal of a currency, whatever its listing says: it may take another one."""
    view = set_back(view, reason, now=now, minutes=_HOST_WAITS, server=server, currency=currency)
    listings = dict(view.marketplace.listings)
    if server in listings:
        listings[server] = listings[server].without(currency)
    return replace(
        view,
        marketplace=replace(view.marketplace, listings=listings),
        shortlists=_without(view.shortlists, server, currency),
        rentals=_without(view.rentals, server, currency),
    )


def _without(
    lists: Mapping[str, tuple[Candidate, ...]], server: ServerId, currency: Currency
) -> Mapping[str, tuple[Candidate, ...]]:
    return {
        name: tuple(
            replace(each, listing=each.listing.without(currency))
            if each.listing.server == server
            else each
            for each in candidates
        )
        for name, candidates in lists.items()
    }


def set_back_longer(
    view: View, reason: str, *, now: datetime, first: float, longest: float, server: ServerId
) -> View:
    """Fold a server's refusal whose pause, in minutes, doubles each time that it says the same.

    Whatever the words mean, a server that goes on saying them must not keep others from their turn.
    """
    before = next((s for s in view.setbacks if _repeats(s, server, reason, now)), None)
    times = 1 if before is None else before.times + 1
    minutes = min(first * (1 << min(times - 1, 20)), longest)
    others = tuple(s for s in view.setbacks if s is not before)
    view = replace(view, setbacks=others)
    return set_back(view, reason, now=now, minutes=minutes, server=server, times=times)


def _repeats(setback: Setback, server: ServerId, reason: str, now: datetime) -> bool:
    alike = setback.server == server and setback.reason == reason
    return alike and setback.times > 0 and _remembered(setback, now)


def known_orders(view: View, server: ServerId) -> frozenset[OrderId]:
    """Return every order of ours, live or over, that was ever seen on a server."""
    live = {h.order.order for h in view.holdings.values() if h.order.server == server}
    over = {order for order, where in view.ended.items() if where == server}
    return frozenset(live | over)
