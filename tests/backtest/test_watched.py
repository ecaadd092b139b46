"""What was watched of a server, in dollars of its moment."""

from datetime import timedelta
from decimal import Decimal

import pytest
from builders import clore
from diaries import DAY, HOUR, START, Diary
from sqlalchemy import Engine, insert
from store_values import make_book

from bidder.backtest.watched import Grid, watched
from bidder.domain.ids import ServerId
from bidder.domain.policy import Mode
from bidder.store import tables
from bidder.store.engine import open_engine, transaction
from bidder.store.schema import upgrade


@pytest.fixture
def engine() -> Engine:
    """Return an empty database in memory."""
    made = open_engine("sqlite://")
    upgrade(made)
    return made


def test_a_bid_that_stands_all_day_is_paid_at_the_rates_of_its_hours(engine: Engine) -> None:
    """A hundred coins a day, while the coin falls from 0.10 to 0.06: 8 USD, not the 10 of midnight."""
    diary = Diary(engine=engine)
    with transaction(engine, writing=True) as connection:
        for quarter in range(96):
            values = {
                "account": diary.account,
                "currency": "CLORE-Blockchain",
                "at": START + quarter * HOUR / 4,
                "usd_per_unit": Decimal("0.10") - Decimal("0.04") * quarter / 96,
            }
            connection.execute(insert(tables.rates), values)
    book = make_book(at=START, until=START + DAY, our_price=clore("100"), best_rival=clore("90"))
    grid = Grid(begin=START, end=START + DAY)

    seen = watched(
        ServerId(107), [book], diary.queries().market.rates_over(START, START + DAY), grid, Mode.LIVE
    )

    paid = sum(
        (piece.bid or 0.0) * ((piece.end - piece.begin) / timedelta(days=1)) for piece in seen.pieces
    )
    assert paid == pytest.approx(8, rel=0.005)
    assert sum((piece.end - piece.begin for piece in seen.pieces), timedelta(0)) == DAY
    assert seen.prices[-1] == pytest.approx(90 * 0.0604, rel=0.001)
