"""What a restart tells again, and what it does not."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from functools import partial

import pytest
from sqlalchemy import Engine

from bidder.app.telling import ended_trading
from bidder.app.told_before import KIND, ToldBefore
from bidder.domain.ids import AccountName
from bidder.errors import InvalidToken, LeaseLost
from bidder.store.commands import note
from bidder.store.engine import open_engine
from bidder.store.queries import Queries
from bidder.store.schema import upgrade

NOW = datetime(2026, 1, 5, tzinfo=UTC)
REFUSED = ended_trading(InvalidToken(code=3), NOW)


@pytest.fixture
def engine() -> Iterator[Engine]:
    """Yield an empty database."""
    made = open_engine("sqlite://")
    upgrade(made)
    yield made
    made.dispose()


def started(engine: Engine, *, after: timedelta) -> ToldBefore:
    """Return the memory of a process that is started then."""
    account = AccountName("main")
    return ToldBefore.of(Queries(engine, account), partial(note, engine, account, KIND), NOW + after)


def tell(memory: ToldBefore, *, got_there: bool = True) -> None:
    """Hand out the notice of a refused token."""
    memory.told(REFUSED)
    if got_there:
        memory.delivered(REFUSED, NOW)


def test_the_same_end_is_told_once_in_six_hours(engine: Engine) -> None:
    """By whichever process; another end is news."""
    tell(started(engine, after=timedelta(0)))

    assert started(engine, after=timedelta(hours=5)).is_known(REFUSED)
    assert not started(engine, after=timedelta(hours=5)).is_known(ended_trading(LeaseLost(), NOW))
    assert not started(engine, after=timedelta(hours=7)).is_known(REFUSED)


def test_what_did_not_get_there_is_told_by_the_next_process(engine: Engine) -> None:
    """A receiver out of reach misses nothing for it."""
    tell(started(engine, after=timedelta(0)), got_there=False)

    assert not started(engine, after=timedelta(minutes=1)).is_known(REFUSED)


def test_a_new_end_after_trading_is_news(engine: Engine) -> None:
    """In the process that traded, and in later ones."""
    tell(started(engine, after=timedelta(0)))
    mended = started(engine, after=timedelta(minutes=1))
    mended.trading(NOW + timedelta(minutes=2))

    assert not mended.is_known(REFUSED)
    assert not started(engine, after=timedelta(minutes=3)).is_known(REFUSED)
