"""Both configurations on the recorded history: what each would have paid."""

from collections.abc import Iterator, Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest
from builders import RATES, btc, make_policy, make_target, usd
from sqlalchemy import Engine, delete, update

from bidder.backtest import fortnight
from bidder.backtest.fortnight import Fortnight
from bidder.domain.actions import Decision, Reason
from bidder.domain.ids import ServerId
from bidder.domain.money import Currency, Price, Rates
from bidder.domain.policy import (
    Ceiling,
    DeadlineParams,
    FixedParams,
    OwnParams,
    Per,
    Policy,
    Requirements,
    Setting,
)
from bidder.domain.positions import Position
from bidder.domain.quotes import Quote
from bidder.domain.strategies import common
from bidder.store import tables
from bidder.store.engine import open_engine, transaction
from bidder.store.lease import Lease
from bidder.store.queries import Queries
from bidder.store.records import BookRecord, PassRecord, ServerRecord
from bidder.store.schema import upgrade
from bidder.store.store import Store

NOW = datetime(2026, 3, 15, tzinfo=UTC)
DAY = timedelta(days=1)


@pytest.fixture
def engine() -> Iterator[Engine]:
    """Yield an empty database in memory."""
    made = open_engine("sqlite://")
    upgrade(made)
    yield made
    made.dispose()


def record(
    engine: Engine,
    *,
    days: int,
    rival: str = "2",
    servers: tuple[int, ...] = (1,),
    gpus: int = 1,
    on_demand: str | None = None,
) -> None:
    """Record the books of some servers for so many days: a rival by day, none by night."""
    policy = make_policy()
    lease = Lease(engine, policy.account)
    store = Store(engine, policy.account, fencing=lease.acquire(NOW - days * DAY))
    number = 0
    for half in range(days * 2):
        at = NOW - days * DAY + half * DAY / 2
        for server in servers:
            number += 1
            store.record_pass(
                PassRecord(
                    pass_id=number,
                    at=at,
                    books=(
                        BookRecord(
                            server=ServerId(server),
                            at=at,
                            floor={Currency.USD: usd("1")},
                            rivals=1 - half % 2,
                            best_rival=None if half % 2 else usd(rival),
                            rented=False,
                            on_demand=None if on_demand is None else usd(on_demand),
                        ),
                    ),
                    servers=(ServerRecord(server=ServerId(server), gpu_model="RTX 3090", gpus=gpus),),
                    rates=Rates({}),
                )
            )
    lease.release()


def replayed(engine: Engine, before: Policy, after: Policy) -> Fortnight:
    """Return both replays at the end of the record."""
    queries = Queries(engine, before.account)
    return fortnight.replay(queries, before, after, listings={}, now=NOW)


def test_each_configuration_is_replayed_with_its_own_ceiling(engine: Engine) -> None:
    """Above the rival it runs day and night, below it by night only."""
    record(engine, days=20)
    high, low = make_policy(), make_policy(make_target(ceiling=usd("1.5")))
    found = replayed(engine, high, low)
    (rich,), (poor,) = found.before, found.after
    assert found.days == pytest.approx(14)
    assert rich.servers == poor.servers == (ServerId(1),)
    assert rich.share == pytest.approx(1.0, abs=0.05)
    assert poor.share == pytest.approx(0.5, abs=0.05)
    assert rich.paid > poor.paid > 0
    assert rich.price is not None
    assert poor.price is not None
    assert Decimal(1) <= poor.price < Decimal("1.6")
    assert poor.restarts >= 12
    assert rich.restarts >= 1


def test_each_strategy_is_replayed_with_its_own_settings(engine: Engine) -> None:
    """A fixed price is paid whatever the market asks."""
    record(engine, days=14)
    fixed = make_policy(make_target(params=FixedParams(price=usd("3"))))
    (played,) = replayed(engine, fixed, fixed).before
    assert played.price is not None
    assert float(played.price) == pytest.approx(3.0, rel=0.001)
    assert played.share == pytest.approx(1.0, abs=0.01)


def test_a_ceiling_per_gpu_is_that_of_the_recorded_server(engine: Engine) -> None:
    """Four GPUs at 0.6 each are enough for a rival at 2."""
    record(engine, days=14, gpus=4)
    each = make_target(ceiling=usd("0.6"), per=Per.GPU)
    few = replace(each, ceiling=replace(each.ceiling, price=usd("0.3")))
    found = replayed(engine, make_policy(each), make_policy(few))
    assert found.before[0].share == pytest.approx(1.0, abs=0.05)
    assert found.after[0].share == pytest.approx(0.5, abs=0.05)


def test_no_server_is_replayed_for_two_strategies(engine: Engine) -> None:
    """And who gets fewer than wanted is told so."""
    record(engine, days=2, servers=(1, 2, 3))
    policy = make_policy(make_target(want=2), make_target("second", want=2))
    first, second = replayed(engine, policy, policy).before
    assert first.servers == (1, 2)
    assert second.servers == (3,)
    assert second.problem == "only 1 of 2 servers are recorded"


def test_less_than_a_fortnight_is_told(engine: Engine) -> None:
    """How much there is."""
    record(engine, days=3)
    found = replayed(engine, make_policy(), make_policy())
    assert found.days == pytest.approx(3)
    assert found.before[0].days == pytest.approx(2.5, abs=0.6)


def test_a_book_that_stands_all_the_time_is_replayed(engine: Engine) -> None:
    """Though nothing of it was written down in the fortnight."""
    record(engine, days=20)
    with transaction(engine, writing=True) as connection:
        connection.execute(delete(tables.books).where(tables.books.c.at > NOW - 20 * DAY))
        connection.execute(update(tables.books).values(until=NOW))
    found = replayed(engine, make_policy(), make_policy())
    assert found.days == pytest.approx(14)
    assert found.before[0].share == pytest.approx(1.0, abs=0.05)


def test_a_server_that_was_rented_all_the_time_is_never_held(engine: Engine) -> None:
    """It has no price of which a lowering could be a share, and ends no comparison."""
    record(engine, days=2)
    with transaction(engine, writing=True) as connection:
        connection.execute(update(tables.books).values(rented=True))
    (played,) = replayed(engine, make_policy(), make_policy()).after
    assert (played.share, played.restarts, played.problem) == (0.0, 0, "")


def test_nothing_recorded_is_told(engine: Engine) -> None:
    """With an empty database, and without any."""
    policy = make_policy()
    for queries in (Queries(engine, policy.account), None):
        found = fortnight.replay(queries, policy, policy, listings={}, now=NOW)
        assert (found.start, found.days) == (None, 0.0)
        assert [each.problem for each in found.before] == ["nothing is recorded"]


def test_a_strategy_that_no_recorded_server_fits_is_told(engine: Engine) -> None:
    """It is not replayed on another kind of server."""
    record(engine, days=2)
    other = make_policy(make_target(requirements=Requirements(gpu_models=("RTX 4090",))))
    (played,) = replayed(engine, make_policy(), other).after
    assert (played.share, played.problem) == (None, "no recorded server fits it")


def test_a_floor_that_is_the_hosts_price_on_demand_can_be_won(engine: Engine) -> None:
    """The floor itself suffices, and hosts often ask the same on demand."""
    record(engine, days=4, rival="0.5", on_demand="1")
    policy = make_policy()
    (played,) = replayed(engine, policy, policy).before
    assert played.share == pytest.approx(1.0, abs=0.01)
    assert played.price is not None
    assert float(played.price) == pytest.approx(1.0, abs=0.001)


@pytest.mark.parametrize("by", [NOW - 5 * DAY, NOW + DAY])
def test_a_job_is_no_bid_on_spot_servers(engine: Engine, by: datetime) -> None:
    """It gets no figures, whether its date is past or not, and takes no server from others."""
    record(engine, days=2)
    job = DeadlineParams(gpu_hours=Decimal(40), by=by, on_demand_ceiling=Ceiling(price=usd("6")))
    policy = make_policy(make_target("work", params=job), make_target())
    work, render = replayed(engine, policy, policy).after
    assert work.share is None
    assert work.paid == 0
    assert work.problem == "work with a deadline is judged by its job, not by its bids"
    assert render.servers == (1,)


Settings = Mapping[str, Setting]


def failing(position: Position, settings: Settings, now: datetime) -> Decision:
    """Be a strategy of the owner's with a mistake in it."""
    raise ValueError(position.price)


def staying(position: Position, settings: Settings, now: datetime) -> Decision:
    """Leave the bid as it is."""
    return common.hold(position, Reason.WINNING)


def up_to_most(quote: Quote, settings: Settings) -> Price | None:
    """Bid what suffices while a price of the settings is not exceeded."""
    most = settings["most"]
    assert isinstance(most, Price)
    return quote.needed if quote.needed <= most else None


def test_a_strategy_of_the_owners_that_fails_is_told_beside_the_others(engine: Engine) -> None:
    """The rest of the comparison is worth having."""
    record(engine, days=2, servers=(1, 2))
    own = OwnParams(function="mine:failing", decide=failing)
    policy = make_policy(make_target("mine", params=own), make_target())
    mine, render = replayed(engine, policy, policy).after
    assert mine.share is None
    assert mine.problem.startswith("mine failed: it raised ValueError at test_fortnight.py:")
    assert render.share == pytest.approx(1.0, abs=0.05)


@pytest.mark.parametrize("most", [usd("1.5"), btc("0.00003")])
def test_prices_in_settings_of_the_owners_are_those_of_the_replay(engine: Engine, most: Price) -> None:
    """In whatever currency the configuration names them."""
    record(engine, days=4)
    own = OwnParams(
        function="mine:staying",
        decide=staying,
        opening="mine:up_to_most",
        opening_bid=up_to_most,
        settings=(("most", most),),
    )
    policy = make_policy(make_target(params=own), static_rates=RATES)
    (played,) = replayed(engine, policy, policy).after
    assert played.problem == ""
    assert played.share == pytest.approx(0.5, abs=0.1)


def test_prices_in_settings_without_a_rate_are_told(engine: Engine) -> None:
    """As those of our own strategies are."""
    record(engine, days=2)
    own = OwnParams(function="mine:staying", decide=staying, settings=(("most", btc("1")),))
    policy = make_policy(make_target(params=own))
    (played,) = replayed(engine, policy, policy).after
    assert played.problem == "no rate to USD is known for BTC"
