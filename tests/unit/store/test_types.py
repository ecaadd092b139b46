"""Column types keep values exactly on each database, or refuse them."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import Column, Engine, Integer, MetaData, Table, insert, select
from sqlalchemy.dialects import sqlite

from bidder.domain.money import reached_amount
from bidder.errors import InvalidAmount, StoreFailed
from bidder.store.engine import open_engine, transaction
from bidder.store.types import Amount, Duration, Identifier, Json, Moment, Words

_SAMPLE = Table(
    "sample",
    MetaData(),
    Column("id", Integer(), primary_key=True),
    Column("amount", Amount()),
    Column("moment", Moment()),
    Column("duration", Duration()),
    Column("number", Identifier()),
    Column("words", Words()),
    Column("document", Json()),
)
_MONEY = st.decimals(min_value=0, allow_nan=False, allow_infinity=False, max_value=Decimal("1e20"))
_SCALARS = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text()
)
_TIMES = st.datetimes(
    min_value=datetime(1, 1, 2),  # noqa: DTZ001 - hypothesis wants bounds without a zone
    max_value=datetime(9999, 12, 30),  # noqa: DTZ001 - the same
    timezones=st.timezones(),
)


@pytest.fixture(scope="module", params=["sqlite", pytest.param("postgres", marks=pytest.mark.postgres)])
def sample(request: pytest.FixtureRequest) -> Iterator[Engine]:
    """Yield a database with one table that has a column of each type."""
    if request.param == "postgres":
        engine: Engine = request.getfixturevalue("migrated_postgres")
        _SAMPLE.create(engine)
        yield engine
        _SAMPLE.drop(engine)
        return
    engine = open_engine("sqlite://")
    _SAMPLE.create(engine)
    yield engine
    engine.dispose()


def back(engine: Engine, column: str, value: Any) -> Any:
    """Store one value and return what is read back."""
    with transaction(engine, writing=True) as connection:
        stored = connection.execute(insert(_SAMPLE).values({column: value}))
        key = stored.inserted_primary_key
        assert key is not None
        return connection.execute(select(_SAMPLE.c[column]).where(_SAMPLE.c.id == key[0])).scalar_one()


@given(amount=_MONEY.filter(lambda d: -60 <= int(d.as_tuple().exponent) <= 20))
def test_amount_round_trips_exactly(sample: Engine, amount: Decimal) -> None:
    """Whatever can be money comes back equal, and is stored without an exponent."""
    assert back(sample, "amount", amount) == reached_amount(amount)


def test_amount_keeps_the_digits_that_were_sent(sample: Engine) -> None:
    """The last digit is kept even where it is a zero."""
    assert str(back(sample, "amount", Decimal("6.94444444444444450E-9"))) == "6.94444444444444450E-9"


@pytest.mark.parametrize(
    "value", [Decimal("NaN"), Decimal("Infinity"), Decimal(-1), Decimal("1e21"), 0.1, 1, "1"]
)
def test_what_is_no_exact_amount_is_refused(sample: Engine, value: object) -> None:
    """NaN, negatives, absurd sizes and floats never enter."""
    with pytest.raises(InvalidAmount):
        back(sample, "amount", value)


@given(moment=_TIMES)
def test_moment_round_trips_exactly(sample: Engine, moment: datetime) -> None:
    """A time comes back to the microsecond, in UTC, whatever zone it was in."""
    found = back(sample, "moment", moment)

    # Python calls an hour that a zone's clocks skipped unequal to any other zone's.
    assert found == moment.astimezone(UTC)
    assert found.tzinfo is UTC


@given(first=_TIMES, second=_TIMES)
def test_moments_sort_as_times_do(first: datetime, second: datetime) -> None:
    """What is stored has the order of time."""
    kept = [Moment().process_bind_param(moment, sqlite.dialect()) or 0 for moment in (first, second)]

    assert (kept[0] < kept[1]) == (first.astimezone(UTC) < second.astimezone(UTC))


def test_daylight_saving_is_no_matter(sample: Engine) -> None:
    """The hour that a clock shows twice is stored as two hours."""
    summer = datetime(2026, 10, 25, 2, 30, tzinfo=timezone(timedelta(hours=2)))
    winter = datetime(2026, 10, 25, 2, 30, tzinfo=timezone(timedelta(hours=1)))

    assert back(sample, "moment", winter) - back(sample, "moment", summer) == timedelta(hours=1)


def test_naive_time_is_refused(sample: Engine) -> None:
    """A time without a zone is a bug of ours."""
    with pytest.raises(StoreFailed, match="time zone"):
        back(sample, "moment", datetime(2026, 3, 1))  # noqa: DTZ001 - that is the point


@given(duration=st.timedeltas(min_value=timedelta(0), max_value=timedelta(days=100_000_000)))
def test_duration_round_trips_exactly(sample: Engine, duration: timedelta) -> None:
    """A length of time comes back to the microsecond."""
    assert back(sample, "duration", duration) == duration


@given(number=st.integers(min_value=-(2**63), max_value=2**63 - 1))
def test_number_round_trips(sample: Engine, number: int) -> None:
    """Ids beyond 2^53 are kept."""
    assert back(sample, "number", number) == number


@pytest.mark.parametrize("number", [2**63, -(2**63) - 1, 10**100])
def test_number_beyond_any_database_is_refused(sample: Engine, number: int) -> None:
    """An id that does not fit is an error of ours, not the driver's."""
    with pytest.raises(StoreFailed, match="too large"):
        back(sample, "number", number)


@given(words=st.text(st.characters()))
def test_any_text_can_be_stored(sample: Engine, words: str) -> None:
    """Text from the exchange, half characters included, never breaks a transaction."""
    found = back(sample, "words", words)

    assert found == words or "�" in found or "?" in found or len(words) > 500


@given(
    document=st.recursive(
        _SCALARS,
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
        max_leaves=8,
    )
)
def test_document_round_trips(sample: Engine, document: Any) -> None:
    """JSON comes back as it was, in any script."""
    assert back(sample, "document", document) == document


def test_nan_in_a_document_becomes_null(sample: Engine) -> None:
    """What JSON lacks does not get into ``--json`` answers."""
    assert back(sample, "document", {"a": [float("nan"), (float("inf"),)]}) == {"a": [None, [None]]}
