"""Which failures at the start may be over in a moment, and which stay until somebody mends them."""

import errno
import sqlite3
from collections.abc import Callable
from pathlib import Path

import pytest
from sqlalchemy import event
from sqlalchemy.exc import OperationalError

from bidder.errors import StoreUnavailable, StoreUnusable
from bidder.store.engine import check_path, open_engine
from bidder.store.passing import server_may_be_back, sqlite_remedy, system_may_recover
from bidder.store.schema import upgrade


def of_few_pages(connection: sqlite3.Connection, _record: object) -> None:
    """Leave the file no room to grow: SQLite then says what it says of a full disk."""
    connection.execute("PRAGMA max_page_count=2")


def that_fails(problem: str) -> Callable[..., None]:
    """Return a hook that lets each connection fail with this problem."""

    def fail(connection: sqlite3.Connection, _record: object) -> None:
        connection.close()
        raise sqlite3.OperationalError(problem)

    return fail


def test_a_full_disk_is_told_with_its_remedy_and_passes(tmp_path: Path) -> None:
    """As soon as there is room the same file is taken."""
    file = tmp_path / "bidder.db"
    full = open_engine(file)
    event.listen(full, "connect", of_few_pages)
    with pytest.raises(StoreUnavailable, match=r"bidder\.db: .*disk is full; make room") as caught:
        upgrade(full)
    assert "\n" not in str(caught.value)
    full.dispose()

    roomy = open_engine(file)
    upgrade(roomy)
    roomy.dispose()


@pytest.mark.parametrize(
    ("problem", "passing"),
    [
        ("disk I/O error", True),
        ("unable to open database file", True),
        ("database or disk is full", True),
        ("attempt to write a readonly database", False),
        ("no such table: bids", False),
    ],
)
def test_a_failure_at_the_start_is_told_by_whether_it_may_pass(
    tmp_path: Path, problem: str, passing: bool
) -> None:
    """Both have one line with place, problem and remedy."""
    engine = open_engine(tmp_path / "bidder.db")
    event.listen(engine, "connect", that_fails(problem))
    with pytest.raises(StoreUnusable, match=rf"bidder\.db: cannot be used.*{problem}; ") as caught:
        upgrade(engine)
    assert isinstance(caught.value, StoreUnavailable) is passing
    engine.dispose()


@pytest.mark.parametrize(
    ("verdict", "passing"),
    [
        ("*** in database main ***\nPage 4: unable to get the page. error code=266", True),
        ("unable to get the page. error code=10", True),
        ("unable to get the page. error code=11", False),
        ("Page 9: btreeInitPage() returns error code 11", False),
        ("row 10 missing from index bids_at", False),
    ],
)
def test_a_page_that_could_not_be_read_is_not_a_broken_one(verdict: str, passing: bool) -> None:
    """The check of the file says either in the same breath."""
    assert (sqlite_remedy(verdict) is not None) is passing


class Answer(Exception):
    """A server's answer as its driver raises it."""

    def __init__(self, sqlstate: str | None) -> None:
        """Keep the code; one that never came to a connection has none."""
        super().__init__("")
        self.sqlstate = sqlstate


@pytest.mark.parametrize(
    ("sqlstate", "problem", "back"),
    [
        ("53100", "could not extend file: No space left on device", True),
        ("57P03", "the database system is starting up", True),
        ("57014", "canceling statement due to statement timeout", True),
        ("42P07", "relation bids already exists", False),
        ("42501", "permission denied for schema public", False),
        (None, "connection failed: Connection refused", True),
        (None, "connection failed: FATAL: the database system is starting up", True),
        (None, "connection failed: FATAL: password authentication failed", False),
        (None, 'connection failed: FATAL: database "bidder" does not exist', False),
        (None, "failed to resolve host 'db': [Errno -3] Temporary failure in name resolution", True),
        (None, "failed to resolve host 'db': [Errno -2] Name or service not known", True),
    ],
)
def test_a_server_may_be_back_unless_it_says_no(sqlstate: str | None, problem: str, back: bool) -> None:
    """What it lacks may come; a user, a password or a right does not come by itself."""
    cause = OperationalError("", {}, Answer(sqlstate))
    assert server_may_be_back(problem, cause) is back


def test_a_path_that_cannot_be_looked_at_for_a_moment_passes(monkeypatch: pytest.MonkeyPatch) -> None:
    """A disk that does not answer is no wrong path."""

    def fail(_: Path) -> bool:
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr(Path, "is_dir", fail)
    with pytest.raises(StoreUnavailable, match="Input/output error; "):
        check_path(Path("/srv/bidder.db"))
    assert not system_may_recover(OSError(errno.ENAMETOOLONG, ""))
    assert not system_may_recover(ValueError("embedded null byte"))
