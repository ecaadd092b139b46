"""What a calendar that is put forward means for what is known."""

from datetime import timedelta

from builders import NOW, at, make_holding, make_intent, make_order, make_policy, read_orders

from bidder.domain import fold
from bidder.domain.ids import OrderId
from bidder.domain.intents import Settled, Verdict
from bidder.domain.price_rules import ClockRules, LoweringClock, next_lowering_at
from bidder.domain.view import View

SLIP = timedelta(seconds=4)
POLICY = make_policy()


def test_a_clock_that_is_closed_opens_as_much_later() -> None:
    """One that is open, or of which nothing is known to forbid a lowering, stays as it is."""
    closed = make_holding(1, clock=LoweringClock(lowered_at=at(-100)))
    told = make_holding(2, clock=LoweringClock(opens_at=at(60)))
    opened = make_holding(3, clock=LoweringClock(lowered_at=at(-700), opens_at=at(-30)))
    view = View(holdings={h.order.order: h for h in (closed, told, opened)})

    later = fold.clocks_put_off(view, SLIP, since=NOW).holdings

    opens = {number: next_lowering_at(h.clock, view.rules) for number, h in later.items()}
    assert opens[OrderId(1)] == at(500) + SLIP
    assert opens[OrderId(2)] == at(60) + SLIP
    assert later[OrderId(3)] == opened


def test_an_order_that_is_listed_only_afterwards_has_a_clock_as_much_later() -> None:
    """Its creation was accepted before: that is when the exchange began to count."""
    created = make_intent(accepted=True, ended=-3)
    view = fold.clocks_put_off(
        View(intents=(created,), rules=ClockRules(creation=True)), SLIP, since=NOW
    )
    (intent,) = view.intents
    read = read_orders(make_order(8), started=10)
    verdict = Verdict(intent=intent, settled=Settled.ADOPTED, orders=(OrderId(8),))

    (adopted,) = fold.orders(view, read, (verdict,), POLICY, at(10)).adopted

    assert next_lowering_at(adopted.clock, view.rules) == at(597) + SLIP
