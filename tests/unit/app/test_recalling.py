"""What a daemon knows when it starts: nothing is concluded from how long ago something was."""

from dataclasses import replace
from datetime import timedelta
from decimal import Decimal

from builders import (
    NOW,
    ORDER,
    SERVER,
    TARGET,
    at,
    btc,
    make_holding,
    make_intent,
    make_order,
    make_policy,
    make_view,
    read_orders,
    usd,
)

from bidder.app.recalling import read_again, recalled
from bidder.domain import fold
from bidder.domain.costs import Cost, Period
from bidder.domain.intents import OrdersRead, Settled, settle
from bidder.domain.market import OrdersAnswer
from bidder.domain.policy import Mode
from bidder.domain.price_rules import LOWERING_PAUSE, ClockRules, LoweringClock, next_lowering_at
from bidder.domain.view import Raised
from bidder.domain.work import Work
from bidder.store.records import Memory

POLICY = make_policy()


def test_a_short_gap_leaves_the_clocks_as_they_are() -> None:
    """A restart costs no ten minutes of overpaying."""
    memory = Memory(holdings=(make_holding(),), last_pass_at=at(-10))
    assert recalled(memory, POLICY, NOW).holdings[ORDER].clock == make_holding().clock


def test_after_a_gap_each_clock_counts_as_started_just_now() -> None:
    """A backup that was restored does not know of the last lowering."""
    for last in (at(-3600), at(3600), None):
        memory = Memory(holdings=(make_holding(),), last_pass_at=last)
        clock = recalled(memory, POLICY, NOW).holdings[ORDER].clock
        assert clock.opens_at == NOW + LOWERING_PAUSE


def test_an_open_intent_counts_as_sent_just_now() -> None:
    """However old it looks: the calendar may have jumped, and its order may still be listed late."""
    for opened in (-86400, 86400):
        old = make_intent(ended=opened, opened_at=at(opened), empty_reads=5)
        (intent,) = recalled(Memory(intents=(old,)), POLICY, NOW).intents
        read = OrdersRead(answer=OrdersAnswer(orders=()), started_at=at(60), completed=True)
        (verdict,) = settle([intent], read, grace=timedelta(seconds=120))
        assert verdict.settled is Settled.UNKNOWN
        again = intent.shown_nothing(read.started_at)
        for seconds, expected in ((130, Settled.UNKNOWN), (160, Settled.LOST)):
            later = replace(read, started_at=at(seconds))
            assert settle([again], later, grace=timedelta(seconds=120))[0].settled is expected


def test_times_that_lie_ahead_are_brought_back() -> None:
    """A calendar set back must not make an order unable to go missing."""
    ahead = make_holding(first_seen_at=at(3600), last_seen_at=at(3600), clock=LoweringClock())
    held = recalled(Memory(holdings=(ahead,), last_pass_at=NOW), POLICY, NOW).holdings[ORDER]
    assert held.first_seen_at == held.last_seen_at == NOW


def test_an_outbid_offer_is_regained_after_the_calendar_was_set_back() -> None:
    """What was outbid by a calendar of tomorrow is not waited out until then."""
    ahead = make_holding(active=False, outbid_since=at(86400))
    held = recalled(Memory(holdings=(ahead,), last_pass_at=at(86400)), POLICY, NOW).holdings[ORDER]
    assert held.outbid_since == NOW


def test_a_price_comes_down_after_the_calendar_was_set_back() -> None:
    """Events of tomorrow's calendar count as of now."""
    ahead = LoweringClock(created_at=at(86400), raised_at=at(90000), lowered_at=at(91000))
    rules = ClockRules(creation=True, raised=True)
    for last, slipped in ((NOW, timedelta(seconds=5)), (at(92000), timedelta(0))):
        memory = Memory(holdings=(make_holding(clock=ahead),), last_pass_at=last, rules=rules)
        clock = recalled(memory, POLICY, NOW).holdings[ORDER].clock
        assert next_lowering_at(clock, rules) == NOW + LOWERING_PAUSE + slipped


def test_a_budget_knows_what_today_has_cost_after_a_clock_was_ahead_over_midnight() -> None:
    """The marks of a day that has not begun leave at least what can have been charged in this one."""
    noon, month_end = NOW, NOW.replace(day=31)
    for now, ahead, least in ((noon, 13, (12, 13)), (month_end, 13, (12, 13)), (noon, 2, (1, 13))):
        wrong = now + timedelta(hours=ahead)
        tomorrow = wrong.day != now.day
        # One USD an hour since yesterday; of that the wrong calendar calls one hour's tomorrow's.
        marks = Decimal(35) if tomorrow else Decimal(24)
        month = marks if wrong.month != now.month else Decimal(23)
        cost = Cost(usd=Decimal(36), at=wrong, before_day=marks, before_month=month)
        order = make_order(price=usd("24"), created_at=wrong, fee_percent=0.0)
        held = make_holding(order=order, cost=cost)
        memory = Memory(holdings=(held,), closing={ORDER: held}, last_pass_at=wrong)
        view = recalled(memory, POLICY, now)
        for each in (view.holdings[ORDER].cost, view.closing[ORDER].cost):
            assert each.at == now
            today = each.within(Period.DAY, now)
            assert least[0] <= today <= least[1], (now, ahead)
            assert today <= each.within(Period.MONTH, now)
            assert each.within(Period.DAY, now + timedelta(days=1)) == 0


def test_what_an_order_has_cost_at_a_dearer_price_is_todays_as_well() -> None:
    """Lowered just before, it has cost more than its present price; one without a rate counts whole."""
    cost = Cost(usd=Decimal(60), at=at(86400), before_day=Decimal(60), before_month=Decimal(60))
    work = Work(computed=timedelta(hours=30))
    for price, done, least in (("12", work, 24), ("24", work, 24), ("12", Work(), 6)):
        held = make_holding(order=make_order(price=usd(price), fee_percent=0.0), cost=cost, work=done)
        found = recalled(Memory(holdings=(held,), last_pass_at=NOW), POLICY, NOW).holdings[ORDER].cost
        assert least <= found.within(Period.DAY, NOW) <= least + 1
    unvalued = make_holding(order=make_order(price=btc("0.001")), cost=cost)
    found = recalled(Memory(holdings=(unvalued,), last_pass_at=NOW), POLICY, NOW).holdings[ORDER].cost
    assert found.within(Period.DAY, NOW) == 60


def test_a_calendar_that_slipped_while_nothing_ran_opens_no_clock_early() -> None:
    """By how much nobody can tell: what is closed opens five seconds later, an open one stays."""
    for lowered, opens in ((-100, 505), (-700, -100)):
        clock = LoweringClock(lowered_at=at(lowered))
        memory = Memory(holdings=(make_holding(clock=clock),), last_pass_at=at(-5))
        found = recalled(memory, POLICY, NOW).holdings[ORDER].clock
        assert next_lowering_at(found, memory.rules) == at(opens)


def test_raises_that_lie_ahead_are_brought_back() -> None:
    """A server must not count as at war for a day because the calendar was wrong for a while."""
    ahead = Raised(server=SERVER, order=ORDER, rival=None, at=at(86400))
    (raised,) = recalled(Memory(raises=(ahead,), last_pass_at=NOW), POLICY, NOW).raises
    assert raised.at == NOW


def test_a_memory_that_may_be_out_of_date_is_marked() -> None:
    """Whatever was done since the last pass on disk is not known."""
    assert recalled(Memory(last_pass_at=at(-10)), POLICY, NOW).recalled_at is None
    assert recalled(Memory(), replace(POLICY, mode=Mode.PAPER), NOW).recalled_at is None
    for last in (at(-3600), at(3600), None):
        view = recalled(Memory(last_pass_at=last), POLICY, NOW)
        assert (view.recalled_at, view.begun_anew) == (NOW, last is None)


def test_a_crash_within_the_wait_does_not_end_it() -> None:
    """The restart finds a pass of just now, on a memory that is as old as before."""
    memory = Memory(last_pass_at=at(-5), recalled_at=at(-10))
    assert recalled(memory, POLICY, NOW).recalled_at == at(-10)
    ahead = Memory(last_pass_at=at(-5), recalled_at=at(3600))
    assert recalled(ahead, POLICY, NOW).recalled_at == NOW


def test_an_order_that_was_taken_for_ended_before_a_restart_is_its_targets_when_it_is_back() -> None:
    """What is on disk knows whose it was."""
    gone = make_holding(ended_at=at(-30))
    memory = Memory(
        ended={ORDER: SERVER}, unbooked=frozenset({ORDER}), closing={ORDER: gone}, last_pass_at=at(-1)
    )
    view = recalled(memory, POLICY, NOW)
    for seconds in (10, 111):
        read = read_orders(make_order(), started=seconds)
        view = fold.orders(view, read, (), POLICY, at(seconds + 1)).view
    assert view.holdings[ORDER].target == TARGET


def test_a_database_that_fails_again_and_again_keeps_no_clock_shut() -> None:
    """This process has counted all the while, however long nothing could be written down."""
    clock = LoweringClock(created_at=at(-3600), lowered_at=at(-100))
    for last in (at(-1), at(-3600), None):
        view = make_view(POLICY, holdings=[make_holding(clock=clock)], recalled_at=None)
        for _ in range(3):
            stored = tuple(view.holdings.values())
            view = read_again(Memory(holdings=stored, last_pass_at=last), view, POLICY, NOW)
        assert view.holdings[ORDER].clock == clock
        assert view.recalled_at is None


def test_a_wait_that_has_begun_before_the_database_failed_goes_on() -> None:
    """Since when our orders are watched does not change by it."""
    view = make_view(POLICY, recalled_at=at(-30))
    assert read_again(Memory(last_pass_at=at(-3600)), view, POLICY, NOW).recalled_at == at(-30)


def test_a_database_that_lacks_an_order_is_an_older_one() -> None:
    """It may lack creations as well: nothing is ordered until our orders have shown all there is."""
    view = make_view(POLICY, holdings=[make_holding()], recalled_at=None)
    assert read_again(Memory(last_pass_at=at(-1)), view, POLICY, NOW).recalled_at == NOW
    ended = Memory(last_pass_at=at(-1), ended={ORDER: SERVER})
    assert read_again(ended, view, POLICY, NOW).recalled_at is None


def test_what_was_kept_though_it_was_called_failed_is_the_newer_word_on_a_clock() -> None:
    """A lowering, or the exchange's own word on when the next one may come."""
    view = make_view(POLICY, holdings=[make_holding(clock=LoweringClock(lowered_at=at(-700)))])
    lowered = LoweringClock(lowered_at=at(-2))
    refused = LoweringClock(lowered_at=at(-700), opens_at=at(300))
    for stored in (lowered, refused):
        memory = Memory(holdings=(make_holding(clock=stored),), last_pass_at=at(-1))
        assert read_again(memory, view, POLICY, NOW).holdings[ORDER].clock == stored


def test_an_order_that_only_the_disk_knows_may_just_have_been_lowered() -> None:
    """Of it this process has seen nothing; and an open request is in doubt."""
    memory = Memory(
        holdings=(make_holding(),), intents=(make_intent(ended=-50),), last_pass_at=at(-3600)
    )
    view = read_again(memory, make_view(POLICY), POLICY, NOW)
    assert view.holdings[ORDER].clock.opens_at == NOW + LOWERING_PAUSE
    assert [intent.ended_at for intent in view.intents] == [NOW]
