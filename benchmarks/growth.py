"""How large the database becomes: each table's growth until its retention is full, and on from there."""

import sqlite3
from collections.abc import Mapping
from contextlib import closing
from pathlib import Path

from bidder.domain.policy import Retention

_DAY = 86400.0
# What goes with the raw history; everything else is kept as summaries or for good.
_RAW = ("decisions", "order_prices", "intents", "books", "requests", "raises", "wallets", "rates")
_INPUTS = ("decision_inputs",)


def table_bytes(file: Path) -> dict[str, float]:
    """Return the bytes of each table with its indexes; empty where this SQLite cannot tell."""
    with closing(sqlite3.connect(f"{file.as_uri()}?mode=ro", uri=True)) as plain:
        try:
            found = plain.execute(
                "SELECT m.tbl_name, SUM(s.pgsize) FROM dbstat s JOIN sqlite_master m ON m.name = s.name"
                " GROUP BY m.tbl_name"
            ).fetchall()
        except sqlite3.OperationalError:
            return {}
    return {str(name): float(size) for name, size in found}


def at_day(
    day: float,
    *,
    begun: tuple[float, Mapping[str, float]],
    ended: tuple[float, Mapping[str, float]],
    keep: Retention | None = None,
) -> dict[str, float]:
    """Return the bytes of each table on a later day, from its growth between two days of a run.

    A table grows evenly until its retention is full and stays as large as that.
    """
    (first, small), (last, large) = begun, ended
    found = {}
    for name, size in large.items():
        full = _kept_days(name, keep or Retention())
        grew_for = max(0.0, min(last, full) - first)
        rate = max(0.0, size - small.get(name, 0.0)) / grew_for if grew_for else 0.0
        found[name] = size + rate * max(0.0, min(day, full) - last)
    return found


def _kept_days(table: str, keep: Retention) -> float:
    if table in _INPUTS:
        return keep.inputs.total_seconds() / _DAY
    if table in _RAW:
        return keep.raw.total_seconds() / _DAY
    return float("inf")
