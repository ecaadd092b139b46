"""What every strategy does alike: refuse to act on what it cannot see, and walk a price down."""

from dataclasses import replace
from datetime import datetime, timedelta
from decimal import Decimal

from bidder.domain.actions import Action, Decision, Fact, Reason, Reprice, Withdraw
from bidder.domain.money import Price
from bidder.domain.policy import Per, Policy
from bidder.domain.positions import Position
from bidder.domain.stances import walk_cost

URGENT_CEILING = 90
URGENT_REGAIN = 80
URGENT_LOWER = 70
URGENT_LEAVE = 65
URGENT_PLACE = 60

# An offer that is on top and still does not run: this long, and the server counts as lost.
LOST_AFTER = timedelta(seconds=20)
# An order whose offer has been gone from the book this long can never win again.
_ORPHANED_AFTER = timedelta(minutes=3)
# So often a book is read that does not know of our last change of the price yet.
_LOOKS_AGAIN = timedelta(seconds=3)
# How far to push past an active rival whose bid is below ours, where ticks are not enough; each push
# that is in vain is followed by one twice as wide.
_PUSH = Decimal("0.005")
# A larger lead no exchange is likely to want: who has it and does not run is kept from it by something
# else than the price, and would climb for ever.
_MOST_LEAD = Decimal("1.1")
_MOST_DOUBLED = 5
# Above its ceiling by more than this, a bid is withdrawn instead of walked down; and a rental, where a
# rate alone may have brought it there.
_WALKABLE_EXCESS = Decimal("0.10")
_NO_RAISE_HELPS = frozenset({Reason.SERVER_LOST, Reason.UNAVAILABLE, Reason.HANDOVER})


def facts_of(position: Position) -> dict[str, Fact]:
    """Return the numbers that any decision about this bid rests on."""
    facts: dict[str, Fact] = {"bid": str(position.price), "active": position.holding.active}
    if position.ceiling is not None:
        facts["ceiling"] = str(position.ceiling)
    if position.cap is not None and position.cap != position.ceiling:
        facts["cap"] = str(position.cap)
    if position.rival is not None:
        facts["rival"] = str(position.rival.price)
    if position.floor is not None:
        facts["floor"] = str(position.floor)
    if position.needed is not None:
        facts["needed"] = str(position.needed)
    return facts


def hold(
    position: Position,
    reason: Reason,
    *,
    due: datetime | None = None,
    wants_book: bool = False,
    wants_orders: bool = False,
    urgency: int = 0,
    toward: Price | None = None,
    **more: Fact,
) -> Decision:
    """Return the decision to leave this bid as it is."""
    return Decision(
        target=position.target.name,
        reason=reason,
        server=position.holding.order.server,
        order=position.holding.order.order,
        due=due,
        wants_book=position.holding.order.server if wants_book else None,
        wants_orders=wants_orders,
        urgency=urgency,
        toward=toward,
        facts={**facts_of(position), **more},
    )


def act(
    position: Position,
    reason: Reason,
    action: Action,
    *,
    urgency: int,
    toward: Price | None = None,
    **more: Fact,
) -> Decision:
    """Return the decision to carry out ``action`` for this bid."""
    return Decision(
        target=position.target.name,
        reason=reason,
        action=action,
        server=position.holding.order.server,
        order=position.holding.order.order,
        urgency=urgency,
        toward=toward,
        facts={**facts_of(position), **more},
    )


def reprice(position: Position, price: Price) -> Reprice:
    """Return the action that sets this bid to ``price``."""
    return Reprice(
        order=position.holding.order.order,
        server=position.holding.order.server,
        current=position.price,
        price=price,
        target=position.target.name,
    )


def withdraw(position: Position) -> Withdraw:
    """Return the action that cancels this order."""
    return Withdraw(
        order=position.holding.order.order,
        server=position.holding.order.server,
        target=position.target.name,
    )


def recreate(position: Position, **more: Fact) -> Decision:
    """Return the decision to cancel this order so that it is created again lower."""
    return act(position, Reason.RECREATE, withdraw(position), urgency=URGENT_LOWER, toward=None, **more)


def ways_down(position: Position, needed: Price, now: datetime) -> tuple[float, float]:
    """Return what walking down to ``needed`` costs, and what a new order there does, in its currency.

    The walk costs the area under its staircase, the wait for the clock included; a new order the work
    that a restart loses, nothing where it cannot be valued, and the creation fee.
    """
    worth, opens_at = position.worth(), position.opens_at
    wait = 0.0 if opens_at is None else max((opens_at - now).total_seconds(), 0.0)
    over = float(position.price.minus(needed).amount)
    walk = walk_cost(over, float(position.usual_drop(now)), wait)
    lost = 0.0 if worth is None else float(worth.amount) * (position.target.restart / timedelta(days=1))
    return walk, lost + float(position.creation_fee())


def unseen(position: Position, policy: Policy, now: datetime) -> Decision | None:
    """Return the decision for a bid that cannot be judged now; None where it can."""
    holding = position.holding
    if position.book is None or not position.fresh(now, policy.pace.book_stale_after):
        # An outbid offer that a raise could win back is read before its turn.
        winnable = (
            position.holding.active is False
            and position.needed is not None
            and position.cap is not None
            and position.needed <= position.cap
        )
        urgency = URGENT_REGAIN if winnable else 0
        opens_at = position.opens_at
        # By what was seen last there is a lowering to be had: its book is read just before the clock.
        lowers = (
            position.holding.active is True
            and opens_at is not None
            and opens_at > now
            and position.needed is not None
            and position.needed < position.price
        )
        due = opens_at if lowers else None
        return hold(position, Reason.STALE, due=due, wants_book=True, urgency=urgency)
    if position.listing is None and position.ceiling is None and position.target.ceiling.per is Per.GPU:
        return hold(position, Reason.STALE, on_marketplace=False)
    if position.ceiling is None or position.cap is None:
        return hold(position, Reason.NO_RATE, currency=position.price.currency.short)
    if position.outdated and position.book_at is not None:
        # Who acted on it would answer a rival that our last raise has beaten.
        again = position.book_at + _LOOKS_AGAIN
        return hold(position, Reason.CONFIRMING, due=again, wants_book=True, urgency=URGENT_REGAIN)
    if position.offer is None:
        # In our orders but not in the book: vanished, or one of the two answers is late.
        # What is billed runs, whatever the book says.
        gone_since = max(each for each in (holding.outbid_since or now, holding.cost.at) if each)
        if now - gone_since > _ORPHANED_AFTER:
            return act(
                position,
                Reason.SERVER_LOST,
                withdraw(position),
                urgency=URGENT_LEAVE,
                offer_in_book=False,
            )
        forbidden = above_ceiling(position, None, now)
        return forbidden or hold(position, Reason.STALE, wants_orders=True, offer_in_book=False)
    if not position.book.valued(position.rates):
        # To leave a price that the owner forbade no rival needs to be known: who bids in an odd coin
        # must not hold us there.
        return above_ceiling(position, None, now) or hold(position, Reason.NO_RATE)
    return None


def regain(position: Position, needed: Price, outbid_since: datetime, now: datetime) -> Price | Decision:
    """Return the price that wins an outbid offer back, or the hold where no price within reach does."""
    waiting = handed_over(position, now)
    if waiting is not None:
        return waiting
    cap, unavailable = position.cap, _unavailable(position)
    if needed <= position.price:
        # Where a lower bid runs although ours is on top, the exchange wants more than our tick.
        needed = _pushed(position) or needed
    if unavailable or needed <= position.price:
        # On top and not running, or nothing to win here: another tenant or an outage has it.
        lost = now - outbid_since >= LOST_AFTER
        reason = Reason.SERVER_LOST if lost else Reason.UNAVAILABLE
        return hold(position, reason, due=None if lost else outbid_since + LOST_AFTER)
    if cap is None or needed > cap:
        cheaper = position.ceiling is not None and needed <= position.ceiling
        return hold(position, Reason.ON_DEMAND_CHEAPER if cheaper else Reason.TOO_EXPENSIVE)
    return needed


def handed_over(position: Position, now: datetime) -> Decision | None:
    """Return the wait of a bid on top that the exchange may yet let run; None elsewhere."""
    until = position.handover_until
    if until is None or now >= until or _unavailable(position):
        return None
    return hold(position, Reason.HANDOVER, due=until)


def _unavailable(position: Position) -> bool:
    book = position.book
    away = book is None or not (book.exists and book.public and book.online)
    return away or (position.listing is not None and position.listing.rented)


def _pushed(position: Position) -> Price | None:
    """Return the next wider lead over a rival who runs below us; None where that is no way to win."""
    running = None if position.book is None else position.book.active()
    if running is None or running.mine:
        return None
    most = position.rates.convert(running.price, position.price.currency).times(_MOST_LEAD)
    pushed = position.price.times(1 + _PUSH * 2 ** min(position.pushes, _MOST_DOUBLED))
    return min(pushed, most).rounded_up() if position.price < most else None


def lost(position: Position, now: datetime) -> Decision | None:
    """Return the decision for an idle bid that no raise helps, now or ever; None elsewhere."""
    if position.needed is None or (position.offer is not None and position.offer.active):
        return None
    found = regain(position, position.needed, position.holding.outbid_since or now, now)
    gone = isinstance(found, Decision) and found.reason in _NO_RAISE_HELPS
    return found if isinstance(found, Decision) and gone else None


def above_ceiling(position: Position, wanted: Price | None, now: datetime) -> Decision | None:
    """Return how a bid above its ceiling comes down; None where it stands below.

    It is lowered, to ``wanted`` if that is lower still, when one step brings it home. Where that is
    too far, or the server takes no bid so low, it is cancelled: setting a price that is still above the
    ceiling would be a bid the owner forbade.
    """
    ceiling = position.ceiling
    if ceiling is None or position.price <= ceiling:
        return None
    excess = position.price.minus(ceiling)
    far = excess.amount > ceiling.amount * _WALKABLE_EXCESS
    nowhere = position.floor is not None and position.floor > ceiling
    if far or nowhere:
        return act(
            position,
            Reason.ABOVE_CEILING,
            withdraw(position),
            urgency=URGENT_CEILING,
            excess=str(excess),
        )
    aim = ceiling if wanted is None else min(wanted, ceiling)
    if position.opens_at is not None and now < position.opens_at:
        if position.holding.active is False:
            # It costs nothing while it waits, but it could win at a forbidden price.
            return act(position, Reason.ABOVE_CEILING, withdraw(position), urgency=URGENT_CEILING)
        return hold(position, Reason.ABOVE_CEILING, due=position.opens_at, toward=aim)
    price = aim if position.lowest is None or aim > position.lowest else position.lowest
    if price > ceiling:
        return act(position, Reason.ABOVE_CEILING, withdraw(position), urgency=URGENT_CEILING)
    return act(
        position, Reason.ABOVE_CEILING, reprice(position, price), urgency=URGENT_CEILING, toward=aim
    )


def rented(position: Position) -> Decision:
    """Return whether a rental on demand stays: its price is what it is, and none may be forbidden.

    In another currency than its ceiling's it stays within a tenth above: each breath of the rates would
    end what runs, and the next rental cost no less.
    """
    price, ceiling = position.price, position.ceiling
    limit = position.target.limit(on_demand=True).price.currency
    base = hold(position, Reason.WINNING)
    facts: dict[str, Fact] = {"price": str(price)}
    if ceiling is None:
        unknown = not (position.rates.knows(limit) and position.rates.knows(price.currency))
        reason = Reason.NO_RATE if unknown and limit != price.currency else Reason.WINNING
        return replace(base, reason=reason, facts=facts)
    facts["ceiling"] = str(ceiling)
    bearable = Decimal(0) if limit == price.currency else _WALKABLE_EXCESS
    excess = price.minus(ceiling)
    if excess.amount <= ceiling.amount * bearable:
        return replace(base, facts=facts)
    facts["excess"] = str(excess)
    action = withdraw(position)
    return replace(base, reason=Reason.ABOVE_CEILING, action=action, urgency=URGENT_CEILING, facts=facts)


def walk_down(position: Position, wanted: Price, reason: Reason, now: datetime) -> Decision:
    """Return the lowering toward ``wanted``, or the wait for its clock."""
    opens_at = position.opens_at
    if opens_at is not None and now < opens_at:
        return hold(position, Reason.CLOCK, due=opens_at, toward=wanted, wanted=str(wanted))
    price = wanted if position.lowest is None or wanted > position.lowest else position.lowest
    if price >= position.price:
        return hold(position, Reason.WINNING)
    return act(
        position,
        reason,
        reprice(position, price),
        urgency=URGENT_LOWER,
        toward=wanted,
        wanted=str(wanted),
    )
