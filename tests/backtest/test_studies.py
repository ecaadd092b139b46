"""The studies that searches keep: by whom they are begun, joined and gone on with."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Barrier

import pytest

from bidder.backtest import studies
from bidder.errors import BadInput, StoreFailed


def draws(url: str | None, count: int = 4) -> list[float]:
    """Return what a process that opens the study there draws."""
    study, found = studies.opened(url, "x"), []
    for _ in range(count):
        trial = study.ask()
        found.append(trial.suggest_float("share", 0, 1))
        study.tell(trial, 0.0)
    return found


def test_who_goes_on_with_a_study_draws_anew(tmp_path: Path) -> None:
    """By the seed that it began with, each trial would be one of the first again."""
    url = f"sqlite:///{tmp_path / 'study.db'}"
    first = draws(url)
    assert not set(first) & set(draws(url))


def test_a_new_study_is_drawn_alike_each_time(tmp_path: Path) -> None:
    """So that a search can be repeated."""
    kept = draws(f"sqlite:///{tmp_path / 'study.db'}")
    assert draws(None) == draws(None) == kept


def test_processes_that_begin_together_share_one_study(tmp_path: Path) -> None:
    """Whoever comes upon tables that are being made waits for them."""
    url, together = f"sqlite:///{tmp_path / 'study.db'}", 6
    start = Barrier(together)

    def begun(_: int) -> int:
        start.wait()
        return studies.opened(url, "x")._study_id

    with ThreadPoolExecutor(together) as pool:
        assert len(set(pool.map(begun, range(together)))) == 1


def test_a_place_where_none_can_be_kept_is_told(tmp_path: Path) -> None:
    """After some tries: it might have been another process."""
    with pytest.raises(BadInput, match="see the database's URL"):
        studies.opened(f"sqlite:///{tmp_path / 'none' / 'study.db'}", "x")


def test_a_study_never_stands_among_the_daemons_tables() -> None:
    """A file of its own beside the SQLite file."""
    assert (
        studies.url_beside("sqlite:////var/lib/x/bidder.db") == "sqlite:////var/lib/x/bidder.db.tuning"
    )


def test_a_database_that_does_not_answer_is_told_without_its_password() -> None:
    """The study would stand beside the daemon's tables."""
    with pytest.raises(StoreFailed) as told:
        studies.url_beside("postgresql+psycopg://u:hunter2@127.0.0.1:1/x")
    assert "127.0.0.1" in str(told.value)
    assert "hunter2" not in str(told.value)
