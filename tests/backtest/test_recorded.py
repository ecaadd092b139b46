"""The daemon's own history as a market to bid on again."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest
from sqlalchemy import Engine, insert

from bidder.backtest.compare import Question, compare_on
from bidder.backtest.recorded import readings_of, trace_of
from bidder.domain.ids import OrderId, ServerId
from bidder.domain.money import Currency, Price, Rates
from bidder.errors import BadInput
from bidder.store import tables
from bidder.store.engine import open_engine, transaction
from bidder.store.records import BookRecord
from bidder.store.schema import upgrade
from bidder.store.valuing import RatesOverTime

START = datetime(2026, 1, 1, tzinfo=UTC)
HOUR = timedelta(hours=1)
SERVER = ServerId(7)
RATES = Rates({Currency.CLORE: Decimal("0.1")})


@pytest.fixture
def engine() -> Iterator[Engine]:
    """Yield an empty database in memory."""
    made = open_engine("sqlite://")
    upgrade(made)
    yield made
    made.dispose()


def record(minutes: int, *, floor: str, rival: str | None = None, rented: bool = False) -> BookRecord:
    """One change of the book, so many minutes after the start, in CLORE per day."""
    at = START + timedelta(minutes=minutes)
    return BookRecord(
        server=SERVER,
        at=at,
        floor={Currency.CLORE: Price(Decimal(floor), Currency.CLORE)},
        best_rival=None if rival is None else Price(Decimal(rival), Currency.CLORE),
        rented=rented,
        until=at + timedelta(minutes=30),
    )


def test_what_it_took_to_win_is_the_rival_or_the_floor() -> None:
    """In dollars per hour, whichever is higher; while rented on demand nobody could win."""
    records = [
        record(0, floor="24"),
        record(30, floor="24", rival="48"),
        record(60, floor="24", rival="12"),
        record(90, floor="24", rented=True),
    ]
    trace = trace_of(SERVER, records, RATES, start=START, end=START + timedelta(days=1))
    assert trace.prices[:3] == (Decimal("0.1"), Decimal("0.2"), Decimal("0.1"))
    assert trace.prices[3] > 1000
    assert trace.end == START + timedelta(hours=2)


def test_where_an_offer_runs_nobody_rents_on_demand() -> None:
    """Whatever the marketplace said minutes before: a higher bid would have won."""
    runs = replace(record(0, floor="24", rival="48", rented=True), active_order=OrderId(500))
    trace = trace_of(SERVER, [runs], RATES, start=START, end=START + timedelta(days=1))
    assert trace.prices == (Decimal("0.2"),)


def test_a_recorded_server_can_be_bid_on_again() -> None:
    """The comparison takes it like any other market."""
    records = [record(30 * n, floor="24", rival=str(24 + n % 5)) for n in range(20)]
    trace = trace_of(SERVER, records, RATES, start=START, end=START + timedelta(days=1))
    found = compare_on(trace, Question(value=Decimal("0.3"), strategies=("track",)))
    assert found.runs[0].held_share == 1.0
    assert 0 < found.runs[0].utility <= found.optimum_utility


def test_a_share_as_a_step_is_taken_of_the_time_in_which_a_bid_could_win() -> None:
    """However long the server is rented on demand; where it always is, an amount is asked for."""
    rented = [record(30 * n, floor="24", rented=True) for n in range(1, 30)]
    records = [record(0, floor="24", rival="48"), *rented, record(900, floor="24", rival="48")]
    trace = trace_of(SERVER, records, RATES, start=START, end=START + timedelta(days=1))
    found = compare_on(trace, Question(value=Decimal("0.3"), strategies=("track",)))
    assert found.terms.step == Decimal("0.002")
    assert 0 < found.runs[0].utility <= found.optimum_utility
    never = trace_of(SERVER, rented, RATES, start=START, end=START + timedelta(days=1))
    with pytest.raises(BadInput, match="name one as an amount"):
        compare_on(never, Question(value=Decimal("0.3"), strategies=("track",)))


@pytest.mark.parametrize("rival", [None, Price(Decimal(5), Currency.BTC)])
def test_a_rival_whose_bid_cannot_be_valued_is_not_taken_for_none(rival: Price | None) -> None:
    """What it took to win is then not known, as if nobody had looked."""
    known = record(0, floor="24", rival="48")
    unknown = replace(record(30, floor="24"), rivals=1, best_rival=rival)
    last = record(60, floor="24", rival="48")
    end = START + timedelta(minutes=90)
    trace = trace_of(SERVER, [known, unknown, last], RATES, start=START, end=end)
    assert trace.prices == (Decimal("0.2"),)


def test_a_bid_is_promised_nothing_of_a_time_whose_rival_could_not_be_valued(engine: Engine) -> None:
    """A reading at the floor would promise that the floor had won."""
    floor = {Currency.USD: Price(Decimal(24), Currency.USD)}
    seen = replace(record(0, floor="24"), floor=floor)
    unvalued = replace(record(30, floor="24", rival="48"), floor=floor, rivals=1)
    end = START + timedelta(hours=1)
    with engine.connect() as connection:
        no_rates = RatesOverTime(connection, "ours", START, end)
        readings = readings_of([seen, unvalued], no_rates, gpus=1, end=end, bridge=timedelta(0))
    assert [(each.end, each.price) for each in readings] == [(unvalued.at, Decimal(24))]


def test_a_book_that_stands_is_valued_anew_every_hour(engine: Engine) -> None:
    """What stands at 2,400 coins a day, while the coin doubles twice."""
    with transaction(engine, writing=True) as connection:
        for hour, rate in enumerate(("0.01", "0.02", "0.04")):
            values = {
                "account": "ours",
                "currency": Currency.CLORE,
                "at": START + hour * HOUR,
                "usd_per_unit": Decimal(rate),
            }
            connection.execute(insert(tables.rates), values)
    book = replace(record(0, floor="2400"), until=START + 3 * HOUR)
    late = replace(record(150, floor="4800"), until=START + 4 * HOUR)  # by a calendar that was wrong
    with engine.connect() as connection:
        rates = RatesOverTime(connection, "ours", START, START + 4 * HOUR)
    readings = readings_of([book, late], rates, gpus=1, end=START + 4 * HOUR, bridge=timedelta(0))
    assert [(each.begin, each.price) for each in readings] == [
        (START, Decimal(24)),
        (START + HOUR, Decimal(48)),
        (START + 2 * HOUR, Decimal(96)),
        (START + 3 * HOUR, Decimal(192)),
    ]
    assert [each.end for each in readings[:-1]] == [each.begin for each in readings[1:]]


def test_too_little_history_is_told() -> None:
    """Nothing is made up from nothing."""
    with pytest.raises(BadInput, match="too little is recorded"):
        trace_of(SERVER, [], RATES, start=START, end=START + timedelta(days=1))
