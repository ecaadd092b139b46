"""What a read of our orders teaches: what lives, what ended, what is ours, and since when."""

import itertools
from dataclasses import replace
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from builders import (
    LAUNCH,
    NOW,
    ORDER,
    TARGET,
    at,
    clore,
    make_book,
    make_holding,
    make_intent,
    make_listing,
    make_market,
    make_order,
    make_policy,
    make_target,
    make_view,
    mine,
    read_orders,
    seen,
    usd,
)
from hypothesis import given
from hypothesis import strategies as st

from bidder.domain import fold, guard, intents, planning
from bidder.domain.actions import Decision, PlaceBid, Reason, Withdraw
from bidder.domain.fold import OrdersFolded
from bidder.domain.ids import OrderId, ServerId
from bidder.domain.intents import IntentKind, IntentState, OrdersRead
from bidder.domain.market import Access, OrderKind, OwnOrder
from bidder.domain.money import Currency, Money
from bidder.domain.policy import Ceiling, DeadlineParams, Per, Policy, Requirements
from bidder.domain.price_rules import LOWERING_PAUSE, ClockRules, LoweringClock, next_lowering_at
from bidder.domain.probe import Probe, Pulse
from bidder.domain.unexplained import unexplained
from bidder.domain.view import Cancelled, RateDoubt, View
from bidder.domain.work import Work

POLICY = make_policy(make_target(want=2))
GRACE = timedelta(seconds=120)


def folded(
    view: View, read: OrdersRead, policy: Policy = POLICY, now: datetime | None = None
) -> OrdersFolded:
    """Fold a read as a pass does: settle first, then fold; the answer took a second."""
    verdicts = intents.settle(view.intents, read, grace=GRACE)
    return fold.orders(view, read, verdicts, policy, now or read.started_at + timedelta(seconds=1))


def holding_view(**changes: Any) -> View:
    """Return a view with our order 7."""
    return make_view(POLICY, make_listing(), holdings=[make_holding(**changes)])


def usd_money(text: str) -> Money:
    """Return an amount in dollars."""
    return Money.parse(text, Currency.USD)


def test_a_charge_is_valued_once_its_rate_is_known_to_be_right() -> None:
    """By a false rate it would count a hundred times for good; at an order's end there is no later."""
    price = clore("50")
    view = make_view(
        POLICY,
        make_listing(),
        holdings=[make_holding(price=price)],
        doubted={Currency.CLORE: RateDoubt(since=at(-5))},
    )
    billed = make_order(price=price, spend=Money.parse("10", Currency.CLORE), fee_percent=0.0)

    read = folded(view, read_orders(billed)).view
    assert read.holdings[ORDER].cost.usd == 0
    settled = folded(replace(read, doubted={}), read_orders(billed, started=60)).view
    assert settled.holdings[ORDER].cost.usd == view.rates.to_usd(billed.spend)
    (over,) = folded(view, read_orders(replace(billed, expired=True))).ended
    assert over.cost.usd == view.rates.to_usd(billed.spend)


# --- adoption


def test_an_order_of_a_creation_that_a_backup_remembers_may_just_have_been_lowered() -> None:
    """By another life of ours, before the backup was restored; one that is asked for since cannot."""
    view = make_view(POLICY, make_listing(), intents=(make_intent(accepted=True),), recalled_at=NOW)
    (adopted,) = folded(view, read_orders(make_order(8), started=20)).adopted
    assert adopted.clock.opens_at == at(21) + LOWERING_PAUSE

    earlier = replace(view, recalled_at=at(-60))
    (adopted,) = folded(earlier, read_orders(make_order(8), started=20)).adopted
    assert adopted.clock.opens_at is None


def test_the_order_of_an_accepted_creation_becomes_ours() -> None:
    """With its target, and its clock from the moment of the answer."""
    view = make_view(POLICY, make_listing(), intents=(make_intent(accepted=True),))
    result = folded(view, read_orders(make_order(8, created_at=at(0)), started=20))
    (adopted,) = result.adopted
    assert adopted.order.order == 8
    assert adopted.target == TARGET
    assert adopted.clock == LoweringClock(created_at=at(0))
    assert result.view.intents == ()


def test_the_clock_of_an_order_in_doubt_counts_from_when_it_was_seen() -> None:
    """It may have been created any time until now: never too early."""
    view = make_view(POLICY, make_listing(), intents=(make_intent(accepted=False),))
    result = folded(view, read_orders(make_order(8, created_at=at(0)), started=20))
    assert result.adopted[0].clock.created_at == at(21)


def test_two_fitting_orders_freeze_the_server() -> None:
    """The intent stays, for a person; both orders count as strangers."""
    view = make_view(POLICY, make_listing(), intents=(make_intent(),))
    new = [make_order(n, created_at=at(0)) for n in (8, 9)]
    result = folded(view, read_orders(*new, started=5))
    assert [intent.state for intent in result.view.intents] == [IntentState.AMBIGUOUS]
    assert {h.target for h in result.view.holdings.values()} == {None}


def test_empty_reads_are_counted_until_the_creation_is_lost() -> None:
    """Three complete reads, far enough apart, and the grace; then its server is free again."""
    view = make_view(POLICY, make_listing(), intents=(make_intent(),))
    for started, left in ((50, 1), (100, 1), (149, 1), (151, 0)):
        view = folded(view, read_orders(started=started)).view
        assert len(view.intents) == left


def test_a_creation_that_is_lost_is_remembered_for_a_day() -> None:
    """Its order may be listed after all; then it is remembered no more."""
    view = make_view(POLICY, make_listing(), intents=(make_intent(),))
    for started in (50, 100, 151):
        view = folded(view, read_orders(started=started)).view
    assert [(i.id, i.state) for i in view.lost] == [(1, IntentState.LOST)]
    assert folded(view, read_orders(started=86_000)).view.lost == view.lost
    assert folded(view, read_orders(started=86_500)).view.lost == ()

    read = read_orders(make_order(8, created_at=at(0), image=LAUNCH.image), started=170)
    stranger = folded(view, read).view
    assert stranger.holdings[OrderId(8)].target is None
    images: dict[str | None, str] = {TARGET: LAUNCH.image}
    for before in (view, stranger):
        verdicts = intents.late(view.lost, read, explained=frozenset(), images=images)
        result = fold.orders(before, read, verdicts, POLICY, at(171))
        assert result.view.holdings[OrderId(8)].target == TARGET
        assert [h.order.order for h in result.adopted] == [8]
        assert result.view.lost == ()


def test_an_order_that_no_intent_explains_is_a_persons() -> None:
    """It is shown and counted, and has no target."""
    view = make_view(POLICY, make_listing())
    result = folded(view, read_orders(make_order(9), started=5))
    assert result.view.holdings[OrderId(9)].target is None
    assert result.changed == (result.view.holdings[OrderId(9)],)


def test_a_garbled_name_makes_no_stranger_of_what_looked_like_ours() -> None:
    """It still fills its slot and counts under `max_orders`."""
    view = make_view(POLICY, make_listing())
    before = folded(view, read_orders(make_order(9, image=LAUNCH.image), started=5)).view
    after = folded(before, read_orders(make_order(9, image="🦀"), started=60)).view
    assert after.holdings[OrderId(9)].order.image == LAUNCH.image
    assert [h.order.order for h in unexplained(POLICY.targets[0], after, POLICY.mode)] == [9]


def test_a_name_that_was_garbled_first_is_put_right() -> None:
    """What was never recognised is taken as it is listed."""
    view = make_view(POLICY, make_listing())
    before = folded(view, read_orders(make_order(9, image="🦀"), started=5)).view
    after = folded(before, read_orders(make_order(9, image=LAUNCH.image), started=60)).view
    assert after.holdings[OrderId(9)].order.image == LAUNCH.image


def test_with_adopt_a_strangers_order_goes_to_a_target_with_room() -> None:
    """If its server qualifies and it is a spot order."""
    adopting = replace(POLICY, adopt=True)
    view = make_view(adopting, make_listing(), make_listing(102), make_listing(103))
    read = read_orders(
        make_order(9),
        make_order(10, server=102, kind=OrderKind.ON_DEMAND),
        make_order(11, server=404),
        started=5,
    )
    held = folded(view, read, adopting).view.holdings
    assert {int(n): h.target for n, h in held.items()} == {9: TARGET, 10: None, 11: None}


def test_an_adopting_target_takes_no_more_than_it_wants() -> None:
    """The others stay a person's."""
    adopting = make_policy(make_target(want=1), adopt=True)
    view = make_view(adopting, make_listing(), make_listing(102))
    read = read_orders(make_order(9), make_order(10, server=102), started=5)
    targets = [h.target for h in folded(view, read, adopting).view.holdings.values()]
    assert sorted(targets, key=str) == [None, TARGET]


def test_an_order_that_was_a_persons_is_adopted_once_its_server_is_known() -> None:
    """The orders are read before the marketplace; and it may just have been lowered."""
    adopting = replace(POLICY, adopt=True)
    blind = make_view(adopting)
    view = folded(blind, read_orders(make_order(9), started=5), adopting).view
    assert view.holdings[OrderId(9)].target is None
    known = make_view(adopting, make_listing(), holdings=view.holdings.values())
    view = folded(known, read_orders(make_order(9), started=10), adopting).view
    adopted = view.holdings[OrderId(9)]
    assert adopted.target == TARGET
    assert next_lowering_at(adopted.clock, ClockRules()) == at(11 + 600)


def adopted_by_a_job(order: OwnOrder, *, done: float) -> str | None:
    """Return whose an order is where a job of two GPU-hours has computed so many, and adopts."""
    params = DeadlineParams(
        gpu_hours=Decimal(2), by=at(86400), on_demand_ceiling=Ceiling(price=usd("12"))
    )
    adopting = make_policy(make_target(params=params), adopt=True)
    view = replace(make_view(adopting, make_listing()), computed={TARGET: timedelta(hours=done)})
    (held,) = folded(view, read_orders(order, started=5), adopting).view.holdings.values()
    return held.target


@pytest.mark.parametrize("kind", OrderKind)
def test_a_job_adopts_what_computes_for_it_as_long_as_it_is_not_done(kind: OrderKind) -> None:
    """What it does not need it would cancel: a person's order is none of its to end."""
    own = make_order(9, kind=kind, image=LAUNCH.image)
    assert adopted_by_a_job(own, done=1) == TARGET
    assert adopted_by_a_job(own, done=2) is None
    assert adopted_by_a_job(replace(own, image="somebody/elses:1"), done=1) is None


def test_no_bid_is_adopted_in_a_currency_that_its_target_does_not_pay_with() -> None:
    """Outbid it would be cancelled."""
    adopting = make_policy(make_target(currencies=(Currency.USD,)), adopt=True)
    read = read_orders(make_order(9, price=clore("50")), started=5)
    (held,) = folded(make_view(adopting, make_listing()), read, adopting).view.holdings.values()
    assert held.target is None


BOTH = make_policy(
    *(
        make_target(model, per=Per.GPU, requirements=Requirements(gpu_models=(model,)))
        for model in ("RTX 4090", "RTX 3090")
    ),
    adopt=True,
)


def unlisted(number: int = 9, **changes: Any) -> OwnOrder:
    """Return an order on a server that the marketplace does not list, of eight RTX 3090."""
    eight = {"gpu_model": "RTX 3090", "gpu_count": 8, "image": LAUNCH.image}
    return make_order(number, server=404, **{**eight, **changes})


def test_an_order_on_a_server_that_is_not_listed_is_adopted_by_its_own_gpus() -> None:
    """As long as its host hides it, and all of them count."""
    view = make_view(BOTH, make_listing())
    view = folded(view, read_orders(unlisted(), started=5), BOTH).view
    (held,) = view.holdings.values()
    assert (held.target, held.work.gpus) == ("RTX 3090", 8)


@pytest.mark.parametrize(
    "changes",
    [
        {"image": "other/image"},
        {"gpu_model": "RTX 4080"},
        {"gpu_model": None, "gpu_count": None},
        {"kind": OrderKind.ON_DEMAND},
    ],
)
def test_an_order_on_a_server_that_is_not_listed_may_be_a_persons(changes: dict[str, Any]) -> None:
    """It was not launched by a target as it seems, or nobody can say by which."""
    read = read_orders(unlisted(**changes), started=5)
    (held,) = folded(make_view(BOTH, make_listing()), read, BOTH).view.holdings.values()
    assert held.target is None


def test_before_a_marketplace_was_read_no_server_counts_as_unlisted() -> None:
    """What its listing says of it goes before what the order does."""
    view = replace(make_view(BOTH), marketplace_at=None)
    view = folded(view, read_orders(unlisted(), started=5), BOTH).view
    assert view.holdings[OrderId(9)].target is None


def test_an_order_of_eight_gpus_is_no_bid_for_one() -> None:
    """Created by us, its server hidden since: by its ceiling per GPU it may stay, or must go."""
    creation = make_intent(server=404, target="RTX 3090")
    for price, reason in ((usd("8"), Reason.WINNING), (usd("45"), Reason.ABOVE_CEILING)):
        view = make_view(BOTH, make_listing(), intents=(creation,))
        order = unlisted(8, created_at=at(0), price=price)
        view = folded(view, read_orders(order, started=20), BOTH).view
        assert view.holdings[OrderId(8)].work.gpus == 8
        book = seen(make_book(mine(price, active=True, number=8), server=404, floor=price), when=at(25))
        view = replace(view, books={ServerId(404): book})
        (decided,) = (d for d in planning.plan(view, BOTH, at(26)) if d.order == 8)
        assert decided.reason is reason


def test_an_order_of_one_gpu_by_its_own_word_comes_down_to_its_ceiling() -> None:
    """Unknown, it might have more of them."""
    for count, reason in ((None, Reason.STALE), (1, Reason.ABOVE_CEILING)):
        order = unlisted(gpu_count=count, price=usd("8"))
        view = make_view(BOTH, make_listing(), holdings=[make_holding(order=order, target="RTX 3090")])
        book = seen(make_book(mine(usd("8"), active=True, number=9), server=404), when=at(-1))
        view = replace(view, books={ServerId(404): book})
        (decided,) = (d for d in planning.plan(view, BOTH, NOW) if d.order == 9)
        assert decided.reason is reason


def test_what_a_listing_said_of_the_gpus_stands_while_it_is_hidden() -> None:
    """The bid was made below a ceiling reckoned by it."""
    known = make_holding(order=unlisted(gpu_count=None), target="RTX 3090", work=Work(gpus=4))
    view = make_view(BOTH, make_listing(), holdings=[known])
    view = folded(view, read_orders(unlisted(), started=5), BOTH).view
    assert view.holdings[OrderId(9)].work.gpus == 4


def test_an_answer_that_leaves_the_gpus_out_makes_nothing_forgotten() -> None:
    """Nor does one that garbles them."""
    view = make_view(POLICY, make_listing())
    view = folded(view, read_orders(unlisted(), started=5)).view
    for started, said in ((60, {"gpu_count": None, "gpu_model": None}), (120, {"gpu_count": 1})):
        view = folded(view, read_orders(unlisted(**said), started=started)).view
        order = view.holdings[OrderId(9)].order
        assert (order.gpu_model, order.gpu_count) == ("RTX 3090", 8)


# --- lost answers


def test_a_lowering_whose_answer_was_lost_starts_the_clock_when_it_is_seen() -> None:
    """After a crash nobody knows when it was carried out: 600 seconds from now at the latest."""
    lost = make_intent(IntentKind.REPRICE, price=usd("1.5"), previous_price=usd("2"), ended=None)
    view = replace(holding_view(), intents=(lost,))
    result = folded(view, read_orders(make_order(price=usd("1.5")), started=30))
    held = result.view.holdings[ORDER]
    assert held.order.price == usd("1.5")
    assert held.clock.lowered_at == at(31)
    assert next_lowering_at(held.clock, ClockRules()) == at(631)
    assert result.view.intents == ()


def test_a_raise_whose_answer_was_lost_is_a_raise() -> None:
    """It is counted as one for the clock, and the wait before the next begins anew."""
    lost = make_intent(IntentKind.REPRICE, price=usd("3"), previous_price=usd("2"))
    view = replace(holding_view(active=False, outbid_since=at(-50)), intents=(lost,))
    held = folded(view, read_orders(make_order(price=usd("3")), started=5)).view.holdings[ORDER]
    assert held.clock.raised_at == at(6)
    assert held.clock.lowered_at is None
    assert held.outbid_since is None


def test_a_change_that_did_not_happen_leaves_price_and_clock() -> None:
    """And is decided again."""
    lost = make_intent(IntentKind.REPRICE, price=usd("1.5"), previous_price=usd("2"))
    view = replace(holding_view(), intents=(lost,))
    result = folded(view, read_orders(make_order(price=usd("2")), started=46))
    assert result.view.intents == ()
    assert result.view.holdings[ORDER].clock.lowered_at is None


def test_a_cancellation_whose_answer_was_lost_ends_with_the_order() -> None:
    """Listed as ended: it is over, and its final spend is known."""
    lost = make_intent(IntentKind.WITHDRAW, price=None)
    view = replace(holding_view(), intents=(lost,))
    result = folded(view, read_orders(make_order(expired=True), started=5))
    assert result.view.intents == ()
    assert [h.order.order for h in result.ended] == [ORDER]
    assert result.view.holdings == {}


# --- ends


def test_an_expired_order_is_over_and_stays_over() -> None:
    """A late answer that still lists it running brings nothing back."""
    view = folded(holding_view(), read_orders(make_order(expired=True), started=5)).view
    assert view.ended == {ORDER: ServerId(101)}
    late = folded(view, read_orders(make_order(), started=6)).view
    assert late.holdings == {}


def test_an_ended_order_that_goes_on_running_comes_back_as_nobodys() -> None:
    """After a minute and a half no late answer explains it, and somebody must look at it."""
    view = folded(holding_view(), read_orders(make_order(expired=True), started=5)).view
    view = folded(view, read_orders(make_order(), started=20)).view
    view = folded(view, read_orders(make_order(), started=110)).view
    assert view.holdings == {}
    view = folded(view, read_orders(make_order(), started=121)).view
    assert view.holdings[ORDER].target is None
    assert view.ended == {}


def vanished(**changes: Any) -> View:
    """Return a view in which our order 7 was left out of our orders for so long that it is over."""
    view = holding_view(**changes)
    for started in (5, 10, 106):
        view = folded(view, read_orders(started=started)).view
    assert ORDER in view.ended
    return view


def test_an_order_that_was_left_out_for_too_long_is_its_targets_again() -> None:
    """It is ours by its number: as a stranger's it would run unattended, beside its successor."""
    view = folded(vanished(), read_orders(make_order(), started=130)).view
    assert view.holdings == {}
    result = folded(view, read_orders(make_order(), started=231))
    back = result.view.holdings[ORDER]
    assert back.target == TARGET
    assert (back.ended_at, back.missing_since, back.missing_reads) == (None, None, 0)
    assert back.clock.opens_at == at(232) + LOWERING_PAUSE
    assert result.changed == (back,)
    assert not result.view.ended
    assert not result.view.closing
    assert not result.view.unbooked


def test_what_an_order_has_computed_is_counted_once_though_it_was_taken_for_ended() -> None:
    """Its target's sum loses what it still brings itself."""
    worked = Work(gpus=1, computed=timedelta(hours=3))
    view = vanished(work=worked)
    assert view.computed == {TARGET: timedelta(hours=3)}
    view = folded(view, read_orders(make_order(), started=130)).view
    view = folded(view, read_orders(make_order(), started=231)).view
    assert view.computed == {TARGET: timedelta(0)}
    assert view.holdings[ORDER].work == worked


def test_an_order_that_is_listed_again_takes_up_its_slot_at_once() -> None:
    """Until it is known to be back no successor of it is ordered."""
    one = make_policy(make_target(want=1))
    gone = fold.marketplace(vanished(), make_market(make_listing(102)), one, at=at(129))
    gone = replace(gone, books={ServerId(102): seen(make_book(server=102), when=at(130))})
    assert [type(d.action) for d in planning.plan(gone, one, at(131))] == [PlaceBid]
    again = folded(gone, read_orders(make_order(), started=130), one).view
    (waits,) = planning.plan(again, one, at(131))
    assert (waits.action, waits.reason, waits.server) == (None, Reason.IN_DOUBT, 101)
    assert waits.facts["listed_again"] == ORDER
    bid = PlaceBid(server=ServerId(102), price=usd("1"), target=TARGET, launch=LAUNCH)
    asked = Decision(target=TARGET, reason=Reason.EMPTY_SLOT, action=bid, server=ServerId(102))
    assert guard.apply(asked, again, one, at(131)).facts["rail"] == "want"
    assert guard.apply(asked, gone, one, at(131)).action == bid


def test_a_late_answer_after_a_cancellation_takes_up_no_slot() -> None:
    """Within half a minute the list may be older than that."""
    view = fold.withdrawn(holding_view(), ORDER, at(0))
    soon = folded(view, read_orders(make_order(), started=40)).view
    assert soon.returning(TARGET) == ()
    late = folded(view, read_orders(make_order(), started=46)).view
    assert [h.order.order for h in late.returning(TARGET)] == [ORDER]
    assert late.returning("another") == ()


def test_an_order_that_is_not_listed_is_gone_when_nothing_else_can_explain_it() -> None:
    """Answers half a minute old may leave it out for a minute; a short list proves nothing."""
    once = folded(holding_view(), read_orders(started=5))
    assert once.view.holdings[ORDER].missing_reads == 1
    assert once.ended == ()
    short = folded(once.view, read_orders(started=10, completed=False))
    assert short.ended == ()
    twice = folded(once.view, read_orders(started=10))
    assert twice.ended == ()
    assert folded(twice.view, read_orders(started=95)).ended == ()
    gone = folded(twice.view, read_orders(started=106))
    assert [h.order.order for h in gone.ended] == [ORDER]
    assert gone.ended[0].ended_at == at(5)
    assert gone.view.unbooked == {ORDER}


def test_a_young_order_may_be_listed_late() -> None:
    """Seen once and then not: it is believed gone only after a minute and a half."""
    young = holding_view(first_seen_at=at(0), last_seen_at=at(0))
    view = folded(young, read_orders(started=5)).view
    view = folded(view, read_orders(started=65)).view
    assert ORDER in view.holdings
    gone = folded(view, read_orders(started=106))
    assert [h.order.order for h in gone.ended] == [ORDER]


def test_an_order_that_turns_up_again_was_never_gone() -> None:
    """One answer had left it out."""
    view = folded(holding_view(), read_orders(started=5)).view
    view = folded(view, read_orders(make_order(), started=10)).view
    assert view.holdings[ORDER].missing_reads == 0
    assert view.holdings[ORDER].missing_since is None


def test_a_read_from_before_the_order_was_last_seen_counts_for_nothing() -> None:
    """Its absence there is older news."""
    view = holding_view(last_seen_at=at(10))
    assert folded(view, read_orders(started=5)).view.holdings[ORDER].missing_reads == 0


def test_the_final_spend_is_booked_when_the_ended_order_is_listed() -> None:
    """Once."""
    view = replace(
        holding_view(), holdings={}, ended={ORDER: ServerId(101)}, unbooked=frozenset({ORDER})
    )
    final = make_order(expired=True, spend=usd_money("0.7"))
    result = folded(view, read_orders(final, started=5))
    assert result.booked == (final,)
    assert result.view.unbooked == frozenset()
    assert folded(result.view, read_orders(final, started=10)).booked == ()


# --- cancelled, and not


def test_an_order_that_was_cancelled_and_runs_on_is_cancelled_again() -> None:
    """It has a successor, which stays; also while trading is paused."""
    one = make_policy(make_target(want=1))
    view = fold.withdrawn(holding_view(), ORDER, at(0))
    view = view.with_holding(make_holding(8, server=102, first_seen_at=at(10), last_seen_at=at(200)))
    both = (make_order(), make_order(8, server=102))
    for started in (60, 161):
        view = folded(view, read_orders(*both, started=started), one).view
    assert view.holdings[ORDER].target == TARGET
    for paused in (False, True):
        found = planning.plan(replace(view, paused=paused), one, at(162))
        assert found[0].action == Withdraw(order=ORDER, server=ServerId(101), target=TARGET)
        assert found[0].reason is Reason.STILL_ALIVE
        assert [d.action for d in found[1:]] == [None]


def test_a_cancellation_that_comes_to_nothing_is_sent_again_ever_more_seldom() -> None:
    """A person is told after some tries; and until it is listed no more its slot is taken."""
    one = make_policy(make_target(want=1))
    view, tried, told, seconds = holding_view(), list[int](), False, 0
    view = fold.withdrawn(view, ORDER, at(0))
    while seconds < 6 * 3600:
        seconds += 20
        view = folded(view, read_orders(make_order(), started=seconds), one).view
        for decision in planning.plan(view, one, at(seconds + 1)):
            told = told or decision.reason is Reason.FROZEN
            if decision.action is not None:
                assert decision.reason is Reason.STILL_ALIVE
                tried.append(seconds)
                view = fold.withdrawn(view, ORDER, at(seconds + 1))
    waits = [later - earlier for earlier, later in itertools.pairwise(tried)]
    assert told
    assert waits == sorted(waits)
    assert 100 < waits[0] < 300
    assert waits[-1] in range(3600, 3700)


def test_a_slot_is_free_once_an_order_that_was_cancelled_twice_is_listed_no_more() -> None:
    """Not at once: the exchange's word was wrong before."""
    view = fold.withdrawn(holding_view(), ORDER, at(0))
    for started in (60, 161):
        view = folded(view, read_orders(make_order(), started=started)).view
    view = fold.withdrawn(view, ORDER, at(162))
    assert [h.order.order for h in view.returning(TARGET)] == [ORDER]
    assert folded(view, read_orders(started=170)).view.returning(TARGET) == ()


def test_of_a_cancelled_order_nothing_is_remembered_once_it_is_over() -> None:
    """Its final bill is read, and the tries are forgotten."""
    view = fold.withdrawn(holding_view(), ORDER, at(0))
    assert view.cancelled == {ORDER: Cancelled(at=at(0))}
    view = folded(view, read_orders(make_order(expired=True), started=60)).view
    assert view.cancelled == {}


def test_fees_that_were_told_once_stay_known() -> None:
    """An answer that leaves them out, or its last one, says nothing of them; another figure does."""
    fee = Money.parse("0.05", Currency.USD)
    view = holding_view(order=make_order(fee_percent=2.5, creation_fee=fee))
    silent = folded(view, read_orders(make_order(spend=usd_money("1")))).view
    gone = fold.withdrawn(silent, ORDER, at(2))
    done = folded(gone, read_orders(make_order(spend=usd_money("2"), expired=True), started=200))
    told = folded(silent, read_orders(make_order(fee_percent=4.0), started=5)).view

    known = silent.holdings[ORDER].order
    assert (known.fee_percent, known.creation_fee) == (2.5, fee)
    assert done.costs[ORDER].usd == Decimal("2.1")
    assert told.holdings[ORDER].order.fee_percent == 4.0


# --- how long an ended order is remembered


def days(count: float) -> float:
    """Return so many days in seconds."""
    return count * 86400


def over_view(**changes: Any) -> View:
    """Return a view in which our order 7 was withdrawn and its final spend is still to be read."""
    gone = {"ended": {ORDER: ServerId(101)}, "unbooked": frozenset({ORDER})}
    return replace(holding_view(), holdings={}, **{**gone, **changes})


def test_what_is_remembered_of_ended_orders_does_not_grow_with_the_months() -> None:
    """Twenty orders a day, listed for two days after their end: after a year it is some days' worth."""
    view = holding_view()
    sizes = []
    for day in range(365):
        for number in range(20):
            order = OrderId(1000 + day * 20 + number)
            held = make_holding(order, server=1000 + number, first_seen_at=at(days(day)))
            view = fold.withdrawn(view.with_holding(held), order)
        listed = [
            make_order(order, server=server, expired=True)
            for order, server in view.ended.items()
            if order >= 1000 + (day - 1) * 20
        ]
        view = folded(view, read_orders(make_order(), *listed, started=days(day) + 60)).view
        assert {order.order for order in listed} <= view.ended.keys(), "what is listed stays known"
        assert view.unlisted_since.keys() <= view.ended.keys()
        sizes.append(len(view.ended))
    assert sizes[20] == sizes[-1] <= 7 * 20
    assert view.unbooked == frozenset()


def test_an_ended_order_that_is_still_listed_is_never_forgotten() -> None:
    """A new creation on its server would be taken for it."""
    view, listed = over_view(unbooked=frozenset()), make_order(expired=True)
    for day in range(30):
        view = folded(view, read_orders(listed, started=days(day))).view
    view = replace(view, intents=(make_intent(known=fold.known_orders(view, ServerId(101))),))
    (verdict,) = intents.settle(view.intents, read_orders(listed, started=days(30)), grace=GRACE)
    assert verdict.orders == ()


def test_reads_of_live_orders_alone_let_nothing_be_forgotten() -> None:
    """They could not have listed it; nor does one read after a long outage."""
    view = over_view()
    for day in range(10):
        view = folded(view, read_orders(started=days(day), completed=False)).view
    view = folded(view, read_orders(started=days(11))).view
    assert ORDER in view.ended
    assert ORDER in view.unbooked
    view = folded(view, read_orders(started=days(15))).view
    assert ORDER not in view.ended
    assert ORDER not in view.unbooked, "nobody will tell its final spend any more"


def test_an_ended_order_is_kept_for_a_request_on_its_server() -> None:
    """Whatever comes of it is told apart from the order for as long as it is not settled."""
    view = folded(over_view(), read_orders(started=5)).view
    asked = make_intent(IntentKind.RENT, server=101, state=IntentState.AMBIGUOUS, known=[7])
    waiting = replace(view, intents=(asked,))
    verdicts = [intents.Verdict(intent=asked, settled=intents.Settled.UNKNOWN)]
    read = read_orders(started=days(4))
    kept = fold.orders(waiting, read, verdicts, POLICY, read.started_at).view
    assert ORDER in kept.ended
    assert ORDER not in folded(view, read).view.ended


# --- what an order shows


def test_a_read_older_than_our_last_change_keeps_our_price() -> None:
    """It may be as old as lists get, and then cannot know of the raise; later ones are believed."""
    stale_until = 6 + intents.STALENESS.total_seconds()
    raised = holding_view(price=usd("3"), clock=LoweringClock(raised_at=at(6)))
    stale = folded(raised, read_orders(make_order(price=usd("2")), started=5)).view
    assert stale.holdings[ORDER].order.price == usd("3")
    lagging = folded(raised, read_orders(make_order(price=usd("2")), started=stale_until - 1)).view
    assert lagging.holdings[ORDER].order.price == usd("3")
    newer = folded(raised, read_orders(make_order(price=usd("2")), started=stale_until)).view
    assert newer.holdings[ORDER].order.price == usd("2")


def test_what_was_spent_does_not_come_back() -> None:
    """A smaller figure is a stale answer."""
    view = folded(
        make_view(
            POLICY, make_listing(), holdings=[make_holding(order=make_order(spend=usd_money("0.5")))]
        ),
        read_orders(make_order(spend=usd_money("0.4")), started=5),
    ).view
    assert view.holdings[ORDER].order.spend == usd_money("0.5")


def test_the_way_in_is_kept_where_an_answer_leaves_it_out() -> None:
    """Hosts and ports belong to the order for life."""
    access = Access(pub_cluster=("n1.example",), tcp_ports=("22:10022",), http_port="8080")
    view = make_view(POLICY, make_listing(), holdings=[make_holding(order=make_order(access=access))])
    view = folded(view, read_orders(make_order(), started=5)).view
    assert view.holdings[ORDER].order.access == access


def test_the_creation_fee_is_that_of_the_newest_spot_order() -> None:
    """It changes; it is never assumed."""
    paid = [
        make_order(7, creation_fee=usd_money("0.3"), created_at=at(-200)),
        make_order(8, creation_fee=usd_money("0.2"), created_at=at(-100)),
        make_order(9, creation_fee=usd_money("0.9"), kind=OrderKind.ON_DEMAND, created_at=at(-50)),
        make_order(10, created_at=at(-10)),
    ]
    view = folded(make_view(POLICY), read_orders(*paid, started=5)).view
    assert view.creation_fee_usd == Decimal("0.2")
    assert folded(view, read_orders(started=10)).view.creation_fee_usd == Decimal("0.2")


def test_the_accounts_limit_of_orders_is_remembered() -> None:
    """An answer without it does not erase it."""
    view = folded(make_view(POLICY), read_orders(limit=5, started=5)).view
    assert folded(view, read_orders(started=10)).view.order_limit == 5


@pytest.mark.parametrize("completed", [True, False])
def test_the_moment_of_a_read_is_when_it_started(completed: bool) -> None:
    """It vouches for nothing later; only a complete one counts as such."""
    view = folded(holding_view(), read_orders(make_order(), started=5, completed=completed)).view
    assert view.orders_at == at(5)
    assert view.completed_at == (at(5) if completed else at(-60))


_LISTS = st.lists(
    st.builds(make_order, st.integers(1, 5), server=st.integers(1, 3), expired=st.booleans()),
    unique_by=lambda order: order.order,
    max_size=5,
)


@given(reads=st.lists(st.tuples(_LISTS, st.integers(1, 90), st.booleans()), max_size=8))
def test_an_order_is_live_or_over_never_both_and_never_forgotten(
    reads: list[tuple[list[OwnOrder], int, bool]],
) -> None:
    """Whatever the answers list in whatever sequence."""
    view, now = make_view(POLICY), 0
    ever: set[OrderId] = set()
    for listed, later, completed in reads:
        now += later
        view = folded(view, read_orders(*listed, started=now, completed=completed)).view
        ever.update(order.order for order in listed)
        assert not set(view.holdings) & set(view.ended)
        assert set(view.holdings) | set(view.ended) == ever
        for server in map(ServerId, range(1, 4)):
            known = fold.known_orders(view, server)
            assert known <= ever
            assert {h.order.order for h in view.holdings.values() if h.order.server == server} <= known


def test_a_price_that_went_down_without_us_starts_the_clock() -> None:
    """By hand, or late on the wire: the exchange counts it either way."""
    view = holding_view(clock=LoweringClock(created_at=at(-3600)))
    read = read_orders(make_order(price=usd("1")), started=0)
    (holding,) = folded(view, read).view.holdings.values()
    assert holding.order.price == usd("1")
    assert holding.clock.lowered_at == NOW


def test_a_price_that_went_up_without_us_counts_as_a_raise_from_then_on() -> None:
    """By hand, or late on the wire: where a raise starts the clock, a lowering would be refused."""
    clock = LoweringClock(created_at=at(-3600), raised_at=at(-900))
    read = read_orders(make_order(price=usd("3")), started=0)
    (holding,) = folded(holding_view(clock=clock), read).view.holdings.values()
    assert (holding.clock.raised_at, holding.clock.lowered_at) == (NOW, None)
    assert next_lowering_at(holding.clock, ClockRules(raised=True)) == at(600)


def test_a_lower_price_soon_after_our_own_change_is_an_old_answer() -> None:
    """It starts no clock: the list lags by up to half a minute."""
    clock = LoweringClock(created_at=at(-3600), raised_at=at(-20))
    read = read_orders(make_order(price=usd("1")), started=0)
    (holding,) = folded(holding_view(clock=clock), read).view.holdings.values()
    assert holding.clock.lowered_at is None


def test_only_the_first_use_of_an_account_has_no_gap_in_memory() -> None:
    """An order that is listed, or was, may have others beside it that are not listed just now."""
    anew = View(recalled_at=at(-5), begun_anew=True)
    assert folded(anew, read_orders(started=0)).view.recalled_at is None
    for view, read in (
        (anew, read_orders(make_order(), started=0)),
        (anew, read_orders(make_order(expired=True), started=0)),
        (replace(anew, begun_anew=False), read_orders(started=0)),
        (replace(anew, ended={OrderId(9): ServerId(9)}), read_orders(started=0)),
    ):
        once = folded(view, read).view
        assert once.recalled_at == at(-5)
        assert folded(replace(once, holdings={}, ended={}), read_orders(started=5)).view.recalled_at


PROBED = make_policy(make_target(probe=Probe(port="22")))


@pytest.mark.parametrize(
    ("failing_for", "blind", "unseen_for", "counts"),
    [
        (None, False, 30, True),  # it lives
        (60, False, 30, True),  # it has just fallen silent
        (3600, False, 30, False),
        (3600, True, 30, True),  # it could not be knocked at
        (3600, False, 600, True),  # we were cut off ourselves
    ],
)
@pytest.mark.parametrize("over", [True, False])
def test_a_dead_workload_computes_nothing(
    failing_for: float | None, blind: bool, unseen_for: float, counts: bool, *, over: bool
) -> None:
    """Its order is charged all the same."""
    dead_since = None if failing_for is None else at(-failing_for)
    pulse = Pulse(
        began_at=at(-9000), alive_at=at(-7000), probed_at=NOW, dead_since=dead_since, blind=blind
    )
    held = make_holding(work=Work(computed=timedelta(hours=1)), last_seen_at=at(-unseen_for))
    view = make_view(PROBED, make_listing(), holdings=[held], pulses={ORDER: pulse})
    charged = make_order(spend=Money.parse("0.5", Currency.USD), expired=over)  # 2 USD a day: six hours

    after = folded(view, read_orders(charged, started=0), PROBED).view

    worked = after.computed[TARGET] if over else after.holdings[ORDER].work.computed
    assert worked == timedelta(hours=7 if counts else 1)
