"""Raw history becomes summaries before it goes, once each, whatever happens in between."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine, func, select
from store_values import ACCOUNT, NOW, at, btc, make_book, make_holding, make_pass

from bidder.domain.digest import Span, Spread
from bidder.domain.ids import OrderId, ServerId
from bidder.domain.market import OrderKind
from bidder.domain.money import Currency, Money, Price, Rates
from bidder.domain.policy import Mode, Retention
from bidder.domain.view import Holding
from bidder.store import tables
from bidder.store.engine import open_engine, transaction
from bidder.store.queries import Queries
from bidder.store.records import BookRecord, Over
from bidder.store.schema import upgrade
from bidder.store.store import Store

KEEP = Retention(raw=timedelta(days=2), hourly=timedelta(days=5), daily=timedelta(days=30))
HOUR = timedelta(hours=1)
RATES = Rates({Currency.BTC: Decimal(100_000)})


def usd(text: str) -> Price:
    """Return a price in dollars."""
    return Price.parse(text, Currency.USD)


def write(store: Store, *books: BookRecord, rates: Rates | None = None) -> None:
    """Record each book in a pass of its own, at the book's moment."""
    for number, book in enumerate(books):
        seconds = (book.at - NOW).total_seconds()
        store.record_pass(make_pass(number, seconds, books=(book,), rates=rates))


def watched(server: int, until: float, **changes: object) -> Iterator[BookRecord]:
    """Yield the reads of a book that stays the same, four minutes apart."""
    seconds = 0.0
    while seconds <= until:
        yield make_book(server, at=at(seconds), **changes)
        seconds += 240


def clean(store: Store, now: datetime, keep: Retention = KEEP) -> int:
    """Do every slice that is due; return how many there were."""
    for slices in range(100_000):
        if not store.tidy(now, keep):
            return slices
    raise AssertionError("housekeeping never ends")


def rows_in(engine: Engine, table: str) -> int:
    """Return the number of rows."""
    with transaction(engine, writing=False) as connection:
        wanted = select(func.count()).select_from(tables.metadata.tables[table])
        return int(connection.execute(wanted).scalar_one())


def test_hour_says_what_was_seen_and_paid(store: Store, queries: Queries) -> None:
    """Prices in USD over time, shares of the time watched, and what the target paid for it."""
    market = queries.market
    store.settle((), [make_holding(7, server=107)], at=NOW)
    bid: dict[str, Any] = {"our_price": usd("2.4"), "on_demand": usd("9.6")}
    write(store, *watched(107, 1800, best_rival=btc("0.00001"), **bid), rates=RATES)
    write(store, make_book(at=at(1800), best_rival=btc("0.00003"), **bid))
    write(store, make_book(at=at(2100), best_rival=btc("0.00003"), **bid))
    write(store, make_book(at=at(2400), best_rival=btc("0.00003"), active_order=None, **bid))
    clean(store, NOW + timedelta(days=1.9))

    (hour,) = market.server_periods(Span.HOUR)
    assert (hour.at, hour.server) == (NOW, ServerId(107))
    assert hour.summary.rival == Spread(low=Decimal(1), median=Decimal(1), high=Decimal(3))
    assert (hour.summary.known, hour.summary.held) == (timedelta(seconds=2400),) * 2
    assert hour.summary.spend == Decimal("0.066666666667")
    (target,) = queries.target_periods(Span.HOUR)
    assert (target.target, target.held.held, target.held.restarts) == ("a", hour.summary.held, 1)
    assert round(target.held.on_demand / target.held.spend) == 4
    (day,) = market.server_periods(Span.DAY)
    assert day.summary == hour.summary


def test_time_that_nobody_watched_is_not_known(store: Store, queries: Queries) -> None:
    """A daemon that was away for hours does not claim to know what the book was meanwhile."""
    write(store, make_book(at=NOW), make_book(at=at(240)), make_book(at=at(300)), make_book(at=at(9000)))
    write(store, make_book(at=at(9300)))
    clean(store, NOW + timedelta(days=2.5))

    assert sum(
        (p.summary.known for p in queries.market.server_periods(Span.DAY)), timedelta(0)
    ) == timedelta(seconds=600)


def test_hour_is_summarised_when_nothing_can_change_in_it(store: Store, queries: Queries) -> None:
    """An hour waits until its last book is confirmed or given up."""
    market = queries.market
    write(store, *watched(107, 3600))
    clean(store, NOW + HOUR)
    before = market.server_periods(Span.HOUR)
    clean(store, NOW + HOUR + timedelta(minutes=20))

    assert before == ()
    assert [period.at for period in market.server_periods(Span.HOUR)] == [NOW]


def test_every_slice_may_be_the_last(store: Store, engine: Engine, queries: Queries) -> None:
    """A daemon that dies after any slice loses nothing and counts nothing twice."""
    for server in range(100, 135):
        store.settle((), [make_holding(server, server=server)], at=NOW)
        ours = {"our_order": OrderId(server), "active_order": OrderId(server), "our_price": usd("2")}
        write(store, *watched(server, 4000, **ours), rates=RATES)
    slices = 0
    while Store(engine, ACCOUNT).tidy(NOW + timedelta(days=1), KEEP):
        slices += 1

    assert slices >= 8, "four for each of the hours"
    assert len(queries.market.server_periods(Span.HOUR)) == 70
    first, second = queries.target_periods(Span.HOUR)
    assert first.held.held == 35 * HOUR
    assert (first.held.restarts, second.held.restarts) == (35, 0)
    assert first.held.spend == 35 * Decimal("0.083333333333")


def test_raw_goes_only_when_it_is_summarised(store: Store, engine: Engine, queries: Queries) -> None:
    """After a pause of months the old rows are summed up first; then only each last one is left."""
    for hour in range(6):
        moved = [make_book(at=at(hour * 3600 + s), rivals=s) for s in range(0, 3600, 300)]
        write(store, *moved, rates=Rates({Currency.BTC: Decimal(60_000 + hour)}))
    clean(store, NOW + timedelta(days=3))

    assert len(queries.market.server_periods(Span.HOUR)) == 6
    assert rows_in(engine, "books") == 1
    assert rows_in(engine, "rates") == 1


def test_summaries_go_in_their_turn(store: Store, queries: Queries) -> None:
    """Hours go before days, days where the owner says so, and by default never."""
    market = queries.market
    write(store, *watched(107, 7200))
    clean(store, NOW + timedelta(days=6))
    after_a_week = (
        len(market.server_periods(Span.HOUR)),
        len(market.server_periods(Span.DAY)),
    )
    clean(store, NOW + timedelta(days=4000), Retention())
    kept = len(market.server_periods(Span.DAY))
    clean(store, NOW + timedelta(days=31))

    assert after_a_week == (0, 1)
    assert kept == 1
    assert market.server_periods(Span.DAY) == ()


def test_on_demand_orders_count_although_no_book_tells_of_them(store: Store, queries: Queries) -> None:
    """What was rented at the host's price is paid for by its target too."""
    holding = make_holding(7, price=usd("24"))
    rented = replace(holding, order=replace(holding.order, kind=OrderKind.ON_DEMAND))
    store.settle((), [rented], at=NOW)
    store.settle((), (), at=at(5400), over=[Over(order=OrderId(7), at=at(5400), cause="expired")])
    clean(store, NOW + timedelta(days=1))

    first, second = queries.target_periods(Span.HOUR)
    assert (first.held.spend, first.held.restarts) == (Decimal(1), 1)
    assert (second.held.spend, second.held.restarts) == (Decimal("0.5"), 0)


def test_file_shrinks_when_history_goes(tmp_path: Path) -> None:
    """Pages of deleted rows are given back to the disk, a slice at a time."""
    engine = open_engine(f"sqlite:///{tmp_path / 'bidder.db'}")
    upgrade(engine)
    with transaction(engine, writing=False) as connection:
        empty = connection.exec_driver_sql("PRAGMA page_count").scalar_one()
    store = Store(engine, ACCOUNT)
    for hour in range(40):
        books = tuple(make_book(server, at=at(hour * 3600), rivals=hour) for server in range(200))
        store.record_pass(make_pass(hour, hour * 3600.0, books=books))
    with transaction(engine, writing=False) as connection:
        before = connection.exec_driver_sql("PRAGMA page_count").scalar_one()
    clean(store, NOW + timedelta(days=30))
    with transaction(engine, writing=False) as connection:
        after = connection.exec_driver_sql("PRAGMA page_count").scalar_one()
    engine.dispose()

    # The schema's own pages hold no rows and can never be given back.
    assert after - empty < (before - empty) * 0.6


@pytest.mark.parametrize("looked_again_after", [300, 600])
def test_book_that_stays_is_one_row(store: Store, queries: Queries, looked_again_after: int) -> None:
    """Reads within the gap only move the row's end; beyond it the row ends where it was last seen."""
    write(store, make_book(at=NOW), make_book(at=at(looked_again_after)))
    write(store, make_book(at=at(looked_again_after + 601)))

    assert [(book.at, book.until) for book in queries.market.history()] == [
        (NOW, at(looked_again_after)),
        (at(looked_again_after + 601),) * 2,
    ]
    (held,) = queries.market.changes(ServerId(107), since=at(10), until=at(20))
    assert held.at == NOW


def test_what_was_on_paper_has_a_summary_of_its_own(
    store: Store, engine: Engine, queries: Queries
) -> None:
    """Half an hour on paper, half an hour for real, by one strategy on one server: never added up."""
    store.settle((), [make_holding(7, server=107)], at=NOW)
    Store(engine, ACCOUNT, mode=Mode.PAPER).settle((), [make_holding(-3, server=107)], at=NOW)
    bid: dict[str, Any] = {"our_price": usd("2.4"), "on_demand": usd("9.6")}
    paper = watched(107, 1680, active_order=OrderId(-3), our_order=OrderId(-3), rivals=0, **bid)
    write(store, *paper, rates=RATES)
    real = {"active_order": OrderId(7), "our_order": OrderId(7), **bid}
    for seconds in range(1920, 3600, 240):
        write(store, make_book(server=107, at=at(seconds), **real))
    clean(store, NOW + timedelta(days=1.9))

    for span in Span:
        live, on_paper = queries.market.server_periods(span)
        assert (live.mode, on_paper.mode) == (Mode.LIVE, Mode.PAPER)
        assert live.summary.known == on_paper.summary.known
        both = live.summary.held + on_paper.summary.held
        assert timedelta(0) < live.summary.held < both <= live.summary.known
        assert live.summary.spend > 0
        assert on_paper.summary.spend > 0
        assert live.summary.rented == live.summary.held
        held = {period.mode: period.held for period in queries.target_periods(span)}
        assert held[Mode.LIVE].held == live.summary.held
        assert held[Mode.PAPER].held == on_paper.summary.held
        assert held[Mode.PAPER].spend == on_paper.summary.spend


def test_summaries_of_paper_go_when_the_others_go(
    store: Store, engine: Engine, queries: Queries
) -> None:
    """None is kept for longer because of its mode."""
    Store(engine, ACCOUNT, mode=Mode.PAPER).settle((), [make_holding(-3, server=107)], at=NOW)
    mine: dict[str, Any] = {"active_order": OrderId(-3), "our_order": OrderId(-3)}
    write(store, *watched(107, 600, **mine), rates=RATES)
    clean(store, NOW + timedelta(days=1.9))
    assert {period.mode for period in queries.market.server_periods(Span.DAY)} == set(Mode)
    clean(store, NOW + timedelta(days=40))
    assert (rows_in(engine, "server_summaries"), rows_in(engine, "target_summaries")) == (0, 0)


def test_a_round_by_a_clock_that_was_ahead_stops_no_summaries(store: Store, queries: Queries) -> None:
    """Once it is right again, the present hour is summed up once more, whole, and each later one."""
    write(store, *watched(107, 1200), rates=RATES)
    ahead = NOW + timedelta(days=1.5)
    clean(store, ahead)
    store.record_pass(make_pass(900, 86400 * 1.5, books=(make_book(9, at=ahead),)))
    right = NOW + timedelta(minutes=30)
    clean(store, right)

    later = [make_book(107, at=at(seconds)) for seconds in range(1900, 6000, 240)]
    write(store, *later, rates=RATES)
    clean(store, NOW + timedelta(hours=3))

    first, second = queries.market.server_periods(Span.HOUR)
    assert (first.at, second.at) == (NOW, NOW + HOUR)
    assert first.summary.known > timedelta(minutes=40)
    assert second.summary.known > timedelta(minutes=30)


def test_raw_history_that_no_summary_has_outlives_a_clock_that_was_ahead(
    store: Store, engine: Engine, queries: Queries
) -> None:
    """However far it was ahead: what comes afterwards goes only once its own day is summed up."""
    write(store, *watched(107, 600), rates=RATES)
    clean(store, NOW + timedelta(days=400))
    begin = 86400.0
    write(store, *(make_book(108, at=at(begin + 240 * n)) for n in range(4)), rates=RATES)
    clean(store, at(begin + 1200))
    assert rows_in(engine, "books") > 0
    clean(store, at(begin) + timedelta(days=3))
    assert ServerId(108) in {day.server for day in queries.market.server_periods(Span.DAY)}


def falling(hours: float) -> Rates:
    """Return the rates of a coin that falls from 0.10 to 0.06 within a day."""
    return Rates({Currency.CLORE: Decimal("0.10") - Decimal("0.04") * Decimal(str(hours)) / 24})


@pytest.mark.parametrize("kind", OrderKind)
def test_a_day_is_the_sum_of_its_hours_whatever_the_rates_do(
    store: Store, queries: Queries, kind: OrderKind
) -> None:
    """A hundred coins a day for an unchanged book, or on demand, while the coin falls: 8 USD in all."""
    price, begun = Price.parse("100", Currency.CLORE), NOW.replace(hour=0)
    held = make_holding(7, server=107, price=price, first_seen_at=begun)
    order = replace(held.order, kind=kind, created_at=begun)
    held = replace(held, order=order, last_seen_at=begun + 24 * HOUR)
    store.settle((), [held], at=begun)
    spot: dict[str, Any] = {"our_price": price} if kind is OrderKind.SPOT else {"our_order": None}
    for number in range(24 * 15 + 1):
        read_at = begun + number * timedelta(minutes=4)
        book = make_book(107, at=read_at, best_rival=price, **spot)
        seconds = (read_at - NOW).total_seconds()
        store.record_pass(make_pass(number, seconds, books=(book,), rates=falling(number / 15)))
    clean(store, begun + 25 * HOUR)

    hours, (day,) = queries.target_periods(Span.HOUR), queries.target_periods(Span.DAY)
    today = [hour.held for hour in hours if hour.at < begun + 24 * HOUR]
    assert len(today) == 24
    assert sum(hour.spend for hour in today) == pytest.approx(day.held.spend, abs=Decimal("1e-9"))
    assert day.held.spend == pytest.approx(Decimal(8), rel=Decimal("0.002"))
    assert day.held.restarts == 1
    by_server = queries.market.server_periods(Span.DAY)[0].summary.rival
    assert by_server is not None
    assert by_server.high - by_server.low > 3


def rented_on_demand(**changes: Any) -> Holding:
    """Return an order on demand of 24 USD a day, begun at NOW."""
    held = make_holding(7, price=usd("24"), spend=Money.parse("0.1", Currency.USD))
    return replace(held, order=replace(held.order, kind=OrderKind.ON_DEMAND), **changes)


def test_an_order_on_demand_that_ended_unseen_counts_for_as_long_as_it_was_billed(
    store: Store, queries: Queries
) -> None:
    """It went after six minutes; ten hours later the daemon came back and found it ended."""
    store.settle((), [rented_on_demand()], at=NOW)
    store.settle((), (), at=at(36000), over=[Over(order=OrderId(7), at=at(36000), cause="expired")])
    clean(store, NOW + timedelta(days=1))

    (hour,), (day,) = queries.target_periods(Span.HOUR), queries.target_periods(Span.DAY)
    assert hour.held == day.held
    assert (day.held.spend, day.held.held) == (Decimal("0.1"), timedelta(minutes=6))


def test_an_hour_waits_for_orders_that_cannot_be_read(store: Store, queries: Queries) -> None:
    """Written without what ran in it, it would stay so; after a day nobody waits any more."""
    held = rented_on_demand(last_seen_at=at(300))
    store.settle((), [held], at=at(300))
    clean(store, NOW + 3 * HOUR)
    assert queries.target_periods(Span.HOUR) == ()
    again = replace(held, last_seen_at=NOW + 3 * HOUR)
    store.settle((), [again], at=again.last_seen_at)
    clean(store, NOW + 3.5 * HOUR)
    assert [hour.held.held for hour in queries.target_periods(Span.HOUR)] == 3 * [HOUR]

    clean(store, NOW + 26 * HOUR)
    assert len(queries.target_periods(Span.HOUR)) == 3
    clean(store, NOW + 28 * HOUR)
    assert [day.held.held for day in queries.target_periods(Span.DAY)] == [3 * HOUR]


@pytest.mark.parametrize("ahead", [timedelta(hours=1), timedelta(days=1)])
def test_a_calendar_that_was_ahead_spoils_nothing_that_comes_after(
    store: Store, queries: Queries, ahead: timedelta
) -> None:
    """Ten minutes by a wrong calendar; then a calm book is recorded on, and no hour has too much."""
    store.settle((), [make_holding(7, server=107)], at=NOW)
    wrong = [make_book(107, at=NOW + ahead + timedelta(minutes=m)) for m in range(0, 10, 2)]
    right = [make_book(107, at=NOW + timedelta(minutes=m)) for m in range(10, 190, 2)]
    write(store, *wrong, *right, rates=RATES)
    clean(store, NOW + 4 * HOUR)

    hours = queries.market.server_periods(Span.HOUR)
    known = {hour.at: hour.summary.known for hour in hours}
    assert known[NOW] >= timedelta(minutes=45)
    assert known[NOW + HOUR] == known[NOW + 2 * HOUR] == HOUR
    held = {hour.at: hour.held.held for hour in queries.target_periods(Span.HOUR)}
    assert held[NOW + HOUR] == HOUR


def test_an_hour_before_the_first_rate_is_valued_as_its_day_is(store: Store, queries: Queries) -> None:
    """By that first rate; else a day would not be the sum of its hours."""
    store.settle((), [make_holding(7, server=107)], at=NOW)
    write(store, *watched(107, 3600))
    write(store, make_book(107, at=at(3840)), rates=RATES)
    clean(store, NOW + timedelta(days=1.9))

    (day,) = queries.target_periods(Span.DAY)
    hours = queries.target_periods(Span.HOUR)
    assert sum(hour.held.spend for hour in hours) == pytest.approx(day.held.spend, abs=Decimal("1e-9"))
    assert hours[0].held.spend > 0


def test_a_gap_over_an_hours_turn_is_no_restart(store: Store, queries: Queries) -> None:
    """An order that runs before and after a time in which nobody looked ran on; a new one began."""
    store.settle((), [make_holding(7, server=107), make_holding(8, server=107)], at=NOW)
    minutes = (*range(0, 51, 5), *range(75, 120, 5))
    write(store, *(make_book(107, at=NOW + timedelta(minutes=m)) for m in minutes), rates=RATES)
    other: dict[str, Any] = {"our_order": OrderId(8), "active_order": OrderId(8)}
    later = range(135, 170, 5)
    write(store, *(make_book(107, at=NOW + timedelta(minutes=m), **other) for m in later))
    clean(store, NOW + timedelta(days=1.9))

    assert [hour.held.restarts for hour in queries.target_periods(Span.HOUR)] == [1, 0, 1]
    assert [day.held.restarts for day in queries.target_periods(Span.DAY)] == [2]
