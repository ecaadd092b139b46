"""How large a database becomes, from two days of a run."""

import sqlite3
from contextlib import closing
from datetime import timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.growth import at_day, table_bytes
from bidder.domain.policy import Retention

KEEP = Retention(raw=timedelta(days=14), inputs=timedelta(days=1))
SIZES = st.dictionaries(
    st.sampled_from(("books", "decision_inputs", "orders", "server_summaries")), st.floats(0, 1e9)
)


def grown(day: float, name: str, small: float, large: float, days: tuple[float, float]) -> float:
    """Return one table's size on a day, after it had two sizes on two days."""
    (first, last) = days
    return at_day(day, begun=(first, {name: small}), ended=(last, {name: large}), keep=KEEP)[name]


def test_what_is_kept_for_good_grows_on() -> None:
    """As fast as it did."""
    assert grown(10, "orders", 100, 300, (2, 4)) == 300 + 6 * 100
    assert grown(365, "server_summaries", 0, 10, (0, 1)) == 3650


def test_raw_history_grows_until_its_retention_is_full() -> None:
    """From then on as much goes as comes."""
    assert grown(10, "books", 100, 300, (2, 4)) == 300 + 6 * 100
    assert grown(14, "books", 100, 300, (2, 4)) == grown(365, "books", 100, 300, (2, 4)) == 1300
    assert grown(365, "decision_inputs", 100, 300, (0.5, 1)) == 300


def test_days_on_which_it_was_full_already_are_not_days_of_growth() -> None:
    """The run went on for longer than its retention: it grew in the days before that, and stays."""
    assert grown(30, "books", 100, 700, (10, 20)) == 700
    assert grown(30, "books", 700, 720, (15, 20)) == 720


def test_what_was_not_there_on_the_first_day_grew_from_nothing() -> None:
    """And what shrank is not expected to shrink on."""
    found = at_day(3, begun=(1, {"orders": 500}), ended=(2, {"orders": 400, "work": 10}), keep=KEEP)
    assert found == {"orders": 400, "work": 20}


@given(
    begun=SIZES, ended=SIZES, first=st.floats(0, 20), length=st.floats(0.01, 20), on=st.floats(0, 700)
)
def test_nothing_is_foretold_to_shrink(
    begun: dict[str, float], ended: dict[str, float], first: float, length: float, on: float
) -> None:
    """On the last day each table is as large as it was found, and later at least as large."""
    last = first + length
    assert at_day(last, begun=(first, begun), ended=(last, ended), keep=KEEP) == ended
    later = at_day(last + on, begun=(first, begun), ended=(last, ended), keep=KEEP)
    assert all(later[name] >= size for name, size in ended.items())


def test_the_tables_bytes_are_the_files(tmp_path: Path) -> None:
    """Each index counts to its table, and nothing is counted twice or left out."""
    file = tmp_path / "bidder.db"
    with closing(sqlite3.connect(file)) as plain:
        plain.execute("CREATE TABLE full (id INTEGER PRIMARY KEY, word TEXT)")
        plain.execute("CREATE TABLE bare (id INTEGER PRIMARY KEY)")
        plain.executemany("INSERT INTO full (word) VALUES (?)", [("w" * 500,)] * 200)
        plain.commit()
        plain.execute("VACUUM")
        before = table_bytes(file)
        plain.execute("CREATE INDEX by_word ON full (word)")
        plain.commit()
    if not before:
        pytest.skip("this SQLite was built without dbstat")
    after = table_bytes(file)
    assert before.keys() == after.keys() == {"full", "bare"}
    assert after["bare"] == before["bare"]
    assert after["full"] > before["full"] > 200 * 500
    # The first page holds the schema, which is no table of ours.
    page = before["bare"]
    assert sum(after.values()) == file.stat().st_size - page
