"""When an obstacle is told: once it has lasted, however often a look or a deed interrupts it."""

from collections.abc import Callable
from dataclasses import replace
from decimal import Decimal

import pytest
from builders import (
    ORDER,
    SERVER,
    TARGET,
    at,
    btc,
    clore,
    make_holding,
    make_policy,
    make_target,
    make_view,
    outbid_holding,
    usd,
)

from bidder.app import alarms
from bidder.domain.actions import Decision, Fact, Reason
from bidder.domain.ids import ServerId
from bidder.domain.market import Wallet
from bidder.domain.money import Currency, Money
from bidder.domain.policy import Ceiling, DeadlineParams, Target
from bidder.domain.unread import Endpoint, Subject, Unreads
from bidder.domain.view import View

POLICY = make_policy()  # an obstacle is told after ten minutes
EMPTY = View()


def told(minutes: float, reason_at: Callable[[int], Reason]) -> list[tuple[int, str]]:
    """Return what is told, and at which second, of a slot that is looked at each second."""
    watch, found = alarms.Watch(), []
    for second in range(int(minutes * 60)):
        decisions = [Decision(target="training", reason=reason_at(second))]
        present = alarms.causes(EMPTY, decisions, POLICY, unreachable=False)
        watch, tell = alarms.watch(watch, present, POLICY, at(second))
        found += [(second, alarm.text) for alarm in tell]
    return found


@pytest.mark.parametrize("between", [Reason.STALE, Reason.EMPTY_SLOT, Reason.PENDING])
def test_an_obstacle_that_is_interrupted_for_moments_is_told(between: Reason) -> None:
    """Each half minute a look is awaited or a slot is filled; the rail is in the way all the same."""
    found = told(12, lambda second: between if second % 30 < 5 else Reason.RAIL)
    assert found == [(605, "strategy training: rail")]


def test_an_obstacle_that_was_away_for_long_begins_anew() -> None:
    """Two minutes without it, and it has ended; the next one must last for itself."""
    assert told(18, lambda second: Reason.RAIL if second % 720 < 590 else Reason.WINNING) == []


def test_an_obstacle_that_comes_back_soon_is_not_told_twice() -> None:
    """Told after ten minutes; away for a minute and a half, back for half an hour."""
    found = told(40, lambda second: Reason.WINNING if 660 <= second < 750 else Reason.RAIL)
    assert found == [(600, "strategy training: rail")]


@pytest.mark.parametrize("reason", [Reason.STALE, Reason.IN_DOUBT])
def test_what_comes_and_goes_with_each_request_is_no_obstacle(reason: Reason) -> None:
    """With many bids each book grows old before its turn, for hours on end."""
    assert told(30, lambda second: reason if second % 10 < 8 else Reason.WINNING) == []


def test_an_outage_is_told_once_and_not_again_for_each_target() -> None:
    """What is known grows old by it; what is too old ten minutes after its end is told."""
    watch, found = alarms.Watch(), []
    for minute in range(60):
        decisions = [Decision(target=f"t{number}", reason=Reason.STALE) for number in range(50)]
        present = alarms.causes(EMPTY, decisions, POLICY, unreachable=minute <= 30)
        watch, tell = alarms.watch(watch, present, POLICY, at(minute * 60))
        found += [(minute, alarm.key) for alarm in tell]
    assert found == [(10, "unreachable"), *((40, f"t{number}:stale") for number in range(50))]


def test_of_an_order_that_cannot_be_cancelled_a_person_is_told_at_once() -> None:
    """Which one it is, and that it takes a hand."""
    facts: dict[str, Fact] = {"cancelled_at": at(0).isoformat(), "times": 3}
    waits = Decision(target="a", reason=Reason.FROZEN, server=SERVER, order=ORDER, facts=facts)
    (alarm,) = alarms.causes(EMPTY, [waits], POLICY, unreachable=False)
    assert alarm.at_once
    assert alarm.text.endswith("order 7 runs on although it was cancelled 3 times; cancel it by hand")


@pytest.mark.parametrize(
    ("stopped_by", "why"),
    [
        ("max_usd_per_day", "the rail `max_usd_per_day` forbids it"),
        (Reason.NO_CANDIDATE.value, "no free server costs less than its `on_demand_ceiling`"),
    ],
)
def test_of_a_job_without_a_net_the_owner_is_told_in_time(stopped_by: str, why: str) -> None:
    """While it waits for spot servers, not when it is too late to change anything."""
    facts: dict[str, Fact] = {"net_stopped_by": stopped_by}
    waits = Decision(target="a", reason=Reason.SLACK, facts=facts)
    (alarm,) = alarms.causes(EMPTY, [waits], POLICY, unreachable=False)
    assert alarm.text.endswith(why)
    _, tell = alarms.watch(alarms.Watch(since={alarm.key: at(-600)}), [alarm], POLICY, at(0))
    assert tell == (alarm,)


WALLETS = Subject(endpoint=Endpoint.WALLETS)


def book_of(server: int) -> Subject:
    """Return the read of a server's book."""
    return Subject(endpoint=Endpoint.BOOK, server=ServerId(server))


def told_of_reads(minutes: int, *failing: Subject, alone: bool = True) -> list[tuple[int, str]]:
    """Return what is told, and in which minute, while reads fail; ``alone``: our orders do not."""
    held = [make_holding(number, server=101 + number) for number in range(5)]
    view, watch, found = make_view(POLICY, holdings=held), alarms.Watch(), []
    unread = Unreads()
    for minute in range(minutes):
        for subject in failing:
            unread = unread.failed(subject, at(minute * 60))
        if alone:
            unread = unread.answered(Subject(endpoint=Endpoint.ORDERS), at(minute * 60 + 1))
        present = alarms.causes(replace(view, unread=unread), (), POLICY, unreachable=not alone)
        watch, tell = alarms.watch(watch, present, POLICY, at(minute * 60 + 1))
        found += [(minute, alarm.text) for alarm in tell if alarm.key != "unreachable"]
    return found


def test_one_read_that_fails_for_long_is_told_once() -> None:
    """It lasts ten minutes from when it was the only one; and is said again after six hours."""
    text = "the wallets cannot be read, though the exchange answers other requests"
    assert told_of_reads(360, WALLETS) == [(11, text)]
    assert told_of_reads(380, WALLETS) == [(11, text), (371, text)]


def test_the_servers_whose_books_cannot_be_read_are_told_together() -> None:
    """Of those where we hold an order; another candidate has been found long before."""
    one = "the book of server 101 cannot be read, though the exchange answers other requests"
    assert told_of_reads(30, book_of(101), book_of(900)) == [(11, one)]
    assert told_of_reads(30, book_of(900)) == []
    ((_, several),) = told_of_reads(30, *map(book_of, range(101, 106)))
    assert several.startswith("the books of servers 101, 102, 103 and 2 more cannot be read")


def test_no_single_read_is_told_of_in_an_outage() -> None:
    """All of them fail, which is told already."""
    assert told_of_reads(60, WALLETS, book_of(101), alone=False) == []


def wallets(**balances: str) -> dict[Currency, Wallet]:
    """Return wallets by their short names."""
    found = {}
    for name, amount in balances.items():
        currency = Currency.named(name)
        found[currency] = Wallet(currency=currency, balance=Money.parse(amount, currency))
    return found


def told_of_wallets(view_at: Callable[[int], View], minutes: int) -> list[tuple[int, str]]:
    """Return what is told, and in which minute, of what is known in each."""
    watch, found = alarms.Watch(), []
    for minute in range(minutes):
        present = alarms.causes(view_at(minute), (), POLICY, unreachable=False)
        watch, tell = alarms.watch(watch, present, POLICY, at(minute * 60))
        found += [(minute, alarm.text) for alarm in tell]
    return found


def test_each_wallet_that_is_soon_empty_is_told_by_its_name() -> None:
    """One that lasts for 20 hours must not hide the one that lasts for an hour; fees count."""
    held = [make_holding(1, price=btc("0.001")), make_holding(2, price=clore("100"))]
    view = make_view(POLICY, holdings=held, wallets=wallets(BTC="0.000875", CLORE="4.375"))
    texts = {alarm.text for alarm in alarms.causes(view, (), POLICY, unreachable=False)}
    # Without the usual fee of 5 % they would be 21 hours and 1.05.
    assert texts == {
        "wallet BTC lasts 20.0 hours at the present bids, fees included",
        "wallet CLORE lasts 1.0 hours at the present bids, fees included",
    }


def test_a_short_runway_is_told_each_six_hours_however_the_order_changes_hands() -> None:
    """Every third minute a rival has its server, and nothing is spent."""
    runs, idle = (
        make_view(POLICY, holdings=[holding], wallets=wallets(USD="1.75"))
        for holding in (make_holding(), outbid_holding())
    )
    told_in = [minute for minute, _ in told_of_wallets(lambda m: idle if m % 6 < 3 else runs, 400)]
    assert told_in == [3, 363]


JOB = DeadlineParams(gpu_hours=Decimal(9), by=at(36000), on_demand_ceiling=Ceiling(price=usd("4")))
IDLE = [
    Reason.SERVER_LOST,
    Reason.UNAVAILABLE,
    Reason.ON_DEMAND_CHEAPER,
    Reason.NOT_WORTH_IT,
    Reason.WAR_PAUSE,
]


def told_while_idle(minutes: int, reason_at: Callable[[int], Reason], view: View) -> list[int]:
    """Return in which minutes something is told of an order that is looked at each minute."""
    watch, found = alarms.Watch(), []
    for minute in range(minutes):
        holds = Decision(target=TARGET, reason=reason_at(minute), server=SERVER, order=ORDER)
        present = alarms.causes(view, [holds], POLICY, unreachable=False)
        watch, tell = alarms.watch(watch, present, POLICY, at(minute * 60))
        found += [minute] * len(tell)
    return found


@pytest.mark.parametrize("reason", IDLE)
def test_an_order_that_is_idle_for_long_is_told(reason: Reason) -> None:
    """After an hour and each six hours, with what its owner can do; not while it waits for a moment."""
    view = make_view(POLICY, holdings=[outbid_holding()])
    assert told_while_idle(600, lambda _: reason, view) == [60, 420]
    holds = Decision(target=TARGET, reason=reason, server=SERVER, order=ORDER)
    (alarm,) = alarms.causes(view, [holds], POLICY, unreachable=False)
    assert alarm.text.startswith(f"strategy render on server 101: {reason.value}, 0 of 1 run; ")


def test_an_idle_order_whose_reasons_change_is_told_once() -> None:
    """The market is too dear, the server goes, a rival answers; and it runs for a while in between."""
    view = make_view(POLICY, holdings=[outbid_holding()])
    assert told_while_idle(300, lambda minute: IDLE[minute // 10 % 5], view) == [60]
    wins = told_while_idle(300, lambda m: Reason.WINNING if m % 80 >= 70 else IDLE[0], view)
    assert wins == [60], "told in the first spell, and not again in each"


def test_an_idle_order_is_no_news_where_as_many_run_as_are_wanted() -> None:
    """Nor is a job's, which says itself when it will be late."""
    beside = make_view(POLICY, holdings=[outbid_holding(), make_holding(8, server=102)])
    assert told_while_idle(120, lambda _: Reason.SERVER_LOST, beside) == []
    late = make_policy(make_target(params=JOB))
    holds = Decision(target=TARGET, reason=Reason.SERVER_LOST, server=SERVER, order=ORDER)
    alone = make_view(late, holdings=[outbid_holding()])
    assert alarms.causes(alone, [holds], late, unreachable=False) == ()


@pytest.mark.parametrize(
    ("targets", "why"),
    [
        ((make_target("new"),), "is not in the configuration any more; end it with `bidder cancel 7`"),
        ((make_target(enabled=False),), "is disabled; end it with `bidder cancel 7`"),
    ],
)
def test_an_order_that_nobody_looks_after_any_more_is_told_at_once(
    targets: tuple[Target, ...], why: str
) -> None:
    """Its strategy was removed, renamed or disabled; a person's order is his own."""
    after = make_policy(*targets)
    held = [make_holding(), make_holding(8, server=102, target=None)]
    view, watch = make_view(after, holdings=held), alarms.Watch()
    found = []
    for minute in range(400):
        present = alarms.causes(view, (), after, unreachable=False)
        watch, tell = alarms.watch(watch, present, after, at(minute * 60))
        found += [(minute, alarm.text) for alarm in tell]
    (first, text), (again, _) = found
    assert (first, again) == (0, 360)
    assert text.startswith("order 7 on server 101 is left alone: its strategy render ")
    assert why in text
    assert alarms.causes(view, (), POLICY, unreachable=False) == (), "while it is traded"
    unread = replace(view, orders_at=None)
    assert alarms.causes(unread, (), after, unreachable=False) == (), "before it is seen to live"
