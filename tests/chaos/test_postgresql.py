"""A day on which everything goes wrong, on PostgreSQL: the same story, the same checks."""

from typing import Any

import pytest
from sqlalchemy import create_engine

from bidder.chaos.day import ChaosDay
from bidder.chaos.kinds import Scripted
from bidder.store import rows

pytestmark = pytest.mark.postgres

SEEDS = (4, 13, 21)


@pytest.mark.parametrize("seed", SEEDS)
def test_nothing_is_violated_on_a_bad_day(seed: int, postgres_url: str) -> None:
    """The process dies at statements, begins and commits of that database too."""
    day = ChaosDay(seed, 0.06, database_url=postgres_url)
    outcome = day.run()

    assert outcome.violations == []
    assert outcome.requests > 20
    assert not day.file.exists()


def test_trouble_comes_in_that_databases_own_words(postgres_url: str) -> None:
    """By script; nobody is harmed, and a killed process leaves no connection behind."""
    lines: list[str] = []
    faults = (
        Scripted(kind="database locked", at_seconds=60),
        Scripted(kind="disk full", at_seconds=700),
        Scripted(kind="commit unanswered", at_seconds=1000),
        Scripted(kind="killed in a row", at_seconds=1300),
        Scripted(kind="left dead", at_seconds=2000),
    )
    day = ChaosDay(4, 0.055, script=faults, database_url=postgres_url, tell=lines.append)
    outcome = day.run()
    admin = create_engine(postgres_url)
    with admin.connect() as connection:
        others = connection.exec_driver_sql(
            "SELECT count(*) FROM pg_stat_activity"
            " WHERE datname = current_database() AND pid <> pg_backend_pid()"
        ).scalar_one()
    admin.dispose()

    said_of_it = ("lock timeout", "No space left on device", "closed the connection")
    for said in (*said_of_it, "is killed", "left dead"):
        assert any(said in line for line in lines), said
    assert outcome.violations == []
    assert others == 0


def test_a_store_that_rounds_is_caught_there_too(
    monkeypatch: pytest.MonkeyPatch, postgres_url: str
) -> None:
    """What was spent, to six places instead of all of them."""
    original = rows.order_values

    def rounding(*arguments: Any) -> dict[str, Any]:
        values = original(*arguments)
        return {**values, "spend": round(values["spend"], 6)}

    monkeypatch.setattr(rows, "order_values", rounding)
    outcome = ChaosDay(7, 0.1, database_url=postgres_url).run()

    assert "money" in {invariant for invariant, _, _ in outcome.violations}
