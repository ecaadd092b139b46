"""Whatever the situation, ``track`` keeps the rules of pricing."""

from datetime import timedelta
from decimal import Decimal

from builders import (
    at,
    make_book,
    make_holding,
    mine,
    rival,
    usd,
)
from hypothesis import given
from hypothesis import strategies as st
from unit.domain.bids import clock, facing, raises

from bidder.domain.actions import Reprice
from bidder.domain.market import Book, Offer
from bidder.domain.money import Currency, Price
from bidder.domain.policy import TrackParams
from bidder.domain.view import Holding, Raised

_USD = st.decimals("0.5", "7", places=2).map(lambda amount: Price(amount, Currency.USD))


@st.composite
def situations(draw: st.DrawFn) -> tuple[Holding, Book, tuple[Raised, ...]]:
    """Return a bid of ours and a book in any state."""
    price, active = draw(_USD), draw(st.booleans())
    rivals = [rival(p, number=600 + i) for i, p in enumerate(draw(st.lists(_USD, max_size=4)))]
    if not active and rivals and draw(st.booleans()):
        rivals[0] = Offer(order=rivals[0].order, price=rivals[0].price, active=True, mine=False)
    holding = make_holding(
        price=price,
        active=active,
        outbid_since=None if active else at(draw(st.integers(-600, 0))),
        clock=clock(draw(st.integers(0, 1200))),
    )
    book = make_book(mine(price, active=active), *rivals, online=draw(st.booleans()))
    return holding, book, raises(*draw(st.lists(st.integers(-3000, 0), max_size=10)))


@given(situation=situations(), reads=st.integers(0, 3), confirm=st.booleans(), wait=st.integers(0, 60))
def test_no_situation_breaks_a_rule_of_pricing(
    situation: tuple[Holding, Book, tuple[Raised, ...]], reads: int, confirm: bool, wait: int
) -> None:
    """Raises suffice and no more, below the ceiling; lowerings run, on an open clock, or come home."""
    holding, book, raised = situation
    params = TrackParams(raise_wait=timedelta(seconds=wait), confirm=confirm)
    decision = facing(holding=holding, book=book, params=params, reads=reads, raises=raised)
    action = decision.action
    if not isinstance(action, Reprice):
        return
    best = max((o.price for o in book.offers if not o.mine), key=lambda p: p.amount, default=None)
    assert action.price <= usd("5")
    if action.lowers:
        assert holding.clock.lowered_at is not None
        assert holding.clock.lowered_at <= at(-600)
        assert holding.active or holding.order.price > usd("5")
        assert best is None or action.price > best or action.price == usd("5")
        return
    assert not holding.active
    assert holding.outbid_since is not None
    assert holding.outbid_since <= at(-wait)
    assert reads >= 2 or not confirm
    # The floor alone may have risen above our bid.
    needed = usd("1") if best is None else max(best.one_tick_up(), usd("1"))
    if needed > holding.order.price:
        assert action.price == needed
    else:
        assert action.price <= holding.order.price.times(Decimal("1.01"))
